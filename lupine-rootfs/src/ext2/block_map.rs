//! How an inode names its blocks: 12 direct pointers, then one single, one double and one triple
//! indirect block.
//!
//! An indirect block is a block full of 32-bit block numbers. This module knows the shape of that
//! tree for one block size, and lays a file out as one sequence: every index block stands directly
//! before the first data block it leads to, so that reading a file front to back never seeks.

use crate::content::Content;

/// Data blocks the inode names itself.
pub(crate) const DIRECT: u64 = 12;

/// The shape of block maps for one block size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Block size in bytes.
    pub(crate) block: u64,
    /// Pointers in an index block.
    pub(crate) pointers: u64,
}

/// The index blocks above a data block, outermost first, each with the number of the first data
/// block it leads to and its height (1: its pointers are data blocks).
type Ancestors = ([(u64, u32); 3], usize);

impl Shape {
    pub(crate) fn new(block: u64) -> Self {
        Self {
            block,
            pointers: block / 4,
        }
    }

    /// Data blocks a map can name.
    pub(crate) fn capacity(self) -> u64 {
        let p = self.pointers;
        DIRECT + p + p * p + p * p * p
    }

    /// Index blocks that precede data block `logical` in a file without holes.
    fn index_before(self, logical: u64) -> u64 {
        let p = self.pointers;
        let Some(single) = logical.checked_sub(DIRECT) else {
            return 0;
        };
        let Some(double) = single.checked_sub(p) else {
            return 1;
        };
        match double.checked_sub(p * p) {
            None => 2 + (double / p + 1),
            Some(triple) => 2 + p + 1 + (triple / (p * p) + 1) + (triple / p + 1),
        }
    }

    /// Data blocks from `logical` on, itself included, that stand next to one another.
    fn contiguous(self, logical: u64) -> u64 {
        match logical.checked_sub(DIRECT) {
            None => DIRECT - logical,
            Some(indirect) => self.pointers - indirect % self.pointers,
        }
    }

    fn ancestors(self, logical: u64) -> Ancestors {
        let p = self.pointers;
        let mut path = [(0, 0); 3];
        let Some(single) = logical.checked_sub(DIRECT) else {
            return (path, 0);
        };
        let Some(double) = single.checked_sub(p) else {
            path[0] = (DIRECT, 1);
            return (path, 1);
        };
        let base = DIRECT + p;
        match double.checked_sub(p * p) {
            None => {
                path[0] = (base, 2);
                path[1] = (base + double / p * p, 1);
                (path, 2)
            }
            Some(triple) => {
                let base = base + p * p;
                path[0] = (base, 3);
                path[1] = (base + triple / (p * p) * (p * p), 2);
                path[2] = (base + triple / p * p, 1);
                (path, 3)
            }
        }
    }

    /// Which pointer of the index block of this height and first data block leads to `logical`.
    fn slot(self, (first, height): (u64, u32), logical: u64) -> usize {
        ((logical - first) / self.pointers.pow(height - 1)) as usize
    }

    /// Index blocks above `logical` that are not above `previous`.
    fn new_ancestors(self, previous: Option<u64>, logical: u64) -> u64 {
        let (path, len) = self.ancestors(logical);
        let (old, old_len) = previous.map_or(([(0, 0); 3], 0), |block| self.ancestors(block));
        path[..len]
            .iter()
            .filter(|ancestor| !old[..old_len].contains(ancestor))
            .count() as u64
    }
}

/// Consecutive data blocks of a file, with the place of the first in the file's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    logical: u64,
    len: u64,
    /// Position in the file's sequence of data and index blocks.
    position: u64,
}

/// Where the blocks of one file stand in its sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileMap {
    shape: Shape,
    runs: Runs,
    /// Data and index blocks together.
    total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Runs {
    Dense(u64),
    Sparse(Vec<Run>),
}

impl FileMap {
    /// The map of a file of `blocks` data blocks without holes.
    pub(crate) fn dense(shape: Shape, blocks: u64) -> Self {
        let total = blocks
            .checked_sub(1)
            .map_or(0, |last| blocks + shape.index_before(last));
        Self {
            shape,
            runs: Runs::Dense(blocks),
            total,
        }
    }

