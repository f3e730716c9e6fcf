//! Reads an ext2 image: any, and made by anyone.
//!
//! Nothing an image says is believed: every number is checked against the image before it is used,
//! walks end, and memory stays in proportion to what the image really holds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use thiserror::Error;

use super::block_map::Shape;
use super::bytes::{get_u16, get_u32};
use super::disk_inode::{self, DiskInode};
use super::group::{self, GroupDescriptor};
use super::superblock::{self, Superblock};
use super::xattr;
use crate::inode::Xattrs;
use crate::path::TreePath;

/// Something with bytes at offsets.
pub trait ReadAt {
    /// Fills the buffer from an offset.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` beyond the end.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Number of bytes.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        use std::io::Seek;
        // Works for block devices, too.
        (&mut &*self).seek(io::SeekFrom::End(0))
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let found = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }
}

/// Why an image, or something in it, cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The image cannot be read.
    #[error("cannot read {len} bytes at offset {offset} of the image")]
    Io {
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: usize,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No ext2 superblock.
    #[error("no ext2 file system: magic number {found:#06x} instead of 0xef53")]
    NotExt2 {
        /// What stands where the magic number should.
        found: u16,
    },
    /// A feature of later file systems that changes how everything is read.
    #[error("the file system has incompatible features {bits:#x}: only ext2 images are read")]
    Unsupported {
        /// `s_feature_incompat` without what is understood.
        bits: u32,
    },
    /// A field of the superblock or of a group descriptor that cannot be.
    #[error("superblock: {field} is {value}, which cannot be")]
    BadSuperblock {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The number of an inode that does not exist.
    #[error("inode {number} does not exist: there are {count}")]
    NoSuchInode {
        /// The number.
        number: u32,
        /// Inodes of the file system.
        count: u32,
    },
    /// A block number outside the file system, or more blocks than it has.
    #[error("inode {inode}: block {block} is outside the file system or claimed without end")]
    BadBlock {
        /// The inode whose map it is in.
        inode: u32,
        /// The block number.
        block: u32,
    },
    /// A directory record that cannot be.
    #[error("directory {inode}: record at byte {offset} is damaged")]
    BadRecord {
        /// The directory's inode.
        inode: u32,
        /// Where, in bytes from the start of the directory.
        offset: u64,
    },
    /// An attribute block that cannot be.
    #[error("inode {inode}: extended attribute block {block} is damaged")]
    BadXattrs {
        /// The inode.
        inode: u32,
        /// The block.
        block: u32,
    },
    /// The inode is of another kind than needed.
    #[error("inode {inode} has mode {mode:#o}, which is no {wanted}")]
    WrongKind {
        /// The inode.
        inode: u32,
        /// Its mode.
        mode: u16,
        /// What was needed.
        wanted: &'static str,
    },
    /// Nothing has this name.
    #[error("`{path}` does not exist")]
    NotFound {
        /// The path.
        path: TreePath,
    },
    /// Too many symbolic links on the way.
    #[error("too many symbolic links on the way to `{path}`")]
    SymlinkLoop {
        /// The path.
        path: TreePath,
    },
    /// Larger than the caller allows.
    #[error("inode {inode} has {len} bytes: more than the {limit} allowed")]
    TooLarge {
        /// The inode.
        inode: u32,
        /// Its length in bytes.
        len: u64,
        /// What is allowed in bytes.
        limit: u64,
    },
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name.
    pub name: Vec<u8>,
    /// Number of the inode.
    pub inode: u32,
    /// File type of the record; 0 where the file system does not record it.
    pub file_type: u8,
}

/// An ext2 image.
#[derive(Debug)]
pub struct Image<R> {
    reader: R,
    superblock: Superblock,
    groups: Vec<GroupDescriptor>,
    block: u32,
}

/// Symbolic links followed on one path.
const MAX_SYMLINKS: u32 = 40;

/// Incompatible features that are understood.
const UNDERSTOOD: u32 = superblock::INCOMPAT_FILETYPE;

impl<R: ReadAt> Image<R> {
    /// Reads superblock and group descriptors.
    ///
    /// # Errors
    /// [`ImageError`] when this is no ext2 image, or its superblock contradicts itself or the
    /// length of the image.
    pub fn open(reader: R) -> Result<Self, ImageError> {
        let mut bytes = [0; superblock::SIZE];
        read_at(&reader, superblock::OFFSET, &mut bytes)?;
        let superblock = Superblock::decode(&bytes);
        if superblock.magic != superblock::MAGIC {
            return Err(ImageError::NotExt2 {
                found: superblock.magic,
            });
        }
        let bits = superblock.feature_incompat & !UNDERSTOOD;
        if bits != 0 {
            return Err(ImageError::Unsupported { bits });
        }
        let size = reader.size().map_err(|source| ImageError::Io {
            offset: superblock::OFFSET,
            len: 0,
            source,
        })?;
        let block = validate(&superblock, size)?;
        let count = group_count(&superblock);
        let mut groups = Vec::with_capacity(count as usize);
        let table = (u64::from(superblock.first_data_block) + 1) * u64::from(block);
        let mut bytes = vec![0; count as usize * group::SIZE];
        read_at(&reader, table, &mut bytes)?;
        for descriptor in bytes.as_chunks().0 {
            groups.push(GroupDescriptor::decode(descriptor));
        }
        Ok(Self {
            reader,
            superblock,
            groups,
            block,
        })
    }

    /// The superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The group descriptors.
    pub fn groups(&self) -> &[GroupDescriptor] {
        &self.groups
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u32 {
        self.block
    }

    /// The inode of a number, in use or not.
    ///
    /// # Errors
    /// [`ImageError::NoSuchInode`], [`ImageError::BadSuperblock`] for a table outside the image,
    /// [`ImageError::Io`].
    pub fn inode(&self, number: u32) -> Result<DiskInode, ImageError> {
        let count = self.superblock.inodes_count;
        if number == 0 || number > count {
            return Err(ImageError::NoSuchInode { number, count });
        }
        let per_group = self.superblock.inodes_per_group;
        let descriptor = &self.groups[((number - 1) / per_group) as usize];
        let index = u64::from((number - 1) % per_group);
        let table = u64::from(descriptor.inode_table) * u64::from(self.block);
        let mut bytes = [0; disk_inode::SIZE];
        self.read(table + index * u64::from(self.inode_size()), &mut bytes)?;
        Ok(DiskInode::decode(&bytes))
    }

    /// Bytes of an inode in the table.
    pub(crate) fn inode_size(&self) -> u16 {
        if self.superblock.rev_level == 0 {
            disk_inode::SIZE as u16
        } else {
            self.superblock.inode_size
        }
    }

    /// The first inode that is not reserved.
    pub(crate) fn first_inode(&self) -> u32 {
        if self.superblock.rev_level == 0 {
            11
        } else {
            self.superblock.first_ino
        }
    }

    /// Whether a block number names a block that files can have.
    pub(crate) fn is_data_block(&self, block: u32) -> bool {
        block > self.superblock.first_data_block && block < self.superblock.blocks_count
    }

    /// Reads a whole block.
    pub(crate) fn read_block(&self, number: u32) -> Result<Vec<u8>, ImageError> {
        let mut bytes = vec![0; self.block as usize];
        self.read(u64::from(number) * u64::from(self.block), &mut bytes)?;
        Ok(bytes)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ImageError> {
        read_at(&self.reader, offset, bytes)
    }

    /// Gives every mapped block of an inode to `each`: the number of the data block in the file
    /// and its block, in ascending order, up to the end of the file.
    pub(crate) fn each_block(
        &self,
        number: u32,
        inode: &DiskInode,
        each: &mut dyn FnMut(u64, u32) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let shape = Shape::new(u64::from(self.block));
        let end = inode.size.div_ceil(shape.block);
        // A map that names more blocks than there are goes in circles.
        let mut left = u64::from(self.superblock.blocks_count);
        let mut first = 0;
        for (slot, &block) in inode.block.iter().enumerate() {
            let height = (slot as u32).saturating_sub(11);
            if first >= end {
                break;
            }
            let walk = Walk {
                image: self,
                number,
                shape,
                end,
            };
            walk.below(block, height, first, &mut left, each)?;
            first += shape.pointers.pow(height);
        }
        Ok(())
    }

    /// Gives the content of a file to `each`, piece by piece, holes left out.
    ///
    /// # Errors
    /// [`ImageError`], or the caller's.
    pub fn read_file<E: From<ImageError>>(
        &self,
        number: u32,
        inode: &DiskInode,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // Consecutive blocks are read together.
        let mut run: Option<(u64, u32, u32)> = None;
        let mut buffer = Vec::new();
        let most = (1 << 18) / self.block;
        let mut failed = None;
        let walked = self.each_block(number, inode, &mut |logical, at| {
            if let Some((first, from, len)) = &mut run {
                if logical == *first + u64::from(*len) && at == *from + *len && *len < most {
                    *len += 1;
                    return Ok(());
                }
                let whole = (*first, *from, *len);
                if let Err(error) = self.piece(inode, whole, &mut buffer, &mut each) {
                    failed = Some(error);
                    return Err(ImageError::BadBlock {
                        inode: number,
                        block: at,
                    });
                }
            }
            run = Some((logical, at, 1));
            Ok(())
        });
        if let Some(error) = failed {
            return Err(error);
        }
        walked?;
        match run {
            Some(last) => self.piece(inode, last, &mut buffer, &mut each),
            None => Ok(()),
        }
    }

    fn piece<E: From<ImageError>>(
        &self,
        inode: &DiskInode,
        (first, from, len): (u64, u32, u32),
        buffer: &mut Vec<u8>,
        each: &mut impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let block = u64::from(self.block);
        let offset = first * block;
        let len = (u64::from(len) * block).min(inode.size.saturating_sub(offset));
        buffer.resize(len as usize, 0);
        self.read(u64::from(from) * block, buffer)?;
        each(offset, buffer)
    }

    /// The whole content of a regular file or a long symbolic link, holes as zeros.
    ///
    /// # Errors
    /// [`ImageError::TooLarge`] beyond `limit` bytes, and others for a damaged map.
    pub fn content(
        &self,
        number: u32,
        inode: &DiskInode,
        limit: u64,
    ) -> Result<Vec<u8>, ImageError> {
        if inode.size > limit {
            return Err(ImageError::TooLarge {
                inode: number,
                len: inode.size,
                limit,
            });
        }
        let mut content = vec![0; inode.size as usize];
        self.read_file::<ImageError>(number, inode, |offset, bytes| {
            content[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        Ok(content)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`ImageError::WrongKind`] for another kind, and those of [`content`](Self::content).
    pub fn symlink_target(&self, number: u32, inode: &DiskInode) -> Result<Vec<u8>, ImageError> {
        if inode.mode & 0o170_000 != 0o120_000 {
            let mode = inode.mode;
            return Err(ImageError::WrongKind {
                inode: number,
                mode,
                wanted: "symbolic link",
            });
        }
        if self.is_fast_symlink(inode) {
            return Ok(inode.block_bytes()[..inode.size as usize].to_vec());
        }
        self.content(number, inode, u64::from(self.block))
    }

    /// Whether a symbolic link's target is in the inode: it has no blocks but attributes.
    pub(crate) fn is_fast_symlink(&self, inode: &DiskInode) -> bool {
        let attributes = if inode.file_acl == 0 {
            0
        } else {
            self.block / 512
        };
        inode.blocks == attributes && inode.size < 60
    }

    /// The entries of a directory in the order on disk, `.` and `..` included.
    ///
    /// # Errors
    /// [`ImageError::WrongKind`] for another kind, [`ImageError::BadRecord`] and others for damage.
    pub fn entries(
        &self,
        number: u32,
        inode: &DiskInode,
    ) -> Result<Vec<DirectoryEntry>, ImageError> {
        if inode.mode & 0o170_000 != 0o040_000 {
            let mode = inode.mode;
            return Err(ImageError::WrongKind {
                inode: number,
                mode,
                wanted: "directory",
            });
        }
        let mut entries = Vec::new();
        self.each_block(number, inode, &mut |logical, at| {
            let bytes = self.read_block(at)?;
            let base = logical * u64::from(self.block);
            for record in Records::new(&bytes) {
                let record = record.map_err(|offset| ImageError::BadRecord {
                    inode: number,
                    offset: base + offset as u64,
                })?;
                if record.inode != 0 {
                    entries.push(DirectoryEntry {
                        name: record.name.to_vec(),
                        inode: record.inode,
                        file_type: self.file_type(record.file_type),
                    });
                }
            }
            Ok(())
        })?;
        Ok(entries)
    }

    /// The file type of a record; without the feature the byte is the name length's high half.
    pub(crate) fn file_type(&self, stored: u8) -> u8 {
        if self.records_file_types() { stored } else { 0 }
    }

    /// Whether directory records hold file types.
    pub(crate) fn records_file_types(&self) -> bool {
        self.superblock.feature_incompat & superblock::INCOMPAT_FILETYPE != 0
    }

    /// The extended attributes of an inode; those of unknown prefixes are left out.
    ///
    /// # Errors
    /// [`ImageError::BadXattrs`], [`ImageError::Io`].
    pub fn xattrs(&self, number: u32, inode: &DiskInode) -> Result<Xattrs, ImageError> {
        let block = inode.file_acl;
        if block == 0 {
            return Ok(BTreeMap::new());
        }
        let bad = || ImageError::BadXattrs {
            inode: number,
            block,
        };
        if !self.is_data_block(block) {
            return Err(bad());
        }
        xattr::decode(&self.read_block(block)?).ok_or_else(bad)
    }

    /// Number and inode at a path, symbolic links followed within the image; that of the last
    /// component only if `follow`.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], [`ImageError::SymlinkLoop`], and others for damage.
    pub fn lookup(&self, path: &TreePath, follow: bool) -> Result<(u32, DiskInode), ImageError> {
        let not_found = || ImageError::NotFound { path: path.clone() };
        let mut todo: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut at = (2, self.inode(2)?);
        let mut above = vec![at];
        let mut followed = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                above.pop();
                at = *above.last().unwrap_or(&at);
                if above.is_empty() {
                    above.push(at);
                }
                continue;
            }
            if at.1.mode & 0o170_000 != 0o040_000 {
                return Err(not_found());
            }
            let entries = self.entries(at.0, &at.1)?;
            let entry = entries
                .iter()
                .find(|entry| entry.name == name)
                .ok_or_else(not_found)?;
            let inode = self.inode(entry.inode)?;
            if inode.mode & 0o170_000 == 0o120_000 && (follow || !todo.is_empty()) {
                followed += 1;
                if followed > MAX_SYMLINKS {
                    return Err(ImageError::SymlinkLoop { path: path.clone() });
                }
                let target = self.symlink_target(entry.inode, &inode)?;
                if target.first() == Some(&b'/') {
                    above.truncate(1);
                    at = above[0];
                }
                let names = target.split(|&byte| byte == b'/').rev();
                todo.extend(
                    names
                        .filter(|n| !matches!(*n, b"" | b"."))
                        .map(<[u8]>::to_vec),
                );
                continue;
            }
            at = (entry.inode, inode);
            above.push(at);
        }
        Ok(at)
    }
}

/// A walk over one inode's map.
struct Walk<'a, R> {
    image: &'a Image<R>,
    number: u32,
    shape: Shape,
    end: u64,
}

impl<R: ReadAt> Walk<'_, R> {
    /// Recursion is at most four deep.
    fn below(
        &self,
        block: u32,
        height: u32,
        first: u64,
        left: &mut u64,
        each: &mut dyn FnMut(u64, u32) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        if block == 0 || first >= self.end {
            return Ok(());
        }
        let bad = ImageError::BadBlock {
            inode: self.number,
            block,
        };
        if !self.image.is_data_block(block) || *left == 0 {
            return Err(bad);
        }
        *left -= 1;
        if height == 0 {
            return each(first, block);
        }
        let span = self.shape.pointers.pow(height - 1);
        let bytes = self.image.read_block(block)?;
        for (slot, pointer) in bytes.as_chunks().0.iter().enumerate() {
            let below = first + slot as u64 * span;
            self.below(u32::from_le_bytes(*pointer), height - 1, below, left, each)?;
        }
        Ok(())
    }
}

/// A directory record as it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawRecord<'a> {
    pub(crate) inode: u32,
    pub(crate) name: &'a [u8],
    pub(crate) file_type: u8,
}

/// The records of a directory block; an error is the offset of a damaged one, and the last.
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RawRecord<'a>, usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        if offset >= self.bytes.len() {
            return None;
        }
        let rest = &self.bytes[offset..];
        let len = if rest.len() < 8 {
            0
        } else {
            usize::from(get_u16(rest, 4))
        };
        if len < 8 || !len.is_multiple_of(4) || len > rest.len() || 8 + usize::from(rest[6]) > len {
            self.offset = self.bytes.len();
            return Some(Err(offset));
        }
        self.offset += len;
        Some(Ok(RawRecord {
            inode: get_u32(rest, 0),
            name: &rest[8..8 + usize::from(rest[6])],
            file_type: rest[7],
        }))
    }
}

