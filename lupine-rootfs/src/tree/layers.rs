//! Layers: what a later layer hides of earlier ones.

use super::{FileTree, TreeError};
use crate::path::TreePath;
use crate::tree::InodeId;

impl FileTree {
    /// Starts a new layer: what is in the tree now is what whiteouts of that layer can hide.
    pub fn begin_layer(&mut self) {
        self.layer += 1;
    }

    /// Removes what earlier layers put at `path`, with all below it that is theirs; what the
    /// current layer put there stays. Links in parents are followed. Returns whether anything of
    /// that name was hidden.
    ///
    /// # Errors
    /// [`TreeError::Root`] for the root, [`TreeError::SymlinkLoop`].
    pub fn whiteout(&mut self, path: &TreePath) -> Result<bool, TreeError> {
        let Some((parent, name)) = self.existing(path)? else {
            return Ok(false);
        };
        let Some(inode) = self.child(parent, &name) else {
            return Ok(false);
        };
        self.prune(inode);
        let lower = self.entry_layer(parent, &name) < self.layer;
        if lower && self.child_count(inode) == 0 {
            self.unlink(parent, &name);
        }
        Ok(lower)
    }

    /// Empties the directory at `path` of what earlier layers put there; what the current layer
    /// put there stays. Links in parents are followed; nothing happens where no directory is.
    ///
    /// # Errors
    /// [`TreeError::SymlinkLoop`].
    pub fn make_opaque(&mut self, path: &TreePath) -> Result<(), TreeError> {
        if path.is_root() {
            self.prune(Self::ROOT);
            return Ok(());
        }
        let Some((parent, name)) = self.existing(path)? else {
            return Ok(());
        };
        if let Some(inode) = self.child(parent, &name) {
            self.prune(inode);
        }
        Ok(())
    }

    /// Removes what earlier layers put below a directory. Iterative, and each directory at most
    /// once per layer, so that repeated markers cost no more than the tree is large.
    fn prune(&mut self, directory: InodeId) {
        let layer = self.layer;
        let mut open = vec![(directory, false)];
        while let Some((at, children_done)) = open.pop() {
            let Some(found) = self.inodes.directory_mut(at) else {
                continue;
            };
            if found.opaque_in == Some(layer) {
                continue;
            }
            if !children_done {
                open.push((at, true));
                let children = self.children(at).map(|(_, child)| child);
                let below = children.filter(|&child| self.is_directory(child));
                open.extend(below.map(|child| (child, false)));
                continue;
            }
            found.opaque_in = Some(layer);
            let mut entries = std::mem::take(&mut found.entries);
            // A directory that now holds entries of this layer only stays as their parent.
            let hidden =
                entries.extract(|entry| entry.layer < layer && self.child_count(entry.inode) == 0);
            *self.entries_mut(at) = entries;
            for inode in hidden {
                self.forget(inode);
            }
        }
    }

    fn entry_layer(&self, directory: InodeId, name: &[u8]) -> u32 {
        self.inodes
            .directory(directory)
            .and_then(|found| found.entries.get(name))
            .map_or(0, |entry| entry.layer)
    }
}
