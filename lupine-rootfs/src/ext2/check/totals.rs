//! Fourth and fifth pass: link counts, bitmaps, and the totals of groups and superblock.

use super::{Checker, Problem};
use crate::ext2::image::{ImageError, ReadAt};

impl<R: ReadAt> Checker<'_, R> {
    /// Compares link counts with the names found.
    pub(super) fn check_links(&mut self) {
        for (number, known) in self.inodes.iter().enumerate().skip(1) {
            if known.mode == 0 {
                continue;
            }
            let inode = number as u32;
            if known.names == 0 {
                self.problems.push(Problem::Unattached { inode });
            } else if u32::from(known.links) != known.names {
                let (stored, counted) = (known.links, known.names);
                self.problems.push(Problem::LinkCount {
                    inode,
                    stored,
                    counted,
                });
            }
        }
    }

    /// Compares bitmaps and totals with what was found.
    pub(super) fn check_totals(&mut self) -> Result<(), ImageError> {
        let superblock = *self.image.superblock();
        let mut free_blocks = 0_u64;
        let mut free_inodes = 0_u64;
        for number in 0..self.image.groups().len() as u32 {
            free_blocks += u64::from(self.check_blocks(number)?);
            free_inodes += u64::from(self.check_inodes(number)?);
        }
        for (what, stored, counted) in [
            (
                "the number of free blocks",
                superblock.free_blocks_count,
                free_blocks,
            ),
            (
                "the number of free inodes",
                superblock.free_inodes_count,
                free_inodes,
            ),
        ] {
            if u64::from(stored) != counted {
                self.problems.push(Problem::Total {
                    what,
                    stored,
                    counted,
                });
            }
        }
        Ok(())
    }

    /// Checks a group's block bitmap; returns its free blocks.
    fn check_blocks(&mut self, group: u32) -> Result<u32, ImageError> {
        let superblock = *self.image.superblock();
        let descriptor = self.image.groups()[group as usize];
        let per_group = superblock.blocks_per_group;
        let first = superblock.first_data_block + group * per_group;
        let len = per_group.min(superblock.blocks_count - first);
        let claimed = |bit: u32| self.claimed.get(u64::from(first) + u64::from(bit));
        let free = (0..len).filter(|&bit| !claimed(bit)).count() as u32;
        if descriptor.block_bitmap < superblock.blocks_count {
            let bitmap = self.image.read_block(descriptor.block_bitmap)?;
            let (wrongly_used, wrongly_free) = compare(&bitmap, len, claimed);
            if wrongly_used + wrongly_free > 0 {
                let problem = Problem::BlockBitmap {
                    group,
                    wrongly_used,
                    wrongly_free,
                };
                self.problems.push(problem);
            }
            if !padded(&bitmap, len) {
                self.problems.push(Problem::BitmapPadding {
                    group,
                    what: "block",
                });
            }
        }
        let stored = u32::from(descriptor.free_blocks_count);
        self.group_total(group, "the number of free blocks", stored, free);
        Ok(free)
    }

    /// Checks a group's inode bitmap; returns its free inodes.
    fn check_inodes(&mut self, group: u32) -> Result<u32, ImageError> {
        let superblock = *self.image.superblock();
        let descriptor = self.image.groups()[group as usize];
        let len = superblock.inodes_per_group;
        let first = group * len + 1;
        let reserved = self.image.first_inode();
        let used = |bit: u32| {
            let number = first + bit;
            number < reserved || self.inodes[number as usize].mode != 0
        };
        let free = (0..len).filter(|&bit| !used(bit)).count() as u32;
        let directories = (0..len)
            .filter(|&bit| self.directories.contains_key(&(first + bit)))
            .count() as u32;
        if descriptor.inode_bitmap < superblock.blocks_count {
            let bitmap = self.image.read_block(descriptor.inode_bitmap)?;
            let (wrongly_used, wrongly_free) = compare(&bitmap, len, used);
            if wrongly_used + wrongly_free > 0 {
                let problem = Problem::InodeBitmap {
                    group,
                    wrongly_used,
                    wrongly_free,
                };
                self.problems.push(problem);
            }
            if !padded(&bitmap, len) {
                self.problems.push(Problem::BitmapPadding {
                    group,
                    what: "inode",
                });
            }
        }
        let stored = u32::from(descriptor.free_inodes_count);
        self.group_total(group, "the number of free inodes", stored, free);
        let stored = u32::from(descriptor.used_dirs_count);
        self.group_total(group, "the number of directories", stored, directories);
        Ok(free)
    }

    fn group_total(&mut self, group: u32, what: &'static str, stored: u32, counted: u32) {
        if stored != counted {
            self.problems.push(Problem::GroupTotal {
                group,
                what,
                stored,
                counted,
            });
        }
    }
}

fn bit(bitmap: &[u8], bit: u32) -> bool {
    bitmap[(bit / 8) as usize] & 1 << (bit % 8) != 0
}

/// Bits set that should not be, and not set that should.
fn compare(bitmap: &[u8], len: u32, wanted: impl Fn(u32) -> bool) -> (u32, u32) {
    (0..len).fold((0, 0), |(used, free), at| {
        match (bit(bitmap, at), wanted(at)) {
            (true, false) => (used + 1, free),
            (false, true) => (used, free + 1),
            _ => (used, free),
        }
    })
}

/// Whether all bits behind the end are set.
fn padded(bitmap: &[u8], len: u32) -> bool {
    (len..bitmap.len() as u32 * 8).all(|at| bit(bitmap, at))
}
