//! What a caller may choose about an image.

use thiserror::Error;

/// The block size of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockSize {
    /// 1,024 bytes.
    K1,
    /// 2,048 bytes.
    K2,
    /// 4,096 bytes.
    K4,
}

impl BlockSize {
    /// All, smallest first.
    pub const ALL: [Self; 3] = [Self::K1, Self::K2, Self::K4];

    /// In bytes.
    pub fn bytes(self) -> u32 {
        1024 << self.log()
    }

    /// `s_log_block_size`.
    pub(crate) fn log(self) -> u32 {
        match self {
            Self::K1 => 0,
            Self::K2 => 1,
            Self::K4 => 2,
        }
    }
}

/// The size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As small as the tree allows, and this many bytes free for new data (rounded up to blocks).
    Smallest {
        /// Bytes left free.
        free: u64,
    },
    /// Exactly this many bytes, rounded down to blocks.
    Exact(u64),
}

/// What an image is like beside its files. The defaults are constants: the same tree gives the
/// same bytes on every machine and every day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Block size; `None` takes 4 KiB, unless smaller blocks save a fifth of what the tree takes
    /// in an image of at most 512 MiB.
    pub block_size: Option<BlockSize>,
    /// Size; by default 32 MiB are left free (which costs nothing: the image is sparse).
    pub size: Size,
    /// Inodes left free; `None` takes one per 16 KiB of free space, and at least 64.
    pub free_inodes: Option<u32>,
    /// Volume label, at most 16 bytes.
    pub label: Vec<u8>,
    /// UUID, in the order of its text form.
    pub uuid: [u8; 16],
    /// Seed of the directory hash, as the bytes of a UUID.
    pub hash_seed: [u8; 16],
    /// Time of creation, in seconds since 1970; also that of `lost+found`.
    pub time: i64,
    /// Whether the image is on the disk, not only in memory, before it takes its name.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_size: None,
            size: Size::Smallest { free: 32 << 20 },
            free_inodes: None,
            label: Vec::new(),
            uuid: *b"lupine\x40\x00\x80\x00rootfs",
            hash_seed: *b"lupine\x40\x00\x80\x00htrees",
            time: 0,
            sync: true,
        }
    }
}

/// A block size that ext2 images of this crate do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("block size {bytes}: choose 1024, 2048 or 4096")]
pub struct BlockSizeError {
    /// What was asked for.
    pub bytes: u64,
}

impl TryFrom<u64> for BlockSize {
    type Error = BlockSizeError;

    fn try_from(bytes: u64) -> Result<Self, BlockSizeError> {
        let found = Self::ALL
            .into_iter()
            .find(|size| u64::from(size.bytes()) == bytes);
        found.ok_or(BlockSizeError { bytes })
    }
}
