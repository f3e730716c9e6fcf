//! Requirement to kernel option: the part that no analysis of the kernel tree
//! can give, because it depends on arguments, paths and behaviour; and what is
//! known of C libraries and programs that their code does not say. The data is
//! `src/data/needs.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::requirement::Requirement;

/// A row of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    sockets: Vec<String>,
    /// The family's number.
    family: Option<u64>,
    /// Whether a program that names the family cannot do without.
    #[serde(default)]
    required: bool,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    behaviours: Vec<String>,
    options: Vec<String>,
}

/// What a function of the C library stands for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Import {
    Path(String),
    Behaviour(String),
}

/// Calls that are optional, for one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Optional {
    because: String,
    calls: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    calls: Vec<String>,
}

/// Calls that a library makes only where something else failed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fallback {
    library: String,
    calls: Vec<String>,
    because: String,
}

/// Files that are loaded by name at run time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plugin {
    /// How the name of the file that loads them begins.
    pub(super) library: String,
    /// Where they are; relative to the loading file without a slash in front.
    pub(super) folder: String,
    /// How their names begin.
    #[serde(default)]
    pub(super) prefix: String,
    /// How their names end.
    #[serde(default)]
    pub(super) suffix: String,
    /// Whether the loading file cannot do without.
    #[serde(default)]
    pub(super) required: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
    import: BTreeMap<String, Import>,
    optional: Vec<Optional>,
    network: Network,
    fallback: Vec<Fallback>,
    plugin: Vec<Plugin>,
}

#[allow(
    clippy::expect_used,
    reason = "the data is part of this crate and parsed by a test"
)]
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("../data/needs.toml")).expect("src/data/needs.toml is valid")
});

/// The options, without `CONFIG_`, with their values, that offer `requirement`.
/// None for system calls: those are the kernel tree's to tell, see
/// [`crate::kernel::syscalls`].
#[must_use]
pub fn options_of(requirement: &Requirement) -> BTreeMap<String, String> {
    let yes = |options: &[String]| {
        options
            .iter()
            .map(|option| (option.clone(), "y".to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let find = |select: &dyn Fn(&Row) -> &[String], name: &str| {
        TABLE
            .row
            .iter()
            .find(|row| select(row).iter().any(|n| n == name))
    };
    let row = match requirement {
        Requirement::Call(_) => None,
        Requirement::Socket(name) => find(&|row| &row.sockets, name),
        Requirement::Behaviour(name) => find(&|row| &row.behaviours, name),
        // The longest row that the path starts with.
        Requirement::Path(path) => TABLE
            .row
            .iter()
            .flat_map(|row| row.paths.iter().map(move |prefix| (prefix, row)))
            .filter(|(prefix, _)| {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
                })
            })
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, row)| row),
        Requirement::Option(name) => return yes(std::slice::from_ref(name)),
    };
    row.map(|row| yes(&row.options)).unwrap_or_default()
}

/// Every option that the table names.
#[must_use]
pub fn options() -> BTreeSet<&'static str> {
    let options = TABLE.row.iter().flat_map(|row| &row.options);
    options.map(String::as_str).collect()
}

/// The path or behaviour behind a function of the C library, where no system
/// call tells.
pub(super) fn requirement_of_import(symbol: &str) -> Option<Requirement> {
    TABLE.import.get(symbol).map(|import| match import {
        Import::Path(path) => Requirement::Path(path.clone()),
        Import::Behaviour(what) => Requirement::Behaviour(what.clone()),
    })
}

/// Why programs go on without a call, where they do.
#[must_use]
pub fn optional_because(call: &str) -> Option<&'static str> {
    let find = |optional: &&Optional| optional.calls.iter().any(|name| name == call);
    TABLE
        .optional
        .iter()
        .find(find)
        .map(|optional| optional.because.as_str())
}

/// Why a library makes a call only where something else failed, where it does.
#[must_use]
pub fn fallback_because(file: &str, call: &str) -> Option<&'static str> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let find = |row: &&Fallback| {
        name.starts_with(&row.library) && row.calls.iter().any(|name| name == call)
    };
    TABLE
        .fallback
        .iter()
        .find(find)
        .map(|row| row.because.as_str())
}

/// Whether a call matters only to programs on a network.
pub(super) fn is_of_network(call: &str) -> bool {
    TABLE.network.calls.iter().any(|name| name == call)
}

