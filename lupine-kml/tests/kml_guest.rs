//! Boots kernels with the KML patches and runs the guest tests in them.
//!
//! The kernel source is that of Debian's linux-source packages. A tree is
//! unpacked, patched by this library without fuzz, configured and built in the
//! user's cache directory, under a key made of everything that goes in, so that
//! a second run only boots. Where the source package, a compiler or QEMU is
//! missing the tests say so and pass, unless `CI` is set.
#![allow(
    clippy::disallowed_methods,
    reason = "the tests run make, gcc and QEMU"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a test helper that fails fails the test"
)]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use lupine_kml::apply::{Mode, Options, Outcome};
use lupine_kml::patches::{Fit, patch_kernel};
use lupine_kml::rewrite::{self, rewrite_file};
use lupine_kml::verify::{verify_config, verify_vmlinux};
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
    "# CONFIG_CPU_MITIGATIONS is not set",
];
const KML: &[&str] = &["CONFIG_KERNEL_MODE_LINUX=y"];
const STATS: &[&str] = &["CONFIG_KML_STATS=y"];
const SMP: &[&str] = &["CONFIG_SMP=y"];
const DEBUG: &[&str] = &[
    "CONFIG_PREEMPT=y",
    "CONFIG_PROVE_LOCKING=y",
    "CONFIG_DEBUG_ENTRY=y",
    "CONFIG_DEBUG_ATOMIC_SLEEP=y",
    "CONFIG_STACKPROTECTOR_STRONG=y",
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
    for program in ["make", "gcc", "flex", "bison", "bc", "xz"] {
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
        let report = patch_kernel(&fresh, Fit::Supported, Options::default(), Mode::Write).unwrap();
        assert_eq!(report.outcome, Outcome::Applies, "{report}");
        fs::rename(&fresh, &tree).unwrap();
    }

    fs::create_dir_all(&build).unwrap();
    let wanted = build.join("wanted.config");
    fs::write(&wanted, &fragment).unwrap();
    let make = || {
        let mut make = Command::new("make");
        make.arg("-C")
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

/// Boots the guest tests, and returns what the console showed.
fn boot(vmlinux: &Path, append: &str, extra: &[&str]) -> Result<String, Missing> {
    boot_with(vmlinux, &initramfs()?, append, extra)
}

/// Boots, and returns what the console showed.
fn boot_with(
    vmlinux: &Path,
    initrd: &Path,
    append: &str,
    extra: &[&str],
) -> Result<String, Missing> {
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
        .arg(initrd)
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

/// The kernel had nothing to report.
fn judge_kernel(console: &str) {
    const WORDS: [&str; 6] = [
        "BUG:",
        "WARNING:",
        "Oops",
        "Kernel panic",
        "INFO: task",
        "Call Trace",
    ];
    let wrong: Vec<&str> = console
        .lines()
        .filter(|line| WORDS.iter().any(|word| line.contains(word)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{console}");
}

/// Every test of the guest passed, and the kernel had nothing to report.
fn judge(console: &str, modes: &[&str]) {
    judge_kernel(console);
    let wrong: Vec<&str> = console
        .lines()
        .filter(|line| line.starts_with("not ok"))
        .collect();
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

/// What the guest's shells do, in the words that all of them know.
const WORK: &str = r#"cd /tmp
i=0
while [ $i -lt 30 ]; do
    printf 'line %d\n' $i | sed s/line/row/ >> rows
    last=$(tail -n 1 rows)
    i=$((i + 1))
done
echo "$last"
sort -rn -k2 rows | md5sum
gzip -c rows > rows.gz
gzip -dc rows.gz | cmp - rows && echo same
mkdir -p a/b
cp rows a/b/copy
ln -s copy a/b/link
tar cf all.tar a
mv a moved
tar xf all.tar
ls -R a moved
find . -type f | sort
trap 'echo caught' USR1
kill -USR1 $$
(exit 3)
echo $?
(kill -KILL $(exec sh -c 'echo $PPID')) 2> /dev/null
echo killed $?
sleep 1 &
wait $!
echo waited $?
cat /no/such/file
head -c 100000 /dev/zero | wc -c
"#;

/// Mounts, then runs [`WORK`] by the static and by the dynamic shell, with the kernel's counters
/// before and after.
const PROGRAMS_INIT: &str = r#"#!/bin/busybox sh
PATH=/applets
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
run() {
    rm -rf /tmp
    mkdir /tmp
    echo "[$1"
    cat /proc/kml
    echo "[work"
    PATH=$2 $3 /work.sh
    echo "[after"
    cat /proc/kml
    echo "[end"
}
run static /applets "/bin/busybox sh"
run dynamic /usr/bin /usr/bin/sh
reboot -f
"#;

const BUSYBOX: &str = "/bin/busybox";
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const TOOLS: &[&str] = &[
    "sh", "sed", "tail", "sort", "md5sum", "gzip", "cmp", "mkdir", "cp", "ln", "tar", "mv", "ls",
    "find", "sleep", "cat", "head", "wc", "rm", "mount", "reboot",
];

/// An initramfs with the distribution's busybox and its dynamically linked tools. Where
/// `rewritten`, the calls of busybox, of the C library and of its loader go through the gate.
fn programs(rewritten: bool) -> Result<PathBuf, Missing> {
    for file in [BUSYBOX, LIBC, LOADER] {
        need(Path::new(file))?;
    }
    have("cpio")?;
    let root = tempfile::tempdir().unwrap();
    let place = |file: &Path| {
        let to = root.path().join(file.strip_prefix("/").unwrap());
        if to.exists() {
            return;
        }
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if rewritten && [BUSYBOX, LIBC, LOADER].iter().any(|f| file == Path::new(f)) {
            let done = rewrite_file(file, &to, &rewrite::Options::default()).unwrap();
            assert_eq!(done.report.native, 0, "{}", file.display());
        } else {
            fs::copy(file, &to).unwrap();
        }
    };
    place(Path::new(BUSYBOX));
    let applets = root.path().join("applets");
    for dir in ["applets", "proc", "dev"] {
        fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    for tool in TOOLS {
        std::os::unix::fs::symlink(BUSYBOX, applets.join(tool)).unwrap();
        let file = PathBuf::from(format!("/usr/bin/{tool}"));
        if !file.exists() || *tool == "mount" {
            continue;
        }
        place(&file);
        let libraries = Command::new("ldd").arg(&file).output().unwrap();
        for word in String::from_utf8(libraries.stdout)
            .unwrap()
            .split_whitespace()
        {
            if word.starts_with('/') {
                place(Path::new(word));
            }
        }
    }
    fs::write(root.path().join("work.sh"), WORK).unwrap();
    let init = root.path().join("init");
    fs::write(&init, PROGRAMS_INIT).unwrap();
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(cache()).unwrap();
    let archive = cache().join(format!("programs-{rewritten}-{}.cpio", std::process::id()));
    run(Command::new("sh")
        .args([
            "-c",
            "find . | LC_ALL=C sort | cpio --quiet -o -H newc > \"$0\"",
        ])
        .arg(&archive)
        .current_dir(root.path()));
    Ok(archive)
}

/// What one shell did: its output, and how many calls came through the gate, by `syscall` in
/// CPL 0, and from ring 3.
#[derive(Debug)]
struct Work {
    output: String,
    calls: [u64; 3],
}

/// The part of the console about one of the shells.
fn work(console: &str, name: &str) -> Work {
    let console = console.replace('\r', "");
    let part = |from: &str, to: &str, text: &str| -> String {
        let (_, rest) = text
            .split_once(from)
            .unwrap_or_else(|| panic!("no {from:?}:\n{console}"));
        let (part, _) = rest
            .split_once(to)
            .unwrap_or_else(|| panic!("no {to:?}:\n{console}"));
        part.to_owned()
    };
    let all = part(&format!("[{name}\n"), "[end\n", &format!("{console}\n"));
    let counts = |text: &str| {
        ["gate", "syscall", "ring3"].map(|kind| -> u64 {
            text.lines()
                .find_map(|line| line.strip_prefix(kind)?.trim().parse().ok())
                .unwrap_or_else(|| panic!("no counter {kind}:\n{text}"))
        })
    };
    let (before, rest) = all.split_once("[work\n").unwrap();
    let (output, after) = rest.split_once("[after\n").unwrap();
    let (before, after) = (counts(before), counts(after));
    Work {
        output: output.to_owned(),
        calls: [0, 1, 2].map(|i| after[i] - before[i]),
    }
}

/// Rewritten programs in CPL 0 do what the originals do in ring 3, through the gate.
fn judge_programs(vmlinux: &Path, extra: &[&str]) -> Result<(), Missing> {
    let [original, rewritten] = [programs(false)?, programs(true)?];
    let in_ring3 = boot_with(vmlinux, &original, "kml=off", extra)?;
    let in_cpl0 = boot_with(vmlinux, &rewritten, "kml=all", extra)?;
    let both = boot_with(vmlinux, &rewritten, "kml=off", extra)?;
    for archive in [original, rewritten] {
        fs::remove_file(archive).unwrap();
    }
    for console in [&in_ring3, &in_cpl0, &both] {
        judge_kernel(console);
    }
    for name in ["static", "dynamic"] {
        let expected = work(&in_ring3, name);
        assert!(
            expected.output.contains("waited 0") && expected.output.contains("killed 137"),
            "{expected:?}"
        );
        let [gate, syscall, ring3] = expected.calls;
        assert!(gate + syscall == 0 && ring3 > 1000, "{expected:?}");

        let found = work(&in_cpl0, name);
        assert_eq!(found.output, expected.output, "{name}");
        let [gate, syscall, ring3] = found.calls;
        eprintln!(
            "{name}: {gate} calls through the gate, {syscall} by syscall, {ring3} from ring 3"
        );
        assert!(gate > 1000, "{found:?}");
        assert!(gate * 100 >= (gate + syscall + ring3) * 99, "{found:?}");

        assert_eq!(work(&both, name).output, expected.output, "{name}");
    }
    Ok(())
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
        let vmlinux = kernel("6.12", &[KML, STATS])?;
        let report = verify_vmlinux(&fs::read(&vmlinux).unwrap()).unwrap();
        assert!(report.good, "{report}");
        let config = fs::read(vmlinux.with_file_name(".config")).unwrap();
        assert!(verify_config(&config).enabled);

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
fn rewritten_programs_in_cpl_0() {
    unless_missing(|| judge_programs(&kernel("6.12", &[KML, STATS])?, &[]));
}

#[test]
fn linux_6_12_with_smp() {
    if !asked_for_all() {
        return;
    }
    unless_missing(|| {
        let vmlinux = kernel("6.12", &[KML, STATS, SMP])?;
        judge(&boot(&vmlinux, "", &[])?, &["ring3", "native", "gate"]);
        judge(
            &boot(&vmlinux, "", &["-smp", "2"])?,
            &["ring3", "native", "gate"],
        );
        judge_programs(&vmlinux, &["-smp", "2"])
    });
}

#[test]
fn linux_6_12_with_debugging() {
    if !asked_for_all() {
        return;
    }
    unless_missing(|| {
        let vmlinux = kernel("6.12", &[KML, STATS, SMP, DEBUG])?;
        judge(
            &boot(&vmlinux, "", &["-smp", "2"])?,
            &["ring3", "native", "gate"],
        );
        Ok(())
    });
}
