//! The division of an image into block groups, found from what must fit.
//!
//! A group is as many blocks as one block of bitmap covers. It begins with its metadata: copies of
//! superblock and descriptors (in some groups), two bitmaps, its part of the inode table. What is
//! left holds data, counted here through all groups as one row of *places*: place 0 is the first
//! data block of group 0. Laying out files along that row keeps them contiguous but for the
//! metadata between groups.

use super::disk_inode;
use super::group::{self, has_superblock};
use super::options::{BlockSize, Size};

/// Inodes 1 to 10 are the format's; 11 is `lost+found`.
pub(crate) const FIRST_INODE: u32 = 11;

/// Data blocks a last group must have beside its metadata to be worth having.
const SMALLEST_GROUP: u64 = 8;

/// A division into groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) block_size: BlockSize,
    pub(crate) blocks: u64,
    pub(crate) first_block: u64,
    pub(crate) blocks_per_group: u64,
    pub(crate) inodes_per_group: u32,
    pub(crate) groups: u32,
    /// First place of each group, and behind the last: the number of places.
    places: Vec<u64>,
}

/// What does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoesNotFit {
    /// More blocks than 32 bits number.
    TooManyBlocks,
    /// The exact size asked for is too small; the smallest that would do, in bytes.
    Smallest(u64),
}

impl Geometry {
    /// Divides an image that holds `data` blocks and `inodes` inodes (the reserved ones included),
    /// with `free_inodes` more.
    pub(crate) fn new(
        block_size: BlockSize,
        data: u64,
        inodes: u64,
        size: Size,
        free_inodes: Option<u32>,
    ) -> Result<Self, DoesNotFit> {
        let bytes = u64::from(block_size.bytes());
        let default_free = |space: u64| (space / (16 << 10)).max(64);
        match size {
            Size::Smallest { free } => {
                let free_inodes = free_inodes.map_or(default_free(free), u64::from);
                Self::smallest(
                    block_size,
                    data + free.div_ceil(bytes),
                    inodes + free_inodes,
                )
            }
            Size::Exact(total) => {
                let blocks = total / bytes;
                if blocks > u64::from(u32::MAX) {
                    return Err(DoesNotFit::TooManyBlocks);
                }
                let used = (data * bytes).min(total);
                let free_inodes = free_inodes.map_or(default_free(total - used), u64::from);
                let exact = Self::exact(block_size, blocks, inodes + free_inodes)
                    .filter(|geometry| geometry.capacity() >= data);
                exact.ok_or_else(|| match Self::smallest(block_size, data, inodes + 64) {
                    Ok(smallest) => DoesNotFit::Smallest(smallest.blocks * bytes),
                    Err(error) => error,
                })
            }
        }
    }

    fn smallest(block_size: BlockSize, data: u64, inodes: u64) -> Result<Self, DoesNotFit> {
        let bytes = u64::from(block_size.bytes());
        let most_inodes = bytes * 8;
        let first = u64::from(block_size == BlockSize::K1);
        // Enough groups for the inodes, however little data there is.
        let least_groups = inodes.div_ceil(most_inodes);
        let least = first + (least_groups - 1) * bytes * 8 + 1;
        let mut blocks = (first + data + 1).max(least);
        loop {
            if blocks > u64::from(u32::MAX) {
                return Err(DoesNotFit::TooManyBlocks);
            }
            match Self::exact(block_size, blocks, inodes) {
                Some(geometry) if geometry.blocks == blocks && geometry.capacity() >= data => {
                    return Ok(geometry);
                }
                Some(geometry) if geometry.blocks == blocks => {
                    blocks += data - geometry.capacity();
                }
                // The last group is too small to be one: grow until it is.
                _ => blocks += 1,
            }
        }
    }

