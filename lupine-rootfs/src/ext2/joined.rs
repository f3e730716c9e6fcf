//! Positioned writing, with small neighbouring pieces joined into large, aligned ones.
//!
//! File systems store a long aligned write at a fraction of the cost of the same bytes in pieces.
//! An image is made of short ones: most files are smaller than a page, and directories and index
//! blocks, which are known first, stand between them. So single blocks wait until a neighbour
//! arrives, and neighbours are collected up to the next multiple of [`CHUNK`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::output::Output;

/// Writes end at multiples of this, and are this long at best.
const CHUNK: u64 = 256 * 1024;

/// Ranges of at least this length are copied by the kernel, which may share them.
const OFFLOAD: u64 = 1 << 20;

/// Streams that one thread keeps open: its pieces arrive in a few orders at a time (tables, blocks
/// that do not wait, contents).
const STREAMS: usize = 3;

/// Memory of blocks that may wait.
const WAITING: usize = 4 << 20;

/// Memory of a waiting block beside its bytes: node of the tree, allocation.
const OVERHEAD: usize = 64;

/// Bytes waiting to be written at an offset, not beyond the next multiple of [`CHUNK`].
#[derive(Debug, Default)]
struct Stream {
    offset: u64,
    bytes: Vec<u8>,
    used_at: u64,
}

/// The streams of one thread.
#[derive(Debug, Default)]
struct Streams {
    open: Vec<Stream>,
    clock: u64,
}

/// Blocks that wait for their neighbours.
#[derive(Debug, Default)]
struct Waiting {
    /// By offset, without the zeros at their end: most directories are short.
    blocks: BTreeMap<u64, Box<[u8]>>,
    memory: usize,
}

/// Joins pieces that follow one another. Each thread of a pool has its own streams, so that threads
/// wait for one another in the kernel at most.
pub(crate) struct Joined<'a> {
    output: &'a dyn Output,
    block: u64,
    /// By number of the thread; the first is for threads of no pool.
    streams: Vec<Mutex<Streams>>,
    waiting: Mutex<Waiting>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Joined<'a> {
    /// Writes to `output`, a file system of blocks of `block` bytes.
    pub(crate) fn new(output: &'a dyn Output, block: u64) -> Self {
        let threads = 1 + rayon::current_num_threads();
        Self {
            output,
            block,
            streams: (0..threads).map(|_| Mutex::default()).collect(),
            waiting: Mutex::default(),
        }
    }

    /// Writes bytes at an offset, at the latest with [`flush`](Self::flush). `ends`: nothing else
    /// will be written to the rest of the last block, which may be filled with zeros.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8], ends: bool) -> io::Result<()> {
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let room = CHUNK - at % CHUNK;
            let (piece, behind) = rest.split_at((rest.len() as u64).min(room) as usize);
            if piece.len() as u64 == CHUNK {
                self.output.write_at(at, piece)?;
            } else {
                self.join(at, piece, ends && behind.is_empty())?;
            }
            at += piece.len() as u64;
            rest = behind;
        }
        Ok(())
    }

    /// Writes one block between contents that are still to come.
    pub(crate) fn write_between(&self, offset: u64, block: &[u8]) -> io::Result<()> {
        let zeros = block.iter().rev().take_while(|&&byte| byte == 0).count();
        let bytes = &block[..block.len() - zeros];
        let mut waiting = lock(&self.waiting);
        if waiting.memory + bytes.len() + OVERHEAD > WAITING {
            drop(waiting);
            return self.write(offset, block, false);
        }
        waiting.memory += bytes.len() + OVERHEAD;
        waiting.blocks.insert(offset, bytes.into());
        Ok(())
    }

    /// Writes a piece that does not reach beyond a multiple of [`CHUNK`].
    fn join(&self, offset: u64, piece: &[u8], ends: bool) -> io::Result<()> {
        let thread = rayon::current_thread_index().map_or(0, |thread| thread + 1);
        let mut streams = lock(&self.streams[thread % self.streams.len()]);
        let stream = match streams.continued(offset) {
            Some(stream) => stream,
            None => {
                let stream = streams.fresh(self.output)?;
                stream.offset = offset;
                lock(&self.waiting).take_before(offset, self.block, stream);
                stream
            }
        };
        stream.bytes.extend_from_slice(piece);
        if ends {
            let fill = stream.end().next_multiple_of(self.block) - stream.end();
            stream.bytes.resize(stream.bytes.len() + fill as usize, 0);
        }
        if stream.end().is_multiple_of(self.block) && !stream.is_full() {
            lock(&self.waiting).take_behind(self.block, stream);
        }
        if stream.is_full() {
            stream.drain(self.output)?;
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
        ends: bool,
    ) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut done = 0;
        while done < len {
            let (at, from, left) = (offset + done, file_offset + done, len - done);
            let step = left.min(CHUNK - at % CHUNK);
            if step == CHUNK && left >= OFFLOAD {
                let step = left - left % CHUNK;
                self.output.copy_from(at, file, from, step)?;
                done += step;
                continue;
            }
            buffer.resize(step as usize, 0);
            file.read_exact_at(&mut buffer, from)?;
            done += step;
            self.write(at, &buffer, ends && done == len)?;
        }
        Ok(())
    }

    /// Writes what waits.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let blocks = std::mem::take(&mut *lock(&self.waiting)).blocks;
        for (offset, bytes) in blocks {
            self.write(offset, &bytes, true)?;
        }
        for streams in &self.streams {
            for stream in &mut lock(streams).open {
                stream.drain(self.output)?;
            }
        }
        Ok(())
    }
}

