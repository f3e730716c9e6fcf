//! Where everything goes, decided from metadata alone.
//!
//! Inodes are numbered (see [`numbering`](super::numbering)), and data is placed, in one order: a
//! directory, then its files, then its subdirectories one after the other, each with all below it.
//! So the files of a directory stand behind it, and files that are read together stand together.

use std::collections::HashMap;
use std::sync::Arc;

use super::block_map::{FileMap, Shape};
use super::directory::{DOTS, Packer, Record, TYPE_DIRECTORY, file_type};
use super::disk_inode::{SIZE as INODE_SIZE, encode_device, encode_time};
use super::error::{Diagnostic, Diagnostics, WriteError};
use super::geometry::{DoesNotFit, FIRST_INODE, Geometry};
use super::htree::{self, IndexShape};
use super::numbering::{InOrder, Numbering};
use super::options::{BlockSize, Options, Size};
use super::places::Places;
use super::xattr;
use crate::inode::{Kind, Xattrs};
use crate::path::TreePath;
use crate::tree::{FileTree, InodeId};

/// Number of the root directory.
pub(crate) const ROOT: u32 = 2;

/// Names (for directories: subdirectories) an inode can have; what `e2fsck` accepts.
const MAX_LINKS: u64 = 65_000;

/// Longest symbolic link that is stored in its inode.
pub(crate) const FAST_SYMLINK: usize = 59;

/// Name of the directory for files that `e2fsck` finds without one.
pub(crate) const LOST_AND_FOUND: &[u8] = b"lost+found";

/// A block of extended attributes.
#[derive(Debug)]
pub(crate) struct XattrBlock {
    pub(crate) place: u64,
    pub(crate) xattrs: Arc<Xattrs>,
    pub(crate) references: u32,
}

/// The layout of an image.
#[derive(Debug)]
pub(crate) struct Layout<'t> {
    pub(crate) places: Places<'t>,
    hash_seed: [u32; 4],
    pub(crate) numbering: Numbering,
    /// Place of the block of a `lost+found` that the tree has not.
    pub(crate) lost_and_found: Option<u64>,
    /// Shapes of indexed directories.
    pub(crate) indexed: HashMap<InodeId, IndexShape>,
    /// Positions of files' attribute blocks in the list of them, from 1, by [`InodeId::index`]; up to
    /// the last file that has one.
    xattrs: Vec<u32>,
    pub(crate) xattr_blocks: Vec<XattrBlock>,
    /// Places taken, from 0.
    pub(crate) used: u64,
    pub(crate) diagnostics: Diagnostics,
}

impl<'t> Layout<'t> {
    /// Lays out `tree`.
    pub(crate) fn new(tree: &'t FileTree, options: &Options) -> Result<Self, WriteError> {
        let mut diagnostics = Diagnostics::default();
        let numbering = Numbering::new(tree)?;
        let demands = Demands::of(tree, &mut diagnostics)?;
        let block_size = choose(tree, options, &numbering, &demands)?;
        let shape = Shape::new(u64::from(block_size.bytes()));
        let hash_seed = [0, 4, 8, 12]
            .map(|at| u32::from_le_bytes([0, 1, 2, 3].map(|byte| options.hash_seed[at + byte])));
        let mut layout = Self {
            // The geometry is replaced when the number of blocks is known.
            places: Places::new(tree, geometry(block_size, 1, 1, options)?, shape),
            hash_seed,
            numbering,
            lost_and_found: None,
            indexed: HashMap::new(),
            xattrs: Vec::new(),
            xattr_blocks: Vec::new(),
            used: 0,
            diagnostics,
        };
        layout.place()?;
        let inodes = u64::from(layout.numbering.bound()) - 1;
        layout.places.geometry = geometry(block_size, layout.used, inodes, options)?;
        Ok(layout)
    }

    /// The inode number of a file.
    pub(crate) fn number(&self, id: InodeId) -> u32 {
        self.numbering.number(id)
    }

    /// The place of a file's attribute block.
    pub(crate) fn xattr_place(&self, id: InodeId) -> Option<u64> {
        let block = self.xattrs.get(id.index())?.checked_sub(1)?;
        Some(self.xattr_blocks[block as usize].place)
    }

    /// Blocks of data of a directory.
    pub(crate) fn directory_blocks(&self, id: InodeId) -> u64 {
        match self.indexed.get(&id) {
            Some(shape) => shape.blocks(),
            None => linear_blocks(self.places.tree, id, self.places.block()),
        }
    }

