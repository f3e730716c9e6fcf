//! Directories as sources: every kind of file, hard links, holes, extended attributes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::FileType;

use crate::content::{Content, SourceId};
use crate::inode::{Inode, Kind, Metadata};
use crate::path::TreePath;
use crate::source::error::{PlaceError, SourceError};
use crate::source::files::FilesBuilder;
use crate::source::layer::Reading;
use crate::source::limits::Limit;
use crate::source::report::{Diagnostic, LayerReport};
use crate::source::walk::{Entry, walk};
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

impl DirectorySource {
    /// First pass: puts the directory on top of what is in the tree.
    pub(crate) fn read(&self, reading: &mut Reading<'_>) -> Result<(), SourceError> {
        reading.tree.begin_layer();
        let mut files = FilesBuilder::new(self.path.clone());
        let mut report = LayerReport {
            name: self.name.clone(),
            compression: None,
            stored_bytes: 0,
            unpacked_bytes: 0,
            entries: 0,
            whiteouts: 0,
        };
        // The tree gets the source when it is complete, and nothing adds another until then.
        let source = reading.tree.next_source();
        let mut linked: HashMap<(u64, u64), InodeId> = HashMap::new();
        walk(&self.path, |entry| {
            report.entries += 1;
            let place = |source| SourceError::Place {
                layer: self.name.clone(),
                path: entry.path.clone(),
                source,
            };
            reading.count(&self.name, entry.split().1.len() as u64)?;
            let path = TreePath::new(&entry.path).map_err(|error| place(error.into()))?;
            if self.whiteouts
                && let Some(done) = self.hide(reading, &path, &entry)
            {
                report.whiteouts += 1;
                return done.map_err(place);
            }
            let key = (entry.stat.st_dev, entry.stat.st_ino);
            let kind = entry.kind();
            let several = entry.stat.st_nlink > 1 && kind != FileType::Directory;
            if several && let Some(&target) = linked.get(&key) {
                return reading
                    .tree
                    .hard_link(&path, target)
                    .map_err(|error| place(error.into()));
            }
            let size = entry.stat.st_size as u64;
            let Some(id) = self.insert(reading, &path, entry, (source, &mut files))? else {
                return Ok(());
            };
            if several {
                linked.insert(key, id);
            }
            if kind == FileType::RegularFile {
                report.unpacked_bytes += size;
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
        let files = files.finish();
        let files = files.map_err(SourceError::io(&self.path, "note the files of"))?;
        reading.tree.add_source(Box::new(files));
        Ok(())
    }

    /// Handles whiteouts: by name, and as overlayfs keeps them.
    fn hide(
        &self,
        reading: &mut Reading<'_>,
        path: &TreePath,
        entry: &Entry,
    ) -> Option<Result<(), PlaceError>> {
        if let Some(done) = reading.whiteout(path) {
            return Some(done);
        }
        if entry.kind() == FileType::CharacterDevice && entry.stat.st_rdev == 0 {
            let hidden = reading.tree.whiteout(path);
            return Some(hidden.map(|_| ()).map_err(PlaceError::from));
        }
        None
    }

    fn insert(
        &self,
        reading: &mut Reading<'_>,
        path: &TreePath,
        mut entry: Entry,
        (source, files): (SourceId, &mut FilesBuilder),
    ) -> Result<Option<InodeId>, SourceError> {
        let host = || self.path.join(OsStr::from_bytes(&entry.path));
        let stat = &entry.stat;
        let (major, minor) = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        let place = |source| SourceError::Place {
            layer: self.name.clone(),
            path: path.as_bytes().to_vec(),
            source,
        };
        let kind = match entry.kind() {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => {
                let added = files.add(&entry);
                let content = added.map_err(|error| SourceError::io(host(), "read")(error))?;
                let (index, len, extents) = content;
                Kind::Regular(match extents {
                    None => Content::from_source(source, index, len),
                    Some(extents) => Content::sparse(source, index, len, extents)
                        .map_err(|error| place(error.into()))?,
                })
            }
            FileType::Symlink => Kind::Symlink(std::mem::take(&mut entry.target).into()),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice | FileType::BlockDevice if !reading.devices => {
                reading.report.push(Diagnostic::DeviceSkipped {
                    layer: self.name.clone(),
                    path: entry.path,
                });
                return Ok(None);
            }
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Unknown => {
                return Err(SourceError::Unrecognised {
                    name: host().display().to_string(),
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
        let mut attributes = entry.xattrs;
        let opaque = [&b"trusted.overlay.opaque"[..], b"user.overlay.opaque"];
        if self.whiteouts && opaque.iter().any(|&name| attributes.remove(name).is_some()) {
            let made = reading.tree.make_opaque(path);
            made.map_err(|error| place(error.into()))?;
        }
        let inode = Inode::new(kind, metadata).with_xattrs(attributes);
        let inserted = reading.tree.insert(path, inode);
        inserted.map(Some).map_err(|error| place(error.into()))
    }
}
