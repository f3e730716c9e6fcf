//! Indexed directories: leaves ordered by the hash of their names, under a tree of hash ranges.
//!
//! Block 0 is the root: `.` and `..` as ordinary records (so that readers without the feature see
//! a plain directory), then the hash version and the number of levels below, then pairs of first
//! hash and block. With one level these name nodes, which name leaves. A leaf is an ordinary
//! directory block. Where equal hashes cross from one leaf into the next, the lowest bit of the
//! next leaf's hash says so.
//!
//! The hash is half MD4 over the name bytes, taken as signed as x86 kernels do, seeded by the superblock's
//! `s_hash_seed`; see `fs/ext4/hash.c` of the kernel.

use super::bytes::{put_u16, put_u32};
use super::directory::{DOTS, DirectoryBlock, Packer, Record, dots};

/// `hash_version` of half MD4.
pub const HALF_MD4: u8 = 1;

/// How name bytes beyond ASCII count, by the superblock's `s_flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameBytes {
    /// -128 to 127.
    Signed,
    /// 0 to 255.
    Unsigned,
}

/// Hash and minor hash of a name.
pub fn half_md4(name: &[u8], seed: [u32; 4], bytes: NameBytes) -> (u32, u32) {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    if seed != [0; 4] {
        state = seed;
    }
    let mut rest = name;
    while !rest.is_empty() {
        transform(&mut state, words(rest, bytes));
        rest = rest.get(32..).unwrap_or_default();
    }
    let hash = state[1] & !1;
    // The largest value marks the end of a directory to readers.
    let hash = if hash == 0xffff_fffe {
        0xffff_fffc
    } else {
        hash
    };
    (hash, state[2])
}

/// Up to 32 bytes as eight words, most significant byte first, padded with the length that is left.
fn words(rest: &[u8], bytes: NameBytes) -> [u32; 8] {
    let len = rest.len() as u32;
    let pad = len | len << 8;
    let pad = pad | pad << 16;
    let mut words = [pad; 8];
    for (word, chunk) in words.iter_mut().zip(rest.chunks(4)) {
        for &byte in chunk {
            let value = match bytes {
                NameBytes::Signed => i32::from(byte.cast_signed()).cast_unsigned(),
                NameBytes::Unsigned => u32::from(byte),
            };
            *word = (*word << 8).wrapping_add(value);
        }
    }
    words
}

fn transform(state: &mut [u32; 4], input: [u32; 8]) {
    const SHIFTS: [[u32; 4]; 3] = [[3, 7, 11, 19], [3, 5, 9, 13], [3, 9, 11, 15]];
    const ORDER: [[usize; 8]; 3] = [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [1, 3, 5, 7, 0, 2, 4, 6],
        [3, 7, 2, 6, 1, 5, 0, 4],
    ];
    const ADDED: [u32; 3] = [0, 0x5a82_7999, 0x6ed9_eba1];
    let [mut a, mut b, mut c, mut d] = *state;
    for round in 0..3 {
        for (step, &word) in ORDER[round].iter().enumerate() {
            let mixed = match round {
                0 => d ^ (b & (c ^ d)),
                1 => (b & c).wrapping_add((b ^ c) & d),
                _ => b ^ c ^ d,
            };
            let sum = a
                .wrapping_add(mixed)
                .wrapping_add(input[word])
                .wrapping_add(ADDED[round]);
            let turned = sum.rotate_left(SHIFTS[round][step % 4]);
            (a, b, c, d) = (d, turned, b, c);
        }
    }
    for (word, new) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(new);
    }
}

/// A name with its hash, and what it names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashed<'a, T> {
    pub(crate) hash: u32,
    minor: u32,
    pub(crate) name: &'a [u8],
    pub(crate) child: T,
}

/// Names that are sorted at a time, more or less: they take 1 MiB.
const BATCH: usize = 1 << 15;

/// The names of a directory, about `count` of them, in the order in which leaves are filled. Those
/// of a large directory are gone through several times, each time for a range of hashes: so memory
/// is a byte for each name and that of a batch.
pub(crate) fn in_hash_order<'a, T, I: Iterator<Item = (&'a [u8], T)>>(
    names: impl Fn() -> I,
    count: usize,
    seed: [u32; 4],
) -> impl Iterator<Item = Hashed<'a, T>> {
    let hash = move |name| half_md4(name, seed, NameBytes::Signed);
    // At most as many as a byte can number.
    let ranges = count.div_ceil(BATCH).clamp(1, 256);
    let range = |name| ((u64::from(hash(name).0) * ranges as u64) >> 32) as u8;
    let mut ranges_of: Vec<u8> = Vec::new();
    if ranges > 1 {
        ranges_of.reserve_exact(count);
        ranges_of.extend(names().map(|(name, _)| range(name)));
    }
    (0..ranges).flat_map(move |wanted| {
        let inside = |at: usize| {
            ranges_of
                .get(at)
                .is_none_or(|&at| usize::from(at) == wanted)
        };
        // Hashes are spread evenly: rarely more than this are in one range.
        let mut batch: Vec<Hashed<'_, T>> = Vec::with_capacity(count.min(BATCH + BATCH / 32));
        let hashed = names()
            .enumerate()
            .filter(|&(at, _)| inside(at))
            .map(|(_, (name, child))| {
                let (hash, minor) = hash(name);
                Hashed {
                    hash,
                    minor,
                    name,
                    child,
                }
            });
        batch.extend(hashed);
        batch.sort_unstable_by(|a, b| (a.hash, a.minor, a.name).cmp(&(b.hash, b.minor, b.name)));
        batch
    })
}

