//! Extended attributes: one block per inode, shared by inodes whose attributes are the same.
//!
//! The block begins with a header (magic, reference count, hash); entries follow, sorted by name
//! index, name length and name; values fill the block from its end. The prefix of a name is stored
//! as a number. POSIX access control lists have a shorter form on disk than in system calls.

use super::bytes::{get_u16, get_u32, put_u16, put_u32};
use crate::inode::Xattrs;

/// `h_magic`.
pub const MAGIC: u32 = 0xEA02_0000;

/// Inodes that share one block at most.
pub const MAX_REFERENCES: u32 = 1024;

const HEADER: usize = 32;

/// Name prefixes and their numbers; complete names first.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
];

/// Why an attribute cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unstorable {
    /// ext2 has no number for the name's prefix.
    Prefix,
    /// Nothing follows the prefix, or more than 255 bytes do.
    NameLength,
    /// The value is no well-formed access control list.
    Acl,
}

impl std::fmt::Display for Unstorable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prefix => "ext2 has no number for its prefix",
            Self::NameLength => "the name after its prefix must be 1 to 255 bytes",
            Self::Acl => "the value is no well-formed access control list",
        })
    }
}

/// An attribute as it stands on disk.
struct Stored {
    index: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Whether an attribute can be stored at all.
pub(crate) fn storable(name: &[u8], value: &[u8]) -> Result<(), Unstorable> {
    stored(name, value).map(|_| ())
}

fn stored(name: &[u8], value: &[u8]) -> Result<Stored, Unstorable> {
    for (prefix, index) in PREFIXES {
        if prefix.ends_with(b".") {
            let Some(rest) = name.strip_prefix(prefix) else {
                continue;
            };
            if rest.is_empty() || rest.len() > 255 {
                return Err(Unstorable::NameLength);
            }
            return Ok(Stored {
                index,
                name: rest.to_vec(),
                value: value.to_vec(),
            });
        }
        if name == prefix {
            let value = acl_to_disk(value).ok_or(Unstorable::Acl)?;
            return Ok(Stored {
                index,
                name: Vec::new(),
                value,
            });
        }
    }
    Err(Unstorable::Prefix)
}

/// The name a number and a rest stand for; `None` for a number that is not known.
pub(crate) fn full_name(index: u8, rest: &[u8]) -> Option<Vec<u8>> {
    let (prefix, _) = PREFIXES.into_iter().find(|&(_, number)| number == index)?;
    Some([prefix, rest].concat())
}

fn stored_all(xattrs: &Xattrs) -> Vec<Stored> {
    let mut all: Vec<Stored> = xattrs
        .iter()
        .filter_map(|(name, value)| stored(name, value).ok())
        .collect();
    all.sort_by(|a, b| (a.index, a.name.len(), &a.name).cmp(&(b.index, b.name.len(), &b.name)));
    all
}

/// Bytes of a block that the storable ones of these attributes need, 0 for none.
pub(crate) fn size(xattrs: &Xattrs) -> usize {
    let all = stored_all(xattrs);
    if all.is_empty() {
        return 0;
    }
    // Four zero bytes end the entries.
    let entries = all
        .iter()
        .map(|s| (16 + s.name.len()).next_multiple_of(4) + s.value.len().next_multiple_of(4));
    HEADER + entries.sum::<usize>() + 4
}

/// The block of the storable ones of these attributes, which must fit.
pub(crate) fn encode(xattrs: &Xattrs, references: u32, block: usize) -> Vec<u8> {
    let mut bytes = vec![0; block];
    let mut entry = HEADER;
    let mut values = block;
    let mut hash = 0_u32;
    let mut hashed = true;
    for stored in stored_all(xattrs) {
        let padded = stored.value.len().next_multiple_of(4);
        values -= padded;
        bytes[values..values + stored.value.len()].copy_from_slice(&stored.value);
        bytes[entry] = stored.name.len() as u8;
        bytes[entry + 1] = stored.index;
        put_u16(
            &mut bytes,
            entry + 2,
            if padded == 0 { 0 } else { values as u16 },
        );
        put_u32(&mut bytes, entry + 8, stored.value.len() as u32);
        let own = entry_hash(&stored.name, &bytes[values..values + padded]);
        put_u32(&mut bytes, entry + 12, own);
        bytes[entry + 16..entry + 16 + stored.name.len()].copy_from_slice(&stored.name);
        hashed &= own != 0;
        hash = hash.rotate_left(16) ^ own;
        entry += (16 + stored.name.len()).next_multiple_of(4);
    }
    put_u32(&mut bytes, 0, MAGIC);
    put_u32(&mut bytes, 4, references);
    put_u32(&mut bytes, 8, 1);
    put_u32(&mut bytes, 12, if hashed { hash } else { 0 });
    bytes
}

/// The attributes of a block; unknown prefixes are left out. `None` when the block is damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<Xattrs> {
    let mut xattrs = Xattrs::new();
    for (index, name, value) in entries(bytes)? {
        let Some(name) = full_name(index, name) else {
            continue;
        };
        let value = match index {
            2 | 3 => acl_from_disk(value)?,
            _ => value.to_vec(),
        };
        xattrs.insert(name, value);
    }
    Some(xattrs)
}

