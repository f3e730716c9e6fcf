//! What a guest's console says about the guest: the init's markers and the kernel's complaints.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How much of the console is kept for error messages, in lines.
const TAIL_LINES: usize = 40;

/// The longest line that is kept whole, in bytes.
const LONGEST_LINE: usize = 16 << 10;

/// The beginning of the init's markers, which src/guest/c/init.c writes.
const MARKER: &str = "lupine-init: ";

/// What a kernel says last, at a level that `quiet` lets through: kernel/reboot.c once its devices
/// are shut down, kernel/panic.c where it does not reset.
const LAST_WORDS: [&str; 4] = [
    "reboot: Restarting system",
    "reboot: System halted",
    "reboot: Power down",
    "---[ end Kernel panic - not syncing",
];

/// How the guest's program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestExit {
    /// It exited with this status, 0 for success.
    Status(i32),
    /// A signal ended it.
    Signal(i32),
}

impl GuestExit {
    /// Whether it exited with status 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Status(0)
    }

    /// The status that a shell would report: the program's, or 128 plus the signal.
    #[must_use]
    pub fn shell_status(self) -> i32 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for GuestExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// How many system calls came which way, as a kernel with `CONFIG_KML_STATS`
/// counts them for the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    /// Through the gate, in kernel mode.
    pub gate: u64,
    /// By `syscall`, in kernel mode: native sites, code made at run time.
    pub syscall: u64,
    /// From user mode, the init's own among them.
    pub ring3: u64,
}

impl CallCounts {
    /// The part of the calls made in kernel mode that came through the gate, 0
    /// to 1; `None` if there were none.
    #[must_use]
    pub fn gate_share(&self) -> Option<f64> {
        let all = self.gate.saturating_add(self.syscall);
        (all > 0).then(|| self.gate as f64 / all as f64)
    }

    /// Reads `gate N syscall N ring3 N`.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut next = |name| {
            let named = words.next() == Some(name);
            words.next()?.parse().ok().filter(|_| named)
        };
        Some(CallCounts {
            gate: next("gate")?,
            syscall: next("syscall")?,
            ring3: next("ring3")?,
        })
    }
}

/// Something that went wrong inside the guest, in the order of telling most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The kernel dereferenced something it should not have, and went on.
    Oops(String),
    /// The kernel could not go on.
    Panic(String),
    /// The kernel ended a program for want of memory, or panicked over it.
    OutOfMemory(String),
    /// The init could not do a step that was not optional.
    Init(String),
}

/// The console so far.
#[derive(Debug, Default)]
pub struct Console {
    partial: Vec<u8>,
    tail: VecDeque<String>,
    started: bool,
    start_ticks: Option<u64>,
    exit: Option<GuestExit>,
    calls: Option<CallCounts>,
    trouble: Option<Trouble>,
    skipped: Vec<String>,
    saw: Vec<String>,
    halted: bool,
}