/// How an indexed directory is cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexShape {
    pub(crate) leaves: u64,
    /// Nodes between root and leaves; 0 when the root names the leaves.
    pub(crate) nodes: u64,
}

/// Pairs the root block holds.
fn root_limit(block: usize) -> u64 {
    (block as u64 - 32) / 8
}

/// Pairs a node holds.
fn node_limit(block: usize) -> u64 {
    (block as u64 - 8) / 8
}

impl IndexShape {
    /// The shape for names in hash order; `None` when two levels do not hold them.
    pub(crate) fn new<'a>(block: usize, names: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut packer = Packer::new(block, 0);
        for name in names {
            packer.push(name);
        }
        let leaves = packer.blocks();
        if leaves <= root_limit(block) {
            return Some(Self { leaves, nodes: 0 });
        }
        let nodes = leaves.div_ceil(node_limit(block));
        (nodes <= root_limit(block)).then_some(Self { leaves, nodes })
    }

    /// Blocks of the directory.
    pub(crate) fn blocks(self) -> u64 {
        1 + self.nodes + self.leaves
    }
}

/// Writes an indexed directory: leaves as they fill, then nodes and root.
pub(crate) fn write_indexed<'a, E>(
    block: usize,
    (own, parent): (u32, u32),
    shape: IndexShape,
    records: impl Iterator<Item = (u32, Record<'a>)>,
    mut write: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let first_leaf = 1 + shape.nodes;
    let mut leaves: Vec<(u32, u32)> = Vec::with_capacity(shape.leaves as usize);
    let mut open = DirectoryBlock::new(block);
    let mut begins = 0;
    let mut previous = None;
    for (hash, record) in records {
        if !open.fits(record.name) {
            let number = first_leaf + leaves.len() as u64;
            leaves.push((begins, number as u32));
            write(number, &open.finish())?;
            begins = hash | u32::from(previous == Some(hash));
        }
        open.push(record);
        previous = Some(hash);
    }
    let number = first_leaf + leaves.len() as u64;
    leaves.push((begins, number as u32));
    write(number, &open.finish())?;

    let mut top = leaves;
    if shape.nodes > 0 {
        let mut nodes = Vec::new();
        for (number, below) in top.chunks(node_limit(block) as usize).enumerate() {
            let mut bytes = vec![0; block];
            // An unused record over the whole block hides the node from readers without the index.
            put_u16(&mut bytes, 4, block as u16);
            put_pairs(&mut bytes, 8, node_limit(block), below);
            let at = 1 + number as u32;
            write(u64::from(at), &bytes)?;
            nodes.push((below[0].0, at));
        }
        top = nodes;
    }
    let mut head = DirectoryBlock::new(block);
    for record in dots(own, parent) {
        head.push(record);
    }
    let mut bytes = head.finish();
    bytes[DOTS + 4] = HALF_MD4;
    bytes[DOTS + 5] = 8;
    bytes[DOTS + 6] = u8::from(shape.nodes > 0);
    put_pairs(&mut bytes, DOTS + 8, root_limit(block), &top);
    write(0, &bytes)
}

/// Limit and count stand where the hash of the first pair, which is always the lowest, would be.
fn put_pairs(bytes: &mut [u8], at: usize, limit: u64, pairs: &[(u32, u32)]) {
    for (number, &(hash, block)) in pairs.iter().enumerate() {
        put_u32(bytes, at + number * 8, hash);
        put_u32(bytes, at + number * 8 + 4, block);
    }
    put_u16(bytes, at, limit as u16);
    put_u16(bytes, at + 2, pairs.len() as u16);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_batches_come_in_the_order_of_their_hashes() {
        let names: Vec<String> = (0..3 * BATCH).map(|number| format!("{number}")).collect();
        let children = || names.iter().map(|name| (name.as_bytes(), name.len()));
        let seed = [1, 2, 3, 4];
        let mut wanted: Vec<((u32, u32), &[u8])> = children()
            .map(|(name, _)| (half_md4(name, seed, NameBytes::Signed), name))
            .collect();
        wanted.sort_unstable();
        let found: Vec<((u32, u32), &[u8])> = in_hash_order(children, names.len(), seed)
            .inspect(|hashed| assert_eq!(hashed.child, hashed.name.len()))
            .map(|hashed| ((hashed.hash, hashed.minor), hashed.name))
            .collect();
        assert!(found == wanted);
    }
}
