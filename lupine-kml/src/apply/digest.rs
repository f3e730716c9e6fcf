//! SHA-256 digests, as hexadecimal text.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::tree::{Entry, EntryKind};

/// The SHA-256 of bytes, as 64 lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What tells one state of a file from another: digest and kind.
pub(super) fn of_entry(entry: &Entry) -> String {
    let kind = match entry.kind {
        EntryKind::Regular { mode } if mode & 0o100 != 0 => "x",
        EntryKind::Regular { .. } => "-",
        EntryKind::Symlink => "l",
    };
    format!("{kind}:{}", hex(&entry.content))
}

/// [`of_entry`] for what may not be there.
pub(super) fn of_state(entry: Option<&Entry>) -> Option<String> {
    entry.map(of_entry)
}
