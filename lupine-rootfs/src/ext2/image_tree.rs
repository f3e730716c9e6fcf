//! An image as a file tree: to list, edit, extract, or write again.

use std::collections::HashMap;
use std::collections::hash_map;
use std::fmt;
use std::sync::Arc;

use super::disk_inode::{DiskInode, decode_device, decode_time};
use super::image::{Image, ImageError, ReadAt};
use crate::content::{Content, ContentSource, DeliverError, Extent, Request, SourceId};
use crate::inode::{Inode, Kind, Metadata};
use crate::path::TreePath;
use crate::tree::{FileTree, InodeId, TreeError};

use thiserror::Error;

/// Why an image cannot be read as a tree.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageTreeError {
    /// The image is damaged.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A name, or a place for it, that a tree does not hold.
    #[error("inode {inode} cannot be placed in the tree")]
    Tree {
        /// The inode.
        inode: u32,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// A directory is reached by two ways, perhaps from below itself.
    #[error("directory {inode} is found again at `{path}`")]
    DirectoryTwice {
        /// The directory's inode.
        inode: u32,
        /// Where it is found the second time.
        path: TreePath,
    },
    /// An inode that a name stands for is of no kind, or not in use.
    #[error("inode {inode} at `{path}` has mode {mode:#o}, which is no kind of file")]
    NoKind {
        /// The inode.
        inode: u32,
        /// Its name.
        path: TreePath,
        /// Its mode.
        mode: u16,
    },
}

/// Delivers contents out of an image: the index is the inode number.
struct ImageSource<R>(Arc<Image<R>>);

impl<R> fmt::Debug for ImageSource<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSource").finish_non_exhaustive()
    }
}

/// Errors on the way of a file out of an image.
enum Passing {
    Image(ImageError),
    Deliver(DeliverError),
}

impl From<ImageError> for Passing {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl<R: ReadAt + Send + Sync> ContentSource for ImageSource<R> {
    fn deliver(&self, request: &Request<'_>) -> Result<(), DeliverError> {
        for index in request.indices() {
            let number = index as u32;
            let inode = self.0.inode(number).map_err(DeliverError::source)?;
            let read = self.0.read_file(number, &inode, |offset, bytes| {
                request
                    .write(index, offset, bytes)
                    .map_err(Passing::Deliver)
            });
            read.map_err(|error| match error {
                Passing::Image(error) => DeliverError::source(error),
                Passing::Deliver(error) => error,
            })?;
        }
        Ok(())
    }
}

/// Reads an image as a tree whose contents stay in the image. `lost+found` is part of it.
///
/// # Errors
/// [`ImageTreeError`] when the image is damaged: run [`check`](super::check) for all of it.
pub fn read_tree<R>(image: Image<R>) -> Result<FileTree, ImageTreeError>
where
    R: ReadAt + Send + Sync + 'static,
{
    let mut tree = FileTree::new();
    let image = Arc::new(image);
    let source = tree.add_source(Box::new(ImageSource(Arc::clone(&image))));
    let mut seen: HashMap<u32, InodeId> = HashMap::new();
    let root = image.inode(2)?;
    let inode = make(&image, source, 2, &root, &TreePath::root())?;
    if !inode.kind.is_directory() {
        return Err(ImageTreeError::NoKind {
            inode: 2,
            path: TreePath::root(),
            mode: root.mode,
        });
    }
    let placed = |inode| move |source| ImageTreeError::Tree { inode, source };
    tree.insert(&TreePath::root(), inode).map_err(placed(2))?;
    seen.insert(2, FileTree::ROOT);
    let mut open = vec![(2, root, TreePath::root(), FileTree::ROOT)];
    while let Some((number, inode, path, parent)) = open.pop() {
        for entry in image.entries(number, &inode)? {
            if entry.name == b"." || entry.name == b".." {
                continue;
            }
            let at = path.child(&entry.name);
            match seen.entry(entry.inode) {
                hash_map::Entry::Occupied(known) => {
                    if tree.is_directory(*known.get()) {
                        let inode = entry.inode;
                        return Err(ImageTreeError::DirectoryTwice { inode, path: at });
                    }
                    tree.link_child(parent, &entry.name, *known.get())
                        .map_err(placed(entry.inode))?;
                }
                hash_map::Entry::Vacant(vacant) => {
                    let disk = image.inode(entry.inode)?;
                    let made = make(&image, source, entry.inode, &disk, &at)?;
                    let directory = made.kind.is_directory();
                    let id = tree
                        .insert_child(parent, &entry.name, made)
                        .map_err(placed(entry.inode))?;
                    // Only these can be met again.
                    if directory || disk.links_count > 1 {
                        vacant.insert(id);
                    }
                    if directory {
                        open.push((entry.inode, disk, at, id));
                    }
                }
            }
        }
    }
    Ok(tree)
}

/// The tree's inode of an inode on disk.
fn make<R: ReadAt>(
    image: &Image<R>,
    source: SourceId,
    number: u32,
    disk: &DiskInode,
    path: &TreePath,
) -> Result<Inode, ImageTreeError> {
    let (major, minor) = decode_device([disk.block[0], disk.block[1]]);
    let kind = match disk.mode & 0o170_000 {
        0o040_000 => Kind::Directory,
        0o100_000 => Kind::Regular(content(image, source, number, disk)?),
        0o120_000 => Kind::Symlink(image.symlink_target(number, disk)?.into()),
        0o020_000 => Kind::CharDevice { major, minor },
        0o060_000 => Kind::BlockDevice { major, minor },
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        _ => {
            let (inode, path, mode) = (number, path.clone(), disk.mode);
            return Err(ImageTreeError::NoKind { inode, path, mode });
        }
    };
    let metadata = Metadata {
        mode: disk.mode & 0o7777,
        uid: disk.uid,
        gid: disk.gid,
        mtime: decode_time(disk.mtime),
    };
    Ok(Inode::new(kind, metadata).with_xattrs(image.xattrs(number, disk)?))
}

/// A content with the extents its block map has.
fn content<R: ReadAt>(
    image: &Image<R>,
    source: SourceId,
    number: u32,
    disk: &DiskInode,
) -> Result<Content, ImageError> {
    let block = u64::from(image.block_size());
    let mut extents: Vec<Extent> = Vec::new();
    image.each_block(number, disk, &mut |logical, _| {
        let offset = logical * block;
        let len = block.min(disk.size - offset);
        match extents.last_mut() {
            Some(last) if last.offset + last.len == offset => last.len += len,
            _ => extents.push(Extent { offset, len }),
        }
        Ok(())
    })?;
    Content::sparse(source, u64::from(number), disk.size, extents).map_err(|_| {
        ImageError::BadBlock {
            inode: number,
            block: 0,
        }
    })
}