    /// The names of a directory in their order, and what they name; `None` is a `lost+found` that
    /// the tree has not.
    fn names(
        &self,
        id: InodeId,
    ) -> impl Iterator<Item = (&'t [u8], Option<InodeId>)> + use<'_, 't> {
        let missing = id == FileTree::ROOT && !self.numbering.has_lost_and_found();
        let children = self.places.tree.children(id);
        missing
            .then_some((LOST_AND_FOUND, None))
            .into_iter()
            .chain(children.map(|(name, child)| (name, Some(child))))
    }

    fn record(&self, name: &'t [u8], child: Option<InodeId>) -> Record<'t> {
        Record {
            name,
            inode: child.map_or(FIRST_INODE, |child| self.number(child)),
            file_type: child.map_or(TYPE_DIRECTORY, |child| {
                file_type(self.places.tree.type_bits(child))
            }),
        }
    }

    /// The records of a directory behind `.` and `..`, by name; with `lost+found` in the root.
    pub(crate) fn records(&self, id: InodeId) -> impl Iterator<Item = Record<'t>> + use<'_, 't> {
        self.names(id).map(|(name, child)| self.record(name, child))
    }

    /// The records of an indexed directory in the order of their hashes, and these.
    pub(crate) fn sorted_records(
        &self,
        id: InodeId,
    ) -> impl Iterator<Item = (u32, Record<'t>)> + use<'_, 't> {
        let count = 1 + self.places.tree.child_count(id);
        htree::in_hash_order(move || self.names(id), count, self.hash_seed)
            .map(|hashed| (hashed.hash, self.record(hashed.name, hashed.child)))
    }

    /// Seed of the directory hash, as the superblock holds it.
    pub(crate) fn hash_seed(&self) -> [u32; 4] {
        self.hash_seed
    }

    /// Gives every file its places, in the order of inode numbers.
    fn place(&mut self) -> Result<(), WriteError> {
        let mut shared = HashMap::new();
        let mut order = InOrder::new(self.places.tree);
        while let Some((_, file)) = order.next(&self.numbering) {
            match file {
                Some(id) => self.place_file(id, &mut shared)?,
                None => {
                    self.lost_and_found = Some(self.used);
                    self.used += 1;
                }
            }
        }
        Ok(())
    }

    fn place_file(
        &mut self,
        id: InodeId,
        shared: &mut HashMap<Arc<Xattrs>, u32>,
    ) -> Result<(), WriteError> {
        let tree = self.places.tree;
        let inode = tree.inode(id);
        if let Some(xattrs) = inode.xattrs {
            self.place_xattrs(id, xattrs, shared);
        }
        let start = u32::try_from(self.used).map_err(|_| WriteError::TooLarge)?;
        let blocks = match inode.kind {
            Kind::Directory => {
                if linear_blocks(tree, id, self.places.block()) > 1 {
                    let names = self.sorted_records(id).map(|(_, record)| record.name);
                    match IndexShape::new(self.places.block(), names) {
                        Some(shape) => {
                            self.indexed.insert(id, shape);
                        }
                        None => self.diagnostics.push(|| Diagnostic::NotIndexed {
                            path: path_of(tree, id),
                            entries: tree.child_count(id),
                        }),
                    }
                }
                FileMap::dense(self.places.shape, self.directory_blocks(id)).total()
            }
            Kind::Regular(content) => {
                let map = FileMap::of_content(self.places.shape, &content);
                let total = map.total();
                if map.is_sparse() {
                    self.places.keep_map(id, map);
                }
                total
            }
            Kind::Symlink(target) if target.len() > FAST_SYMLINK => 1,
            _ => 0,
        };
        if blocks > 0 {
            self.places.set_start(id, start);
            self.used += blocks;
        }
        Ok(())
    }

    fn place_xattrs(
        &mut self,
        id: InodeId,
        xattrs: Arc<Xattrs>,
        shared: &mut HashMap<Arc<Xattrs>, u32>,
    ) {
        if xattr::size(&xattrs) == 0 {
            return;
        }
        if let Some(&number) = shared.get(&xattrs) {
            let block = &mut self.xattr_blocks[number as usize - 1];
            if block.references < xattr::MAX_REFERENCES {
                block.references += 1;
                self.set_xattrs(id, number);
                return;
            }
        }
        self.xattr_blocks.push(XattrBlock {
            place: self.used,
            xattrs: Arc::clone(&xattrs),
            references: 1,
        });
        // There are no more of them than inodes, which have 32-bit numbers.
        let number = self.xattr_blocks.len() as u32;
        shared.insert(xattrs, number);
        self.set_xattrs(id, number);
        self.used += 1;
    }

