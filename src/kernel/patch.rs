//! A patched tree: the clean tree with the Kernel Mode Linux series on it, made
//! once in the cache. The clean tree is never written to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lupine_kml::apply::{Mode, Options, Outcome};
use lupine_kml::patches::{self, Fit, SelectError};
use lupine_kml::verify;
use rayon::prelude::*;
use thiserror::Error;

use crate::cache::{Cache, CacheError, Kind};
use crate::digest::{Digest, DigestBuilder};
use crate::kernel::source::KernelSource;
use crate::process::{Cancel, Cancelled};
use crate::progress::{Progress, Unit};

/// Why there is no patched tree.
#[derive(Debug, Error)]
pub enum PatchError {
    /// There are no patches for the version, or the tree cannot be written.
    #[error("the tree {tree} cannot be patched: {source}", tree = tree.display())]
    Patch {
        /// The clean tree.
        tree: PathBuf,
        /// What the patch engine said.
        source: Box<patches::PatchError>,
    },
    /// A hunk has no place in the tree.
    #[error(
        "the Kernel Mode Linux patches do not fit {tree}, which its owner may have changed; build the variant lupine-nokml, or name another tree\n{report}",
        tree = tree.display()
    )]
    Rejected {
        /// The clean tree.
        tree: PathBuf,
        /// Every hunk and what became of it.
        report: String,
    },
    /// A file cannot be copied.
    #[error("patched tree: cannot {action} {path}", path = path.display())]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The user cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Where the tree stands in its cache entry.
const TREE: &str = "linux";

