//! Where the blocks of files are: what is needed of a layout until all contents are there.

use std::collections::HashMap;

use super::block_map::{FileMap, Shape};
use super::geometry::Geometry;
use crate::content::Content;
use crate::tree::{FileTree, InodeId};

/// The places of all files of a tree.
#[derive(Debug)]
pub(crate) struct Places<'t> {
    pub(crate) tree: &'t FileTree,
    pub(crate) geometry: Geometry,
    pub(crate) shape: Shape,
    /// First places by [`InodeId::index`], of files that have blocks: where many have none, the
    /// kernel gives no memory for them.
    starts: Vec<u32>,
    /// Maps of files with holes.
    sparse: HashMap<InodeId, FileMap>,
}

impl<'t> Places<'t> {
    /// No file has a place.
    pub(crate) fn new(tree: &'t FileTree, geometry: Geometry, shape: Shape) -> Self {
        Self {
            tree,
            geometry,
            shape,
            starts: vec![0; tree.inode_bound()],
            sparse: HashMap::new(),
        }
    }

    /// Bytes of a block.
    pub(crate) fn block(&self) -> usize {
        self.shape.block as usize
    }

    /// The first place of a file's blocks.
    pub(crate) fn start(&self, id: InodeId) -> u64 {
        u64::from(self.starts[id.index()])
    }

    pub(crate) fn set_start(&mut self, id: InodeId, start: u32) {
        self.starts[id.index()] = start;
    }

    /// Keeps the map of a file with holes, which takes long to make.
    pub(crate) fn keep_map(&mut self, id: InodeId, map: FileMap) {
        self.sparse.insert(id, map);
    }

    /// Gives the block map of a regular file to `with`, without copying large ones.
    pub(crate) fn with_content_map<T>(
        &self,
        id: InodeId,
        content: &Content,
        with: impl FnOnce(&FileMap) -> T,
    ) -> T {
        match self.sparse.get(&id) {
            Some(map) => with(map),
            None => with(&FileMap::of_content(self.shape, content)),
        }
    }
}
