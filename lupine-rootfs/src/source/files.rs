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
use rustix::fs::FileType;

use crate::content::{ContentSource, DeliverError, Extent, Request};
use crate::source::error::SourceError;
use crate::source::walk::{Entry, extents, open_directory, open_for_reading, open_root};

/// Second pass: the regular files of a directory, numbered in the order of the walk.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    /// Paths of the directories that hold regular files.
    directories: Vec<Box<[u8]>>,
    /// The names of all files, one behind the other.
    names: Vec<u8>,
    files: Vec<FileRecord>,
    /// Data extents of the files that have holes.
    sparse: HashMap<u64, Arc<[Extent]>>,
}

/// A file as it was in the first pass.
#[derive(Debug)]
struct FileRecord {
    directory: u32,
    /// Start of its name; the name ends where the next one starts.
    name: u32,
    len: u64,
    mtime: (i64, u32),
}

/// Index, length, and data extents of a file with holes.
type Added = (u64, u64, Option<Arc<[Extent]>>);

/// Files up to this size are read into memory and handed on in one piece.
const SMALL: u64 = 256 * 1024;

/// Files delivered by one thread in a row.
const BATCH: usize = 128;

impl Files {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            directories: Vec::new(),
            names: Vec::new(),
            files: Vec::new(),
            sparse: HashMap::new(),
        }
    }

    /// Gives back memory that no file will need any more.
    pub(crate) fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.files.shrink_to_fit();
    }

    /// Adds a file; gives its index, its length, and its data extents if it has holes.
    pub(crate) fn add(&mut self, entry: &Entry) -> io::Result<Added> {
        let (parent, name) = entry.split();
        if self.directories.last().is_none_or(|last| **last != *parent) {
            self.directories.push(parent.into());
        }
        let too_many = |_| io::Error::from(io::ErrorKind::OutOfMemory);
        let stat = &entry.stat;
        let len = u64::try_from(stat.st_size).map_err(|_| io::ErrorKind::InvalidData)?;
        let index = self.files.len() as u64;
        self.files.push(FileRecord {
            directory: u32::try_from(self.directories.len() - 1).map_err(too_many)?,
            name: u32::try_from(self.names.len()).map_err(too_many)?,
            len,
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
        });
        self.names.extend_from_slice(name);
        if len > 0 && (stat.st_blocks as u64).saturating_mul(512) < len {
            let root = open_root(&self.root).map_err(io::Error::other)?;
            let file = open_for_reading(&root, &entry.path)?;
            let extents: Arc<[Extent]> = extents(&file, len)?.into();
            self.sparse.insert(index, Arc::clone(&extents));
            return Ok((index, len, Some(extents)));
        }
        Ok((index, len, None))
    }

    fn name(&self, index: usize) -> &[u8] {
        let start = self.files[index].name as usize;
        let end = self
            .files
            .get(index + 1)
            .map_or(self.names.len(), |next| next.name as usize);
        &self.names[start..end]
    }

    fn path(&self, index: usize) -> PathBuf {
        let directory = &self.directories[self.files[index].directory as usize];
        self.root
            .join(OsStr::from_bytes(directory))
            .join(OsStr::from_bytes(self.name(index)))
    }

    /// Delivers files, those of a directory in a row.
    fn batch(
        &self,
        root: &OwnedFd,
        indices: &[u64],
        request: &Request<'_>,
    ) -> Result<(), DeliverError> {
        let mut buffer = Vec::new();
        let mut open: Option<(u32, OwnedFd)> = None;
        for &index in indices {
            let Some(record) = self.files.get(index as usize) else {
                continue;
            };
            let failed = |action| {
                move |error| {
                    let path = self.path(index as usize);
                    DeliverError::source(SourceError::io(path, action)(error))
                }
            };
            if open.as_ref().is_none_or(|(at, _)| *at != record.directory) {
                let path = &self.directories[record.directory as usize];
                let directory = open_directory(root, path).map_err(failed("open directory of"))?;
                open = Some((record.directory, directory));
            }
            let Some((_, directory)) = &open else {
                continue;
            };
            let file =
                open_for_reading(directory, self.name(index as usize)).map_err(failed("open"))?;
            self.file(index, record, &file, &mut buffer, request)?;
        }
        Ok(())
    }

    fn file(
        &self,
        index: u64,
        record: &FileRecord,
        file: &File,
        buffer: &mut Vec<u8>,
        request: &Request<'_>,
    ) -> Result<(), DeliverError> {
        let path = || self.path(index as usize);
        let changed = || {
            DeliverError::source(SourceError::Changed {
                name: path().display().to_string(),
            })
        };
        let stat = rustix::fs::fstat(file)
            .map_err(|error| DeliverError::source(SourceError::io(path(), "stat")(error.into())))?;
        let same = stat.st_size as u64 == record.len
            && (stat.st_mtime, stat.st_mtime_nsec as u32) == record.mtime
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
        let indices = request.indices_by_place();
        indices
            .par_chunks(BATCH)
            .try_for_each(|indices| self.batch(&root, indices, request))
    }
}
