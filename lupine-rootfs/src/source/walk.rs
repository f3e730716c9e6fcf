//! Walks over directories of the host, in an order that does not depend on the host.
//!
//! Looking at a file is a few system calls, which the kernel answers on several processors at once:
//! pieces of directories are looked at in parallel, and visited in order while the next pieces are
//! being looked at. What is open at a time is bounded: a few directories, a few thousand entries.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat};

use crate::Xattrs;
use crate::content::Extent;
use crate::source::error::SourceError;

/// Directories open at a time.
const DIRECTORIES: usize = 256;

/// Entries that one thread looks at in a row.
const PIECE: usize = 128;

/// Entries that are looked at before they are visited.
const AHEAD: usize = 2048;

/// Bytes of names that are kept although they were visited.
const SPARE: usize = 1 << 18;

/// The names of a directory, in pieces of [`PIECE`], which are taken away one by one: of a huge
/// directory the names go while its tree comes.
#[derive(Debug, Default)]
struct Names {
    /// The pieces, the first one last; in each the names in order, and before each name its length.
    bytes: Vec<u8>,
    /// Where the pieces start, and how many names they have.
    pieces: Vec<(u32, u16)>,
}

impl Names {
    fn read(directory: &OwnedFd) -> io::Result<Self> {
        let mut found = Vec::new();
        let mut starts = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let start = u32::try_from(found.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
            let len = u8::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidFilename)?;
            starts.push(start);
            found.push(len);
            found.extend_from_slice(name);
        }
        u32::try_from(found.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let behind = |&start: &u32| &found[start as usize..];
        let name = |start: &u32| first_name(behind(start)).0;
        starts.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        let mut names = Self {
            bytes: Vec::with_capacity(found.len()),
            pieces: Vec::with_capacity(starts.len().div_ceil(PIECE)),
        };
        for piece in starts.chunks(PIECE).rev() {
            names
                .pieces
                .push((names.bytes.len() as u32, piece.len() as u16));
            for start in piece {
                let len = 1 + name(start).len();
                names.bytes.extend_from_slice(&behind(start)[..len]);
            }
        }
        Ok(names)
    }

    /// The names of a piece; pieces count from the end.
    fn piece(&self, number: usize) -> impl Iterator<Item = &[u8]> {
        let (start, len) = self.pieces[number];
        let mut rest = &self.bytes[start as usize..];
        (0..len).map(move |_| {
            let name;
            (name, rest) = first_name(rest);
            name
        })
    }

    /// Takes pieces away, so that this many are left.
    fn keep(&mut self, pieces: usize) {
        if let Some(&(end, _)) = self.pieces.get(pieces) {
            self.pieces.truncate(pieces);
            self.bytes.truncate(end as usize);
            if self.bytes.capacity() - self.bytes.len() > SPARE {
                self.bytes.shrink_to_fit();
            }
        }
    }
}

/// A name that has its length before it, and what is behind the name.
fn first_name(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes[1..].split_at(usize::from(bytes[0]))
}

/// A directory that is being walked.
struct OpenDirectory {
    handle: OwnedFd,
    path: Vec<u8>,
    names: Names,
}

/// What a walk sees of an entry.
pub(crate) struct Entry {
    /// Path relative to the root of the source; empty for the root itself.
    pub(crate) path: Vec<u8>,
    /// As `lstat` has it.
    pub(crate) stat: Stat,
    pub(crate) xattrs: Xattrs,
    /// Of a symbolic link; else empty.
    pub(crate) target: Vec<u8>,
}

impl Entry {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Paths of the parent and name in it; both empty for the root.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        match self.path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&self.path[..slash], &self.path[slash + 1..]),
            None => (b"", &self.path),
        }
    }
}

pub(crate) fn open_directory(root: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(root, path, flags, Mode::empty())?)
}

pub(crate) fn open_root(path: &Path) -> Result<OwnedFd, SourceError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(io::Error::from)
        .map_err(SourceError::io(path, "open directory"))
}

pub(crate) fn open_for_reading(directory: impl AsFd, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?.into())
}

/// Visits every entry below `base`, and `base` first: directories before their contents, siblings
/// in the order of their bytes.
pub(crate) fn walk(
    base: &Path,
    visit: impl FnMut(Entry) -> Result<(), SourceError> + Send,
) -> Result<(), SourceError> {
    let root = open_root(base)?;
    // On a thread of the pool, which need not be woken for every piece.
    rayon::scope(|_| Walk { base, root }.visit(visit))
}

struct Walk<'a> {
    base: &'a Path,
    root: OwnedFd,
}

