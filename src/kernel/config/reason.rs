//! Why an option of a configuration has its value.

use std::fmt::Write as _;

use lupine_kconfig::solve::Added;
use lupine_kconfig::{Configuration, Kconfig, PropertyKind, SymbolId, Tristate};
use serde::{Deserialize, Serialize};

use super::class::{Class, class_of, file_of};
use crate::needs::{Evidence, Needs, OptionNeed};

/// Why an option has its value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reason {
    /// The option, without `CONFIG_`.
    pub symbol: String,
    /// Its value.
    pub value: String,
    /// What kind of reason.
    pub kind: ReasonKind,
    /// The reason in words.
    pub because: String,
    /// Whether a person could change it: it has a visible prompt.
    pub prompt: bool,
    /// The paper's class of options that it would belong to if nothing needed it.
    pub class: Class,
    /// For a need: where it was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// What kind of reason an option's value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// Part of lupine-base.
    Base,
    /// The application needs it.
    Need,
    /// Another option that is wanted depends on it.
    Dependency,
    /// Another option selects or implies it.
    Selected,
    /// The member that its choice stands at; nobody asked.
    Choice,
    /// Its default: no prompt could change it, or it is no switch.
    Default,
    /// The baseline has it; nobody asked.
    Baseline,
}

impl ReasonKind {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ReasonKind::Base => "base",
            ReasonKind::Need => "need",
            ReasonKind::Dependency => "dependency",
            ReasonKind::Selected => "selected",
            ReasonKind::Choice => "choice",
            ReasonKind::Default => "default",
            ReasonKind::Baseline => "baseline",
        }
    }
}

/// Reasons as a table for people: option, kind, words.
#[must_use]
pub fn reasons_text(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for reason in reasons {
        let option = format!("{}={}", reason.symbol, reason.value);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{option:40} {:11} {}",
            reason.kind.as_str(),
            reason.because
        );
    }
    text
}

/// What was asked for, and what the solver added.
pub(super) struct Asked<'a> {
    pub(super) base: &'a [OptionNeed],
    pub(super) options: &'a [OptionNeed],
    pub(super) needs: &'a Needs,
    pub(super) added: &'a [Added],
    /// Whether the rest is a baseline's, which nobody explains.
    pub(super) is_baseline: bool,
}

impl Asked<'_> {
    /// The reason of one option in the finished configuration.
    pub(super) fn reason(
        &self,
        tree: &Kconfig,
        config: &mut Configuration<'_>,
        id: SymbolId,
        symbol: String,
        value: String,
    ) -> Reason {
        let (kind, because) = self.stated(&symbol).unwrap_or_else(|| {
            let (_, reverse, implied) = config.dependencies(id);
            if reverse != Tristate::No {
                let names = selectors(tree, config, id, PropertyKind::Select);
                (ReasonKind::Selected, format!("selected by {names}"))
            } else if implied != Tristate::No {
                let names = selectors(tree, config, id, PropertyKind::Imply);
                (ReasonKind::Selected, format!("implied by {names}"))
            } else if self.is_baseline && config.visibility(id) != Tristate::No {
                (ReasonKind::Baseline, "part of the baseline".to_owned())
            } else if tree.get(id).choice_node().is_some() {
                (ReasonKind::Choice, "its choice stands at it".to_owned())
            } else {
                (ReasonKind::Default, default(tree, config, id).to_owned())
            }
        });
        let of_symbol = |need: &&crate::needs::Need| need.options.contains_key(&symbol);
        let evidence = match kind {
            ReasonKind::Need => self.needs.needs.iter().find(of_symbol),
            _ => None,
        };
        Reason {
            evidence: evidence
                .map(|need| need.evidence.clone())
                .unwrap_or_default(),
            prompt: config.visibility(id) != Tristate::No,
            class: class_of(&symbol, &file_of(tree, id)),
            symbol,
            value,
            kind,
            because,
        }
    }

    fn stated(&self, symbol: &str) -> Option<(ReasonKind, String)> {
        let of = |list: &[OptionNeed]| {
            let found = list.iter().find(|option| option.symbol == symbol);
            found.map(|option| option.because.clone())
        };
        let added = self.added.iter().find(|added| added.name == symbol);
        of(self.base)
            .map(|because| (ReasonKind::Base, because))
            .or_else(|| of(self.options).map(|because| (ReasonKind::Need, because)))
            .or_else(|| added.map(|added| (ReasonKind::Dependency, added.because.to_string())))
    }
}

fn default(tree: &Kconfig, config: &mut Configuration<'_>, id: SymbolId) -> &'static str {
    match (
        config.visibility(id),
        tree.get(id).symbol_type().is_logical(),
    ) {
        (Tristate::No, _) => "default without a prompt",
        (_, true) => "default",
        (_, false) => "default value",
    }
}

/// The options that select or imply `id` in this configuration.
fn selectors(
    tree: &Kconfig,
    config: &mut Configuration<'_>,
    id: SymbolId,
    kind: PropertyKind,
) -> String {
    let mut names = Vec::new();
    for other in tree.symbols() {
        let mut properties = tree.properties_of(other, kind);
        let names_it = properties.any(|property| tree.property_symbol(property) == Some(id));
        if names_it && config.tristate(other) != Tristate::No {
            let name = tree
                .name(other)
                .map(|name| String::from_utf8_lossy(name).into_owned());
            names.extend(name);
        }
    }
    names.truncate(4);
    names.join(", ")
}
