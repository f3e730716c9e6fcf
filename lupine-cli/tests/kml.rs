//! `lupine kml ...` as a user meets it, on this machine's own files.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]
#![allow(clippy::disallowed_methods, reason = "runs the binary under test")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

fn lupine(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lupine"));
    command.arg("kml").args(args).current_dir(dir);
    command.output().unwrap()
}

/// Exit status, standard output, standard error.
fn said(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = lupine(dir, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn json(dir: &Path, args: &[&str]) -> Value {
    let output = lupine(dir, &[args, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A directory with a copy of the C library in it; `None` where that is not
/// where Debian has it.
fn copy() -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    if let Err(error) = std::fs::copy(LIBC, dir.path().join("libc.so.6")) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{error}");
        eprintln!("SKIPPED: {LIBC}: {error}");
        return None;
    }
    Some(dir)
}

#[test]
fn a_library_is_scanned_rewritten_verified_and_restored() {
    let Some(dir) = copy() else { return };
    let dir = dir.path();
    let file = dir.join("libc.so.6");
    let original = std::fs::read(&file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o751)).unwrap();
    let before = std::fs::metadata(&file).unwrap();

    let scan = json(dir, &["scan", "libc.so.6"]);
    let sites = scan["sites"].as_array().unwrap();
    let site = sites
        .iter()
        .find(|s| s["function"]["name"] == "getppid")
        .unwrap();
    assert_eq!(site["number"]["known"][0], 110);
    assert_eq!(site["plan"]["how"], "displaced");
    let offset = usize::try_from(site["offset"].as_u64().unwrap()).unwrap();
    assert_eq!(original[offset..offset + 2], [0x0f, 0x05]);
    let (status, text, _) = said(dir, &["scan", "libc.so.6"]);
    let line = text.lines().find(|l| l.contains("getppid+")).unwrap();
    assert!(status == 0 && line.contains("110") && line.contains("code by"));

    let (status, text, _) = said(dir, &["rewrite", "libc.so.6", "--check"]);
    assert!(
        status == 0 && text.contains("nothing was written"),
        "{text}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), original);
    assert_eq!(said(dir, &["verify", "libc.so.6"]).0, 3);

    let done = json(dir, &["rewrite", "libc.so.6", "--in-place"]);
    let report = &done[0]["rewritten"]["report"];
    assert!(report["rewritten"].as_u64() > Some(500), "{report}");
    let after = std::fs::metadata(&file).unwrap();
    assert_eq!(after.mode(), before.mode());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    let checked = json(dir, &["verify", "libc.so.6"]);
    assert_eq!(checked["sites"], report["rewritten"]);
    let (status, _, _) = said(dir, &["verify", "libc.so.6", "--original", LIBC]);
    assert_eq!(status, 0);
    assert_eq!(json(dir, &["scan", "libc.so.6"])["rewritten"], true);

    // A damaged trampoline is a negative verdict, with the place.
    let mut bad = std::fs::read(&file).unwrap();
    let at = bad.windows(4).rposition(|w| w == [0x3e, 0x41, 0xff, 0xe3]);
    bad[at.unwrap() + 3] ^= 1;
    std::fs::write(dir.join("bad"), bad).unwrap();
    let (status, _, error) = said(dir, &["verify", "bad"]);
    assert!(status == 1 && error.contains("0x"), "{status} {error}");

    let (status, _, error) = said(dir, &["rewrite", "libc.so.6", "--undo", "-o", "restored"]);
    assert_eq!(status, 0, "{error}");
    assert_eq!(std::fs::read(dir.join("restored")).unwrap(), original);
    let names = std::fs::read_dir(dir).unwrap().count();
    assert_eq!(names, 3, "libc.so.6, bad, restored, and no temporary file");
}

#[test]
fn a_directory_and_an_archive_are_scanned_alike() {
    let Some(dir) = copy() else { return };
    let dir = dir.path();
    std::fs::create_dir_all(dir.join("root/lib")).unwrap();
    std::fs::rename(dir.join("libc.so.6"), dir.join("root/lib/libc.so.6")).unwrap();
    std::fs::write(dir.join("root/script"), "#!/bin/sh\n").unwrap();
    std::fs::write(dir.join("root/odd"), b"\x7fELF\x01").unwrap();
    let (status, text, _) = said(dir, &["scan", "root"]);
    assert_eq!(status, 0);
    assert!(text.contains("/lib/libc.so.6: ") && text.contains("/odd: "));
    assert!(text.contains("2 ELF files, 1 with system calls"), "{text}");
    let mut tar = Command::new("tar");
    tar.current_dir(dir);
    tar.args(["-czf", "root.tar.gz", "-C", "root", "."]);
    let status = tar.status().unwrap();
    assert!(status.success());
    assert_eq!(
        json(dir, &["scan", "root.tar.gz"]),
        json(dir, &["scan", "root"])
    );
    let (_, listed, _) = said(dir, &["scan", "root", "--sites"]);
    assert!(listed.contains("getppid+"));
}

#[test]
fn what_is_verified_is_known_by_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(
        dir.join("good"),
        "CONFIG_X86_64=y\nCONFIG_KERNEL_MODE_LINUX=y\n",
    )
    .unwrap();
    std::fs::write(dir.join("other"), "CONFIG_X86_64=y\n").unwrap();
    std::fs::write(dir.join("bzImage"), b"MZ\0\0\0").unwrap();
    assert_eq!(said(dir, &["verify", "good"]).0, 0);
    let (status, text, _) = said(dir, &["verify", "other"]);
    assert!(status == 1 && text.contains("CONFIG_KERNEL_MODE_LINUX"));
    let (status, _, error) = said(dir, &["verify", "bzImage"]);
    assert!(status == 3 && error.contains("vmlinux"), "{error}");
    let (status, _, error) = said(dir, &["verify", "missing"]);
    assert!(status == 3 && error.contains("missing"), "{error}");
    std::fs::create_dir(dir.join("tree")).unwrap();
    let (status, _, error) = said(dir, &["verify", "tree"]);
    assert!(status == 3 && error.contains("Makefile"), "{error}");
}

#[test]
fn trees_are_patched_wholly_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::create_dir(dir.join("tree")).unwrap();
    std::fs::write(dir.join("tree/a"), "one\ntwo\nthree\n").unwrap();
    let patch = "--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n";
    std::fs::create_dir(dir.join("series")).unwrap();
    std::fs::write(dir.join("series/x.patch"), patch).unwrap();
    std::fs::write(dir.join("series/series"), "x.patch\n").unwrap();
    let tree = || std::fs::read_to_string(dir.join("tree/a")).unwrap();
    let run = |args: &[&str]| {
        let named = [&["patch", "--src", "tree"], args].concat();
        said(dir, &named)
    };

    let file = ["--patch", "series/x.patch"];
    assert_eq!(run(&[&file[..], &["--check"]].concat()).0, 0);
    assert_eq!(tree(), "one\ntwo\nthree\n");
    let outcome = json(
        dir,
        &["patch", "--src", "tree", "--series", "series", "--check"],
    );
    assert_eq!(outcome["outcome"], "applies");
    assert_eq!(run(&["--series", "series"]).0, 0);
    assert_eq!(tree(), "one\nzwei\nthree\n");
    let verdict = |args: &[&str]| said(dir, args).0;
    assert_eq!(verdict(&["verify", "tree", "--series", "series"]), 0);
    assert_eq!(run(&["--series", "series", "--reverse"]).0, 0);
    assert_eq!(tree(), "one\ntwo\nthree\n");
    assert_eq!(verdict(&["verify", "tree", "--series", "series"]), 1);

    std::fs::write(dir.join("tree/a"), "one\n2\nthree\n").unwrap();
    let (status, text, error) = run(&file);
    assert!(status == 1 && text.contains('a'), "{text}{error}");
    assert_eq!(tree(), "one\n2\nthree\n");
    // Which kernel it is, this tree does not say.
    assert_eq!(run(&[]).0, 3);
    assert_eq!(run(&["--patch", "missing"]).0, 3);
}

#[test]
fn foreign_files_are_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("script"), "#!/bin/sh\n").unwrap();
    let (status, _, error) = said(dir, &["rewrite", "script", "--in-place"]);
    assert!(status == 3 && error.contains("not an ELF file"), "{error}");
    let script = std::fs::read(dir.join("script")).unwrap();
    assert_eq!(script, b"#!/bin/sh\n");
    let (status, _, error) = said(dir, &["rewrite", "script"]);
    assert!(status == 2 && error.contains("--in-place"), "{error}");
    let two = ["rewrite", "a", "b", "-o", "c"];
    assert_eq!(said(dir, &two).0, 2);
}
