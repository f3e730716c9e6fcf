//! Builds a kernel: a clean tree and a configuration go in, `bzImage` and
//! `vmlinux` come out, cached by everything that they were made from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use thiserror::Error;

use crate::cache::{Cache, CacheError, Kind};
use crate::digest::{Digest, DigestBuilder};
use crate::kernel::objects;
use crate::kernel::parts::{self, SizePart};
use crate::kernel::source::KernelSource;
use crate::kernel::toolchain::Toolchain;
use crate::process::{Cancel, Cancelled, ProcessError, Stream, Task};
use crate::progress::{Progress, Unit};
use crate::vmm::KernelFile;

/// A finished kernel in the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    /// What stands for it in the keys of later stages.
    pub key: Digest,
    /// The directory that holds its files.
    pub directory: PathBuf,
}

impl Kernel {
    /// The compressed image that VMMs and boot loaders start.
    #[must_use]
    pub fn bzimage(&self) -> PathBuf {
        self.directory.join("bzImage")
    }

    /// The ELF image with symbols; Firecracker and Cloud Hypervisor start it.
    #[must_use]
    pub fn vmlinux(&self) -> PathBuf {
        self.directory.join("vmlinux")
    }

    /// What its code and data are made of, by directory of the tree, largest first.
    ///
    /// # Errors
    /// The cache was damaged.
    pub fn parts(&self) -> io::Result<Vec<SizePart>> {
        let bytes = fs::read(self.directory.join(PARTS))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Its file of this kind.
    #[must_use]
    pub fn file(&self, file: KernelFile) -> PathBuf {
        match file {
            KernelFile::BzImage => self.bzimage(),
            KernelFile::Vmlinux => self.vmlinux(),
        }
    }

    /// The configuration that it was built from.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("config")
    }
}

/// The file beside a kernel with what it is made of.
pub const PARTS: &str = "parts.json";

/// Why there is no kernel.
#[derive(Debug, Error)]
pub enum BuildError {
    /// make failed; the compiler's own words are in the tail.
    #[error("the kernel build failed at: {first_error}\n{tail}")]
    Make {
        /// The first line of the output that looks like an error.
        first_error: String,
        /// The last lines of the output.
        tail: String,
    },
    /// The disk is full.
    #[error("no space left on the disk that holds {path}; a kernel's objects take about 1 GB: free some, or set LUPINE_CACHE to another disk", path = path.display())]
    DiskFull {
        /// The directory of objects.
        path: PathBuf,
    },
    /// The tree's own conf changes the configuration.
    #[error(
        "the configuration is not a fixed point of the tree's own `make olddefconfig`; it would change:\n{difference}"
    )]
    NotAFixedPoint {
        /// Lines that it removes (`-`) and adds (`+`).
        difference: String,
    },
    /// A file cannot be read or written.
    #[error("kernel build: cannot {action} {path}", path = path.display())]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// make does not run or does not end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The user cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Marks a directory of objects as being written: where a run finds it, the
/// run before was killed and its objects are not trusted.
const IN_PROGRESS: &str = ".lupine-in-progress";

/// In an object directory: its builds' temporary files.
const TEMPORARY: &str = ".lupine-temporary";

