//! A directory on disk as a tree of files. No access goes through a symbolic link: every
//! component is opened on its own, relative to the one before, without following.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::diff::TreePath;

use super::tree::{Entry, EntryKind, FileTree, Node, TreeError};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A directory, held open: moving it does not redirect us.
#[derive(Debug)]
pub struct DirectoryTree {
    root: OwnedFd,
    path: PathBuf,
}

impl DirectoryTree {
    /// Opens a directory. The path to it may go through symbolic links; inside it none is
    /// followed.
    ///
    /// # Errors
    /// [`TreeError::Root`].
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = fs::open(path, flags, Mode::empty()).map_err(|errno| TreeError::Root {
            doing: "open the tree",
            path: path.to_owned(),
            source: errno.into(),
        })?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory that holds `path`, made on demand. `None` if it is not there, or a file
    /// stands in the way.
    pub(super) fn parent(
        &self,
        path: &TreePath,
        create: bool,
    ) -> Result<Option<OwnedFd>, TreeError> {
        let mut directory = self
            .root
            .try_clone()
            .map_err(|e| io_error("open", path, e))?;
        let mut walked: Vec<u8> = Vec::new();
        let Some(parent) = path.parent() else {
            return Ok(Some(directory));
        };
        for part in parent.components() {
            if !walked.is_empty() {
                walked.push(b'/');
            }
            walked.extend_from_slice(part);
            let name = OsStr::from_bytes(part);
            let mut opened = fs::openat(&directory, name, DIRECTORY, Mode::empty());
            if create && matches!(opened, Err(Errno::NOENT)) {
                match fs::mkdirat(&directory, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => {
                        return Err(io_error("make the directory of", path, errno.into()));
                    }
                }
                opened = fs::openat(&directory, name, DIRECTORY, Mode::empty());
            }
            directory = match opened {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let stat = fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(|errno| io_error("look at", path, errno.into()))?;
                    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                        return Ok(None);
                    }
                    let link = TreePath::new(&walked).unwrap_or_else(|_| path.clone());
                    return Err(TreeError::SymlinkInPath {
                        path: path.clone(),
                        link,
                    });
                }
                Err(errno) => return Err(io_error("open the directory of", path, errno.into())),
            };
        }
        Ok(Some(directory))
    }

    /// Removes the directories above `path` that are empty now.
    pub(super) fn prune(&self, path: &TreePath) -> Result<(), TreeError> {
        let mut next = path.parent();
        while let Some(directory) = next {
            if let Some(above) = self.parent(&directory, false)? {
                match fs::unlinkat(
                    &above,
                    OsStr::from_bytes(directory.file_name()),
                    AtFlags::REMOVEDIR,
                ) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(_) => return Ok(()),
                }
            }
            next = directory.parent();
        }
        Ok(())
    }
}

pub(super) fn io_error(doing: &'static str, path: &TreePath, source: io::Error) -> TreeError {
    TreeError::Io {
        doing,
        path: path.clone(),
        source,
    }
}

impl FileTree for DirectoryTree {
    fn node(&self, path: &TreePath) -> Result<Node, TreeError> {
        let Some(directory) = self.parent(path, false)? else {
            return Ok(Node::Absent);
        };
        let name = OsStr::from_bytes(path.file_name());
        // Not to hang on a pipe that someone put there.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match fs::openat(&directory, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Node::Absent),
            Err(Errno::LOOP) => {
                let target = fs::readlinkat(&directory, name, Vec::new())
                    .map_err(|errno| io_error("read the link", path, errno.into()))?;
                let entry = Entry {
                    kind: EntryKind::Symlink,
                    content: target.into_bytes(),
                };
                return Ok(Node::File(entry));
            }
            Err(Errno::NXIO) => return Err(TreeError::Special { path: path.clone() }),
            Err(errno) => return Err(io_error("open", path, errno.into())),
        };
        let stat = fs::fstat(&file).map_err(|errno| io_error("look at", path, errno.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Node::Directory),
            FileType::RegularFile => {
                let mut content = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0));
                let mut file = std::fs::File::from(file);
                io::Read::read_to_end(&mut file, &mut content)
                    .map_err(|e| io_error("read", path, e))?;
                let kind = EntryKind::Regular {
                    mode: stat.st_mode & 0o7777,
                };
                Ok(Node::File(Entry { kind, content }))
            }
            _ => Err(TreeError::Special { path: path.clone() }),
        }
    }
}
