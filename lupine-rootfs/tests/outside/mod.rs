//! The world outside: trees made by system calls, archives and images made by the field's tools,
//! and what an independent reader sees in a directory and in our trees.
#![allow(
    clippy::disallowed_methods,
    reason = "asks the reference implementation"
)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that meets what it does not expect has failed; a skipped one says so"
)]
#![allow(dead_code, unreachable_pub, reason = "each test crate uses a part")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use lupine_rootfs::source::{Image, OpenOptions, Report, SourceError};
use lupine_rootfs::{FileTree, Kind};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

/// Whether all these programs are there. A missing one skips a test at home, loudly, and fails it
/// where `CI=true`.
pub fn have(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs
        .iter()
        .filter(|program| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            !std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
        })
        .collect();
    if missing.is_empty() {
        return true;
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "missing: {missing:?}");
    eprintln!("SKIPPED: missing {missing:?}");
    false
}

/// Whether we may make devices and give files away, as the sample tree needs.
pub fn privileged() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "these tests need root");
    eprintln!("SKIPPED: needs root");
    false
}

/// Runs a program, which must succeed, and gives what it says.
pub fn run(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that can be seen of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub kind: &'static str,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    /// Of devices.
    pub device: (u32, u32),
    /// Content of regular files, target of links.
    pub bytes: Vec<u8>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first name, in the order of names, of the same file.
    pub same_as: Vec<u8>,
}

pub type Listing = BTreeMap<Vec<u8>, Facts>;

/// What the standard library sees in a directory.
pub fn seen_in(root: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut first: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    look(root, b"", &mut listing, &mut first);
    listing
}

fn look(path: &Path, name: &[u8], listing: &mut Listing, first: &mut HashMap<(u64, u64), Vec<u8>>) {
    let stat = fs::symlink_metadata(path).unwrap();
    let kind = FileType::from_raw_mode(stat.mode());
    let xattrs = xattr::list(path)
        .unwrap()
        .map(|name| {
            let value = xattr::get(path, &name).unwrap().unwrap();
            (name.into_vec(), value)
        })
        .collect();
    let same_as = first
        .entry((stat.dev(), stat.ino()))
        .or_insert_with(|| name.to_vec())
        .clone();
    let device = matches!(kind, FileType::BlockDevice | FileType::CharacterDevice);
    listing.insert(
        name.to_vec(),
        Facts {
            kind: match kind {
                FileType::Directory => "directory",
                FileType::RegularFile => "regular file",
                FileType::Symlink => "symbolic link",
                FileType::Fifo => "fifo",
                FileType::Socket => "socket",
                FileType::BlockDevice => "block device",
                FileType::CharacterDevice => "character device",
                FileType::Unknown => "unknown",
            },
            mode: stat.mode() & 0o7777,
            uid: stat.uid(),
            gid: stat.gid(),
            mtime: stat.mtime(),
            device: if device {
                (
                    rustix::fs::major(stat.rdev()),
                    rustix::fs::minor(stat.rdev()),
                )
            } else {
                (0, 0)
            },
            bytes: match kind {
                FileType::RegularFile => fs::read(path).unwrap(),
                FileType::Symlink => fs::read_link(path).unwrap().into_os_string().into_vec(),
                _ => Vec::new(),
            },
            xattrs,
            same_as,
        },
    );
    if kind == FileType::Directory {
        let mut names: Vec<Vec<u8>> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_vec())
            .collect();
        names.sort();
        for child in names {
            let full = match name {
                b"" => child.clone(),
                _ => [name, b"/", &child].concat(),
            };
            look(&path.join(OsStr::from_bytes(&child)), &full, listing, first);
        }
    }
}

/// What is in a tree.
pub fn listed(tree: &FileTree) -> Listing {
    let mut first = HashMap::new();
    let mut listing = Listing::new();
    for (path, id) in tree.walk() {
        let inode = tree.inode(id);
        let name = path.as_bytes().to_vec();
        listing.insert(
            name.clone(),
            Facts {
                kind: inode.kind.noun(),
                mode: inode.metadata.mode.into(),
                uid: inode.metadata.uid,
                gid: inode.metadata.gid,
                mtime: inode.metadata.mtime,
                device: match inode.kind {
                    Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                        (major, minor)
                    }
                    _ => (0, 0),
                },
                bytes: match &inode.kind {
                    Kind::Regular(_) => tree.read_file(id, 1 << 30).unwrap(),
                    Kind::Symlink(target) => target.to_vec(),
                    _ => Vec::new(),
                },
                xattrs: inode.xattrs.as_deref().cloned().unwrap_or_default(),
                same_as: first.entry(id).or_insert(name).clone(),
            },
        );
    }
    listing
}

