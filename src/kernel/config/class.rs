//! The paper's classes of what a unikernel leaves out. The data is
//! `src/data/classes.toml`.

use std::fmt;
use std::sync::LazyLock;

use lupine_kconfig::{Kconfig, SymbolId};
use serde::{Deserialize, Serialize};

/// Why an option of an ordinary configuration is none of lupine-base's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Some applications need it, and get it back.
    ApplicationSpecific,
    /// It serves several programs or processors, isolates or accounts them.
    MultiProcessing,
    /// It drives or manages hardware that a microVM does not have.
    HardwareManagement,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::ApplicationSpecific => "application specific",
            Class::MultiProcessing => "multi-processing",
            Class::HardwareManagement => "hardware management",
        })
    }
}

/// Options of one class: by the beginning of their name, or of the Kconfig file
/// that declares them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    class: Class,
    #[serde(default)]
    symbols: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    rule: Vec<Rule>,
}

#[allow(
    clippy::expect_used,
    reason = "the data is part of this crate and parsed by a test"
)]
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    toml::from_str(include_str!("../../data/classes.toml")).expect("src/data/classes.toml is valid")
});

/// The class of an option, by its name and the file that declares it.
#[must_use]
pub fn class_of(symbol: &str, file: &str) -> Class {
    let rules = || RULES.rule.iter();
    let by_name = rules().find(|rule| rule.symbols.iter().any(|name| symbol.starts_with(name)));
    let by_file = || rules().find(|rule| rule.files.iter().any(|start| file.starts_with(start)));
    by_name
        .or_else(by_file)
        .map_or(Class::ApplicationSpecific, |rule| rule.class)
}

/// The Kconfig file that declares a symbol, relative to the tree.
pub(super) fn file_of(tree: &Kconfig, id: SymbolId) -> String {
    let node = tree.get(id).nodes().first();
    let name = node.map(|node| tree.file_name(tree.node(*node).file()));
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_their_class() {
        for (symbol, file, class) in [
            ("SMP", "arch/x86/Kconfig", Class::MultiProcessing),
            ("CGROUPS", "init/Kconfig", Class::MultiProcessing),
            ("USER_NS", "init/Kconfig", Class::MultiProcessing),
            (
                "SECURITY_SELINUX",
                "security/selinux/Kconfig",
                Class::MultiProcessing,
            ),
            ("ACPI", "drivers/acpi/Kconfig", Class::HardwareManagement),
            ("SUSPEND", "kernel/power/Kconfig", Class::HardwareManagement),
            ("EPOLL", "init/Kconfig", Class::ApplicationSpecific),
            ("IPV6", "net/ipv6/Kconfig", Class::ApplicationSpecific),
            ("EXT4_FS", "fs/ext4/Kconfig", Class::ApplicationSpecific),
        ] {
            assert_eq!(class_of(symbol, file), class, "{symbol}");
        }
    }
}
