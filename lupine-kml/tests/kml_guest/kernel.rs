//! Kernels to boot: unpacked, patched, configured and built in the user's cache directory.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lupine_kml::apply::{Mode, Options, Outcome, Series, patch_directory};
use lupine_kml::patches::{Fit, patch_kernel};
use sha2::{Digest, Sha256};

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
/// The option itself.
pub(crate) const KML: &[&str] = &["CONFIG_KERNEL_MODE_LINUX=y"];
/// Counters of the ways in, in `/proc/kml`.
pub(crate) const STATS: &[&str] = &["CONFIG_KML_STATS=y"];
/// More than one processor.
pub(crate) const SMP: &[&str] = &["CONFIG_SMP=y"];
/// Programs reach the local APIC.
pub(crate) const DEVMEM: &[&str] = &["CONFIG_DEVMEM=y", "# CONFIG_STRICT_DEVMEM is not set"];
/// The kernel watches its own locks and entry code.
pub(crate) const DEBUG: &[&str] = &[
    "CONFIG_PREEMPT=y",
    "CONFIG_PROVE_LOCKING=y",
    "CONFIG_DEBUG_ENTRY=y",
    "CONFIG_DEBUG_ATOMIC_SLEEP=y",
    "CONFIG_STACKPROTECTOR=y",
    "CONFIG_STACKPROTECTOR_STRONG=y",
];
/// The kernel watches its own memory accesses and arithmetic.
pub(crate) const SANITIZERS: &[&str] = &[
    "CONFIG_SYSFS=y",
    "# CONFIG_SLUB_TINY is not set",
    "CONFIG_KASAN=y",
    // For size, gcc 12 calls memcmp, which is instrumented, from the PVH entry, which is before all that.
    "CONFIG_CC_OPTIMIZE_FOR_PERFORMANCE=y",
    // It keeps stacks, which it cannot guess.
    "# CONFIG_UNWINDER_GUESS is not set",
    "CONFIG_UNWINDER_ORC=y",
    "CONFIG_UBSAN=y",
    "CONFIG_UBSAN_BOUNDS=y",
    "CONFIG_UBSAN_SHIFT=y",
    "CONFIG_UBSAN_BOOL=y",
    "CONFIG_UBSAN_ENUM=y",
];
/// What programs of a distribution ask for: a disk, a network, and calls that tiny kernels lack.
pub(crate) const DISTRIBUTION: &[&str] = &[
    "CONFIG_BLOCK=y",
    "CONFIG_BLK_DEV=y",
    "CONFIG_VIRTIO_MENU=y",
    "CONFIG_VIRTIO_MMIO=y",
    "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y",
    "CONFIG_VIRTIO_BLK=y",
    "CONFIG_EXT2_FS=y",
    "CONFIG_UNIX=y",
    "CONFIG_INET=y",
    "CONFIG_IPV6=y",
    "CONFIG_NETDEVICES=y",
    "CONFIG_NET_CORE=y",
    "CONFIG_VIRTIO_NET=y",
    "CONFIG_UNIX98_PTYS=y",
    "CONFIG_SYSFS=y",
    "CONFIG_SYSCTL=y",
    "CONFIG_SYSVIPC=y",
    "CONFIG_POSIX_MQUEUE=y",
    "CONFIG_FILE_LOCKING=y",
    "CONFIG_AIO=y",
    "CONFIG_SIGNALFD=y",
    "CONFIG_TIMERFD=y",
    "CONFIG_INOTIFY_USER=y",
    "CONFIG_MEMBARRIER=y",
    "CONFIG_MEMFD_CREATE=y",
    "CONFIG_CROSS_MEMORY_ATTACH=y",
    "CONFIG_KCMP=y",
    "CONFIG_COREDUMP=y",
    "CONFIG_PID_NS=y",
    "CONFIG_NET_NS=y",
];
/// What stressors ask for on top of [`DISTRIBUTION`]: calls and files of a kernel that has everything.
pub(crate) const EVERYTHING: &[&str] = &[
    "CONFIG_IO_URING=y",
    "CONFIG_USERFAULTFD=y",
    "CONFIG_FANOTIFY=y",
    "CONFIG_DNOTIFY=y",
    "CONFIG_KEYS=y",
    "CONFIG_PACKET=y",
    "CONFIG_UNIX_DIAG=y",
    "CONFIG_INET_DIAG=y",
    "CONFIG_DEBUG_FS=y",
    "CONFIG_CRYPTO=y",
    "CONFIG_CRYPTO_USER_API_HASH=y",
    "CONFIG_CRYPTO_USER_API_SKCIPHER=y",
    "CONFIG_CRYPTO_USER_API_RNG=y",
    "CONFIG_CRYPTO_USER_API_AEAD=y",
    "CONFIG_CRYPTO_SHA256=y",
    "CONFIG_CRYPTO_AES=y",
    "CONFIG_CRYPTO_CBC=y",
    "CONFIG_SECURITY=y",
    "CONFIG_SECURITY_LANDLOCK=y",
    "CONFIG_TUN=y",
    "CONFIG_IP_SCTP=y",
    "CONFIG_IP_DCCP=y",
    "CONFIG_BLK_DEV_LOOP=y",
    "CONFIG_SWAP=y",
    "CONFIG_HUGETLBFS=y",
    "CONFIG_COMPACTION=y",
    "CONFIG_MIGRATION=y",
    "CONFIG_TRANSPARENT_HUGEPAGE=y",
    "CONFIG_NUMA=y",
    "CONFIG_SECRETMEM=y",
    "CONFIG_UTS_NS=y",
    "CONFIG_IPC_NS=y",
    "CONFIG_TIME_NS=y",
    "CONFIG_BSD_PROCESS_ACCT=y",
    "CONFIG_CONNECTOR=y",
    "CONFIG_PROC_EVENTS=y",
    "CONFIG_TASKSTATS=y",
    "CONFIG_QUOTA=y",
    "CONFIG_EXT2_FS_XATTR=y",
    "CONFIG_TMPFS_XATTR=y",
    "CONFIG_CHECKPOINT_RESTORE=y",
    "CONFIG_KSM=y",
    "CONFIG_PERF_EVENTS=y",
    "CONFIG_FTRACE=y",
    "CONFIG_UPROBE_EVENTS=y",
    "CONFIG_RELAY=y",
    "CONFIG_BINFMT_MISC=y",
    "CONFIG_CGROUPS=y",
    "CONFIG_MEMCG=y",
    "CONFIG_CPUSETS=y",
    "CONFIG_FHANDLE=y",
    "CONFIG_PROC_PAGE_MONITOR=y",
    "CONFIG_IDLE_PAGE_TRACKING=y",
    "CONFIG_BPF_SYSCALL=y",
    "CONFIG_MODIFY_LDT_SYSCALL=y",
    "CONFIG_BLK_DEV_RAM=y",
    "CONFIG_OVERLAY_FS=y",
    "CONFIG_FS_VERITY=y",
    "CONFIG_EXT4_FS=y",
    "CONFIG_IP_MULTICAST=y",
    "CONFIG_SCHED_AUTOGROUP=y",
];

