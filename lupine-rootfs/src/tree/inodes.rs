//! The inodes of a tree, in 16 bytes each: most of what an inode says, many say alike.
//!
//! An inode is a [`Class`] and three numbers: time of modification, and two values whose meaning
//! depends on the kind. Of the numbers the low halves stand in the inode; the high halves, which
//! rarely differ, are part of the class. What fits no number (directories, targets of symbolic
//! links, contents in memory or with holes) has a table of its own.

use super::InodeId;
use super::classes::{Class, ClassId, Classes, Form};
use super::entries::Entries;
use super::slab::Slab;
use crate::content::{Content, Data, SourceId};
use crate::inode::{Inode, Kind, Metadata};

/// What a directory has beside its inode.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) entries: Entries,
    pub(super) parent: Option<InodeId>,
    /// Distance from the root.
    pub(super) depth: u32,
    /// The layer in which nothing of earlier layers is left here or below.
    pub(super) opaque_in: Option<u32>,
}

/// An inode.
#[derive(Debug, Clone, Copy)]
struct Record {
    class: ClassId,
    /// Low halves of the time and of the two values.
    low: [u32; 3],
}

/// All inodes of a tree.
#[derive(Debug, Default)]
pub(super) struct Inodes {
    records: Slab<Record>,
    classes: Classes,
    directories: Slab<Directory>,
    targets: Slab<Box<[u8]>>,
    contents: Slab<Content>,
}

impl Inodes {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// One more than the largest index of an inode.
    pub(super) fn bound(&self) -> usize {
        self.records.bound()
    }

    /// The class of an inode, and its three numbers.
    fn read(&self, id: InodeId) -> (&Class, [u64; 3]) {
        let record = self.records.get(id.0);
        let class = self.classes.get(record.class);
        let number = |at: usize| u64::from(class.high[at]) << 32 | u64::from(record.low[at]);
        (class, [number(0), number(1), number(2)])
    }

    pub(super) fn get(&self, id: InodeId) -> Inode {
        let (class, [mtime, ..]) = self.read(id);
        Inode {
            kind: self.kind(id),
            metadata: Metadata {
                mode: class.mode,
                uid: class.uid,
                gid: class.gid,
                mtime: mtime.cast_signed(),
            },
            xattrs: class.xattrs.clone(),
        }
    }

    fn kind(&self, id: InodeId) -> Kind {
        let (class, [_, first, second]) = self.read(id);
        let (major, minor) = (first as u32, second as u32);
        match class.form {
            Form::Directory => Kind::Directory,
            Form::Hole => Kind::Regular(Content::hole(first)),
            Form::Source(source) => Kind::Regular(Content::from_source(source, second, first)),
            Form::Content => Kind::Regular(self.contents.get(first as u32).clone()),
            Form::Symlink => Kind::Symlink(self.targets.get(first as u32).clone()),
            Form::CharDevice => Kind::CharDevice { major, minor },
            Form::BlockDevice => Kind::BlockDevice { major, minor },
            Form::Fifo => Kind::Fifo,
            Form::Socket => Kind::Socket,
        }
    }

    /// The content of a regular file.
    pub(super) fn content(&self, id: InodeId) -> Option<Content> {
        match self.read(id).0.form {
            Form::Hole | Form::Source(_) | Form::Content => self.kind(id).into_content(),
            _ => None,
        }
    }

    /// Source and index of a content that has them, without a copy of it.
    pub(super) fn source(&self, id: InodeId) -> Option<(SourceId, u64)> {
        let (class, [_, first, second]) = self.read(id);
        match class.form {
            Form::Source(source) => Some((source, second)),
            Form::Content => self.contents.get(first as u32).source(),
            _ => None,
        }
    }

    /// The target of a symbolic link.
    pub(super) fn target(&self, id: InodeId) -> Option<&[u8]> {
        let (class, [_, number, _]) = self.read(id);
        (class.form == Form::Symlink).then(|| &**self.targets.get(number as u32))
    }

    pub(super) fn is_directory(&self, id: InodeId) -> bool {
        self.read(id).0.form == Form::Directory
    }

    /// The file type bits of `st_mode`.
    pub(super) fn type_bits(&self, id: InodeId) -> u16 {
        match self.read(id).0.form {
            // Without a copy of the target.
            Form::Symlink => Kind::Symlink(Box::default()).type_bits(),
            _ => self.kind(id).type_bits(),
        }
    }

