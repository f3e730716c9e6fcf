//! The files that were read, and texts cut out of them.

use std::sync::Arc;

/// Names a file of one [`Kconfig`](crate::Kconfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(crate) u32);

impl FileId {
    /// Position in [`Kconfig::files`](crate::Kconfig::files).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A Kconfig file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub(crate) name: Vec<u8>,
    pub(crate) bytes: Arc<[u8]>,
}

impl SourceFile {
    /// The name it was included by.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its contents.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A range of the text store of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) start: u32,
    pub(crate) end: u32,
}
