//! The superblock: 1,024 bytes at byte 1,024 of the image, with copies at the start of some groups.
//!
//! All numbers on disk are little-endian. Field names are those of the format's documentation and
//! of the kernel's `struct ext2_super_block` without their `s_` prefix.

use super::bytes::{get_u16, get_u32, put_u16, put_u32};

/// Byte offset of the primary superblock.
pub const OFFSET: u64 = 1024;

/// Size on disk in bytes.
pub const SIZE: usize = 1024;

/// `s_magic`.
pub const MAGIC: u16 = 0xEF53;

/// Compatible feature: extended attribute blocks.
pub const COMPAT_EXT_ATTR: u32 = 0x8;
/// Compatible feature: blocks reserved for growth of the group descriptors (inode 7).
pub const COMPAT_RESIZE_INODE: u32 = 0x10;
/// Compatible feature: a journal (ext3).
pub const COMPAT_HAS_JOURNAL: u32 = 0x4;
/// Compatible feature: indexed directories.
pub const COMPAT_DIR_INDEX: u32 = 0x20;
/// Incompatible feature: directory entries hold the file type.
pub const INCOMPAT_FILETYPE: u32 = 0x2;
/// Read-only compatible feature: superblock copies in groups 0, 1 and powers of 3, 5, 7 only.
pub const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
/// Read-only compatible feature: files of 2 GiB and more.
pub const RO_COMPAT_LARGE_FILE: u32 = 0x2;

/// Read-only compatible feature of ext4: `i_blocks` of 48 bits.
pub const RO_COMPAT_HUGE_FILE: u32 = 0x8;

/// Read-only compatible feature of ext4: quotas in inodes 3 and 4.
pub const RO_COMPAT_QUOTA: u32 = 0x100;

/// `s_flags`: names are hashed as signed bytes.
pub const FLAG_SIGNED_HASH: u32 = 0x1;
/// `s_flags`: names are hashed as unsigned bytes.
pub const FLAG_UNSIGNED_HASH: u32 = 0x2;

/// A superblock of revision 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are the format's, each is described there"
)]
pub struct Superblock {
    pub inodes_count: u32,
    pub blocks_count: u32,
    pub r_blocks_count: u32,
    pub free_blocks_count: u32,
    pub free_inodes_count: u32,
    pub first_data_block: u32,
    pub log_block_size: u32,
    /// The same as `log_block_size`: ext2 has no clusters.
    pub log_cluster_size: u32,
    pub blocks_per_group: u32,
    /// The same as `blocks_per_group`.
    pub clusters_per_group: u32,
    pub inodes_per_group: u32,
    pub mtime: u32,
    pub wtime: u32,
    pub mnt_count: u16,
    pub max_mnt_count: u16,
    pub magic: u16,
    pub state: u16,
    pub errors: u16,
    pub minor_rev_level: u16,
    pub lastcheck: u32,
    pub checkinterval: u32,
    pub creator_os: u32,
    pub rev_level: u32,
    pub def_resuid: u16,
    pub def_resgid: u16,
    pub first_ino: u32,
    pub inode_size: u16,
    pub block_group_nr: u16,
    pub feature_compat: u32,
    pub feature_incompat: u32,
    pub feature_ro_compat: u32,
    pub uuid: [u8; 16],
    pub volume_name: [u8; 16],
    pub reserved_gdt_blocks: u16,
    pub hash_seed: [u32; 4],
    pub def_hash_version: u8,
    pub mkfs_time: u32,
    pub flags: u32,
}

impl Superblock {
    /// The block size in bytes; `None` when the logarithm is out of range.
    pub fn block_size(&self) -> Option<u32> {
        (self.log_block_size <= 6).then(|| 1024 << self.log_block_size)
    }

