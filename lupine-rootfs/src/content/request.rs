//! What a source is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;

use super::{ContentSink, DeliverError};
use crate::tree::InodeId;

/// The contents that are wanted of a source, in 8 bytes each: sources number theirs within few
/// multiples of 2^32.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// By high half of the index: low half and inode; sorted once all are there.
    parts: BTreeMap<u32, Vec<(u32, InodeId)>>,
    len: usize,
}

impl Wanted {
    pub(crate) fn push(&mut self, index: u64, inode: InodeId) {
        let part = self.parts.entry((index >> 32) as u32).or_default();
        part.push((index as u32, inode));
    }

    /// Ends the pushing.
    pub(crate) fn sort(&mut self) {
        for part in self.parts.values_mut() {
            part.sort_unstable();
            part.dedup();
        }
        self.len = self.parts.values().map(Vec::len).sum();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Indices with the first of the inodes that want them, ascending.
    fn firsts(&self) -> impl Iterator<Item = (u64, InodeId)> + '_ {
        self.parts.iter().flat_map(|(&high, part)| {
            part.chunk_by(|a, b| a.0 == b.0).map(move |same| {
                let (low, inode) = same[0];
                (u64::from(high) << 32 | u64::from(low), inode)
            })
        })
    }

    fn targets(&self, index: u64) -> &[(u32, InodeId)] {
        let part = self.parts.get(&((index >> 32) as u32));
        let (part, low) = (part.map_or(&[][..], Vec::as_slice), index as u32);
        let start = part.partition_point(|&(wanted, _)| wanted < low);
        let len = part[start..].partition_point(|&(wanted, _)| wanted == low);
        &part[start..start + len]
    }
}

/// What one source is asked to deliver in one pass, and the way to deliver it.
pub struct Request<'a> {
    /// One index may be wanted by several inodes.
    wanted: &'a Wanted,
    sink: &'a dyn ContentSink,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// `wanted` must be sorted.
    pub(crate) fn new(wanted: &'a Wanted, sink: &'a dyn ContentSink) -> Self {
        Self { wanted, sink }
    }

    /// Whether `index` is wanted: when not, its bytes can be skipped.
    pub fn wants(&self, index: u64) -> bool {
        !self.wanted.targets(index).is_empty()
    }

    /// The wanted indices, ascending, each once.
    pub fn indices(&self) -> impl Iterator<Item = u64> + 'a {
        self.wanted.firsts().map(|(index, _)| index)
    }

    /// The wanted indices, each once, in the order of their places at the sink.
    pub fn indices_by_place(&self) -> Vec<u64> {
        let mut indices: Vec<(u64, InodeId)> = self.wanted.firsts().collect();
        // Equal places keep the order of the source.
        indices.sort_unstable_by_key(|&(index, inode)| (self.sink.place(inode), index));
        indices.into_iter().map(|(index, _)| index).collect()
    }

    /// Number of wanted contents (an index wanted twice counts twice).
    pub fn len(&self) -> usize {
        self.wanted.len
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Delivers a piece of the content `index`. An index that is not wanted is ignored.
    ///
    /// # Errors
    /// [`DeliverError::Sink`] or [`DeliverError::Cancelled`], to be passed on.
    pub fn write(&self, index: u64, offset: u64, bytes: &[u8]) -> Result<(), DeliverError> {
        self.each(index, |inode| self.sink.write(inode, offset, bytes))
    }

    /// Delivers a piece of the content `index` out of an open file, at best without the bytes
    /// passing through this process.
    ///
    /// # Errors
    /// [`DeliverError::Sink`] or [`DeliverError::Cancelled`], to be passed on.
    pub fn copy_from(
        &self,
        index: u64,
        offset: u64,
        file: &File,
        file_offset: u64,
        len: u64,
    ) -> Result<(), DeliverError> {
        self.each(index, |inode| {
            self.sink.copy_from(inode, offset, file, file_offset, len)
        })
    }

    fn each(
        &self,
        index: u64,
        mut piece: impl FnMut(InodeId) -> io::Result<()>,
    ) -> Result<(), DeliverError> {
        if self.sink.cancelled() {
            return Err(DeliverError::Cancelled);
        }
        for &(_, inode) in self.wanted.targets(index) {
            piece(inode).map_err(DeliverError::Sink)?;
        }
        Ok(())
    }
}
