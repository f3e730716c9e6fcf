//! Boots kernels with the KML patches and runs the guest tests in them.
//!
//! The kernel source is that of Debian's linux-source packages. A tree is
//! unpacked, patched by GNU `patch` without fuzz, configured and built in the
//! user's cache directory, under a key made of everything that goes in, so that
//! a second run only boots. Where the source package, a compiler or QEMU is
//! missing the tests say so and pass, unless `CI` is set.
#![allow(
    clippy::disallowed_methods,
    reason = "the tests run make, patch and QEMU, the reference implementations"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a test helper that fails fails the test"
)]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

/// One build at a time: the machine's cores are shared by all of them.
static BUILD: Mutex<()> = Mutex::new(());

/// On top of `tinyconfig`; every line is checked to have taken effect.
const BASE: &[&str] = &[
    "CONFIG_64BIT=y",
    "CONFIG_PRINTK=y",
    "CONFIG_BUG=y",
    "CONFIG_TTY=y",
    "CONFIG_SERIAL_8250=y",
    "CONFIG_SERIAL_8250_CONSOLE=y",
    "CONFIG_BINFMT_ELF=y",
    "CONFIG_BINFMT_SCRIPT=y",
    "CONFIG_BLK_DEV_INITRD=y",
    "CONFIG_HYPERVISOR_GUEST=y",
    "CONFIG_PARAVIRT=y",
    "CONFIG_KVM_GUEST=y",
    "CONFIG_PVH=y",
    "CONFIG_EXPERT=y",
    "CONFIG_FUTEX=y",
    "CONFIG_EPOLL=y",
    "CONFIG_EVENTFD=y",
    "CONFIG_POSIX_TIMERS=y",
    "CONFIG_MULTIUSER=y",
    "CONFIG_PROC_FS=y",
    "CONFIG_SHMEM=y",
    "CONFIG_TMPFS=y",
    "CONFIG_DEVTMPFS=y",
    "CONFIG_ADVISE_SYSCALLS=y",
    "CONFIG_HIGH_RES_TIMERS=y",
    "CONFIG_NET=y",
    "CONFIG_SECCOMP=y",
    "CONFIG_SECCOMP_FILTER=y",
    "CONFIG_NAMESPACES=y",
    "CONFIG_USER_NS=y",
    "CONFIG_KALLSYMS=y",
    "CONFIG_RSEQ=y",
    "CONFIG_X86_VSYSCALL_EMULATION=y",
    "CONFIG_DEBUG_KERNEL=y",
    "CONFIG_UNWINDER_GUESS=y",
    "# CONFIG_X86_KERNEL_IBT is not set",
];
const KML: &[&str] = &["CONFIG_KERNEL_MODE_LINUX=y"];
const SMP: &[&str] = &["CONFIG_SMP=y"];
const DEBUG: &[&str] = &[
    "CONFIG_PREEMPT=y",
    "CONFIG_PROVE_LOCKING=y",
    "CONFIG_DEBUG_ENTRY=y",
    "CONFIG_DEBUG_ATOMIC_SLEEP=y",
    "CONFIG_STACKPROTECTOR_STRONG=y",
    "CONFIG_KML_STATS=y",
];

/// Why nothing can be tested here.
struct Missing(String);

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn need(what: &Path) -> Result<(), Missing> {
    if what.exists() {
        Ok(())
    } else {
        Err(Missing(format!("{} is missing", what.display())))
    }
}

fn have(program: &str) -> Result<(), Missing> {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()
        .filter(std::process::ExitStatus::success)
        .map(|_| ())
        .ok_or_else(|| Missing(format!("{program} is not installed")))
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(
        out.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache"),
        PathBuf::from,
    );
    base.join("lupine").join("kml-guest")
}

/// The files of the series for `version`, in its order.
fn series(version: &str) -> Vec<PathBuf> {
    let dir = here().join("patches").join(version);
    fs::read_to_string(dir.join("series"))
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| dir.join(line))
        .collect()
}

