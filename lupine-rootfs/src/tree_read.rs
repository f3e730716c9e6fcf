//! Reading contents out of a tree into memory: small files a caller wants to look into.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::content::ContentSink;
use crate::tree::{FileTree, InodeId, ReadError};

impl FileTree {
    /// The bytes of a regular file, holes as zeros.
    ///
    /// Reading from a compressed layer goes through the layer to the file: use
    /// [`read_files`](Self::read_files) for several.
    ///
    /// # Errors
    /// [`ReadError`]: longer than `limit` bytes, not a regular file, or not delivered.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn read_file(&self, id: InodeId, limit: u64) -> Result<Vec<u8>, ReadError> {
        Ok(self.read_files(&[id], limit)?.pop().unwrap_or_default())
    }

    /// The bytes of several regular files in the order asked for, by one pass over each source.
    ///
    /// # Errors
    /// [`ReadError`]: together longer than `limit` bytes, not a regular file, or not delivered.
    ///
    /// # Panics
    /// As [`inode`](Self::inode).
    pub fn read_files(&self, ids: &[InodeId], limit: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut files = HashMap::new();
        let mut total = 0_u64;
        for &id in ids {
            let content = self.content(id).ok_or_else(|| ReadError::NotAFile {
                found: self.inode(id).kind.noun(),
            })?;
            let len = content.len();
            total = total.saturating_add(len);
            if total > limit {
                return Err(ReadError::TooLarge { len: total, limit });
            }
            files
                .entry(id)
                .or_insert_with(|| (vec![0; len as usize], 0));
        }
        let wanted: Vec<InodeId> = files.keys().copied().collect();
        let sink = Memory(Mutex::new(files));
        self.deliver(wanted, &sink)?;
        let files = sink.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut contents = Vec::with_capacity(ids.len());
        for id in ids {
            let (bytes, arrived) = &files[id];
            let content = self.content(*id);
            let expected = content.map_or(0, |content| content.data_len());
            if *arrived != expected {
                return Err(ReadError::Incomplete {
                    arrived: *arrived,
                    expected,
                });
            }
            contents.push(bytes.clone());
        }
        Ok(contents)
    }
}

/// Collects files: their bytes, and how many arrived.
struct Memory(Mutex<HashMap<InodeId, (Vec<u8>, u64)>>);

impl ContentSink for Memory {
    fn write(&self, inode: InodeId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((file, arrived)) = files.get_mut(&inode) else {
            return Ok(());
        };
        let start = usize::try_from(offset).ok();
        let place = start.and_then(|start| file.get_mut(start..start.checked_add(bytes.len())?));
        let Some(place) = place else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a piece of file data reaches beyond the end of the file",
            ));
        };
        place.copy_from_slice(bytes);
        *arrived += bytes.len() as u64;
        Ok(())
    }
}
