//! Walks over a tree.

use super::entries::Iter;
use super::{FileTree, InodeId};
use crate::path::TreePath;

/// The rest of a directory's entries, and the length of its path.
type OpenDirectory<'a> = (Iter<'a>, usize);

impl FileTree {
    /// Every entry, parents before children, siblings in the order of their name bytes; the root
    /// first, with the empty path. A file with several names comes once for each.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            tree: self,
            stack: Vec::new(),
            path: Vec::new(),
            started: false,
        }
    }
}

/// Iterator of [`FileTree::walk`].
#[derive(Debug)]
pub struct Walk<'a> {
    tree: &'a FileTree,
    /// Open directories: the rest of their entries, and the length of their path.
    stack: Vec<OpenDirectory<'a>>,
    path: Vec<u8>,
    started: bool,
}

impl Iterator for Walk<'_> {
    type Item = (TreePath, InodeId);

    fn next(&mut self) -> Option<Self::Item> {
        if !self.started {
            self.started = true;
            self.open(FileTree::ROOT);
            return Some((TreePath::root(), FileTree::ROOT));
        }
        loop {
            let (entries, len) = self.stack.last_mut()?;
            let Some((name, entry)) = entries.next() else {
                self.stack.pop();
                continue;
            };
            self.path.truncate(*len);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            self.open(entry.inode);
            return Some((TreePath::from_clean(self.path.clone()), entry.inode));
        }
    }
}

impl Walk<'_> {
    fn open(&mut self, inode: InodeId) {
        if let Some(directory) = &self.tree.slot(inode).directory {
            self.stack.push((directory.entries.iter(), self.path.len()));
        }
    }
}