impl Console {
    /// A console on which nothing has appeared.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what the guest wrote, and calls `on_line` with every finished line, without its
    /// break.
    pub fn feed(&mut self, bytes: &[u8], mut on_line: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= LONGEST_LINE {
                let line = std::mem::take(&mut self.partial);
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                // A marker may come in the middle of what the program prints.
                let at = find(text, MARKER.as_bytes()).unwrap_or(0);
                self.line(&text[at..]);
                on_line(&text[at..]);
                self.partial = text[..at].to_vec();
            }
        }
    }

    /// Whether the program runs: file systems are mounted and the network is up.
    #[must_use]
    pub fn started(&self) -> bool {
        self.started
    }

    /// The processor's time stamp counter when the program had been executed, where the init has
    /// said it. Where instructions are counted, it is their number since reset.
    #[must_use]
    pub fn start_ticks(&self) -> Option<u64> {
        self.start_ticks
    }

    /// How the program ended, once it has.
    #[must_use]
    pub fn exit(&self) -> Option<GuestExit> {
        self.exit
    }

    /// How many system calls came which way, once the program has ended and
    /// where the kernel counts them.
    #[must_use]
    pub fn calls(&self) -> Option<CallCounts> {
        self.calls
    }

    /// The most telling thing that went wrong, if anything did.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Optional steps that the init could not do, with the reasons: hints to a program's failure.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// What the tracer saw the program ask of the kernel, one thing each, in its words.
    #[must_use]
    pub fn saw(&self) -> &[String] {
        &self.saw
    }

    /// Whether the kernel has said its last words: nothing is left to be written.
    #[must_use]
    pub fn halted(&self) -> bool {
        self.halted
    }

    /// The last lines, the unfinished one included, as text.
    #[must_use]
    pub fn tail(&self) -> String {
        let mut lines: Vec<String> = self.tail.iter().cloned().collect();
        if !self.partial.is_empty() {
            lines.push(String::from_utf8_lossy(&self.partial).into_owned());
        }
        lines.join("\n")
    }

    fn line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line).into_owned();
        self.halted |= LAST_WORDS.iter().any(|words| text.contains(words));
        if let Some(marker) = text.strip_prefix(MARKER) {
            if let Some(seen) = marker.strip_prefix("saw ") {
                // Hundreds of lines, which would leave nothing else of the tail.
                self.saw.push(seen.to_owned());
                return;
            }
            self.marker(marker);
        } else if let Some(trouble) = kernel_trouble(&text) {
            // An oops makes a panic, and a lack of memory too: the cause is the better news.
            if self.trouble.as_ref().is_none_or(|known| *known < trouble) {
                self.trouble = Some(trouble);
            }
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text);
    }

    fn marker(&mut self, text: &str) {
        let number = |prefix: &str| {
            text.strip_prefix(prefix)
                .and_then(|n| n.trim().parse().ok())
        };
        if text.trim_end() == "started" {
            self.started = true;
        } else if let Some(status) = number("exit status=") {
            self.exit = Some(GuestExit::Status(status));
        } else if let Some(ticks) = text.strip_prefix("ticks=") {
            self.start_ticks = ticks.trim().parse().ok();
        } else if let Some(signal) = number("exit signal=") {
            self.exit = Some(GuestExit::Signal(signal));
        } else if let Some(counts) = text.strip_prefix("calls ") {
            self.calls = CallCounts::parse(counts);
        } else if let Some(step) = text.strip_prefix("skipped ") {
            self.skipped.push(step.to_owned());
        } else if let Some(step) = text.strip_prefix("error ") {
            // The first is the cause.
            if !matches!(self.trouble, Some(Trouble::Init(_))) {
                self.trouble = Some(Trouble::Init(step.to_owned()));
            }
        }
    }
}