/// An entry on disk: prefix number, rest of the name, value.
pub(crate) type DiskEntry<'a> = (u8, &'a [u8], &'a [u8]);

/// The entries of a block; `None` when the block is damaged.
pub(crate) fn entries(bytes: &[u8]) -> Option<Vec<DiskEntry<'_>>> {
    if bytes.len() < HEADER || get_u32(bytes, 0) != MAGIC || get_u32(bytes, 8) != 1 {
        return None;
    }
    let mut found = Vec::new();
    let mut at = HEADER;
    // Four zero bytes end the list.
    while get_u32(bytes.get(at..at + 4)?, 0) != 0 {
        let head = bytes.get(at..at + 16)?;
        let name = bytes.get(at + 16..at + 16 + usize::from(head[0]))?;
        let start = usize::from(get_u16(head, 2));
        let len = usize::try_from(get_u32(head, 8)).ok()?;
        // Values in blocks of their own or in inodes are features ext2 has not.
        if get_u32(head, 4) != 0 {
            return None;
        }
        let value = match len {
            0 => &[],
            _ => bytes.get(start..start.checked_add(len)?)?,
        };
        found.push((head[1], name, value));
        at += (16 + name.len()).next_multiple_of(4);
    }
    Some(found)
}

/// `h_refcount` of a block.
pub(crate) fn references(bytes: &[u8]) -> u32 {
    get_u32(bytes, 4)
}

/// Whether a block can be read, and the hashes of its entries are right.
pub(crate) fn is_sound(bytes: &[u8]) -> bool {
    let Some(found) = entries(bytes) else {
        return false;
    };
    let mut at = HEADER;
    found.into_iter().all(|(_, name, value)| {
        let stored = get_u32(bytes, at + 12);
        at += (16 + name.len()).next_multiple_of(4);
        let mut padded = value.to_vec();
        padded.resize(value.len().next_multiple_of(4), 0);
        // Zero stands for a hash that was not computed; bytes beyond ASCII hash in two ways.
        stored == 0 || !name.is_ascii() || stored == entry_hash(name, &padded)
    })
}

/// The hash of one entry over its name and its value padded to words. Name bytes count as signed,
/// as `e2fsck` takes them.
pub(crate) fn entry_hash(name: &[u8], padded_value: &[u8]) -> u32 {
    let mut hash = 0_u32;
    for &byte in name {
        hash = hash.rotate_left(5) ^ (i32::from(byte.cast_signed())).cast_unsigned();
    }
    for word in padded_value.chunks_exact(4) {
        hash = hash.rotate_left(16) ^ get_u32(word, 0);
    }
    hash
}

/// Tags of list entries that name a user or a group, and so hold an id.
const NAMED: [u16; 2] = [0x02, 0x08];

/// A list as system calls pass it (version 2, eight bytes each) as ext2 stores it (version 1).
fn acl_to_disk(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&2_u32.to_le_bytes())?;
    if !entries.len().is_multiple_of(8) {
        return None;
    }
    let mut disk = 1_u32.to_le_bytes().to_vec();
    for entry in entries.chunks_exact(8) {
        let len = if NAMED.contains(&get_u16(entry, 0)) {
            8
        } else {
            4
        };
        disk.extend_from_slice(&entry[..len]);
    }
    Some(disk)
}

/// The reverse of [`acl_to_disk`].
pub(crate) fn acl_from_disk(value: &[u8]) -> Option<Vec<u8>> {
    let mut rest = value.strip_prefix(&1_u32.to_le_bytes())?;
    let mut list = 2_u32.to_le_bytes().to_vec();
    while !rest.is_empty() {
        let head = rest.get(..4)?;
        list.extend_from_slice(head);
        let len = if NAMED.contains(&get_u16(head, 0)) {
            8
        } else {
            4
        };
        match rest.get(4..len)? {
            [] => list.extend_from_slice(&u32::MAX.to_le_bytes()),
            id => list.extend_from_slice(id),
        }
        rest = &rest[len..];
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_control_lists_survive() {
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in [
            (1_u16, 7_u16, u32::MAX),
            (2, 5, 1000),
            (4, 5, u32::MAX),
            (0x20, 0, u32::MAX),
        ] {
            list.extend_from_slice(&tag.to_le_bytes());
            list.extend_from_slice(&permissions.to_le_bytes());
            list.extend_from_slice(&id.to_le_bytes());
        }
        let disk = acl_to_disk(&list).unwrap();
        assert_eq!(disk.len(), 4 + 4 + 8 + 4 + 4);
        assert_eq!(acl_from_disk(&disk).unwrap(), list);
        assert_eq!(acl_to_disk(b"nonsense"), None);
    }

    #[test]
    fn names_without_a_number_are_told_apart() {
        assert_eq!(storable(b"user.a", b""), Ok(()));
        assert_eq!(storable(b"user.", b""), Err(Unstorable::NameLength));
        assert_eq!(storable(b"btrfs.compression", b""), Err(Unstorable::Prefix));
        assert_eq!(
            storable(b"system.posix_acl_access", b"x"),
            Err(Unstorable::Acl)
        );
    }
}
