//! A file tree in memory: names, inodes, and references to contents.
//!
//! The tree is what all sources are read into, what callers edit, and what a file system is written
//! from. Directories are kept sorted by name bytes, so that every walk sees the same order whatever
//! order the entries came in.
//!
//! Parent directories of an inserted path are found the way a process inside the image would find
//! them: symbolic links in *parent* components are followed, within the root (an absolute target
//! starts at the tree's root, `..` stops there). The last component is never followed. Nothing of
//! this can name a place outside the tree, because there is none.
//!
//! Layers: [`FileTree::begin_layer`] starts a new one. Every entry remembers the layer that last
//! named it, and [`FileTree::whiteout`] and [`FileTree::make_opaque`] hide only what earlier layers
//! brought, wherever in its own layer the marker stands.
//!
//! ```
//! use lupine_rootfs::{FileTree, Metadata, TreePath};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut tree = FileTree::new();
//! let program = tree.add_file("usr/bin/server", *b"#!/bin/sh\n", 0o755)?;
//! let metadata = tree.inode(program).metadata;
//! tree.set_metadata(program, Metadata { uid: 33, ..metadata });
//! tree.hard_link(&TreePath::new("usr/bin/daemon")?, program)?;
//! tree.add_symlink("bin", "usr/bin")?;
//! // As a process inside would open it, by way of the link.
//! assert_eq!(tree.resolve(&TreePath::new("/bin/daemon")?)?, program);
//! tree.remove(&TreePath::new("usr/bin/server")?)?;
//! let paths: Vec<_> = tree.walk().map(|(path, _)| path.to_string()).collect();
//! assert_eq!(paths, ["/", "/bin", "/usr", "/usr/bin", "/usr/bin/daemon"]);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;

use crate::content::{Content, ContentSource, SourceId};
use crate::inode::{Inode, Kind, Metadata, Xattrs};
use crate::path::{MAX_DEPTH, PathError, TreePath};

mod classes;
mod deliver;
mod entries;
mod error;
mod inodes;
mod layers;
mod resolve;
mod slab;
#[cfg(test)]
mod tests;
mod walk;

use entries::{Entries, Entry};
use inodes::{Directory, Inodes};

pub use error::{ReadError, TreeError};
pub(crate) use walk::ByDirectory;
pub use walk::Walk;

/// Number of an inode within its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(crate) u32);

impl InodeId {
    /// The number as an index: dense, from 0 (the root), with holes where files were removed.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A file tree: see the [module documentation](self).
pub struct FileTree {
    inodes: Inodes,
    sources: Vec<Box<dyn ContentSource>>,
    layer: u32,
}

impl fmt::Debug for FileTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTree")
            .field("inodes", &self.len())
            .field("sources", &self.sources)
            .field("layer", &self.layer)
            .finish()
    }
}

impl Default for FileTree {
    fn default() -> Self {
        Self::new()
    }
}

impl FileTree {
    /// The inode of the root directory.
    pub const ROOT: InodeId = InodeId(0);

    /// A tree of one empty root directory, `0755`, owned by root, as of 1970.
    pub fn new() -> Self {
        let root = Inode::new(Kind::Directory, Metadata::with_mode(0o755));
        let mut inodes = Inodes::default();
        // The first one gets the number of the root.
        inodes.insert(root, Directory::default());
        Self {
            inodes,
            sources: Vec::new(),
            layer: 0,
        }
    }

    /// Number of inodes, the root included.
    pub fn len(&self) -> usize {
        self.inodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// One more than the largest [`InodeId::index`]: the length of a table over all inodes.
    pub fn inode_bound(&self) -> usize {
        self.inodes.bound()
    }

    /// The inode of this number, a value of its own: a change of it is none of the tree. Numbers of
    /// removed files are used again.
    ///
    /// # Panics
    /// When `id` comes from another tree or its file was removed.
    pub fn inode(&self, id: InodeId) -> Inode {
        self.inodes.get(id)
    }

    /// Whether an inode is a directory.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn is_directory(&self, id: InodeId) -> bool {
        self.inodes.is_directory(id)
    }

    /// The file type bits of an inode's `st_mode` (`S_IFMT`).
    pub(crate) fn type_bits(&self, id: InodeId) -> u16 {
        self.inodes.type_bits(id)
    }

