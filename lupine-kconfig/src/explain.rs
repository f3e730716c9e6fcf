//! Explanation: why a symbol has its value.
//!
//! ```
//! use lupine_kconfig::explain::why;
//! use lupine_kconfig::{
//!     Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell,
//! };
//! let text = "config LIB\n\tbool\n\nconfig A\n\tbool \"a\"\n\tselect LIB\n";
//! let files = MemoryFiles::from([("Kconfig", text)]);
//! let tree = Kconfig::load(
//!     &files, "Kconfig", &Environment::new(), &RefuseShell, Dialect::LINUX_6_12)?;
//! let mut config = Configuration::new(&tree);
//! config.set("A", "y");
//! let lib = tree.symbol("LIB").ok_or("no LIB")?;
//! assert_eq!(
//!     why(&mut config, lib, 3).to_string(),
//!     "LIB=y (Kconfig:1)\n  selected by A\n    A=y (Kconfig:4)\n      set by the user\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it takes to give a symbol another value is a question for
//! [`least_changes`](crate::solve::least_changes).

use crate::configuration::Configuration;
use crate::graph::mentioned;
use crate::property::{Property, PropertyKind};
use crate::symbol::{SymbolId, Tristate};
use std::collections::BTreeSet;
use std::fmt;

/// Selectors and the like that are listed for one symbol.
const LISTED: usize = 12;

/// What gave a symbol its value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Cause {
    /// The user's value.
    User,
    /// A default: its expression and condition as text (`y` when there is none), and its place.
    Default {
        /// The value, as an expression.
        value: String,
        /// The condition with everything around it.
        condition: String,
        /// File and line of the definition.
        place: String,
    },
    /// One or more symbols select it, whatever else holds.
    Selected {
        /// Their names.
        by: Vec<String>,
    },
    /// One or more symbols imply it, and the user said nothing else.
    Implied {
        /// Their names.
        by: Vec<String>,
    },
    /// It is the member, or not the member, at which its choice stands.
    Choice,
    /// The user's value, limited by what is allowed: the visibility of the prompt, or a range.
    Limited {
        /// What the user asked for.
        wanted: String,
    },
    /// The user asked for something, but no prompt is visible: what the prompts need, as text.
    Hidden {
        /// What the user asked for.
        wanted: String,
        /// The conditions of the prompts.
        needs: String,
    },
    /// Nothing gives it a value: the direct dependency as text.
    Nothing {
        /// What the definitions depend on.
        needs: String,
    },
    /// The tree declares no such symbol.
    Undeclared,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::User => f.write_str("set by the user"),
            Cause::Default {
                value,
                condition,
                place,
            } => {
                write!(f, "default {value} if {condition} ({place})")
            }
            Cause::Selected { by } => write!(f, "selected by {}", listed(by)),
            Cause::Implied { by } => write!(f, "implied by {}", listed(by)),
            Cause::Choice => f.write_str("its choice stands at one member"),
            Cause::Limited { wanted } => write!(f, "the user's {wanted}, limited"),
            Cause::Hidden { wanted, needs } => {
                write!(
                    f,
                    "the user's {wanted} has no effect: the prompt needs {needs}"
                )
            }
            Cause::Nothing { needs } => write!(f, "nothing gives it a value; it needs {needs}"),
            Cause::Undeclared => f.write_str("not declared"),
        }
    }
}

/// A symbol, its value, what gave it, and the same for the symbols that had a part in it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Why {
    /// The symbol.
    #[serde(skip)]
    pub symbol: SymbolId,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// File and line of its first declaration; empty when there is none.
    pub place: String,
    /// What gave the value.
    pub cause: Cause,
    /// The symbols that selected it, or that the cause depends on, as far as they were followed and
    /// not said before.
    pub through: Vec<Why>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, 0)
    }
}

impl Why {
    fn print(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(2 * depth);
        let place = if self.place.is_empty() {
            "-"
        } else {
            &self.place
        };
        writeln!(f, "{indent}{}={} ({place})", self.name, self.value)?;
        writeln!(f, "{indent}  {}", self.cause)?;
        self.through
            .iter()
            .try_for_each(|why| why.print(f, depth + 1))
    }
}

/// Why `symbol` has its value in `config`, following other symbols up to `depth` times.
pub fn why(config: &mut Configuration<'_>, symbol: SymbolId, depth: usize) -> Why {
    let mut seen = BTreeSet::new();
    explain(config, symbol, depth, &mut seen)
}

fn explain(
    config: &mut Configuration<'_>,
    id: SymbolId,
    depth: usize,
    seen: &mut BTreeSet<SymbolId>,
) -> Why {
    seen.insert(id);
    let tree = config.tree();
    let symbol = tree.get(id);
    let value = String::from_utf8_lossy(config.value_bytes(id)).into_owned();
    let (cause, parts) = cause(config, id);
    let mut through = Vec::new();
    if depth > 0 {
        for part in parts.into_iter().take(LISTED) {
            if !seen.contains(&part) {
                through.push(explain(config, part, depth - 1, seen));
            }
        }
    }
    let place = symbol.nodes().first().map(|node| {
        let node = tree.node(*node);
        format!(
            "{}:{}",
            String::from_utf8_lossy(tree.file_name(node.file())),
            node.line()
        )
    });
    Why {
        symbol: id,
        name: String::from_utf8_lossy(tree.display_name(id)).into_owned(),
        value,
        place: place.unwrap_or_default(),
        cause,
        through,
    }
}

