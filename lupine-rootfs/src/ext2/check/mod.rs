//! Finds what is wrong with an image, as `e2fsck -n` does, and changes nothing.
//!
//! Five passes, one module each where they are large: inodes and the blocks they claim, directories
//! and their records, connections from the root, link counts, bitmaps and totals. Damage never
//! stops the check; it stops only when the image cannot be read at all.

mod bitmap;
mod directories;
mod index;
mod inodes;
mod problem;
mod totals;

use std::collections::{BTreeMap, HashMap};

pub use problem::{Problem, Problems};

use self::bitmap::Bitmap;
use super::image::{Image, ImageError, ReadAt};
use crate::progress::{Progress, Stage};

use thiserror::Error;

/// Why an image was not checked to the end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Not an image that can be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// What is known about an inode after the first pass.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// `i_mode`; 0 when not in use.
    mode: u16,
    /// `i_links_count`.
    links: u16,
    /// Names found for it; `.` and `..` count.
    names: u32,
}

/// The state of a check.
struct Checker<'a, R> {
    image: &'a Image<R>,
    problems: Problems,
    /// Blocks that something claims.
    claimed: Bitmap,
    /// Inodes in use, by number.
    inodes: Vec<Known>,
    /// Directories: the parent that names them, and what their `..` says.
    directories: BTreeMap<u32, Family>,
    /// Attribute blocks: inodes that name them.
    xattr_blocks: HashMap<u32, u32>,
}

/// The ties of a directory.
#[derive(Debug, Clone, Copy, Default)]
struct Family {
    /// The directory that names it.
    parent: Option<u32>,
    /// What its `..` says.
    dot_dot: Option<u32>,
}

/// Checks an image.
///
/// # Errors
/// [`CheckError`] when the image cannot be read at all; damage is in the [`Problems`].
pub fn check<R: ReadAt>(
    image: &Image<R>,
    progress: &mut dyn Progress,
) -> Result<Problems, CheckError> {
    let superblock = image.superblock();
    let count = superblock.inodes_count;
    progress.start(Stage::Checking, u64::from(count));
    let mut checker = Checker {
        image,
        problems: Problems::default(),
        claimed: Bitmap::new(u64::from(superblock.blocks_count)),
        inodes: vec![Known::default(); count as usize + 1],
        directories: BTreeMap::new(),
        xattr_blocks: HashMap::new(),
    };
    if superblock.state & 1 == 0 || superblock.state & 2 != 0 {
        checker.problems.push(Problem::NotClean {
            state: superblock.state,
        });
    }
    checker.claim_metadata();
    for number in 1..=count {
        if number % 1024 == 0 {
            progress.advance(1024);
            if progress.cancelled() {
                return Err(CheckError::Cancelled);
            }
        }
        checker.check_inode(number)?;
    }
    checker.check_xattr_references()?;
    let found: Vec<u32> = checker.directories.keys().copied().collect();
    for directory in found {
        if progress.cancelled() {
            return Err(CheckError::Cancelled);
        }
        checker.check_directory(directory)?;
    }
    checker.check_connections();
    checker.check_links();
    checker.check_totals()?;
    Ok(checker.problems)
}
