//! Block groups: the descriptors, and which groups hold superblock copies.

use super::bytes::{get_u16, get_u32, put_u16, put_u32};

/// Size of a descriptor on disk in bytes.
pub const SIZE: usize = 32;

/// A group descriptor; names as in the format without their `bg_` prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(
    missing_docs,
    reason = "the names are the format's, each is described there"
)]
pub struct GroupDescriptor {
    pub block_bitmap: u32,
    pub inode_bitmap: u32,
    pub inode_table: u32,
    pub free_blocks_count: u16,
    pub free_inodes_count: u16,
    pub used_dirs_count: u16,
}

impl GroupDescriptor {
    /// The 32 bytes on disk.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut b = [0; SIZE];
        put_u32(&mut b, 0, self.block_bitmap);
        put_u32(&mut b, 4, self.inode_bitmap);
        put_u32(&mut b, 8, self.inode_table);
        put_u16(&mut b, 12, self.free_blocks_count);
        put_u16(&mut b, 14, self.free_inodes_count);
        put_u16(&mut b, 16, self.used_dirs_count);
        b
    }

    /// Reads the fields, whatever they hold.
    pub fn decode(b: &[u8; SIZE]) -> Self {
        Self {
            block_bitmap: get_u32(b, 0),
            inode_bitmap: get_u32(b, 4),
            inode_table: get_u32(b, 8),
            free_blocks_count: get_u16(b, 12),
            free_inodes_count: get_u16(b, 14),
            used_dirs_count: get_u16(b, 16),
        }
    }
}

/// Whether group `group` holds a copy of the superblock and the descriptors under `sparse_super`:
/// groups 0 and 1, and powers of 3, 5 and 7.
pub fn has_superblock(group: u32) -> bool {
    let power_of = |base: u32| {
        let mut rest = group;
        while rest.is_multiple_of(base) {
            rest /= base;
        }
        rest == 1
    };
    group <= 1 || power_of(3) || power_of(5) || power_of(7)
}

#[cfg(test)]
mod tests {
    #[test]
    fn superblock_copies_stand_in_powers_of_3_5_and_7() {
        let groups: Vec<u32> = (0..130)
            .filter(|&group| super::has_superblock(group))
            .collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }
}
