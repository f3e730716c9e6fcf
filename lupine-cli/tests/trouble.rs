//! What goes wrong around a run: Ctrl-C at every stage, a full disk, missing tools. Each ends with
//! its status and message, and leaves neither processes nor files that a later run would trust.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]
#![allow(clippy::disallowed_methods, reason = "runs the binary under test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lupine::cache::Cache;
use lupine::host::{self, Purpose};

/// Whether the machine has what the test needs: a loud skip at home, an error in CI.
fn able(purposes: &[Purpose]) -> bool {
    let missing = host::require(purposes, &[]);
    if let Err(missing) = &missing {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("SKIPPED: {missing}");
    }
    missing.is_ok()
}

/// A cache of its own whose `kinds` are the user's.
fn cache_with(dir: &Path, kinds: &[&str]) -> PathBuf {
    let cache = dir.join("cache");
    fs::create_dir_all(&cache).unwrap();
    let users = Cache::of_user().unwrap();
    for kind in kinds {
        fs::create_dir_all(users.root().join(kind)).unwrap();
        std::os::unix::fs::symlink(users.root().join(kind), cache.join(kind)).unwrap();
    }
    cache
}

/// The binary with `dir/cache` for its cache and `dir/tmp` for its temporary files.
fn lupine(dir: &Path, args: &[&str]) -> Command {
    let tmp = dir.join("tmp");
    fs::create_dir_all(&tmp).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lupine"));
    command
        .args(args)
        .current_dir(dir)
        .env("LUPINE_CACHE", dir.join("cache"))
        .env("TMPDIR", tmp)
        .stdin(Stdio::null());
    command
}

/// Processes whose command line or environment names `dir`.
fn processes_of(dir: &Path) -> Vec<String> {
    let needle = dir.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if entry.file_name() == *std::process::id().to_string() {
            continue;
        }
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if [&command, &environment]
            .iter()
            .any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
        {
            found.push(String::from_utf8_lossy(&command).replace('\0', " "));
        }
    }
    found
}

