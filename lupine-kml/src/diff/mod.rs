//! Unified diffs, plain and git's, read as bytes.
//!
//! [`Patch::parse`] borrows from its input and copies nothing but quoted names: a hunk is checked
//! once against its header's counts and its lines are handed out on demand. Text around the diffs
//! (mail headers, commit messages, the signature that `git format-patch` adds) is skipped.
//! [`parse_series`] reads the list of a patch stack.
//!
//! What is refused, because guessing would do harm:
//!
//! - binary changes, context diffs, combined diffs of merges;
//! - hunks whose lines and counts differ, or that end early. GNU patch supplies up to two blank
//!   lines it takes for lost, and takes a line that starts with a TAB for a context line whose
//!   space was eaten; git refuses both, and so do we. An empty line is an empty context line for
//!   all three;
//! - a hunk without file headers. GNU patch asks for a file name; git refuses, and so do we.
//! - a patch whose last line lacks its newline: it was cut short, as GNU patch and git hold.

mod error;
mod file_patch;
mod hunk;
mod parse;
mod path;
mod series;
mod text;

pub use error::{HeaderProblem, ParseError, SeriesError};
pub use file_patch::{Action, FilePatch, Mode};
pub use hunk::{Hunk, Line, LineKind, Lines, Range};
pub use path::{Name, PathError, STATE_DIR, TreePath};
pub use series::{SeriesEntry, parse_series};
pub use text::Text;

/// Every change of one patch file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch<'a> {
    /// One entry per diff; a file may have several.
    pub files: Vec<FilePatch<'a>>,
}

impl<'a> Patch<'a> {
    /// Reads a patch file: one diff or many, with any text around them.
    ///
    /// # Errors
    /// [`ParseError`] with the line, for damaged diffs and for what the [module](self) refuses.
    ///
    /// ```
    /// use lupine_kml::diff::{LineKind, Patch};
    ///
    /// let patch = Patch::parse(b"\
    /// --- a/greeting
    /// +++ b/greeting
    /// @@ -1,2 +1,2 @@
    ///  hello
    /// -wrold
    /// +world
    /// ")?;
    /// let hunk = &patch.files[0].hunks[0];
    /// let added: Vec<_> = hunk.lines().filter(|l| l.kind == LineKind::Added).map(|l| l.text).collect();
    /// assert_eq!(added, [b"world"]);
    /// # Ok::<(), lupine_kml::diff::ParseError>(())
    /// ```
    pub fn parse(input: &'a [u8]) -> Result<Self, ParseError> {
        parse::patch(input)
    }
}

#[cfg(test)]
mod tests;