/// Builds `config` (the text of a `.config`) from `source`, or finds it built.
///
/// # Errors
/// Every [`BuildError`].
pub fn build(
    source: &KernelSource,
    config: &[u8],
    toolchain: &Toolchain,
    cache: &Cache,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<Kernel, BuildError> {
    let tree_key = DigestBuilder::new("objects-1")
        .field("tree", source.digest.as_str().as_bytes())
        .field("toolchain", toolchain.digest().as_str().as_bytes())
        .finish();
    let key = DigestBuilder::new("kernel-2")
        .field("objects", tree_key.as_str().as_bytes())
        .field("config", config)
        .finish();
    let waiting = || progress.message("another run is building this kernel; waiting");
    let directory = cache.get_or_make(Kind::Kernel, &key, cancel, &mut { waiting }, |out| {
        // One directory of objects for the configurations of a tree that are
        // near each other: what two kernels share is compiled once.
        let objects_key = far_reaching(config)
            .fold(
                DigestBuilder::new("objects-2").field("tree", tree_key.as_str().as_bytes()),
                |key, option| key.field("option", option.as_bytes()),
            )
            .finish();
        let _lock = cache.lock(Kind::Objects, &objects_key, cancel, &mut { waiting })?;
        let objects = cache.path(Kind::Objects, &objects_key);
        let make = Make {
            source,
            toolchain,
            objects: &objects,
            cancel,
            progress,
        };
        make.prepare(config)?;
        let built = make.settle(config).and_then(|()| make.compile(config));
        // make has ended: what it leaves is whole, also where it failed. Only
        // our own death leaves the mark.
        make.leave(built)?;
        make.collect(out)
    })?;
    Ok(Kernel { key, directory })
}

/// Options that most headers ask for: where one changes nearly everything is
/// compiled anew, and anew again for the application after it.
const FAR_REACHING: &[&str] = &[
    "CONFIG_NET",
    "CONFIG_SMP",
    "CONFIG_MODULES",
    "CONFIG_PREEMPTION",
    "CONFIG_CC_OPTIMIZE_FOR_SIZE",
];

/// Those of [`FAR_REACHING`] that `config` has.
fn far_reaching(config: &[u8]) -> impl Iterator<Item = &'static str> {
    FAR_REACHING.iter().copied().filter(|option| {
        config
            .split(|&byte| byte == b'\n')
            .any(|line| line.strip_prefix(option.as_bytes()) == Some(b"=y"))
    })
}

/// How long before the end of a cancelled build a file may have been half
/// written: longer than the time between a group's SIGTERM and SIGKILL.
const RECENT: Duration = Duration::from_secs(10);

struct Make<'a> {
    source: &'a KernelSource,
    toolchain: &'a Toolchain,
    objects: &'a Path,
    cancel: &'a Cancel,
    progress: &'a dyn Progress,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError + use<> {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull => BuildError::DiskFull { path },
        _ => BuildError::Io {
            action,
            path,
            source,
        },
    }
}

