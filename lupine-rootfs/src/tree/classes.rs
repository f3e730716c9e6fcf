//! What many inodes have in common, stored once.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;

use hashbrown::HashTable;

use super::slab::Slab;
use crate::content::SourceId;
use crate::inode::Xattrs;

/// The kind of a file, and where what belongs to it is: in the two values of its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// Number of the directory.
    Directory,
    /// Length of the hole.
    Hole,
    /// Length, and index at the source.
    Source(SourceId),
    /// Number of the content.
    Content,
    /// Number of the target.
    Symlink,
    /// Major and minor number.
    CharDevice,
    /// Major and minor number.
    BlockDevice,
    Fifo,
    Socket,
}

/// All that most inodes share with many others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Class {
    pub(super) form: Form,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Names that stand for the inode; a directory has one (the root: one, too).
    pub(super) links: u32,
    /// High halves of the inode's time and of its two values.
    pub(super) high: [u32; 3],
    pub(super) xattrs: Option<Arc<Xattrs>>,
}

/// Number of a class, from 1: so that a free slot for an inode takes no more than a taken one.
pub(super) type ClassId = NonZeroU32;

/// A class and how many inodes are of it.
#[derive(Debug)]
struct Shared {
    class: Class,
    inodes: u32,
}

/// The classes of a tree, each there once and as long as it has inodes.
#[derive(Debug, Default)]
pub(super) struct Classes {
    shared: Slab<Shared>,
    numbers: HashTable<u32>,
    hasher: RandomState,
    /// The class asked for last: neighbours are often alike.
    last: Option<ClassId>,
}

impl Classes {
    pub(super) fn get(&self, id: ClassId) -> &Class {
        &self.shared.get(id.get() - 1).class
    }

    /// The number of a class, which one more inode is of. There are never more classes than inodes,
    /// and these have 32-bit numbers.
    pub(super) fn intern(&mut self, class: Class) -> ClassId {
        if let Some(last) = self.last
            && *self.get(last) == class
        {
            self.shared.get_mut(last.get() - 1).inodes += 1;
            return last;
        }
        let Self {
            shared,
            numbers,
            hasher,
            ..
        } = self;
        let hash = hasher.hash_one(&class);
        let number = match numbers.find(hash, |&number| shared.get(number).class == class) {
            Some(&number) => number,
            None => {
                let number = shared.insert(Shared { class, inodes: 0 });
                numbers.insert_unique(hash, number, |&number| {
                    hasher.hash_one(&shared.get(number).class)
                });
                number
            }
        };
        shared.get_mut(number).inodes += 1;
        let id = ClassId::MIN.saturating_add(number);
        self.last = Some(id);
        id
    }

    /// Forgets an inode of a class, and the class if it was the last.
    pub(super) fn release(&mut self, id: ClassId) {
        let number = id.get() - 1;
        let shared = self.shared.get_mut(number);
        shared.inodes -= 1;
        if shared.inodes > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&shared.class);
        if let Ok(entry) = self.numbers.find_entry(hash, |&found| found == number) {
            entry.remove();
        }
        self.shared.remove(number);
        if self.last == Some(id) {
            self.last = None;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        debug_assert_eq!(self.shared.len(), self.numbers.len());
        self.shared.len()
    }
}
