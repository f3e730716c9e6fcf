//! Positioned writing, with small neighbouring pieces joined into large ones.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

/// Where an image goes.
pub(crate) trait Output: Sync {
    /// Writes all bytes at an offset.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Copies a range of a file to an offset.
    fn copy_from(&self, offset: u64, file: &File, file_offset: u64, len: u64) -> io::Result<()> {
        let mut buffer = vec![0; len.min(COPY_BUFFER) as usize];
        let mut done = 0;
        while done < len {
            let want = (len - done).min(COPY_BUFFER) as usize;
            file.read_exact_at(&mut buffer[..want], file_offset + done)?;
            self.write_at(offset + done, &buffer[..want])?;
            done += want as u64;
        }
        Ok(())
    }
}

const COPY_BUFFER: u64 = 256 * 1024;

impl Output for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn copy_from(&self, offset: u64, file: &File, file_offset: u64, len: u64) -> io::Result<()> {
        let (mut to, mut from, mut left) = (offset, file_offset, len);
        while left > 0 {
            let want = usize::try_from(left.min(1 << 30)).unwrap_or(1 << 30);
            match rustix::fs::copy_file_range(file, Some(&mut from), self, Some(&mut to), want) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(copied) => left -= copied as u64,
                Err(Errno::INTR) => {}
                // File systems that cannot copy for us, or not between one another.
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    return Plain(self).copy_from(to, file, from, left);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A file without copy offload.
struct Plain<'a>(&'a File);

impl Output for Plain<'_> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
}

/// Anything that seeks.
#[derive(Debug)]
pub(crate) struct Seeking<W>(pub(crate) Mutex<W>);

impl<W: Write + Seek + Send> Output for Seeking<W> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.seek(SeekFrom::Start(offset))?;
        writer.write_all(bytes)
    }
}

/// Bytes collected before they are written.
const STREAM_BUFFER: usize = 256 * 1024;

/// Streams kept open at once: pieces arrive in a few orders at a time (metadata, each reader).
const STREAMS: usize = 6;

/// Bytes waiting to be written at an offset.
#[derive(Debug, Default)]
struct Stream {
    offset: u64,
    bytes: Vec<u8>,
    used_at: u64,
}

/// Joins pieces that follow one another into large writes.
pub(crate) struct Joined<'a> {
    output: &'a dyn Output,
    block: u64,
    streams: Mutex<(Vec<Stream>, u64)>,
}

impl<'a> Joined<'a> {
    /// Writes to `output`, a file system of blocks of `block` bytes.
    pub(crate) fn new(output: &'a dyn Output, block: u64) -> Self {
        Self {
            output,
            block,
            streams: Mutex::new((Vec::new(), 0)),
        }
    }

    /// Writes bytes at an offset, at the latest with [`flush`](Self::flush). `ends`: nothing else
    /// will be written to the rest of the last block, which may be filled with zeros.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8], ends: bool) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() >= STREAM_BUFFER / 4 {
            return self.output.write_at(offset, bytes);
        }
        let mut guard = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let (streams, clock) = &mut *guard;
        *clock += 1;
        let found = streams.iter().position(|stream| {
            stream.offset + stream.bytes.len() as u64 == offset
                && stream.bytes.len() + bytes.len() + self.block as usize <= STREAM_BUFFER
        });
        let stream = match found {
            Some(found) => &mut streams[found],
            None => {
                let free = if streams.len() < STREAMS {
                    streams.push(Stream {
                        bytes: Vec::with_capacity(STREAM_BUFFER),
                        ..Stream::default()
                    });
                    streams.len() - 1
                } else {
                    let oldest = streams.iter().enumerate().min_by_key(|(_, s)| s.used_at);
                    oldest.map_or(0, |(number, _)| number)
                };
                let stream = &mut streams[free];
                self.drain(stream)?;
                stream.offset = offset;
                stream
            }
        };
        stream.used_at = *clock;
        stream.bytes.extend_from_slice(bytes);
        if ends {
            let end = stream.offset + stream.bytes.len() as u64;
            let fill = end.next_multiple_of(self.block) - end;
            stream.bytes.resize(stream.bytes.len() + fill as usize, 0);
        }
        Ok(())
    }

    /// Copies a range of a file; large ones without passing through this process.
    pub(crate) fn copy_from(
        &self,
        offset: u64,
        file: &File,
        file_offset: u64,
        len: u64,
    ) -> io::Result<()> {
        self.output.copy_from(offset, file, file_offset, len)
    }

    /// Writes what waits.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut guard = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.iter_mut().try_for_each(|stream| self.drain(stream))
    }

    fn drain(&self, stream: &mut Stream) -> io::Result<()> {
        if !stream.bytes.is_empty() {
            self.output.write_at(stream.offset, &stream.bytes)?;
            stream.bytes.clear();
        }
        Ok(())
    }
}