impl Walk<'_> {
    fn visit(
        &self,
        mut visit: impl FnMut(Entry) -> Result<(), SourceError> + Send,
    ) -> Result<(), SourceError> {
        let stat = rustix::fs::fstat(&self.root)
            .map_err(io::Error::from)
            .map_err(self.failed(b"", "stat"))?;
        visit(Entry {
            path: Vec::new(),
            stat,
            xattrs: self.xattrs(b"")?,
            target: Vec::new(),
        })?;
        // Paths of directories to come, the next one last.
        let mut below = vec![Vec::new()];
        while !below.is_empty() {
            let next = below.split_off(below.len().saturating_sub(DIRECTORIES));
            let mut opened: Vec<OpenDirectory> = next
                .into_par_iter()
                .rev()
                .map(|path| self.open(path))
                .collect::<Result<_, _>>()?;
            let pieces = opened.iter().enumerate().flat_map(|(number, directory)| {
                let pieces = directory.names.pieces.iter().enumerate().rev();
                pieces.map(move |(piece, &(_, len))| (number, piece, len))
            });
            let pieces: Vec<(usize, usize, u16)> = pieces.collect();
            let found = below.len();
            let mut rest = &pieces[..];
            let mut seen: Vec<Vec<Entry>> = Vec::new();
            while !rest.is_empty() || !seen.is_empty() {
                let mut entries = 0;
                let enough = |&&(_, _, len): &&(usize, usize, u16)| {
                    entries += usize::from(len);
                    entries <= AHEAD
                };
                let next;
                (next, rest) = rest.split_at(rest.iter().take_while(enough).count());
                let look = || {
                    let looks = next.par_iter();
                    let looks = looks.map(|&(number, piece, _)| self.look(&opened[number], piece));
                    looks.collect::<Result<Vec<_>, _>>()
                };
                let visited = || {
                    for entry in seen.into_iter().flatten() {
                        if entry.kind() == FileType::Directory {
                            below.push(entry.path.clone());
                        }
                        visit(entry)?;
                    }
                    Ok(())
                };
                let (visited, looked) = rayon::join(visited, look);
                visited?;
                seen = looked?;
                for &(number, piece, _) in next {
                    opened[number].names.keep(piece);
                }
            }
            below[found..].reverse();
        }
        Ok(())
    }

    fn failed(&self, path: &[u8], action: &'static str) -> impl FnOnce(io::Error) -> SourceError {
        move |error| SourceError::io(self.base.join(OsStr::from_bytes(path)), action)(error)
    }

    fn open(&self, path: Vec<u8>) -> Result<OpenDirectory, SourceError> {
        let handle = open_directory(&self.root, &path);
        let handle = handle.map_err(self.failed(&path, "open directory"))?;
        let names = Names::read(&handle).map_err(self.failed(&path, "read directory"))?;
        Ok(OpenDirectory {
            handle,
            path,
            names,
        })
    }

    fn look(&self, directory: &OpenDirectory, piece: usize) -> Result<Vec<Entry>, SourceError> {
        let look = |name: &[u8]| {
            let mut path = Vec::with_capacity(directory.path.len() + 1 + name.len());
            path.extend_from_slice(&directory.path);
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let stat = rustix::fs::statat(&directory.handle, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(io::Error::from)
                .map_err(self.failed(&path, "stat"))?;
            let mut target = Vec::new();
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                target = rustix::fs::readlinkat(&directory.handle, name, target)
                    .map_err(io::Error::from)
                    .map_err(self.failed(&path, "read link"))?
                    .into_bytes();
            }
            let xattrs = self.xattrs(&path)?;
            Ok(Entry {
                path,
                stat,
                xattrs,
                target,
            })
        };
        directory.names.piece(piece).map(look).collect()
    }

    /// The extended attributes of a file, the link itself if it is one. Labels of the host's
    /// security module describe the host, not the image, and are left out.
    fn xattrs(&self, path: &[u8]) -> Result<Xattrs, SourceError> {
        let read = |path: &Path| {
            let mut attributes = Xattrs::new();
            let names = match xattr::list(path) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(attributes),
                other => other?,
            };
            for name in names {
                if name == "security.selinux" {
                    continue;
                }
                if let Some(value) = xattr::get(path, &name)? {
                    attributes.insert(name.as_bytes().to_vec(), value);
                }
            }
            Ok(attributes)
        };
        read(&self.base.join(OsStr::from_bytes(path)))
            .map_err(self.failed(path, "read extended attributes of"))
    }
}

/// The data extents of a file with holes.
pub(crate) fn extents(file: &File, len: u64) -> io::Result<Vec<Extent>> {
    let mut extents = Vec::new();
    let mut at = 0;
    while at < len {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            // Nothing but a hole up to the end.
            Err(rustix::io::Errno::NXIO) => break,
            // The file system knows no holes.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
                return Ok(vec![Extent { offset: 0, len }]);
            }
            other => other?,
        };
        if start >= len {
            break;
        }
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(len);
        if end <= start {
            return Err(io::ErrorKind::InvalidData.into());
        }
        extents.push(Extent {
            offset: start,
            len: end - start,
        });
        at = end;
    }
    Ok(extents)
}
