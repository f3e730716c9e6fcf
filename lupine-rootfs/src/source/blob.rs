//! Blobs: runs of bytes somewhere, opened as often as wanted, verified and decompressed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::source::compression::{Compression, Decoder};
use crate::source::digest::{Expected, Verify};
use crate::source::error::SourceError;
use crate::source::limits::{Limit, Limits, RATIO_FLOOR};
use crate::source::stream::Stream;

/// A run of bytes that does not change.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    name: Arc<str>,
    place: Place,
    len: u64,
}

#[derive(Debug, Clone)]
enum Place {
    File {
        file: Arc<File>,
        stamp: Stamp,
        offset: u64,
    },
    Memory {
        bytes: Arc<[u8]>,
        offset: usize,
    },
    /// In the decompressed bytes of another blob.
    Packed {
        outer: Arc<Blob>,
        offset: u64,
    },
}

/// What changes when a file is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    mtime: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let stat = file.metadata()?;
        Ok(Self {
            inode: stat.ino(),
            len: stat.len(),
            mtime: (stat.mtime(), stat.mtime_nsec()),
        })
    }
}

/// Opens a regular file; anything else is refused without waiting for it (a fifo would block).
pub(crate) fn open_file(path: &Path) -> Result<File, SourceError> {
    // Meaningless for regular files.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = File::options()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .map_err(SourceError::io(path, "open"))?;
    let stat = file.metadata().map_err(SourceError::io(path, "stat"))?;
    if !stat.is_file() {
        return Err(SourceError::Unrecognised {
            name: path.display().to_string(),
            found: "no regular file",
        });
    }
    Ok(file)
}

