//! The entries of a directory: sorted by name, and small, because a tree holds one for every file.

use super::InodeId;

/// Entries of a leaf at most: their names, with the lengths, then take at most 64 KiB.
const LEAF: usize = 256;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) inode: InodeId,
    /// The layer that last named this entry.
    pub(super) layer: u32,
}

/// An entry, its name a part of the names of its leaf. The inode is in halves, so that nothing is
/// left unused behind the start.
#[derive(Debug, Clone, Copy)]
struct Record {
    inode: [u16; 2],
    /// Where the length of the name stands, and behind it the name.
    start: u16,
}

/// The layers of a leaf's entries: mostly one.
#[derive(Debug)]
enum Layers {
    All(u32),
    Each(Vec<u32>),
}

/// Entries that follow one another; never empty.
#[derive(Debug)]
struct Leaf {
    /// Lengths and names in the order in which they came.
    names: Vec<u8>,
    /// Sorted by name.
    records: Vec<Record>,
    layers: Layers,
}

/// A sorted map from names of at most 255 bytes.
#[derive(Debug, Default)]
pub(super) struct Entries {
    leaves: Vec<Leaf>,
    len: usize,
}

/// Makes room for `more` values, and for an eighth of what there is: doubling would leave a quarter
/// of all memory unused.
pub(super) fn make_room<T>(values: &mut Vec<T>, more: usize) {
    if values.capacity() - values.len() < more {
        values.reserve_exact(more.max(values.len() / 8));
    }
}

impl Leaf {
    /// Without entries, but with room for so many and the bytes of their names.
    fn with_capacity(records: usize, names: usize) -> Self {
        Self {
            names: Vec::with_capacity(names),
            records: Vec::with_capacity(records),
            layers: Layers::All(0),
        }
    }

    fn name_of(&self, record: Record) -> &[u8] {
        let start = usize::from(record.start);
        &self.names[start + 1..][..usize::from(self.names[start])]
    }

    fn name(&self, number: usize) -> &[u8] {
        self.name_of(self.records[number])
    }

    fn entry(&self, number: usize) -> Entry {
        let [high, low] = self.records[number].inode;
        Entry {
            inode: InodeId(u32::from(high) << 16 | u32::from(low)),
            layer: match &self.layers {
                Layers::All(layer) => *layer,
                Layers::Each(layers) => layers[number],
            },
        }
    }

    /// Where a name is, or where it would be.
    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.records
            .binary_search_by(|&record| self.name_of(record).cmp(name))
    }

    /// The layers one by one, unless all are this one.
    fn layers_beside(&mut self, layer: u32) -> Option<&mut Vec<u32>> {
        if let Layers::All(all) = self.layers {
            if self.records.is_empty() {
                self.layers = Layers::All(layer);
                return None;
            }
            if all == layer {
                return None;
            }
            self.layers = Layers::Each(vec![all; self.records.len()]);
        }
        match &mut self.layers {
            Layers::All(_) => None,
            Layers::Each(layers) => Some(layers),
        }
    }

    fn insert(&mut self, at: usize, name: &[u8], entry: Entry) {
        if let Some(layers) = self.layers_beside(entry.layer) {
            make_room(layers, 1);
            layers.insert(at, entry.layer);
        }
        // Neither is cut: names are at most 255 bytes, and at most 255 stand before this one.
        let (start, len) = (self.names.len() as u16, name.len() as u8);
        make_room(&mut self.names, 1 + name.len());
        self.names.push(len);
        self.names.extend_from_slice(name);
        make_room(&mut self.records, 1);
        let inode = halves(entry.inode);
        self.records.insert(at, Record { inode, start });
    }

    fn replace(&mut self, at: usize, entry: Entry) {
        if let Some(layers) = self.layers_beside(entry.layer) {
            layers[at] = entry.layer;
        }
        self.records[at].inode = halves(entry.inode);
    }

    fn remove(&mut self, at: usize) -> Entry {
        let entry = self.entry(at);
        let Record { start, .. } = self.records.remove(at);
        if let Layers::Each(layers) = &mut self.layers {
            layers.remove(at);
        }
        let from = usize::from(start);
        let len = 1 + usize::from(self.names[from]);
        self.names.drain(from..from + len);
        for record in &mut self.records {
            if record.start > start {
                record.start -= len as u16;
            }
        }
        entry
    }

    /// A new leaf of some of the entries.
    fn copy(&self, numbers: impl Iterator<Item = usize> + Clone) -> Self {
        let names = numbers.clone().map(|number| 1 + self.name(number).len());
        let mut leaf = Self::with_capacity(numbers.clone().count(), names.sum());
        for number in numbers {
            leaf.insert(leaf.records.len(), self.name(number), self.entry(number));
        }
        leaf
    }

    /// Moves the entries from `at` on into a new leaf.
    fn split(&mut self, at: usize) -> Self {
        let back = self.copy(at..self.records.len());
        *self = self.copy(0..at);
        back
    }
}

fn halves(inode: InodeId) -> [u16; 2] {
    [(inode.0 >> 16) as u16, inode.0 as u16]
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
        Some(self.leaves[leaf].entry(at))
    }

    /// Puts an entry in, in place of one of the same name.
    pub(super) fn insert(&mut self, name: &[u8], entry: Entry) {
        if self.leaves.is_empty() {
            let mut leaf = Leaf::with_capacity(1, 1 + name.len());
            leaf.insert(0, name, entry);
            // Most directories have one leaf.
            self.leaves = vec![leaf];
            self.len = 1;
            return;
        }
        let mut number = self.leaf(name);
        let last = number + 1 == self.leaves.len();
        let leaf = &mut self.leaves[number];
        let mut at = match leaf.find(name) {
            Ok(at) => {
                leaf.replace(at, entry);
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

    /// Removes entries; gives what they stood for.
    pub(super) fn extract(&mut self, remove: impl Fn(Entry) -> bool) -> Vec<InodeId> {
        let mut removed = Vec::new();
        for leaf in &mut self.leaves {
            let numbers = 0..leaf.records.len();
            let (out, kept): (Vec<usize>, Vec<usize>) =
                numbers.partition(|&number| remove(leaf.entry(number)));
            if !out.is_empty() {
                removed.extend(out.into_iter().map(|number| leaf.entry(number).inode));
                *leaf = leaf.copy(kept.into_iter());
            }
        }
        self.leaves.retain(|leaf| !leaf.records.is_empty());
        self.len -= removed.len();
        removed
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
        Some((leaf.name(at), leaf.entry(at)))
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
        Some((leaf.name(at), leaf.entry(at)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// One layer for long, or any.
    fn layers() -> impl Strategy<Value = u32> {
        prop_oneof![20 => Just(1_u32), 1 => 0_u32..4]
    }

    proptest! {
        #[test]
        fn entries_are_a_sorted_map(
            steps in prop::collection::vec((any::<bool>(), 0u32..2000, layers()), 0..4000),
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
                } else if name.ends_with(b"77") {
                    let gone = entries.extract(|entry| entry.layer == layer);
                    let (out, kept) = model.into_iter().partition(|(_, e): &(_, Entry)| e.layer == layer);
                    model = kept;
                    let out: BTreeMap<Vec<u8>, Entry> = out;
                    prop_assert!(gone.into_iter().eq(out.values().map(|entry| entry.inode)));
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
