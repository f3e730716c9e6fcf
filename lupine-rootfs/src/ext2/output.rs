//! Where images go, and copying into files by the kernel.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// Where an image goes.
pub(crate) trait Output: Sync {
    /// Writes all bytes at an offset.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Prepares for bytes in a range, all of which will be written: space on the disk, if that is
    /// known to run out, is missed before anything is written.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        let _ = (offset, len);
        Ok(())
    }

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

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, FallocateFlags::KEEP_SIZE, offset, len) {
            // File systems that cannot reserve say so when they are written to.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV | Errno::SPIPE) => {
                Ok(())
            }
            other => Ok(other?),
        }
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
