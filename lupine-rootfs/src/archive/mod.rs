//! Tar archives as a stream of members: v7, ustar, GNU and PAX, with sparse files and extended
//! attributes.
//!
//! The `tar` crate decodes the fixed headers; extended headers and sparse maps are read here,
//! because they are bytes of foreign choice: values with line feeds, names of any length, maps of
//! formats the crate does not know, and all of it within limits.

mod number;
mod pax;
mod sparse;

use std::borrow::Cow;
use std::io;

use thiserror::Error;

use crate::Xattrs;
use crate::archive::pax::Pax;
use crate::archive::sparse::SparseMap;
use crate::content::Extent;
use crate::source::stream::Stream;

const BLOCK: u64 = 512;

/// Why an archive cannot be read on. Offsets count decompressed bytes from the start of the
/// archive.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TarError {
    /// Reading or decompressing failed.
    #[error("cannot read at offset {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive ends within something.
    #[error("the archive ends within the {what} that starts at offset {offset}: it was cut off")]
    Truncated {
        /// Where that something starts.
        offset: u64,
        /// What it is.
        what: &'static str,
    },
    /// The checksum of a header is wrong.
    #[error("the header at offset {offset} has a wrong checksum: this is no tar header")]
    Checksum {
        /// Where the header is.
        offset: u64,
    },
    /// A number in a header is none.
    #[error("the header at offset {offset} has `{}` as its {field}, which is no number in range", .value.escape_ascii())]
    Number {
        /// Where the header is.
        offset: u64,
        /// Which field.
        field: &'static str,
        /// Its bytes.
        value: Vec<u8>,
    },
    /// A PAX header is malformed.
    #[error("the PAX header at offset {offset} is malformed: {reason}")]
    Pax {
        /// Where the header is.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A sparse map is malformed.
    #[error("the sparse file at offset {offset} is malformed: {reason}")]
    Sparse {
        /// Where the member is.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// Something is longer than the limits allow.
    #[error(
        "the {what} at offset {offset} is {len} bytes long, more than the limit `header_bytes` of {limit}"
    )]
    TooLong {
        /// Where it is.
        offset: u64,
        /// What it is.
        what: &'static str,
        /// Its length in bytes, as far as it is known.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A member claims to end beyond 64 bits.
    #[error("the member at offset {offset} claims {size} bytes, which no archive can hold")]
    Size {
        /// Where the member is.
        offset: u64,
        /// Bytes it claims.
        size: u64,
    },
    /// Extended headers without the member they describe.
    #[error("the extended header at offset {offset} describes no member: the archive ends there")]
    Dangling {
        /// Where the header is.
        offset: u64,
    },
    /// The archive is one volume of several.
    #[error(
        "the member at offset {offset} continues from another volume: multi-volume archives are not supported"
    )]
    MultiVolume {
        /// Where the member is.
        offset: u64,
    },
}

impl TarError {
    /// An error of reading a `what`; the end of the archive gets a word of its own.
    pub(crate) fn read(offset: u64, source: io::Error, what: &'static str) -> Self {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            Self::Truncated { offset, what }
        } else {
            Self::Read { offset, source }
        }
    }
}

/// The kind of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberKind {
    Regular,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
    /// A type that stands for no file here, or that nobody knows.
    Other(u8),
}

/// A member of an archive: one file, with all its extended headers taken into account.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Where its first header, extended ones included, starts.
    pub(crate) offset: u64,
    pub(crate) kind: MemberKind,
    pub(crate) path: Vec<u8>,
    /// Target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) xattrs: Xattrs,
    /// Length of the file.
    pub(crate) len: u64,
    /// Data extents of a sparse file, in the order they are stored.
    pub(crate) extents: Option<Vec<Extent>>,
}

impl Member {
    /// Runs of the file that are stored, one behind the other.
    pub(crate) fn stored(&self) -> Cow<'_, [Extent]> {
        match &self.extents {
            Some(extents) => Cow::Borrowed(extents),
            None if self.len == 0 => Cow::Borrowed(&[]),
            None => Cow::Owned(vec![Extent {
                offset: 0,
                len: self.len,
            }]),
        }
    }
}

/// Reads the members of an archive, one after the other.
#[derive(Debug)]
pub(crate) struct Members {
    stream: Stream,
    /// Where the next header is.
    next: u64,
    /// Where the header before that is.
    last: u64,
    /// Longest extended header and sparse map.
    limit: u64,
    globals: Pax,
    ended: bool,
}

impl Members {
    pub(crate) fn new(stream: Stream, header_limit: u64) -> Self {
        Self {
            stream,
            next: 0,
            last: 0,
            limit: header_limit,
            globals: Pax::default(),
            ended: false,
        }
    }

