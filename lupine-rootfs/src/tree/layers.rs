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
            let Some(found) = &mut self.slot_mut(at).directory else {
                continue;
            };
            if found.opaque_in == Some(layer) {
                continue;
            }
            if !children_done {
                let children: Vec<InodeId> = found.entries.iter().map(|(_, e)| e.inode).collect();
                open.push((at, true));
                open.extend(children.into_iter().map(|child| (child, false)));
                continue;
            }
            let lower: Vec<(Box<[u8]>, InodeId)> = found
                .entries
                .iter()
                .filter(|(_, entry)| entry.layer < layer)
                .map(|(name, entry)| (name.into(), entry.inode))
                .collect();
            found.opaque_in = Some(layer);
            for (name, inode) in lower {
                // A directory that now holds entries of this layer only stays as their parent.
                if self.child_count(inode) == 0 {
                    self.unlink(at, &name);
                }
            }
        }
    }

    fn entry_layer(&self, directory: InodeId, name: &[u8]) -> u32 {
        let entries = self
            .slot(directory)
            .directory
            .as_ref()
            .map(|found| &found.entries);
        entries
            .and_then(|entries| entries.get(name))
            .map_or(0, |entry| entry.layer)
    }
}
