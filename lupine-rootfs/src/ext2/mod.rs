//! The ext2 file system: written from a [`FileTree`](crate::FileTree), and read back.
//!
//! One file per noun of the on-disk format: [`superblock`], [`group`] descriptors, [`disk_inode`],
//! directory records, the directory index ([`htree`]), [`xattr`] blocks, block maps. The writer
//! sets the features `ext_attr`, `dir_index`, `filetype`, `sparse_super` and `large_file`, all of
//! which the kernel's ext2 driver mounts for writing. `docs/ext2.md` of the repository says what is
//! chosen where the format leaves a choice.
//!
//! Images of any origin are read, and checked:
//!
//! ```no_run
//! use lupine_rootfs::{TreePath, ext2};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = ext2::Image::open(std::fs::File::open("root.ext2")?)?;
//! let (number, inode) = image.lookup(&TreePath::new("/etc/os-release")?, true)?;
//! println!("{}", String::from_utf8_lossy(&image.content(number, &inode, 1 << 20)?));
//! for problem in ext2::check(&image, &mut ())?.first {
//!     println!("{problem}");
//! }
//! # Ok(())
//! # }
//! ```

mod arrivals;
mod block_map;
mod bytes;
mod check;
mod directory;
pub mod disk_inode;
mod error;
mod geometry;
pub mod group;
pub mod htree;
mod image;
mod image_tree;
mod joined;
mod layout;
mod numbering;
mod options;
mod output;
mod places;
mod sink;
pub mod superblock;
mod writer;
pub mod xattr;

pub use check::{CheckError, Problem, Problems, check};
pub use error::{Diagnostic, Diagnostics, WriteError};
pub use image::{DirectoryEntry, Image, ImageError, ReadAt};
pub use image_tree::{ImageTreeError, read_tree};
pub use options::{BlockSize, BlockSizeError, Options, Size};
pub use writer::{Report, write_image, write_seek, write_stream};
