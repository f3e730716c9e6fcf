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
//! use lupine_rootfs::{FileTree, TreePath};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut tree = FileTree::new();
//! let program = tree.add_file("usr/bin/server", *b"#!/bin/sh\n", 0o755)?;
//! tree.metadata_mut(program).uid = 33;
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

use thiserror::Error;

use crate::content::{Content, ContentSink, ContentSource, DeliverError, Request, SourceId};
use crate::inode::{Inode, Kind, Metadata};
use crate::path::{MAX_DEPTH, PathError, TreePath};

mod entries;
mod layers;
mod walk;

use entries::{Entries, Entry};

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

/// The last inode reached on a path, and the names left over.
type Reached = (InodeId, Vec<Box<[u8]>>);

/// A directory and a name in it.
type Place = (InodeId, Box<[u8]>);

/// An inode in its slot.
#[derive(Debug)]
struct Slot {
    inode: Inode,
    /// Names that stand for it; a directory has one (the root: one, too).
    links: u32,
    /// Of a directory; boxed, because most files are none.
    directory: Option<Box<Directory>>,
}

#[derive(Debug, Default)]
struct Directory {
    entries: Entries,
    parent: Option<InodeId>,
    /// Distance from the root.
    depth: u32,
    /// The layer in which nothing of earlier layers is left here or below.
    opaque_in: Option<u32>,
}

/// Why a tree cannot be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The path names no place in a tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A parent component is a file of another kind.
    #[error("`{at}` in path `{path}` is a {found}, not a directory")]
    NotADirectory {
        /// The path asked for.
        path: TreePath,
        /// The component that is no directory.
        at: TreePath,
        /// What it is.
        found: &'static str,
    },
    /// Too many symbolic links on the way.
    #[error("more than {limit} symbolic links on the way to `{path}`: they form a loop")]
    SymlinkLoop {
        /// The path asked for.
        path: TreePath,
        /// How many are followed.
        limit: u32,
    },
    /// Nothing has this name.
    #[error("`{path}` does not exist")]
    NotFound {
        /// The path asked for.
        path: TreePath,
    },
    /// Directories have one name.
    #[error("`{path}` cannot be a hard link to the directory `{target}`")]
    LinkToDirectory {
        /// The name to be made.
        path: TreePath,
        /// The directory.
        target: TreePath,
    },
    /// The root is a directory and stays.
    #[error("the root can be neither removed nor replaced by a {kind}")]
    Root {
        /// What was to replace it.
        kind: &'static str,
    },
    /// More inodes than a tree numbers (2^32 - 1).
    #[error("too many files for one tree")]
    TooManyFiles,
}

/// Why contents of a tree cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Larger than the caller allows.
    #[error("file of {len} bytes is larger than the {limit} bytes allowed")]
    TooLarge {
        /// Length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The content did not arrive.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// The inode is no regular file.
    #[error("a {found} has no content to read")]
    NotAFile {
        /// What it is.
        found: &'static str,
    },
    /// The source delivered less than it had promised.
    #[error("{arrived} of {expected} bytes of data arrived: the source changed or is damaged")]
    Incomplete {
        /// Bytes that arrived.
        arrived: u64,
        /// Bytes of data the content has.
        expected: u64,
    },
}

/// Symbolic links followed on one path, as in the kernel (`MAXSYMLINKS`).
const MAX_SYMLINKS: u32 = 40;

