//! The reference implementations, and trees to run them on.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lupine_kml::apply::{Entry, EntryKind, MemoryTree};
use lupine_kml::diff::TreePath;

/// Whether a tool is there. Says so loudly if not, and fails where CI is set.
pub(crate) fn has(tool: &str) -> bool {
    let found = command(tool)
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success());
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "{tool} is missing; CI must have it"
        );
        eprintln!("SKIPPED: {tool} is not installed, nothing was compared");
    }
    found
}

/// A tool with an environment of its own: no user configuration, no locale.
pub(crate) fn command(tool: &str) -> Command {
    let mut command = Command::new(tool);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CEILING_DIRECTORIES", "/")
        .stdin(Stdio::null());
    command
}

/// Runs a tool in a directory.
pub(crate) fn run(dir: &Path, tool: &str, args: &[&str]) -> Output {
    command(tool).args(args).current_dir(dir).output().unwrap()
}

/// Text of both channels of a tool.
pub(crate) fn said(out: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

/// Writes a tree to disk.
pub(crate) fn lay_out(root: &Path, tree: &MemoryTree) {
    for (path, entry) in &tree.files {
        let path = root.join(OsStr::from_bytes(path.as_bytes()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match entry.kind {
            EntryKind::Regular { mode } => {
                std::fs::write(&path, &entry.content).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            EntryKind::Symlink => {
                std::os::unix::fs::symlink(OsStr::from_bytes(&entry.content), &path).unwrap();
            }
        }
    }
}

/// Reads a tree from disk; what tools leave beside (`.orig`, `.rej`) and `.git` is not of it.
pub(crate) fn take_in(root: &Path) -> MemoryTree {
    let mut files = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().as_bytes();
            if name == b".git"
                || name == b".lupine"
                || name.ends_with(b".orig")
                || name.ends_with(b".rej")
            {
                continue;
            }
            let meta = path.symlink_metadata().unwrap();
            let entry = if meta.is_dir() {
                todo.push(path);
                continue;
            } else if meta.is_symlink() {
                let target = std::fs::read_link(&path).unwrap().into_os_string();
                Entry {
                    kind: EntryKind::Symlink,
                    content: target.into_encoded_bytes(),
                }
            } else {
                let mode = meta.mode() & 0o7777;
                Entry {
                    kind: EntryKind::Regular { mode },
                    content: std::fs::read(&path).unwrap(),
                }
            };
            let inside = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
            files.insert(TreePath::new(inside).unwrap(), entry);
        }
    }
    MemoryTree { files }
}

/// A tree as text, for a message.
pub(crate) fn show(tree: &MemoryTree) -> String {
    let mut out = String::new();
    for (path, entry) in &tree.files {
        out += &format!(
            "{path} {:?}: {:?}\n",
            entry.kind,
            String::from_utf8_lossy(&entry.content)
        );
    }
    out
}

/// How many cases a property runs: `PROPTEST_CASES`, or the number that keeps the tests short; 20
/// times as many with the long tests.
pub(crate) fn cases(usual: u32) -> u32 {
    if let Ok(asked) = std::env::var("PROPTEST_CASES") {
        return asked.parse().expect("PROPTEST_CASES is a number");
    }
    let long = std::env::var_os("LUPINE_TEST_ALL").is_some();
    usual * if long { 20 } else { 1 }
}
