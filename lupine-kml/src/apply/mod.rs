//! Applies patches: in memory, and to a directory, all or nothing.
//!
//! [`plan`] works out the whole result against any [`FileTree`]; [`patch_directory`] does the
//! same for a directory and writes it through a journal, so that after a crash or power loss the
//! tree is as it was, or can be finished with [`resume`] or taken back with [`revert`].
//!
//! # Where GNU patch and git apply differ
//!
//! Both are the reference; where they disagree one of them is followed, or the stricter:
//!
//! | | GNU patch 2.7 | git apply 2.47 | here |
//! |---|---|---|---|
//! | a file is rejected | others are written, `.rej` beside | nothing is written | nothing is written |
//! | search starts at | old line + offset of the hunk before | new line | as GNU patch |
//! | hunk that claims line 1, or has no context after | may move if its contexts are equally long | must be at the start, or the end | as GNU patch |
//! | hunks of one file share context lines | yes | no | as GNU patch |
//! | hunks out of order | refused | accepted | refused |
//! | fuzz | 0 to 2 by default | none | none by default, any on request |
//! | lines that fuzz lets land behind a last line without newline | the first is joined to it | no fuzz | the line is ended first |
//! | no context at all (`diff -U0`) | accepted; past the end, appended | only at the end, without `--unidiff-zero` | accepted; past the end, refused |
//! | created file exists but is empty | overwritten | refused | refused |
//! | deleted file has more content | emptied of what the patch names | refused | refused |
//! | renames and copies read | the file as of then | the file before the patch | the file at the start of its step (see [`FilePatch::starts_step`]) |
//! | `@@` lines end in CR LF | carriage returns stripped | kept | kept if the file's lines end so, else stripped |
//! | `-R` with several steps | first to last | last to first | last to first |
//! | reverse of a copy | leaves it | refused | deletes it if it is what the copy made |
//! | path with `..`, absolute | refused | refused | refused |
//! | path through a symbolic link inside the tree | followed | refused | refused |
//! | path in `.git` | accepted | refused | refused |
//! | symbolic link out of the tree | created | created | refused |
//! | git's binary patches | refused | applied | refused |
//!
//! [`FilePatch::starts_step`]: crate::diff::FilePatch::starts_step

mod digest;
mod directory;
mod journal;
mod locate;
mod plan;
mod record;
mod report;
mod series;
mod splice;
mod transaction;
mod tree;

use thiserror::Error;

use crate::diff::{PathError, Text};

pub use directory::DirectoryTree;
pub use journal::JournalError;
pub(crate) use journal::record as record_of;
pub(crate) use plan::one_way;
pub use plan::{Change, Options, Plan, plan, plan_parsed};
pub use record::{Record, RecordedFile, RecordedPatch};
pub use report::{
    FileAction, FileProblem, FileReport, HunkReport, HunkResult, Outcome, PatchReport, Report,
};
pub use series::{LoadError, Series, SeriesPatch};
pub use transaction::{Mode, is_interrupted, patch_directory, resume, revert};
pub use tree::{Entry, EntryKind, FileTree, MemoryTree, Node, TreeError};

/// Why a series cannot be applied or even tried.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A patch or series cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A patch names a path outside the tree.
    #[error("patch `{patch}`, line {line}")]
    Path {
        /// The patch.
        patch: Text,
        /// Line of the file's first header.
        line: usize,
        /// What is wrong with the name.
        source: PathError,
    },
    /// The tree cannot be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Writing failed, or what was interrupted cannot be ended.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A check of a tree in the middle of an application.
    #[error("an application to `{}` was interrupted; resume or revert it first", .root.display())]
    Pending {
        /// The tree.
        root: std::path::PathBuf,
    },
}
