//! The contents of a directory's files, delivered by several threads.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::{FileType, Stat};

use crate::content::{ContentSource, DeliverError, Extent, Request};
use crate::source::error::SourceError;
use crate::source::records::{FileRecord, Records, RecordsBuilder};
use crate::source::walk::{Entry, extents, open_directory, open_for_reading, open_root};

/// First pass: the regular files of a directory, numbered in the order of the walk. Empty ones,
/// which are never asked for, have no number.
#[derive(Debug)]
pub(crate) struct FilesBuilder {
    root: PathBuf,
    /// Paths of the directories that hold regular files.
    directories: Vec<Box<[u8]>>,
    pieces: Vec<Piece>,
    records: RecordsBuilder,
    len: u64,
    /// Data extents of the files that have holes.
    sparse: HashMap<u64, Arc<[Extent]>>,
}

/// Second pass: delivers what the first pass found.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    directories: Vec<Box<[u8]>>,
    pieces: Vec<Piece>,
    records: Records,
    sparse: HashMap<u64, Arc<[Extent]>>,
}

/// At most [`PIECE`] files of a directory that follow one another.
#[derive(Debug)]
struct Piece {
    directory: u32,
    /// Index of the first file.
    first: u64,
    /// Where its record stands.
    records: u64,
}

/// Index, length, and data extents of a file with holes.
type Added = (u64, u64, Option<Arc<[Extent]>>);

/// Files up to this size are read into memory and handed on in one piece.
const SMALL: u64 = 256 * 1024;

/// Files delivered by one thread in a row.
const PIECE: u64 = 128;

impl FilesBuilder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            directories: Vec::new(),
            pieces: Vec::new(),
            records: RecordsBuilder::new(),
            len: 0,
            sparse: HashMap::new(),
        }
    }

    pub(crate) fn finish(mut self) -> io::Result<Files> {
        self.pieces.shrink_to_fit();
        Ok(Files {
            root: self.root,
            directories: self.directories,
            pieces: self.pieces,
            records: self.records.finish()?,
            sparse: self.sparse,
        })
    }

    /// Adds a file; gives its index, its length, and its data extents if it has holes.
    pub(crate) fn add(&mut self, entry: &Entry) -> io::Result<Added> {
        let stat = &entry.stat;
        let len = u64::try_from(stat.st_size).map_err(|_| io::ErrorKind::InvalidData)?;
        if len == 0 {
            return Ok((0, 0, None));
        }
        let (parent, name) = entry.split();
        let same_directory = self
            .directories
            .last()
            .is_some_and(|last| **last == *parent);
        if !same_directory {
            self.directories.push(parent.into());
        }
        let index = self.len;
        let full = |last: &Piece| index - last.first == PIECE;
        if !same_directory || self.pieces.last().is_none_or(full) {
            let directory = u32::try_from(self.directories.len() - 1);
            self.pieces.push(Piece {
                directory: directory.map_err(|_| io::ErrorKind::OutOfMemory)?,
                first: index,
                records: self.records.position(),
            });
        }
        self.records.push(&FileRecord {
            name,
            len,
            mtime: mtime(stat),
        })?;
        self.len += 1;
        if (stat.st_blocks as u64).saturating_mul(512) < len {
            let root = open_root(&self.root).map_err(io::Error::other)?;
            let file = open_for_reading(&root, &entry.path)?;
            let extents: Arc<[Extent]> = extents(&file, len)?.into();
            self.sparse.insert(index, Arc::clone(&extents));
            return Ok((index, len, Some(extents)));
        }
        Ok((index, len, None))
    }
}

fn mtime(stat: &Stat) -> (i64, u32) {
    (stat.st_mtime, stat.st_mtime_nsec as u32)
}

impl Files {
    /// The pieces of which something is wanted, in the order of their places at the sink.
    fn wanted(&self, request: &Request<'_>) -> Vec<usize> {
        let mut wanted: Vec<(u64, usize)> = Vec::new();
        for index in request.indices() {
            let known = wanted.last().map_or(0, |&(_, last)| last);
            let behind = self.pieces[known..].partition_point(|piece| piece.first <= index);
            let piece = (known + behind).saturating_sub(1);
            if wanted.last().is_none_or(|&(_, last)| last != piece) {
                wanted.push((request.place(index), piece));
            }
        }
        wanted.sort_unstable();
        wanted.into_iter().map(|(_, piece)| piece).collect()
    }

    fn path(&self, piece: &Piece, name: &[u8]) -> PathBuf {
        let directory = &self.directories[piece.directory as usize];
        self.root
            .join(OsStr::from_bytes(directory))
            .join(OsStr::from_bytes(name))
    }

    /// Delivers the files of a piece that are wanted.
    fn piece(
        &self,
        root: &OwnedFd,
        number: usize,
        buffer: &mut Vec<u8>,
        request: &Request<'_>,
    ) -> Result<(), DeliverError> {
        let Some(piece) = self.pieces.get(number) else {
            return Ok(());
        };
        let end = match self.pieces.get(number + 1) {
            Some(next) => next.records,
            None => self.records.end(),
        };
        let records = self.records.run(piece.records, end);
        let failed = |name, action| {
            let path = self.path(piece, name);
            move |error| DeliverError::source(SourceError::io(path, action)(error))
        };
        let records = records.map_err(failed(b"", "read what was noted of the files of"))?;
        let path = &self.directories[piece.directory as usize];
        let directory = open_directory(root, path).map_err(failed(b"", "open directory"))?;
        for (index, record) in (piece.first..).zip(records.iter()) {
            if request.wants(index) {
                let file = open_for_reading(&directory, record.name);
                let file = file.map_err(failed(record.name, "open"))?;
                let path = || self.path(piece, record.name);
                self.file((index, &record), &file, path, buffer, request)?;
            }
        }
        Ok(())
    }

    fn file(
        &self,
        (index, record): (u64, &FileRecord<'_>),
        file: &File,
        path: impl Fn() -> PathBuf,
        buffer: &mut Vec<u8>,
        request: &Request<'_>,
    ) -> Result<(), DeliverError> {
        let changed = || {
            DeliverError::source(SourceError::Changed {
                name: path().display().to_string(),
            })
        };
        let stat = rustix::fs::fstat(file)
            .map_err(|error| DeliverError::source(SourceError::io(path(), "stat")(error.into())))?;
        let same = stat.st_size as u64 == record.len
            && mtime(&stat) == record.mtime
            && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !same {
            return Err(changed());
        }
        if let Some(extents) = self.sparse.get(&index) {
            for extent in extents.iter() {
                request.copy_from(index, extent.offset, file, extent.offset, extent.len)?;
            }
            return Ok(());
        }
        if record.len > SMALL {
            return request.copy_from(index, 0, file, 0, record.len);
        }
        buffer.resize(record.len as usize, 0);
        match file.read_exact_at(buffer, 0) {
            Ok(()) => request.write(index, 0, buffer),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(changed()),
            Err(error) => Err(DeliverError::source(SourceError::io(path(), "read")(error))),
        }
    }
}

impl ContentSource for Files {
    fn deliver(&self, request: &Request<'_>) -> Result<(), DeliverError> {
        let root = open_root(&self.root).map_err(DeliverError::source)?;
        let wanted = self.wanted(request);
        wanted
            .into_par_iter()
            .try_for_each_init(Vec::new, |buffer, piece| {
                self.piece(&root, piece, buffer, request)
            })
    }
}
