//! Contents on their way out of a tree.

use super::{FileTree, InodeId};
use crate::content::{ContentSink, Data, DeliverError, Request, Wanted};

impl FileTree {
    /// Has the sources deliver the contents of `inodes` (regular files; others are skipped) into
    /// `sink`; one pass over each source. Contents in memory are delivered, too.
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
        let mut wanted: Vec<Wanted> = Vec::new();
        wanted.resize_with(self.sources.len(), Wanted::default);
        for id in inodes {
            let Some(content) = self.content(id) else {
                continue;
            };
            if let Some((source, index)) = content.source() {
                wanted[source.0 as usize].push(index, id);
            } else if let Data::Inline(bytes) = &content.data {
                if sink.cancelled() {
                    return Err(DeliverError::Cancelled);
                }
                sink.write(id, 0, bytes).map_err(DeliverError::Sink)?;
            }
        }
        for (source, wanted) in self.sources.iter().zip(&mut wanted) {
            if !wanted.is_empty() {
                wanted.sort();
                source.deliver(&Request::new(wanted, sink))?;
            }
        }
        Ok(())
    }
}
