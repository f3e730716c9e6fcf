//! Requirement to kernel option: the part that no analysis of the kernel tree
//! can give, because it depends on arguments, paths and behaviour. The data is
//! `src/data/needs.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::requirement::Requirement;

/// A row of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    calls: Vec<String>,
    #[serde(default)]
    sockets: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    behaviours: Vec<String>,
    options: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
    import: BTreeMap<String, Vec<String>>,
}

#[allow(
    clippy::expect_used,
    reason = "the data is part of this crate and parsed by a test"
)]
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("../data/needs.toml")).expect("src/data/needs.toml is valid")
});

/// The options, without `CONFIG_`, with their values, that offer `requirement`.
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
        Requirement::Call(name) => find(&|row| &row.calls, name),
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

/// The system calls behind a function of the C library that wraps calls which
/// a kernel may lack; empty for every other function.
#[must_use]
pub fn calls_of_import(symbol: &str) -> &'static [String] {
    TABLE
        .import
        .get(symbol)
        .map(Vec::as_slice)
        .unwrap_or_default()
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
        for (import, calls) in &TABLE.import {
            for call in calls {
                let options = options_of(&Requirement::Call(call.clone()));
                assert!(!options.is_empty(), "{import} -> {call}: no option");
            }
        }
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
