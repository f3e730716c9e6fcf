//! The note in a rewritten file: what the rewriter changed, so that it can be undone to the byte.
//!
//! The original file is a prefix of the rewritten one, but for patches; the note holds the bytes that the patches
//! replaced, the original length, and the SHA-256 of the original. All numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | version, now 1 |
//! | 4 | gate: 0 chosen at run time, 1 always |
//! | 8 | length of the original |
//! | 32 | SHA-256 of the original |
//! | 4 | count of patches |
//! | each | offset (8), length (4), original bytes |

use sha2::{Digest, Sha256};

use super::{Gate, RewriteError};
use crate::scan::elf::Elf;

/// Name of the section.
pub(crate) const SECTION: &[u8] = b".note.lupine";
const OWNER: &[u8; 8] = b"lupine\0\0";
const KIND: u32 = 1;
const VERSION: u32 = 1;

/// What one rewriting changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) gate: Gate,
    pub(crate) length: u64,
    pub(crate) digest: [u8; 32],
    /// Offset and original bytes, in the order of the changes.
    pub(crate) patches: Vec<(u64, Vec<u8>)>,
}

pub(crate) fn digest(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// The note's bytes, if the file has one.
pub(crate) fn find<'a>(elf: &Elf<'a>) -> Option<&'a [u8]> {
    elf.section_bytes(elf.section(SECTION)?)
}

impl Note {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(VERSION.to_le_bytes());
        body.extend(u32::from(self.gate == Gate::Always).to_le_bytes());
        body.extend(self.length.to_le_bytes());
        body.extend(self.digest);
        body.extend((self.patches.len() as u32).to_le_bytes());
        for (offset, bytes) in &self.patches {
            body.extend(offset.to_le_bytes());
            body.extend((bytes.len() as u32).to_le_bytes());
            body.extend(bytes);
        }
        let mut out = Vec::with_capacity(body.len() + 24);
        // The name is padded to four bytes; its size counts the terminator only.
        out.extend(7u32.to_le_bytes());
        out.extend((body.len() as u32).to_le_bytes());
        out.extend(KIND.to_le_bytes());
        out.extend(OWNER);
        out.extend(&body);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    pub(crate) fn decode(raw: &[u8]) -> Option<Self> {
        let mut cursor = raw;
        let (name, size, kind) = (
            int32(&mut cursor)?,
            int32(&mut cursor)?,
            int32(&mut cursor)?,
        );
        if name != 7 || kind != KIND || take(&mut cursor, 8)? != OWNER {
            return None;
        }
        let mut cursor = cursor.get(..size as usize)?;
        if int32(&mut cursor)? != VERSION {
            return None;
        }
        let gate = if int32(&mut cursor)? == 1 {
            Gate::Always
        } else {
            Gate::Runtime
        };
        let length = int64(&mut cursor)?;
        let digest = take(&mut cursor, 32)?.try_into().ok()?;
        let count = int32(&mut cursor)?;
        let mut patches = Vec::new();
        for _ in 0..count {
            let offset = int64(&mut cursor)?;
            let len = int32(&mut cursor)? as usize;
            patches.push((offset, take(&mut cursor, len)?.to_vec()));
        }
        Some(Note {
            gate,
            length,
            digest,
            patches,
        })
    }

    /// The original file.
    pub(crate) fn undo(&self, data: &[u8]) -> Result<Vec<u8>, RewriteError> {
        let changed = RewriteError::ChangedSince {
            expected: hex(&self.digest),
        };
        let len = usize::try_from(self.length)
            .ok()
            .filter(|l| *l <= data.len())
            .ok_or_else(|| changed.clone())?;
        let mut out = data[..len].to_vec();
        for (offset, bytes) in self.patches.iter().rev() {
            let at = usize::try_from(*offset)
                .ok()
                .and_then(|a| out.get_mut(a..)?.get_mut(..bytes.len()));
            at.ok_or_else(|| changed.clone())?.copy_from_slice(bytes);
        }
        if digest(&out) == self.digest {
            Ok(out)
        } else {
            Err(changed)
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

fn take<'a>(cursor: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = cursor.split_at_checked(len)?;
    *cursor = tail;
    Some(head)
}

fn int32(cursor: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(cursor, 4)?.try_into().ok()?))
}

fn int64(cursor: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(cursor, 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_and_undo() {
        let original = b"0123456789".to_vec();
        let note = Note {
            gate: Gate::Always,
            length: 10,
            digest: digest(&original),
            patches: vec![(2, b"23".to_vec()), (3, b"x4".to_vec())],
        };
        assert_eq!(Note::decode(&note.encode()), Some(note.clone()));
        assert_eq!(note.undo(b"01xyy56789 and more").unwrap(), original);
        assert!(matches!(
            note.undo(b"01xyy5678"),
            Err(RewriteError::ChangedSince { .. })
        ));
        assert!(matches!(
            note.undo(b"09xyy56789"),
            Err(RewriteError::ChangedSince { .. })
        ));
        for cut in 0..note.encode().len() - 1 {
            assert_eq!(Note::decode(&note.encode()[..cut]), None);
        }
    }
}
