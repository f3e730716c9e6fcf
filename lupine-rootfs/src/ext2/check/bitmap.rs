//! A row of bits as long as a file system has blocks.

/// Bits from 0.
#[derive(Debug)]
pub(super) struct Bitmap {
    words: Vec<u64>,
    len: u64,
}

impl Bitmap {
    pub(super) fn new(len: u64) -> Self {
        Self {
            words: vec![0; len.div_ceil(64) as usize],
            len,
        }
    }

    /// Sets a bit; returns whether it was set. Bits beyond the end are never set.
    pub(super) fn set(&mut self, bit: u64) -> bool {
        if bit >= self.len {
            return false;
        }
        let word = &mut self.words[(bit / 64) as usize];
        let mask = 1 << (bit % 64);
        let was = *word & mask != 0;
        *word |= mask;
        was
    }

    pub(super) fn get(&self, bit: u64) -> bool {
        bit < self.len && self.words[(bit / 64) as usize] & 1 << (bit % 64) != 0
    }
}
