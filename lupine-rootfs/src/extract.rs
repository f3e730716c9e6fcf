//! Puts a file tree into a directory of the host.
//!
//! The directory must not exist or be empty. Every file is created anew below it, directories
//! before what is in them, and none through a symbolic link: a tree's directories are directories.
//! So nothing outside can be written, whatever the image says. Work that fails or is cancelled takes
//! away what it has made.
//!
//! ```no_run
//! use lupine_rootfs::{ExtractOptions, ext2, extract};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = ext2::Image::open(std::fs::File::open("root.ext2")?)?;
//! let tree = ext2::read_tree(image)?;
//! extract(&tree, "root".as_ref(), ExtractOptions::default(), &mut ())?;
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat};
use thiserror::Error;

use crate::content::{ContentSink, DeliverError};
use crate::inode::{Inode, Kind};
use crate::path::TreePath;
use crate::progress::{Progress, Stage};
use crate::tree::{FileTree, InodeId};

/// What is kept of a tree. The default is what an unprivileged user can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtractOptions {
    /// Set owners and groups (needs privileges).
    pub owners: bool,
    /// Make device nodes (needs privileges); otherwise they are skipped.
    pub devices: bool,
    /// Set extended attributes (some need privileges).
    pub xattrs: bool,
}

/// Why a tree was not extracted in full.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The directory holds something.
    #[error("`{}` is not an empty directory: extract into a new one", .path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Something below the directory cannot be made.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What failed.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// File contents did not arrive.
    #[error(transparent)]
    Deliver(DeliverError),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// What was extracted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extracted {
    /// Names made.
    pub names: u64,
    /// Device nodes left out because [`ExtractOptions::devices`] is off.
    pub skipped_devices: u64,
}

/// Extracts `tree` into the directory `to`, which is made unless it is there and empty.
///
/// # Errors
/// [`ExtractError`]; then `to` is again what it was before.
pub fn extract(
    tree: &FileTree,
    to: &Path,
    options: ExtractOptions,
    progress: &mut dyn Progress,
) -> Result<Extracted, ExtractError> {
    let mut made = false;
    match fs::create_dir(to) {
        Ok(()) => made = true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut entries = fs::read_dir(to).map_err(failed("read", to))?;
            if entries.next().is_some() {
                return Err(ExtractError::NotEmpty {
                    path: to.to_path_buf(),
                });
            }
        }
        Err(error) => return Err(failed("create", to)(error)),
    }
    let done = fill(tree, to, options, progress);
    if done.is_err() {
        // The first error is the one to tell.
        let _ = clear(to).and_then(|()| if made { fs::remove_dir(to) } else { Ok(()) });
    }
    done
}

