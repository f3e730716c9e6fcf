//! Why a patch or a series file cannot be read.

use thiserror::Error;

use super::text::Text;

/// A patch that cannot be read, with the line (from 1) at which reading stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Bytes that hold no unified diff at all.
    #[error(
        "no unified diff found in {lines} lines; expected `--- a/FILE`, `+++ b/FILE` and `@@` lines"
    )]
    NoDiff {
        /// Lines looked at.
        lines: usize,
    },
    /// A binary change, with or without its data.
    #[error(
        "line {line}: binary patch{}; only text can be applied, make the diff without this file",
        .name.as_ref().map(|n| format!(" of `{n}`")).unwrap_or_default()
    )]
    Binary {
        /// Line of the binary marker.
        line: usize,
        /// The file, where the patch names it.
        name: Option<Text>,
    },
    /// A context diff (`***************`).
    #[error("line {line}: this is a context diff; make it with `diff -u` or `git diff`")]
    ContextDiff {
        /// Line of the first `***`.
        line: usize,
    },
    /// A combined diff of a merge (`@@@`, `diff --cc`).
    #[error("line {line}: this is the combined diff of a merge; make it against one parent")]
    CombinedDiff {
        /// Line of the header.
        line: usize,
    },
    /// A hunk that belongs to no file.
    #[error("line {line}: hunk without a `---`/`+++` header before it")]
    HunkWithoutFile {
        /// Line of the `@@`.
        line: usize,
    },
    /// A `@@` line that does not follow `@@ -L[,N] +L[,N] @@`.
    #[error(
        "line {line}: malformed hunk header `{text}`; expected `@@ -LINE,COUNT +LINE,COUNT @@`"
    )]
    HunkHeader {
        /// Line of the `@@`.
        line: usize,
        /// What stands there.
        text: Text,
    },
    /// A line inside a hunk that starts with none of space, `+`, `-`, `\`.
    #[error(
        "line {line}: `{text}` inside the hunk that began at line {hunk}, which still lacks {old_left} old and {new_left} new lines; the patch is damaged or its counts are wrong"
    )]
    HunkLine {
        /// The line at fault.
        line: usize,
        /// Line of the hunk's `@@`.
        hunk: usize,
        /// Old lines still to come, by the header.
        old_left: u64,
        /// New lines still to come, by the header.
        new_left: u64,
        /// What stands there.
        text: Text,
    },
    /// The patch ends inside a hunk.
    #[error(
        "the patch ends inside the hunk that began at line {hunk}, before the end of a line that leaves {old_left} old and {new_left} new ones to come; it was cut short"
    )]
    Truncated {
        /// Line of the hunk's `@@`.
        hunk: usize,
        /// Old lines missing.
        old_left: u64,
        /// New lines missing.
        new_left: u64,
    },
    /// A hunk of context alone.
    #[error("line {line}: the hunk changes nothing; the patch is damaged")]
    NoChange {
        /// Line of the hunk's `@@`.
        line: usize,
    },
    /// Extended headers that contradict one another or name no file.
    #[error("line {line}: {problem}")]
    Header {
        /// Line of the file's first header.
        line: usize,
        /// What is wrong.
        problem: HeaderProblem,
    },
    /// A file mode that is not octal, or of a kind that no patch can carry.
    #[error("line {line}: file mode `{text}`; expected 100644, 100755 or 120000 (a symbolic link)")]
    Mode {
        /// Line of the mode.
        line: usize,
        /// What stands there.
        text: Text,
    },
    /// A quoted name that does not end, or has an unknown escape.
    #[error("line {line}: malformed quoted name `{text}`")]
    Quoting {
        /// Line of the name.
        line: usize,
        /// What stands there.
        text: Text,
    },
}

/// What is wrong with the headers of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderProblem {
    /// Neither `---`/`+++` nor the `diff --git` line give a usable name.
    #[error("the headers name no file")]
    NoName,
    /// `rename from` without `rename to`, or the reverse.
    #[error("a rename or copy needs both its `from` and its `to` line")]
    HalfRename,
    /// More than one of new, deleted, rename, copy.
    #[error("a file is new, deleted, renamed or copied, but only one of them")]
    Contradiction,
    /// Both names are `/dev/null`.
    #[error("both names are /dev/null")]
    BothNull,
    /// A new file whose hunks have old lines.
    #[error("the new file's hunks depend on old content")]
    NewWithOldLines,
    /// A deleted file whose hunks have new lines.
    #[error("the deleted file's hunks leave content")]
    DeletedWithNewLines,
}

/// A series file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SeriesError {
    /// An option other than `-pN` and `-R`.
    #[error("series line {line}: option `{option}` is not known; -pN and -R are")]
    Option {
        /// Line in the series file, from 1.
        line: usize,
        /// The option.
        option: Text,
    },
    /// A patch name that is absolute or leaves the series directory.
    #[error("series line {line}: patch name `{name}` leaves the series directory")]
    Name {
        /// Line in the series file, from 1.
        line: usize,
        /// The name.
        name: Text,
    },
}
