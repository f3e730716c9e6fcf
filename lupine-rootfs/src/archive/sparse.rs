//! Sparse files in tar archives: the old GNU headers and the three PAX formats 0.0, 0.1 and 1.0.
//!
//! All say the same: the length of the file, and which runs of it are stored, one behind the other.

use crate::archive::TarError;
use crate::archive::number;
use crate::content::Extent;
use crate::source::stream::Stream;

/// A sparse file: its length and its data extents, none of them empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparseMap {
    pub(crate) len: u64,
    pub(crate) extents: Vec<Extent>,
}

impl SparseMap {
    /// Checks that the extents ascend, lie within the file, and need the bytes that are stored.
    pub(crate) fn new(
        at: u64,
        len: u64,
        mut extents: Vec<Extent>,
        stored: u64,
    ) -> Result<Self, TarError> {
        let bad = |reason| TarError::Sparse { offset: at, reason };
        // An empty extent at the end marks the length; those in between mean nothing.
        extents.retain(|extent| extent.len > 0);
        let (mut reached, mut data) = (0, 0_u64);
        for extent in &extents {
            let end = extent.end().ok_or(bad("an extent ends beyond 64 bits"))?;
            if extent.offset < reached {
                return Err(bad("extents overlap or are out of order"));
            }
            if end > len {
                return Err(bad("an extent ends behind the file"));
            }
            reached = end;
            data += extent.len;
        }
        if data != stored {
            return Err(bad("the extents are not as long as the data stored"));
        }
        extents.shrink_to_fit();
        Ok(Self { len, extents })
    }
}

/// Extents in the header and in each block that continues it: offset and length, 12 bytes each.
const HEADER_EXTENTS: usize = 4;
const BLOCK_EXTENTS: usize = 21;

fn pairs(area: &[u8], at: u64, extents: &mut Vec<Extent>) -> Result<(), TarError> {
    for pair in area.chunks_exact(24) {
        if pair[0] == 0 && pair[12] == 0 {
            break;
        }
        let field = |bytes: &[u8]| {
            number::header(bytes)
                .and_then(|value| u64::try_from(value).ok())
                .ok_or(TarError::Sparse {
                    offset: at,
                    reason: "an offset or length is no number",
                })
        };
        extents.push(Extent {
            offset: field(&pair[..12])?,
            len: field(&pair[12..])?,
        });
    }
    Ok(())
}

/// Reads the map of an old GNU sparse member (type `S`): in its header, and in the blocks behind
/// it while each says that one more follows. `stored` are the bytes of data behind those.
pub(crate) fn old_gnu(
    header: &[u8; 512],
    at: u64,
    stored: u64,
    stream: &mut Stream,
    limit: u64,
) -> Result<SparseMap, TarError> {
    let mut extents = Vec::new();
    pairs(&header[386..386 + 24 * HEADER_EXTENTS], at, &mut extents)?;
    let mut more = header[482] != 0;
    while more {
        if extents.len() as u64 * 24 > limit {
            return Err(TarError::TooLong {
                offset: at,
                what: "sparse map",
                len: extents.len() as u64 * 24,
                limit,
            });
        }
        let mut block = [0; 512];
        stream
            .read_exact(&mut block)
            .map_err(|source| TarError::read(at, source, "sparse map"))?;
        pairs(&block[..24 * BLOCK_EXTENTS], at, &mut extents)?;
        more = block[504] != 0;
    }
    let len = number::header(&header[483..495])
        .and_then(|len| u64::try_from(len).ok())
        .ok_or(TarError::Sparse {
            offset: at,
            reason: "the length of the file is no number",
        })?;
    SparseMap::new(at, len, extents, stored)
}

/// Reads the map of PAX format 1.0, which stands before the data: decimal numbers, a line each,
/// the number of extents first, filled up to a block. The stream then stands at the data.
pub(crate) fn in_data(
    at: u64,
    len: u64,
    stored: u64,
    stream: &mut Stream,
    limit: u64,
) -> Result<SparseMap, TarError> {
    let bad = |reason| TarError::Sparse { offset: at, reason };
    let mut lines = Lines {
        at,
        stream,
        left: stored,
        used: 0,
        limit,
        block: [0; 512],
        next: 512,
    };
    let count = lines.number()?;
    // Each extent takes four bytes of map at least.
    if count > limit / 4 {
        return Err(TarError::TooLong {
            offset: at,
            what: "sparse map",
            len: count.saturating_mul(4),
            limit,
        });
    }
    let mut extents = Vec::new();
    for _ in 0..count {
        extents.push(Extent {
            offset: lines.number()?,
            len: lines.number()?,
        });
    }
    let used = lines.used;
    let data = stored
        .checked_sub(used)
        .ok_or(bad("the map is longer than the member"))?;
    SparseMap::new(at, len, extents, data)
}

struct Lines<'a> {
    at: u64,
    stream: &'a mut Stream,
    /// Bytes of the member not yet read.
    left: u64,
    /// Bytes of the member read, in whole blocks.
    used: u64,
    limit: u64,
    block: [u8; 512],
    next: usize,
}

impl Lines<'_> {
    fn number(&mut self) -> Result<u64, TarError> {
        let bad = TarError::Sparse {
            offset: self.at,
            reason: "the map holds something that is no number",
        };
        let mut text = Vec::with_capacity(20);
        loop {
            let byte = self.byte()?;
            if byte == b'\n' {
                return number::decimal(&text).ok_or(bad);
            }
            if text.len() == 20 {
                return Err(bad);
            }
            text.push(byte);
        }
    }

    fn byte(&mut self) -> Result<u8, TarError> {
        if self.next == self.block.len() {
            if self.left < 512 {
                return Err(TarError::Sparse {
                    offset: self.at,
                    reason: "the map is longer than the member",
                });
            }
            if self.used >= self.limit {
                return Err(TarError::TooLong {
                    offset: self.at,
                    what: "sparse map",
                    len: self.used,
                    limit: self.limit,
                });
            }
            self.stream
                .read_exact(&mut self.block)
                .map_err(|source| TarError::read(self.at, source, "sparse map"))?;
            self.left -= 512;
            self.used += 512;
            self.next = 0;
        }
        self.next += 1;
        Ok(self.block[self.next - 1])
    }
}
