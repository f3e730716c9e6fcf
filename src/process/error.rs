//! What can go wrong with a program, with all that is needed to run it again by hand.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::cancel::Cancelled;

/// A program, its arguments and its working directory. Displayed as a line for a POSIX shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program, as named by the caller.
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Its working directory, where it is not that of this process.
    pub dir: Option<PathBuf>,
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(dir) = &self.dir {
            write!(f, "cd {} && ", quoted(dir.as_os_str()))?;
        }
        f.write_str(&quoted(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

/// Why a program gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The program is not installed, or not in `PATH`.
    #[error("cannot find the program `{}`; `lupine doctor` says how to install it", .program.display())]
    NotFound {
        /// The program, as named by the caller.
        program: OsString,
    },
    /// The operating system refused to start it.
    #[error("cannot start `{command}`")]
    Spawn {
        /// What was to run.
        command: CommandLine,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading its output or writing its input failed.
    #[error("lost the connection to `{command}`")]
    Io {
        /// What was running.
        command: CommandLine,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended with a status other than success.
    #[error("`{command}` failed: {status}{}", Tail(tail))]
    Failed {
        /// What was run.
        command: CommandLine,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output and error output, as text.
        tail: String,
    },
    /// It ran past its time limit and was ended.
    #[error(
        "`{command}` was stopped after its time limit of {limit:?}{}",
        Tail(tail)
    )]
    TimedOut {
        /// What was run.
        command: CommandLine,
        /// The limit that passed.
        limit: Duration,
        /// The end of its output and error output, as text.
        tail: String,
    },
    /// The work was stopped on request; the program was ended.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The end of a program's output, on lines of its own after a message.
struct Tail<'a>(&'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; it printed nothing");
        }
        f.write_str("; its last output:")?;
        for line in self.0.lines() {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// Quotes a word for a POSIX shell where it needs quotes.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let command = CommandLine {
            program: "make".into(),
            args: vec!["-j2".into(), "A=b c".into(), "it's".into(), "".into()],
            dir: Some("/tmp/a b".into()),
        };
        assert_eq!(
            command.to_string(),
            r"cd '/tmp/a b' && make -j2 'A=b c' 'it'\''s' ''"
        );
    }
}
