//! Why trees cannot be changed or read.

use thiserror::Error;

use crate::content::DeliverError;
use crate::path::{PathError, TreePath};

/// Why a tree cannot be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The path names no place in a tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A parent component is a file of another kind.
    #[error("`{at}` in path `{path}` is a {found}, not a directory")]
    NotADirectory {
        /// The path asked for.
        path: TreePath,
        /// The component that is no directory.
        at: TreePath,
        /// What it is.
        found: &'static str,
    },
    /// Too many symbolic links on the way.
    #[error("more than {limit} symbolic links on the way to `{path}`: they form a loop")]
    SymlinkLoop {
        /// The path asked for.
        path: TreePath,
        /// How many are followed.
        limit: u32,
    },
    /// Nothing has this name.
    #[error("`{path}` does not exist")]
    NotFound {
        /// The path asked for.
        path: TreePath,
    },
    /// Directories have one name.
    #[error("`{path}` cannot be a hard link to the directory `{target}`")]
    LinkToDirectory {
        /// The name to be made.
        path: TreePath,
        /// The directory.
        target: TreePath,
    },
    /// The root is a directory and stays.
    #[error("the root can be neither removed nor replaced by a {kind}")]
    Root {
        /// What was to replace it.
        kind: &'static str,
    },
    /// More inodes than a tree numbers (2^32 - 1).
    #[error("too many files for one tree")]
    TooManyFiles,
}

/// Why contents of a tree cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Larger than the caller allows.
    #[error("file of {len} bytes is larger than the {limit} bytes allowed")]
    TooLarge {
        /// Length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The content did not arrive.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// The inode is no regular file.
    #[error("a {found} has no content to read")]
    NotAFile {
        /// What it is.
        found: &'static str,
    },
    /// The source delivered less than it had promised.
    #[error("{arrived} of {expected} bytes of data arrived: the source changed or is damaged")]
    Incomplete {
        /// Bytes that arrived.
        arrived: u64,
        /// Bytes of data the content has.
        expected: u64,
    },
}
