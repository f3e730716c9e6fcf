//! Rewrites and restores files on disk: all or nothing, with owner, mode, times and extended attributes kept.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use serde::{Deserialize, Serialize};

use super::{Options, Report, RewriteError, rewrite_bytes, undo_bytes};

/// What a user should know about a file that was rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "about")]
#[non_exhaustive]
pub enum Caution {
    /// The extended attribute holds a signature or hash of the old content (`security.ima`, `security.evm`).
    Signature {
        /// Name of the attribute.
        attribute: String,
    },
    /// A file beside it holds a checksum of the old content (`.NAME.hmac` of FIPS modules).
    Checksum {
        /// Path of that file.
        path: String,
    },
    /// The file has hard links: the other names keep the old content.
    HardLinks {
        /// How many names it has.
        count: u64,
    },
}

/// What was done to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// What the rewriting did.
    pub report: Report,
    /// Whether the target was written (not when it already has these bytes).
    pub written: bool,
    /// What a user should know of the writing; nothing where nothing was written.
    pub cautions: Vec<Caution>,
}

/// Rewrites `from` to `to`; both may be the same file. The target appears complete or not at all, with the mode,
/// owner, times and extended attributes of `from`.
///
/// # Errors
/// See [`RewriteError`]; the target is untouched then.
pub fn rewrite_file(from: &Path, to: &Path, options: &Options) -> Result<FileReport, RewriteError> {
    let data = std::fs::read(from).map_err(|e| io("read", from, &e))?;
    let made = rewrite_bytes(&data, options)?;
    let unchanged = made.bytes == data && same_file(from, to);
    if !unchanged {
        replace(from, to, &made.bytes)?;
    }
    Ok(FileReport {
        report: made.report,
        written: !unchanged,
        cautions: if unchanged {
            Vec::new()
        } else {
            cautions(from, to)
        },
    })
}

/// Rewrites many files at once, on all processors; results stand in the order of `files` (from, to).
pub fn rewrite_files(
    files: &[(PathBuf, PathBuf)],
    options: &Options,
) -> Vec<Result<FileReport, RewriteError>> {
    files
        .par_iter()
        .map(|(from, to)| rewrite_file(from, to, options))
        .collect()
}

/// Restores the original of the rewritten file `from` to `to`; both may be the same file.
///
/// # Errors
/// See [`RewriteError`]; the target is untouched then.
pub fn undo_file(from: &Path, to: &Path) -> Result<(), RewriteError> {
    let data = std::fs::read(from).map_err(|e| io("read", from, &e))?;
    replace(from, to, &undo_bytes(&data)?)
}

fn io(action: &'static str, path: &Path, error: &dyn std::fmt::Display) -> RewriteError {
    RewriteError::Io {
        action,
        path: path.display().to_string(),
        message: error.to_string(),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Writes a temporary file beside `to`, gives it everything that `from` has, and renames it.
fn replace(from: &Path, to: &Path, bytes: &[u8]) -> Result<(), RewriteError> {
    // A symbolic link stays one: the file behind it is replaced.
    let to = &std::fs::canonicalize(to).unwrap_or_else(|_| to.to_path_buf());
    let folder = to
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".lupine-")
        .tempfile_in(folder)
        .map_err(|e| io("create a file in", folder, &e))?;
    temporary
        .write_all(bytes)
        .map_err(|e| io("write", temporary.path(), &e))?;
    copy_attributes(from, temporary.as_file(), temporary.path())?;
    temporary
        .as_file()
        .sync_all()
        .map_err(|e| io("sync", temporary.path(), &e))?;
    temporary
        .persist(to)
        .map_err(|e| io("rename to", to, &e.error))?;
    Ok(())
}

fn copy_attributes(from: &Path, file: &File, path: &Path) -> Result<(), RewriteError> {
    let known = std::fs::metadata(from).map_err(|e| io("stat", from, &e))?;
    let own = file.metadata().map_err(|e| io("stat", path, &e))?;
    if (own.uid(), own.gid()) != (known.uid(), known.gid()) {
        std::os::unix::fs::chown(path, Some(known.uid()), Some(known.gid()))
            .map_err(|e| io("change the owner of", path, &e))?;
    }
    // After the owner: a change of owner clears the set-id bits.
    std::fs::set_permissions(path, known.permissions())
        .map_err(|e| io("change the mode of", path, &e))?;
    for name in xattr::list_deref(from).into_iter().flatten() {
        if let Ok(Some(value)) = xattr::get_deref(from, &name) {
            xattr::set(path, &name, &value)
                .map_err(|e| io("set an extended attribute of", path, &e))?;
        }
    }
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: known.atime(),
            tv_nsec: known.atime_nsec(),
        },
        last_modification: Timespec {
            tv_sec: known.mtime(),
            tv_nsec: known.mtime_nsec(),
        },
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())
        .map_err(|e| io("set the times of", path, &e))
}

fn cautions(from: &Path, to: &Path) -> Vec<Caution> {
    let mut out = Vec::new();
    for name in xattr::list_deref(from).into_iter().flatten() {
        if name == "security.ima" || name == "security.evm" {
            out.push(Caution::Signature {
                attribute: name.to_string_lossy().into_owned(),
            });
        }
    }
    if let Some(name) = from.file_name() {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".hmac");
        let path = from.with_file_name(hidden);
        if path.exists() {
            out.push(Caution::Checksum {
                path: path.display().to_string(),
            });
        }
    }
    let links = std::fs::metadata(from).map_or(1, |m| m.nlink());
    if links > 1 && from == to {
        out.push(Caution::HardLinks { count: links });
    }
    out
}