    /// The content of a regular file, `None` for other kinds.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn content(&self, id: InodeId) -> Option<Content> {
        self.inodes.content(id)
    }

    /// Replaces owner, permissions and time of an inode.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn set_metadata(&mut self, id: InodeId, metadata: Metadata) {
        let inode = self.inodes.get(id);
        self.inodes.replace(id, Inode { metadata, ..inode });
    }

    /// Replaces the extended attributes of an inode.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn set_xattrs(&mut self, id: InodeId, xattrs: Xattrs) {
        let inode = self.inodes.get(id).with_xattrs(xattrs);
        self.inodes.replace(id, inode);
    }

    /// Replaces the content of a regular file under all its names.
    ///
    /// # Errors
    /// [`ReadError::NotAFile`] when the inode is of another kind.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn set_content(&mut self, id: InodeId, content: Content) -> Result<(), ReadError> {
        let mut inode = self.inodes.get(id);
        if inode.content().is_none() {
            return Err(ReadError::NotAFile {
                found: inode.kind.noun(),
            });
        }
        inode.kind = Kind::Regular(content);
        self.inodes.replace(id, inode);
        Ok(())
    }

    /// Number of names that stand for an inode; for a directory 1.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn link_count(&self, id: InodeId) -> u32 {
        self.inodes.links(id)
    }

    /// The entries of a directory in the order of their name bytes; none for other kinds.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn children(
        &self,
        directory: InodeId,
    ) -> impl DoubleEndedIterator<Item = (&[u8], InodeId)> + '_ {
        self.inodes
            .directory(directory)
            .into_iter()
            .flat_map(|directory| directory.entries.iter())
            .map(|(name, entry)| (name, entry.inode))
    }

    /// Number of entries of a directory, `.` and `..` not counted.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn child_count(&self, directory: InodeId) -> usize {
        self.inodes
            .directory(directory)
            .map_or(0, |directory| directory.entries.len())
    }

    /// The entry `name` of a directory.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        let entries = &self.inodes.directory(directory)?.entries;
        Some(entries.get(name)?.inode)
    }

    /// The number that the next source will get.
    pub(crate) fn next_source(&self) -> SourceId {
        SourceId(self.sources.len() as u32)
    }

    /// Adds a source of contents.
    ///
    /// # Panics
    /// Beyond 2^32 sources.
    pub fn add_source(&mut self, source: Box<dyn ContentSource>) -> SourceId {
        let id = self.next_source();
        self.sources.push(source);
        id
    }

    /// Puts `inode` at `path`. Missing parents become directories (`0755`, root, 1970); links in
    /// parents are followed. What stood there is replaced, except that a directory put onto a
    /// directory keeps the entries and takes owner, permissions, time and attributes.
    ///
    /// # Errors
    /// [`TreeError`] when a parent is no directory, links loop, or the root would stop being one.
    pub fn insert(&mut self, path: &TreePath, inode: Inode) -> Result<InodeId, TreeError> {
        let Some((parent, name)) = self.place(path)? else {
            if !inode.kind.is_directory() {
                return Err(TreeError::Root {
                    kind: inode.kind.noun(),
                });
            }
            self.inodes.replace(Self::ROOT, inode);
            return Ok(Self::ROOT);
        };
        if let Some(old) = self.child(parent, &name) {
            if inode.kind.is_directory() && self.is_directory(old) {
                self.inodes.replace(old, inode);
                self.name(parent, &name, old);
                return Ok(old);
            }
            self.unlink(parent, &name);
        }
        let id = self.allocate(inode, parent)?;
        self.name(parent, &name, id);
        Ok(id)
    }

    /// Puts `inode` into a directory under a name.
    pub(crate) fn insert_child(
        &mut self,
        directory: InodeId,
        name: &[u8],
        inode: Inode,
    ) -> Result<InodeId, TreeError> {
        resolve::check_name(name)?;
        self.unlink(directory, name);
        let id = self.allocate(inode, directory)?;
        self.name(directory, name, id);
        Ok(id)
    }

    /// Gives a file a further name in a directory.
    pub(crate) fn link_child(
        &mut self,
        directory: InodeId,
        name: &[u8],
        target: InodeId,
    ) -> Result<(), TreeError> {
        resolve::check_name(name)?;
        self.inodes.set_links(target, self.link_count(target) + 1);
        self.unlink(directory, name);
        self.name(directory, name, target);
        Ok(())
    }

    /// Gives `target` a further name, in place of what `path` named before.
    ///
    /// # Errors
    /// [`TreeError::LinkToDirectory`], and those of [`insert`](Self::insert).
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn hard_link(&mut self, path: &TreePath, target: InodeId) -> Result<(), TreeError> {
        if self.is_directory(target) {
            let target = self.path_of(target);
            return Err(TreeError::LinkToDirectory {
                path: path.clone(),
                target,
            });
        }
        let Some((parent, name)) = self.place(path)? else {
            return Err(TreeError::Root {
                kind: self.inode(target).kind.noun(),
            });
        };
        if self.child(parent, &name) != Some(target) {
            // Counted first, so that removing the last other name does not drop the inode.
            self.inodes.set_links(target, self.link_count(target) + 1);
            self.unlink(parent, &name);
        }
        self.name(parent, &name, target);
        Ok(())
    }

    /// Adds a directory; like [`insert`](Self::insert).
    ///
    /// # Errors
    /// As [`insert`](Self::insert), and [`PathError`] for the path.
    pub fn add_directory(
        &mut self,
        path: impl AsRef<[u8]>,
        mode: u16,
    ) -> Result<InodeId, TreeError> {
        let inode = Inode::new(Kind::Directory, Metadata::with_mode(mode));
        self.insert(&TreePath::new(path)?, inode)
    }

    /// Adds a regular file of root's from bytes in memory; like [`insert`](Self::insert).
    ///
    /// # Errors
    /// As [`insert`](Self::insert), and [`PathError`] for the path.
    pub fn add_file(
        &mut self,
        path: impl AsRef<[u8]>,
        bytes: impl Into<Arc<[u8]>>,
        mode: u16,
    ) -> Result<InodeId, TreeError> {
        let kind = Kind::Regular(Content::inline(bytes));
        self.insert(
            &TreePath::new(path)?,
            Inode::new(kind, Metadata::with_mode(mode)),
        )
    }

    /// Adds a symbolic link; like [`insert`](Self::insert).
    ///
    /// # Errors
    /// As [`insert`](Self::insert), and [`PathError`] for the path.
    pub fn add_symlink(
        &mut self,
        path: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
    ) -> Result<InodeId, TreeError> {
        let kind = Kind::Symlink(target.as_ref().into());
        self.insert(
            &TreePath::new(path)?,
            Inode::new(kind, Metadata::with_mode(0o777)),
        )
    }

    /// Removes the entry at `path` with all below it; links in parents are followed. Returns
    /// whether there was one.
    ///
    /// # Errors
    /// [`TreeError::Root`] for the root, [`TreeError::SymlinkLoop`].
    pub fn remove(&mut self, path: &TreePath) -> Result<bool, TreeError> {
        Ok(match self.existing(path)? {
            Some((parent, name)) => self.unlink(parent, &name),
            None => false,
        })
    }

    /// Has a name of this layer stand for an inode, whose names are counted elsewhere.
    fn name(&mut self, directory: InodeId, name: &[u8], inode: InodeId) {
        let layer = self.layer;
        self.entries_mut(directory)
            .insert(name, Entry { inode, layer });
    }

    /// Removes a name, and what no name stands for any more.
    fn unlink(&mut self, directory: InodeId, name: &[u8]) -> bool {
        let Some(entry) = self.entries_mut(directory).remove(name) else {
            return false;
        };
        self.forget(entry.inode);
        true
    }

    /// Takes a name from an inode; removes the inodes that no name stands for any more. Iterative.
    fn forget(&mut self, id: InodeId) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            match self.link_count(id) {
                0 | 1 => {
                    let directory = self.inodes.remove(id).unwrap_or_default();
                    open.extend(directory.entries.iter().map(|(_, entry)| entry.inode));
                }
                links => self.inodes.set_links(id, links - 1),
            }
        }
    }

    fn allocate(&mut self, inode: Inode, parent: InodeId) -> Result<InodeId, TreeError> {
        let mut directory = Directory::default();
        if inode.kind.is_directory() {
            let above = self.inodes.directory(parent);
            let depth = 1 + above.map_or(0, |found| found.depth);
            if depth as usize > MAX_DEPTH {
                return Err(PathError::TooDeep {
                    depth: depth as usize,
                }
                .into());
            }
            directory.parent = Some(parent);
            directory.depth = depth;
        }
        let id = self.inodes.insert(inode, directory);
        id.ok_or(TreeError::TooManyFiles)
    }

    /// The entries of what is known to be a directory.
    #[allow(
        clippy::expect_used,
        reason = "callers have seen that the inode is a directory"
    )]
    fn entries_mut(&mut self, id: InodeId) -> &mut Entries {
        let directory = self.inodes.directory_mut(id);
        &mut directory.expect("a directory has entries").entries
    }
}
