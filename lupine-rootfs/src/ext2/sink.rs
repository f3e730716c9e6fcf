//! File contents on their way into an image.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};

use super::arrivals::Arrivals;
use super::error::WriteError;
use super::joined::Joined;
use super::layout::path_of;
use super::places::Places;
use crate::content::ContentSink;
use crate::progress::Progress;
use crate::tree::InodeId;

/// Bytes copied by the kernel before it is asked again whether the work is cancelled.
const STEP: u64 = 32 << 20;

/// Puts pieces of files where the layout says, and counts what arrives.
pub(crate) struct ImageSink<'a> {
    places: &'a Places<'a>,
    output: &'a Joined<'a>,
    progress: Mutex<&'a mut dyn Progress>,
    /// Bytes that progress has not heard of.
    unreported: AtomicU64,
    /// What progress last said about cancellation.
    stop: AtomicBool,
    arrivals: Arrivals,
}

impl<'a> ImageSink<'a> {
    pub(crate) fn new(
        places: &'a Places<'a>,
        output: &'a Joined<'a>,
        progress: &'a mut dyn Progress,
    ) -> Self {
        Self {
            places,
            output,
            progress: Mutex::new(progress),
            unreported: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            arrivals: Arrivals::new(places.tree.inode_bound()),
        }
    }

    /// Whether every file has arrived in full.
    pub(crate) fn check_complete(&self) -> Result<(), WriteError> {
        self.report();
        for id in self.places.tree.by_directory() {
            let Some(content) = self.places.tree.content(id) else {
                continue;
            };
            let missing = self.arrivals.missing(id, &content);
            if missing > 0 {
                let expected = content.data_len();
                return Err(WriteError::Incomplete {
                    path: path_of(self.places.tree, id),
                    arrived: expected - missing,
                    expected,
                });
            }
        }
        Ok(())
    }

    /// Cuts `len` bytes at `offset` of a file into pieces that are contiguous in the image, and
    /// gives `each` the place in the image, the place in the piece, and the length.
    fn pieces(
        &self,
        inode: InodeId,
        offset: u64,
        len: u64,
        mut each: impl FnMut(u64, u64, u64, bool) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(content) = self.places.tree.content(inode) else {
            return Err(refused("is no regular file"));
        };
        if offset
            .checked_add(len)
            .is_none_or(|end| end > content.len())
        {
            return Err(refused("reaches beyond the end of the file"));
        }
        if !self.arrivals.count(inode, &content, len) {
            return Err(refused("was delivered before"));
        }
        self.unreported.fetch_add(len, Ordering::Relaxed);
        let block = self.places.shape.block;
        let start = self.places.start(inode);
        self.places.with_content_map(inode, &content, |map| {
            let mut done = 0;
            while done < len {
                let at = offset + done;
                let (position, run) = map
                    .locate(at / block)
                    .ok_or_else(|| refused("lies in a hole"))?;
                let (first, row) = self.places.geometry.block_at(start + position);
                let inside = at % block;
                let piece = (run.min(row) * block - inside).min(len - done);
                let ends = at + piece == content.len();
                each(first * block + inside, done, piece, ends)?;
                done += piece;
            }
            Ok(())
        })
    }

    /// Tells progress and hears from it, unless another thread is doing so: none waits for it.
    fn report(&self) {
        let mut progress = match self.progress.try_lock() {
            Ok(progress) => progress,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        progress.advance(self.unreported.swap(0, Ordering::Relaxed));
        if progress.cancelled() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a piece of file data {why}"),
    )
}

impl ContentSink for ImageSink<'_> {
    fn write(&self, inode: InodeId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.pieces(inode, offset, bytes.len() as u64, |to, from, len, ends| {
            let piece = &bytes[from as usize..(from + len) as usize];
            self.output.write(to, piece, ends)
        })
    }

    fn copy_from(
        &self,
        inode: InodeId,
        offset: u64,
        file: &File,
        file_offset: u64,
        len: u64,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            if self.cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let step = (len - done).min(STEP);
            self.pieces(inode, offset + done, step, |to, from, len, ends| {
                self.output
                    .copy_from(to, file, file_offset + done + from, len, ends)
            })?;
            done += step;
        }
        Ok(())
    }

    fn place(&self, inode: InodeId) -> u64 {
        self.places.start(inode)
    }

    fn cancelled(&self) -> bool {
        self.report();
        self.stop.load(Ordering::Relaxed)
    }
}
