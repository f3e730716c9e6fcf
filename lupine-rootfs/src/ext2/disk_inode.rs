//! The inode on disk: 128 bytes in a group's inode table.
//!
//! Inodes of 128 bytes hold all that ext2 knows; larger ones only add what ext4 stores behind
//! (fractions of seconds, times after 2038, attributes within the inode), which the kernel's ext2
//! driver ignores. So this crate writes 128 and reads any size.

use super::bytes::{get_u16, get_u32, put_u16, put_u32};

/// Size on disk in bytes.
pub const SIZE: usize = 128;

/// `i_flags`: the directory is indexed.
pub const FLAG_INDEX: u32 = 0x1000;

/// `i_flags` of other file systems' ways to store a file: encrypted, of AFS, by extents, within the
/// inode, with folded case. ext2 has none of them.
pub const FOREIGN_FLAGS: u32 = 0x800 | 0x2000 | 0x8_0000 | 0x1000_0000 | 0x4000_0000;

/// An inode; names as in the format without their `i_` prefix, the halves of owner and size joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(
    missing_docs,
    reason = "the names are the format's, each is described there"
)]
pub struct DiskInode {
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub atime: u32,
    pub ctime: u32,
    pub mtime: u32,
    pub dtime: u32,
    pub links_count: u16,
    /// In units of 512 bytes, index and attribute blocks included.
    pub blocks: u32,
    pub flags: u32,
    pub block: [u32; 15],
    pub generation: u32,
    /// Block of extended attributes, or 0.
    pub file_acl: u32,
    /// Of all but regular files, where this is the high half of the size: 0.
    pub dir_acl: u32,
    /// Of fragments, which nobody has: 0.
    pub faddr: u32,
    /// High part of `blocks`, of ext4: 0.
    pub blocks_high: u16,
    /// High part of `file_acl`, of ext4: 0.
    pub file_acl_high: u16,
}

impl DiskInode {
    /// The 128 bytes on disk.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut b = [0; SIZE];
        put_u16(&mut b, 0, self.mode);
        put_u16(&mut b, 2, self.uid as u16);
        put_u32(&mut b, 4, self.size as u32);
        put_u32(&mut b, 8, self.atime);
        put_u32(&mut b, 12, self.ctime);
        put_u32(&mut b, 16, self.mtime);
        put_u32(&mut b, 20, self.dtime);
        put_u16(&mut b, 24, self.gid as u16);
        put_u16(&mut b, 26, self.links_count);
        put_u32(&mut b, 28, self.blocks);
        put_u32(&mut b, 32, self.flags);
        for (number, pointer) in self.block.into_iter().enumerate() {
            put_u32(&mut b, 40 + number * 4, pointer);
        }
        put_u32(&mut b, 100, self.generation);
        put_u32(&mut b, 104, self.file_acl);
        put_u32(&mut b, 108, (self.size >> 32) as u32 | self.dir_acl);
        put_u32(&mut b, 112, self.faddr);
        put_u16(&mut b, 116, self.blocks_high);
        put_u16(&mut b, 118, self.file_acl_high);
        put_u16(&mut b, 120, (self.uid >> 16) as u16);
        put_u16(&mut b, 122, (self.gid >> 16) as u16);
        b
    }

    /// Reads the fields of the first 128 bytes, whatever they hold.
    pub fn decode(b: &[u8; SIZE]) -> Self {
        let mode = get_u16(b, 0);
        // Only regular files have a high half of the size; directories had an ACL block there.
        let (high, dir_acl) = if mode & 0o170_000 == 0o100_000 {
            (get_u32(b, 108), 0)
        } else {
            (0, get_u32(b, 108))
        };
        let mut block = [0; 15];
        for (number, pointer) in block.iter_mut().enumerate() {
            *pointer = get_u32(b, 40 + number * 4);
        }
        Self {
            mode,
            uid: u32::from(get_u16(b, 2)) | u32::from(get_u16(b, 120)) << 16,
            gid: u32::from(get_u16(b, 24)) | u32::from(get_u16(b, 122)) << 16,
            size: u64::from(get_u32(b, 4)) | u64::from(high) << 32,
            atime: get_u32(b, 8),
            ctime: get_u32(b, 12),
            mtime: get_u32(b, 16),
            dtime: get_u32(b, 20),
            links_count: get_u16(b, 26),
            blocks: get_u32(b, 28),
            flags: get_u32(b, 32),
            block,
            generation: get_u32(b, 100),
            file_acl: get_u32(b, 104),
            dir_acl,
            faddr: get_u32(b, 112),
            blocks_high: get_u16(b, 116),
            file_acl_high: get_u16(b, 118),
        }
    }

    /// The 60 bytes of the block pointers as they stand on disk: where short symbolic links are.
    pub fn block_bytes(&self) -> [u8; 60] {
        let mut bytes = [0; 60];
        for (number, pointer) in self.block.into_iter().enumerate() {
            put_u32(&mut bytes, number * 4, pointer);
        }
        bytes
    }

    /// Puts bytes (at most 60) where the block pointers are.
    pub(crate) fn set_block_bytes(&mut self, bytes: &[u8]) {
        let mut padded = [0; 60];
        padded[..bytes.len()].copy_from_slice(bytes);
        for (number, pointer) in self.block.iter_mut().enumerate() {
            *pointer = get_u32(&padded, number * 4);
        }
    }
}