    pub(super) fn directory(&self, id: InodeId) -> Option<&Directory> {
        let (class, [_, number, _]) = self.read(id);
        (class.form == Form::Directory).then(|| self.directories.get(number as u32))
    }

    pub(super) fn directory_mut(&mut self, id: InodeId) -> Option<&mut Directory> {
        let (class, [_, number, _]) = self.read(id);
        (class.form == Form::Directory).then(|| self.directories.get_mut(number as u32))
    }

    pub(super) fn links(&self, id: InodeId) -> u32 {
        self.read(id).0.links
    }

    pub(super) fn set_links(&mut self, id: InodeId, links: u32) {
        let Record { class: old, .. } = *self.records.get(id.0);
        let class = Class {
            links,
            ..self.classes.get(old).clone()
        };
        self.classes.release(old);
        self.records.get_mut(id.0).class = self.classes.intern(class);
    }

    /// Adds an inode with one name; `directory` is what it has beside if it is one. `None` when
    /// all numbers are taken.
    pub(super) fn insert(&mut self, inode: Inode, directory: Directory) -> Option<InodeId> {
        if self.records.is_full() {
            return None;
        }
        let number = match inode.kind {
            Kind::Directory => self.directories.insert(directory),
            _ => 0,
        };
        let record = self.record(inode, 1, number);
        Some(InodeId(self.records.insert(record)))
    }

    /// Puts an inode in place of another, under all its names. Both are directories, and the
    /// entries stay, or neither is.
    pub(super) fn replace(&mut self, id: InodeId, inode: Inode) {
        let (class, [_, number, _]) = self.read(id);
        let (form, links) = (class.form, class.links);
        debug_assert_eq!(form == Form::Directory, inode.kind.is_directory());
        if form != Form::Directory {
            self.release_body(id);
        }
        self.classes.release(self.records.get(id.0).class);
        *self.records.get_mut(id.0) = self.record(inode, links, number as u32);
    }

    /// Removes an inode; gives what a directory has beside.
    pub(super) fn remove(&mut self, id: InodeId) -> Option<Directory> {
        let directory = self.release_body(id);
        if let Some(record) = self.records.remove(id.0) {
            self.classes.release(record.class);
        }
        directory
    }

    /// Removes what an inode has in the tables of its kind.
    fn release_body(&mut self, id: InodeId) -> Option<Directory> {
        let (class, [_, number, _]) = self.read(id);
        let number = number as u32;
        match class.form {
            Form::Directory => return self.directories.remove(number),
            Form::Content => drop(self.contents.remove(number)),
            Form::Symlink => drop(self.targets.remove(number)),
            _ => {}
        }
        None
    }

    /// The tables of kinds have at most one value for each inode, so they are never full.
    fn record(&mut self, inode: Inode, links: u32, directory: u32) -> Record {
        let (form, first, second) = match inode.kind {
            Kind::Directory => (Form::Directory, directory.into(), 0),
            Kind::Regular(Content { data, len }) => match data {
                Data::Hole => (Form::Hole, len, 0),
                Data::Source { source, index } => (Form::Source(source), len, index),
                data @ (Data::Inline(_) | Data::Sparse { .. }) => {
                    let number = self.contents.insert(Content { data, len });
                    (Form::Content, number.into(), 0)
                }
            },
            Kind::Symlink(target) => (Form::Symlink, self.targets.insert(target).into(), 0),
            Kind::CharDevice { major, minor } => (Form::CharDevice, major.into(), minor.into()),
            Kind::BlockDevice { major, minor } => (Form::BlockDevice, major.into(), minor.into()),
            Kind::Fifo => (Form::Fifo, 0, 0),
            Kind::Socket => (Form::Socket, 0, 0),
        };
        let Metadata {
            mode,
            uid,
            gid,
            mtime,
        } = inode.metadata;
        let numbers: [u64; 3] = [mtime.cast_unsigned(), first, second];
        let class = self.classes.intern(Class {
            form,
            mode,
            uid,
            gid,
            links,
            high: numbers.map(|number| (number >> 32) as u32),
            xattrs: inode.xattrs,
        });
        Record {
            class,
            low: numbers.map(|number| number as u32),
        }
    }
}

#[cfg(test)]
impl Inodes {
    /// Lengths of the tables of kinds, and of the classes.
    pub(super) fn table_lens(&self) -> [usize; 4] {
        [
            self.directories.len(),
            self.targets.len(),
            self.contents.len(),
            self.classes.len(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_takes_sixteen_bytes() {
        assert_eq!(size_of::<Option<Record>>(), 16);
    }
}
