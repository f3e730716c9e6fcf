//! The judges of our images: `e2fsck`, `debugfs`, and the ext4-view crate.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "asks the reference implementation"
)]
#![allow(dead_code, unreachable_pub, reason = "each test crate uses a part")]

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use ext4_view::{Ext4, FileType};
use lupine_rootfs::{FileTree, Inode, Kind};

/// Cases of a property test: the environment's number, or `normal`; more under `test-all`.
pub fn cases(normal: u32) -> u32 {
    let number = std::env::var("LUPINE_ROOTFS_CASES")
        .ok()
        .and_then(|value| value.parse().ok());
    number.unwrap_or(if all() { normal * 40 } else { normal })
}

/// Whether the long tests run, too.
pub fn all() -> bool {
    std::env::var_os("LUPINE_TEST_ALL").is_some()
}

/// `e2fsck -fn` exits 0 and says nothing but its five passes and the summary.
pub fn assert_clean(image: &Path) {
    let output = Command::new("e2fsck")
        .arg("-fn")
        .arg(image)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let mut lines = said.lines();
    let quiet = (1..=5).all(|pass| {
        lines
            .next()
            .is_some_and(|line| line.starts_with(&format!("Pass {pass}: ")))
    });
    let summary = lines
        .next()
        .is_some_and(|line| line.contains(" files (") && line.ends_with("blocks"));
    assert!(
        output.status.code() == Some(0) && quiet && summary && lines.next().is_none(),
        "e2fsck of {}: {}\n{said}{}",
        image.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What a judge can say about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub st_mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    /// Content of regular files, target of links.
    pub bytes: Option<Vec<u8>>,
}

/// What the tree says, `lost+found` added; times as ext2 holds them. `bytes` gives contents.
pub fn wanted(
    tree: &FileTree,
    bytes: impl Fn(&Inode) -> Option<Vec<u8>>,
) -> BTreeMap<Vec<u8>, Facts> {
    let mut facts = BTreeMap::new();
    for (path, id) in tree.walk() {
        let inode = tree.inode(id);
        let clamped = inode
            .metadata
            .mtime
            .clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        facts.insert(
            path.as_bytes().to_vec(),
            Facts {
                st_mode: inode.st_mode(),
                uid: inode.metadata.uid,
                gid: inode.metadata.gid,
                mtime: clamped,
                bytes: match &inode.kind {
                    Kind::Symlink(target) => Some(target.to_vec()),
                    _ => bytes(&inode),
                },
            },
        );
    }
    facts.entry(b"lost+found".to_vec()).or_insert(Facts {
        st_mode: 0o040_700,
        uid: 0,
        gid: 0,
        mtime: 0,
        bytes: None,
    });
    facts
}

/// What ext4-view reads; contents of files with absent index blocks, which it does not follow, are
/// read by debugfs.
pub fn read_by_ext4_view(image: &Path) -> BTreeMap<Vec<u8>, Facts> {
    let fs = Ext4::load(Box::new(std::fs::read(image).unwrap())).unwrap();
    let mut facts = BTreeMap::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let absolute = [b"/", &path[..]].concat();
        let name = ext4_view::Path::new(&absolute);
        let metadata = fs.symlink_metadata(name).unwrap();
        let file_type = metadata.file_type();
        let bits = match file_type {
            FileType::Fifo => 0o010_000,
            FileType::CharacterDevice => 0o020_000,
            FileType::Directory => 0o040_000,
            FileType::BlockDevice => 0o060_000,
            FileType::Regular => 0o100_000,
            FileType::Symlink => 0o120_000,
            FileType::Socket => 0o140_000,
        };
        let bytes = match file_type {
            FileType::Regular => Some(fs.read(name).unwrap_or_else(|_| cat(image, &absolute))),
            FileType::Symlink => Some(fs.read_link(name).unwrap().as_ref().to_vec()),
            _ => None,
        };
        if file_type == FileType::Directory {
            for entry in fs.read_dir(name).unwrap() {
                let entry = entry.unwrap();
                let child = entry.file_name();
                if child != "." && child != ".." {
                    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
                    open.push([&path, slash, child.as_ref()].concat());
                }
            }
        }
        facts.insert(
            path,
            Facts {
                st_mode: bits | metadata.mode() & 0o7777,
                uid: metadata.uid(),
                gid: metadata.gid(),
                mtime: metadata.modified().seconds(),
                bytes,
            },
        );
    }
    facts
}

