//! Booting a kernel with the guest tests, and judging what the console showed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::clock::tsc_khz;
use crate::kernel::{Missing, cache, have, here, hex, lock, run};

/// Seconds until a guest that does not end is taken for hung.
const LIMIT: u32 = 1200;

/// The initramfs with the guest's test program, kept by what it is made of.
fn initramfs() -> Result<PathBuf, Missing> {
    have("gcc")?;
    have("cpio")?;
    let sources = here().join("guest-tests");
    let mut files: Vec<PathBuf> = fs::read_dir(&sources)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(fs::read(file).unwrap());
    }
    let archive = cache().join(format!("guest-{}.cpio", hex(&digest)));
    if archive.exists() {
        return Ok(archive);
    }
    let _lock = lock("guest");
    let out = tempfile::tempdir_in(cache()).unwrap();
    run(Command::new("make")
        .arg("-s")
        .arg("-C")
        .arg(sources)
        .arg(format!("OUT={}", out.path().display())));
    let fresh = out.path().join("initramfs.cpio");
    File::open(&fresh).unwrap().sync_all().unwrap();
    fs::rename(fresh, &archive).unwrap();
    Ok(archive)
}

/// Boots the guest tests, and returns what the console showed.
pub(crate) fn boot(vmlinux: &Path, append: &str, extra: &[&str]) -> Result<String, Missing> {
    boot_with(vmlinux, &initramfs()?, append, extra)
}

/// As [`boot`], for a kernel that may hang: ended after so many seconds.
pub(crate) fn boot_within(
    seconds: u32,
    vmlinux: &Path,
    append: &str,
    extra: &[&str],
) -> Result<String, Missing> {
    qemu(seconds, vmlinux, Some(&initramfs()?), append, extra)?.end()
}

/// Boots, and returns what the console showed.
pub(crate) fn boot_with(
    vmlinux: &Path,
    initrd: &Path,
    append: &str,
    extra: &[&str],
) -> Result<String, Missing> {
    qemu(LIMIT, vmlinux, Some(initrd), append, extra)?.end()
}

/// A guest with a root on a disk, which stays as it is.
pub(crate) struct Disk<'a> {
    pub(crate) path: &'a Path,
    /// The first program.
    pub(crate) init: &'a str,
}

impl Disk<'_> {
    /// Starts a guest that is ended after so many seconds.
    pub(crate) fn start(
        &self,
        seconds: u32,
        vmlinux: &Path,
        append: &str,
        extra: &[&str],
    ) -> Result<Guest, Missing> {
        let drive = format!(
            "id=disk,if=none,format=raw,snapshot=on,file={}",
            self.path.display()
        );
        let device = ["-drive", &drive, "-device", "virtio-blk-device,drive=disk"];
        let append = format!(
            "root=/dev/vda rw rootfstype=ext2 init={} {append}",
            self.init
        );
        qemu(seconds, vmlinux, None, &append, &[&device, extra].concat())
    }
}

/// A guest that runs.
pub(crate) struct Guest(Child);

impl Guest {
    /// The lines of its console, as they come, until it ends.
    pub(crate) fn lines(&mut self) -> impl Iterator<Item = String> {
        let console = BufReader::new(self.0.stdout.take().unwrap());
        let text =
            |line: std::io::Result<Vec<u8>>| String::from_utf8_lossy(&line.unwrap()).into_owned();
        console.split(b'\n').map(text)
    }

    /// What its console shows until it ends.
    pub(crate) fn end(self) -> Result<String, Missing> {
        let out = self.0.wait_with_output().unwrap();
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

fn qemu(
    seconds: u32,
    vmlinux: &Path,
    initrd: Option<&Path>,
    append: &str,
    extra: &[&str],
) -> Result<Guest, Missing> {
    have("qemu-system-x86_64")?;
    // A clock that counts instructions is not the host's.
    let khz = tsc_khz().filter(|_| !extra.contains(&"-icount"));
    let clock = khz.map_or_else(String::new, |khz| {
        format!("tsc_early_khz={khz} tsc=reliable")
    });
    let guest = Command::new("timeout")
        .arg(seconds.to_string())
        .args([
            "qemu-system-x86_64",
            "-M",
            "microvm,x-option-roms=off,rtc=on,acpi=off",
        ])
        .args([
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            "256",
            "-nodefaults",
            "-no-user-config",
        ])
        .args(["-nographic", "-serial", "stdio", "-no-reboot", "-kernel"])
        .arg(vmlinux)
        .args(
            initrd
                .iter()
                .flat_map(|file| [OsStr::new("-initrd"), file.as_os_str()]),
        )
        .args(extra)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 quiet panic=-1 reboot=t no_timer_check {clock} {append}"
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Ok(Guest(guest))
}

/// What `/proc/kml` said last: calls through the gate, by `syscall` in CPL 0, and from ring 3.
pub(crate) fn calls(console: &str) -> [u64; 3] {
    ["gate", "syscall", "ring3"].map(|kind| {
        let value = |line: &str| line.trim().strip_prefix(kind)?.trim().parse().ok();
        console
            .lines()
            .filter_map(value)
            .next_back()
            .unwrap_or_else(|| panic!("no {kind}:\n{console}"))
    })
}

/// What speaks against the kernel: it should have had nothing to report.
fn complaint(console: &str) -> Result<(), String> {
    const WORDS: [&str; 6] = [
        "BUG:",
        "WARNING:",
        "Oops",
        "Kernel panic",
        "INFO: task",
        "Call Trace",
    ];
    // Behind a bar stands what a program said, not the kernel.
    let wrong: Vec<&str> = console
        .lines()
        .filter(|line| !line.starts_with("| "))
        .filter(|line| WORDS.iter().any(|word| line.contains(word)))
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{wrong:#?}"))
    }
}

/// Whether every test of the guest passed in these modes, and the kernel had nothing to report.
pub(crate) fn verdict(console: &str, modes: &[&str]) -> Result<(), String> {
    complaint(console)?;
    let wrong: Vec<&str> = console
        .lines()
        .filter(|line| line.starts_with("not ok"))
        .collect();
    if !wrong.is_empty() {
        return Err(format!("{wrong:#?}"));
    }
    if !console.contains("kml-tests: finished, 0 failed") {
        return Err("the guest did not finish".to_owned());
    }
    for mode in modes {
        let passed = console
            .lines()
            .filter(|line| line.starts_with(&format!("ok {mode}/")))
            .count();
        if passed < 30 {
            return Err(format!("only {passed} tests ran as {mode}"));
        }
    }
    Ok(())
}

/// The kernel had nothing to report.
pub(crate) fn judge_kernel(console: &str) {
    if let Err(why) = complaint(console) {
        panic!("{why}\n{console}");
    }
}

/// Every test of the guest passed, and the kernel had nothing to report.
pub(crate) fn judge(console: &str, modes: &[&str]) {
    if let Err(why) = verdict(console, modes) {
        panic!("{why}\n{console}");
    }
}
