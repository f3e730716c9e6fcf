//! What an application was seen to ask of a kernel: the words of the guest's
//! tracer (src/guest/c/trace.c), read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use syscalls::x86_64::Sysno;

use super::requirement::Requirement;

/// An application's system calls until its health check passed and it was
/// asked to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The version of the kernel that it ran on.
    pub kernel: String,
    /// What was seen, each once.
    pub seen: BTreeSet<Seen>,
    /// Runs in which the calls that an option offers were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// What was not understood, or too much to be remembered, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// A run in which everything was refused that an option of the kernel offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The option, without `CONFIG_`.
    pub option: String,
    /// Calls and families that were refused.
    pub refused: BTreeSet<Requirement>,
    /// Whether the health check passed all the same.
    pub ready: bool,
}

/// A system call with what matters of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// Its name in the kernel.
    pub call: String,
    /// What of its arguments matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// How it went.
    pub result: Outcome,
}

/// What of a call's arguments matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A number: a family of sockets, a command of `fcntl` or `futex`, flags of
    /// namespaces.
    Argument(u64),
    /// A path under /proc, /sys or /dev.
    Path(String),
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was made; its result is another entry, or it had none in the end.
    Begun,
    /// It succeeded.
    Succeeded,
    /// It failed with this error number.
    Failed(i32),
}

impl Trace {
    /// Reads what the tracer said on the console, one thing a line, without the
    /// marker in front.
    #[must_use]
    pub fn read<'a>(kernel: &str, lines: impl IntoIterator<Item = &'a str>) -> Trace {
        let mut trace = Trace {
            kernel: kernel.to_owned(),
            ..Trace::default()
        };
        for line in lines {
            match parse(line) {
                Some(seen) => {
                    trace.seen.insert(seen);
                }
                None if line == "too much" => {
                    let text = "the application asked for more than the tracer remembers";
                    trace.unknown.push(text.to_owned());
                }
                None => trace.unknown.push(format!("the tracer said {line:?}")),
            }
        }
        trace
    }
}

/// `CALL begun`, `CALL ERRNO`, `CALL ERRNO argument N`, `CALL ERRNO path PATH`.
fn parse(line: &str) -> Option<Seen> {
    let mut words = line.splitn(4, ' ');
    let number: usize = words.next()?.parse().ok()?;
    let call = Sysno::new(number)?.name().to_owned();
    let result = match words.next()? {
        "begun" => Outcome::Begun,
        text => match text.parse().ok()? {
            0 => Outcome::Succeeded,
            error => Outcome::Failed(error),
        },
    };
    let about = match (words.next(), words.next()) {
        (None, _) => None,
        (Some("argument"), Some(value)) => Some(About::Argument(value.parse().ok()?)),
        (Some("path"), Some(path)) => Some(About::Path(one_for_all(path))),
        _ => return None,
    };
    Some(Seen {
        call,
        about,
        result,
    })
}

/// A path of one process or thread stands for that of each.
fn one_for_all(path: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let mut before = "";
    let parts = path.split('/').map(|part| {
        let word = match (before, is_number(part)) {
            ("proc", true) => "self",
            ("task" | "fd" | "fdinfo", true) => "N",
            _ => part,
        };
        before = part;
        word
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(call: &str, about: Option<About>, result: Outcome) -> Seen {
        let call = call.to_owned();
        Seen {
            call,
            about,
            result,
        }
    }

    #[test]
    fn the_tracer_is_understood() {
        let lines = [
            "41 begun",
            "41 0 argument 2",
            "41 97 argument 10",
            "291 38",
            "257 2 path /proc/4711/task/4712/a file",
            "too much",
            "9999 0",
        ];
        let trace = Trace::read("6.12", lines);
        let path = "/proc/self/task/N/a file".to_owned();
        let expected = [
            seen("socket", None, Outcome::Begun),
            seen("socket", Some(About::Argument(2)), Outcome::Succeeded),
            seen("socket", Some(About::Argument(10)), Outcome::Failed(97)),
            seen("epoll_create1", None, Outcome::Failed(38)),
            seen("openat", Some(About::Path(path)), Outcome::Failed(2)),
        ];
        assert_eq!(trace.seen, BTreeSet::from(expected));
        assert_eq!(trace.unknown.len(), 2);
        let json = serde_json::to_string(&trace).unwrap();
        assert_eq!(serde_json::from_str::<Trace>(&json).unwrap(), trace);
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in ".*", words in "[0-9]{1,4} (begun|[0-9-]{1,9})( (argument|path) .{0,9})?") {
            let trace = Trace::read("6.12", [line.as_str(), words.as_str()]);
            proptest::prop_assert_eq!(trace.seen.len() + trace.unknown.len(), 2);
        }
    }
}
