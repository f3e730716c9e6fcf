//! Directory blocks: records of inode number, record length, name length, file type and name.
//!
//! Records start at multiples of four, never cross a block, and fill every block exactly: the last
//! record of a block is as long as the rest of it. The first two are `.` and `..`.

use super::bytes::{put_u16, put_u32};

/// A name with what its record holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) inode: u32,
    pub(crate) file_type: u8,
}

/// `file_type` of a directory's record.
pub(crate) const TYPE_DIRECTORY: u8 = 2;

/// The `file_type` of the file type bits of `st_mode`.
pub(crate) fn file_type(type_bits: u16) -> u8 {
    match type_bits {
        0o100_000 => 1,
        0o040_000 => TYPE_DIRECTORY,
        0o020_000 => 3,
        0o060_000 => 4,
        0o010_000 => 5,
        0o140_000 => 6,
        0o120_000 => 7,
        _ => 0,
    }
}

/// Bytes of a record: 8 of header and the name, rounded up to four.
pub(crate) fn record_len(name: &[u8]) -> usize {
    (8 + name.len()).next_multiple_of(4)
}

/// Counts the blocks that records fill when packed in order; says where each block begins.
#[derive(Debug)]
pub(crate) struct Packer {
    block: usize,
    used: usize,
    blocks: u64,
}

impl Packer {
    /// `used` bytes of the first block are taken.
    pub(crate) fn new(block: usize, used: usize) -> Self {
        Self {
            block,
            used,
            blocks: 1,
        }
    }

    /// Takes a record; returns whether it begins a new block.
    pub(crate) fn push(&mut self, name: &[u8]) -> bool {
        let len = record_len(name);
        let next = self.used + len > self.block;
        if next {
            self.blocks += 1;
            self.used = 0;
        }
        self.used += len;
        next
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }
}

/// One directory block being filled.
#[derive(Debug)]
pub(crate) struct DirectoryBlock {
    bytes: Vec<u8>,
    used: usize,
    /// Where the last record begins.
    last: usize,
}

impl DirectoryBlock {
    pub(crate) fn new(block: usize) -> Self {
        Self {
            bytes: vec![0; block],
            used: 0,
            last: 0,
        }
    }

    /// Appends a record that is known to fit.
    pub(crate) fn push(&mut self, record: Record<'_>) {
        let len = record_len(record.name);
        let at = self.used;
        put_u32(&mut self.bytes, at, record.inode);
        put_u16(&mut self.bytes, at + 4, len as u16);
        self.bytes[at + 6] = record.name.len() as u8;
        self.bytes[at + 7] = record.file_type;
        self.bytes[at + 8..at + 8 + record.name.len()].copy_from_slice(record.name);
        self.last = at;
        self.used = at + len;
    }

    /// Whether a record of this name still fits.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        self.used + record_len(name) <= self.bytes.len()
    }

    /// Ends the block: stretches the last record over the rest. Leaves an empty block behind.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let rest = (self.bytes.len() - self.last) as u16;
        put_u16(&mut self.bytes, self.last + 4, rest);
        let fresh = vec![0; self.bytes.len()];
        self.used = 0;
        self.last = 0;
        std::mem::replace(&mut self.bytes, fresh)
    }
}

/// `.` and `..`.
pub(crate) fn dots<'a>(own: u32, parent: u32) -> [Record<'a>; 2] {
    let file_type = TYPE_DIRECTORY;
    [
        Record {
            name: b".",
            inode: own,
            file_type,
        },
        Record {
            name: b"..",
            inode: parent,
            file_type,
        },
    ]
}

/// Bytes `.` and `..` take.
pub(crate) const DOTS: usize = 24;

/// Writes an unindexed directory, block by block.
pub(crate) fn write_linear<'a, E>(
    block: usize,
    own: u32,
    parent: u32,
    records: impl Iterator<Item = Record<'a>>,
    mut write: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut open = DirectoryBlock::new(block);
    let mut number = 0;
    for record in dots(own, parent).into_iter().chain(records) {
        if !open.fits(record.name) {
            write(number, &open.finish())?;
            number += 1;
        }
        open.push(record);
    }
    write(number, &open.finish())
}
