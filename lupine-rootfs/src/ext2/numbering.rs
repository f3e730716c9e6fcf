//! Inode numbers: a directory, its files by name, then each subdirectory with all below it.

use super::error::WriteError;
use super::geometry::FIRST_INODE;
use super::layout::{LOST_AND_FOUND, ROOT};
use crate::tree::{ByDirectory, FileTree, InodeId};

/// The inode numbers of a tree's files.
#[derive(Debug)]
pub(crate) struct Numbering {
    /// By [`InodeId::index`].
    numbers: Vec<u32>,
    /// The `lost+found` of the tree.
    lost_and_found: Option<InodeId>,
    /// One more than the largest number.
    bound: u32,
}

impl Numbering {
    pub(crate) fn new(tree: &FileTree) -> Result<Self, WriteError> {
        let mut numbers = vec![0; tree.inode_bound()];
        numbers[FileTree::ROOT.index()] = ROOT;
        let lost_and_found = tree.child(FileTree::ROOT, LOST_AND_FOUND);
        if let Some(id) = lost_and_found {
            if !tree.is_directory(id) {
                let found = tree.inode(id).kind.noun();
                return Err(WriteError::LostAndFound { found });
            }
            numbers[id.index()] = FIRST_INODE;
        }
        let mut bound: u32 = FIRST_INODE + 1;
        for id in tree.by_directory() {
            let number = &mut numbers[id.index()];
            if *number == 0 {
                *number = bound;
                bound = bound.checked_add(1).ok_or(WriteError::TooLarge)?;
            }
        }
        Ok(Self {
            numbers,
            lost_and_found,
            bound,
        })
    }

    /// The number of a file.
    pub(crate) fn number(&self, id: InodeId) -> u32 {
        self.numbers[id.index()]
    }

    /// Whether the tree has a `lost+found`.
    pub(crate) fn has_lost_and_found(&self) -> bool {
        self.lost_and_found.is_some()
    }

    /// One more than the largest number.
    pub(crate) fn bound(&self) -> u32 {
        self.bound
    }

    /// The files with their numbers, ascending; `None` is a `lost+found` that the tree has not.
    pub(crate) fn files(&self, tree: &FileTree) -> impl Iterator<Item = (u32, Option<InodeId>)> {
        let mut order = InOrder::new(tree);
        std::iter::from_fn(move || order.next(self))
    }
}

/// Goes through the files in the order of their numbers. The tree has this order: a table of files
/// by number would take memory for each.
#[derive(Debug)]
pub(crate) struct InOrder<'t> {
    files: ByDirectory<'t>,
    next: u32,
}

impl<'t> InOrder<'t> {
    pub(crate) fn new(tree: &'t FileTree) -> Self {
        Self {
            files: tree.by_directory(),
            next: ROOT,
        }
    }

    /// As [`Numbering::files`].
    pub(crate) fn next(&mut self, numbering: &Numbering) -> Option<(u32, Option<InodeId>)> {
        let number = self.next;
        let file = match number {
            ROOT => Some(FileTree::ROOT),
            FIRST_INODE => numbering.lost_and_found,
            // Further names of files that were met before are passed over.
            _ => Some(self.files.find(|&id| numbering.number(id) == number)?),
        };
        self.next = match number {
            ROOT => FIRST_INODE,
            _ => number + 1,
        };
        Some((number, file))
    }
}
