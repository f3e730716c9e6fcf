//! Tar layers: their members go into the tree, their whiteouts hide what is below, and their bytes
//! are delivered in a second pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::archive::{Member, MemberKind, Members};
use crate::content::{Content, ContentSource, DeliverError, Request, SourceId};
use crate::inode::{Inode, Kind, Metadata};
use crate::path::TreePath;
use crate::progress::Progress;
use crate::source::blob::{Blob, Unpack};
use crate::source::digest::Expected;
use crate::source::error::{PlaceError, SourceError};
use crate::source::limits::{Limit, Limits, Used};
use crate::source::report::{Diagnostic, LayerReport, Report};
use crate::tree::FileTree;

/// A tar layer of an image.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// As messages name it.
    pub(crate) name: String,
    pub(crate) blob: Blob,
    /// What the blob must be.
    pub(crate) expected: Expected,
    /// What its decompressed bytes must be.
    pub(crate) diff_id: Expected,
    /// Whether `.wh.` names are whiteouts. The lowest layer of a plain archive has nothing to
    /// hide, and its names are files.
    pub(crate) whiteouts: bool,
}

/// What all sources share while they are read.
pub(crate) struct Reading<'a> {
    pub(crate) tree: &'a mut FileTree,
    pub(crate) report: &'a mut Report,
    pub(crate) progress: &'a mut dyn Progress,
    pub(crate) limits: &'a Limits,
    pub(crate) used: Used,
    /// Whether device nodes are kept.
    pub(crate) devices: bool,
}

impl Reading<'_> {
    /// Counts an entry that takes `metadata` bytes of memory.
    pub(crate) fn count(&mut self, name: &str, metadata: u64) -> Result<(), SourceError> {
        if self.progress.cancelled() {
            return Err(SourceError::Cancelled);
        }
        self.used.entries += 1;
        self.used.metadata = self.used.metadata.saturating_add(metadata);
        let exceeded = |limit, allowed| {
            Err(SourceError::Limit {
                what: name.to_owned(),
                limit,
                allowed,
                hint: "",
            })
        };
        if self.used.entries > self.limits.entries {
            return exceeded(Limit::Entries, self.limits.entries);
        }
        if self.used.metadata > self.limits.metadata_bytes {
            return exceeded(Limit::MetadataBytes, self.limits.metadata_bytes);
        }
        Ok(())
    }

    /// Handles the name of a whiteout; `None` when the entry is none.
    pub(crate) fn whiteout(&mut self, path: &TreePath) -> Option<Result<(), PlaceError>> {
        let (parent, name) = path.split_last()?;
        let hidden = name.strip_prefix(b".wh.")?;
        Some(match hidden {
            b".wh..opq" => self.tree.make_opaque(&parent).map_err(PlaceError::from),
            // Bookkeeping of the AUFS file system, where whiteouts come from.
            [b'.', b'w', b'h', b'.', ..] => Ok(()),
            b"" | b"." | b".." => Err(PlaceError::Whiteout),
            name => {
                let hidden = self.tree.whiteout(&parent.child(name));
                hidden.map(|_| ()).map_err(PlaceError::from)
            }
        })
    }
}

impl Layer {
    /// First pass: puts the layer on top of what is in the tree.
    pub(crate) fn read(&self, reading: &mut Reading<'_>) -> Result<(), SourceError> {
        let count = Arc::new(AtomicU64::new(0));
        let opened = self.blob.unpack(Unpack {
            what: &self.name,
            expected: self.expected.clone(),
            diff_id: self.diff_id.clone(),
            limits: reading.limits,
            before: reading.used.unpacked,
            count: Arc::clone(&count),
        })?;
        let mut members = Members::new(opened.stream, reading.limits.header_bytes);
        reading.tree.begin_layer();
        let source = reading.tree.add_source(Box::new(LayerSource {
            layer: self.clone(),
            limits: reading.limits.clone(),
        }));
        let mut report = LayerReport {
            name: self.name.clone(),
            compression: Some(opened.compression),
            stored_bytes: self.blob.len(),
            unpacked_bytes: 0,
            entries: 0,
            whiteouts: 0,
        };
        let tar = |error| SourceError::tar(&self.name, error);
        let mut shown = 0;
        while let Some(member) = members.next().map_err(tar)? {
            report.entries += 1;
            let xattrs = member.xattrs.iter();
            // Directories are in the tree anyway, so only the last part of a path is new.
            let name = member.path.split(|&byte| byte == b'/').next_back();
            let memory = name.map_or(0, <[u8]>::len)
                + member.link.len()
                + xattrs
                    .map(|(name, value)| name.len() + value.len())
                    .sum::<usize>()
                + 16 * member.extents.as_ref().map_or(0, Vec::len);
            reading.count(&self.name, memory as u64)?;
            let done = count
                .load(Ordering::Relaxed)
                .max(members.stream().read_so_far());
            if done - shown >= PROGRESS_STEP {
                reading.progress.advance(done - shown);
                shown = done;
            }
            let path = member.path.clone();
            self.place(reading, source, member, &mut report)
                .map_err(|source| SourceError::Place {
                    layer: self.name.clone(),
                    path,
                    source,
                })?;
        }
        if !members.drain().map_err(tar)? {
            let layer = self.name.clone();
            reading.report.push(Diagnostic::TrailingData { layer });
        }
        reading
            .progress
            .advance(self.blob.len().saturating_sub(shown));
        report.unpacked_bytes = members.stream().position();
        reading.used.unpacked = reading.used.unpacked.saturating_add(report.unpacked_bytes);
        reading.report.layers.push(report);
        Ok(())
    }

