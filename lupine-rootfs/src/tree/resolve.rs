//! From paths to places: symbolic links are followed within the root.

use super::{FileTree, InodeId, TreeError};
use crate::inode::{Inode, Kind, Metadata};
use crate::path::{PathError, TreePath};

/// Symbolic links followed on one path, as in the kernel (`MAXSYMLINKS`).
const MAX_SYMLINKS: u32 = 40;

/// The last inode reached on a path, and the names left over.
type Reached = (InodeId, Vec<Box<[u8]>>);

/// A directory and a name in it.
type Place = (InodeId, Box<[u8]>);

impl FileTree {
    /// The inode at `path`, no symbolic link followed.
    pub fn lookup(&self, path: &TreePath) -> Option<InodeId> {
        path.components()
            .try_fold(Self::ROOT, |inode, name| self.child(inode, name))
    }

    /// The inode at `path` as a process inside the image would open it: all symbolic links
    /// followed, the last component's too.
    ///
    /// # Errors
    /// [`TreeError::NotFound`], [`TreeError::NotADirectory`], [`TreeError::SymlinkLoop`].
    pub fn resolve(&self, path: &TreePath) -> Result<InodeId, TreeError> {
        let (directory, rest) = self.follow(path)?;
        if rest.is_empty() {
            Ok(directory)
        } else {
            Err(TreeError::NotFound { path: path.clone() })
        }
    }

    /// The path of a directory.
    pub(super) fn path_of(&self, directory: InodeId) -> TreePath {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = directory;
        while let Some(parent) = self.inodes.directory(at).and_then(|found| found.parent) {
            if let Some((name, _)) = self.children(parent).find(|&(_, child)| child == at) {
                names.push(name);
            }
            at = parent;
        }
        names
            .iter()
            .rev()
            .fold(TreePath::root(), |path, name| path.child(name))
    }

    /// Follows `path`, links included, as far as it exists; gives the last inode reached and the
    /// names left over.
    fn follow(&self, path: &TreePath) -> Result<Reached, TreeError> {
        // Names still to be walked, the next one last.
        let mut todo: Vec<Box<[u8]>> = path.components().rev().map(Box::from).collect();
        let mut at = Self::ROOT;
        let mut followed = 0;
        while let Some(name) = todo.last() {
            if &**name == b".." {
                at = self.parent(at);
                todo.pop();
                continue;
            }
            self.require_directory(at, path, path)?;
            let Some(child) = self.child(at, name) else {
                break;
            };
            todo.pop();
            let Some(target) = self.inodes.target(child) else {
                at = child;
                continue;
            };
            followed += 1;
            if followed > MAX_SYMLINKS {
                return Err(TreeError::SymlinkLoop {
                    path: path.clone(),
                    limit: MAX_SYMLINKS,
                });
            }
            if target.first() == Some(&b'/') {
                at = Self::ROOT;
            }
            let names = target.split(|&byte| byte == b'/').rev();
            todo.extend(
                names
                    .filter(|name| !matches!(*name, b"" | b"."))
                    .map(Box::from),
            );
        }
        todo.reverse();
        Ok((at, todo))
    }

    /// The directory that holds a directory; the root holds itself.
    pub(crate) fn parent(&self, directory: InodeId) -> InodeId {
        self.inodes
            .directory(directory)
            .and_then(|found| found.parent)
            .unwrap_or(Self::ROOT)
    }

    /// The directory and name `path` stands for, missing parents made; `None` for the root.
    pub(super) fn place(&mut self, path: &TreePath) -> Result<Option<Place>, TreeError> {
        let Some((parent, name)) = path.split_last() else {
            return Ok(None);
        };
        let (mut at, missing) = self.follow(&parent)?;
        self.require_directory(at, path, &parent)?;
        for name in missing {
            if &*name == b".." {
                // A dangling link climbed back out of what it named.
                at = self.parent(at);
                continue;
            }
            check_name(&name)?;
            at = match self.child(at, &name) {
                Some(existing) => existing,
                None => {
                    let inode = Inode::new(Kind::Directory, Metadata::with_mode(0o755));
                    let made = self.allocate(inode, at)?;
                    self.name(at, &name, made);
                    made
                }
            };
            self.require_directory(at, path, &parent)?;
        }
        Ok(Some((at, name.into())))
    }

    fn require_directory(
        &self,
        inode: InodeId,
        path: &TreePath,
        at: &TreePath,
    ) -> Result<(), TreeError> {
        if self.is_directory(inode) {
            return Ok(());
        }
        Err(TreeError::NotADirectory {
            path: path.clone(),
            at: at.clone(),
            found: self.inode(inode).kind.noun(),
        })
    }

    /// The directory and name of an existing entry; `None` where nothing is.
    pub(super) fn existing(&self, path: &TreePath) -> Result<Option<Place>, TreeError> {
        let Some((parent, name)) = path.split_last() else {
            return Err(TreeError::Root { kind: "whiteout" });
        };
        match self.follow(&parent) {
            Ok((directory, missing)) if missing.is_empty() => Ok(self
                .child(directory, name)
                .map(|_| (directory, name.into()))),
            Ok(_) | Err(TreeError::NotADirectory { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a name is one component.
pub(super) fn check_name(name: &[u8]) -> Result<(), PathError> {
    let path = TreePath::new(name)?;
    if path.as_bytes() == name && !name.contains(&b'/') && !name.is_empty() {
        return Ok(());
    }
    Err(PathError::NotAName {
        name: name.to_vec(),
    })
}