fn read_at<R: ReadAt>(reader: &R, offset: u64, bytes: &mut [u8]) -> Result<(), ImageError> {
    let len = bytes.len();
    reader
        .read_exact_at(bytes, offset)
        .map_err(|source| ImageError::Io {
            offset,
            len,
            source,
        })
}

/// Number of block groups.
pub(crate) fn group_count(superblock: &Superblock) -> u32 {
    let blocks = superblock
        .blocks_count
        .saturating_sub(superblock.first_data_block);
    blocks.div_ceil(superblock.blocks_per_group)
}

/// Refuses superblocks whose numbers do not go together; gives the block size.
fn validate(superblock: &Superblock, size: u64) -> Result<u32, ImageError> {
    let bad = |field, value: u32| {
        Err(ImageError::BadSuperblock {
            field,
            value: u64::from(value),
        })
    };
    let Some(block) = superblock.block_size() else {
        return bad("s_log_block_size", superblock.log_block_size);
    };
    let bits = block.saturating_mul(8);
    if superblock.first_data_block != u32::from(block == 1024) {
        return bad("s_first_data_block", superblock.first_data_block);
    }
    let per_group = superblock.blocks_per_group;
    if per_group == 0 || per_group > bits || !per_group.is_multiple_of(8) {
        return bad("s_blocks_per_group", per_group);
    }
    if superblock.clusters_per_group != per_group {
        return bad("s_clusters_per_group", superblock.clusters_per_group);
    }
    if superblock.log_cluster_size != superblock.log_block_size {
        return bad("s_log_cluster_size", superblock.log_cluster_size);
    }
    if superblock.blocks_count <= superblock.first_data_block
        || u64::from(superblock.blocks_count) > size / u64::from(block)
    {
        return bad("s_blocks_count", superblock.blocks_count);
    }
    let inodes = superblock.inodes_per_group;
    if inodes == 0 || inodes > bits || !inodes.is_multiple_of(8) {
        return bad("s_inodes_per_group", inodes);
    }
    if u64::from(superblock.inodes_count) != u64::from(inodes) * u64::from(group_count(superblock))
    {
        return bad("s_inodes_count", superblock.inodes_count);
    }
    let inode_size = u32::from(superblock.inode_size);
    if superblock.rev_level > 0
        && (inode_size < 128 || inode_size > block || !inode_size.is_power_of_two())
    {
        return bad("s_inode_size", inode_size);
    }
    if superblock.rev_level > 0
        && (superblock.first_ino < 11 || superblock.first_ino > superblock.inodes_count)
    {
        return bad("s_first_ino", superblock.first_ino);
    }
    Ok(block)
}