impl Blob {
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        let file = open_file(path)?;
        let stamp = Stamp::of(&file).map_err(SourceError::io(path, "stat"))?;
        Ok(Self {
            name: path.display().to_string().into(),
            len: stamp.len,
            place: Place::File {
                file: Arc::new(file),
                stamp,
                offset: 0,
            },
        })
    }

    pub(crate) fn memory(name: &str, bytes: Arc<[u8]>) -> Self {
        Self {
            name: name.into(),
            len: bytes.len() as u64,
            place: Place::Memory { bytes, offset: 0 },
        }
    }

    /// `len` bytes of this blob, at `offset`; the caller has seen that they are there.
    pub(crate) fn part(&self, name: &str, offset: u64, len: u64) -> Self {
        let mut part = self.clone();
        part.name = name.into();
        part.len = len;
        match &mut part.place {
            Place::File { offset: start, .. } | Place::Packed { offset: start, .. } => {
                *start += offset;
            }
            Place::Memory { offset: start, .. } => *start += offset as usize,
        }
        part
    }

    /// `len` bytes of what this blob decompresses to, at `offset`.
    pub(crate) fn packed(self: &Arc<Self>, name: &str, offset: u64, len: u64) -> Self {
        Self {
            name: name.into(),
            len,
            place: Place::Packed {
                outer: Arc::clone(self),
                offset,
            },
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Fails if the file was written to since the blob was made.
    pub(crate) fn check_unchanged(&self) -> Result<(), SourceError> {
        match &self.place {
            Place::File { file, stamp, .. } => {
                let now = Stamp::of(file).map_err(SourceError::io(&*self.name, "stat"))?;
                if now == *stamp {
                    return Ok(());
                }
                Err(SourceError::Changed {
                    name: self.name.to_string(),
                })
            }
            Place::Packed { outer, .. } => outer.check_unchanged(),
            Place::Memory { .. } => Ok(()),
        }
    }

    /// The compression format; `None` where finding it out would mean decompressing another blob.
    pub(crate) fn compression(&self) -> Result<Option<Compression>, SourceError> {
        if matches!(self.place, Place::Packed { .. }) {
            return Ok(None);
        }
        let mut start = Vec::new();
        self.reader(&Limits::default())
            .and_then(|reader| {
                reader
                    .take(Compression::MAGIC_LEN as u64)
                    .read_to_end(&mut start)
            })
            .map_err(SourceError::io(&*self.name, "read"))?;
        Ok(Some(Compression::detect(&start)))
    }

    /// The bytes as they are.
    pub(crate) fn reader(&self, limits: &Limits) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.place {
            Place::File { file, offset, .. } => Box::new(Range {
                file: Arc::clone(file),
                next: *offset,
                end: offset.saturating_add(self.len),
            }),
            Place::Memory { bytes, offset } => Box::new(Bytes {
                bytes: Arc::clone(bytes),
                next: *offset,
                end: offset.saturating_add(self.len as usize).min(bytes.len()),
            }),
            Place::Packed { outer, offset } => {
                let mut reader = outer.decoded(limits)?;
                let skipped = io::copy(&mut reader.by_ref().take(*offset), &mut io::sink())?;
                if skipped < *offset {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Box::new(reader.take(self.len))
            }
        })
    }

    fn decoded(&self, limits: &Limits) -> io::Result<Decoder<Box<dyn Read + Send>>> {
        let input = Verify::new(self.reader(limits)?, &self.name, Expected::default());
        Decoder::new(input, &self.name, limits.decoder_bytes)
    }

    /// All bytes, verified; at most the limit for JSON documents.
    pub(crate) fn json_bytes(
        &self,
        expected: Expected,
        limits: &Limits,
    ) -> Result<Vec<u8>, SourceError> {
        if self.len > limits.json_bytes {
            return Err(SourceError::Limit {
                what: format!("`{}` of {} bytes", self.name, self.len),
                limit: Limit::JsonBytes,
                allowed: limits.json_bytes,
                hint: "",
            });
        }
        let mut bytes = Vec::new();
        let read = self
            .reader(limits)
            .and_then(|reader| Verify::new(reader, &self.name, expected).read_to_end(&mut bytes));
        read.map_err(SourceError::io(&*self.name, "read"))?;
        Ok(bytes)
    }

    /// Opens the decompressed bytes, verified as they pass by.
    pub(crate) fn unpack(&self, order: Unpack<'_>) -> Result<Unpacked, SourceError> {
        let io = |error| SourceError::io(&*self.name, "read")(error);
        if let Place::File { file, offset, .. } = &self.place {
            let plain = self.compression()? == Some(Compression::None);
            if plain && order.expected.is_nothing() && order.diff_id.is_nothing() {
                return Ok(Unpacked {
                    stream: Stream::from_file(Arc::clone(file), *offset, self.len),
                    compression: Compression::None,
                });
            }
        }
        let counted = Counted {
            inner: self.reader(order.limits).map_err(io)?,
            count: order.count,
        };
        let input = Verify::new(counted, order.what, order.expected);
        let decoder = Decoder::new(input, order.what, order.limits.decoder_bytes).map_err(io)?;
        let compression = decoder.compression();
        let metered = Metered {
            decoder,
            what: order.what.to_owned(),
            unpacked: 0,
            before: order.before,
            ratio: order.limits.ratio,
            total: order.limits.unpacked_bytes,
        };
        let reader: Box<dyn Read + Send> = match self.place {
            Place::Memory { .. } => Box::new(metered),
            _ => Box::new(Ahead::new(metered).map_err(io)?),
        };
        let name = format!("the decompressed data of {}", order.what);
        let reader: Box<dyn Read + Send> = if order.diff_id.is_nothing() {
            reader
        } else {
            Box::new(Verify::new(reader, &name, order.diff_id))
        };
        Ok(Unpacked {
            stream: Stream::from_reader(reader),
            compression,
        })
    }
}

/// How a blob is to be opened.
#[derive(Debug)]
pub(crate) struct Unpack<'a> {
    /// Its name in messages.
    pub(crate) what: &'a str,
    /// What the bytes must be.
    pub(crate) expected: Expected,
    /// What the decompressed bytes must be.
    pub(crate) diff_id: Expected,
    pub(crate) limits: &'a Limits,
    /// Bytes decompressed of other blobs, which count for the same limit.
    pub(crate) before: u64,
    /// Counts bytes read, before decompression.
    pub(crate) count: Arc<AtomicU64>,
}

