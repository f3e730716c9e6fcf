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
        if let Some(directory) = self.tree.inodes.directory(inode) {
            self.stack.push((directory.entries.iter(), self.path.len()));
        }
    }
}

impl FileTree {
    /// The inodes, directory by directory: the root, its files by name, then each of its
    /// subdirectories with all below it in the same way. A file comes once for each of its names.
    pub(crate) fn by_directory(&self) -> ByDirectory<'_> {
        ByDirectory {
            tree: self,
            files: None,
            open: vec![Self::ROOT],
            first_below: 0,
        }
    }
}

/// Iterator of [`FileTree::by_directory`].
#[derive(Debug)]
pub(crate) struct ByDirectory<'a> {
    tree: &'a FileTree,
    /// The rest of the directory's entries.
    files: Option<Iter<'a>>,
    /// Directories to come, the next one last; those of this directory in the order of their names.
    open: Vec<InodeId>,
    /// Where those of this directory begin.
    first_below: usize,
}

impl Iterator for ByDirectory<'_> {
    type Item = InodeId;

    fn next(&mut self) -> Option<Self::Item> {
        for (_, entry) in self.files.iter_mut().flatten() {
            if !self.tree.is_directory(entry.inode) {
                return Some(entry.inode);
            }
            self.open.push(entry.inode);
        }
        self.open[self.first_below..].reverse();
        let next = self.open.pop()?;
        self.first_below = self.open.len();
        let directory = self.tree.inodes.directory(next);
        self.files = directory.map(|directory| directory.entries.iter());
        Some(next)
    }
}
