//! File contents as references, and how their bytes travel.
//!
//! A tree never holds the bytes of an image. An inode says how long its content is, where its data
//! extents lie, and which *source* has the bytes. A writer therefore lays out the whole file system
//! from metadata alone (first pass), and then asks each source once to deliver the contents that
//! are still wanted (second pass). A source delivers in the order that suits it: a compressed layer
//! is decompressed once, front to back, and each piece goes straight to its final place.
//!
//! The agreement between a source and a sink:
//! - [`ContentSource::deliver`] hands over every data extent of every wanted index, in pieces of
//!   any size, in any order, from any number of threads; bytes outside the data extents are holes
//!   and are never delivered; no byte is delivered twice.
//! - Offsets are offsets in the file as an application sees it, not in the archive.
//! - The sink refuses bytes outside the extents and reports files that stayed incomplete, so a
//!   source whose files changed or whose archive lied cannot produce a silently wrong image.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::tree::InodeId;

mod request;

pub use request::Request;
pub(crate) use request::Wanted;

/// Number of a source within its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub(crate) u32);

/// A run of bytes of a file that holds data; what lies between runs are holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// First byte, counted from the start of the file.
    pub offset: u64,
    /// Number of bytes; never zero.
    pub len: u64,
}

impl Extent {
    /// The byte after the last one, or `None` where that is beyond 64 bits.
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }
}

/// The content of a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub(crate) data: Data,
    pub(crate) len: u64,
}

/// Where the bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    /// All holes, or nothing at all.
    Hole,
    /// In memory; the whole file.
    Inline(Arc<[u8]>),
    /// At a source; the whole file.
    Source { source: SourceId, index: u64 },
    /// At a source; only some extents.
    Sparse {
        source: SourceId,
        index: u64,
        extents: Arc<[Extent]>,
    },
}

/// A content whose description contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// An extent is empty, overlaps or precedes the one before it, or ends after the file.
    #[error(
        "data extent {number} ({len} bytes at offset {offset}) does not fit a file of {file_len} bytes behind the extent before it"
    )]
    BadExtent {
        /// Position in the list, from 0.
        number: usize,
        /// First byte of the extent.
        offset: u64,
        /// Length of the extent in bytes.
        len: u64,
        /// Length of the file in bytes.
        file_len: u64,
    },
}

impl Content {
    /// An empty file.
    pub fn empty() -> Self {
        Self {
            data: Data::Hole,
            len: 0,
        }
    }

    /// A file of `len` bytes without data: one hole.
    pub fn hole(len: u64) -> Self {
        Self {
            data: Data::Hole,
            len,
        }
    }

    /// A file whose bytes are in memory.
    pub fn inline(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        if len == 0 {
            Self::empty()
        } else {
            Self {
                data: Data::Inline(bytes),
                len,
            }
        }
    }

    /// A file of `len` bytes that `source` knows as `index`.
    pub fn from_source(source: SourceId, index: u64, len: u64) -> Self {
        if len == 0 {
            Self::empty()
        } else {
            Self {
                data: Data::Source { source, index },
                len,
            }
        }
    }

    /// A sparse file of `len` bytes: `extents` are its data, in ascending order and apart.
    ///
    /// # Errors
    /// [`ContentError::BadExtent`] when an extent is empty, out of order, overlapping, or beyond
    /// the end of the file.
    pub fn sparse(
        source: SourceId,
        index: u64,
        len: u64,
        extents: impl Into<Arc<[Extent]>>,
    ) -> Result<Self, ContentError> {
        let extents: Arc<[Extent]> = extents.into();
        let mut reached = 0;
        for (number, extent) in extents.iter().enumerate() {
            let bad = || ContentError::BadExtent {
                number,
                offset: extent.offset,
                len: extent.len,
                file_len: len,
            };
            let end = extent.end().ok_or_else(bad)?;
            if extent.len == 0 || extent.offset < reached || end > len {
                return Err(bad());
            }
            reached = end;
        }
        Ok(match &*extents {
            [] => Self::hole(len),
            [whole] if whole.len == len => Self::from_source(source, index, len),
            _ => Self {
                data: Data::Sparse {
                    source,
                    index,
                    extents,
                },
                len,
            },
        })
    }

