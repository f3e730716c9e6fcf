//! The entries of a directory: sorted by name, and small, because a tree holds one for every file.

use super::InodeId;

/// Entries of a leaf at most: their names then take less than 64 KiB.
const LEAF: usize = 256;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) inode: InodeId,
    /// The layer that last named this entry.
    pub(super) layer: u32,
}

/// An entry, its name a part of the names of its leaf.
#[derive(Debug, Clone, Copy)]
struct Record {
    entry: Entry,
    start: u16,
    len: u8,
}

/// Entries that follow one another; never empty.
#[derive(Debug, Default)]
struct Leaf {
    /// The names in the order in which they came.
    names: Vec<u8>,
    /// Sorted by name.
    records: Vec<Record>,
}

/// A sorted map from names of at most 255 bytes.
#[derive(Debug, Default)]
pub(super) struct Entries {
    leaves: Vec<Leaf>,
    len: usize,
}

impl Leaf {
    fn name(&self, number: usize) -> &[u8] {
        let record = &self.records[number];
        &self.names[usize::from(record.start)..][..usize::from(record.len)]
    }

    /// Where a name is, or where it would be.
    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        let name_of =
            |record: &Record| &self.names[usize::from(record.start)..][..usize::from(record.len)];
        self.records
            .binary_search_by(|record| name_of(record).cmp(name))
    }

    fn insert(&mut self, at: usize, name: &[u8], entry: Entry) {
        // Neither is cut: names are at most 255 bytes, and leaves hold at most 256 of them.
        let (start, len) = (self.names.len() as u16, name.len() as u8);
        self.names.extend_from_slice(name);
        self.records.insert(at, Record { entry, start, len });
    }

    fn remove(&mut self, at: usize) -> Entry {
        let Record { entry, start, len } = self.records.remove(at);
        let from = usize::from(start);
        self.names.drain(from..from + usize::from(len));
        for record in &mut self.records {
            if record.start > start {
                record.start -= u16::from(len);
            }
        }
        entry
    }

    /// Moves the entries from `at` on into a new leaf.
    fn split(&mut self, at: usize) -> Self {
        let mut parts = [Self::default(), Self::default()];
        for number in 0..self.records.len() {
            let part = &mut parts[usize::from(number >= at)];
            part.insert(
                part.records.len(),
                self.name(number),
                self.records[number].entry,
            );
        }
        let [front, mut back] = parts;
        *self = front;
        self.names.shrink_to_fit();
        back.names.shrink_to_fit();
        back
    }
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The leaf in which a name is or would be; 0 where there is none.
    fn leaf(&self, name: &[u8]) -> usize {
        let behind = self.leaves.partition_point(|leaf| leaf.name(0) <= name);
        behind.saturating_sub(1)
    }

    fn find(&self, name: &[u8]) -> Option<(usize, usize)> {
        let leaf = self.leaf(name);
        let at = self.leaves.get(leaf)?.find(name).ok()?;
        Some((leaf, at))
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Entry> {
        let (leaf, at) = self.find(name)?;
        Some(self.leaves[leaf].records[at].entry)
    }

    /// Puts an entry in, in place of one of the same name.
    pub(super) fn insert(&mut self, name: &[u8], entry: Entry) {
        if self.leaves.is_empty() {
            let mut leaf = Leaf::default();
            leaf.insert(0, name, entry);
            self.leaves.push(leaf);
            self.len = 1;
            return;
        }
        let mut number = self.leaf(name);
        let last = number + 1 == self.leaves.len();
        let leaf = &mut self.leaves[number];
        let mut at = match leaf.find(name) {
            Ok(at) => {
                leaf.records[at].entry = entry;
                return;
            }
            Err(at) => at,
        };
        if leaf.records.len() == LEAF {
            // Names mostly come in order: then leaves stay full.
            let cut = if last && at == LEAF { LEAF } else { LEAF / 2 };
            let back = leaf.split(cut);
            self.leaves.insert(number + 1, back);
            if at >= cut {
                (number, at) = (number + 1, at - cut);
            }
        }
        self.leaves[number].insert(at, name, entry);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Entry> {
        let (leaf, at) = self.find(name)?;
        let entry = self.leaves[leaf].remove(at);
        if self.leaves[leaf].records.is_empty() {
            self.leaves.remove(leaf);
        }
        self.len -= 1;
        Some(entry)
    }

    /// All entries in the order of their names.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter {
            entries: self,
            front: (0, 0),
            back: (self.leaves.len(), 0),
            left: self.len,
        }
    }
}

/// Iterator of [`Entries::iter`].
#[derive(Debug, Clone)]
pub(super) struct Iter<'a> {
    entries: &'a Entries,
    /// Leaf and number of the next entry.
    front: (usize, usize),
    /// Leaf and number of the entry behind the last one.
    back: (usize, usize),
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], Entry);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (number, at) = self.front;
        let leaf = &self.entries.leaves[number];
        self.front = if at + 1 == leaf.records.len() {
            (number + 1, 0)
        } else {
            (number, at + 1)
        };
        Some((leaf.name(at), leaf.records[at].entry))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.back.1 == 0 {
            let number = self.back.0 - 1;
            self.back = (number, self.entries.leaves[number].records.len());
        }
        self.back.1 -= 1;
        let (number, at) = self.back;
        let leaf = &self.entries.leaves[number];
        Some((leaf.name(at), leaf.records[at].entry))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_a_sorted_map(
            steps in prop::collection::vec((any::<bool>(), 0u32..2000, any::<u32>()), 0..4000),
            ascending in any::<bool>(),
        ) {
            let mut entries = Entries::default();
            let mut model = BTreeMap::new();
            for (number, (remove, name, layer)) in steps.into_iter().enumerate() {
                // Some of the longest names, of which the fewest fit.
                let name = if ascending { number as u32 } else { name };
                let name = format!("{name:0width$}", width = if name % 3 == 0 { 255 } else { 4 });
                let name = name.as_bytes();
                if remove && !ascending {
                    prop_assert_eq!(entries.remove(name), model.remove(name));
                } else {
                    let entry = Entry { inode: InodeId(number as u32), layer };
                    entries.insert(name, entry);
                    model.insert(name.to_vec(), entry);
                }
                prop_assert_eq!(entries.get(name), model.get(name).copied());
                prop_assert_eq!(entries.len(), model.len());
            }
            let wanted = || model.iter().map(|(name, entry)| (&name[..], *entry));
            prop_assert!(entries.iter().eq(wanted()));
            prop_assert!(entries.iter().rev().eq(wanted().rev()));
            // Both ends meet.
            let mut ends = entries.iter();
            while let (Some(front), Some(back)) = (ends.next(), ends.next_back()) {
                prop_assert!(front.0 < back.0);
            }
        }
    }
}
