//! Directories as sources: every kind of file, hard links, holes, extended attributes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat};

use crate::Xattrs;
use crate::content::{Content, ContentSource, DeliverError, Extent, Request};
use crate::inode::{Kind, Metadata};
use crate::path::TreePath;
use crate::source::digest::Hasher;
use crate::source::error::{PlaceError, SourceError};
use crate::source::layer::Reading;
use crate::source::limits::{Limit, Limits};
use crate::source::report::{Diagnostic, LayerReport};
use crate::tree::InodeId;

/// A directory of the host as a source.
#[derive(Debug, Clone)]
pub(crate) struct DirectorySource {
    pub(crate) path: PathBuf,
    /// As messages name it.
    pub(crate) name: String,
    /// Whether `.wh.` names, and overlayfs's whiteouts, hide what is below.
    pub(crate) whiteouts: bool,
    /// Owner of all files, instead of their own.
    pub(crate) owner: Option<(u32, u32)>,
}

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
struct Entry<'a> {
    directory: &'a OwnedFd,
    /// Path relative to the root of the source; empty for the root itself.
    path: &'a [u8],
    name: &'a [u8],
    stat: &'a Stat,
}

fn open_directory(root: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(root, path, flags, Mode::empty())?)
}

fn open_root(path: &Path) -> Result<OwnedFd, SourceError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(io::Error::from)
        .map_err(SourceError::io(path, "open directory"))
}

fn open_for_reading(directory: impl AsFd, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?.into())
}

