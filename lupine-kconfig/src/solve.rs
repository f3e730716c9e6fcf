//! Solving: from required values to a configuration that has them, or to the requirements that
//! exclude one another.
//!
//! The starting point is what `allnoconfig` gives, where every option that can be off is off.
//! Requirements become goals, goals become goals about dependencies, until values to set are left;
//! the evaluator then says whether they have the wanted effect. What can be reached in more than
//! one way (`A || B`, one of many selectors, one of several prompts) is decided by this policy:
//!
//! 1. the way that changes fewest options, as far as can be estimated without trying it,
//! 2. among equals, built in before module,
//! 3. among equals, the one written first in the Kconfig files;
//!
//! and where a way turns out to be closed, the next one is taken. Values that a prompt can give are
//! given by the prompt; `select` and defaults serve for symbols without one. No solution relies on
//! a `select` against an unmet dependency. The same question has the same answer.
//!
//! ```
//! use lupine_kconfig::solve::{Requirement, solve};
//! use lupine_kconfig::{Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};
//! let text = "config NET\n\tbool \"Networking\"\n\n\
//!             config INET\n\tbool \"TCP/IP\"\n\tdepends on NET\n";
//! let files = MemoryFiles::from([("Kconfig", text)]);
//! let tree = Kconfig::load(
//!     &files, "Kconfig", &Environment::new(), &RefuseShell, Dialect::LINUX_6_12)?;
//!
//! let mut solution = solve(&tree, &[Requirement::new("INET", "y", "the program calls socket")])?;
//! assert!(solution.config.write().ends_with(b"CONFIG_NET=y\nCONFIG_INET=y\n"));
//! let net = &solution.added[0];
//! assert_eq!((net.name.as_str(), net.value.as_str()), ("NET", "y"));
//! assert_eq!(net.because.to_string(), "INET depends on it (the program calls socket)");
//!
//! let impossible = [
//!     Requirement::new("INET", "y", "the program calls socket"),
//!     Requirement::new("NET", "n", "the policy forbids it"),
//! ];
//! assert!(solve(&tree, &impossible).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cost;
mod goal;
mod search;
mod symbol;
mod ways;

use crate::configuration::Configuration;
use crate::kconfig::Kconfig;
use crate::symbol::{SymbolId, SymbolType, Tristate};
use crate::value;
use search::{Outcome, Search};
use std::fmt;

/// A value that a configuration must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Requirement {
    /// Name of the symbol, without `CONFIG_`.
    pub name: String,
    /// `y`, `m`, `n`, a number as `.config` spells it, or a text without quotes.
    pub value: String,
    /// Why, in words of the caller; it is repeated in answers.
    pub reason: String,
}

impl Requirement {
    /// A requirement.
    pub fn new(
        name: impl Into<String>,
        value: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        Ok(())
    }
}

/// What an added value is for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Because {
    /// The requirement that led to it.
    pub requirement: Requirement,
    /// The symbols between the requirement and the value: each needs the next one. Empty when the
    /// value is the required one itself.
    pub through: Vec<String>,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.through.last() {
            None => write!(f, "required")?,
            Some(last) => write!(f, "{last} depends on it")?,
        }
        if self.through.len() > 1 {
            write!(f, ", for {}", self.requirement.name)?;
        }
        if !self.requirement.reason.is_empty() {
            write!(f, " ({})", self.requirement.reason)?;
        }
        Ok(())
    }
}

/// A value that was set to reach a solution.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Added {
    /// The symbol.
    #[serde(skip)]
    pub symbol: SymbolId,
    /// Its name, without `CONFIG_`.
    pub name: String,
    /// Its value, as in [`Requirement::value`].
    pub value: String,
    /// What it is for.
    pub because: Because,
}

/// A configuration with all required values.
#[derive(Clone, Debug)]
pub struct Solution<'a> {
    /// The configuration, evaluated: every requirement was read back from it.
    pub config: Configuration<'a>,
    /// The values that were set, in the order of the Kconfig files.
    pub added: Vec<Added>,
}