/// An opened blob.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) stream: Stream,
    pub(crate) compression: Compression,
}

struct Range {
    file: Arc<File>,
    next: u64,
    end: u64,
}

impl Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (self.end - self.next).min(buffer.len() as u64) as usize;
        let read = self.file.read_at(&mut buffer[..len], self.next)?;
        self.next += read as u64;
        Ok(read)
    }
}

struct Bytes {
    bytes: Arc<[u8]>,
    next: usize,
    end: usize,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = self.next.min(self.end);
        let read = (&self.bytes[start..self.end]).read(buffer)?;
        self.next += read;
        Ok(read)
    }
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Stops decompression that yields more than it should.
struct Metered<R: Read> {
    decoder: Decoder<R>,
    what: String,
    unpacked: u64,
    before: u64,
    ratio: u64,
    total: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.unpacked += read as u64;
        let exceeded = |limit, allowed, hint| {
            SourceError::Limit {
                what: self.what.clone(),
                limit,
                allowed,
                hint,
            }
            .into()
        };
        if self.before.saturating_add(self.unpacked) > self.total {
            return Err(exceeded(Limit::UnpackedBytes, self.total, ""));
        }
        let packed = self.decoder.consumed();
        if self.unpacked > RATIO_FLOOR && self.unpacked / self.ratio.max(1) > packed {
            let hint = " bytes per compressed byte: it looks like a decompression bomb";
            return Err(exceeded(Limit::Ratio, self.ratio, hint));
        }
        Ok(read)
    }
}

/// Reads ahead in a thread of its own, so that reading, hashing and decompressing run beside
/// whoever uses the bytes. The thread ends when this is dropped.
struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    taken: usize,
    ended: bool,
}

/// Bytes of a piece, and pieces that wait.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 4;

impl Ahead {
    fn new(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(PIECES);
        thread::Builder::new()
            .name("decompress".to_owned())
            .spawn(move || Self::run(reader, &sender))?;
        Ok(Self {
            pieces,
            current: Vec::new(),
            taken: 0,
            ended: false,
        })
    }

    fn run(mut reader: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
        loop {
            let mut piece = vec![0; PIECE];
            let mut filled = 0;
            let mut failure = None;
            while filled < PIECE {
                match reader.read(&mut piece[filled..]) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            piece.truncate(filled);
            // An empty piece says that the end was reached in good order. A closed channel means
            // that nobody wants the rest.
            let pieces = match failure {
                Some(error) if filled == 0 => vec![Err(error)],
                Some(error) => vec![Ok(piece), Err(error)],
                None if filled == 0 => vec![Ok(piece)],
                None => {
                    if sender.send(Ok(piece)).is_err() {
                        return;
                    }
                    continue;
                }
            };
            for piece in pieces {
                if sender.send(piece).is_err() {
                    return;
                }
            }
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.taken == self.current.len() {
            if self.ended {
                return Ok(0);
            }
            let piece = self.pieces.recv();
            // An empty piece, an error and a lost thread are the last thing to come.
            self.ended = !matches!(&piece, Ok(Ok(piece)) if !piece.is_empty());
            self.current = piece.map_err(|_| io::Error::other("the decompressor stopped"))??;
            self.taken = 0;
        }
        let read = (&self.current[self.taken..]).read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Yields bytes, then an error.
    struct Breaks(usize);

    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let count = self.0.min(buffer.len());
            self.0 -= count;
            Ok(count)
        }
    }

    #[test]
    fn an_error_arrives_behind_the_bytes_before_it() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let mut bytes = Vec::new();
            let error = Ahead::new(Breaks(len)).unwrap().read_to_end(&mut bytes);
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
            assert_eq!(bytes.len(), len);
            let mut whole = Vec::new();
            let reader = io::repeat(7).take(len as u64);
            Ahead::new(reader).unwrap().read_to_end(&mut whole).unwrap();
            assert_eq!(whole, vec![7; len]);
        }
    }
}
