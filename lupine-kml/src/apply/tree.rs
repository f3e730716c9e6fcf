//! A tree of files as the planner sees it.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::diff::TreePath;

/// A tree that can be asked for files. Planning only reads; what is to be written is a value.
pub trait FileTree {
    /// What stands at a path. A path below a file is [`Node::Absent`].
    ///
    /// # Errors
    /// [`TreeError`], where the tree cannot say or must not be asked.
    fn node(&self, path: &TreePath) -> Result<Node, TreeError>;
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Nothing.
    Absent,
    /// A directory.
    Directory,
    /// A regular file or a symbolic link.
    File(Entry),
}

/// A regular file or a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which of the two, with the permissions.
    pub kind: EntryKind,
    /// The content, or the target of the link.
    pub content: Vec<u8>,
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    Regular {
        /// The permission bits, 0 to 0o7777.
        mode: u32,
    },
    /// A symbolic link.
    Symlink,
}

/// Why a tree cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A component of the path is a symbolic link; it could lead out of the tree.
    #[error("`{path}`: `{link}` is a symbolic link, and no path of a patch goes through one")]
    SymlinkInPath {
        /// The path asked for.
        path: TreePath,
        /// The component.
        link: TreePath,
    },
    /// Neither file, directory nor symbolic link.
    #[error("`{path}` is a device, pipe or socket")]
    Special {
        /// The path asked for.
        path: TreePath,
    },
    /// The system refuses.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried: a verb in its plain form.
        doing: &'static str,
        /// On which path.
        path: TreePath,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The root of the tree, or our own directory in it, cannot be used.
    #[error("cannot {doing} `{}`", .path.display())]
    Root {
        /// What was tried.
        doing: &'static str,
        /// The path.
        path: std::path::PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl Entry {
    /// A regular file with mode 0o644.
    pub fn file(content: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: EntryKind::Regular { mode: 0o644 },
            content: content.into(),
        }
    }

    /// What tells one state of a file from another, as a [`Record`](super::Record) holds it.
    pub fn digest(&self) -> String {
        super::digest::of_entry(self)
    }
}

/// A tree in memory: files by path, directories by implication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryTree {
    /// The files.
    pub files: BTreeMap<TreePath, Entry>,
}

impl MemoryTree {
    /// Puts every changed file in its new state.
    pub fn write(&mut self, changes: &[super::Change]) {
        for change in changes {
            match &change.after {
                Some(entry) => self.files.insert(change.path.clone(), entry.clone()),
                None => self.files.remove(&change.path),
            };
        }
    }
}

impl FileTree for MemoryTree {
    fn node(&self, path: &TreePath) -> Result<Node, TreeError> {
        if let Some(entry) = self.files.get(path) {
            return Ok(Node::File(entry.clone()));
        }
        let mut ancestor = path.parent();
        while let Some(directory) = ancestor {
            if self
                .files
                .get(&directory)
                .is_some_and(|e| e.kind == EntryKind::Symlink)
            {
                return Err(TreeError::SymlinkInPath {
                    path: path.clone(),
                    link: directory,
                });
            }
            ancestor = directory.parent();
        }
        let below = |file: &TreePath| {
            file.as_bytes()
                .strip_prefix(path.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        // Paths below `path` sort after it, though `path-x` may stand between.
        let directory = self.files.range(path.clone()..).map(|(file, _)| file);
        let mut near = directory.take_while(|file| file.as_bytes().starts_with(path.as_bytes()));
        Ok(if near.any(below) {
            Node::Directory
        } else {
            Node::Absent
        })
    }
}