/// Where `text` first occurs in `line`.
pub(super) fn find(line: &[u8], text: &[u8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    line.windows(text.len()).position(|window| window == text)
}

/// What a line of the kernel's log says, by the texts of kernel/panic.c, mm/oom_kill.c and
/// arch/x86/kernel/dumpstack.c.
fn kernel_trouble(line: &str) -> Option<Trouble> {
    let after = |text: &str| line.find(text).map(|at| line[at..].trim_end().to_owned());
    if let Some(text) = after("Kernel panic - not syncing") {
        let memory = ["deadlocked on memory", "Out of memory"];
        if memory.iter().any(|word| text.contains(word)) {
            return Some(Trouble::OutOfMemory(text));
        }
        return Some(Trouble::Panic(text));
    }
    if let Some(text) =
        after("Out of memory: Killed process").or_else(|| after("Memory cgroup out of memory"))
    {
        return Some(Trouble::OutOfMemory(text));
    }
    let oops = [
        "BUG: ",
        "Oops: ",
        "general protection fault, ",
        "kernel BUG at ",
    ];
    oops.iter().find_map(|text| after(text)).map(Trouble::Oops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn console(text: &str) -> Console {
        let mut console = Console::new();
        console.feed(text.as_bytes(), |_| {});
        console
    }

    #[test]
    fn counts_of_calls_are_read() {
        let mut console = Console::new();
        console.feed(b"lupine-init: calls gate 990 syscall 10 ring3 31\n", |_| {});
        let counts = console.calls().unwrap();
        assert_eq!((counts.gate, counts.syscall, counts.ring3), (990, 10, 31));
        assert_eq!(counts.gate_share(), Some(0.99));
        assert_eq!(CallCounts::default().gate_share(), None);
        for other in ["", "gate 1", "gate x syscall 1 ring3 2", "ring3 1 gate 2"] {
            assert_eq!(CallCounts::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_ticks_at_the_start_are_read() {
        assert_eq!(console("lupine-init: started\n").start_ticks(), None);
        let said = console("lupine-init: ticks=743186393\r\nlupine-init: started\n");
        assert_eq!(said.start_ticks(), Some(743_186_393));
        for bad in ["", "-1", "1 2", "18446744073709551616"] {
            let said = console(&format!("lupine-init: ticks={bad}\n"));
            assert_eq!(said.start_ticks(), None, "{bad}");
        }
    }

    #[test]
    fn a_marker_in_the_middle_of_a_line_leaves_the_line_whole() {
        let text = "Linux\r\nhello wolupine-init: started\nrld\n\nlupine-init: exit status=3\n";
        let (mut console, mut lines) = (Console::new(), Vec::new());
        console.feed(text.as_bytes(), |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
        });
        assert!(console.started());
        assert_eq!(console.exit(), Some(GuestExit::Status(3)));
        assert_eq!(console.trouble(), None);
        let markers = ["lupine-init: started", "lupine-init: exit status=3"];
        assert_eq!(lines, ["Linux", markers[0], "hello world", "", markers[1]]);
    }

    #[test]
    fn a_failed_step_is_kept_with_its_reason() {
        let console = console(
            "lupine-init: skipped mount /sys: no such device (errno 19)\n\
             lupine-init: error run /bin/x: no such file (errno 2)\n\
             lupine-init: exit status=127\n",
        );
        let step = "run /bin/x: no such file (errno 2)".to_owned();
        assert_eq!(console.trouble(), Some(&Trouble::Init(step)));
        assert_eq!(console.exit(), Some(GuestExit::Status(127)));
        assert_eq!(console.skipped(), ["mount /sys: no such device (errno 19)"]);
    }

    #[test]
    fn the_cause_outranks_its_consequence() {
        let console = console(
            "[    1.0] Out of memory: Killed process 21 (redis-server) total-vm:1kB\n\
             [    1.1] Oops: 0000 [#1]\n\
             [    1.2] Kernel panic - not syncing: Fatal exception\n",
        );
        assert!(matches!(console.trouble(), Some(Trouble::OutOfMemory(text))
            if text.starts_with("Out of memory: Killed process 21")));
    }

    #[test]
    fn a_kernel_says_when_it_is_at_its_end() {
        for end in [
            "[    0.5] reboot: Restarting system\r\n",
            "[    0.5] reboot: Power down\n",
            "[    0.5] ---[ end Kernel panic - not syncing: VFS: no root ]---\n",
        ] {
            assert!(console(end).halted(), "{end}");
        }
        for other in [
            "[    0.5] Kernel panic - not syncing: VFS: no root\n",
            "lupine-init: exit status=0\n",
        ] {
            assert!(!console(other).halted(), "{other}");
        }
    }

    #[test]
    fn the_tail_is_short_and_ends_with_the_unfinished_line() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let tail = console(&(text + "unfini")).tail();
        assert_eq!(tail.lines().count(), TAIL_LINES + 1);
        assert!(tail.starts_with("line 60\n") && tail.ends_with("line 99\nunfini"));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes: Vec<u8>, cut: prop::sample::Index) {
            let (a, b) = bytes.split_at(cut.index(bytes.len() + 1).min(bytes.len()));
            let (mut whole, mut pieces) = (Vec::new(), Vec::new());
            Console::new().feed(&bytes, |line| whole.push(line.to_vec()));
            let mut console = Console::new();
            console.feed(a, |line| pieces.push(line.to_vec()));
            console.feed(b, |line| pieces.push(line.to_vec()));
            prop_assert_eq!(whole, pieces);
        }
    }
}
