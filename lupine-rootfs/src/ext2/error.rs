//! What stops a writer, and what it only remarks.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::xattr::Unstorable;
use crate::content::DeliverError;
use crate::path::TreePath;

/// Why no image was written. Nothing is left behind.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The image cannot be created, written, synchronised or renamed.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What failed.
        action: &'static str,
        /// The image, or its directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Output that is no named file failed.
    #[error("cannot write the image")]
    Output(#[source] io::Error),
    /// File contents did not arrive.
    #[error(transparent)]
    Deliver(DeliverError),
    /// A source delivered less than it had promised.
    #[error(
        "{arrived} of {expected} bytes of data arrived for `{path}`: the source changed or is damaged; read it again"
    )]
    Incomplete {
        /// The file.
        path: TreePath,
        /// Bytes that arrived.
        arrived: u64,
        /// Bytes of data its content has.
        expected: u64,
    },
    /// The work was cancelled through [`Progress`](crate::Progress).
    #[error("cancelled")]
    Cancelled,
    /// A file is longer than the block map reaches.
    #[error(
        "`{path}` has {len} bytes: ext2 with blocks of {block_size} holds files up to {limit} bytes"
    )]
    FileTooLarge {
        /// The file.
        path: TreePath,
        /// Its length in bytes.
        len: u64,
        /// Bytes of a block.
        block_size: u32,
        /// The longest file in bytes.
        limit: u64,
    },
    /// A symbolic link's target is empty, too long, or holds a zero byte.
    #[error(
        "symbolic link `{path}` has a target of {len} bytes{}: ext2 with blocks of {block_size} holds 1 to {} bytes, none of them zero",
        if *.zero_byte { " with a zero byte" } else { "" },
        .block_size - 1
    )]
    BadSymlink {
        /// The link.
        path: TreePath,
        /// Length of the target in bytes.
        len: usize,
        /// Whether a zero byte is among them.
        zero_byte: bool,
        /// Bytes of a block.
        block_size: u32,
    },
    /// The extended attributes of a file do not fit a block.
    #[error(
        "extended attributes of `{path}` take {size} bytes: they must fit one block of {block_size}; use larger blocks or fewer attributes"
    )]
    XattrsTooLarge {
        /// The file.
        path: TreePath,
        /// Bytes they take.
        size: usize,
        /// Bytes of a block.
        block_size: u32,
    },
    /// More names than the link count holds.
    #[error("`{path}` has {links} links: ext2 counts up to {limit}")]
    TooManyLinks {
        /// The file or directory.
        path: TreePath,
        /// Its links.
        links: u64,
        /// The most there can be.
        limit: u64,
    },
    /// A device number beyond 12 bits of major or 20 of minor.
    #[error("device `{path}` has number {major}:{minor}: at most 4095:1048575 can be stored")]
    DeviceNumber {
        /// The device.
        path: TreePath,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// `lost+found` in the root belongs to the file system and must be a directory.
    #[error("`/lost+found` is a {found}: ext2 keeps a directory there; remove or rename it")]
    LostAndFound {
        /// What it is.
        found: &'static str,
    },
    /// The size asked for is too small.
    #[error("{asked} bytes are too few for the tree: it needs {needed}")]
    TooSmall {
        /// The size asked for in bytes.
        asked: u64,
        /// The smallest that would do in bytes.
        needed: u64,
    },
    /// More blocks or inodes than 32 bits number.
    #[error("the tree needs more blocks or inodes than ext2 numbers (2^32)")]
    TooLarge,
    /// The label is too long.
    #[error("label of {len} bytes: at most 16 can be stored")]
    LabelTooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl From<DeliverError> for WriteError {
    fn from(error: DeliverError) -> Self {
        match error {
            DeliverError::Cancelled => Self::Cancelled,
            other => Self::Deliver(other),
        }
    }
}

/// A remark about something that could not be stored as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Diagnostic {
    /// A time outside 1901-12-13 to 2038-01-19 was moved to the nearer end.
    TimeClamped {
        /// The file.
        path: TreePath,
        /// Its time in seconds since 1970.
        time: i64,
        /// The time stored.
        stored: i64,
    },
    /// An extended attribute was left out.
    XattrDropped {
        /// The file.
        path: TreePath,
        /// Name of the attribute.
        name: Vec<u8>,
        /// Why.
        reason: Unstorable,
    },
    /// A directory is too large for an index of two levels with this block size, and has none.
    NotIndexed {
        /// The directory.
        path: TreePath,
        /// Its entries.
        entries: usize,
    },
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimeClamped { path, time, stored } => write!(
                f,
                "{path}: time {time} is outside what ext2 stores; stored as {stored}"
            ),
            Self::XattrDropped { path, name, reason } => write!(
                f,
                "{path}: extended attribute `{}` is left out: {reason}",
                name.escape_ascii()
            ),
            Self::NotIndexed { path, entries } => write!(
                f,
                "{path}: {entries} entries are too many for an index with this block size"
            ),
        }
    }
}

/// Remarks kept in full; beyond, they are counted.
const KEPT: usize = 1000;

/// The remarks about one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    /// The first thousand.
    pub first: Vec<Diagnostic>,
    /// How many there were in all.
    pub total: u64,
}

impl Diagnostics {
    /// Adds a remark; made only when it is kept.
    pub(crate) fn push(&mut self, make: impl FnOnce() -> Diagnostic) {
        self.total += 1;
        if self.first.len() < KEPT {
            self.first.push(make());
        }
    }
}
