//! Small root directories for tests of the guest.

#![allow(clippy::unwrap_used, reason = "a test that cannot be prepared fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lupine::guest::InitConfig;
use lupine::guest::init::{CONFIG_PATH, HELLO, INIT, INIT_PATH};
use lupine::process::{Cancel, Task, find_program};

/// Writes a root with the init, the hello program and a shell with what it needs.
pub(crate) fn write_root(dir: &Path, config: &InitConfig) {
    for sub in ["dev", "proc", "sys", "tmp", "run", "etc", ".lupine"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    for (path, bytes) in [(INIT_PATH, INIT), ("/hello", HELLO)] {
        let path = below(dir, Path::new(path));
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(below(dir, Path::new(CONFIG_PATH)), config.encode().unwrap()).unwrap();
    for program in ["sh", "id", "sleep", "cat"] {
        copy_program(dir, program);
    }
}

/// Copies a program of this machine, its ELF interpreter and its libraries.
fn copy_program(dir: &Path, name: &str) {
    let program = find_program(name).unwrap();
    let listing = Task::new("ldd")
        .arg(&program)
        .run(&Cancel::new())
        .unwrap()
        .stdout;
    let listing = String::from_utf8(listing).unwrap();
    let libraries = listing
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for path in libraries
        .map(PathBuf::from)
        .chain([PathBuf::from(format!("/bin/{name}"))])
    {
        let target = below(dir, &path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(if path.exists() { &path } else { &program }, target).unwrap();
    }
}

fn below(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path.strip_prefix("/").unwrap())
}