/// Removes everything in a directory.
fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Extracts into an empty directory.
fn fill(
    tree: &FileTree,
    to: &Path,
    options: ExtractOptions,
    progress: &mut dyn Progress,
) -> Result<Extracted, ExtractError> {
    progress.start(Stage::Checking, tree.len() as u64);
    let mut done = Extracted::default();
    let mut first_names: HashMap<InodeId, TreePath> = HashMap::new();
    for (path, id) in tree.walk().skip(1) {
        if progress.cancelled() {
            return Err(ExtractError::Cancelled);
        }
        let at = host_path(to, &path);
        let inode = tree.inode(id);
        if let Some(first) = first_names.get(&id) {
            fs::hard_link(host_path(to, first), &at).map_err(failed("link", &at))?;
        } else if !make(&inode, &at, options)? {
            done.skipped_devices += 1;
            continue;
        } else if inode.content().is_some() || tree.link_count(id) > 1 {
            first_names.insert(id, path);
        }
        done.names += 1;
        progress.advance(1);
    }
    let sink = DirectorySink {
        to,
        names: &first_names,
        open: Mutex::new(Vec::new()),
        progress: Mutex::new(progress),
    };
    let files = first_names
        .keys()
        .copied()
        .filter(|&id| tree.content(id).is_some());
    tree.deliver(files, &sink).map_err(|error| match error {
        DeliverError::Cancelled => ExtractError::Cancelled,
        other => ExtractError::Deliver(other),
    })?;
    drop(sink);
    // Directories after what is in them: making entries changes their times, and a mode without
    // write permission would forbid it.
    let mut directories = vec![(TreePath::root(), FileTree::ROOT)];
    for (path, id) in tree.walk().skip(1) {
        if tree.is_directory(id) {
            directories.push((path, id));
        } else {
            let at = host_path(to, &path);
            if fs::symlink_metadata(&at).is_ok() {
                finish(&tree.inode(id), &at, options)?;
            }
        }
    }
    for (path, id) in directories.into_iter().rev() {
        finish(&tree.inode(id), &host_path(to, &path), options)?;
    }
    Ok(done)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExtractError {
    let path = path.to_path_buf();
    move |source| ExtractError::Io {
        action,
        path,
        source,
    }
}

fn host_path(to: &Path, path: &TreePath) -> PathBuf {
    if path.is_root() {
        to.to_path_buf()
    } else {
        to.join(OsStr::from_bytes(path.as_bytes()))
    }
}

/// Makes a file; false for a device that is not wanted.
fn make(inode: &Inode, at: &Path, options: ExtractOptions) -> Result<bool, ExtractError> {
    let node = |file_type, device| {
        mknodat(CWD, at, file_type, Mode::RUSR | Mode::WUSR, device)
            .map_err(|error| failed("create", at)(error.into()))
    };
    match &inode.kind {
        Kind::Directory => fs::create_dir(at).map_err(failed("create", at))?,
        Kind::Regular(content) => {
            let mut open = OpenOptions::new();
            let file = open.write(true).create_new(true).mode(0o600).open(at);
            let file = file.map_err(failed("create", at))?;
            file.set_len(content.len()).map_err(failed("size", at))?;
        }
        Kind::Symlink(target) => {
            std::os::unix::fs::symlink(OsStr::from_bytes(target), at)
                .map_err(failed("create", at))?;
        }
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } if !options.devices => {
            return Ok(false);
        }
        &Kind::CharDevice { major, minor } => {
            node(FileType::CharacterDevice, makedev(major, minor))?;
        }
        &Kind::BlockDevice { major, minor } => node(FileType::BlockDevice, makedev(major, minor))?,
        Kind::Fifo => node(FileType::Fifo, 0)?,
        Kind::Socket => node(FileType::Socket, 0)?,
    }
    Ok(true)
}

/// Sets owner, attributes, permissions and time, in the order in which they do not undo another.
fn finish(inode: &Inode, at: &Path, options: ExtractOptions) -> Result<(), ExtractError> {
    let metadata = &inode.metadata;
    if options.owners {
        lchown(at, Some(metadata.uid), Some(metadata.gid))
            .map_err(failed("change owner of", at))?;
    }
    if options.xattrs {
        for (name, value) in inode.xattrs.iter().flat_map(|xattrs| xattrs.iter()) {
            xattr::set(at, OsStr::from_bytes(name), value)
                .map_err(failed("set an extended attribute of", at))?;
        }
    }
    if !matches!(inode.kind, Kind::Symlink(_)) {
        let mode = fs::Permissions::from_mode(u32::from(metadata.mode & 0o7777));
        fs::set_permissions(at, mode).map_err(failed("change mode of", at))?;
    }
    let time = Timespec {
        tv_sec: metadata.mtime,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| failed("set the time of", at)(error.into()))
}

/// Files kept open while their pieces arrive.
const OPEN_FILES: usize = 16;

/// Writes contents into the files made before.
struct DirectorySink<'a> {
    to: &'a Path,
    names: &'a HashMap<InodeId, TreePath>,
    open: Mutex<Vec<(InodeId, File)>>,
    progress: Mutex<&'a mut dyn Progress>,
}

impl ContentSink for DirectorySink<'_> {
    fn write(&self, inode: InodeId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match open.iter().position(|(id, _)| *id == inode) {
            Some(found) => found,
            None => {
                let name = self.names.get(&inode).ok_or(io::ErrorKind::NotFound)?;
                let file = OpenOptions::new()
                    .write(true)
                    .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
                    .open(host_path(self.to, name))?;
                if open.len() == OPEN_FILES {
                    open.remove(0);
                }
                open.push((inode, file));
                open.len() - 1
            }
        };
        open[found].1.write_all_at(bytes, offset)
    }

    fn cancelled(&self) -> bool {
        let progress = self.progress.lock();
        progress.unwrap_or_else(PoisonError::into_inner).cancelled()
    }
}
