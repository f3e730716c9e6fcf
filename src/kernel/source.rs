//! Kernel source: a directory, a tarball, or the distribution's package;
//! made into a clean tree of the cache.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use thiserror::Error;

use crate::cache::{Cache, CacheError, Kind};
use crate::digest::{Digest, DigestBuilder};
use crate::kernel::version::KernelVersion;
use crate::process::{Cancel, Cancelled};
use crate::progress::{Progress, Unit};

/// A clean kernel source tree, ready for builds into other directories.
#[derive(Clone, Debug)]
pub struct KernelSource {
    /// The tree's top.
    pub path: PathBuf,
    /// The version that its Makefile states.
    pub version: KernelVersion,
    /// Stands for the tree's content in cache keys.
    pub digest: Digest,
}

/// Why there is no usable kernel source.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Nothing was named and no package is installed.
    #[error(
        "no kernel source: no linux-source-*.tar.xz in {searched}. Install one (Debian: apt-get install linux-source-6.12, from Debian 12's security suite or Debian 13) or name a tree or tarball with --kernel-src"
    )]
    NotFound {
        /// The folder that was searched.
        searched: String,
    },
    /// A file cannot be read or written.
    #[error("kernel source: cannot {action} {path}", path = path.display())]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tarball ends early or is damaged.
    #[error("kernel source {path} is truncated or damaged (after {entries} entries); fetch it again", path = path.display())]
    Damaged {
        /// The tarball.
        path: PathBuf,
        /// Entries unpacked before the damage.
        entries: u64,
        /// What the decompressor or tar reader said.
        source: io::Error,
    },
    /// What was named is no kernel tree.
    #[error("{path} is not a Linux source tree: it has no {missing}", path = path.display())]
    NotAKernel {
        /// What was named.
        path: PathBuf,
        /// The file of every kernel tree that is missing, or what is wrong.
        missing: String,
    },
    /// The tree has been configured or built in place.
    #[error("{path} has been configured in place (it has {found}), so it cannot be built into another directory; run `make mrproper` in it or name a clean tree", path = path.display())]
    NotClean {
        /// The tree.
        path: PathBuf,
        /// What gives it away.
        found: &'static str,
    },
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The user cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Where Debian's linux-source packages put their tarballs.
const PACKAGE_FOLDER: &str = "/usr/src";

/// Files that every kernel tree has and few others do.
const LANDMARKS: &[&str] = &[
    "Makefile",
    "Kbuild",
    "Kconfig",
    "scripts/kconfig/conf.c",
    "arch/x86",
];

/// The newest `linux-source-*.tar.xz` that a package has installed, 6.12
/// before others because that is what is tested most.
///
/// # Errors
/// [`SourceError::NotFound`].
pub fn packaged() -> Result<PathBuf, SourceError> {
    let mut found: Vec<(bool, Vec<u32>, PathBuf)> = fs::read_dir(PACKAGE_FOLDER)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name
                .strip_prefix("linux-source-")?
                .strip_suffix(".tar.xz")?;
            let numbers: Vec<u32> = version.split('.').map_while(|n| n.parse().ok()).collect();
            Some((version == "6.12", numbers, entry.path()))
        })
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, _, path)| path);
    newest.ok_or_else(|| SourceError::NotFound {
        searched: PACKAGE_FOLDER.to_owned(),
    })
}