/// A time as ext2 stores it: signed 32-bit seconds. Gives the stored value, and whether the time
/// had to be moved to the nearest one that fits (1901-12-13 to 2038-01-19).
pub fn encode_time(seconds: i64) -> (u32, bool) {
    let fits = seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    ((fits as i32).cast_unsigned(), fits != seconds)
}

/// The time of a stored value, in seconds since 1970.
pub fn decode_time(stored: u32) -> i64 {
    i64::from(stored.cast_signed())
}

/// The two pointers that stand for a device: the old encoding where both numbers fit 8 bits, else
/// the new one (12 bits of major, 20 of minor). `None` when even that is too small.
pub fn encode_device(major: u32, minor: u32) -> Option<[u32; 2]> {
    if major < 256 && minor < 256 {
        Some([major << 8 | minor, 0])
    } else if major < 1 << 12 && minor < 1 << 20 {
        Some([0, (minor & 0xff) | major << 8 | (minor & !0xff) << 12])
    } else {
        None
    }
}

/// Major and minor number from the first two pointers.
pub fn decode_device(block: [u32; 2]) -> (u32, u32) {
    match block {
        [0, new] => ((new & 0xfff00) >> 8, (new & 0xff) | (new >> 12 & 0xfff00)),
        [old, _] => (old >> 8 & 0xff, old & 0xff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_survive_both_encodings() {
        for (major, minor) in [
            (1, 3),
            (255, 255),
            (256, 0),
            (0, 256),
            (4095, (1 << 20) - 1),
        ] {
            let encoded = encode_device(major, minor).unwrap();
            assert_eq!(decode_device(encoded), (major, minor));
        }
        assert_eq!(encode_device(4096, 0), None);
        assert_eq!(encode_device(0, 1 << 20), None);
    }

    #[test]
    fn times_before_1970_stay_and_far_ones_are_moved() {
        assert_eq!(decode_time(encode_time(-86_400).0), -86_400);
        assert_eq!(encode_time(1 << 31), (i32::MAX as u32, true));
        assert_eq!(encode_time(-(1 << 31) - 1), (0x8000_0000, true));
        assert_eq!(encode_time(-(1 << 31)), (0x8000_0000, false));
    }

    #[test]
    fn inodes_survive() {
        let inode = DiskInode {
            mode: 0o100_644,
            uid: 0x1234_5678,
            gid: 0x9abc_def0,
            size: 1 << 33 | 5,
            block: [7; 15],
            ..DiskInode::default()
        };
        assert_eq!(DiskInode::decode(&inode.encode()), inode);
    }
}