/// The name of a family of sockets, and whether a program that names it cannot
/// do without.
pub(crate) fn socket_family(number: u64) -> Option<(&'static str, bool)> {
    let row = TABLE.row.iter().find(|row| row.family == Some(number))?;
    Some((row.sockets.first()?, row.required))
}

/// The number of a family of sockets.
pub(crate) fn number_of_family(name: &str) -> Option<u64> {
    let row = |row: &&Row| row.sockets.iter().any(|family| family == name);
    TABLE.row.iter().find(row)?.family
}

/// The numbers of the families of sockets that an option is needed for.
pub(crate) fn families_of(option: &str) -> impl Iterator<Item = u64> {
    TABLE
        .row
        .iter()
        .filter(move |row| row.options.iter().any(|name| name == option))
        .filter_map(|row| row.family)
}

/// What `flags` of clone, unshare or setns separate.
pub(super) fn namespaces(flags: u64) -> impl Iterator<Item = &'static str> {
    // include/uapi/linux/sched.h, CLONE_NEW*.
    const KINDS: &[(u64, &str)] = &[
        (0x0002_0000, "mount namespaces"),
        (0x0200_0000, "cgroup namespaces"),
        (0x0400_0000, "host name namespaces"),
        (0x0800_0000, "IPC namespaces"),
        (0x1000_0000, "user namespaces"),
        (0x2000_0000, "process namespaces"),
        (0x4000_0000, "network namespaces"),
    ];
    let of_word = flags <= u64::from(u32::MAX);
    KINDS
        .iter()
        .filter(move |(bit, _)| of_word && flags & bit != 0)
        .map(|(_, name)| *name)
}

/// Whether a command of fcntl locks (`F_GETLK` to `F_SETLKW` and their `OFD`
/// forms, include/uapi/asm-generic/fcntl.h).
pub(super) fn is_lock_command(command: u64) -> bool {
    LOCK_COMMANDS.contains(&command)
}

/// See [`is_lock_command`].
pub(crate) const LOCK_COMMANDS: [u64; 6] = [5, 6, 7, 36, 37, 38];

/// What a file loads by name at run time.
pub(super) fn plugins_of(file: &str) -> impl Iterator<Item = &'static Plugin> {
    let name = file.rsplit('/').next().unwrap_or(file).to_owned();
    TABLE
        .plugin
        .iter()
        .filter(move |plugin| name.starts_with(&plugin.library))
}

/// Whether a string of a program names a path that an option provides.
#[must_use]
pub fn is_kernel_path(text: &str) -> bool {
    ["/proc/", "/sys/", "/dev/"]
        .iter()
        .any(|top| text.starts_with(top))
        && text.len() < 200
        && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_leads_to_an_option() {
        for import in TABLE.import.keys() {
            let requirement = requirement_of_import(import).unwrap();
            assert!(!options_of(&requirement).is_empty(), "{import}: no option");
        }
    }

    #[test]
    fn every_call_of_the_data_exists() {
        let optional = TABLE.optional.iter().flat_map(|row| &row.calls);
        let fallback = TABLE.fallback.iter().flat_map(|row| &row.calls);
        for name in optional.chain(fallback).chain(&TABLE.network.calls) {
            let known = syscalls::x86_64::Sysno::iter().any(|call| call.name() == name);
            assert!(known, "{name}");
        }
        assert!(optional_because("madvise").unwrap().contains("hint"));
        assert_eq!(optional_because("epoll_wait"), None);
    }

    #[test]
    fn arguments_are_understood() {
        assert_eq!(socket_family(1), Some(("UNIX", true)));
        assert_eq!(socket_family(10), Some(("INET6", false)));
        assert_eq!(socket_family(9999), None);
        let both: Vec<&str> = namespaces(0x4002_0000).collect();
        assert_eq!(both, ["mount namespaces", "network namespaces"]);
        assert_eq!(namespaces(u64::MAX).count(), 0);
        assert!(is_lock_command(6) && !is_lock_command(2));
    }

    #[test]
    fn the_longest_path_wins() {
        let options = |path: &str| {
            let options = options_of(&Requirement::Path(path.to_owned()));
            options.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(options("/proc/self/exe"), ["PROC_FS"]);
        assert_eq!(
            options("/proc/sys/net/core/somaxconn"),
            ["PROC_FS", "PROC_SYSCTL"]
        );
        assert_eq!(options("/procession"), [""; 0]);
    }
}