/// The cause, and the symbols that had a part in it.
fn cause(config: &mut Configuration<'_>, id: SymbolId) -> (Cause, Vec<SymbolId>) {
    let tree = config.tree();
    let symbol = tree.get(id);
    if !symbol.is_defined() {
        return (Cause::Undeclared, Vec::new());
    }
    let text = |e: Option<crate::ExprId>| {
        e.map_or_else(
            || "y".to_owned(),
            |e| String::from_utf8_lossy(&tree.expr_text(e)).into(),
        )
    };
    let (value, visible) = (config.value_bytes(id).to_vec(), config.visibility(id));
    let user = config.user_value(id);
    if symbol.choice_node().is_some() && visible != Tristate::No {
        return (Cause::Choice, Vec::new());
    }
    let (_, reverse, implied) = config.dependencies(id);
    let logical = symbol.symbol_type().is_logical();
    if logical && reverse != Tristate::No && config.tristate(id) == reverse {
        let as_user = user.as_deref() == Some(value.as_slice()) && visible >= reverse;
        if !as_user {
            let (by, selectors) = sources(config, id, PropertyKind::Select);
            return (Cause::Selected { by }, selectors);
        }
    }
    if let Some(user) = user {
        let wanted = String::from_utf8_lossy(&user).into_owned();
        if visible != Tristate::No {
            let cause = if user == value {
                Cause::User
            } else {
                Cause::Limited { wanted }
            };
            return (cause, Vec::new());
        }
        if logical && user != value {
            let needs = prompts(config, id);
            let conditions: Vec<String> = needs.iter().map(|e| text(*e)).collect();
            let parts: BTreeSet<SymbolId> =
                needs.into_iter().flat_map(|e| mentioned(tree, e)).collect();
            let needs = if conditions.is_empty() {
                "a prompt".into()
            } else {
                conditions.join(" or ")
            };
            return (Cause::Hidden { wanted, needs }, parts.into_iter().collect());
        }
    }
    if let Some((property, _)) = config.active_property(id, PropertyKind::Default) {
        let property = tree.property(property);
        let place = place(config, property);
        let parts: BTreeSet<SymbolId> = [property.expr(), property.condition()]
            .into_iter()
            .flat_map(|e| mentioned(tree, e))
            .collect();
        let (value, condition) = (text(property.expr()), text(property.condition()));
        return (
            Cause::Default {
                value,
                condition,
                place,
            },
            parts.into_iter().collect(),
        );
    }
    if logical && implied != Tristate::No && config.tristate(id) != Tristate::No {
        let (by, sources) = sources(config, id, PropertyKind::Imply);
        return (Cause::Implied { by }, sources);
    }
    let needs = symbol.direct_dependency();
    (
        Cause::Nothing { needs: text(needs) },
        mentioned(tree, needs).into_iter().collect(),
    )
}

fn place(config: &Configuration<'_>, property: &Property) -> String {
    let file = String::from_utf8_lossy(config.tree().file_name(property.file()));
    format!("{file}:{}", property.line())
}

fn prompts(config: &Configuration<'_>, id: SymbolId) -> Vec<Option<crate::ExprId>> {
    let tree = config.tree();
    let properties = tree
        .get(id)
        .properties()
        .iter()
        .map(|property| tree.property(*property));
    properties
        .filter(|property| matches!(property.kind(), PropertyKind::Prompt | PropertyKind::Menu))
        .map(Property::condition)
        .collect()
}

/// The first of some names, and how many there are beside.
fn listed(names: &[String]) -> String {
    let first = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The symbols whose select or imply of `id` is in effect, with their names.
fn sources(
    config: &mut Configuration<'_>,
    id: SymbolId,
    kind: PropertyKind,
) -> (Vec<String>, Vec<SymbolId>) {
    let symbols = active(config, id, kind);
    let name = |id: &SymbolId| String::from_utf8_lossy(config.tree().display_name(*id)).into();
    (symbols.iter().map(name).collect(), symbols)
}

/// The symbols whose select or imply of `id` is in effect.
fn active(config: &mut Configuration<'_>, id: SymbolId, kind: PropertyKind) -> Vec<SymbolId> {
    let tree = config.tree();
    let mut found = Vec::new();
    for other in tree.symbols() {
        for property in tree.properties_of(other, kind) {
            if tree.property_symbol(property) == Some(id)
                && config.tristate(other) != Tristate::No
                && config.evaluate(tree.property(property).condition()) != Tristate::No
                && !found.contains(&other)
            {
                found.push(other);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};

    #[test]
    fn every_cause_is_named() {
        let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\n\
                    config C\n\tint\n\tdefault 4 if !A\n\nconfig D\n\tbool \"d\"\n\timply E\n\n\
                    config E\n\tbool\n\nconfig F\n\tint \"f\"\n\trange 1 9\n";
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
        for (name, value) in [("B", "y"), ("D", "y"), ("F", "12")] {
            assert!(config.set(name, value));
        }
        let mut cause = |name| why(&mut config, tree.symbol(name).unwrap(), 2).cause;
        assert_eq!(cause("A"), Cause::Nothing { needs: "y".into() });
        assert_eq!(
            cause("B"),
            Cause::Hidden {
                wanted: "y".into(),
                needs: "A".into()
            }
        );
        assert!(matches!(cause("C"), Cause::Default { value, place, .. }
            if value == "4" && place == "Kconfig:10"));
        assert_eq!(cause("D"), Cause::User);
        let by = vec!["D".to_owned()];
        assert_eq!(cause("E"), Cause::Implied { by });
        assert_eq!(
            cause("F"),
            Cause::Limited {
                wanted: "12".into()
            }
        );
        let e = tree.symbol("E").unwrap();
        let alone = why(&mut config, e, 0).to_string();
        assert!(alone.ends_with("implied by D\n"), "{alone}");
    }
}