/// Changes with the way kernels are built here, so that older entries are not taken.
const FORMAT: &str = "2";

/// Why nothing can be tested here.
pub(crate) struct Missing(pub(crate) String);

/// What to build.
#[derive(Clone, Copy)]
pub(crate) struct Kernel<'a> {
    /// Of the source package: `6.12`.
    pub(crate) version: &'a str,
    /// With our series, or as it is in the package.
    pub(crate) patched: bool,
    /// With clang and its linker, instead of gcc.
    pub(crate) clang: bool,
    /// On top of [`BASE`].
    pub(crate) options: &'a [&'a [&'a str]],
}

/// A source tree and the directory it is built in.
pub(crate) struct Build {
    tree: PathBuf,
    out: PathBuf,
    clang: bool,
}

impl Build {
    fn make(&self) -> Command {
        let mut make = Command::new("make");
        make.arg("-C")
            .arg(&self.tree)
            .arg(format!("O={}", self.out.display()));
        if self.clang {
            make.arg("LLVM=1");
        }
        make
    }

    /// Configures with `fragment`, in a directory that nothing was built in before.
    fn configure(&self, fragment: &str) {
        remove(&self.out);
        fs::create_dir_all(&self.out).unwrap();
        run(self.make().arg("tinyconfig"));
        // Of two lines about an option the later one counts.
        let tiny = fs::read_to_string(self.out.join(".config")).unwrap();
        fs::write(self.out.join(".config"), tiny + fragment).unwrap();
        run(self.make().arg("olddefconfig"));
        let config = fs::read_to_string(self.out.join(".config")).unwrap();
        for line in fragment.lines() {
            // What cannot be asked for here is not named at all.
            let survived = match line.strip_prefix("# ") {
                Some(unset) => {
                    let set = unset.replace(" is not set", "=");
                    !config.lines().any(|have| have.starts_with(&set))
                }
                None => config.lines().any(|have| have == line),
            };
            assert!(survived, "{line} did not survive configuration");
        }
    }