    /// The map of a file's content; a block is data when any byte of it is.
    pub(crate) fn of_content(shape: Shape, content: &Content) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut total = 0;
        for extent in content.extents() {
            let mut first = extent.offset / shape.block;
            let end = (extent.offset + extent.len).div_ceil(shape.block);
            if let Some(last) = runs.last_mut() {
                let reached = last.logical + last.len;
                if first <= reached {
                    // The extents touch within a block or at its edge: one run.
                    first = reached;
                    if first >= end {
                        continue;
                    }
                    let added = shape.index_before(end - 1) - shape.index_before(reached - 1);
                    last.len += end - reached;
                    total += end - reached + added;
                    continue;
                }
            }
            let previous = runs.last().map(|run| run.logical + run.len - 1);
            let position = total + shape.new_ancestors(previous, first);
            let inner = shape.index_before(end - 1) - shape.index_before(first);
            total = position + (end - first) + inner;
            runs.push(Run {
                logical: first,
                len: end - first,
                position,
            });
        }
        match runs[..] {
            [] => Self::dense(shape, 0),
            [run] if run.logical == 0 => Self::dense(shape, run.len),
            _ => Self {
                shape,
                runs: Runs::Sparse(runs),
                total,
            },
        }
    }

    /// Data and index blocks together.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Whether there are holes between or before data.
    pub(crate) fn is_sparse(&self) -> bool {
        matches!(self.runs, Runs::Sparse(_))
    }

    /// The place of data block `logical` in the sequence and how many data blocks from it on stand
    /// next to one another; `None` in a hole.
    pub(crate) fn locate(&self, logical: u64) -> Option<(u64, u64)> {
        let shape = self.shape;
        let run = match &self.runs {
            Runs::Dense(len) => Run {
                logical: 0,
                len: *len,
                position: 0,
            },
            Runs::Sparse(runs) => {
                *runs[..runs.partition_point(|run| run.logical <= logical)].last()?
            }
        };
        let end = run.logical + run.len;
        if logical >= end {
            return None;
        }
        let crossed = shape.index_before(logical) - shape.index_before(run.logical);
        let position = run.position + (logical - run.logical) + crossed;
        Some((position, shape.contiguous(logical).min(end - logical)))
    }

    /// Builds the 15 pointers of the inode and hands every index block, finished, to `write` with
    /// its place in the sequence. `block_at` gives the block number of a place in the sequence.
    pub(crate) fn build<E>(
        &self,
        block_at: impl Fn(u64) -> u32,
        mut write: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<[u32; 15], E> {
        let shape = self.shape;
        let mut pointers = [0; 15];
        // The index blocks above the last data block, outermost first.
        let mut open: Vec<((u64, u32), u64, Vec<u8>)> = Vec::new();
        let dense;
        let runs: &[Run] = match &self.runs {
            Runs::Dense(len) => {
                dense = [Run {
                    logical: 0,
                    len: *len,
                    position: 0,
                }];
                &dense
            }
            Runs::Sparse(runs) => runs,
        };
        for run in runs {
            for logical in run.logical..run.logical + run.len {
                let Some((position, _)) = self.locate(logical) else {
                    continue;
                };
                let (path, len) = shape.ancestors(logical);
                let kept = path[..len]
                    .iter()
                    .zip(&open)
                    .take_while(|(a, b)| **a == b.0)
                    .count();
                for (_, place, bytes) in open.drain(kept..).rev() {
                    write(place, &bytes)?;
                }
                let fresh = (len - kept) as u64;
                for (number, &ancestor) in path[kept..len].iter().enumerate() {
                    let place = position - fresh + number as u64;
                    let block = block_at(place);
                    match open.last_mut() {
                        Some((above, _, bytes)) => {
                            put(bytes, shape.slot(*above, logical), block);
                        }
                        None => pointers[11 + ancestor.1 as usize] = block,
                    }
                    open.push((ancestor, place, vec![0; shape.block as usize]));
                }
                let block = block_at(position);
                match open.last_mut() {
                    Some((above, _, bytes)) => put(bytes, shape.slot(*above, logical), block),
                    None => pointers[logical as usize] = block,
                }
            }
        }
        for (_, place, bytes) in open.into_iter().rev() {
            write(place, &bytes)?;
        }
        Ok(pointers)
    }
}

fn put(bytes: &mut [u8], slot: usize, block: u32) {
    bytes[slot * 4..slot * 4 + 4].copy_from_slice(&block.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Extent, SourceId};
    use proptest::prelude::*;

    /// The pointers of a map, followed like a reader does.
    fn follow(map: &FileMap) -> (Vec<(u64, u32)>, u64) {
        let mut index = std::collections::BTreeMap::new();
        let root = map
            .build::<()>(
                |place| place as u32 + 1,
                |place, bytes| {
                    assert!(index.insert(place as u32 + 1, bytes.to_vec()).is_none());
                    Ok(())
                },
            )
            .unwrap();
        let mut found = Vec::new();
        let p = map.shape.pointers;
        let mut first = 0;
        for (slot, &block) in root.iter().enumerate() {
            let height = (slot as u32).saturating_sub(11);
            collect(block, height, first, p, &index, &mut found);
            first += p.pow(height);
        }
        (found, index.len() as u64)
    }

    fn collect(
        block: u32,
        height: u32,
        first: u64,
        p: u64,
        index: &std::collections::BTreeMap<u32, Vec<u8>>,
        found: &mut Vec<(u64, u32)>,
    ) {
        if block == 0 {
            return;
        }
        if height == 0 {
            found.push((first, block));
            return;
        }
        for (slot, pointer) in index[&block].chunks(4).enumerate() {
            let next = u32::from_le_bytes(pointer.try_into().unwrap());
            collect(
                next,
                height - 1,
                first + slot as u64 * p.pow(height - 1),
                p,
                index,
                found,
            );
        }
    }

    proptest! {
        #[test]
        fn every_data_block_is_found_where_it_was_put(
            gaps in prop::collection::vec((0u64..3000, 1u64..200), 1..12),
            dense in any::<bool>(),
        ) {
            // 32-byte blocks have 8 pointers: three levels are reached after 84 blocks.
            let shape = Shape::new(32);
            let mut at = 0;
            let mut extents = Vec::new();
            for (gap, len) in gaps {
                let offset = if dense { at } else { at + gap };
                extents.push(Extent { offset, len });
                at = offset + len;
            }
            prop_assume!(at < shape.capacity() * 32);
            let content = Content::sparse(SourceId(0), 0, at, extents.clone()).unwrap();
            let map = FileMap::of_content(shape, &content);
            let (found, index) = follow(&map);
            let mut blocks: Vec<u64> = extents
                .iter()
                .flat_map(|e| e.offset / 32..(e.offset + e.len).div_ceil(32))
                .collect();
            blocks.dedup();
            prop_assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), blocks.clone());
            prop_assert_eq!(map.total(), blocks.len() as u64 + index);
            for (logical, block) in found {
                let (position, run) = map.locate(logical).unwrap();
                prop_assert_eq!(position + 1, u64::from(block));
                prop_assert!(run > 0);
            }
        }
    }
}
