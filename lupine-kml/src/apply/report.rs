//! What became of a patch, hunk by hunk.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::diff::{Text, TreePath};

/// The whole story of one application, forward or reverse, for a person or as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether the patches go on, or are there already, or fail.
    pub outcome: Outcome,
    /// Whether they were to be taken back.
    pub reverse: bool,
    /// Whether an interrupted application was found and finished first.
    pub resumed: bool,
    /// Every patch, in the order of application.
    pub patches: Vec<PatchReport>,
    /// Every file that changes, by path: the sum of all patches. Empty unless `outcome` is
    /// [`Outcome::Applies`].
    pub changed: Vec<TreePath>,
}

/// What a series of patches does to a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every hunk lands: the tree is, or under `check` would be, patched.
    Applies,
    /// The result of the patches is there already; nothing is changed.
    AlreadyApplied,
    /// At least one hunk or file is refused; nothing is changed.
    Rejected,
}

/// One patch of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchReport {
    /// The patch's name.
    pub name: Text,
    /// Its files, in order.
    pub files: Vec<FileReport>,
}

/// One file of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// The file, under its name after the change.
    pub path: TreePath,
    /// The file it was renamed or copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<TreePath>,
    /// What happens to it.
    pub action: FileAction,
    /// Line of its header in the patch, from 1.
    pub patch_line: usize,
    /// Why the file as a whole is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<FileProblem>,
    /// Its hunks, in order; empty if the file as a whole is refused.
    pub hunks: Vec<HunkReport>,
}

/// What happens to a file, in the direction of application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAction {
    /// Its content or mode changes.
    Modify,
    /// It comes into being.
    Create,
    /// It goes.
    Delete,
    /// It moves.
    Rename,
    /// It starts as a copy.
    Copy,
    /// The reverse of a copy: it goes, if it is what the copy made.
    Uncopy,
}

/// Why a file as a whole is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FileProblem {
    /// The file to change is not there.
    Missing,
    /// The file to create is there already.
    Exists,
    /// A directory stands in its place.
    Directory,
    /// A component of its path is a file, not a directory.
    BelowFile {
        /// That component.
        file: TreePath,
    },
    /// The file to delete holds more than the patch takes away, or the copy to take back
    /// differs from its source.
    ContentLeft,
    /// A regular file stands where the patch expects a symbolic link, or the reverse.
    OtherKind,
    /// The symbolic link would lead out of the tree.
    LinkLeavesTree {
        /// Its target.
        target: Text,
    },
}

/// One hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HunkReport {
    /// Its number within the file, from 1.
    pub number: usize,
    /// Line of its `@@` in the patch, from 1.
    pub patch_line: usize,
    /// What became of it.
    #[serde(flatten)]
    pub result: HunkResult,
}

/// What became of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum HunkResult {
    /// It has a place.
    Landed {
        /// Its first line in the file after the change, from 1; what GNU patch calls
        /// "succeeded at".
        line: u64,
        /// Lines between the place its header claims and the one found, counted in the file
        /// before the change.
        offset: i64,
        /// Outer context lines ignored, as `patch -F` counts.
        fuzz: usize,
    },
    /// It has none.
    Rejected {
        /// The line, from 1, of the place that resembles it most.
        line: u64,
        /// The lines it expects there, at most 64.
        expected: Vec<Text>,
        /// The lines that stand there; fewer at the end of the file.
        found: Vec<Text>,
        /// Index in `expected` of the first line that differs; where all that are shown agree,
        /// their number.
        first_difference: usize,
        /// The line, from 1, where its result stands already, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        applied_at: Option<u64>,
    },
}

impl FileReport {
    /// Whether the file and all its hunks go through.
    pub fn is_clean(&self) -> bool {
        self.problem.is_none()
            && self
                .hunks
                .iter()
                .all(|h| matches!(h.result, HunkResult::Landed { .. }))
    }
}

impl PatchReport {
    /// Whether every file goes through.
    pub fn is_clean(&self) -> bool {
        self.files.iter().all(FileReport::is_clean)
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such file in the tree"),
            Self::Exists => f.write_str("the patch creates it, but it exists"),
            Self::Directory => f.write_str("a directory stands in its place"),
            Self::BelowFile { file } => write!(f, "`{file}` is a file, not a directory"),
            Self::ContentLeft => f.write_str("it holds other content than the patch takes away"),
            Self::OtherKind => f.write_str("regular file and symbolic link mistaken"),
            Self::LinkLeavesTree { target } => {
                write!(f, "symbolic link to `{target}` would leave the tree")
            }
        }
    }
}

/// The report for a terminal: one line per file, and under it each hunk that moved or failed.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for patch in &self.patches {
            writeln!(f, "{}:", patch.name)?;
            for file in &patch.files {
                write!(f, "  {} {}", file.action.verb(), file.path)?;
                if let Some(from) = &file.from {
                    write!(f, " (from {from})")?;
                }
                match &file.problem {
                    Some(problem) => writeln!(f, ": refused: {problem}")?,
                    None => writeln!(f)?,
                }
                for hunk in &file.hunks {
                    write!(f, "{hunk}")?;
                }
            }
        }
        Ok(())
    }
}

impl FileAction {
    fn verb(self) -> &'static str {
        match self {
            Self::Modify => "modify",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Copy => "copy",
            Self::Uncopy => "delete the copy",
        }
    }
}

/// Nothing for a hunk in its stated place; a line for one that moved; a comparison for one
/// rejected.
impl fmt::Display for HunkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            HunkResult::Landed {
                offset: 0, fuzz: 0, ..
            } => Ok(()),
            HunkResult::Landed { line, offset, fuzz } => {
                writeln!(
                    f,
                    "    hunk {} at line {line}, offset {offset}, fuzz {fuzz}",
                    self.number
                )
            }
            HunkResult::Rejected {
                line,
                expected,
                found,
                first_difference,
                applied_at,
            } => {
                write!(
                    f,
                    "    hunk {} (patch line {}) rejected",
                    self.number, self.patch_line
                )?;
                match applied_at {
                    Some(at) => writeln!(f, "; its result stands at line {at} already")?,
                    None => writeln!(f, "; nearest place is line {line}")?,
                }
                for text in &expected[..*first_difference.min(&expected.len())] {
                    writeln!(f, "        | {text}")?;
                }
                match (
                    expected.get(*first_difference),
                    found.get(*first_difference),
                ) {
                    (None, _) => writeln!(
                        f,
                        "        all lines shown agree; the hunk does not end or begin where the file does"
                    ),
                    (Some(wanted), None) => {
                        writeln!(f, "        expected {wanted}\n        found    end of file")
                    }
                    (Some(wanted), Some(line)) => {
                        writeln!(f, "        expected {wanted}\n        found    {line}")
                    }
                }
            }
        }
    }
}
