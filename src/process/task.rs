//! A program to run: what, where, with which environment, for how long.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use super::cancel::Cancel;
use super::capture::Capture;
use super::child::{Child, Event};
use super::error::{CommandLine, ProcessError};
use super::spawn;

/// How much of each stream is kept unless the caller says otherwise, in bytes.
const DEFAULT_LIMIT: usize = 16 << 20;

/// The longest line handed to a line callback in one piece, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// Which of its two outputs a program wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error output.
    Stderr,
}

type OnLine<'a> = Box<dyn FnMut(Stream, &[u8]) + 'a>;

/// A program to run, described before it starts.
#[must_use]
pub struct Task<'a> {
    command: CommandLine,
    env: Vec<(OsString, Option<OsString>)>,
    env_clear: bool,
    limit: Option<Duration>,
    keep: usize,
    tied: bool,
    input: Vec<u8>,
    on_line: Option<OnLine<'a>>,
}

/// What a finished program left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What was run.
    pub command: CommandLine,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, within the bound of [`Task::keep_output`].
    pub stdout: Vec<u8>,
    /// Its standard error output, within the same bound.
    pub stderr: Vec<u8>,
    /// How many bytes of the two were left out to stay within the bound.
    pub left_out: u64,
    tail: String,
}

impl Output {
    /// Turns every status but success into an error.
    ///
    /// # Errors
    /// [`ProcessError::Failed`] with the end of the output.
    pub fn check(self) -> Result<Self, ProcessError> {
        if self.status.success() {
            return Ok(self);
        }
        Err(ProcessError::Failed {
            command: self.command,
            status: self.status,
            tail: self.tail,
        })
    }
}

impl<'a> Task<'a> {
    /// A program, by name (looked up in `PATH`) or by path, without arguments, in this process's
    /// directory and environment, with an empty standard input and no time limit.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            command: CommandLine {
                program: program.into(),
                args: Vec::new(),
                dir: None,
            },
            env: Vec::new(),
            env_clear: false,
            limit: None,
            keep: DEFAULT_LIMIT,
            tied: true,
            input: Vec::new(),
            on_line: None,
        }
    }

    /// Appends one argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.command.args.push(arg.into());
        self
    }

    /// Appends arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Removes one environment variable.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// Starts from an empty environment instead of this process's. The program is still looked up
    /// in this process's `PATH`.
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.command.dir = Some(dir.into());
        self
    }

    /// Ends the program's process group once this time has passed.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Keeps at most this many bytes of each stream: half from its beginning, half from its end,
    /// with a line between them that says how many are missing. 16 MiB unless set.
    pub fn keep_output(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// Gives the program these bytes as its standard input.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Whether the kernel kills the program when this process dies (`true` unless set). It costs
    /// one more `exec`, which very short programs started by the thousand may want to save.
    pub fn tied(mut self, tied: bool) -> Self {
        self.tied = tied;
        self
    }

    /// Calls `f` with every line of output, without its line break, as it arrives. A line longer
    /// than 64 KiB arrives in pieces.
    pub fn on_line(mut self, f: impl FnMut(Stream, &[u8]) + 'a) -> Self {
        self.on_line = Some(Box::new(f));
        self
    }

    /// What will run.
    pub fn command(&self) -> &CommandLine {
        &self.command
    }

    /// Runs the program to its end. Any status is a result; see [`Output::check`].
    ///
    /// # Errors
    /// It cannot be found or started, passes its time limit, or is cancelled.
    pub fn run(mut self, cancel: &Cancel) -> Result<Output, ProcessError> {
        let mut on_line = self.on_line.take();
        let keep = self.keep;
        let mut child = self.spawn(cancel)?;
        child.close_input();
        let mut outputs = [Capture::new(keep), Capture::new(keep)];
        let mut lines = [Vec::new(), Vec::new()];
        let status = loop {
            match child.next_event(Duration::from_secs(3600))? {
                Event::Output(stream, bytes) => {
                    outputs[stream as usize].push(&bytes);
                    if let Some(on_line) = &mut on_line {
                        feed(&mut lines[stream as usize], &bytes, |line| {
                            on_line(stream, line);
                        });
                    }
                }
                Event::Exited(status) => break status,
                Event::Idle => {}
            }
        };
        if let Some(on_line) = &mut on_line {
            for (stream, rest) in [Stream::Stdout, Stream::Stderr].into_iter().zip(&lines) {
                if !rest.is_empty() {
                    on_line(stream, rest);
                }
            }
        }
        let [stdout, stderr] = outputs;
        Ok(Output {
            command: child.command().clone(),
            status,
            left_out: stdout.dropped() + stderr.dropped(),
            stdout: stdout.into_bytes(),
            stderr: stderr.into_bytes(),
            tail: child.tail(),
        })
    }

    /// Runs the program to its end and accepts success only.
    ///
    /// # Errors
    /// As [`Task::run`], or it ended with another status.
    pub fn run_checked(self, cancel: &Cancel) -> Result<Output, ProcessError> {
        self.run(cancel)?.check()
    }

    /// Starts the program and leaves it running, its three streams piped to the [`Child`]. A line
    /// callback is not used.
    ///
    /// # Errors
    /// It cannot be found or started, or the token is set already.
    pub fn spawn(self, cancel: &Cancel) -> Result<Child, ProcessError> {
        cancel.check()?;
        let Self {
            command: line,
            env,
            env_clear,
            limit,
            tied,
            input,
            ..
        } = self;
        let path = spawn::find_program(&line.program)
            .and_then(|path| std::path::absolute(path).ok())
            .ok_or_else(|| ProcessError::NotFound {
                program: line.program.clone(),
            })?;
        let mut command = spawn::command(&path, &line.args, tied);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if env_clear {
            command.env_clear();
        }
        for (name, value) in env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &line.dir {
            command.current_dir(dir);
        }
        tracing::debug!(command = %line, "starting");
        let inner = spawn::spawn(command).map_err(|source| ProcessError::Spawn {
            command: line.clone(),
            source,
        })?;
        let mut child = Child::new(line, inner, cancel, limit)?;
        child.send(&input);
        Ok(child)
    }
}

impl fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task")
            .field(&self.command.to_string())
            .finish()
    }
}

/// Cuts `bytes` into lines; `rest` carries the unfinished one from call to call.
fn feed(rest: &mut Vec<u8>, bytes: &[u8], mut on_line: impl FnMut(&[u8])) {
    for piece in bytes.split_inclusive(|&b| b == b'\n') {
        rest.extend_from_slice(piece);
        if rest.last() == Some(&b'\n') {
            on_line(&rest[..rest.len() - 1]);
            rest.clear();
        }
        while rest.len() >= LONGEST_LINE {
            on_line(&rest[..LONGEST_LINE]);
            rest.drain(..LONGEST_LINE);
        }
    }
}
