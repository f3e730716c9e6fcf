//! What `$(shell,command)` does.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// What a command printed. Its exit status has no meaning in Kconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShellOutput {
    /// Standard output, whole and unchanged; the macro language cuts and joins lines itself.
    pub stdout: Vec<u8>,
    /// Standard error, passed on to the user.
    pub stderr: Vec<u8>,
}

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The caller does not allow commands.
    #[error("running commands is refused")]
    Refused,
    /// The recorded answers hold none for this command.
    #[error("no recorded answer")]
    NotRecorded,
    /// The command could not be started or waited for.
    #[error("the command could not be run")]
    Io(#[from] std::io::Error),
}

/// Runs commands for the macro language, in the order it needs their answers.
pub trait Shell {
    /// Runs `command` as `sh -c` does and waits for it.
    ///
    /// # Errors
    ///
    /// When the command is refused, unknown to a recording, or cannot be started.
    fn run(&self, command: &[u8]) -> Result<ShellOutput, ShellError>;

    /// Whether [`Shell::prefetch`] does anything; loading then walks the tree ahead of the real
    /// walk, to announce commands: first the head of the tree (its assignments before any entry),
    /// then those in entries, whose answers nothing in the walk itself needs.
    fn prefetches(&self) -> bool {
        false
    }

    /// Announces a command that will most likely be run soon, so that it may be started early.
    fn prefetch(&self, command: &[u8]) {
        let _ = command;
    }
}

/// Refuses every command.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefuseShell;

impl Shell for RefuseShell {
    fn run(&self, _: &[u8]) -> Result<ShellOutput, ShellError> {
        Err(ShellError::Refused)
    }
}

/// Gives recorded answers, and none for other commands.
#[derive(Clone, Debug, Default)]
pub struct RecordedShell {
    answers: BTreeMap<Vec<u8>, ShellOutput>,
}

impl RecordedShell {
    /// No answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records what a command answers.
    pub fn insert(&mut self, command: impl Into<Vec<u8>>, output: ShellOutput) {
        self.answers.insert(command.into(), output);
    }
}

impl Shell for RecordedShell {
    fn run(&self, command: &[u8]) -> Result<ShellOutput, ShellError> {
        self.answers
            .get(command)
            .cloned()
            .ok_or(ShellError::NotRecorded)
    }
}

/// Passes commands on and keeps what they answered.
#[derive(Debug)]
pub struct RecordingShell<S> {
    inner: S,
    answers: Mutex<BTreeMap<Vec<u8>, ShellOutput>>,
}

impl<S: Shell> RecordingShell<S> {
    /// Records what `inner` answers.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            answers: Mutex::new(BTreeMap::new()),
        }
    }

    /// The commands run so far and their answers.
    pub fn into_answers(self) -> BTreeMap<Vec<u8>, ShellOutput> {
        self.answers
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<S: Shell> Shell for RecordingShell<S> {
    fn run(&self, command: &[u8]) -> Result<ShellOutput, ShellError> {
        let output = self.inner.run(command)?;
        self.answers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(command.to_vec(), output.clone());
        Ok(output)
    }

    fn prefetches(&self) -> bool {
        self.inner.prefetches()
    }

    fn prefetch(&self, command: &[u8]) {
        self.inner.prefetch(command);
    }
}
