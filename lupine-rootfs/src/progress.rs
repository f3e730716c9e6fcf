//! How long work reports: to a progress bar, a log, or nobody.
//!
//! ```
//! use std::time::Instant;
//!
//! use lupine_rootfs::{FileTree, Progress, Stage, ext2};
//!
//! /// Gives up at a time.
//! struct Until(Instant);
//!
//! impl Progress for Until {
//!     fn start(&mut self, stage: Stage, total: u64) {
//!         println!("{stage:?} of {total}");
//!     }
//!
//!     fn cancelled(&self) -> bool {
//!         Instant::now() > self.0
//!     }
//! }
//!
//! let mut past = Until(Instant::now());
//! let options = ext2::Options::default();
//! let written = ext2::write_seek(&FileTree::new(), &options, std::io::Cursor::new(vec![]), &mut past);
//! assert!(matches!(written, Err(ext2::WriteError::Cancelled)));
//! ```

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Reading the metadata of sources; counted in bytes of the source where known.
    Reading,
    /// Laying out the file system; counted in inodes.
    Layout,
    /// Writing metadata: inodes, directories, maps; counted in blocks.
    Metadata,
    /// Writing file data; counted in bytes.
    Data,
    /// Waiting for the disk.
    Sync,
    /// Checking or extracting an image; counted in inodes.
    Checking,
}

/// Hears about the progress of long work, and may stop it.
pub trait Progress: Send {
    /// A stage begins; `total` is its size in the stage's unit, 0 when unknown.
    fn start(&mut self, stage: Stage, total: u64) {
        let _ = (stage, total);
    }

    /// `amount` more of the current stage is done.
    fn advance(&mut self, amount: u64) {
        let _ = amount;
    }

    /// Whether the work should stop: it then ends with an error and leaves nothing behind.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Reports to nobody.
impl Progress for () {}
