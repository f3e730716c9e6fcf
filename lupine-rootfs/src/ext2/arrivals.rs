//! How much of each file's content has arrived.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::content::Content;
use crate::tree::InodeId;

/// Counts what arrives. Files mostly arrive whole, or one after the other: a bit for each, and a
/// number for the few of which a part is here.
#[derive(Debug)]
pub(crate) struct Arrivals(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Bits of the files of which all is here, by [`InodeId::index`].
    complete: Vec<u64>,
    /// Bytes of data that others lack.
    missing: HashMap<InodeId, u64>,
}

impl Arrivals {
    /// Of no file anything is here. `bound`: one more than the largest [`InodeId::index`].
    pub(crate) fn new(bound: usize) -> Self {
        Self(Mutex::new(State {
            complete: vec![0; bound.div_ceil(64)],
            missing: HashMap::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `len` bytes of data of a file; false where more arrive than it has.
    pub(crate) fn count(&self, inode: InodeId, content: &Content, len: u64) -> bool {
        let mut state = self.state();
        let Some(missing) = state.missing(inode, content).checked_sub(len) else {
            return false;
        };
        if missing > 0 {
            state.missing.insert(inode, missing);
            return true;
        }
        state.missing.remove(&inode);
        state.complete[inode.index() / 64] |= 1 << (inode.index() % 64);
        true
    }

    /// Bytes of data of a file that are not here.
    pub(crate) fn missing(&self, inode: InodeId, content: &Content) -> u64 {
        self.state().missing(inode, content)
    }
}

impl State {
    fn missing(&self, inode: InodeId, content: &Content) -> u64 {
        if self.complete[inode.index() / 64] & 1 << (inode.index() % 64) != 0 {
            return 0;
        }
        let missing = self.missing.get(&inode).copied();
        missing.unwrap_or_else(|| content.data_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Extent, SourceId};

    #[test]
    fn what_arrives_is_counted_and_no_more_than_there_is() {
        let arrivals = Arrivals::new(70);
        let (whole, sparse) = (InodeId(3), InodeId(69));
        let content = Content::from_source(SourceId(0), 0, 10);
        assert_eq!(arrivals.missing(whole, &content), 10);
        assert!(arrivals.count(whole, &content, 10));
        assert!(!arrivals.count(whole, &content, 1));
        assert!(arrivals.count(whole, &content, 0));
        assert_eq!(arrivals.missing(whole, &content), 0);

        let extents = [(5, 2), (20, 3)].map(|(offset, len)| Extent { offset, len });
        let content = Content::sparse(SourceId(0), 1, 30, extents).unwrap();
        assert!(arrivals.count(sparse, &content, 4));
        assert_eq!(arrivals.missing(sparse, &content), 1);
        assert!(!arrivals.count(sparse, &content, 2));
        assert!(arrivals.count(sparse, &content, 1));
        assert_eq!(arrivals.missing(sparse, &content), 0);
        assert!(!arrivals.count(sparse, &content, 1));
    }
}
