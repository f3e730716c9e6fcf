//! Container images to ext2 root file systems.
//!
//! A container image (OCI layout, docker archive, tar archive, directory) becomes a [`FileTree`] of
//! metadata, which can be edited, and the tree becomes an ext2 image that the kernel mounts and
//! `e2fsck` finds clean. No root privileges are needed, nothing is extracted on the way, and the
//! same input gives the same bytes.
//!
//! ```no_run
//! use lupine_rootfs::{Image, OpenOptions, ext2};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = Image::open("nginx.tar", &OpenOptions::default())?;
//! let (mut tree, _) = image.read(&mut ())?;
//! tree.add_file("sbin/init", std::fs::read("init")?, 0o755)?;
//! ext2::write_image(&tree, &ext2::Options::default(), "root.ext2".as_ref(), &mut ())?;
//! # Ok(())
//! # }
//! ```
//!
//! A tree can be built from nothing, too, and an image goes to anything that is written to:
//!
//! ```
//! use lupine_rootfs::{FileTree, ext2};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut tree = FileTree::new();
//! tree.add_file("etc/hostname", *b"lupine\n", 0o644)?;
//! tree.add_symlink("bin", "usr/bin")?;
//! let mut bytes = std::io::Cursor::new(Vec::new());
//! ext2::write_seek(&tree, &ext2::Options::default(), &mut bytes, &mut ())?;
//!
//! let image = ext2::Image::open(bytes.into_inner())?;
//! assert!(ext2::check(&image, &mut ())?.is_clean());
//! let again = ext2::read_tree(image)?;
//! let path = lupine_rootfs::TreePath::new("/etc/hostname")?;
//! let id = again.resolve(&path)?;
//! assert_eq!(again.read_file(id, 1 << 20)?, b"lupine\n");
//! # Ok(())
//! # }
//! ```
//!
//! Memory follows the number of files, not their bytes: contents are references ([`Content`]) that
//! their sources deliver straight to the final place in the image (see [`content`]).

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
