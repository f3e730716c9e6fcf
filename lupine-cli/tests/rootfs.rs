//! `lupine rootfs` as a user meets it, judged by e2fsprogs and tar.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot be prepared fails"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "runs the binary under test and the reference implementation"
)]

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn lupine(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lupine"))
        .arg("rootfs")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command that must succeed prints.
fn success(dir: &Path, args: &[&str]) -> String {
    let output = lupine(dir, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&success(dir, args)).unwrap()
}

/// The status and the messages of a command that must fail.
fn failure(dir: &Path, args: &[&str]) -> (i32, String) {
    let output = lupine(dir, args);
    (output.status.code().unwrap(), text(&output.stderr))
}

fn tool(dir: &Path, program: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program).args(args).current_dir(dir).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    (output.status.code(), text(&output.stdout))
}

/// A directory `root` with some of everything that needs no privileges.
fn sample(dir: &Path) {
    let root = dir.join("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    fs::hard_link(root.join("etc/passwd"), root.join("etc/passwd-")).unwrap();
    symlink("/etc/passwd", root.join("users")).unwrap();
    let mut sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(3 << 20)).unwrap();
    sparse.write_all(b"end").unwrap();
    let script = root.join("run me");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o4755)).unwrap();
}

#[test]
fn an_image_is_built_listed_read_extracted_and_checked() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    sample(dir);
    let built = json(dir, &["build", "root", "-o", "a.ext2", "--json", "-q"]);
    assert_eq!(built["files"], 6, "{built}");
    assert_eq!(built["format"], "directory");
    assert_eq!(
        fs::metadata(dir.join("a.ext2")).unwrap().len(),
        built["size"]
    );
    assert_eq!(tool(dir, "e2fsck", &["-fn", "a.ext2"]).0, Some(0));

    let listed = json(dir, &["list", "a.ext2", "--json"]);
    let paths: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    let wanted = [
        "/",
        "/etc",
        "/etc/passwd",
        "/etc/passwd-",
        "/lost+found",
        "/run me",
        "/sparse",
        "/users",
    ];
    assert_eq!(paths, wanted);
    assert_eq!(listed[2]["links"], 2);
    assert_eq!(listed[5]["mode"], "4755");
    assert_eq!(listed[7]["target"], "/etc/passwd");
    let lines = success(dir, &["list", "a.ext2", "etc"]);
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.contains("-rw-r--r--   2 "), "{lines}");
    let lines = success(dir, &["list", "a.ext2"]);
    assert!(
        lines.contains("-rwsr-xr-x") && lines.contains(" /users -> /etc/passwd"),
        "{lines}"
    );

    // Through a link, and with holes as zeros.
    let passwd = fs::read_to_string(dir.join("root/etc/passwd")).unwrap();
    assert_eq!(
        success(dir, &["cat", "a.ext2", "users", "/etc/passwd-"]),
        passwd.repeat(2)
    );
    let sparse = lupine(dir, &["cat", "a.ext2", "sparse"]).stdout;
    assert!(sparse == fs::read(dir.join("root/sparse")).unwrap());
    let content = json(dir, &["cat", "a.ext2", "users", "--json"]);
    assert_eq!(content[0]["content"], passwd);

    let extracted = json(dir, &["extract", "a.ext2", "out", "--json", "-q"]);
    assert_eq!(extracted["names"], 7);
    fs::remove_dir(dir.join("out/lost+found")).unwrap();
    assert_eq!(
        tool(dir, "diff", &["-r", "--no-dereference", "root", "out"]),
        (Some(0), String::new())
    );
    let sparse = fs::metadata(dir.join("out/sparse")).unwrap();
    assert!(sparse.len() == (3 << 20) + 3 && sparse.blocks() < 64);

    assert_eq!(success(dir, &["check", "a.ext2", "-q"]), "a.ext2: clean\n");
    let checked = json(dir, &["check", "a.ext2", "--json", "-q"]);
    assert_eq!(
        (&checked["clean"], &checked["total"]),
        (&true.into(), &0.into())
    );
}

#[test]
fn images_are_what_was_asked_for() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    sample(dir);
    fs::create_dir(dir.join("over")).unwrap();
    fs::write(dir.join("over/.wh.sparse"), "").unwrap();
    fs::write(dir.join("over/new"), "new\n").unwrap();
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let args = [
        "build",
        "root",
        "-o",
        "a.ext2",
        "-q",
        "--size",
        "9M",
        "--block-size",
        "2k",
        "--label",
        "lupine-root",
        "--uuid",
        uuid,
        "--time",
        "1600000000",
        "--owner",
        "7:70000",
        "--overlay",
        "over",
    ];
    success(dir, &args);
    assert_eq!(fs::metadata(dir.join("a.ext2")).unwrap().len(), 9 << 20);
    let (_, said) = tool(dir, "dumpe2fs", &["-h", "a.ext2"]);
    for wanted in [uuid, "lupine-root", "Block size:               2048"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let listed = success(dir, &["list", "a.ext2"]);
    assert!(
        listed.contains("7/70000") && listed.contains(" /new"),
        "{listed}"
    );
    assert!(!listed.contains("/sparse"), "{listed}");
    // To a pipe the same bytes as to a file, and again the same over what is there.
    let named = fs::read(dir.join("a.ext2")).unwrap();
    let piped = args.map(|arg| if arg == "a.ext2" { "-" } else { arg });
    assert!(lupine(dir, &piped).stdout == named);
    success(dir, &args);
    assert!(fs::read(dir.join("a.ext2")).unwrap() == named);

    // Device nodes only where asked for.
    assert_eq!(
        tool(dir, "tar", &["-cf", "null.tar", "-C", "/", "dev/null"]).0,
        Some(0)
    );
    let output = lupine(dir, &["build", "null.tar", "-o", "b.ext2"]);
    assert!(
        text(&output.stderr).contains("device node"),
        "{}",
        text(&output.stderr)
    );
    assert!(!success(dir, &["list", "b.ext2"]).contains("/dev/null"));
    success(
        dir,
        &["build", "null.tar", "-o", "b.ext2", "--devices", "-q"],
    );
    let entry = &json(dir, &["list", "b.ext2", "/dev/null", "--json"])[0];
    assert_eq!(entry["device"], serde_json::json!([1, 3]));
}

