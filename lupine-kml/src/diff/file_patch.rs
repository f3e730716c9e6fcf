//! What a patch does to one file.

use super::error::HeaderProblem;
use super::hunk::Hunk;
use super::path::Name;

/// The change of one file: its headers and hunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePatch<'a> {
    /// Line of the first header in the patch, from 1.
    pub line: usize,
    /// What happens to the file, and the names it goes by.
    pub action: Action<'a>,
    /// The mode before, where the patch states it.
    pub old_mode: Option<Mode>,
    /// The mode after, where the patch states it.
    pub new_mode: Option<Mode>,
    /// The hunks, in order.
    pub hunks: Vec<Hunk<'a>>,
    /// Whether the `@@` lines end in CR LF: the whole patch went through something that changed
    /// its line ends.
    pub crlf: bool,
    /// Whether text (a mail header, a commit message) stands before this file: a new step, which
    /// sees what earlier steps did. Within one step, renames and copies read the files as they
    /// were at its start, as in one commit.
    pub starts_step: bool,
}

/// What happens to a file. Names are not yet stripped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// A plain diff of an existing file, known by one of several names.
    Modify {
        /// Candidates: old, new, `Index:`; at least one.
        names: Vec<Name<'a>>,
    },
    /// A file that was not there.
    Create {
        /// Its name.
        name: Name<'a>,
    },
    /// A file that goes.
    Delete {
        /// Its name.
        name: Name<'a>,
    },
    /// A file under a new name.
    Rename {
        /// The name before.
        from: Name<'a>,
        /// The name after.
        to: Name<'a>,
    },
    /// A file that starts as another's content.
    Copy {
        /// The file copied.
        from: Name<'a>,
        /// The new file.
        to: Name<'a>,
    },
}

/// A file mode as git records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `100644` and its kin: a regular file nobody executes.
    Regular,
    /// `100755` and its kin: a regular file whose owner may execute it.
    Executable,
    /// `120000`: a symbolic link; its content is the target.
    Symlink,
}

impl Mode {
    /// Reads an octal `st_mode`; only regular files and symbolic links are known.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > 7 {
            return None;
        }
        let bits = text.iter().try_fold(0u32, |n, &d| match d {
            b'0'..=b'7' => Some(n * 8 + u32::from(d - b'0')),
            _ => None,
        })?;
        match bits & 0o170_000 {
            0o100_000 if bits & 0o100 != 0 => Some(Self::Executable),
            0o100_000 => Some(Self::Regular),
            0o120_000 => Some(Self::Symlink),
            _ => None,
        }
    }
}

impl FilePatch<'_> {
    /// Checks what the actions promise about the hunks.
    pub(super) fn check(&self) -> Result<(), HeaderProblem> {
        match self.action {
            Action::Create { .. } if self.hunks.iter().any(|h| h.old.count != 0) => {
                Err(HeaderProblem::NewWithOldLines)
            }
            Action::Delete { .. } if self.hunks.iter().any(|h| h.new.count != 0) => {
                Err(HeaderProblem::DeletedWithNewLines)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert_eq!(Mode::parse(b"100644"), Some(Mode::Regular));
        assert_eq!(Mode::parse(b"100775"), Some(Mode::Executable));
        assert_eq!(Mode::parse(b"120000"), Some(Mode::Symlink));
        for bad in [
            &b"160000"[..],
            b"040000",
            b"644",
            b"",
            b"10064x",
            b"77777777777",
        ] {
            assert_eq!(Mode::parse(bad), None);
        }
    }
}