impl KernelSource {
    /// Makes a clean tree of a directory or tarball (`.tar`, `.tar.gz`,
    /// `.tar.xz`, `.tar.zst`). A directory is used where it stands and never
    /// written to; a tarball is unpacked into the cache once.
    ///
    /// # Errors
    /// Every [`SourceError`].
    pub fn open(
        path: &Path,
        cache: &Cache,
        cancel: &Cancel,
        progress: &dyn Progress,
    ) -> Result<KernelSource, SourceError> {
        let io = |action| io_error(action, path);
        let meta = fs::metadata(path).map_err(io("open"))?;
        if meta.is_dir() {
            let path = fs::canonicalize(path).map_err(io("resolve"))?;
            let version = check_tree(&path)?;
            check_clean(&path)?;
            let digest = digest_of_directory(&path)?;
            return Ok(KernelSource {
                path,
                version,
                digest,
            });
        }
        let digest = digest_of_tarball(path, cache)?;
        let place = cache.get_or_make(
            Kind::Tree,
            &digest,
            cancel,
            &mut || progress.message("another run is unpacking this kernel source; waiting"),
            |dir| unpack(path, dir, cancel, progress),
        )?;
        let path = top_of(&place);
        let version = check_tree(&path)?;
        Ok(KernelSource {
            path,
            version,
            digest,
        })
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SourceError + use<> {
    let path = path.to_owned();
    move |source| SourceError::Io {
        action,
        path,
        source,
    }
}

/// Names the first landmark that is missing, else reads the version.
fn check_tree(path: &Path) -> Result<KernelVersion, SourceError> {
    let error = |missing: &str| SourceError::NotAKernel {
        path: path.to_owned(),
        missing: missing.to_owned(),
    };
    if let Some(missing) = LANDMARKS.iter().find(|name| !path.join(name).exists()) {
        return Err(error(missing));
    }
    let makefile = path.join("Makefile");
    let text = fs::read(&makefile).map_err(io_error("read", &makefile))?;
    KernelVersion::of_makefile(&text).ok_or_else(|| error("VERSION in its Makefile"))
}

/// Kbuild refuses to build a configured tree into another directory, only
/// after minutes of other work: say so first. The list is the Makefile's own.
fn check_clean(path: &Path) -> Result<(), SourceError> {
    let signs = [".config", "include/config", "arch/x86/include/generated"];
    match signs.into_iter().find(|sign| path.join(sign).exists()) {
        Some(found) => Err(SourceError::NotClean {
            path: path.to_owned(),
            found,
        }),
        None => Ok(()),
    }
}

/// A tarball's digest is of its content; it is remembered by path, size,
/// inode and time, because reading 140 MB at every start would be felt.
fn digest_of_tarball(path: &Path, cache: &Cache) -> Result<Digest, SourceError> {
    let io = |action| io_error(action, path);
    let path = fs::canonicalize(path).map_err(io("resolve"))?;
    let meta = fs::metadata(&path).map_err(io("inspect"))?;
    let stamp = stamp(DigestBuilder::new("tarball-1"), &path, &meta).finish();
    let memo = cache.path(Kind::Facts, &stamp);
    if let Some(known) = fs::read_to_string(&memo)
        .ok()
        .filter(|text| text.len() == 64)
        && let Ok(digest) = serde_json::from_value(serde_json::Value::String(known))
    {
        return Ok(digest);
    }
    let digest = Digest::of_file(&path).map_err(io_error("read", &path))?;
    remember(&memo, digest.as_str()).map_err(io_error("write", &memo))?;
    Ok(digest)
}

/// Writes a small fact beside its place and renames it there.
fn remember(place: &Path, text: &str) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(place)?;
    Ok(())
}

fn stamp(key: DigestBuilder, path: &Path, meta: &fs::Metadata) -> DigestBuilder {
    use std::os::unix::ffi::OsStrExt as _;
    key.field("path", path.as_os_str().as_bytes())
        .field("size", &meta.size().to_le_bytes())
        .field("inode", &meta.ino().to_le_bytes())
        .field("mtime", &meta.mtime().to_le_bytes())
        .field("mtime_nsec", &meta.mtime_nsec().to_le_bytes())
}

/// A directory's digest is of every file's name, size and time: reading 1.4 GB
/// at every start would cost more than the builds that it saves.
fn digest_of_directory(top: &Path) -> Result<Digest, SourceError> {
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in walkdir::WalkDir::new(top).follow_links(false) {
        let entry = entry.map_err(|e| {
            let at = e.path().unwrap_or(top).to_owned();
            SourceError::Io {
                action: "read",
                path: at,
                source: e.into(),
            }
        })?;
        // A git checkout's own records change without the source changing.
        if !entry.file_type().is_dir() && !entry.path().starts_with(top.join(".git")) {
            entries.push(entry.into_path());
        }
    }
    entries.par_sort();
    let stamps: Result<Vec<Digest>, SourceError> = entries
        .par_iter()
        .map(|path| {
            let meta = fs::symlink_metadata(path).map_err(io_error("inspect", path))?;
            Ok(stamp(DigestBuilder::new("file-1"), path, &meta).finish())
        })
        .collect();
    let key = stamps?
        .iter()
        .fold(DigestBuilder::new("directory-1"), |key, s| {
            key.field("", s.as_str().as_bytes())
        });
    Ok(key.finish())
}

/// Counts the compressed bytes read, for the progress bar.
struct Counting<'a, R> {
    inner: R,
    cancel: &'a Cancel,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        let n = self.inner.read(buffer)?;
        self.progress.advance(n as u64);
        Ok(n)
    }
}