    fn set_xattrs(&mut self, id: InodeId, number: u32) {
        if self.xattrs.len() <= id.index() {
            self.xattrs.resize(id.index() + 1, 0);
        }
        self.xattrs[id.index()] = number;
    }
}

/// A division into groups, or the error the caller understands.
fn geometry(
    block_size: BlockSize,
    data: u64,
    inodes: u64,
    options: &Options,
) -> Result<Geometry, WriteError> {
    Geometry::new(block_size, data, inodes, options.size, options.free_inodes).map_err(|error| {
        match (error, options.size) {
            (DoesNotFit::Smallest(needed), Size::Exact(asked)) => {
                WriteError::TooSmall { asked, needed }
            }
            _ => WriteError::TooLarge,
        }
    })
}

/// What the largest things in a tree ask of a block size, with who they are.
#[derive(Debug, Default)]
struct Demands {
    longest_file: Option<(u64, InodeId)>,
    longest_symlink: Option<(usize, InodeId)>,
    largest_xattrs: Option<(usize, InodeId)>,
}

impl Demands {
    /// Looks at every file once: finds what no block size helps, and remarks what changes.
    fn of(tree: &FileTree, diagnostics: &mut Diagnostics) -> Result<Self, WriteError> {
        let mut demands = Self::default();
        let mut open = vec![FileTree::ROOT];
        demands.inspect(tree, FileTree::ROOT, diagnostics)?;
        // Files with several names are looked at once.
        let mut seen = vec![false; tree.inode_bound()];
        while let Some(directory) = open.pop() {
            let mut subdirectories = 0;
            for (_, child) in tree.children(directory) {
                if tree.link_count(child) > 1 && std::mem::replace(&mut seen[child.index()], true) {
                    continue;
                }
                demands.inspect(tree, child, diagnostics)?;
                if tree.is_directory(child) {
                    open.push(child);
                    subdirectories += 1;
                }
            }
            check_links(tree, directory, subdirectories + 3)?;
        }
        Ok(demands)
    }

    fn inspect(
        &mut self,
        tree: &FileTree,
        id: InodeId,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), WriteError> {
        let inode = tree.inode(id);
        match &inode.kind {
            Kind::Regular(content) => {
                self.longest_file = self.longest_file.max(Some((content.len(), id)));
                check_links(tree, id, u64::from(tree.link_count(id)))?;
            }
            Kind::Symlink(target) => {
                if target.is_empty() || target.contains(&0) {
                    return Err(WriteError::BadSymlink {
                        path: path_of(tree, id),
                        len: target.len(),
                        zero_byte: target.contains(&0),
                        block_size: BlockSize::K4.bytes(),
                    });
                }
                self.longest_symlink = self.longest_symlink.max(Some((target.len(), id)));
                check_links(tree, id, u64::from(tree.link_count(id)))?;
            }
            &Kind::CharDevice { major, minor } | &Kind::BlockDevice { major, minor } => {
                if encode_device(major, minor).is_none() {
                    let path = path_of(tree, id);
                    return Err(WriteError::DeviceNumber { path, major, minor });
                }
                check_links(tree, id, u64::from(tree.link_count(id)))?;
            }
            Kind::Fifo | Kind::Socket => {
                check_links(tree, id, u64::from(tree.link_count(id)))?;
            }
            Kind::Directory => {}
        }
        let time = inode.metadata.mtime;
        let (stored, clamped) = encode_time(time);
        if clamped {
            diagnostics.push(|| Diagnostic::TimeClamped {
                path: path_of(tree, id),
                time,
                stored: super::disk_inode::decode_time(stored),
            });
        }
        if let Some(xattrs) = &inode.xattrs {
            for (name, value) in &**xattrs {
                if let Err(reason) = xattr::storable(name, value) {
                    diagnostics.push(|| Diagnostic::XattrDropped {
                        path: path_of(tree, id),
                        name: name.clone(),
                        reason,
                    });
                }
            }
            self.largest_xattrs = self.largest_xattrs.max(Some((xattr::size(xattrs), id)));
        }
        Ok(())
    }