    /// Builds what has changed. What the tools had to say is in `build.log` beside it.
    pub(crate) fn vmlinux(&self) -> PathBuf {
        let path = self.out.join("build.log");
        let log = File::create(&path).unwrap();
        let status = self
            .make()
            .args(["-s", "-j2", "vmlinux"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status()
            .unwrap();
        assert!(
            status.success(),
            "{}:\n{}",
            self.out.display(),
            fs::read_to_string(&path).unwrap()
        );
        self.out.join("vmlinux")
    }

    /// Applies a patch to the tree.
    pub(crate) fn apply(&self, patch: &Path) {
        let series = Series::read_patch(patch).unwrap();
        let report = patch_directory(&self.tree, &series, Options::default(), Mode::Write).unwrap();
        assert_eq!(report.outcome, Outcome::Applies, "{report}");
    }

    /// Compiles part of the tree, what is new in its configuration left at its default. Returns what the
    /// tools had to say.
    pub(crate) fn compile(&self, target: &str) -> String {
        run(self.make().args(["-s", "olddefconfig"]));
        let out = self.make().args(["-s", "-j2", target]).output().unwrap();
        let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        assert!(out.status.success(), "{said}");
        said
    }

    /// Replaces the only occurrence of `old` in a file of the tree, and returns what the file was.
    pub(crate) fn edit(&self, file: &str, old: &str, new: &str) -> String {
        let text = fs::read_to_string(self.tree.join(file)).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{file}: {old:?}");
        self.replace(file, &text.replacen(old, new, 1));
        text
    }

    /// Gives a file of the tree new contents. Other trees share the old ones: they stay.
    pub(crate) fn replace(&self, file: &str, text: &str) {
        let path = self.tree.join(file);
        fs::remove_file(&path).unwrap();
        fs::write(&path, text).unwrap();
    }
}

/// The directory of this crate.
pub(crate) fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn need(what: &Path) -> Result<(), Missing> {
    if what.exists() {
        Ok(())
    } else {
        Err(Missing(format!("{} is missing", what.display())))
    }
}

pub(crate) fn have(program: &str) -> Result<(), Missing> {
    Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status()
        .ok()
        .filter(std::process::ExitStatus::success)
        .map(|_| ())
        .ok_or_else(|| Missing(format!("{program} is not installed")))
}

pub(crate) fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(
        out.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

fn remove(directory: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            panic!("{}: {error}", directory.display())
        }
        _ => {}
    }
}

/// Where trees and builds are kept.
pub(crate) fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache"),
        PathBuf::from,
    );
    base.join("lupine").join("kml-guest")
}

/// The right to write a kind of entry, across all processes. One build at a time: the machine's cores
/// are shared by all of them anyway.
pub(crate) fn lock(kind: &str) -> File {
    fs::create_dir_all(cache()).unwrap();
    let file = File::create(cache().join(format!("{kind}.lock"))).unwrap();
    file.lock().unwrap();
    file
}

/// A folder of the cache, kept under the digest of what it is made of. One that `make` has not filled, and
/// the disk not taken, does not have its name.
pub(crate) fn kept(kind: &str, made_of: &Sha256, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = cache().join(format!("{kind}-{}", hex(made_of)));
    let _lock = lock(kind);
    if !folder.exists() {
        let fresh = folder.with_file_name(format!("{kind}.partial"));
        remove(&fresh);
        fs::create_dir(&fresh).unwrap();
        make(&fresh);
        run(Command::new("sync").arg("-f").arg(&fresh));
        fs::rename(&fresh, &folder).unwrap();
    }
    folder
}

/// The files of the series for `version`, in its order.
pub(crate) fn series(version: &str) -> Vec<PathBuf> {
    let dir = here().join("patches").join(version);
    fs::read_to_string(dir.join("series"))
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| dir.join(line))
        .collect()
}

