//! Where a run of `conf` talks to its user: the standard streams.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use lupine_kconfig::Console;

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
            out: io::BufWriter::new(out),
        }
    }

    /// Passes on what was printed.
    pub fn flush(&mut self) {
        // A reader that went away is no reason to leave the files unwritten.
        let _ = self.out.flush();
    }
}

impl Console for Terminal {
    fn print(&mut self, text: &[u8]) {
        let _ = self.out.write_all(text);
    }

    fn complain(&mut self, text: &[u8]) {
        self.flush();
        let _ = io::stderr().write_all(text);
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
