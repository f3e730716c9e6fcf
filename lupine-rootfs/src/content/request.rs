//! What a source is asked for.

use std::fmt;
use std::fs::File;
use std::io;

use super::{ContentSink, DeliverError};
use crate::tree::{FileTree, InodeId};

/// The contents that are wanted of a source: by inodes alone, whose indices the tree knows.
pub(crate) struct Wanted<'a> {
    tree: &'a FileTree,
    /// Sorted by index, each inode once.
    inodes: Vec<InodeId>,
}

impl fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.firsts()).finish()
    }
}

impl<'a> Wanted<'a> {
    /// The contents of `inodes`, which are all of one source.
    pub(crate) fn new(tree: &'a FileTree, mut inodes: Vec<InodeId>) -> Self {
        inodes.sort_unstable_by_key(|&id| (index_of(tree, id), id));
        inodes.dedup();
        Self { tree, inodes }
    }

    /// Indices with the first of the inodes that want them, ascending.
    fn firsts(&self) -> impl Iterator<Item = (u64, InodeId)> + '_ {
        let index = |id| index_of(self.tree, id);
        self.inodes
            .chunk_by(move |&a, &b| index(a) == index(b))
            .map(move |same| (index(same[0]), same[0]))
    }

    fn targets(&self, index: u64) -> &[InodeId] {
        let of = |&id: &InodeId| index_of(self.tree, id);
        let start = self.inodes.partition_point(|id| of(id) < index);
        let behind = &self.inodes[start..];
        let len = behind.iter().take_while(|id| of(id) == index).count();
        &behind[..len]
    }
}

fn index_of(tree: &FileTree, id: InodeId) -> u64 {
    tree.content_source(id).map_or(0, |(_, index)| index)
}

/// What one source is asked to deliver in one pass, and the way to deliver it.
pub struct Request<'a> {
    /// One index may be wanted by several inodes.
    wanted: &'a Wanted<'a>,
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
    pub(crate) fn new(wanted: &'a Wanted<'a>, sink: &'a dyn ContentSink) -> Self {
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

    /// Where the content `index` begins at the sink ([`ContentSink::place`]): sources that can
    /// choose deliver in this order. Zero for an index that is not wanted.
    pub fn place(&self, index: u64) -> u64 {
        let first = self.wanted.targets(index).first();
        first.map_or(0, |&inode| self.sink.place(inode))
    }

    /// Number of wanted contents (an index wanted twice counts twice).
    pub fn len(&self) -> usize {
        self.wanted.inodes.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wanted.inodes.is_empty()
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
        for &inode in self.wanted.targets(index) {
            piece(inode).map_err(DeliverError::Sink)?;
        }
        Ok(())
    }
}