impl Waiting {
    /// Lets the blocks that end where a new stream starts go first.
    fn take_before(&mut self, offset: u64, block: u64, stream: &mut Stream) {
        let mut start = offset;
        while !start.is_multiple_of(CHUNK)
            && start.is_multiple_of(block)
            && start >= block
            && self.blocks.contains_key(&(start - block))
        {
            start -= block;
        }
        stream.offset = start;
        self.take_until(offset, block, stream);
    }

    /// Lets the blocks follow that start where a stream ends.
    fn take_behind(&mut self, block: u64, stream: &mut Stream) {
        let limit = stream.end().next_multiple_of(CHUNK);
        self.take_until(limit, block, stream);
    }

    fn take_until(&mut self, limit: u64, block: u64, stream: &mut Stream) {
        while stream.end() < limit
            && let Some(bytes) = self.blocks.remove(&stream.end())
        {
            self.memory -= bytes.len() + OVERHEAD;
            let len = stream.bytes.len() + block as usize;
            stream.bytes.extend_from_slice(&bytes);
            stream.bytes.resize(len, 0);
        }
    }
}

impl Streams {
    /// The stream that ends at `offset`, which is not the end of a chunk.
    fn continued(&mut self, offset: u64) -> Option<&mut Stream> {
        self.clock += 1;
        let mut open = self.open.iter_mut();
        let stream = open.find(|stream| !stream.bytes.is_empty() && stream.end() == offset)?;
        stream.used_at = self.clock;
        Some(stream)
    }

    /// An empty stream; where there are enough, the one that was used least recently is written.
    fn fresh(&mut self, output: &dyn Output) -> io::Result<&mut Stream> {
        let open = &mut self.open;
        let number = match open.iter().position(|stream| stream.bytes.is_empty()) {
            Some(empty) => empty,
            None if open.len() < STREAMS => {
                open.push(Stream {
                    bytes: Vec::with_capacity(CHUNK as usize),
                    ..Stream::default()
                });
                open.len() - 1
            }
            None => {
                let oldest = open.iter().enumerate().min_by_key(|(_, s)| s.used_at);
                oldest.map_or(0, |(number, _)| number)
            }
        };
        let stream = &mut open[number];
        stream.drain(output)?;
        stream.used_at = self.clock;
        Ok(stream)
    }
}

impl Stream {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    fn is_full(&self) -> bool {
        self.end().is_multiple_of(CHUNK)
    }

    fn drain(&mut self, output: &dyn Output) -> io::Result<()> {
        if !self.bytes.is_empty() {
            output.write_at(self.offset, &self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}