/// The tree with the patches of its version, for builds of kernels that run
/// programs in kernel mode.
///
/// # Errors
/// Every [`PatchError`].
pub fn patched(
    source: &KernelSource,
    cache: &Cache,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<KernelSource, PatchError> {
    let key = key(source)?;
    let waiting = || progress.message("another run is patching this kernel source; waiting");
    let place = cache.get_or_make(Kind::Tree, &key, cancel, &mut { waiting }, |dir| {
        let tree = dir.join(TREE);
        // The patch engine replaces files and never writes into them, so that
        // files of our own cache can be shared.
        let link = source.path.starts_with(cache.root());
        copy_tree(&source.path, &tree, link, cancel, progress)?;
        let report = patches::patch_kernel(&tree, Fit::Supported, Options::default(), Mode::Write)
            .map_err(|error| engine_error(source, error))?;
        if report.outcome == Outcome::Rejected {
            return Err(PatchError::Rejected {
                tree: source.path.clone(),
                report: report.to_string(),
            });
        }
        progress.message(&format!(
            "patched Linux {} for Kernel Mode Linux: {} files changed",
            source.version,
            report.changed.len()
        ));
        Ok(())
    })?;
    Ok(KernelSource {
        path: place.join(TREE),
        version: source.version.clone(),
        digest: key,
    })
}

fn engine_error(source: &KernelSource, error: patches::PatchError) -> PatchError {
    PatchError::Patch {
        tree: source.path.clone(),
        source: Box::new(error),
    }
}

/// The clean tree and the patches that go on it.
fn key(source: &KernelSource) -> Result<Digest, PatchError> {
    let select = |error: SelectError| engine_error(source, error.into());
    let version = verify::KernelVersion::of_tree(&source.path)
        .map_err(SelectError::from)
        .map_err(select)?;
    let series = patches::series_for(&version, Fit::Supported).map_err(select)?;
    let tree = source.digest.as_str().as_bytes();
    let key = series.patches.iter().fold(
        DigestBuilder::new("patched-tree-1").field("tree", tree),
        |key, patch| {
            key.field("name", patch.name.to_string().as_bytes())
                .field("strip", &patch.strip.to_le_bytes())
                .field("reverse", &[u8::from(patch.reverse)])
                .field("patch", &patch.bytes)
        },
    );
    Ok(key.finish())
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PatchError + use<> {
    let path = path.to_owned();
    move |source| PatchError::Io {
        action,
        path,
        source,
    }
}

/// Copies directories, files and symbolic links; files as hard links where
/// `link` says so and the file system has them.
fn copy_tree(
    from: &Path,
    to: &Path,
    link: bool,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<(), PatchError> {
    let mut leaves: Vec<(PathBuf, PathBuf, fs::FileType)> = Vec::new();
    let walk = walkdir::WalkDir::new(from).follow_links(false).into_iter();
    // A checkout's history is no part of the tree.
    let walk = walk.filter_entry(|entry| entry.depth() != 1 || entry.file_name() != ".git");
    for entry in walk {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(from).to_owned();
            io_error("read", &path)(error.into())
        })?;
        let below = entry.path().strip_prefix(from).unwrap_or(Path::new(""));
        let target = to.join(below);
        let kind = entry.file_type();
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(io_error("create", &target))?;
        } else {
            leaves.push((entry.into_path(), target, kind));
        }
    }
    progress.stage(
        "copying the kernel source",
        Some(leaves.len() as u64),
        Unit::Files,
    );
    leaves.par_iter().try_for_each(|(file, target, kind)| {
        cancel.check()?;
        if kind.is_symlink() {
            let content = fs::read_link(file).map_err(io_error("read", file))?;
            std::os::unix::fs::symlink(content, target).map_err(io_error("create", target))?;
        } else if kind.is_file() && !(link && fs::hard_link(file, target).is_ok()) {
            fs::copy(file, target).map_err(io_error("copy", file))?;
        }
        progress.advance(1);
        Ok::<(), PatchError>(())
    })?;
    progress.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::version::KernelVersion;
    use crate::progress::Silent;

    /// A tree that has nothing but a version.
    fn tree(top: &Path, patchlevel: u32) -> KernelSource {
        let makefile = format!("VERSION = 6\nPATCHLEVEL = {patchlevel}\nSUBLEVEL = 1\n");
        fs::create_dir_all(top).unwrap();
        fs::write(top.join("Makefile"), &makefile).unwrap();
        KernelSource {
            path: top.to_owned(),
            version: KernelVersion::of_makefile(makefile.as_bytes()).unwrap(),
            digest: Digest::of(makefile.as_bytes()),
        }
    }

    #[test]
    fn what_cannot_be_patched_leaves_no_entry() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path().join("cache"));
        let try_on = |patchlevel| {
            let source = tree(&temp.path().join("tree"), patchlevel);
            patched(&source, &cache, &Cancel::new(), &Silent).unwrap_err()
        };
        let unknown = try_on(99).to_string();
        assert!(
            unknown.contains("6.99.1") && unknown.contains("6.12"),
            "{unknown}"
        );
        let rejected = try_on(12);
        assert!(
            matches!(rejected, PatchError::Rejected { .. }),
            "{rejected}"
        );
        let left = fs::read_dir(temp.path().join("cache/trees")).unwrap();
        let left: Vec<_> = left
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_copy_has_files_links_and_modes_but_no_history() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let temp = tempfile::tempdir().unwrap();
        let from = temp.path().join("from");
        fs::create_dir_all(from.join("scripts/.git")).unwrap();
        fs::create_dir_all(from.join(".git")).unwrap();
        fs::write(from.join(".git/HEAD"), "x").unwrap();
        let script = from.join("scripts/run");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("run", from.join("scripts/link")).unwrap();
        for link in [false, true] {
            let to = temp.path().join(format!("to-{link}"));
            copy_tree(&from, &to, link, &Cancel::new(), &Silent).unwrap();
            assert!(!to.join(".git").exists() && to.join("scripts/.git").is_dir());
            let copy = fs::metadata(to.join("scripts/run")).unwrap();
            assert_eq!(copy.mode() & 0o777, 0o755);
            assert_eq!(copy.ino() == fs::metadata(&script).unwrap().ino(), link);
            assert_eq!(
                fs::read_link(to.join("scripts/link")).unwrap(),
                Path::new("run")
            );
        }
    }
}