    fn place(
        &self,
        reading: &mut Reading<'_>,
        source: SourceId,
        member: Member,
        report: &mut LayerReport,
    ) -> Result<(), PlaceError> {
        let path = TreePath::new(&member.path)?;
        if self.whiteouts
            && let Some(done) = reading.whiteout(&path)
        {
            report.whiteouts += 1;
            return done;
        }
        let metadata = Metadata {
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            mtime: member.mtime,
        };
        let (major, minor) = (member.major, member.minor);
        let kind = match member.kind {
            MemberKind::Directory => Kind::Directory,
            MemberKind::Regular => Kind::Regular(match member.extents {
                Some(extents) => Content::sparse(source, member.offset, member.len, extents)?,
                None => Content::from_source(source, member.offset, member.len),
            }),
            MemberKind::Symlink => Kind::Symlink(member.link.into()),
            MemberKind::Fifo => Kind::Fifo,
            MemberKind::CharDevice | MemberKind::BlockDevice if !reading.devices => {
                reading.report.push(Diagnostic::DeviceSkipped {
                    layer: self.name.clone(),
                    path: member.path,
                });
                return Ok(());
            }
            MemberKind::CharDevice => Kind::CharDevice { major, minor },
            MemberKind::BlockDevice => Kind::BlockDevice { major, minor },
            MemberKind::HardLink => {
                let target = TreePath::new(&member.link)?;
                let found = target.split_last().and_then(|(parent, name)| {
                    let parent = reading.tree.resolve(&parent).ok()?;
                    reading.tree.child(parent, name)
                });
                let Some(found) = found else {
                    return Err(PlaceError::LinkTarget { target });
                };
                return Ok(reading.tree.hard_link(&path, found)?);
            }
            MemberKind::Other(flag) => {
                reading.report.push(Diagnostic::MemberSkipped {
                    layer: self.name.clone(),
                    path: member.path,
                    flag,
                });
                return Ok(());
            }
        };
        let inode = Inode::new(kind, metadata).with_xattrs(member.xattrs);
        reading.tree.insert(&path, inode)?;
        Ok(())
    }
}

/// Bytes between two reports of progress.
const PROGRESS_STEP: u64 = 1 << 20;

/// Second pass: the bytes of a layer's files. The index of a file is the offset of its member in
/// the decompressed archive.
#[derive(Debug)]
struct LayerSource {
    layer: Layer,
    limits: Limits,
}

/// Data of at least this many bytes is copied from file to file by the kernel.
const DIRECT: u64 = 1 << 20;

impl LayerSource {
    fn members(&self) -> Result<Members, SourceError> {
        self.layer.blob.check_unchanged()?;
        let opened = self.layer.blob.unpack(Unpack {
            what: &self.layer.name,
            expected: Expected::default(),
            diff_id: Expected::default(),
            limits: &self.limits,
            before: 0,
            count: Arc::default(),
        })?;
        Ok(Members::new(opened.stream, self.limits.header_bytes))
    }

    fn deliver_member(
        &self,
        member: &Member,
        members: &mut Members,
        request: &Request<'_>,
    ) -> Result<(), DeliverError> {
        let failed = |error| {
            let error = crate::archive::TarError::read(member.offset, error, "file");
            DeliverError::source(SourceError::tar(&self.layer.name, error))
        };
        let stream = members.stream();
        for extent in member.stored().iter() {
            let (mut offset, mut left) = (extent.offset, extent.len);
            while left > 0 {
                if left >= DIRECT
                    && let Some((file, at)) = stream.file()
                {
                    request.copy_from(member.offset, offset, file, at, left)?;
                    stream.skip(left).map_err(failed)?;
                    break;
                }
                let bytes = stream.fill(1).map_err(failed)?;
                let count = (bytes.len() as u64).min(left);
                if count == 0 {
                    return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
                }
                request.write(member.offset, offset, &bytes[..count as usize])?;
                stream.consume(count as usize);
                offset += count;
                left -= count;
            }
        }
        Ok(())
    }
}

impl ContentSource for LayerSource {
    fn deliver(&self, request: &Request<'_>) -> Result<(), DeliverError> {
        let Some(last) = request.indices().last() else {
            return Ok(());
        };
        let mut members = self.members().map_err(DeliverError::source)?;
        loop {
            let member = members
                .next()
                .map_err(|error| DeliverError::source(SourceError::tar(&self.layer.name, error)))?;
            let Some(member) = member else {
                return Ok(());
            };
            if member.kind == MemberKind::Regular && request.wants(member.offset) {
                self.deliver_member(&member, &mut members, request)?;
            }
            if member.offset >= last {
                return self
                    .layer
                    .blob
                    .check_unchanged()
                    .map_err(DeliverError::source);
            }
        }
    }
}