impl Make<'_> {
    /// make with everything that could leak into the kernel fixed.
    fn task(&self) -> Task<'_> {
        Task::new("make")
            .dir(&self.source.path)
            .arg("-C")
            .arg(&self.source.path)
            .arg(format!("O={}", self.objects.display()))
            .args(self.toolchain.make_arguments())
            .args([
                "KBUILD_BUILD_TIMESTAMP=1970-01-01",
                "KBUILD_BUILD_VERSION=1",
            ])
            .args(["KBUILD_BUILD_USER=lupine", "KBUILD_BUILD_HOST=lupine"])
            .env("LC_ALL", "C")
            .env("TMPDIR", self.temporary())
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .env_remove("KCONFIG_CONFIG")
            .env_remove("KBUILD_OUTPUT")
            .env_remove("CROSS_COMPILE")
    }

    /// Where compilers put what lies between two of their steps: what a killed
    /// one leaves there goes with the half-written objects.
    fn temporary(&self) -> PathBuf {
        self.objects.join(TEMPORARY)
    }

    fn prepare(&self, config: &[u8]) -> Result<(), BuildError> {
        let mark = self.objects.join(IN_PROGRESS);
        if mark.exists() {
            self.progress
                .message("an earlier build was killed; starting its objects afresh");
            fs::remove_dir_all(self.objects).map_err(io_error("remove", self.objects))?;
        }
        let temporary = self.temporary();
        fs::create_dir_all(&temporary).map_err(io_error("create", &temporary))?;
        fs::write(&mark, b"").map_err(io_error("write", &mark))?;
        let path = self.objects.join(".config");
        // Rewriting an equal file would make every object look stale.
        if fs::read(&path).ok().as_deref() != Some(config) {
            fs::write(&path, config).map_err(io_error("write", &path))?;
        }
        Ok(())
    }

    /// Has the tree's own conf look at the configuration.
    fn settle(&self, config: &[u8]) -> Result<(), BuildError> {
        let path = self.objects.join(".config");
        self.run(self.task().arg("olddefconfig"))?;
        let settled = fs::read(&path).map_err(io_error("read", &path))?;
        if settled != config {
            return Err(BuildError::NotAFixedPoint {
                difference: difference(config, &settled),
            });
        }
        Ok(())
    }

    fn compile(&self, config: &[u8]) -> Result<(), BuildError> {
        let text = String::from_utf8_lossy(config);
        let enabled = |name: &str| text.contains(&format!("\n{name}=y\n"));
        let total = objects::count(&self.source.path, &enabled);
        self.progress
            .stage("compiling the kernel", Some(total), Unit::Objects);
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let progress = self.progress;
        let task = self
            .task()
            .args([format!("-j{jobs}")])
            .args(["bzImage", "vmlinux"]);
        self.run(task.on_line(move |stream, line| {
            if stream == Stream::Stdout && is_object_line(line) {
                progress.advance(1);
            }
        }))?;
        self.progress.finish();
        Ok(())
    }

    fn collect(&self, out: &Path) -> Result<(), BuildError> {
        let files = [
            ("arch/x86/boot/bzImage", "bzImage"),
            ("vmlinux", "vmlinux"),
            ("System.map", "System.map"),
            (".config", "config"),
        ];
        for (from, to) in files {
            let from = self.objects.join(from);
            fs::copy(&from, out.join(to)).map_err(io_error("copy", &from))?;
        }
        let parts = parts::read(self.objects).map_err(io_error("read", self.objects))?;
        let path = out.join(PARTS);
        let text = serde_json::to_vec(&parts).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text))
            .map_err(io_error("write", &path))
    }

    /// Takes the mark away after make has ended. A compiler that a cancelled
    /// run killed may have left half an object, newer than its source: what was
    /// written in the last moments goes.
    fn leave(&self, result: Result<(), BuildError>) -> Result<(), BuildError> {
        if let Err(BuildError::Cancelled(_) | BuildError::Process(ProcessError::Cancelled(_))) =
            result
        {
            let recent = SystemTime::now().checked_sub(RECENT);
            for entry in walkdir::WalkDir::new(self.objects).into_iter().flatten() {
                let modified = entry.metadata().ok().and_then(|meta| meta.modified().ok());
                if entry.file_type().is_file() && modified >= recent {
                    fs::remove_file(entry.path()).map_err(io_error("remove", entry.path()))?;
                }
            }
        }
        let mark = self.objects.join(IN_PROGRESS);
        match fs::remove_file(&mark) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &mark)(e)),
            _ => result,
        }
    }

    /// Runs make to its end.
    fn run(&self, task: Task<'_>) -> Result<(), BuildError> {
        let output = task.run(self.cancel)?;
        if output.status.success() {
            return Ok(());
        }
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        if text.contains("No space left on device") {
            return Err(BuildError::DiskFull {
                path: self.objects.to_owned(),
            });
        }
        let is_error = |line: &&str| line.contains("error:") || line.contains("Error ");
        let first_error = text
            .lines()
            .find(is_error)
            .unwrap_or("make")
            .trim()
            .to_owned();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(20)..)
            .unwrap_or_default()
            .join("\n");
        Err(BuildError::Make { first_error, tail })
    }
}

/// Kbuild's short form of a compilation: `  CC      mm/slub.o`.
fn is_object_line(line: &[u8]) -> bool {
    line.starts_with(b"  CC  ") || line.starts_with(b"  AS  ")
}

/// The lines in which two configurations differ, as `-` and `+`.
fn difference(ours: &[u8], theirs: &[u8]) -> String {
    let ours = String::from_utf8_lossy(ours);
    let theirs = String::from_utf8_lossy(theirs);
    let ours: std::collections::BTreeSet<&str> = ours.lines().collect();
    let theirs: std::collections::BTreeSet<&str> = theirs.lines().collect();
    let minus = ours.difference(&theirs).map(|line| format!("-{line}"));
    let plus = theirs.difference(&ours).map(|line| format!("+{line}"));
    minus.chain(plus).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_reaching_options_are_read_whole() {
        let config =
            b"CONFIG_NETDEVICES=y\nCONFIG_SMP=y\n# CONFIG_NET is not set\nCONFIG_MODULES=m\n";
        assert_eq!(far_reaching(config).collect::<Vec<_>>(), ["CONFIG_SMP"]);
        assert_eq!(
            far_reaching(b"CONFIG_NET=y").collect::<Vec<_>>(),
            ["CONFIG_NET"]
        );
    }
}