    /// Divides `blocks` blocks; a last group too small for its metadata is left out. `None` when
    /// the inodes do not fit.
    fn exact(block_size: BlockSize, blocks: u64, inodes: u64) -> Option<Self> {
        let bytes = u64::from(block_size.bytes());
        let blocks_per_group = bytes * 8;
        let first_block = u64::from(block_size == BlockSize::K1);
        let mut blocks = blocks;
        loop {
            let groups = blocks.checked_sub(first_block)?.div_ceil(blocks_per_group);
            if groups == 0 {
                return None;
            }
            // Whole blocks of inodes, and whole bytes of bitmap.
            let per_block = bytes / disk_inode::SIZE as u64;
            let inodes_per_group = inodes.div_ceil(groups).next_multiple_of(per_block.max(8));
            if inodes_per_group > bytes * 8 || inodes_per_group * groups > u64::from(u32::MAX) {
                return None;
            }
            let mut geometry = Self {
                block_size,
                blocks,
                first_block,
                blocks_per_group,
                inodes_per_group: inodes_per_group as u32,
                groups: groups as u32,
                places: Vec::with_capacity(groups as usize + 1),
            };
            let last = geometry.groups - 1;
            let last_len = geometry.group_len(last);
            if last_len < geometry.overhead(last) + SMALLEST_GROUP {
                if last == 0 {
                    return None;
                }
                blocks -= last_len;
                continue;
            }
            let mut place = 0;
            for number in 0..geometry.groups {
                geometry.places.push(place);
                place += geometry
                    .group_len(number)
                    .checked_sub(geometry.overhead(number))?;
            }
            geometry.places.push(place);
            return Some(geometry);
        }
    }

    /// Bytes of a block.
    pub(crate) fn block_bytes(&self) -> u64 {
        u64::from(self.block_size.bytes())
    }

    /// Blocks the descriptors of all groups take.
    pub(crate) fn descriptor_blocks(&self) -> u64 {
        (u64::from(self.groups) * group::SIZE as u64).div_ceil(self.block_bytes())
    }

    /// Blocks a group's part of the inode table takes.
    pub(crate) fn table_blocks(&self) -> u64 {
        u64::from(self.inodes_per_group) * disk_inode::SIZE as u64 / self.block_bytes()
    }

    /// First block of a group.
    pub(crate) fn group_start(&self, number: u32) -> u64 {
        self.first_block + u64::from(number) * self.blocks_per_group
    }

    /// Blocks of a group: all the same but the last.
    pub(crate) fn group_len(&self, number: u32) -> u64 {
        self.blocks_per_group
            .min(self.blocks - self.group_start(number))
    }

    /// Blocks of superblock copy and descriptors at the start of a group.
    pub(crate) fn head_blocks(&self, number: u32) -> u64 {
        if has_superblock(number) {
            1 + self.descriptor_blocks()
        } else {
            0
        }
    }

    /// Blocks of metadata of a group.
    pub(crate) fn overhead(&self, number: u32) -> u64 {
        self.head_blocks(number) + 2 + self.table_blocks()
    }

    /// Number of places for data.
    pub(crate) fn capacity(&self) -> u64 {
        self.places.last().copied().unwrap_or(0)
    }

    /// Number of inodes.
    pub(crate) fn inodes(&self) -> u32 {
        self.inodes_per_group * self.groups
    }

    /// Places of a group before `end` that are taken when all places before `end` are.
    pub(crate) fn used_places(&self, number: u32, end: u64) -> u64 {
        let first = self.places[number as usize];
        end.clamp(first, self.places[number as usize + 1]) - first
    }

    /// The block at a place, and how many places from it on are consecutive blocks.
    pub(crate) fn block_at(&self, place: u64) -> (u64, u64) {
        let group = self.places.partition_point(|&first| first <= place) - 1;
        let number = (group as u32).min(self.groups - 1);
        let first = self.places[number as usize];
        let block = self.group_start(number) + self.overhead(number) + (place - first);
        (
            block,
            self.places[number as usize + 1].saturating_sub(place),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everything_fits_and_nothing_overlaps(
            size in prop::sample::select(BlockSize::ALL.to_vec()),
            data in 1u64..400_000,
            inodes in 12u64..300_000,
            free in 0u64..50_000_000,
        ) {
            let size_wanted = Size::Smallest { free };
            let geometry = Geometry::new(size, data, inodes, size_wanted, None).unwrap();
            prop_assert!(geometry.capacity() >= data + free / u64::from(size.bytes()));
            prop_assert!(u64::from(geometry.inodes()) >= inodes);
            let mut place = 0;
            let mut reached = 0;
            while place < geometry.capacity() {
                let (block, run) = geometry.block_at(place);
                prop_assert!(block >= reached && run > 0);
                reached = block + run;
                place += run;
            }
            prop_assert!(reached <= geometry.blocks);
            let exact = Size::Exact(geometry.blocks * geometry.block_bytes());
            let again = Geometry::new(size, data, inodes, exact, Some(0)).unwrap();
            prop_assert_eq!(again.blocks, geometry.blocks);
        }
    }
}