    /// The 1,024 bytes on disk.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut b = [0; SIZE];
        put_u32(&mut b, 0, self.inodes_count);
        put_u32(&mut b, 4, self.blocks_count);
        put_u32(&mut b, 8, self.r_blocks_count);
        put_u32(&mut b, 12, self.free_blocks_count);
        put_u32(&mut b, 16, self.free_inodes_count);
        put_u32(&mut b, 20, self.first_data_block);
        put_u32(&mut b, 24, self.log_block_size);
        // Fragments were never implemented: they are blocks.
        put_u32(&mut b, 28, self.log_cluster_size);
        put_u32(&mut b, 32, self.blocks_per_group);
        put_u32(&mut b, 36, self.clusters_per_group);
        put_u32(&mut b, 40, self.inodes_per_group);
        put_u32(&mut b, 44, self.mtime);
        put_u32(&mut b, 48, self.wtime);
        put_u16(&mut b, 52, self.mnt_count);
        put_u16(&mut b, 54, self.max_mnt_count);
        put_u16(&mut b, 56, self.magic);
        put_u16(&mut b, 58, self.state);
        put_u16(&mut b, 60, self.errors);
        put_u16(&mut b, 62, self.minor_rev_level);
        put_u32(&mut b, 64, self.lastcheck);
        put_u32(&mut b, 68, self.checkinterval);
        put_u32(&mut b, 72, self.creator_os);
        put_u32(&mut b, 76, self.rev_level);
        put_u16(&mut b, 80, self.def_resuid);
        put_u16(&mut b, 82, self.def_resgid);
        put_u32(&mut b, 84, self.first_ino);
        put_u16(&mut b, 88, self.inode_size);
        put_u16(&mut b, 90, self.block_group_nr);
        put_u32(&mut b, 92, self.feature_compat);
        put_u32(&mut b, 96, self.feature_incompat);
        put_u32(&mut b, 100, self.feature_ro_compat);
        b[104..120].copy_from_slice(&self.uuid);
        b[120..136].copy_from_slice(&self.volume_name);
        put_u16(&mut b, 206, self.reserved_gdt_blocks);
        for (number, word) in self.hash_seed.into_iter().enumerate() {
            put_u32(&mut b, 236 + number * 4, word);
        }
        b[252] = self.def_hash_version;
        put_u32(&mut b, 264, self.mkfs_time);
        put_u32(&mut b, 352, self.flags);
        b
    }

    /// Reads the fields, whatever they hold.
    pub fn decode(b: &[u8; SIZE]) -> Self {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&b[104..120]);
        let mut volume_name = [0; 16];
        volume_name.copy_from_slice(&b[120..136]);
        Self {
            inodes_count: get_u32(b, 0),
            blocks_count: get_u32(b, 4),
            r_blocks_count: get_u32(b, 8),
            free_blocks_count: get_u32(b, 12),
            free_inodes_count: get_u32(b, 16),
            first_data_block: get_u32(b, 20),
            log_block_size: get_u32(b, 24),
            log_cluster_size: get_u32(b, 28),
            blocks_per_group: get_u32(b, 32),
            clusters_per_group: get_u32(b, 36),
            inodes_per_group: get_u32(b, 40),
            mtime: get_u32(b, 44),
            wtime: get_u32(b, 48),
            mnt_count: get_u16(b, 52),
            max_mnt_count: get_u16(b, 54),
            magic: get_u16(b, 56),
            state: get_u16(b, 58),
            errors: get_u16(b, 60),
            minor_rev_level: get_u16(b, 62),
            lastcheck: get_u32(b, 64),
            checkinterval: get_u32(b, 68),
            creator_os: get_u32(b, 72),
            rev_level: get_u32(b, 76),
            def_resuid: get_u16(b, 80),
            def_resgid: get_u16(b, 82),
            first_ino: get_u32(b, 84),
            inode_size: get_u16(b, 88),
            block_group_nr: get_u16(b, 90),
            feature_compat: get_u32(b, 92),
            feature_incompat: get_u32(b, 96),
            feature_ro_compat: get_u32(b, 100),
            uuid,
            volume_name,
            reserved_gdt_blocks: get_u16(b, 206),
            hash_seed: [236, 240, 244, 248].map(|at| get_u32(b, at)),
            def_hash_version: b[252],
            mkfs_time: get_u32(b, 264),
            flags: get_u32(b, 352),
        }
    }
}
