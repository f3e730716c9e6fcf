//! Indexed directories: ranges of hashes, and whether every name is where its hash says.

use std::collections::HashMap;

use super::{Checker, Problem};
use crate::ext2::bytes::{get_u16, get_u32};
use crate::ext2::htree::{self, NameBytes};
use crate::ext2::image::{ImageError, ReadAt, Records};
use crate::ext2::superblock::FLAG_UNSIGNED_HASH;

/// Where the pairs of a root and of a node begin.
const ROOT_PAIRS: usize = 32;
const NODE_PAIRS: usize = 8;

/// A leaf or node with the hashes it may hold: from the first up to the second.
type Range = (u32, u64, u32);

impl<R: ReadAt> Checker<'_, R> {
    /// Checks the index of a directory whose blocks are `blocks`: place in the file and number.
    pub(super) fn check_index(
        &mut self,
        directory: u32,
        blocks: &[(u64, u32)],
    ) -> Result<(), ImageError> {
        let places: HashMap<u64, u32> = blocks.iter().copied().collect();
        if let Some(what) = self.index_damage(&places)? {
            self.problems.push(Problem::BadIndex { directory, what });
        }
        Ok(())
    }

    fn index_damage(&self, places: &HashMap<u64, u32>) -> Result<Option<&'static str>, ImageError> {
        let Some(&root) = places.get(&0) else {
            return Ok(Some("the root is missing"));
        };
        let bytes = self.image.read_block(root)?;
        let (version, info, levels) = (bytes[28], bytes[29], bytes[30]);
        if get_u32(&bytes, 24) != 0 || info != 8 || version > 2 {
            return Ok(Some("the root's information is damaged"));
        }
        if levels > 1 {
            return Ok(Some("too many levels"));
        }
        let mut reached = vec![0_u64];
        let mut open = match pairs(&bytes, ROOT_PAIRS, (0, 1 << 32)) {
            Ok(pairs) => pairs,
            Err(what) => return Ok(Some(what)),
        };
        for level in 0..=levels {
            let mut below = Vec::new();
            for &(first, end, block) in &open {
                let place = u64::from(block);
                if reached.contains(&place) && level < levels {
                    return Ok(Some("a block is named twice"));
                }
                let Some(&number) = places.get(&place) else {
                    return Ok(Some("a pair names a block outside the directory"));
                };
                reached.push(place);
                let bytes = self.image.read_block(number)?;
                if level < levels {
                    match pairs(&bytes, NODE_PAIRS, (first, end)) {
                        Ok(pairs) => below.extend(pairs),
                        Err(what) => return Ok(Some(what)),
                    }
                } else if version == htree::HALF_MD4 && !self.hashes_fit(&bytes, first, end) {
                    return Ok(Some("a name is in a leaf for other hashes"));
                }
            }
            open = below;
        }
        reached.sort_unstable();
        let every = reached.len() == places.len() && reached.windows(2).all(|w| w[0] != w[1]);
        Ok((!every).then_some("the index does not name every block once"))
    }

    /// Whether every name of a leaf has a hash within its range.
    fn hashes_fit(&self, leaf: &[u8], first: u32, end: u64) -> bool {
        let superblock = self.image.superblock();
        let unsigned = superblock.flags & FLAG_UNSIGNED_HASH != 0;
        let bytes = if unsigned {
            NameBytes::Unsigned
        } else {
            NameBytes::Signed
        };
        Records::new(leaf)
            .flatten()
            .filter(|record| record.inode != 0)
            .all(|record| {
                let (hash, _) = htree::half_md4(record.name, superblock.hash_seed, bytes);
                // An odd end says that names of that very hash are on both sides.
                hash >= first & !1 && (u64::from(hash) < end || u64::from(hash | 1) == end)
            })
    }
}

/// The pairs of a block, each with the hash at which the next begins.
fn pairs(bytes: &[u8], at: usize, (first, end): (u32, u64)) -> Result<Vec<Range>, &'static str> {
    let limit = usize::from(get_u16(bytes, at));
    let count = usize::from(get_u16(bytes, at + 2));
    if limit != (bytes.len() - at) / 8 || count == 0 || count > limit {
        return Err("limit or count of a block is wrong");
    }
    let hash = |slot: usize| match slot {
        0 => u64::from(first),
        slot if slot == count => end,
        slot => u64::from(get_u32(bytes, at + slot * 8)),
    };
    let mut found = Vec::with_capacity(count);
    for slot in 0..count {
        if hash(slot) > hash(slot + 1) || (slot > 0 && hash(slot) < u64::from(first)) {
            return Err("hashes are out of order");
        }
        found.push((
            hash(slot) as u32,
            hash(slot + 1),
            get_u32(bytes, at + slot * 8 + 4),
        ));
    }
    Ok(found)
}