    /// The stream; after [`next`](Self::next) it stands at the first stored byte of the member.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The next member; `None` at the end of the archive. What was not read of the member before
    /// is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let mut pax = self.globals.clone();
        let (mut long_name, mut long_link) = (None, None);
        let mut first = None;
        loop {
            let offset = self.next;
            let Some(header) = self.header()? else {
                self.ended = true;
                return match first {
                    Some(offset) => Err(TarError::Dangling { offset }),
                    None => Ok(None),
                };
            };
            let start = *first.get_or_insert(offset);
            let number = |field, value: &[u8]| {
                number::header(value).ok_or_else(|| TarError::Number {
                    offset,
                    field,
                    value: value.to_vec(),
                })
            };
            let size = number("size", &header.as_old().size)?;
            let size = u64::try_from(size).map_err(|_| TarError::Number {
                offset,
                field: "size",
                value: header.as_old().size.to_vec(),
            })?;
            let kind = header.as_old().linkflag[0];
            match kind {
                b'x' | b'X' => {
                    let text = self.extended(offset, size, "PAX header")?;
                    pax.read(&text)
                        .map_err(|reason| TarError::Pax { offset, reason })?;
                }
                b'g' => {
                    let text = self.extended(offset, size, "PAX header")?;
                    let mut globals = self.globals.clone();
                    globals
                        .read(&text)
                        .map_err(|reason| TarError::Pax { offset, reason })?;
                    self.globals = globals.globals();
                    // A global header stands between members; alone it describes none.
                    if start == offset {
                        pax = self.globals.clone();
                        first = None;
                    }
                }
                b'L' => long_name = Some(self.long(offset, size, "long name")?),
                b'K' => long_link = Some(self.long(offset, size, "long link name")?),
                _ => {
                    let described = Described {
                        start,
                        offset,
                        size,
                        pax,
                        long_name,
                        long_link,
                    };
                    return self.member(&header, described).map(Some);
                }
            }
        }
    }

    /// Passes over what is behind the end of the archive; gives whether all of it was zeros.
    pub(crate) fn drain(&mut self) -> Result<bool, TarError> {
        let offset = self.stream.position();
        self.stream
            .drain()
            .map_err(|source| TarError::Read { offset, source })
    }

    /// The next header block; `None` at the end of the archive, which is a block of zeros or
    /// nothing at all.
    fn header(&mut self) -> Result<Option<tar::Header>, TarError> {
        let at = self.next;
        let ahead = at.saturating_sub(self.stream.position());
        self.stream
            .skip(ahead)
            .map_err(|source| TarError::read(self.last, source, "member"))?;
        let bytes = self
            .stream
            .fill(BLOCK as usize)
            .map_err(|source| TarError::Read { offset: at, source })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let block = bytes.get(..BLOCK as usize).unwrap_or(bytes);
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if block.len() < BLOCK as usize {
            return Err(TarError::Truncated {
                offset: at,
                what: "header",
            });
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        self.stream.consume(BLOCK as usize);
        (self.last, self.next) = (at, at + BLOCK);
        // Both sums are in use: of unsigned and of signed bytes.
        let wanted = number::header(&header.as_old().cksum);
        let bytes = header.as_bytes();
        let covered = || bytes[..148].iter().chain(&bytes[156..]);
        let unsigned = covered().map(|&byte| i64::from(byte)).sum::<i64>() + 8 * 32;
        let signed = covered().map(|&byte| i64::from(byte as i8)).sum::<i64>() + 8 * 32;
        if wanted != Some(unsigned) && wanted != Some(signed) {
            return Err(TarError::Checksum { offset: at });
        }
        Ok(Some(header))
    }

    /// The content of an extended header.
    fn extended(&mut self, at: u64, size: u64, what: &'static str) -> Result<Vec<u8>, TarError> {
        if size > self.limit {
            return Err(TarError::TooLong {
                offset: at,
                what,
                len: size,
                limit: self.limit,
            });
        }
        self.claim(at, size)?;
        let mut text = vec![0; size as usize];
        self.stream
            .read_exact(&mut text)
            .map_err(|source| TarError::read(at, source, what))?;
        Ok(text)
    }

    /// A GNU long name: up to the first zero byte.
    fn long(&mut self, at: u64, size: u64, what: &'static str) -> Result<Vec<u8>, TarError> {
        let mut name = self.extended(at, size, what)?;
        if let Some(end) = name.iter().position(|&byte| byte == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    /// Notes that `size` bytes, filled up to whole blocks, stand before the next header.
    fn claim(&mut self, at: u64, size: u64) -> Result<(), TarError> {
        self.next = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|size| self.next.checked_add(size))
            .filter(|&next| next <= i64::MAX as u64)
            .ok_or(TarError::Size { offset: at, size })?;
        Ok(())
    }

    fn member(&mut self, header: &tar::Header, described: Described) -> Result<Member, TarError> {
        let Described {
            start,
            offset,
            size,
            pax,
            long_name,
            long_link,
        } = described;
        let old = header.as_old();
        let id = |field, value: &[u8], given: Option<u64>| {
            let bad = |value: &[u8]| TarError::Number {
                offset,
                field,
                value: value.to_vec(),
            };
            match given {
                Some(id) => u32::try_from(id).map_err(|_| bad(id.to_string().as_bytes())),
                None => number::header(value)
                    .and_then(|id| u32::try_from(id).ok())
                    .ok_or_else(|| bad(value)),
            }
        };
        let uid = id("uid", &old.uid, pax.uid)?;
        let gid = id("gid", &old.gid, pax.gid)?;
        let mode = number::header(&old.mode).ok_or_else(|| TarError::Number {
            offset,
            field: "mode",
            value: old.mode.to_vec(),
        })?;
        let mtime = match pax.mtime {
            Some(mtime) => mtime,
            None => number::header(&old.mtime).ok_or_else(|| TarError::Number {
                offset,
                field: "mtime",
                value: old.mtime.to_vec(),
            })?,
        };
        let path = pax
            .sparse
            .name
            .clone()
            .or(pax.path)
            .or(long_name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax
            .link
            .or(long_link)
            .or_else(|| header.link_name_bytes().map(Cow::into_owned))
            .unwrap_or_default();
        let kind = match old.linkflag[0] {
            // Before POSIX a directory was a regular file with a `/` at the end of its name.
            0 | b'0' | b'7' if path.ends_with(b"/") => MemberKind::Directory,
            0 | b'0' | b'7' | b'S' => MemberKind::Regular,
            b'1' => MemberKind::HardLink,
            b'2' => MemberKind::Symlink,
            b'3' => MemberKind::CharDevice,
            b'4' => MemberKind::BlockDevice,
            b'5' | b'D' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            b'M' => return Err(TarError::MultiVolume { offset }),
            other => MemberKind::Other(other),
        };
        let (mut major, mut minor) = (0, 0);
        if matches!(kind, MemberKind::CharDevice | MemberKind::BlockDevice) {
            let fields = match (header.as_ustar(), header.as_gnu()) {
                (Some(ustar), _) => Some((ustar.dev_major, ustar.dev_minor)),
                (_, Some(gnu)) => Some((gnu.dev_major, gnu.dev_minor)),
                _ => None,
            };
            if let Some((high, low)) = fields {
                major = id("device major", &high, None)?;
                minor = id("device minor", &low, None)?;
            }
        }
        // Kinds without content may still carry a size; nothing is stored for it (as in the
        // archive/tar package of Go, which makes and reads most layers).
        let has_data = !matches!(old.linkflag[0], b'1'..=b'6');
        let size = if has_data {
            pax.size.unwrap_or(size)
        } else {
            0
        };
        let mut member = Member {
            offset: start,
            kind,
            path,
            link,
            mode: (mode & 0o7777) as u16,
            uid,
            gid,
            mtime,
            major,
            minor,
            xattrs: pax.xattrs,
            len: if kind == MemberKind::Regular { size } else { 0 },
            extents: None,
        };
        let sparse = if kind != MemberKind::Regular {
            None
        } else if old.linkflag[0] == b'S' {
            // The map's further blocks stand before the data and do not count as size.
            let map = sparse::old_gnu(
                header.as_bytes(),
                offset,
                size,
                &mut self.stream,
                self.limit,
            )?;
            self.next = self.stream.position();
            Some(map)
        } else if pax.sparse.is_sparse() {
            Some(self.pax_sparse(&pax.sparse, offset, size)?)
        } else {
            None
        };
        self.claim(offset, size)?;
        if let Some(map) = sparse {
            member.len = map.len;
            member.extents = Some(map.extents);
        }
        Ok(member)
    }

    fn pax_sparse(
        &mut self,
        records: &pax::SparseRecords,
        offset: u64,
        size: u64,
    ) -> Result<SparseMap, TarError> {
        let bad = |reason| TarError::Sparse { offset, reason };
        match (records.major.unwrap_or(0), records.minor.unwrap_or(0)) {
            (0, _) => {
                let len = records
                    .size
                    .or(records.real_size)
                    .ok_or(bad("the length of the file is missing"))?;
                SparseMap::new(offset, len, records.map.clone(), size)
            }
            (1, 0) => {
                let len = records
                    .real_size
                    .or(records.size)
                    .ok_or(bad("the length of the file is missing"))?;
                sparse::in_data(offset, len, size, &mut self.stream, self.limit)
            }
            _ => Err(bad("its format is neither 0.0, 0.1 nor 1.0")),
        }
    }
}

/// A header with what the extended headers before it said.
struct Described {
    start: u64,
    offset: u64,
    size: u64,
    pax: Pax,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}
