//! Contents on their way out of a tree.

use std::collections::HashSet;

use super::entries::make_room;
use super::{FileTree, InodeId};
use crate::content::{ContentSink, Data, DeliverError, Request, SourceId, Wanted};

impl FileTree {
    /// Has the sources deliver the contents of `inodes` (regular files; others are skipped) into
    /// `sink`; one pass over each source. Contents in memory are delivered, too. An inode may be
    /// given several times.
    ///
    /// # Errors
    /// [`DeliverError`] of the first source or sink that fails.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn deliver(
        &self,
        inodes: impl IntoIterator<Item = InodeId>,
        sink: &dyn ContentSink,
    ) -> Result<(), DeliverError> {
        let mut wanted: Vec<Vec<InodeId>> = vec![Vec::new(); self.sources.len()];
        let mut inline = HashSet::new();
        for id in inodes {
            if let Some((source, _)) = self.content_source(id) {
                make_room(&mut wanted[source.0 as usize], 1);
                wanted[source.0 as usize].push(id);
            } else if let Some(Data::Inline(bytes)) = self.content(id).map(|content| content.data) {
                if !inline.insert(id) {
                    continue;
                }
                if sink.cancelled() {
                    return Err(DeliverError::Cancelled);
                }
                sink.write(id, 0, &bytes).map_err(DeliverError::Sink)?;
            }
        }
        for (source, inodes) in self.sources.iter().zip(wanted) {
            if !inodes.is_empty() {
                let wanted = Wanted::new(self, inodes);
                source.deliver(&Request::new(&wanted, sink))?;
            }
        }
        Ok(())
    }

    /// Source and index of a content that has them.
    pub(crate) fn content_source(&self, id: InodeId) -> Option<(SourceId, u64)> {
        self.inodes.source(id)
    }
}