/// The built `vmlinux` of `version` with `options` on top of [`BASE`].
fn kernel(version: &str, options: &[&[&str]]) -> Result<PathBuf, Missing> {
    let tarball = PathBuf::from(format!("/usr/src/linux-source-{version}.tar.xz"));
    need(&tarball)?;
    for program in ["make", "gcc", "flex", "bison", "bc", "patch", "xz"] {
        have(program)?;
    }
    let _one = BUILD
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);

    let mut digest = Sha256::new();
    let meta = fs::metadata(&tarball).unwrap();
    digest.update(format!(
        "{version} {} {:?}",
        meta.len(),
        meta.modified().unwrap()
    ));
    for patch in series(version) {
        digest.update(fs::read(patch).unwrap());
    }
    let tree_key = hex(&digest.clone().finalize());
    let mut fragment = String::new();
    for line in BASE.iter().chain(options.iter().copied().flatten()) {
        writeln!(fragment, "{line}").unwrap();
    }
    digest.update(&fragment);
    let build = cache().join(format!("build-{version}-{}", hex(&digest.finalize())));
    let vmlinux = build.join("vmlinux.done");
    if vmlinux.exists() {
        return Ok(vmlinux);
    }

    let tree = cache().join(format!("tree-{version}-{tree_key}"));
    if !tree.exists() {
        let fresh = cache().join(format!("unpack-{version}-{}", std::process::id()));
        fs::create_dir_all(&fresh).unwrap();
        run(Command::new("tar")
            .arg("-xf")
            .arg(&tarball)
            .arg("--strip-components=1")
            .arg("-C")
            .arg(&fresh));
        for patch in series(version) {
            run(Command::new("patch")
                .args(["-p1", "--fuzz=0", "--no-backup-if-mismatch", "-i"])
                .arg(&patch)
                .current_dir(&fresh));
        }
        fs::rename(&fresh, &tree).unwrap();
    }

    fs::create_dir_all(&build).unwrap();
    let wanted = build.join("wanted.config");
    fs::write(&wanted, &fragment).unwrap();
    let make = || {
        let mut make = Command::new("nice");
        make.args(["-n", "10", "make", "-C"])
            .arg(&tree)
            .arg(format!("O={}", build.display()));
        make
    };
    run(make()
        .arg(format!("KCONFIG_ALLCONFIG={}", wanted.display()))
        .arg("tinyconfig"));
    let config = fs::read_to_string(build.join(".config")).unwrap();
    for line in fragment.lines() {
        assert!(
            config.lines().any(|have| have == line),
            "{line} did not survive configuration"
        );
    }
    run(make().args(["-j2", "vmlinux"]));
    fs::copy(build.join("vmlinux"), &vmlinux).unwrap();
    Ok(vmlinux)
}

fn hex(bytes: &[u8]) -> String {
    bytes[..8].iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The initramfs with the guest's test program.
fn initramfs() -> Result<PathBuf, Missing> {
    have("gcc")?;
    have("cpio")?;
    let _one = BUILD
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let out = cache().join("guest-tests");
    fs::create_dir_all(&out).unwrap();
    run(Command::new("make")
        .arg("-s")
        .arg("-C")
        .arg(here().join("guest-tests"))
        .arg(format!("OUT={}", out.display())));
    Ok(out.join("initramfs.cpio"))
}

/// Boots, and returns what the console showed.
fn boot(vmlinux: &Path, append: &str, extra: &[&str]) -> Result<String, Missing> {
    have("qemu-system-x86_64")?;
    let out = Command::new("timeout")
        .args([
            "900",
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
        .arg("-initrd")
        .arg(initramfs()?)
        .args(extra)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 quiet panic=-1 reboot=t no_timer_check {append}"
        ))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Every test of the guest passed, and the kernel had nothing to report.
fn judge(console: &str, modes: &[&str]) {
    let bad = |line: &&str| {
        line.starts_with("not ok")
            || [
                "BUG:",
                "WARNING:",
                "Oops",
                "Kernel panic",
                "INFO: task",
                "Call Trace",
            ]
            .iter()
            .any(|word| line.contains(word))
    };
    let wrong: Vec<&str> = console.lines().filter(bad).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{console}");
    assert!(
        console.contains("kml-tests: finished, 0 failed"),
        "the guest did not finish:\n{console}"
    );
    for mode in modes {
        let passed = console
            .lines()
            .filter(|line| line.starts_with(&format!("ok {mode}/")))
            .count();
        assert!(
            passed >= 30,
            "only {passed} tests ran as {mode}:\n{console}"
        );
    }
}

/// Runs a test body, or says why it cannot run; in CI that is a failure.
fn unless_missing(body: impl FnOnce() -> Result<(), Missing>) {
    if let Err(Missing(why)) = body() {
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("skipped: {why}");
    }
}

fn asked_for_all() -> bool {
    std::env::var_os("LUPINE_TEST_ALL").is_some()
}

#[test]
fn linux_6_12() {
    unless_missing(|| {
        let vmlinux = kernel("6.12", &[KML])?;
        judge(&boot(&vmlinux, "", &[])?, &["ring3", "native", "gate"]);
        judge(&boot(&vmlinux, "kml=all", &[])?, &["native", "gate"]);
        judge(&boot(&vmlinux, "kml=off", &[])?, &["ring3"]);
        if asked_for_all() {
            judge(
                &boot(&vmlinux, "", &["-cpu", "qemu64,-fsgsbase"])?,
                &["ring3", "native", "gate"],
            );
            judge(
                &boot(&vmlinux, "", &["-singlestep"])?,
                &["ring3", "native", "gate"],
            );
        }
        Ok(())
    });
}

#[test]
fn linux_6_12_with_smp() {
    if !asked_for_all() {
        return;
    }
    unless_missing(|| {
        let vmlinux = kernel("6.12", &[KML, SMP])?;
        judge(&boot(&vmlinux, "", &[])?, &["ring3", "native", "gate"]);
        judge(
            &boot(&vmlinux, "", &["-smp", "2"])?,
            &["ring3", "native", "gate"],
        );
        Ok(())
    });
}

#[test]
fn linux_6_12_with_debugging() {
    if !asked_for_all() {
        return;
    }
    unless_missing(|| {
        let vmlinux = kernel("6.12", &[KML, SMP, DEBUG])?;
        judge(
            &boot(&vmlinux, "", &["-smp", "2"])?,
            &["ring3", "native", "gate"],
        );
        Ok(())
    });
}