/// Starts `lupine run ARGS`, sends it SIGINT as soon as it prints a line with `sign`, and returns
/// its status and what it printed on standard error.
fn interrupted(dir: &Path, args: &[&str], sign: &str) -> (Option<i32>, String) {
    let mut child = lupine(dir, args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    let mut line = String::new();
    while stderr.read_line(&mut line).unwrap() > 0 {
        text.push_str(&line);
        if line.contains(sign) {
            let sent = Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status();
            assert!(sent.unwrap().success());
            stderr.read_to_string(&mut text).unwrap();
            break;
        }
        line.clear();
    }
    let status = child.wait().unwrap();
    assert!(text.contains(sign), "no {sign:?} in:\n{text}");
    (status.code(), text)
}

/// Every file below `dir`, but for locks, which hold nothing, and facts, which are complete.
fn debris(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && entry.file_name() != "facts" {
                folders.push(entry.path());
            } else if kind.is_file() && entry.path().extension().is_none_or(|e| e != "lock") {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Interrupts a run at `sign` and judges what is left; `kinds` of the user's cache are reused.
fn leaves_nothing(args: &[&str], kinds: &[&str], sign: &str) {
    let temp = tempfile::tempdir().unwrap();
    let cache = cache_with(temp.path(), kinds);
    let (status, text) = interrupted(temp.path(), args, sign);
    assert_eq!(status, Some(130), "{text}");
    assert!(text.contains("cancelled"), "{text}");
    assert_eq!(processes_of(temp.path()), Vec::<String>::new(), "{sign}");
    assert_eq!(
        debris(&temp.path().join("tmp")),
        Vec::<PathBuf>::new(),
        "{sign}"
    );
    for kind in ["trees", "images", "kernels", "rootfs"] {
        let left = fs::read_dir(cache.join(kind)).into_iter().flatten();
        let left: Vec<PathBuf> = left
            .map(|entry| entry.unwrap().path())
            .filter(|path| !kinds.contains(&kind) && path.extension().is_none_or(|e| e != "lock"))
            .collect();
        assert_eq!(left, Vec::<PathBuf>::new(), "{sign}");
    }
    // Objects are reused; those of a killed build would still carry its mark.
    let objects = fs::read_dir(cache.join("objects")).into_iter().flatten();
    for objects in objects.filter(|_| !kinds.contains(&"objects")) {
        let mark = objects.unwrap().path().join(".lupine-in-progress");
        assert!(!mark.exists(), "{sign}");
    }
}

#[test]
fn ctrl_c_while_unpacking_and_compiling() {
    if !able(&[Purpose::Kernel, Purpose::Run]) {
        return;
    }
    let hello = ["run", "hello", "--variant", "lupine-nokml"];
    leaves_nothing(&hello, &[], "unpacking the kernel source ...");
    // The tree is unpacked once, for everyone.
    leaves_nothing(&hello, &["trees"], "compiling the kernel: ");
}

#[test]
fn ctrl_c_while_the_source_is_patched() {
    if !able(&[Purpose::Kernel, Purpose::Run]) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    // Another tree by name, so that it is not in the user's cache yet.
    let users = Cache::of_user().unwrap();
    let lupine = lupine::Lupine::new(users);
    let source = lupine.kernel_source(None).unwrap();
    let tree = temp.path().join("tree");
    std::os::unix::fs::symlink(&source.path, &tree).unwrap();
    let tree = tree.to_str().unwrap();
    leaves_nothing(
        &["run", "hello", "--kernel-src", tree],
        &[],
        "copying the kernel source ...",
    );
}

#[test]
fn ctrl_c_while_an_image_is_made() {
    if !able(&[Purpose::DebianImage]) {
        return;
    }
    leaves_nothing(&["run", "redis"], &[], "making an image of ");
}

#[test]
fn ctrl_c_while_the_guest_runs() {
    if !able(&[Purpose::Kernel, Purpose::DebianImage, Purpose::Run]) {
        return;
    }
    let everything = ["trees", "images", "kernels", "rootfs", "objects", "facts"];
    leaves_nothing(&["run", "nginx"], &everything, "booting by ");
    leaves_nothing(&["run", "nginx"], &everything, "ready ");
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    if !able(&[Purpose::Kernel]) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let script = "mount -t tmpfs -o size=16M none \"$1\" || exit 99
        \"$2\" build hello --variant lupine-nokml; status=$?
        find \"$1\" -path \"$1/facts\" -prune -o -type f ! -name '*.lock' -print
        exit $status";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg("sh")
        .arg(&cache)
        .arg(env!("CARGO_BIN_EXE_lupine"))
        .current_dir(temp.path())
        .env("LUPINE_CACHE", &cache)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(99) || text.contains("unshare:") {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
        eprintln!("SKIPPED: no user namespaces here: {text}");
        return;
    }
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("The disk is full"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn missing_tools_are_named_with_the_line_that_installs_them() {
    let temp = tempfile::tempdir().unwrap();
    let output = lupine(temp.path(), &["build", "hello"])
        .env("PATH", temp.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    for word in ["flex", "gcc", "install"] {
        assert!(text.contains(word), "no {word} in: {text}");
    }
    assert_eq!(debris(temp.path()), Vec::<PathBuf>::new());
}

#[test]
fn only_what_runs_a_guest_asks_for_qemu() {
    if !able(&[Purpose::Kernel]) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("path");
    fs::create_dir(&path).unwrap();
    for program in fs::read_dir("/usr/bin").unwrap().map(Result::unwrap) {
        let name = program.file_name();
        if name != "qemu-system-x86_64" && name != "mmdebstrap" {
            std::os::unix::fs::symlink(program.path(), path.join(name)).unwrap();
        }
    }
    for (command, asks) in [("build", false), ("run", true)] {
        let output = lupine(temp.path(), &[command, "nginx"])
            .env("PATH", &path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{text}");
        assert!(text.contains("mmdebstrap"), "{text}");
        assert_eq!(
            text.contains("qemu-system-x86_64"),
            asks,
            "{command}: {text}"
        );
    }
}
