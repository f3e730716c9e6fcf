//! Pruning: from a configuration that works to a smaller one that still has the required values.
//!
//! Every option with a visible prompt that is on is turned off, and every number or text that was
//! given is put back to its default, unless a requirement would be lost by it or a symbol would
//! be selected against its dependencies. Later options of the Kconfig files go first, since they
//! mostly depend on earlier ones; this is repeated until nothing more can go. Which member a
//! choice stands at is left alone.
//!
//! ```
//! use lupine_kconfig::prune::prune;
//! use lupine_kconfig::solve::Requirement;
//! use lupine_kconfig::{
//!     Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell,
//! };
//! let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\n\
//!             config C\n\tbool \"c\"\n\tdefault y\n";
//! let files = MemoryFiles::from([("Kconfig", text)]);
//! let tree = Kconfig::load(
//!     &files, "Kconfig", &Environment::new(), &RefuseShell, Dialect::LINUX_6_12)?;
//! let mut config = Configuration::new(&tree);
//! config.read(b"CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n");
//! let pruned = prune(&mut config, &[Requirement::new("B", "y", "")])?;
//! assert_eq!(pruned.len(), 1);
//! assert_eq!(config.value("A").as_deref(), Some("y"));
//! assert_eq!(config.value("C").as_deref(), Some("n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::configuration::Configuration;
use crate::property::PropertyKind;
use crate::solve::{Required, Requirement, SolveError, resolve_all};
use crate::symbol::{SymbolId, Tristate};
use std::collections::BTreeSet;

/// A value that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The symbol.
    pub symbol: SymbolId,
    /// What it was: `y`, `m`, a number or a text.
    pub old: Vec<u8>,
    /// What it is now; a symbol whose dependencies went has `n` or nothing.
    pub new: Vec<u8>,
}

/// Turns off what the requirements do not need; the configuration keeps every required value.
///
/// # Errors
///
/// When a requirement names no symbol or no value of its type. A requirement that `config` does
/// not meet to begin with is left out of account.
pub fn prune(
    config: &mut Configuration<'_>,
    requirements: &[Requirement],
) -> Result<Vec<Pruned>, SolveError> {
    let mut required = resolve_all(config.tree(), requirements)?;
    required.retain(|required| config.value_bytes(required.symbol) == required.value.as_slice());
    let unmet = unmet(config);
    let mut pruned: Vec<Pruned> = Vec::new();
    loop {
        // Each symbol goes once: some keep a value whatever the user says.
        let gone: BTreeSet<SymbolId> = pruned.iter().map(|entry| entry.symbol).collect();
        let mut candidates = candidates(config);
        candidates.retain(|symbol| !gone.contains(symbol));
        let mut pruner = Pruner {
            required: &required,
            unmet: &unmet,
            pruned: Vec::new(),
        };
        pruner.give_up(config, &candidates);
        if pruner.pruned.is_empty() {
            break;
        }
        pruned.append(&mut pruner.pruned);
    }
    for entry in &mut pruned {
        entry.new = config.value_bytes(entry.symbol).to_vec();
    }
    pruned.retain(|entry| entry.old != entry.new);
    Ok(pruned)
}

/// Symbols selected against their dependencies.
pub(crate) fn unmet(config: &mut Configuration<'_>) -> BTreeSet<SymbolId> {
    let symbols = config.tree().symbols();
    symbols
        .filter(|symbol| {
            let (direct, reverse, _) = config.dependencies(*symbol);
            reverse > direct
        })
        .collect()
}

/// What could go, the last of the files first.
fn candidates(config: &mut Configuration<'_>) -> Vec<SymbolId> {
    let tree = config.tree();
    let mut found: Vec<SymbolId> = tree
        .symbols()
        .filter(|id| {
            let symbol = tree.get(*id);
            if symbol.is_choice() || symbol.choice_node().is_some() {
                return false;
            }
            let prompted = symbol.properties().iter().any(|property| {
                let kind = tree.property(*property).kind();
                matches!(kind, PropertyKind::Prompt | PropertyKind::Menu)
            });
            if !prompted || config.visibility(*id) == Tristate::No {
                return false;
            }
            let (_, reverse, _) = config.dependencies(*id);
            if symbol.symbol_type().is_logical() {
                config.tristate(*id) > reverse
            } else {
                config.user_value(*id).is_some()
            }
        })
        .collect();
    found.sort_by_key(|id| std::cmp::Reverse(tree.get(*id).nodes().first().copied()));
    found
}

struct Pruner<'a> {
    required: &'a [Required],
    unmet: &'a BTreeSet<SymbolId>,
    pruned: Vec<Pruned>,
}

impl Pruner<'_> {
    /// Gives up all of `symbols`, or, where that is too much, the parts that can be.
    fn give_up(&mut self, config: &mut Configuration<'_>, symbols: &[SymbolId]) {
        if symbols.is_empty() {
            return;
        }
        let mut fewer = config.clone();
        let mut gone = Vec::new();
        for symbol in symbols {
            let old = config.value_bytes(*symbol).to_vec();
            if config.tree().get(*symbol).symbol_type().is_logical() {
                fewer.set_bytes(*symbol, b"n");
            } else {
                fewer.unset(*symbol);
            }
            gone.push(Pruned {
                symbol: *symbol,
                old,
                new: Vec::new(),
            });
        }
        let required = self.required;
        let holds = required
            .iter()
            .all(|required| fewer.value_bytes(required.symbol) == required.value.as_slice());
        if holds && unmet(&mut fewer).is_subset(self.unmet) {
            *config = fewer;
            self.pruned.extend(gone);
        } else if symbols.len() > 1 {
            let (first, second) = symbols.split_at(symbols.len() / 2);
            self.give_up(config, first);
            self.give_up(config, second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};

    #[test]
    fn what_is_needed_stays() {
        let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\n\
                    config LIB\n\tbool \"lib\"\n\tdepends on D\n\n\
                    config C\n\tbool \"c\"\n\tselect LIB\n\nconfig D\n\tbool \"d\"\n\n\
                    config N\n\tint \"n\"\n\tdefault 3\n\nconfig E\n\tbool \"e\"\n";
        let files = MemoryFiles::from([("Kconfig", text)]);
        let environment = Environment::new();
        let tree = Kconfig::load(
            &files,
            "Kconfig",
            &environment,
            &RefuseShell,
            Dialect::LINUX_6_12,
        )
        .unwrap();
        let mut config = Configuration::new(&tree);
        for name in ["A", "B", "C", "D", "E", "LIB"] {
            assert!(config.set(name, "y"));
        }
        assert!(config.set("N", "7"));
        let requirements = [
            Requirement::new("C", "y", ""),
            Requirement::new("A", "y", ""),
        ];
        let pruned = prune(&mut config, &requirements).unwrap();
        let values: Vec<String> = ["A", "B", "C", "D", "E", "LIB", "N"]
            .iter()
            .map(|name| config.value(name).unwrap())
            .collect();
        assert_eq!(values, ["y", "n", "y", "y", "n", "y", "3"]);
        assert_eq!(pruned.len(), 3);
        assert!(prune(&mut config, &requirements).unwrap().is_empty());
    }
}