/// The content of a file of a plain name, by debugfs.
pub fn cat(image: &Path, path: &[u8]) -> Vec<u8> {
    let path = std::str::from_utf8(path).unwrap();
    let output = Command::new("debugfs")
        .args(["-R", &format!("cat {path}")])
        .arg(image)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Compares, and shows only what differs.
pub fn assert_same<T: PartialEq + std::fmt::Debug>(
    wanted: &BTreeMap<Vec<u8>, T>,
    found: &BTreeMap<Vec<u8>, T>,
) {
    for (path, facts) in wanted {
        let shown = path.escape_ascii();
        assert_eq!(Some(facts), found.get(path), "at {shown}");
    }
    for path in found.keys() {
        assert!(
            wanted.contains_key(path),
            "unexpected {}",
            path.escape_ascii()
        );
    }
}

/// Runs `debugfs` commands on an image and gives what each printed.
pub fn debugfs(image: &Path, commands: &[String]) -> Vec<String> {
    let mut child = Command::new("debugfs")
        .arg("-f")
        .arg("-")
        .arg(image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env("TZ", "UTC")
        .env("DEBUGFS_PAGER", "__none__")
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input: String = commands
        .iter()
        .map(|command| format!("{command}\n"))
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut answers = Vec::new();
    for line in said.lines() {
        if line.starts_with("debugfs: ") {
            answers.push(String::new());
        } else if let Some(answer) = answers.last_mut() {
            answer.push_str(line);
            answer.push('\n');
        }
    }
    answers
}

/// What `debugfs` says about every name: inode number, mode, owners, link count, size, device,
/// attributes. Names must be plain text.
pub fn read_by_debugfs(image: &Path) -> BTreeMap<String, HashMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), 2_u32)];
    while !open.is_empty() {
        let commands: Vec<String> = open
            .iter()
            .map(|(_, ino)| format!("ls -p <{ino}>"))
            .collect();
        let answers = debugfs(image, &commands);
        assert_eq!(answers.len(), commands.len());
        let mut next = Vec::new();
        for ((path, _), answer) in open.iter().zip(&answers) {
            for line in answer.lines().filter(|line| !line.is_empty()) {
                let fields: Vec<&str> = line.split('/').collect();
                let (number, mode, name) = (fields[1], fields[2], fields[5]);
                if name == ".." || (name == "." && !path.is_empty()) {
                    continue;
                }
                let child = if name == "." {
                    String::new()
                } else {
                    format!("{path}/{name}")
                };
                if mode.starts_with("04") && name != "." {
                    next.push((child.clone(), number.parse().unwrap()));
                }
                found.insert(child, number.to_string());
            }
        }
        open = next;
    }
    let commands: Vec<String> = found
        .values()
        .map(|number| format!("stat <{number}>"))
        .collect();
    let answers = debugfs(image, &commands);
    assert_eq!(answers.len(), commands.len());
    found
        .into_iter()
        .zip(answers)
        .map(|((path, _), said)| (path, stat_fields(&said)))
        .collect()
}

/// The fields of one `stat` of `debugfs`.
fn stat_fields(said: &str) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    let word_after = |label: &str| {
        let at = said.find(label)? + label.len();
        said[at..].split_whitespace().next().map(String::from)
    };
    for label in [
        "Inode:", "Type:", "Mode:", "User:", "Group:", "Links:", "Size:", "mtime:",
    ] {
        if let Some(word) = word_after(label) {
            fields.insert(label.trim_end_matches(':').to_string(), word);
        }
    }
    if let Some(word) = word_after("Device major/minor number: ") {
        fields.insert("Device".into(), word);
    }
    if let Some(at) = said.find("Extended attributes:\n") {
        let attributes = said[at..]
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with("  "));
        let all: Vec<&str> = attributes.map(str::trim).collect();
        fields.insert("Xattrs".into(), all.join(";"));
    }
    fields
}
