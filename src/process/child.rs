//! A running program: its output as events, its input as a queue, its group ended with it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use super::cancel::Cancel;
use super::capture::Capture;
use super::error::{CommandLine, ProcessError};
use super::task::Stream;

/// How often a waiting thread looks at the cancel token and the time limit.
const STEP: Duration = Duration::from_millis(50);

/// How long a group has between `SIGTERM` and `SIGKILL`.
const GRACE: Duration = Duration::from_secs(2);

/// How long output is awaited after the program ended, from processes that inherited its pipes.
const DRAIN: Duration = Duration::from_millis(250);

/// How much of the output is kept for error messages, in bytes.
const TAIL: usize = 4096;

/// What a running program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It wrote these bytes.
    Output(Stream, Vec<u8>),
    /// It ended; every later event is this one.
    Exited(ExitStatus),
    /// Nothing happened in the time given.
    Idle,
}

/// A running program. Dropping it ends its process group.
#[derive(Debug)]
pub struct Child {
    command: CommandLine,
    inner: process::Child,
    pid: Pid,
    pidfd: Option<OwnedFd>,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    input: Vec<u8>,
    close_input: bool,
    cancel: Cancel,
    deadline: Option<(Instant, Duration)>,
    exited_at: Option<Instant>,
    status: Option<ExitStatus>,
    tail: Capture,
}