/// Fails with the first few differences.
pub fn assert_same(ours: &Listing, theirs: &Listing, what: &str) {
    let names = |listing: &Listing| -> Vec<String> {
        let names = listing.keys();
        names.map(|name| name.escape_ascii().to_string()).collect()
    };
    assert_eq!(names(ours), names(theirs), "{what}: names");
    for (name, wanted) in theirs {
        let found = &ours[name];
        if found != wanted {
            let short = |facts: &Facts| {
                let mut facts = facts.clone();
                facts.bytes.truncate(60);
                facts
            };
            panic!(
                "{what}: `{}` differs (content equal: {})\n ours:   {:?}\n theirs: {:?}",
                name.escape_ascii(),
                found.bytes == wanted.bytes,
                short(found),
                short(wanted)
            );
        }
    }
}

/// Options that keep everything.
pub fn everything() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.devices = true;
    options
}

/// Opens and reads an image.
pub fn read(
    path: impl AsRef<Path>,
    options: &OpenOptions,
) -> Result<(Image, FileTree, Report), SourceError> {
    let image = Image::open(path, options)?;
    let (tree, report) = image.read(&mut ())?;
    Ok((image, tree, report))
}

/// An error with all its causes, paths made independent of the machine.
pub fn chain(error: &dyn std::error::Error, base: &Path) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text = format!("{text}: {cause}");
        at = cause.source();
    }
    text.replace(&*base.to_string_lossy(), "DIR")
}

fn set_time(path: &Path, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 250_000_000,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn own(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}

fn node(path: &Path, kind: FileType, device: u64) {
    let mode = Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(CWD, path, kind, mode, device).unwrap();
}

/// Makes a tree of everything a file system holds (but sockets, which archives do not).
pub fn make_tree(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("bin")).unwrap();
    fs::create_dir_all(at("etc/empty")).unwrap();
    fs::create_dir_all(at("dev")).unwrap();
    fs::write(
        at("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nada:x:7:8::/a:/b\n",
    )
    .unwrap();
    fs::write(at("bin/tool"), b"\x7fELF not really".repeat(10_000)).unwrap();
    fs::set_permissions(at("bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(at("bin/tool"), at("bin/another name")).unwrap();
    fs::hard_link(at("bin/tool"), at("etc/linked")).unwrap();
    fs::write(at("empty file"), b"").unwrap();
    symlink("/absolute/../target", at("link")).unwrap();
    symlink("x".repeat(3000), at("long link")).unwrap();
    symlink("59".repeat(29) + "9", at("link of 59 bytes")).unwrap();
    symlink("60".repeat(30), at("link of 60 bytes")).unwrap();
    let deep = at(&"deep directory name/".repeat(12));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("n".repeat(255)), "far down").unwrap();
    let bytes: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
    fs::write(root.join(OsStr::from_bytes(&bytes[..200])), "any bytes").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"\xff\xfe line\nfeed")), "here").unwrap();
    node(
        &at("dev/null"),
        FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    );
    node(
        &at("dev/disk"),
        FileType::BlockDevice,
        rustix::fs::makedev(259, 70_000),
    );
    node(&at("dev/pipe"), FileType::Fifo, 0);
    for (name, uid, gid) in [
        ("etc/passwd", 65_535, 65_536),
        ("etc/empty", 1_000_000, 2_000_000_000),
        ("empty file", 4_294_967_294, 4_294_967_294),
        ("link", 12_345_678, 1),
    ] {
        own(&at(name), uid, gid);
    }
    let sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(9 << 20).unwrap();
    for piece in 0..40_u64 {
        let text = format!("piece {piece} ").repeat(300);
        sparse
            .write_all_at(text.as_bytes(), piece * 163_840)
            .unwrap();
    }
    fs::File::create(at("all hole"))
        .unwrap()
        .set_len(3 << 20)
        .unwrap();
    let tail = fs::File::create(at("hole at end")).unwrap();
    tail.write_all_at(b"start", 0).unwrap();
    tail.set_len(1 << 20).unwrap();
    xattr::set(at("bin/tool"), "user.note", b"any\n\0\xff bytes=1").unwrap();
    xattr::set(at("bin/tool"), "trusted.mark", b"").unwrap();
    xattr::set(at("etc"), "user.on a directory", &vec![b'v'; 3000]).unwrap();
    // cap_net_bind_service=ep, as setcap stores it (VFS_CAP_REVISION_2, effective).
    let mut capability = vec![1, 0, 0, 2, 0, 4, 0, 0];
    capability.resize(20, 0);
    fs::write(at("bin/server"), "serves").unwrap();
    xattr::set(at("bin/server"), "security.capability", &capability).unwrap();
    fs::set_permissions(at("etc/empty"), fs::Permissions::from_mode(0o3777)).unwrap();
    for (name, seconds) in [
        ("etc/passwd", -86_400 * 365 * 10),
        ("bin/server", 4_500_000_000),
        ("link", 1_234_567_890),
        ("etc/empty", 0),
        ("all hole", 9_000_000_000),
        ("dev/null", 1),
        ("bin", 1_600_000_000),
    ] {
        set_time(&at(name), seconds);
    }
}
