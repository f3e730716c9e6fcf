//! Digests of directories, which have none of their own.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::FileType;

use crate::source::blob::open_file;
use crate::source::digest::Hasher;
use crate::source::error::SourceError;
use crate::source::limits::{Limit, Limits};
use crate::source::walk::walk;

/// Bytes read at a time.
const BUFFER: u64 = 256 * 1024;

/// A digest of everything in a directory that ends up in a tree: names, kinds, metadata, extended
/// attributes and contents. Files are read in parallel; the result does not depend on the order in
/// which the host lists them.
pub(crate) fn digest(base: &Path, limits: &Limits) -> Result<String, SourceError> {
    let mut hasher = Hasher::sha256();
    let mut batch: Vec<(PathBuf, u64)> = Vec::new();
    let mut pending = 0_u64;
    let mut entries = 0_u64;
    let mut linked: HashMap<(u64, u64), u64> = HashMap::new();
    walk(base, |entry| {
        entries += 1;
        if entries > limits.entries {
            return Err(SourceError::Limit {
                what: base.display().to_string(),
                limit: Limit::Entries,
                allowed: limits.entries,
                hint: "",
            });
        }
        let stat = entry.stat;
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(&entry.path);
        let kind = entry.kind();
        let size = if kind == FileType::RegularFile {
            stat.st_size
        } else {
            0
        };
        field(
            format!(
                "{:o} {} {} {} {size} {}",
                stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_rdev
            )
            .as_bytes(),
        );
        field(&(entry.xattrs.len() as u64).to_le_bytes());
        for (name, value) in &entry.xattrs {
            field(name);
            field(value);
        }
        if kind == FileType::Symlink {
            field(&entry.target);
        }
        if stat.st_nlink > 1 && kind != FileType::Directory {
            let first = *linked.entry((stat.st_dev, stat.st_ino)).or_insert(entries);
            field(&first.to_le_bytes());
            if first != entries {
                return Ok(());
            }
        }
        if kind == FileType::RegularFile {
            pending += stat.st_size as u64;
            let host = base.join(OsStr::from_bytes(&entry.path));
            batch.push((host, stat.st_size as u64));
            if batch.len() >= 4096 || pending >= 64 << 20 {
                hash_contents(&mut hasher, &mut batch)?;
                pending = 0;
            }
        }
        Ok(())
    })?;
    hash_contents(&mut hasher, &mut batch)?;
    Ok(hasher.finish())
}

fn hash_contents(hasher: &mut Hasher, batch: &mut Vec<(PathBuf, u64)>) -> Result<(), SourceError> {
    let digests: Vec<String> = batch
        .par_iter()
        .map(|(path, len)| {
            let mut file = open_file(path)?;
            let mut hasher = Hasher::sha256();
            let mut buffer = vec![0; (*len).clamp(1, BUFFER) as usize];
            let mut seen = 0;
            loop {
                let read = file
                    .read(&mut buffer)
                    .map_err(SourceError::io(path, "read"))?;
                if read == 0 {
                    break;
                }
                seen += read as u64;
                hasher.update(&buffer[..read]);
            }
            if seen != *len {
                let name = path.display().to_string();
                return Err(SourceError::Changed { name });
            }
            Ok(hasher.finish())
        })
        .collect::<Result<_, SourceError>>()?;
    for digest in digests {
        hasher.update(digest.as_bytes());
    }
    batch.clear();
    Ok(())
}
