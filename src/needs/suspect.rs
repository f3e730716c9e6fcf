//! Which option a kernel lacks, told from what an application said before its
//! health check failed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::requirement::{Needs, Requirement, Strength};
use super::table;
use crate::kernel::syscalls::Syscalls;

/// An option that is missing, with what points to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspect {
    /// The option, without `CONFIG_`.
    pub option: String,
    /// The value that it should have.
    pub value: String,
    /// What it is for.
    pub requirement: Requirement,
    /// The line of the console that points to it; absent where only the needs
    /// say so.
    pub line: Option<String>,
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Suspect {
            option,
            value,
            requirement,
            line,
        } = self;
        write!(
            f,
            "the kernel does not have CONFIG_{option}={value}, wanted for {requirement}"
        )?;
        match line {
            Some(line) => write!(f, "; the console says {line:?}"),
            None => Ok(()),
        }
    }
}

/// How a call that the kernel lacks is reported: by `strerror` of glibc and
/// musl, by name, by number.
const NOT_IMPLEMENTED: &[&str] = &["not implemented", "ENOSYS", "os error 38", "errno 38"];

/// The same for a family of sockets.
const NO_FAMILY: &[&str] = &[
    "Address family not supported",
    "EAFNOSUPPORT",
    "os error 97",
    "errno 97",
];

/// The same for a device or a path that is not there.
const NOT_THERE: &[&str] = &["No such file", "No such device", "ENOENT", "ENODEV"];

/// The options that the configuration `config` (the text of a `.config`) lacks
/// for `needs`, or for a complaint on the console; those that the console
/// points to first. `needs` have to be resolved against the same tree as
/// `syscalls`.
#[must_use]
pub fn suspects(needs: &Needs, syscalls: &Syscalls, config: &[u8], console: &str) -> Vec<Suspect> {
    let config = String::from_utf8_lossy(config);
    let values: BTreeMap<&str, &str> = config
        .lines()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='))
        .collect();
    let mut found: Vec<Suspect> = Vec::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut add =
        |requirement: &Requirement, options: &BTreeMap<String, String>, line: Option<&str>| {
            for (option, value) in options {
                let has = values
                    .get(option.as_str())
                    .map_or("n", |text| text.trim_matches('"'));
                if has != value && named.insert(option.clone()) {
                    found.push(Suspect {
                        option: option.clone(),
                        value: value.clone(),
                        requirement: requirement.clone(),
                        line: line.map(|line| line.trim().to_owned()),
                    });
                }
            }
        };
    for line in console.lines() {
        for requirement in complaints(line, syscalls) {
            let options = match &requirement {
                Requirement::Call(name) => syscalls.options(name),
                other => table::options_of(other),
            };
            add(&requirement, &options, Some(line));
        }
    }
    for need in needs
        .needs
        .iter()
        .filter(|need| need.strength == Strength::Required)
    {
        add(&need.requirement, &need.options, None);
    }
    found
}

/// What a line complains of.
fn complaints(line: &str, syscalls: &Syscalls) -> Vec<Requirement> {
    let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
    let mut found = Vec::new();
    if says(NOT_IMPLEMENTED) {
        for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            // Programs name the C library's function, the table the call behind it.
            let calls = ["", "1", "2", "4"].map(|version| format!("{word}{version}"));
            let call = calls
                .into_iter()
                .find(|call| syscalls.offer(call).is_some());
            found.extend(call.map(Requirement::Call));
        }
    }
    if says(NO_FAMILY) {
        let family = if line.contains("::") || line.contains("INET6") {
            "INET6"
        } else if ["socketpair", "unix", "UNIX", "LOCAL", ".sock"]
            .iter()
            .any(|word| line.contains(word))
        {
            "UNIX"
        } else if line.contains("NETLINK") || line.contains("netlink") {
            "NETLINK"
        } else {
            "INET"
        };
        found.push(Requirement::Socket(family.to_owned()));
    }
    if says(NOT_THERE) {
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | ':' | ',');
        let words = line.split(ends).filter(|word| table::is_kernel_path(word));
        found.extend(words.map(|path| Requirement::Path(path.to_owned())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::requirement::Evidence;
    use super::*;

    fn syscalls() -> Syscalls {
        let offer = |option: &str, function: &str| {
            format!(
                r#"{{"condition":{{"option":"{option}"}},"file":"f.c","function":"{function}"}}"#
            )
        };
        let json = format!(
            r#"{{"conditional":{{"epoll_create":{},"eventfd2":{}}}}}"#,
            offer("EPOLL", "epoll_create"),
            offer("EVENTFD", "eventfd2")
        );
        serde_json::from_str(&json).unwrap()
    }

    fn options(config: &str, console: &str) -> Vec<String> {
        let found = suspects(&Needs::default(), &syscalls(), config.as_bytes(), console);
        found.into_iter().map(|suspect| suspect.option).collect()
    }

    #[test]
    fn the_console_s_words_lead_to_the_option() {
        let all = "CONFIG_NET=y\nCONFIG_INET=y\nCONFIG_PROC_FS=y\n";
        for (line, expected) in [
            (
                "nginx: [emerg] epoll_create() failed (38: Function not implemented)",
                "EPOLL",
            ),
            (
                "[alert] eventfd() failed (38: Function not implemented)",
                "EVENTFD",
            ),
            (
                "nginx: [emerg] socket() [::]:80 failed (97: Address family not supported by protocol)",
                "IPV6",
            ),
            (
                "socketpair() failed while spawning (97: Address family not supported by protocol)",
                "UNIX",
            ),
            (
                "cannot open '/proc/sys/vm/overcommit_memory': No such file or directory",
                "PROC_SYSCTL",
            ),
        ] {
            assert_eq!(options(all, line), [expected], "{line}");
        }
        assert_eq!(options(all, "all is well"), [""; 0]);
        let with = format!("{all}CONFIG_EPOLL=y\n");
        assert_eq!(
            options(&with, "epoll_create: Function not implemented"),
            [""; 0]
        );
    }

    #[test]
    fn what_is_needed_and_missing_is_named_without_a_word() {
        let mut needs = Needs::default();
        let what = "port 80 is exposed".to_owned();
        let requirement = Requirement::Socket("INET".to_owned());
        needs.add(
            requirement,
            Strength::Required,
            Evidence::Configured { what },
        );
        let found = suspects(&needs, &syscalls(), b"CONFIG_NET=y\n", "");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "the kernel does not have CONFIG_INET=y, wanted for AF_INET sockets"
        );
    }
}