fn unpack(
    tarball: &Path,
    dir: &Path,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    cancel.check()?;
    let file = File::open(tarball).map_err(io_error("open", tarball))?;
    let size = file.metadata().map_err(io_error("inspect", tarball))?.len();
    progress.stage("unpacking the kernel source", Some(size), Unit::Bytes);
    let mut input = BufReader::with_capacity(
        1 << 20,
        Counting {
            inner: file,
            cancel,
            progress,
        },
    );
    let mut magic = [0u8; 6];
    {
        let start = io::BufRead::fill_buf(&mut input).map_err(io_error("read", tarball))?;
        let n = start.len().min(magic.len());
        if let (Some(to), Some(from)) = (magic.get_mut(..n), start.get(..n)) {
            to.copy_from_slice(from);
        }
    }
    let stream: Box<dyn Read> = match magic {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(liblzma::read::XzDecoder::new_multi_decoder(input))
        }
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(input)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(input);
            Box::new(decoder.map_err(io_error("decompress", tarball))?)
        }
        _ => Box::new(input),
    };
    let mut archive = tar::Archive::new(stream);
    // The cache's entry stands for the content: times of unpacking are fine,
    // the archive's times are better, because make compares them.
    archive.set_preserve_mtime(true);
    let mut entries = 0;
    let damaged = |entries| {
        move |source: io::Error| match cancel.check() {
            Err(cancelled) => SourceError::Cancelled(cancelled),
            Ok(()) => SourceError::Damaged {
                path: tarball.to_owned(),
                entries,
                source,
            },
        }
    };
    for entry in archive.entries().map_err(damaged(0))? {
        let mut entry = entry.map_err(damaged(entries))?;
        // Refuses names and links that leave the folder.
        let inside = entry.unpack_in(dir).map_err(|source| {
            // The tar crate wraps the reader's errors and the file system's alike.
            let full = source.kind() == io::ErrorKind::StorageFull
                || format!("{source:?}").contains("StorageFull");
            if full {
                io_error("write", dir)(source)
            } else {
                damaged(entries)(source)
            }
        })?;
        if !inside {
            let name = entry.path().map_err(damaged(entries))?;
            let missing = format!("safe names: {:?} leaves it", name.display());
            return Err(SourceError::NotAKernel {
                path: tarball.to_owned(),
                missing,
            });
        }
        entries += 1;
    }
    progress.finish();
    if entries == 0 {
        let empty = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Err(damaged(0)(empty));
    }
    let error = |error| match error {
        SourceError::NotAKernel { missing, .. } => SourceError::NotAKernel {
            path: tarball.to_owned(),
            missing,
        },
        other => other,
    };
    check_tree(&top_of(dir)).map(drop).map_err(error)
}

/// A kernel tarball has one folder at its top, named after the version; some
/// have none.
fn top_of(dir: &Path) -> PathBuf {
    let mut names = fs::read_dir(dir).into_iter().flatten().flatten();
    match (names.next(), names.next()) {
        (Some(only), None) => only.path(),
        _ => dir.to_owned(),
    }
}