/// Requirements that cannot hold together.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Conflict {
    /// The requirements, as few as possible: each of them taken away leaves some that can hold.
    pub requirements: Vec<Requirement>,
    /// What stood in the way, one line for each closed way, as they were met: the cheapest ways are
    /// tried first.
    pub obstacles: Vec<String>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.requirements.as_slice() {
            [one] => write!(f, "{one} is impossible")?,
            many => {
                write!(f, "these cannot hold together: ")?;
                for (index, requirement) in many.iter().enumerate() {
                    write!(f, "{}{requirement}", if index == 0 { "" } else { ", " })?;
                }
            }
        }
        for obstacle in &self.obstacles {
            write!(f, "\n  {obstacle}")?;
        }
        Ok(())
    }
}

/// Why there is no solution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// The tree declares no symbol of that name.
    #[error("{requirement}: no symbol of this name is declared in the tree")]
    UnknownSymbol {
        /// The requirement that names it.
        requirement: Requirement,
    },
    /// The value is none of the symbol's type.
    #[error("{requirement}: not a value of type {}", symbol_type.as_str())]
    InvalidValue {
        /// The requirement with the value.
        requirement: Requirement,
        /// The type that the symbol has.
        symbol_type: SymbolType,
    },
    /// The requirements exclude one another, or one of them is impossible.
    #[error("{0}")]
    Conflict(Conflict),
    /// The search was ended before it had an answer.
    #[error("no solution was found in {steps} steps; there may be one")]
    TooHard {
        /// How many goals were looked at.
        steps: usize,
    },
}

/// A requirement whose parts are known to the tree.
#[derive(Clone, Debug)]
pub(crate) struct Required {
    pub(crate) symbol: SymbolId,
    pub(crate) value: Vec<u8>,
}

/// Finds a configuration that has the required values and little else.
///
/// # Errors
///
/// [`SolveError::Conflict`], with a minimal set of requirements that cannot hold together, when
/// every way is closed; the other variants for requirements that make no sense in this tree, and
/// for a search without end.
pub fn solve<'a>(
    tree: &'a Kconfig,
    requirements: &[Requirement],
) -> Result<Solution<'a>, SolveError> {
    solve_from(&smallest(tree), requirements)
}

/// The same from another starting point: what `base` has stays, unless a requirement needs it to
/// change. [`Solution::added`] is the set of changes.
///
/// # Errors
///
/// As for [`solve`].
pub fn solve_from<'a>(
    base: &Configuration<'a>,
    requirements: &[Requirement],
) -> Result<Solution<'a>, SolveError> {
    let tree = base.tree();
    let required = resolve_all(tree, requirements)?;
    let mut search = Search::new(base, &required);
    match search.run() {
        Outcome::Found(config) => {
            let added = added(tree, &search, requirements);
            Ok(Solution {
                config: *config,
                added,
            })
        }
        Outcome::TooHard(steps) => Err(SolveError::TooHard { steps }),
        Outcome::Impossible => Err(minimal_conflict(base, requirements, &required)),
    }
}

/// The same with as few changes as possible: none of [`Solution::added`] can be left out.
///
/// ```
/// use lupine_kconfig::solve::{Requirement, least_changes};
/// use lupine_kconfig::{
///     Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell,
/// };
/// let text = "config NET\n\tbool \"Networking\"\n\n\
///             config INET\n\tbool \"TCP/IP\"\n\tdepends on NET\n\tdefault y\n";
/// let files = MemoryFiles::from([("Kconfig", text)]);
/// let tree = Kconfig::load(
///     &files, "Kconfig", &Environment::new(), &RefuseShell, Dialect::LINUX_6_12)?;
/// let config = Configuration::new(&tree);
/// let solution = least_changes(&config, &[Requirement::new("INET", "y", "")])?;
/// // With NET, INET is on by itself.
/// let names: Vec<&str> = solution.added.iter().map(|added| added.name.as_str()).collect();
/// assert_eq!(names, ["NET"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As for [`solve`].
pub fn least_changes<'a>(
    base: &Configuration<'a>,
    requirements: &[Requirement],
) -> Result<Solution<'a>, SolveError> {
    let required = resolve_all(base.tree(), requirements)?;
    let mut solution = solve_from(base, requirements)?;
    let unmet = crate::prune::unmet(&mut base.clone());
    let mut at = solution.added.len();
    // What others need stands before them in most files: the last goes first.
    while at > 0 {
        at -= 1;
        let mut fewer = base.clone();
        for (index, added) in solution.added.iter().enumerate() {
            if index != at {
                fewer.set_bytes(added.symbol, added.value.as_bytes());
            }
        }
        let holds = required
            .iter()
            .all(|required| fewer.value_bytes(required.symbol) == required.value.as_slice());
        if holds && crate::prune::unmet(&mut fewer).is_subset(&unmet) {
            solution.added.remove(at);
            solution.config = fewer;
        }
    }
    Ok(solution)
}