#[test]
fn what_is_wrong_has_its_status_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    sample(dir);
    success(dir, &["build", "root", "-o", "a.ext2", "-q"]);
    fs::write(dir.join("text"), "no image\n".repeat(400)).unwrap();
    fs::write(dir.join("before"), "before").unwrap();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let there = names();
    for (wanted, args, words) in [
        (2, &["build", "root"][..], "--output"),
        (
            2,
            &["build", "root", "-o", "x", "--size", "1", "--free", "1"],
            "cannot be used with",
        ),
        (
            2,
            &["build", "root", "-o", "x", "--block-size", "8K"],
            "choose 1024",
        ),
        (
            2,
            &["build", "root", "-o", "x", "--label", "seventeen letters"],
            "17 bytes",
        ),
        (2, &["build", "root", "-o", "-", "--json"], "choose one"),
        (3, &["build", "none", "-o", "before"], "none"),
        (3, &["build", "text", "-o", "before"], "text"),
        (3, &["build", "a.ext2", "-o", "before"], "ext2"),
        (
            3,
            &["build", "root", "-o", "before", "--size", "16K"],
            "too few",
        ),
        (4, &["build", "root", "-o", "none/x"], "none/x"),
        (3, &["list", "none"], "none"),
        (3, &["list", "text"], "no ext2 file system"),
        (3, &["list", "a.ext2", "/etc/shadow"], "etc/shadow"),
        (3, &["cat", "a.ext2", "/etc"], "regular file"),
        (3, &["cat", "a.ext2", "/etc/../.."], ".."),
        (3, &["extract", "a.ext2", "root"], "not an empty directory"),
        (4, &["extract", "a.ext2", "none/x"], "none/x"),
        (3, &["check", "text"], "no ext2 file system"),
    ] {
        let (status, said) = failure(dir, args);
        assert!(
            status == wanted && said.contains(words),
            "{args:?}: {status} {said}"
        );
        assert_eq!(names(), there, "{args:?}");
    }
    assert_eq!(fs::read(dir.join("before")).unwrap(), b"before");

    let set = ["-w", "-R", "sif /etc/passwd links_count 7", "a.ext2"];
    assert_eq!(tool(dir, "debugfs", &set).0, Some(0));
    let output = lupine(dir, &["check", "a.ext2", "-q"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("link count is 7, should be 2"));
    assert!(
        text(&output.stderr).contains("problems: 1"),
        "{}",
        text(&output.stderr)
    );
    let output = lupine(dir, &["check", "a.ext2", "-q", "--json"]);
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &checked["clean"]),
        (Some(1), &false.into())
    );
}

#[test]
fn a_full_disk_keeps_what_was_there() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    fs::create_dir_all(dir.join("root")).unwrap();
    fs::create_dir(dir.join("disk")).unwrap();
    fs::write(dir.join("root/large"), vec![1; 4 << 20]).unwrap();
    // A disk of 1 MiB, in a name space of its own.
    let script = "mount -t tmpfs -o size=1m none disk 2>/dev/null || exit 77
        echo before > disk/a.ext2
        \"$0\" rootfs build root -o disk/a.ext2 -q
        status=$?
        ls -A disk
        cat disk/a.ext2
        exit $status";
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_lupine")])
        .current_dir(dir)
        .output()
        .unwrap();
    let said = text(&output.stderr);
    if output.status.code() == Some(77) || said.contains("unshare failed") {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "cannot mount: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("No space left"), "{said}");
    assert_eq!(text(&output.stdout), "a.ext2\nbefore\n");
}

#[test]
fn a_cancelled_build_leaves_what_was_there() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    // Small, and seconds of decompression.
    let zeros = fs::File::create(dir.join("zeros")).unwrap();
    zeros.set_len(200 << 20).unwrap();
    assert_eq!(
        tool(
            dir,
            "tar",
            &["-I", "gzip -1", "-cf", "zeros.tar.gz", "zeros"]
        )
        .0,
        Some(0)
    );
    fs::remove_file(dir.join("zeros")).unwrap();
    fs::write(dir.join("a.ext2"), "before").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_lupine"))
        .args(["rootfs", "build", "zeros.tar.gz", "-o", "a.ext2"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line says that the work has begun.
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_exact(&mut [0]).unwrap();
    let interrupt = ["-INT".to_owned(), child.id().to_string()];
    assert!(
        Command::new("kill")
            .args(interrupt)
            .status()
            .unwrap()
            .success()
    );
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("cancelled"), "{rest}");
    assert_eq!(fs::read(dir.join("a.ext2")).unwrap(), b"before");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 2);
}
