//! The bytes of an archive, front to back: out of a file, where skipping costs nothing, or out of
//! a decoder.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes buffered; small files of an archive are handed on out of the buffer.
const BUFFER: usize = 256 * 1024;

enum Input {
    /// `next..end` of the file is not yet in the buffer.
    File {
        file: Arc<File>,
        next: u64,
        end: u64,
    },
    Reader(Box<dyn Read + Send>),
}

/// A buffered stream with a position.
pub(crate) struct Stream {
    input: Input,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Stream {
    pub(crate) fn from_file(file: Arc<File>, offset: u64, len: u64) -> Self {
        let end = offset.saturating_add(len);
        Self::new(Input::File {
            file,
            next: offset,
            end,
        })
    }

    pub(crate) fn from_reader(reader: Box<dyn Read + Send>) -> Self {
        Self::new(Input::Reader(reader))
    }

    fn new(input: Input) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            position: 0,
        }
    }

    /// Bytes passed so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes, at least `want` of them unless the stream ends before; `want` is at most
    /// the buffer's size.
    pub(crate) fn fill(&mut self, want: usize) -> io::Result<&[u8]> {
        let want = want.min(self.buffer.len());
        if self.end - self.start < want {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < want {
                let free = &mut self.buffer[self.end..];
                let read = match &mut self.input {
                    Input::File { file, next, end } => {
                        let len = (*end - *next).min(free.len() as u64) as usize;
                        let read = file.read_at(&mut free[..len], *next)?;
                        *next += read as u64;
                        read
                    }
                    Input::Reader(reader) => match reader.read(free) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        other => other?,
                    },
                };
                if read == 0 {
                    break;
                }
                self.end += read;
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Passes over the first `count` of the bytes [`fill`](Self::fill) returned.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.position += count as u64;
    }

    /// Reads exactly as many bytes as `out` holds, or fails with `UnexpectedEof`.
    pub(crate) fn read_exact(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            let bytes = self.fill(1)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = bytes.len().min(out.len());
            out[..count].copy_from_slice(&bytes[..count]);
            self.consume(count);
            out = &mut out[count..];
        }
        Ok(())
    }

    /// Passes over `count` bytes, or fails with `UnexpectedEof`.
    pub(crate) fn skip(&mut self, mut count: u64) -> io::Result<()> {
        let buffered = ((self.end - self.start) as u64).min(count);
        self.consume(buffered as usize);
        count -= buffered;
        if let Input::File { next, end, .. } = &mut self.input {
            if count > *end - *next {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *next += count;
            self.position += count;
            return Ok(());
        }
        while count > 0 {
            let available = (self.fill(1)?.len() as u64).min(count);
            if available == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.consume(available as usize);
            count -= available;
        }
        Ok(())
    }

    /// Bytes taken from the file, where there is one; progress is counted in them.
    pub(crate) fn read_so_far(&self) -> u64 {
        match self.input {
            Input::File { .. } => self.position,
            Input::Reader(_) => 0,
        }
    }

    /// The file behind the stream and the offset in it of the next byte, where there is one.
    pub(crate) fn file(&self) -> Option<(&File, u64)> {
        match &self.input {
            Input::File { file, next, .. } => Some((file, *next - (self.end - self.start) as u64)),
            Input::Reader(_) => None,
        }
    }

    /// Reads to the end; gives whether only zeros came. A file is not read: what lies behind the
    /// archive in it is nobody's business.
    pub(crate) fn drain(&mut self) -> io::Result<bool> {
        let mut zeros = true;
        loop {
            let bytes = self.fill(1)?;
            if bytes.is_empty() {
                return Ok(zeros);
            }
            zeros = zeros && bytes.iter().all(|&byte| byte == 0);
            let count = bytes.len();
            self.consume(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    fn both(bytes: &[u8]) -> [Stream; 2] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before").unwrap();
        file.write_all(bytes).unwrap();
        file.write_all(b"behind").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        [
            Stream::from_file(Arc::new(file), 6, bytes.len() as u64),
            Stream::from_reader(Box::new(io::Cursor::new(bytes.to_vec()))),
        ]
    }

    #[test]
    fn reading_and_skipping_keep_the_position() {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        for mut stream in both(&bytes) {
            let mut piece = [0; 1000];
            stream.read_exact(&mut piece).unwrap();
            assert_eq!(piece, bytes[..1000]);
            stream.skip(600_000).unwrap();
            assert_eq!(stream.position(), 601_000);
            assert_eq!(stream.fill(512).unwrap()[..512], bytes[601_000..][..512]);
            if let Some((_, offset)) = stream.file() {
                assert_eq!(offset, 601_006);
            }
            stream.skip(398_000).unwrap();
            assert_eq!(stream.fill(BUFFER).unwrap(), &bytes[999_000..]);
            assert_eq!(
                stream.skip(1001).unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
        }
    }
}
