//! Walks over directories of the host, in an order that does not depend on the host.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat};

use crate::Xattrs;
use crate::content::Extent;
use crate::source::error::SourceError;

/// The names of a directory, sorted, in one allocation.
#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    /// Start and length of each.
    at: Vec<(u32, u16)>,
    next: usize,
}

impl Names {
    fn read(directory: OwnedFd) -> io::Result<Self> {
        let mut names = Self::default();
        for entry in Dir::new(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let (Ok(start), Ok(len)) =
                (u32::try_from(names.bytes.len()), u16::try_from(name.len()))
            else {
                return Err(io::ErrorKind::OutOfMemory.into());
            };
            names.bytes.extend_from_slice(name);
            names.at.push((start, len));
        }
        let Self { bytes, at, .. } = &mut names;
        let name = |&(start, len): &(u32, u16)| &bytes[start as usize..][..len as usize];
        at.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        Ok(names)
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let &(start, len) = self.at.get(self.next)?;
        self.next += 1;
        Some(self.bytes[start as usize..][..len as usize].to_vec())
    }
}

/// An entry met on a walk, described by `lstat`.
pub(crate) struct Entry<'a> {
    pub(crate) directory: &'a OwnedFd,
    /// Path relative to the root of the source; empty for the root itself.
    pub(crate) path: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) stat: &'a Stat,
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

/// Visits every entry below `root`, directories before their contents, siblings in the order of
/// their bytes.
pub(crate) fn walk(
    base: &Path,
    mut visit: impl FnMut(&Entry<'_>) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let root = open_root(base)?;
    let at = |path: &[u8]| base.join(OsStr::from_bytes(path));
    let stat = rustix::fs::fstat(&root)
        .map_err(io::Error::from)
        .map_err(SourceError::io(base, "stat"))?;
    visit(&Entry {
        directory: &root,
        path: b"",
        name: b".",
        stat: &stat,
    })?;
    let mut stack: Vec<(Vec<u8>, Names)> = Vec::new();
    let mut entering = Some(Vec::new());
    let mut current: Option<OwnedFd> = None;
    loop {
        if let Some(path) = entering.take() {
            let open = || open_directory(&root, &path);
            let names = open()
                .and_then(Names::read)
                .map_err(SourceError::io(at(&path), "read directory"))?;
            current = Some(open().map_err(SourceError::io(at(&path), "open directory"))?);
            stack.push((path, names));
        }
        let Some((path, names)) = stack.last_mut() else {
            return Ok(());
        };
        let Some(name) = names.next() else {
            stack.pop();
            current = None;
            continue;
        };
        let directory = match &mut current {
            Some(directory) => directory,
            none => none.insert(
                open_directory(&root, path).map_err(SourceError::io(at(path), "open directory"))?,
            ),
        };
        let mut full = path.clone();
        if !full.is_empty() {
            full.push(b'/');
        }
        full.extend_from_slice(&name);
        let stat = rustix::fs::statat(&*directory, &*name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(io::Error::from)
            .map_err(SourceError::io(at(&full), "stat"))?;
        visit(&Entry {
            directory,
            path: &full,
            name: &name,
            stat: &stat,
        })?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            entering = Some(full);
        }
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

/// The extended attributes of a file, the link itself if it is one. Labels of the host's security
/// module describe the host, not the image, and are left out.
pub(crate) fn xattrs(path: &Path) -> io::Result<Xattrs> {
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
}