/// Visits every entry below `root`, directories before their contents, siblings in the order of
/// their bytes.
fn walk(
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
fn extents(file: &File, len: u64) -> io::Result<Vec<Extent>> {
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
fn xattrs(path: &Path) -> io::Result<Xattrs> {
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

impl DirectorySource {
    /// First pass: puts the directory on top of what is in the tree.
    pub(crate) fn read(&self, reading: &mut Reading<'_>) -> Result<(), SourceError> {
        reading.tree.begin_layer();
        let mut files = Files {
            root: self.path.clone(),
            directories: Vec::new(),
            names: Vec::new(),
            files: Vec::new(),
            sparse: HashMap::new(),
        };
        let mut report = LayerReport {
            name: self.name.clone(),
            compression: None,
            stored_bytes: 0,
            unpacked_bytes: 0,
            entries: 0,
            whiteouts: 0,
        };
        // The tree needs the number of the source before the source is complete.
        let mut inserted: Vec<(InodeId, u64)> = Vec::new();
        let mut linked: HashMap<(u64, u64), InodeId> = HashMap::new();
        walk(&self.path, |entry| {
            report.entries += 1;
            let place = |source| SourceError::Place {
                layer: self.name.clone(),
                path: entry.path.to_vec(),
                source,
            };
            reading.count(&self.name, entry.name.len() as u64)?;
            let path = TreePath::new(entry.path).map_err(|error| place(error.into()))?;
            if self.whiteouts
                && let Some(done) = self.hide(reading, &path, entry)
            {
                report.whiteouts += 1;
                return done.map_err(place);
            }
            let key = (entry.stat.st_dev, entry.stat.st_ino);
            let kind = FileType::from_raw_mode(entry.stat.st_mode);
            let several = entry.stat.st_nlink > 1 && kind != FileType::Directory;
            if several && let Some(&target) = linked.get(&key) {
                return reading
                    .tree
                    .hard_link(&path, target)
                    .map_err(|error| place(error.into()));
            }
            let Some(id) = self.insert(reading, &path, entry, &mut files)? else {
                return Ok(());
            };
            if several {
                linked.insert(key, id);
            }
            if kind == FileType::RegularFile {
                report.unpacked_bytes += entry.stat.st_size as u64;
                inserted.push((id, files.files.len() as u64 - 1));
            }
            Ok(())
        })?;
        report.stored_bytes = report.unpacked_bytes;
        reading.used.unpacked = reading.used.unpacked.saturating_add(report.unpacked_bytes);
        if reading.used.unpacked > reading.limits.unpacked_bytes {
            return Err(SourceError::Limit {
                what: self.name.clone(),
                limit: Limit::UnpackedBytes,
                allowed: reading.limits.unpacked_bytes,
                hint: "",
            });
        }
        reading.report.layers.push(report);
        self.attach(reading, files, &inserted)
    }

    /// Adds the source to the tree, and tells the inodes of it.
    fn attach(
        &self,
        reading: &mut Reading<'_>,
        mut files: Files,
        inserted: &[(InodeId, u64)],
    ) -> Result<(), SourceError> {
        files.names.shrink_to_fit();
        files.files.shrink_to_fit();
        let contents: Vec<(u64, Option<Arc<[Extent]>>)> = inserted
            .iter()
            .map(|&(_, index)| {
                let len = files.files[index as usize].len;
                (len, files.sparse.get(&index).cloned())
            })
            .collect();
        let source = reading.tree.add_source(Box::new(files));
        for (&(id, index), (len, extents)) in inserted.iter().zip(contents) {
            let content = match extents {
                None => Ok(Content::from_source(source, index, len)),
                Some(extents) => Content::sparse(source, index, len, extents),
            };
            let placed = content.map_err(PlaceError::from).map(|content| {
                // A later entry of this very walk cannot have replaced it with another kind.
                reading.tree.set_content(id, content)
            });
            placed
                .map_err(|source| SourceError::Place {
                    layer: self.name.clone(),
                    path: Vec::new(),
                    source,
                })?
                .map_err(|_| SourceError::Changed {
                    name: self.name.clone(),
                })?;
        }
        Ok(())
    }

    /// Handles whiteouts: by name, and as overlayfs keeps them.
    fn hide(
        &self,
        reading: &mut Reading<'_>,
        path: &TreePath,
        entry: &Entry<'_>,
    ) -> Option<Result<(), PlaceError>> {
        if let Some(done) = reading.whiteout(path) {
            return Some(done);
        }
        let kind = FileType::from_raw_mode(entry.stat.st_mode);
        if kind == FileType::CharacterDevice && entry.stat.st_rdev == 0 {
            let hidden = reading.tree.whiteout(path);
            return Some(hidden.map(|_| ()).map_err(PlaceError::from));
        }
        None
    }

    fn insert(
        &self,
        reading: &mut Reading<'_>,
        path: &TreePath,
        entry: &Entry<'_>,
        files: &mut Files,
    ) -> Result<Option<InodeId>, SourceError> {
        let host = self.path.join(OsStr::from_bytes(entry.path));
        let stat = entry.stat;
        let (major, minor) = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        let place = |source| SourceError::Place {
            layer: self.name.clone(),
            path: entry.path.to_vec(),
            source,
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => {
                files.add(entry).map_err(SourceError::io(&host, "read"))?;
                Kind::Regular(Content::empty())
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(entry.directory, entry.name, Vec::new())
                    .map_err(io::Error::from)
                    .map_err(SourceError::io(&host, "read link"))?;
                Kind::Symlink(target.into_bytes().into())
            }
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice | FileType::BlockDevice if !reading.devices => {
                reading.report.push(Diagnostic::DeviceSkipped {
                    layer: self.name.clone(),
                    path: entry.path.to_vec(),
                });
                return Ok(None);
            }
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Unknown => {
                return Err(SourceError::Unrecognised {
                    name: host.display().to_string(),
                    found: "a file of a kind unknown here",
                });
            }
        };
        let (uid, gid) = self.owner.unwrap_or((stat.st_uid, stat.st_gid));
        let metadata = Metadata {
            mode: (stat.st_mode & 0o7777) as u16,
            uid,
            gid,
            mtime: stat.st_mtime,
        };
        let mut attributes =
            xattrs(&host).map_err(SourceError::io(&host, "read extended attributes of"))?;
        let opaque = [&b"trusted.overlay.opaque"[..], b"user.overlay.opaque"];
        if self.whiteouts && opaque.iter().any(|&name| attributes.remove(name).is_some()) {
            let made = reading.tree.make_opaque(path);
            made.map_err(|error| place(error.into()))?;
        }
        let id = reading
            .insert(path, kind, metadata, attributes)
            .map_err(place)?;
        Ok(Some(id))
    }
}

/// Second pass: the regular files of a directory, numbered in the order of the walk.
#[derive(Debug)]
struct Files {
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

/// Files up to this size are read into memory and handed on in one piece.
const SMALL: u64 = 256 * 1024;

/// Files delivered by one thread in a row.
const BATCH: usize = 128;

impl Files {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let parent = match entry.path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => &entry.path[..slash],
            None => b"",
        };
        if self.directories.last().is_none_or(|last| **last != *parent) {
            self.directories.push(parent.into());
        }
        let too_many = |_| io::Error::from(io::ErrorKind::OutOfMemory);
        let stat = entry.stat;
        let len = u64::try_from(stat.st_size).map_err(|_| io::ErrorKind::InvalidData)?;
        let index = self.files.len() as u64;
        self.files.push(FileRecord {
            directory: u32::try_from(self.directories.len() - 1).map_err(too_many)?,
            name: u32::try_from(self.names.len()).map_err(too_many)?,
            len,
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
        });
        self.names.extend_from_slice(entry.name);
        if len > 0 && (stat.st_blocks as u64).saturating_mul(512) < len {
            let file = open_for_reading(entry.directory, entry.name)?;
            self.sparse.insert(index, extents(&file, len)?.into());
        }
        Ok(())
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
                let path = self.path(index as usize);
                move |error| DeliverError::source(SourceError::io(path, action)(error))
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
        let indices: Vec<u64> = request.indices().collect();
        indices
            .par_chunks(BATCH)
            .try_for_each(|indices| self.batch(&root, indices, request))
    }
}

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
        let host = base.join(OsStr::from_bytes(entry.path));
        let stat = entry.stat;
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(entry.path);
        let kind = FileType::from_raw_mode(stat.st_mode);
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
        let attributes = xattrs(&host);
        let attributes =
            attributes.map_err(SourceError::io(&host, "read extended attributes of"))?;
        field(&(attributes.len() as u64).to_le_bytes());
        for (name, value) in attributes {
            field(&name);
            field(&value);
        }
        if kind == FileType::Symlink {
            let target = rustix::fs::readlinkat(entry.directory, entry.name, Vec::new())
                .map_err(io::Error::from)
                .map_err(SourceError::io(&host, "read link"))?;
            field(target.as_bytes());
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
            let mut file = crate::source::blob::open_file(path)?;
            let mut hasher = Hasher::sha256();
            let mut buffer = vec![0; (*len).clamp(1, SMALL) as usize];
            let mut seen = 0;
            loop {
                let read = io::Read::read(&mut file, &mut buffer)
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
