//! Container images to ext2 root file systems.

mod archive;
pub mod config;
pub mod content;
pub mod ext2;
pub mod extract;
pub mod inode;
pub mod path;
pub mod progress;
pub mod source;
pub mod tree;
mod tree_read;

pub use config::{ImageConfig, Overrides, Process, ResolvedUser};
pub use content::{Content, ContentSink, ContentSource, DeliverError, Extent, Request, SourceId};
pub use extract::{ExtractError, ExtractOptions, Extracted, extract};
pub use inode::{Inode, Kind, Metadata, Xattrs};
pub use path::{PathError, TreePath};
pub use progress::{Progress, Stage};
pub use source::{Format, Image, Limits, OpenOptions, Platform, Report, SourceError};
pub use tree::{FileTree, InodeId, ReadError, TreeError};
