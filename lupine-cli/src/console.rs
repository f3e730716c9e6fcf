//! Where a run of `conf` talks to its user: the standard streams.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use lupine_kconfig::Console;

/// What a shell says of a program that SIGPIPE ended.
const BY_SIGPIPE: i32 = 128 + 13;

/// Where what `conf` prints goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output: it is what the user asked for.
    Output,
    /// Standard error: it is only about what the user asked for.
    Messages,
}

/// The standard streams as a console.
pub struct Terminal {
    terminal: bool,
    channel: Channel,
    out: io::BufWriter<Box<dyn Write>>,
}

impl Terminal {
    /// A console that prints on that channel.
    #[must_use]
    pub fn new(channel: Channel) -> Terminal {
        let out: Box<dyn Write> = match channel {
            Channel::Output => Box::new(io::stdout()),
            Channel::Messages => Box::new(io::stderr()),
        };
        Terminal {
            terminal: io::stdin().is_terminal() && io::stdout().is_terminal(),
            channel,
            out: io::BufWriter::new(out),
        }
    }

    /// Passes on what was printed.
    pub fn flush(&mut self) {
        let flushed = self.out.flush();
        self.end_without_reader(flushed);
    }

    /// Where nobody reads what was asked for any more, the process ends as `conf` does by SIGPIPE:
    /// at the end of its input it may repeat a question for ever.
    fn end_without_reader(&self, written: io::Result<()>) {
        let gone = |error: io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if self.channel == Channel::Output && written.is_err_and(gone) {
            std::process::exit(BY_SIGPIPE);
        }
    }
}

impl Console for Terminal {
    fn print(&mut self, text: &[u8]) {
        let written = self.out.write_all(text);
        self.end_without_reader(written);
    }

    fn complain(&mut self, text: &[u8]) {
        self.flush();
        let written = io::stderr().write_all(text);
        self.end_without_reader(written);
    }

    fn read_line(&mut self, limit: usize) -> Option<Vec<u8>> {
        self.flush();
        let mut line = Vec::new();
        let mut input = io::stdin().lock();
        while line.len() < limit && line.last() != Some(&b'\n') {
            let Ok(ready) = input.fill_buf() else { break };
            if ready.is_empty() {
                break;
            }
            let room = ready.len().min(limit - line.len());
            let end = ready[..room].iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(room, |end| end + 1);
            line.extend_from_slice(&ready[..taken]);
            input.consume(taken);
        }
        (!line.is_empty()).then_some(line)
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }
}
