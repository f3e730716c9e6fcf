//! The system call instructions of every ELF file of a file tree.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use lupine_kml::scan::{Scan, scan};
use lupine_rootfs::source::{Image, OpenOptions};
use lupine_rootfs::{ContentSink, DeliverError, FileTree, InodeId};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::image::{ImageError, LARGEST_FILE, Listener};
use crate::process::Cancel;
use crate::progress::Progress;

/// An ELF file of a tree and its system call instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedFile {
    /// Its path; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// What was found; `None` where it cannot be scanned.
    pub scan: Option<Scan>,
    /// Why it cannot be scanned: for another machine, relocatable, damaged.
    pub error: Option<String>,
}

impl ScannedFile {
    /// Scans the bytes of a file that stands at `path`.
    #[must_use]
    pub fn of_bytes(path: &str, bytes: &[u8]) -> ScannedFile {
        let path = path.to_owned();
        match scan(bytes) {
            Ok(scan) => ScannedFile {
                path,
                scan: Some(scan),
                error: None,
            },
            Err(error) => ScannedFile {
                path,
                scan: None,
                error: Some(error.to_string()),
            },
        }
    }
}

/// Scans every ELF file of a directory or image (whatever [`Image::open`]
/// takes), by path. A file with several names stands under the first.
///
/// # Errors
/// The image cannot be read, or the user cancelled.
pub fn scan_image(
    path: &Path,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<Vec<ScannedFile>, Error> {
    let image = Image::open(path, &OpenOptions::default()).map_err(ImageError::from)?;
    let mut listener = Listener::new(progress, cancel);
    let (tree, _) = image.read(&mut listener).map_err(ImageError::from)?;
    scan_tree(&tree, cancel).map_err(|error| match cancel.check() {
        Err(cancelled) => cancelled.into(),
        Ok(()) => io::Error::other(error).into(),
    })
}

/// Scans every ELF file of a tree, by path: one pass over each source, on all
/// processors, with little more than the files at work in memory.
///
/// # Errors
/// A source cannot be read, or the user cancelled.
pub fn scan_tree(tree: &FileTree, cancel: &Cancel) -> Result<Vec<ScannedFile>, DeliverError> {
    let mut names = HashMap::new();
    collect(tree, FileTree::ROOT, &mut Vec::new(), &mut names);
    let lengths = names.keys().filter_map(|&id| {
        let len = tree.content(id)?.len();
        (4..=LARGEST_FILE).contains(&len).then_some((id, len))
    });
    let sink = Scanner {
        lengths: lengths.collect(),
        names: &names,
        cancel,
        work: Mutex::new(Work::default()),
    };
    let ids: Vec<_> = sink.lengths.keys().copied().collect();
    tree.deliver(ids, &sink)?;
    let mut work = sink
        .work
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    work.flush(&names);
    // Files whose tail is a hole never count as whole while they are delivered.
    work.whole = work.open.drain().map(|(id, file)| (id, file.0)).collect();
    work.flush(&names);
    work.done.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(work.done)
}

/// Regular files by inode, each under its first path.
fn collect(
    tree: &FileTree,
    directory: InodeId,
    path: &mut Vec<u8>,
    names: &mut HashMap<InodeId, String>,
) {
    for (name, id) in tree.children(directory) {
        let len = path.len();
        path.push(b'/');
        path.extend_from_slice(name);
        if tree.content(id).is_some() {
            names
                .entry(id)
                .or_insert_with(|| String::from_utf8_lossy(path).into_owned());
        } else {
            collect(tree, id, path, names);
        }
        path.truncate(len);
    }
}

/// Collects ELF files as they come and scans them when enough are whole.
struct Scanner<'a> {
    lengths: HashMap<InodeId, u64>,
    names: &'a HashMap<InodeId, String>,
    cancel: &'a Cancel,
    work: Mutex<Work>,
}

/// Scanning starts when this many bytes are waiting.
const BATCH: usize = 64 << 20;

#[derive(Default)]
struct Work {
    /// Files in delivery: bytes, and how many have come.
    open: HashMap<InodeId, (Vec<u8>, u64)>,
    whole: Vec<(InodeId, Vec<u8>)>,
    waiting: usize,
    done: Vec<ScannedFile>,
}

impl Work {
    fn flush(&mut self, names: &HashMap<InodeId, String>) {
        let whole = std::mem::take(&mut self.whole);
        self.waiting = 0;
        self.done.par_extend(
            whole
                .into_par_iter()
                .map(|(id, bytes)| ScannedFile::of_bytes(&names[&id], &bytes)),
        );
    }
}

impl ContentSink for Scanner<'_> {
    fn write(&self, inode: InodeId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if offset == 0 && bytes.starts_with(b"\x7fELF") {
            let len = self.lengths.get(&inode).copied().unwrap_or(0);
            work.open.insert(inode, (vec![0; len as usize], 0));
        }
        let Some((file, come)) = work.open.get_mut(&inode) else {
            return Ok(());
        };
        let start = usize::try_from(offset).ok();
        let place = start.and_then(|start| file.get_mut(start..start.checked_add(bytes.len())?));
        place
            .ok_or(io::ErrorKind::InvalidData)?
            .copy_from_slice(bytes);
        *come += bytes.len() as u64;
        if *come == file.len() as u64
            && let Some((file, _)) = work.open.remove(&inode)
        {
            work.waiting += file.len();
            work.whole.push((inode, file));
            if work.waiting >= BATCH {
                work.flush(self.names);
            }
        }
        Ok(())
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use lupine_rootfs::{Content, Inode, Kind, Metadata, TreePath};

    use super::*;

    #[test]
    fn the_elf_files_of_a_tree_are_found() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut tree = FileTree::new();
        let file = |bytes: &[u8]| {
            let content = Content::inline(bytes);
            Inode::new(Kind::Regular(content), Metadata::with_mode(0o755))
        };
        let place = |path: &str| TreePath::new(path).unwrap();
        let id = tree.insert(&place("/usr/bin/own"), file(&own)).unwrap();
        tree.hard_link(&place("/usr/bin/same"), id).unwrap();
        tree.insert(&place("/etc/text"), file(b"no program"))
            .unwrap();
        tree.insert(&place("/lib/bad"), file(b"\x7fELF\x01\x01"))
            .unwrap();
        let found = scan_tree(&tree, &Cancel::new()).unwrap();
        let paths: Vec<_> = found.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["/lib/bad", "/usr/bin/own"]);
        assert!(found[0].error.as_deref().unwrap().contains("EI_CLASS"));
        assert_eq!(found[1], ScannedFile::of_bytes("/usr/bin/own", &own));

        let cancel = Cancel::new();
        cancel.cancel();
        assert!(matches!(
            scan_tree(&tree, &cancel),
            Err(DeliverError::Cancelled)
        ));
    }
}