/// Enough of a digest to name a file by.
pub(crate) fn hex(digest: &Sha256) -> String {
    digest.clone().finalize()[..8]
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

impl Kernel<'_> {
    fn tarball(&self) -> Result<PathBuf, Missing> {
        let tarball = PathBuf::from(format!("/usr/src/linux-source-{}.tar.xz", self.version));
        need(&tarball)?;
        let compiler: &[&str] = if self.clang {
            &["clang", "ld.lld", "llvm-ar"]
        } else {
            &["gcc"]
        };
        for program in ["make", "flex", "bison", "bc", "xz"].iter().chain(compiler) {
            have(program)?;
        }
        Ok(tarball)
    }

    /// The lines about options; of two about the same one the later counts.
    fn fragment(&self) -> String {
        let option = |line: &str| {
            line.split(['=', ' '])
                .find(|word| word.starts_with("CONFIG_"))
                .map(str::to_owned)
        };
        let lines: Vec<&str> = BASE
            .iter()
            .chain(self.options.iter().copied().flatten())
            .copied()
            .collect();
        let is_last = |n: usize| {
            lines[n + 1..]
                .iter()
                .all(|later| option(later) != option(lines[n]))
        };
        (0..lines.len())
            .filter(|&n| is_last(n))
            .fold(String::new(), |text, n| text + lines[n] + "\n")
    }

    /// All that goes into the source tree.
    fn tree_key(&self, tarball: &Path) -> Sha256 {
        let meta = fs::metadata(tarball).unwrap();
        let mut digest = Sha256::new_with_prefix(format!(
            "{FORMAT} {} {} {:?}",
            self.version,
            meta.len(),
            meta.modified().unwrap()
        ));
        for patch in series(self.version).into_iter().filter(|_| self.patched) {
            digest.update(fs::read(patch).unwrap());
        }
        digest
    }

    /// The source tree.
    fn tree(&self, tarball: &Path) -> PathBuf {
        let kind = format!("tree-{}", self.version);
        kept(&kind, &self.tree_key(tarball), |fresh| {
            run(Command::new("tar")
                .arg("-xf")
                .arg(tarball)
                .arg("--strip-components=1")
                .arg("-C")
                .arg(fresh));
            if self.patched {
                let report =
                    patch_kernel(fresh, Fit::Supported, Options::default(), Mode::Write).unwrap();
                assert_eq!(report.outcome, Outcome::Applies, "{report}");
            }
        })
    }

    /// The source tree, not to be changed.
    pub(crate) fn source(&self) -> Result<PathBuf, Missing> {
        let tarball = self.tarball()?;
        let _lock = lock("build");
        Ok(self.tree(&tarball))
    }

    /// The `vmlinux`, built unless it is there already.
    pub(crate) fn vmlinux(&self) -> Result<PathBuf, Missing> {
        let tarball = self.tarball()?;
        let mut digest = self.tree_key(&tarball);
        let fragment = self.fragment();
        digest.update(format!("{} {fragment}", self.clang));
        let out = cache().join(format!("build-{}-{}", self.version, hex(&digest)));
        let done = out.join("vmlinux.done");
        if done.exists() {
            return Ok(done);
        }
        let _lock = lock("build");
        if done.exists() {
            return Ok(done);
        }
        let build = Build {
            tree: self.tree(&tarball),
            out,
            clang: self.clang,
        };
        build.configure(&fragment);
        let vmlinux = build.vmlinux();
        let said = fs::read_to_string(build.out.join("build.log")).unwrap();
        assert!(!said.contains("objtool"), "{said}");
        File::open(&vmlinux).unwrap().sync_all().unwrap();
        fs::rename(&vmlinux, &done).unwrap();
        Ok(done)
    }

    /// Runs `body` with a build whose tree may be edited. Nothing of it is kept.
    pub(crate) fn scratch(
        &self,
        body: impl FnOnce(&Build) -> Result<(), Missing>,
    ) -> Result<(), Missing> {
        let tarball = self.tarball()?;
        let _lock = lock("build");
        let scratch = cache().join("scratch");
        remove(&scratch);
        fs::create_dir_all(&scratch).unwrap();
        let build = Build {
            tree: scratch.join("tree"),
            out: scratch.join("build"),
            clang: self.clang,
        };
        run(Command::new("cp")
            .arg("-al")
            .arg(self.tree(&tarball))
            .arg(&build.tree));
        build.configure(&self.fragment());
        let done = body(&build);
        remove(&scratch);
        done
    }
}