/// A file tree: see the [module documentation](self).
pub struct FileTree {
    slots: Vec<Option<Slot>>,
    /// Free slots, reused so that memory follows the tree and not its history.
    free: Vec<u32>,
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
        let root = Slot {
            inode: Inode::new(Kind::Directory, Metadata::with_mode(0o755)),
            links: 1,
            directory: Some(Box::default()),
        };
        Self {
            slots: vec![Some(root)],
            free: Vec::new(),
            sources: Vec::new(),
            layer: 0,
        }
    }

    /// Number of inodes, the root included.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// One more than the largest [`InodeId::index`]: the length of a table over all inodes.
    pub fn inode_bound(&self) -> usize {
        self.slots.len()
    }

    /// The inode of this number. Numbers of removed files are used again.
    ///
    /// # Panics
    /// When `id` comes from another tree or its file was removed.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.slot(id).inode
    }

    /// Owner, permissions and time of an inode, to be edited.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn metadata_mut(&mut self, id: InodeId) -> &mut Metadata {
        &mut self.slot_mut(id).inode.metadata
    }

    /// Replaces the extended attributes of an inode.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn set_xattrs(&mut self, id: InodeId, xattrs: crate::Xattrs) {
        let inode = &mut self.slot_mut(id).inode;
        inode.xattrs = (!xattrs.is_empty()).then(|| std::sync::Arc::new(xattrs));
    }

    /// Replaces the content of a regular file under all its names.
    ///
    /// # Errors
    /// [`ReadError::NotAFile`] when the inode is of another kind.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn set_content(&mut self, id: InodeId, content: Content) -> Result<(), ReadError> {
        match &mut self.slot_mut(id).inode.kind {
            Kind::Regular(old) => {
                *old = content;
                Ok(())
            }
            other => Err(ReadError::NotAFile {
                found: other.noun(),
            }),
        }
    }

    /// Number of names that stand for an inode; for a directory 1.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn link_count(&self, id: InodeId) -> u32 {
        self.slot(id).links
    }

    /// The entries of a directory in the order of their name bytes; none for other kinds.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn children(
        &self,
        directory: InodeId,
    ) -> impl DoubleEndedIterator<Item = (&[u8], InodeId)> + '_ {
        self.slot(directory)
            .directory
            .iter()
            .flat_map(|directory| directory.entries.iter())
            .map(|(name, entry)| (name, entry.inode))
    }

    /// Number of entries of a directory, `.` and `..` not counted.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn child_count(&self, directory: InodeId) -> usize {
        self.slot(directory)
            .directory
            .as_ref()
            .map_or(0, |directory| directory.entries.len())
    }

    /// The entry `name` of a directory.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        Some(
            self.slot(directory)
                .directory
                .as_ref()?
                .entries
                .get(name)?
                .inode,
        )
    }

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

    /// Adds a source of contents.
    ///
    /// # Panics
    /// Beyond 2^32 sources.
    pub fn add_source(&mut self, source: Box<dyn ContentSource>) -> SourceId {
        let id = SourceId(self.sources.len() as u32);
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
            self.slot_mut(Self::ROOT).inode = inode;
            return Ok(Self::ROOT);
        };
        let layer = self.layer;
        if let Some(old) = self.child(parent, &name) {
            if inode.kind.is_directory() && self.inode(old).kind.is_directory() {
                self.slot_mut(old).inode = inode;
                let entry = Entry { inode: old, layer };
                self.entries_mut(parent).insert(&name, entry);
                return Ok(old);
            }
            self.unlink(parent, &name);
        }
        let id = self.allocate(inode, parent)?;
        self.entries_mut(parent)
            .insert(&name, Entry { inode: id, layer });
        Ok(id)
    }

    /// Puts `inode` into a directory under a name.
    pub(crate) fn insert_child(
        &mut self,
        directory: InodeId,
        name: &[u8],
        inode: Inode,
    ) -> Result<InodeId, TreeError> {
        check_name(name)?;
        let layer = self.layer;
        self.unlink(directory, name);
        let id = self.allocate(inode, directory)?;
        self.entries_mut(directory)
            .insert(name, Entry { inode: id, layer });
        Ok(id)
    }

    /// Gives a file a further name in a directory.
    pub(crate) fn link_child(
        &mut self,
        directory: InodeId,
        name: &[u8],
        target: InodeId,
    ) -> Result<(), TreeError> {
        check_name(name)?;
        let layer = self.layer;
        self.slot_mut(target).links += 1;
        self.unlink(directory, name);
        self.entries_mut(directory).insert(
            name,
            Entry {
                inode: target,
                layer,
            },
        );
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
        if self.inode(target).kind.is_directory() {
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
        let layer = self.layer;
        if self.child(parent, &name) != Some(target) {
            // Counted first, so that removing the last other name does not drop the inode.
            self.slot_mut(target).links += 1;
            self.unlink(parent, &name);
        }
        self.entries_mut(parent).insert(
            &name,
            Entry {
                inode: target,
                layer,
            },
        );
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
        bytes: impl Into<std::sync::Arc<[u8]>>,
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

    /// Has the sources deliver the contents of `inodes` (regular files; others are skipped) into
    /// `sink`; one pass over each source. Contents in memory are delivered, too.
    ///
    /// # Errors
    /// [`DeliverError`] of the first source or sink that fails.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn deliver(
        &self,
        inodes: impl IntoIterator<Item = InodeId>,
        sink: &dyn ContentSink,
    ) -> Result<(), DeliverError> {
        let mut wanted: Vec<Vec<(u64, InodeId)>> = vec![Vec::new(); self.sources.len()];
        for id in inodes {
            let Some(content) = self.inode(id).content() else {
                continue;
            };
            if let Some((source, index)) = content.source() {
                wanted[source.0 as usize].push((index, id));
            } else if let crate::content::Data::Inline(bytes) = &content.data {
                if sink.cancelled() {
                    return Err(DeliverError::Cancelled);
                }
                sink.write(id, 0, &bytes.0).map_err(DeliverError::Sink)?;
            }
        }
        for (source, wanted) in self.sources.iter().zip(&mut wanted) {
            if !wanted.is_empty() {
                wanted.sort_unstable();
                wanted.dedup();
                source.deliver(&Request::new(wanted, sink))?;
            }
        }
        Ok(())
    }

    /// The path of a directory.
    fn path_of(&self, directory: InodeId) -> TreePath {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = directory;
        while let Some(parent) = self
            .slot(at)
            .directory
            .as_ref()
            .and_then(|found| found.parent)
        {
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
            let Kind::Symlink(target) = &self.inode(child).kind else {
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
        self.slot(directory)
            .directory
            .as_ref()
            .and_then(|found| found.parent)
            .unwrap_or(Self::ROOT)
    }

    /// The directory and name `path` stands for, missing parents made; `None` for the root.
    fn place(&mut self, path: &TreePath) -> Result<Option<Place>, TreeError> {
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
                    let layer = self.layer;
                    self.entries_mut(at)
                        .insert(&name, Entry { inode: made, layer });
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
        let kind = &self.inode(inode).kind;
        if kind.is_directory() {
            return Ok(());
        }
        Err(TreeError::NotADirectory {
            path: path.clone(),
            at: at.clone(),
            found: kind.noun(),
        })
    }

    /// The directory and name of an existing entry; `None` where nothing is.
    fn existing(&self, path: &TreePath) -> Result<Option<Place>, TreeError> {
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

    /// Removes a name, and the inodes that no name stands for any more. Iterative.
    fn unlink(&mut self, directory: InodeId, name: &[u8]) -> bool {
        let Some(entry) = self.entries_mut(directory).remove(name) else {
            return false;
        };
        let mut open = vec![entry.inode];
        while let Some(id) = open.pop() {
            let slot = self.slot_mut(id);
            slot.links -= 1;
            if slot.links == 0 {
                if let Some(directory) = slot.directory.take() {
                    open.extend(directory.entries.iter().map(|(_, entry)| entry.inode));
                }
                self.slots[id.index()] = None;
                self.free.push(id.0);
            }
        }
        true
    }

    fn allocate(&mut self, inode: Inode, parent: InodeId) -> Result<InodeId, TreeError> {
        let mut directory = None;
        if inode.kind.is_directory() {
            let depth = 1 + self
                .slot(parent)
                .directory
                .as_ref()
                .map_or(0, |found| found.depth);
            if depth as usize > MAX_DEPTH {
                return Err(PathError::TooDeep {
                    depth: depth as usize,
                }
                .into());
            }
            let parent = Some(parent);
            directory = Some(Box::new(Directory {
                parent,
                depth,
                ..Directory::default()
            }));
        }
        let slot = Some(Slot {
            inode,
            links: 1,
            directory,
        });
        if let Some(free) = self.free.pop() {
            self.slots[free as usize] = slot;
            return Ok(InodeId(free));
        }
        let id = u32::try_from(self.slots.len()).map_err(|_| TreeError::TooManyFiles)?;
        self.slots.push(slot);
        Ok(InodeId(id))
    }

    #[allow(
        clippy::expect_used,
        reason = "an id of another tree is the caller's error, documented as a panic"
    )]
    fn slot(&self, id: InodeId) -> &Slot {
        self.slots[id.index()]
            .as_ref()
            .expect("the inode was removed from its tree")
    }

    #[allow(
        clippy::expect_used,
        reason = "an id of another tree is the caller's error, documented as a panic"
    )]
    fn slot_mut(&mut self, id: InodeId) -> &mut Slot {
        self.slots[id.index()]
            .as_mut()
            .expect("the inode was removed from its tree")
    }

    /// The entries of what is known to be a directory.
    #[allow(
        clippy::expect_used,
        reason = "callers have seen that the inode is a directory"
    )]
    fn entries_mut(&mut self, id: InodeId) -> &mut Entries {
        &mut self
            .slot_mut(id)
            .directory
            .as_mut()
            .expect("a directory has entries")
            .entries
    }
}

/// Whether a name is one component.
fn check_name(name: &[u8]) -> Result<(), PathError> {
    let path = TreePath::new(name)?;
    if path.as_bytes() == name && !name.contains(&b'/') && !name.is_empty() {
        return Ok(());
    }
    Err(PathError::NotAName {
        name: name.to_vec(),
    })
}
