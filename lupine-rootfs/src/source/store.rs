//! The named parts of an image: files of a directory, or members of an archive.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::{MemberKind, Members};
use crate::path::TreePath;
use crate::source::blob::{Blob, Unpack};
use crate::source::compression::Compression;
use crate::source::digest::Expected;
use crate::source::error::{PlaceError, SourceError};
use crate::source::limits::{Limit, Limits};
use crate::source::shown;

/// The named parts of an image.
#[derive(Debug)]
pub(crate) enum Store {
    Directory(PathBuf),
    Archive {
        name: String,
        parts: BTreeMap<TreePath, Part>,
    },
}

/// A part of an archive.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    File(Blob),
    /// A symbolic or hard link to another part (older docker archives share layers so).
    Link(TreePath),
}

/// Parts of a compressed archive up to this size are kept in memory while it is scanned, so that
/// reading them does not mean decompressing it again; and how much of them.
const SMALL_PART: u64 = 256 << 10;
const SMALL_PARTS: u64 = 8 << 20;

/// Members an archive of an image may have.
const MAX_PARTS: u64 = 65_536;

/// Links followed from part to part.
const MAX_LINKS: usize = 8;

impl Store {
    /// Finds the parts of an archive. `None` if it is not the archive of an image: one of its
    /// members could not be a part of any.
    /// `certain`: it is known to be one, whatever its members are called.
    pub(crate) fn scan(
        blob: &Blob,
        certain: bool,
        limits: &Limits,
    ) -> Result<Option<Self>, SourceError> {
        let outer = Arc::new(blob.clone());
        let opened = blob.unpack(Unpack {
            what: blob.name(),
            expected: Expected::default(),
            diff_id: Expected::default(),
            limits,
            before: 0,
            count: Arc::default(),
        })?;
        let plain = opened.compression == Compression::None;
        let mut members = Members::new(opened.stream, limits.header_bytes);
        let mut parts = BTreeMap::new();
        let mut kept = 0;
        let mut count = 0;
        let tar = |error| SourceError::tar(blob.name(), error);
        loop {
            let member = match members.next() {
                Ok(Some(member)) => member,
                Ok(None) => break,
                // Not even a tar archive, or a plain one that is judged when it is read.
                Err(_) if parts.is_empty() => return Ok(None),
                Err(error) => return Err(tar(error)),
            };
            let place = |error: PlaceError| SourceError::Place {
                layer: blob.name().to_owned(),
                path: member.path.clone(),
                source: error,
            };
            let Ok(path) = TreePath::new(&member.path) else {
                return Ok(None);
            };
            if !certain && !could_be_part(&path) {
                return Ok(None);
            }
            count += 1;
            if count > MAX_PARTS.min(limits.entries) {
                return Err(SourceError::Limit {
                    what: blob.name().to_owned(),
                    limit: Limit::Entries,
                    allowed: MAX_PARTS.min(limits.entries),
                    hint: " parts of an image archive",
                });
            }
            let name = path.to_string();
            let part = match member.kind {
                MemberKind::Regular if member.extents.is_none() => {
                    let stream = members.stream();
                    let offset = stream.position();
                    let (keep, len) = (kept + member.len <= SMALL_PARTS, member.len);
                    Part::File(if plain {
                        if offset.saturating_add(len) > blob.len() {
                            return Err(tar(crate::archive::TarError::Truncated {
                                offset,
                                what: "file",
                            }));
                        }
                        blob.part(&name, offset, len)
                    } else if keep && len <= SMALL_PART {
                        kept += len;
                        let mut bytes = vec![0; len as usize];
                        stream.read_exact(&mut bytes).map_err(|error| {
                            tar(crate::archive::TarError::read(offset, error, "file"))
                        })?;
                        Blob::memory(&name, bytes.into())
                    } else {
                        outer.packed(&name, offset, len)
                    })
                }
                MemberKind::Symlink => {
                    let parent = path.split_last().map(|(parent, _)| parent);
                    let mut target = parent.unwrap_or_default().as_bytes().to_vec();
                    if member.link.starts_with(b"/") {
                        target.clear();
                    }
                    target.push(b'/');
                    target.extend_from_slice(&member.link);
                    Part::Link(TreePath::new(&target).map_err(|error| place(error.into()))?)
                }
                MemberKind::HardLink => {
                    Part::Link(TreePath::new(&member.link).map_err(|error| place(error.into()))?)
                }
                _ => continue,
            };
            parts.insert(path, part);
        }
        let name = blob.name().to_owned();
        Ok(Some(Self::Archive { name, parts }))
    }

    /// The name of the image, for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::Archive { name, .. } => name.clone(),
        }
    }

    /// Whether there is a part of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(path) => path.join(name).is_file(),
            Self::Archive { parts, .. } => {
                TreePath::new(name).is_ok_and(|path| parts.contains_key(&path))
            }
        }
    }

    /// Whether there is a directory, or anything in it.
    pub(crate) fn has_directory(&self, name: &str) -> bool {
        match self {
            Self::Directory(path) => path.join(name).is_dir(),
            Self::Archive { parts, .. } => parts
                .keys()
                .any(|path| path.components().next() == Some(name.as_bytes())),
        }
    }

    /// The part of this name. Names are those that the image's own documents use; they stay
    /// inside the image.
    pub(crate) fn part(&self, name: &str) -> Result<Blob, SourceError> {
        let missing = || SourceError::Missing {
            container: self.name(),
            part: shown(name),
            hint: ": the image is incomplete",
        };
        let path = TreePath::new(name).map_err(|error| SourceError::Place {
            layer: self.name(),
            path: name.as_bytes().to_vec(),
            source: error.into(),
        })?;
        match self {
            Self::Directory(base) => {
                let file = base.join(OsStr::from_bytes(path.as_bytes()));
                if !exists(&file) {
                    return Err(missing());
                }
                Blob::open(&file)
            }
            Self::Archive { parts, .. } => {
                let mut at = path;
                for _ in 0..MAX_LINKS {
                    match parts.get(&at) {
                        Some(Part::File(blob)) => return Ok(blob.clone()),
                        Some(Part::Link(target)) => at = target.clone(),
                        None => break,
                    }
                }
                Err(missing())
            }
        }
    }

    /// The content of a JSON document.
    pub(crate) fn json(
        &self,
        name: &str,
        expected: Expected,
        limits: &Limits,
    ) -> Result<Vec<u8>, SourceError> {
        self.part(name)?.json_bytes(expected, limits)
    }
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Whether a member of this name may belong to an OCI layout or a docker archive.
fn could_be_part(path: &TreePath) -> bool {
    let mut components = path.components();
    let Some(first) = components.next() else {
        return true;
    };
    // Parts at the top that some tools name as they like.
    let ends = [&b".json"[..], b".tar", b".tar.gz", b".tgz", b".tar.zst"];
    if components.next().is_none() && ends.iter().any(|end| first.ends_with(end)) {
        return true;
    }
    let known = [&b"blobs"[..], b"oci-layout", b"repositories"];
    let hex = first.strip_prefix(b"sha256:").unwrap_or(first);
    known.contains(&first) || hex.len() == 64 && hex.iter().all(u8::is_ascii_hexdigit)
}
