//! What a file is, apart from its names: kind, owner, permissions, time, extended attributes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::content::Content;

/// Owner, permissions and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// Permission bits with set-uid, set-gid and sticky: the low 12 bits (`0o7777`).
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Time of last modification, in seconds since 1970; ext2 has no fractions of a second.
    pub mtime: i64,
}

impl Metadata {
    /// Metadata of root's file with these permission bits, as of 1970.
    pub fn with_mode(mode: u16) -> Self {
        Self {
            mode: mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: 0,
        }
    }
}

/// Extended attributes: full name with its prefix (`user.comment`, `security.capability`) to value.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The kind of a file with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory; its entries are the tree's, see [`FileTree::children`](crate::FileTree::children).
    Directory,
    /// A regular file.
    Regular(Content),
    /// A symbolic link with its target, as it is, not normalised.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Kind {
    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory)
    }

    /// The kind as the field calls it, for messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Regular(_) => "regular file",
            Self::Symlink(_) => "symbolic link",
            Self::CharDevice { .. } => "character device",
            Self::BlockDevice { .. } => "block device",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
        }
    }

    /// The content of a regular file, `None` for other kinds.
    pub(crate) fn into_content(self) -> Option<Content> {
        match self {
            Self::Regular(content) => Some(content),
            _ => None,
        }
    }

    /// The file type bits of `st_mode` (`S_IFMT`).
    pub fn type_bits(&self) -> u16 {
        match self {
            Self::Fifo => 0o010_000,
            Self::CharDevice { .. } => 0o020_000,
            Self::Directory => 0o040_000,
            Self::BlockDevice { .. } => 0o060_000,
            Self::Regular(_) => 0o100_000,
            Self::Symlink(_) => 0o120_000,
            Self::Socket => 0o140_000,
        }
    }
}

/// A file of any kind, which one or more names (hard links) stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// The kind, with the content of regular files.
    pub kind: Kind,
    /// Owner, permissions and time.
    pub metadata: Metadata,
    /// Extended attributes; shared, because most files have none or the same.
    pub xattrs: Option<Arc<Xattrs>>,
}

impl Inode {
    /// A file without extended attributes.
    pub fn new(kind: Kind, metadata: Metadata) -> Self {
        Self {
            kind,
            metadata,
            xattrs: None,
        }
    }

    /// The same file with these extended attributes.
    #[must_use]
    pub fn with_xattrs(mut self, xattrs: Xattrs) -> Self {
        self.xattrs = (!xattrs.is_empty()).then(|| Arc::new(xattrs));
        self
    }

    /// `st_mode`: file type and permission bits.
    pub fn st_mode(&self) -> u16 {
        self.kind.type_bits() | (self.metadata.mode & 0o7777)
    }

    /// The content of a regular file, `None` for other kinds.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::Regular(content) => Some(content),
            _ => None,
        }
    }
}
