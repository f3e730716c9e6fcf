//! The cache of what is expensive to make: kernel trees, kernels, images.
//!
//! An entry is a directory named by the digest of everything that it was made
//! from. It is made beside its place under a lock and renamed into it when it
//! is complete, so that an entry that exists is whole: a cancelled or crashed
//! run leaves nothing that a later run would trust, and two runs at once make
//! one entry.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy as _;
use thiserror::Error;

use crate::digest::Digest;
use crate::process::{Cancel, Cancelled};

/// What an entry holds: the folder of the cache that it lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An unpacked, possibly patched kernel source tree.
    Tree,
    /// Object directories of kernel builds, reused for incremental builds.
    Objects,
    /// A finished kernel: bzImage, vmlinux, configuration.
    Kernel,
    /// An application's image.
    Image,
    /// A root file system.
    Rootfs,
    /// What an application was seen to ask of a kernel.
    Trace,
    /// Small facts about this machine: probe answers, a probe boot's result.
    Facts,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Kind::Tree => "trees",
            Kind::Objects => "objects",
            Kind::Kernel => "kernels",
            Kind::Image => "images",
            Kind::Rootfs => "rootfs",
            Kind::Trace => "traces",
            Kind::Facts => "facts",
        }
    }
}

/// A cache directory.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// Why the cache could not give an entry.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The user has no home directory to keep a cache in.
    #[error(
        "no cache directory: neither LUPINE_CACHE nor a home directory is set; set LUPINE_CACHE to a directory with a few GB free"
    )]
    NoHome,
    /// A file operation in the cache failed.
    #[error("cache: cannot {action} {path}", path = path.display())]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The user cancelled while waiting for another run.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Cache {
    /// The cache at `root`; the directory is made when first written to.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Cache {
        Cache { root: root.into() }
    }

    /// The user's cache: `$LUPINE_CACHE`, else `lupine` in the platform's
    /// cache directory (`$XDG_CACHE_HOME`, `~/.cache`).
    ///
    /// # Errors
    /// [`CacheError::NoHome`] where there is neither.
    pub fn of_user() -> Result<Cache, CacheError> {
        if let Some(path) = std::env::var_os("LUPINE_CACHE").filter(|v| !v.is_empty()) {
            return Ok(Cache::at(path));
        }
        let strategy = etcetera::choose_base_strategy().map_err(|_| CacheError::NoHome)?;
        Ok(Cache::at(strategy.cache_dir().join("lupine")))
    }

    /// The directory that holds everything.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the entry of `key` is or will be.
    #[must_use]
    pub fn path(&self, kind: Kind, key: &Digest) -> PathBuf {
        self.root.join(kind.folder()).join(key.as_str())
    }

    /// The entry of `key`, made by `make` if it is not there. `make` gets an
    /// empty directory to fill. Where another run is making the same entry,
    /// this waits for it, calling `waiting` once.
    ///
    /// # Errors
    /// What `make` returns, or a [`CacheError`] turned into it.
    pub fn get_or_make<E: From<CacheError>>(
        &self,
        kind: Kind,
        key: &Digest,
        cancel: &Cancel,
        waiting: &mut dyn FnMut(),
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let place = self.path(kind, key);
        if place.is_dir() {
            touch(&place);
            return Ok(place);
        }
        let _lock = self.lock(kind, key, cancel, waiting)?;
        if place.is_dir() {
            return Ok(place);
        }
        let unfinished = place.with_extension("unfinished");
        // What a killed run left under our lock is debris.
        remove(&unfinished)?;
        create_dir(&unfinished)?;
        if let Err(error) = make(&unfinished) {
            remove(&unfinished)?;
            return Err(error);
        }
        flush(&unfinished)?;
        fs::rename(&unfinished, &place).map_err(io_error("complete", &place))?;
        Ok(place)
    }

    /// Holds the lock of `key` until the result is dropped: for a directory
    /// that runs take turns in, such as one of objects.
    ///
    /// # Errors
    /// [`CacheError::Io`] or [`CacheError::Cancelled`].
    pub fn lock(
        &self,
        kind: Kind,
        key: &Digest,
        cancel: &Cancel,
        waiting: &mut dyn FnMut(),
    ) -> Result<Lock, CacheError> {
        let path = self.path(kind, key).with_extension("lock");
        let folder = self.root.join(kind.folder());
        create_dir(&folder)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        waiting();
                        told = true;
                    }
                    cancel.check()?;
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(TryLockError::Error(source)) => {
                    return Err(CacheError::Io {
                        action: "lock",
                        path,
                        source,
                    });
                }
            }
        }
    }
}

/// A held lock; dropping it lets the next run in.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::Io {
        action,
        path,
        source,
    }
}

fn create_dir(path: &Path) -> Result<(), CacheError> {
    fs::create_dir_all(path).map_err(io_error("create", path))
}

fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Everything written so far reaches the disk before the rename does.
fn flush(path: &Path) -> Result<(), CacheError> {
    let dir = File::open(path).map_err(io_error("open", path))?;
    rustix::fs::syncfs(&dir).map_err(|e| io_error("flush", path)(e.into()))
}

/// Marks an entry as used, for whoever cleans by age; not worth an error.
fn touch(path: &Path) {
    if let Ok(dir) = File::open(path) {
        let _ = dir.set_modified(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn make_ok(made: &AtomicUsize, dir: &Path) -> Result<(), CacheError> {
        made.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        fs::write(dir.join("f"), "whole").map_err(io_error("write", dir))
    }

    #[test]
    fn two_runs_make_one_entry() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        let made = AtomicUsize::new(0);
        let key = Digest::of(b"x");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let cancel = Cancel::new();
                    let path = cache
                        .get_or_make(Kind::Kernel, &key, &cancel, &mut || {}, |d| {
                            make_ok(&made, d)
                        })
                        .unwrap();
                    assert_eq!(fs::read_to_string(path.join("f")).unwrap(), "whole");
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_make_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        let key = Digest::of(b"y");
        let cancel = Cancel::new();
        let result = cache.get_or_make(Kind::Kernel, &key, &cancel, &mut || {}, |dir| {
            fs::write(dir.join("half"), "half").unwrap();
            Err(CacheError::NoHome)
        });
        assert!(matches!(result, Err(CacheError::NoHome)));
        let left: Vec<_> = fs::read_dir(temp.path().join("kernels"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .filter(|n| !n.to_string_lossy().ends_with(".lock"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