impl Child {
    pub(super) fn new(
        command: CommandLine,
        mut inner: process::Child,
        cancel: &Cancel,
        limit: Option<Duration>,
    ) -> Result<Self, ProcessError> {
        // A process id that this process just got from the system is positive.
        let pid = i32::try_from(inner.id())
            .ok()
            .and_then(Pid::from_raw)
            .unwrap_or(Pid::INIT);
        let child = Self {
            pid,
            pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
            stdin: inner.stdin.take(),
            stdout: inner.stdout.take(),
            stderr: inner.stderr.take(),
            command,
            inner,
            input: Vec::new(),
            close_input: false,
            cancel: cancel.clone(),
            deadline: limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit))),
            exited_at: None,
            status: None,
            tail: Capture::last(TAIL),
        };
        if let Some(stdin) = &child.stdin {
            fcntl_getfl(stdin)
                .and_then(|flags| fcntl_setfl(stdin, flags | OFlags::NONBLOCK))
                .map_err(|errno| child.lost(errno.into()))?;
        }
        Ok(child)
    }

    /// Its process id, which is also the id of its process group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// What was started.
    #[must_use]
    pub fn command(&self) -> &CommandLine {
        &self.command
    }

    /// The end of its output and error output, as text: for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        self.tail.tail_text()
    }

    /// Queues bytes for its standard input; they are written while events are awaited.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.stdin.is_some() {
            self.input.extend_from_slice(bytes);
        }
    }

    /// Closes its standard input after the bytes queued so far.
    pub fn close_input(&mut self) {
        self.close_input = true;
        if self.input.is_empty() {
            self.stdin = None;
        }
    }

    /// Waits at most `wait` for the next event.
    ///
    /// # Errors
    /// The token was set or the time limit passed (the program has then been ended), or its pipes
    /// failed.
    pub fn next_event(&mut self, wait: Duration) -> Result<Event, ProcessError> {
        let until = Instant::now() + wait;
        loop {
            if let Some(status) = self.status {
                return Ok(Event::Exited(status));
            }
            if let Err(cancelled) = self.cancel.check() {
                self.terminate();
                return Err(cancelled.into());
            }
            let now = Instant::now();
            if let Some((_, limit)) = self.deadline.filter(|&(at, _)| now >= at) {
                self.terminate();
                let command = self.command.clone();
                return Err(ProcessError::TimedOut {
                    command,
                    limit,
                    tail: self.tail(),
                });
            }
            let mut step = STEP.min(until.saturating_duration_since(now));
            if let Some((at, _)) = self.deadline {
                step = step.min(at - now);
            }
            if let Some((stream, bytes)) = self.exchange(step)? {
                return Ok(Event::Output(stream, bytes));
            }
            if self.has_exited() {
                let exited_at = *self.exited_at.get_or_insert_with(Instant::now);
                if self.is_silent() || exited_at.elapsed() >= DRAIN {
                    return Ok(Event::Exited(self.reap()?));
                }
            }
            if Instant::now() >= until {
                return Ok(Event::Idle);
            }
        }
    }

    /// Ends its process group: `SIGTERM`, and `SIGKILL` after two seconds, or once the program has
    /// ended and no other holds its pipes. Output still in them is dropped, but for the tail.
    pub fn terminate(&mut self) {
        if self.status.is_some() {
            return;
        }
        let _ = kill_process_group(self.pid, Signal::TERM);
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if self.has_exited() {
                let _ = self.exited_at.get_or_insert_with(Instant::now);
                // Its children may still be putting their files away.
                if self.is_silent() {
                    break;
                }
            }
            // Full pipes must not keep it from ending.
            if self.exchange(STEP).is_err() {
                break;
            }
        }
        let _ = self.reap();
    }

    /// Writes queued input and reads what is there, waiting at most `wait`.
    fn exchange(&mut self, wait: Duration) -> Result<Option<(Stream, Vec<u8>)>, ProcessError> {
        let timeout = Timespec::try_from(wait).ok();
        let mut fds = Vec::with_capacity(4);
        if let Some(stdout) = &self.stdout {
            fds.push((
                Source::Stdout,
                PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN),
            ));
        }
        if let Some(stderr) = &self.stderr {
            fds.push((
                Source::Stderr,
                PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::IN),
            ));
        }
        if let Some(stdin) = self.stdin.as_ref().filter(|_| !self.input.is_empty()) {
            fds.push((
                Source::Stdin,
                PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::OUT),
            ));
        }
        if let Some(pidfd) = self.pidfd.as_ref().filter(|_| self.exited_at.is_none()) {
            fds.push((
                Source::Exit,
                PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN),
            ));
        }
        let (sources, mut polled): (Vec<_>, Vec<_>) = fds.into_iter().unzip();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(None),
            Err(errno) => return Err(self.lost(errno.into())),
        }
        let ready: Vec<Source> = sources
            .into_iter()
            .zip(&polled)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(source, _)| source)
            .collect();
        for source in ready {
            match source {
                Source::Stdin => self.write_input()?,
                Source::Stdout => {
                    if let Some(bytes) = self.read(Stream::Stdout)? {
                        return Ok(Some((Stream::Stdout, bytes)));
                    }
                }
                Source::Stderr => {
                    if let Some(bytes) = self.read(Stream::Stderr)? {
                        return Ok(Some((Stream::Stderr, bytes)));
                    }
                }
                Source::Exit => {}
            }
        }
        Ok(None)
    }

    /// One read of a stream that has something; `None` at its end.
    fn read(&mut self, stream: Stream) -> Result<Option<Vec<u8>>, ProcessError> {
        let mut buffer = vec![0; 64 * 1024];
        let result = match stream {
            Stream::Stdout => self.stdout.as_mut().map(|pipe| pipe.read(&mut buffer)),
            Stream::Stderr => self.stderr.as_mut().map(|pipe| pipe.read(&mut buffer)),
        };
        match result.unwrap_or(Ok(0)) {
            Ok(0) => {
                match stream {
                    Stream::Stdout => self.stdout = None,
                    Stream::Stderr => self.stderr = None,
                }
                Ok(None)
            }
            Ok(count) => {
                buffer.truncate(count);
                self.tail.push(&buffer);
                Ok(Some(buffer))
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(self.lost(error)),
        }
    }

    fn write_input(&mut self) -> Result<(), ProcessError> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        match stdin.write(&self.input) {
            Ok(count) => {
                self.input.drain(..count);
            }
            // A program may end, or close its input, without reading all of it.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.input.clear();
                self.close_input = true;
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(self.lost(error)),
        }
        if self.input.is_empty() && self.close_input {
            self.stdin = None;
        }
        Ok(())
    }

    /// Whether the program has ended, without collecting its status: until then its id, and so
    /// its group's, cannot be given to another.
    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(self.pid), options), Ok(Some(_)))
    }

    /// Whether nobody can write any more of its output.
    fn is_silent(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Kills what is left of the group and collects the status.
    fn reap(&mut self) -> Result<ExitStatus, ProcessError> {
        let _ = kill_process_group(self.pid, Signal::KILL);
        let status = self.inner.wait().map_err(|error| self.lost(error))?;
        self.status = Some(status);
        Ok(status)
    }

    fn lost(&self, source: std::io::Error) -> ProcessError {
        ProcessError::Io {
            command: self.command.clone(),
            source,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// What a polled descriptor stands for.
#[derive(Clone, Copy)]
enum Source {
    Stdin,
    Stdout,
    Stderr,
    Exit,
}