/// What `allnoconfig` gives.
fn smallest(tree: &Kconfig) -> Configuration<'_> {
    let mut config = Configuration::new(tree);
    config.set_all_new(Some(Tristate::No));
    config
}

/// Checks requirements against the tree.
pub(crate) fn resolve_all(
    tree: &Kconfig,
    requirements: &[Requirement],
) -> Result<Vec<Required>, SolveError> {
    requirements
        .iter()
        .map(|requirement| resolve(tree, requirement))
        .collect()
}

/// Checks a requirement against the tree.
fn resolve(tree: &Kconfig, requirement: &Requirement) -> Result<Required, SolveError> {
    let symbol = tree.symbol(&requirement.name).filter(|id| {
        let symbol = tree.get(*id);
        symbol.is_defined() && !symbol.is_constant()
    });
    let Some(symbol) = symbol else {
        return Err(SolveError::UnknownSymbol {
            requirement: requirement.clone(),
        });
    };
    let symbol_type = tree.get(symbol).symbol_type();
    let value = requirement.value.as_bytes();
    let valid = match symbol_type {
        SymbolType::Bool => matches!(value, b"y" | b"n"),
        SymbolType::Tristate => matches!(value, b"y" | b"m" | b"n"),
        other => value::is_valid(other, value),
    };
    if valid {
        Ok(Required {
            symbol,
            value: value.to_vec(),
        })
    } else {
        Err(SolveError::InvalidValue {
            requirement: requirement.clone(),
            symbol_type,
        })
    }
}

/// Takes requirements away as long as the rest still cannot hold.
fn minimal_conflict(
    base: &Configuration<'_>,
    requirements: &[Requirement],
    required: &[Required],
) -> SolveError {
    let mut kept: Vec<usize> = (0..required.len()).collect();
    let mut obstacles = Vec::new();
    let mut at = 0;
    while at < kept.len() {
        let fewer: Vec<Required> = kept
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != at)
            .map(|(_, index)| required[*index].clone())
            .collect();
        match Search::new(base, &fewer).run() {
            Outcome::Impossible => {
                kept.remove(at);
            }
            _ => at += 1,
        }
    }
    let last: Vec<Required> = kept.iter().map(|index| required[*index].clone()).collect();
    let mut search = Search::new(base, &last);
    if let Outcome::Impossible = search.run() {
        obstacles = search.obstacles();
    }
    let requirements = kept
        .iter()
        .map(|index| requirements[*index].clone())
        .collect();
    SolveError::Conflict(Conflict {
        requirements,
        obstacles,
    })
}

fn added(tree: &Kconfig, search: &Search<'_, '_>, requirements: &[Requirement]) -> Vec<Added> {
    let name = |id: SymbolId| String::from_utf8_lossy(tree.display_name(id)).into_owned();
    let mut added: Vec<Added> = search
        .decisions()
        .filter_map(|(symbol, decision)| {
            let because = Because {
                requirement: requirements.get(decision.goal.requirement)?.clone(),
                through: decision.goal.path().into_iter().map(name).collect(),
            };
            let value = String::from_utf8_lossy(&decision.value).into_owned();
            Some(Added {
                symbol,
                name: name(symbol),
                value,
                because,
            })
        })
        .collect();
    added.sort_by_key(|added| tree.get(added.symbol).nodes().first().copied());
    added
}

#[cfg(test)]
mod tests;
