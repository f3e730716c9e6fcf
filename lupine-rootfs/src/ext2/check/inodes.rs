//! First pass: the file system's own blocks, and each inode with the blocks it claims.

use super::{Checker, Family, Known, Problem};
use crate::ext2::block_map::Shape;
use crate::ext2::disk_inode::{DiskInode, FLAG_INDEX, FOREIGN_FLAGS};
use crate::ext2::group::{self, has_superblock};
use crate::ext2::image::{ImageError, ReadAt, group_count};
use crate::ext2::options::BlockSize;
use crate::ext2::superblock::{
    COMPAT_HAS_JOURNAL, COMPAT_RESIZE_INODE, RO_COMPAT_HUGE_FILE, RO_COMPAT_QUOTA,
    RO_COMPAT_SPARSE_SUPER,
};
use crate::ext2::{layout, xattr};

/// Number of the inode that keeps bad blocks.
const BAD_BLOCKS: u32 = 1;
/// Number of the root directory.
const ROOT: u32 = 2;
/// Number of the inode that reserves blocks for more group descriptors.
const RESIZE: u32 = 7;
/// Number of the inode of user quotas.
const QUOTA_USER: u32 = 3;
/// Number of the inode of group quotas.
const QUOTA_GROUP: u32 = 4;
/// Number of ext3's journal.
const JOURNAL: u32 = 8;

/// What a walk over a block map saw.
#[derive(Debug, Default)]
struct Claims {
    /// Data and index blocks.
    blocks: u64,
    /// Data blocks alone.
    data: u64,
    /// One more than the number of the last data block in the file.
    end: u64,
}