    /// Whether a block size serves them; the error names the first that it does not.
    fn check(&self, tree: &FileTree, block_size: BlockSize) -> Result<(), WriteError> {
        let bytes = block_size.bytes();
        if let Some((len, id)) = self.longest_file {
            let limit = longest_file(block_size);
            if len > limit {
                let path = path_of(tree, id);
                return Err(WriteError::FileTooLarge {
                    path,
                    len,
                    block_size: bytes,
                    limit,
                });
            }
        }
        if let Some((len, id)) = self.longest_symlink
            && len >= bytes as usize
        {
            let path = path_of(tree, id);
            return Err(WriteError::BadSymlink {
                path,
                len,
                zero_byte: false,
                block_size: bytes,
            });
        }
        if let Some((size, id)) = self.largest_xattrs
            && size > bytes as usize
        {
            let path = path_of(tree, id);
            return Err(WriteError::XattrsTooLarge {
                path,
                size,
                block_size: bytes,
            });
        }
        Ok(())
    }
}

fn check_links(tree: &FileTree, id: InodeId, links: u64) -> Result<(), WriteError> {
    if links > MAX_LINKS {
        let path = path_of(tree, id);
        return Err(WriteError::TooManyLinks {
            path,
            links,
            limit: MAX_LINKS,
        });
    }
    Ok(())
}

/// The longest file in bytes: what the block map names, and what the count of 512-byte sectors
/// (32 bits, index blocks included) leaves.
pub(crate) fn longest_file(block_size: BlockSize) -> u64 {
    let shape = Shape::new(u64::from(block_size.bytes()));
    let p = shape.pointers;
    let index = 1 + (1 + p) + (1 + p + p * p);
    let counted = (u64::from(u32::MAX) / (shape.block / 512)) - index;
    shape.capacity().min(counted) * shape.block
}

/// Blocks of a directory without index.
fn linear_blocks(tree: &FileTree, id: InodeId, block: usize) -> u64 {
    let mut packer = Packer::new(block, DOTS);
    if id == FileTree::ROOT && tree.child(id, LOST_AND_FOUND).is_none() {
        packer.push(LOST_AND_FOUND);
    }
    for (name, _) in tree.children(id) {
        packer.push(name);
    }
    packer.blocks()
}

/// Largest image that gets smaller blocks: beyond, the metadata of many small groups costs more.
const SMALL_IMAGE: u64 = 512 << 20;

/// Chooses the block size: the one asked for, or the largest that serves, unless a smaller one
/// saves a fifth of what the tree takes in an image that is not large.
fn choose(
    tree: &FileTree,
    options: &Options,
    numbering: &Numbering,
    demands: &Demands,
) -> Result<BlockSize, WriteError> {
    if options.label.len() > 16 {
        return Err(WriteError::LabelTooLong {
            len: options.label.len(),
        });
    }
    if let Some(asked) = options.block_size {
        demands.check(tree, asked)?;
        return Ok(asked);
    }
    demands.check(tree, BlockSize::K4)?;
    let mut chosen = BlockSize::K4;
    let mut least = estimate(tree, numbering, chosen);
    for smaller in [BlockSize::K2, BlockSize::K1] {
        if demands.check(tree, smaller).is_ok() {
            let size = estimate(tree, numbering, smaller);
            let image = match options.size {
                Size::Smallest { free } => size.saturating_add(free),
                Size::Exact(image) => image,
            };
            if size <= least - least / 5 && image <= SMALL_IMAGE {
                (chosen, least) = (smaller, size);
            }
        }
    }
    Ok(chosen)
}

/// Bytes a tree takes with blocks of a size, indexes and shared attributes left out.
fn estimate(tree: &FileTree, numbering: &Numbering, block_size: BlockSize) -> u64 {
    let shape = Shape::new(u64::from(block_size.bytes()));
    let files = numbering.files(tree).filter_map(|(_, file)| file);
    let blocks = files.map(|id| match tree.inode(id).kind {
        Kind::Directory => linear_blocks(tree, id, shape.block as usize),
        Kind::Regular(content) => FileMap::of_content(shape, &content).total(),
        Kind::Symlink(target) if target.len() > FAST_SYMLINK => 1,
        _ => 0,
    });
    blocks.sum::<u64>() * shape.block + u64::from(numbering.bound()) * INODE_SIZE as u64
}

/// Any path of a file, found by looking through the tree: only for messages.
pub(crate) fn path_of(tree: &FileTree, id: InodeId) -> TreePath {
    tree.walk()
        .find(|&(_, found)| found == id)
        .map(|(path, _)| path)
        .unwrap_or_default()
}