    /// Length of the file in bytes, holes included.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file has no bytes, not even holes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The source and its number for this content; `None` when the bytes are in memory or the file
    /// is empty or all hole.
    pub fn source(&self) -> Option<(SourceId, u64)> {
        match &self.data {
            &Data::Source { source, index } | &Data::Sparse { source, index, .. } => {
                Some((source, index))
            }
            Data::Hole | Data::Inline(_) => None,
        }
    }

    /// The runs of data, in ascending order.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        let (whole, listed): (Option<Extent>, &[Extent]) = match &self.data {
            Data::Hole => (None, &[]),
            Data::Inline(_) | Data::Source { .. } => (
                Some(Extent {
                    offset: 0,
                    len: self.len,
                }),
                &[],
            ),
            Data::Sparse { extents, .. } => (None, extents),
        };
        whole.into_iter().chain(listed.iter().copied())
    }

    /// Number of bytes of data, holes left out: what a source delivers for this content.
    pub fn data_len(&self) -> u64 {
        self.extents().map(|extent| extent.len).sum()
    }
}

/// Supplies the bytes of the contents that were made with [`Content::from_source`] or
/// [`Content::sparse`] and its [`SourceId`].
pub trait ContentSource: fmt::Debug + Send + Sync {
    /// Hands over the data of every index the request wants, as the module documentation lays
    /// down. Called at most once per pass, and for several passes over the life of a tree.
    ///
    /// # Errors
    /// [`DeliverError::Source`] when the source cannot be read or is not what it was when the tree
    /// was built; errors of [`Request::write`] and [`Request::copy_from`] are passed on unchanged.
    fn deliver(&self, request: &Request<'_>) -> Result<(), DeliverError>;
}

/// Takes the bytes of file contents to their place: an image, a file, memory.
pub trait ContentSink: Sync {
    /// Takes `bytes`, which stand at `offset` of the file `inode`.
    ///
    /// # Errors
    /// What the place where the bytes go says.
    fn write(&self, inode: InodeId, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Takes `len` bytes that stand at `file_offset` of `file`; a sink backed by a file lets the
    /// kernel copy or share them. The default reads and [`write`](ContentSink::write)s.
    ///
    /// # Errors
    /// As [`write`](ContentSink::write); `UnexpectedEof` when `file` ends early.
    fn copy_from(
        &self,
        inode: InodeId,
        offset: u64,
        file: &File,
        file_offset: u64,
        len: u64,
    ) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let mut buffer = vec![0; len.min(COPY_BUFFER) as usize];
        let mut done = 0;
        while done < len {
            let want = (len - done).min(COPY_BUFFER) as usize;
            file.read_exact_at(&mut buffer[..want], file_offset + done)?;
            self.write(inode, offset + done, &buffer[..want])?;
            done += want as u64;
        }
        Ok(())
    }

    /// Where the content of `inode` begins, in any unit: sources that can choose deliver in this
    /// order, so that neighbours arrive one after the other.
    fn place(&self, inode: InodeId) -> u64 {
        let _ = inode;
        0
    }

    /// Whether the work should stop: polled by [`Request`] before each piece.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Bytes copied at a time where the kernel does not copy for us.
const COPY_BUFFER: u64 = 256 * 1024;

/// Why the bytes of contents did not arrive.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// The place where the bytes go failed.
    #[error("cannot store file data")]
    Sink(#[source] io::Error),
    /// The source failed; the error is the source's own.
    #[error("cannot read file data from its source")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl DeliverError {
    /// Wraps an error of a source.
    pub fn source(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Source(error.into())
    }
}