impl<R: ReadAt> Checker<'_, R> {
    /// Claims superblocks, descriptors, bitmaps and inode tables.
    pub(super) fn claim_metadata(&mut self) {
        let superblock = self.image.superblock();
        let block = u64::from(self.image.block_size());
        let groups = group_count(superblock);
        let descriptors = (u64::from(groups) * group::SIZE as u64).div_ceil(block);
        let table =
            u64::from(superblock.inodes_per_group) * u64::from(self.image.inode_size()) / block;
        let sparse = superblock.feature_ro_compat & RO_COMPAT_SPARSE_SUPER != 0;
        let first = u64::from(superblock.first_data_block);
        if first > 0 {
            // The boot block is no part of any group.
            self.claimed.set(0);
        }
        for number in 0..groups {
            let start = first + u64::from(number) * u64::from(superblock.blocks_per_group);
            if !sparse || has_superblock(number) {
                for at in start..=start + descriptors {
                    self.claimed.set(at);
                }
            }
        }
        for number in 0..groups {
            let start = first + u64::from(number) * u64::from(superblock.blocks_per_group);
            let end = (start + u64::from(superblock.blocks_per_group))
                .min(u64::from(superblock.blocks_count));
            let descriptor = self.image.groups()[number as usize];
            for (what, at, len) in [
                ("block bitmap", descriptor.block_bitmap, 1),
                ("inode bitmap", descriptor.inode_bitmap, 1),
                ("inode table", descriptor.inode_table, table),
            ] {
                let range = u64::from(at)..u64::from(at) + len;
                let inside = range.start >= start && range.end <= end;
                // Each block of a range is claimed, also where an earlier one was taken.
                let taken = inside
                    && range
                        .map(|bit| self.claimed.set(bit))
                        .fold(false, |a, b| a | b);
                if !inside || taken {
                    self.problems.push(Problem::MisplacedMetadata {
                        group: number,
                        what,
                        block: at,
                    });
                }
            }
        }
    }

    /// Checks an inode by itself, and claims its blocks.
    pub(super) fn check_inode(&mut self, number: u32) -> Result<(), ImageError> {
        let inode = match self.image.inode(number) {
            Ok(inode) => inode,
            // A table outside the image is a problem already known.
            Err(ImageError::Io { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let reserved = number < self.image.first_inode() && number != ROOT;
        if reserved {
            self.inodes[number as usize] = Known {
                mode: 0,
                links: inode.links_count,
                names: 0,
            };
            let resize = self.image.superblock().feature_compat & COMPAT_RESIZE_INODE != 0;
            let superblock = self.image.superblock();
            let journal = superblock.feature_compat & COMPAT_HAS_JOURNAL != 0;
            let quota = superblock.feature_ro_compat & RO_COMPAT_QUOTA != 0;
            // Whether a feature has a use for it, and whether without it not even a link may be.
            let (owned, unlinked) = match number {
                BAD_BLOCKS => (true, false),
                RESIZE => (resize, false),
                JOURNAL => (journal, true),
                QUOTA_USER | QUOTA_GROUP => (quota, true),
                _ => (false, false),
            };
            let linked = inode.links_count > 0;
            if linked || number == BAD_BLOCKS || (number == RESIZE && resize) {
                self.claim(number, &inode)?;
            }
            // Without a mode the upper half of a size is what directories have there.
            let size = inode.size != 0 || inode.dir_acl != 0;
            let flags = inode.flags & (FOREIGN_FLAGS | FLAG_INDEX) != 0;
            let filled = size || flags || inode.blocks != 0 || inode.block[0] != 0;
            if !owned && ((linked && unlinked) || (filled && !linked)) {
                self.problems.push(Problem::ReservedInode { inode: number });
            }
            return Ok(());
        }
        if number == ROOT && (inode.mode & 0o170_000 != 0o040_000 || inode.links_count == 0) {
            self.problems.push(Problem::BadRoot { mode: inode.mode });
        }
        if inode.links_count == 0 {
            if inode.mode != 0 && inode.dtime == 0 {
                self.problems.push(Problem::NotDeleted { inode: number });
            }
            return Ok(());
        }
        if inode.dtime != 0 {
            self.problems.push(Problem::DeletionTime { inode: number });
        }
        self.check_foreign(number, &inode);
        let known = Known {
            mode: inode.mode,
            links: inode.links_count,
            names: 0,
        };
        self.inodes[number as usize] = known;
        let xattrs = u64::from(self.check_xattrs(number, &inode)?);
        let fast = inode.mode & 0o170_000 == 0o120_000 && self.image.is_fast_symlink(&inode);
        let claims = match inode.mode & 0o170_000 {
            0o040_000 => {
                self.directories.insert(number, Family::default());
                self.claim(number, &inode)?
            }
            0o100_000 => self.claim(number, &inode)?,
            0o120_000 if !fast => self.claim(number, &inode)?,
            _ => Claims::default(),
        };
        let sectors = (claims.blocks + xattrs) * u64::from(self.image.block_size() / 512);
        if u64::from(inode.blocks) != sectors {
            let (stored, counted) = (inode.blocks, sectors);
            self.problems.push(Problem::BlockCount {
                inode: number,
                stored,
                counted,
            });
        }
        self.check_kind(number, &inode, fast, &claims)
    }

    /// Finds what ext2 leaves empty.
    fn check_foreign(&mut self, number: u32, inode: &DiskInode) {
        let huge = self.image.superblock().feature_ro_compat & RO_COMPAT_HUGE_FILE != 0;
        for (field, set) in [
            ("i_dir_acl", inode.dir_acl != 0),
            ("i_faddr", inode.faddr != 0),
            ("i_blocks_hi", inode.blocks_high != 0 && !huge),
            ("i_file_acl_hi", inode.file_acl_high != 0),
        ] {
            if set {
                self.problems.push(Problem::NotZero {
                    inode: number,
                    field,
                });
            }
        }
        let directory = inode.mode & 0o170_000 == 0o040_000;
        let wrong = FOREIGN_FLAGS | if directory { 0 } else { FLAG_INDEX };
        let flags = inode.flags & wrong;
        if flags != 0 {
            self.problems.push(Problem::ForeignFlags {
                inode: number,
                flags,
            });
        }
    }

    fn check_kind(
        &mut self,
        number: u32,
        inode: &DiskInode,
        fast: bool,
        claims: &Claims,
    ) -> Result<(), ImageError> {
        let block = u64::from(self.image.block_size());
        match inode.mode & 0o170_000 {
            0o040_000 => {
                let whole = claims.end * block;
                if inode.size != whole || whole == 0 {
                    self.problems.push(Problem::Size {
                        inode: number,
                        size: inode.size,
                    });
                }
            }
            0o100_000 => {
                let limit = BlockSize::try_from(block).map_or(u64::MAX, layout::longest_file);
                let cut = claims.end > 0 && inode.size < (claims.end - 1) * block;
                if cut || inode.size > limit {
                    self.problems.push(Problem::Size {
                        inode: number,
                        size: inode.size,
                    });
                }
            }
            0o120_000 => {
                let whole = if fast {
                    let bytes = inode.block_bytes();
                    inode.size > 0
                        && bytes.iter().position(|&b| b == 0) == Some(inode.size as usize)
                } else {
                    self.whole_symlink(inode, claims)?
                };
                if !whole {
                    self.problems.push(Problem::BadSymlink { inode: number });
                }
            }
            0o020_000 | 0o060_000 | 0o010_000 | 0o140_000 => {
                // Kernels leave stale pointers behind device numbers: only the size tells.
                if inode.size != 0 {
                    self.problems
                        .push(Problem::SpecialWithSize { inode: number });
                }
            }
            _ => self.problems.push(Problem::BadMode {
                inode: number,
                mode: inode.mode,
            }),
        }
        Ok(())
    }

    /// Whether the one block of a long symbolic link holds as many bytes as the inode says.
    fn whole_symlink(&self, inode: &DiskInode, claims: &Claims) -> Result<bool, ImageError> {
        let fits = inode.size > 0 && inode.size < u64::from(self.image.block_size());
        if !fits || claims.blocks != 1 || !self.image.is_data_block(inode.block[0]) {
            return Ok(false);
        }
        let bytes = self.image.read_block(inode.block[0])?;
        Ok(bytes.iter().position(|&byte| byte == 0) == Some(inode.size as usize))
    }

    /// Claims the blocks of an inode's map.
    fn claim(&mut self, number: u32, inode: &DiskInode) -> Result<Claims, ImageError> {
        let shape = Shape::new(u64::from(self.image.block_size()));
        let mut claims = Claims::default();
        let mut first = 0;
        for (slot, &pointer) in inode.block.iter().enumerate() {
            let height = (slot as u32).saturating_sub(11);
            self.claim_below(number, shape, (pointer, height, first), &mut claims)?;
            first += shape.pointers.pow(height);
        }
        if inode.mode & 0o170_000 == 0o040_000 && claims.data < claims.end {
            let block = claims.data;
            self.problems.push(Problem::DirectoryHole {
                inode: number,
                block,
            });
        }
        Ok(claims)
    }

    /// Claims a block and those below it. Recursion is at most four deep, and a block that is
    /// claimed already is not entered again, so the walk ends.
    fn claim_below(
        &mut self,
        number: u32,
        shape: Shape,
        (pointer, height, first): (u32, u32, u64),
        claims: &mut Claims,
    ) -> Result<(), ImageError> {
        if pointer == 0 {
            return Ok(());
        }
        if !self.image.is_data_block(pointer) {
            self.problems.push(Problem::BadBlock {
                inode: number,
                block: pointer,
            });
            return Ok(());
        }
        claims.blocks += 1;
        let shared = self.claimed.set(u64::from(pointer));
        if shared {
            self.problems.push(Problem::SharedBlock {
                inode: number,
                block: pointer,
            });
        }
        if height == 0 {
            claims.data += 1;
            claims.end = claims.end.max(first + 1);
            return Ok(());
        }
        if shared {
            return Ok(());
        }
        let bytes = self.image.read_block(pointer)?;
        let span = shape.pointers.pow(height - 1);
        for (slot, below) in bytes.as_chunks().0.iter().enumerate() {
            let at = (
                u32::from_le_bytes(*below),
                height - 1,
                first + slot as u64 * span,
            );
            self.claim_below(number, shape, at, claims)?;
        }
        Ok(())
    }

    /// Checks the attribute block an inode names; returns whether there is one.
    fn check_xattrs(&mut self, number: u32, inode: &DiskInode) -> Result<bool, ImageError> {
        let block = inode.file_acl;
        if block == 0 {
            return Ok(false);
        }
        if !self.image.is_data_block(block) {
            self.problems.push(Problem::BadXattrs {
                inode: number,
                block,
            });
            return Ok(false);
        }
        let references = self.xattr_blocks.entry(block).or_default();
        *references += 1;
        if *references > 1 {
            return Ok(true);
        }
        if self.claimed.set(u64::from(block)) {
            self.problems.push(Problem::SharedBlock {
                inode: number,
                block,
            });
        }
        let bytes = self.image.read_block(block)?;
        if !xattr::is_sound(&bytes) {
            self.problems.push(Problem::BadXattrs {
                inode: number,
                block,
            });
        }
        Ok(true)
    }

    /// Compares the reference counts of attribute blocks.
    pub(super) fn check_xattr_references(&mut self) -> Result<(), ImageError> {
        let mut blocks: Vec<(u32, u32)> = self
            .xattr_blocks
            .iter()
            .map(|(&block, &count)| (block, count))
            .collect();
        blocks.sort_unstable();
        for (block, counted) in blocks {
            let stored = xattr::references(&self.image.read_block(block)?);
            if stored != counted {
                self.problems.push(Problem::XattrReferences {
                    block,
                    stored,
                    counted,
                });
            }
        }
        Ok(())
    }
}
