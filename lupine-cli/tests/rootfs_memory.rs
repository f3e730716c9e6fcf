//! How much memory `lupine rootfs build` takes, as the kernel counts it. In one test, because the
//! kernel counts the most of all children of a process.
#![allow(clippy::unwrap_used, reason = "a test that cannot be prepared fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "runs the binary under test and the reference implementation"
)]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

/// Most memory in MiB that an image may take.
const MEMORY: i64 = 64;

/// Builds an image, and gives the most memory in MiB that any child has had so far.
fn build(dir: &Path, source: &str) -> i64 {
    let status = Command::new(env!("CARGO_BIN_EXE_lupine"))
        .args(["rootfs", "build", source, "-o", "image", "-q"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{source}");
    fs::remove_file(dir.join("image")).unwrap();
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024
}

/// Names of about 15 bytes that do not come in order.
fn name_of(number: u32) -> String {
    format!("{:x}-{number}", number.wrapping_mul(0x9e37_79b9))
}

/// Headers of empty files in the directory `d`.
fn tar_of_empty_files(path: &Path, files: u32) {
    let mut tar = BufWriter::new(File::create(path).unwrap());
    for number in 0..files {
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("d/{}", name_of(number))).unwrap();
        header.set_mode(0o644);
        header.set_size(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        tar.write_all(header.as_bytes()).unwrap();
    }
    tar.write_all(&[0; 1024]).unwrap();
    tar.flush().unwrap();
}

/// A compressed archive of one file, of bytes that do not compress well.
fn large_layer(dir: &Path, mib: u64) {
    let mut file = BufWriter::new(File::create(dir.join("large")).unwrap());
    let mut state = 1_u64;
    for _ in 0..mib << 17 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        // Half of the bits are the same everywhere.
        file.write_all(&(state >> 32).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    for (name, program) in [("large.tar.gz", "gzip -1"), ("large.tar.zst", "zstd -q -3")] {
        let status = Command::new("tar")
            .args(["-I", program, "-cf", name, "large"])
            .current_dir(dir)
            .status();
        assert!(status.unwrap().success(), "{name}");
    }
}

#[test]
fn memory_is_bounded() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let all = std::env::var_os("LUPINE_TEST_ALL").is_some();
    let (directories, files, mib) = if all { (400, 500, 1024) } else { (40, 500, 96) };
    // The tools first, whose memory is not ours.
    large_layer(dir, mib);
    let tools = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024;
    assert!(
        tools < MEMORY,
        "tar, gzip or zstd took {tools} MiB themselves"
    );
    for source in ["large.tar.gz", "large.tar.zst"] {
        let taken = build(dir, source);
        assert!(taken <= MEMORY, "{source}: {taken} MiB");
    }
    for directory in 0..directories {
        let path = dir.join("small").join(directory.to_string());
        fs::create_dir_all(&path).unwrap();
        for file in 0..files {
            let len = (directory * files + file) * 7919 % 4000;
            fs::write(path.join(format!("file-{file}")), &[0x5a; 4000][..len]).unwrap();
        }
    }
    let taken = build(dir, "small");
    assert!(taken <= MEMORY, "small files: {taken} MiB");
    if all {
        tar_of_empty_files(&dir.join("million.tar"), 1_000_000);
        let taken = build(dir, "million.tar");
        assert!(taken <= MEMORY, "a million: {taken} MiB");
        for (name, directories, content) in [("empty", 1, ""), ("one byte", 1_000, "x")] {
            let source = dir.join(name);
            for number in 0..1_000_000_u32 {
                let directory = source.join((number % directories).to_string());
                if number < directories {
                    fs::create_dir_all(&directory).unwrap();
                }
                fs::write(directory.join(name_of(number)), content).unwrap();
            }
            let taken = build(dir, name);
            assert!(taken <= MEMORY, "a million, {name}: {taken} MiB");
        }
    }
}
