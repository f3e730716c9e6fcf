//! The search: goals, the ways to reach each of them, and the way back when none is open.

use super::Required;
use super::cost::Costs;
use super::goal::{Agenda, Decision, Goal, Want};
use super::ways::{Ways, by_cost};
use crate::configuration::Configuration;
use crate::expr::ExprId;
use crate::kconfig::Kconfig;
use crate::symbol::{SymbolId, Tristate};
use std::collections::{BTreeMap, BTreeSet};

use Tristate::{Mod, No, Yes};

/// Goals after which the search gives up.
const STEPS: usize = 400_000;

/// Evaluations of the whole tree after which the search gives up.
const EVALUATIONS: usize = 300;

/// Lines about closed ways that are kept.
const OBSTACLES: usize = 8;

/// How a search ended.
pub(super) enum Outcome<'t> {
    /// With a configuration that was evaluated and has the required values.
    Found(Box<Configuration<'t>>),
    /// Every way is closed.
    Impossible,
    /// After this many steps there were ways left.
    TooHard(usize),
}

/// What the search has to take back.
pub(super) enum Undo {
    Lower(SymbolId, Option<(Tristate, Goal)>),
    Upper(SymbolId, Option<(Tristate, Goal)>),
    Decision(SymbolId),
}

/// Ways not yet tried.
pub(super) struct ChoicePoint {
    trail: usize,
    evaluations: usize,
    rest: Agenda,
    ways: std::vec::IntoIter<Vec<Goal>>,
}

pub(super) struct Search<'a, 't> {
    pub(super) tree: &'t Kconfig,
    pub(super) base: &'a Configuration<'t>,
    pub(super) required: &'a [Required],
    /// The base with the decisions as of the last evaluation.
    pub(super) config: Configuration<'t>,
    pub(super) costs: Costs,
    pub(super) decisions: BTreeMap<SymbolId, Decision>,
    pub(super) lower: BTreeMap<SymbolId, (Tristate, Goal)>,
    pub(super) upper: BTreeMap<SymbolId, (Tristate, Goal)>,
    pub(super) trail: Vec<Undo>,
    pub(super) open: Vec<ChoicePoint>,
    pub(super) evaluations: usize,
    pub(super) obstacles: Vec<String>,
    /// Symbols that the base already selects against their dependencies.
    pub(super) unmet: BTreeSet<SymbolId>,
}

impl<'a, 't> Search<'a, 't> {
    pub(super) fn new(base: &'a Configuration<'t>, required: &'a [Required]) -> Self {
        let mut config = base.clone();
        let costs = Costs::new(&mut config);
        let unmet = crate::prune::unmet(&mut config);
        Self {
            tree: base.tree(),
            base,
            required,
            config,
            costs,
            decisions: BTreeMap::new(),
            lower: BTreeMap::new(),
            upper: BTreeMap::new(),
            trail: Vec::new(),
            open: Vec::new(),
            evaluations: 0,
            obstacles: Vec::new(),
            unmet,
        }
    }

    /// What was decided, by symbol.
    pub(super) fn decisions(&self) -> impl Iterator<Item = (SymbolId, &Decision)> {
        self.decisions
            .iter()
            .map(|(symbol, decision)| (*symbol, decision))
    }

    /// What stood in the way, as it was met: the cheapest ways are tried first.
    pub(super) fn obstacles(self) -> Vec<String> {
        self.obstacles
    }

    pub(super) fn run(&mut self) -> Outcome<'t> {
        let goals = self
            .required
            .iter()
            .enumerate()
            .flat_map(|(index, required)| {
                let goals = self.requirement(required);
                goals.into_iter().map(move |want| Goal::new(want, index))
            });
        let mut agenda = Agenda::default().with(goals.collect());
        // Decisions as of the last evaluation: repairing without deciding anything is no progress.
        let mut decided = usize::MAX;
        for step in 0..STEPS {
            let next = if let Some((goal, rest)) = agenda.split() {
                let mut ways = self.expand(&goal).into_iter();
                let first = ways.next();
                if ways.len() > 0 {
                    self.open.push(ChoicePoint {
                        trail: self.trail.len(),
                        evaluations: self.evaluations,
                        rest: rest.clone(),
                        ways,
                    });
                }
                first.map(|goals| rest.with(goals))
            } else {
                if self.evaluations >= EVALUATIONS {
                    return Outcome::TooHard(step);
                }
                self.evaluate();
                let violated = self.violated();
                if violated.is_empty() {
                    return Outcome::Found(Box::new(self.config.clone()));
                }
                let progress = decided != self.decisions.len();
                decided = self.decisions.len();
                progress.then(|| Agenda::default().with(violated))
            };
            agenda = match next.or_else(|| {
                decided = usize::MAX;
                self.backtrack()
            }) {
                Some(agenda) => agenda,
                None => return Outcome::Impossible,
            };
        }
        Outcome::TooHard(STEPS)
    }

    fn requirement(&self, required: &Required) -> Vec<Want> {
        let symbol = required.symbol;
        if !self.tree.get(symbol).symbol_type().is_logical() {
            return vec![Want::Text(symbol, required.value.clone())];
        }
        match required.value.as_slice() {
            b"y" => vec![Want::SymbolAtLeast(symbol, Yes)],
            b"m" => vec![
                Want::SymbolAtMost(symbol, Mod),
                Want::SymbolAtLeast(symbol, Mod),
            ],
            _ => vec![Want::SymbolAtMost(symbol, No)],
        }
    }

    fn backtrack(&mut self) -> Option<Agenda> {
        loop {
            let point = self.open.last_mut()?;
            let Some(goals) = point.ways.next() else {
                self.open.pop();
                continue;
            };
            let (trail, rest) = (point.trail, point.rest.clone());
            let stale = point.evaluations != self.evaluations;
            while self.trail.len() > trail {
                match self.trail.pop() {
                    Some(Undo::Lower(symbol, old)) => restore(&mut self.lower, symbol, old),
                    Some(Undo::Upper(symbol, old)) => restore(&mut self.upper, symbol, old),
                    Some(Undo::Decision(symbol)) => drop(self.decisions.remove(&symbol)),
                    None => break,
                }
            }
            if stale {
                self.evaluate();
                if let Some(point) = self.open.last_mut() {
                    point.evaluations = self.evaluations;
                }
            }
            return Some(rest.with(goals));
        }
    }

    fn evaluate(&mut self) {
        self.evaluations += 1;
        self.config = self.base.clone();
        for (symbol, decision) in &self.decisions {
            self.config.set_bytes(*symbol, &decision.value);
        }
        self.config.refresh();
    }

    /// Goals that evaluation shows not to be reached.
    fn violated(&mut self) -> Vec<Goal> {
        let mut goals = Vec::new();
        let mut missed = |goal: &Goal, want: Want| {
            goals.push(Goal {
                want,
                again: true,
                ..goal.clone()
            });
        };
        for (symbol, (value, goal)) in &self.upper {
            if self.config.tristate(*symbol) > *value {
                missed(goal, Want::SymbolAtMost(*symbol, *value));
            }
        }
        for (symbol, (value, goal)) in &self.lower {
            if self.config.tristate(*symbol) < *value {
                missed(goal, Want::SymbolAtLeast(*symbol, *value));
            }
        }
        for (index, required) in self.required.iter().enumerate() {
            let symbol = required.symbol;
            if self.config.value_bytes(symbol) != required.value.as_slice()
                && !self.tree.get(symbol).symbol_type().is_logical()
            {
                let goal = Goal::new(Want::Text(symbol, required.value.clone()), index);
                missed(&goal, goal.want.clone());
            }
        }
        // A symbol selected against its dependencies.
        for symbol in self.tree.symbols() {
            let (direct, reverse, _) = self.config.dependencies(symbol);
            if reverse > direct
                && let Some(dependency) = self.tree.get(symbol).direct_dependency()
                && let Some(goal) = self.nearest(symbol)
            {
                goals.push(goal.needed_by(symbol, Want::AtLeast(dependency, reverse)));
            }
        }
        goals
    }

    /// A goal that led to the selection of `symbol`; none if the base selects it already.
    fn nearest(&self, symbol: SymbolId) -> Option<Goal> {
        if self.unmet.contains(&symbol) {
            return None;
        }
        let last = self.decisions.values().next_back()?;
        Some(
            self.lower
                .get(&symbol)
                .map_or_else(|| last.goal.clone(), |(_, goal)| goal.clone()),
        )
    }

    fn expand(&mut self, goal: &Goal) -> Ways {
        match &goal.want {
            Want::AtLeast(e, value) => self.at_least(goal, *e, *value),
            Want::AtMost(e, value) => self.at_most(goal, *e, *value),
            Want::BothAtMost(a, b, value) => {
                let parts = [*a, *b].into_iter().flatten();
                let parts: Vec<(u32, ExprId)> = parts.map(|e| (self.costs.off(e), e)).collect();
                by_cost(parts, |e| vec![goal.also(Want::AtMost(e, *value))])
            }
            Want::SymbolAtLeast(symbol, value) => self.symbol_at_least(goal, *symbol, *value),
            Want::SymbolAtMost(symbol, value) => self.symbol_at_most(goal, *symbol, *value),
            Want::Text(symbol, text) => self.text(goal, *symbol, text),
            Want::Set(symbol, text) => self.set(goal, *symbol, text),
        }
    }

    pub(super) fn name(&self, symbol: SymbolId) -> String {
        String::from_utf8_lossy(self.tree.display_name(symbol)).into_owned()
    }

    /// What a goal is for.
    pub(super) fn origin(&self, goal: &Goal) -> String {
        let required = &self.required[goal.requirement];
        let value = String::from_utf8_lossy(&required.value);
        let requirement = format!("{}={value}", self.name(required.symbol));
        match goal.path().last() {
            Some(last) if *last != required.symbol => {
                format!("{}, which {requirement} needs", self.name(*last))
            }
            _ => requirement,
        }
    }

    pub(super) fn obstacle(&mut self, goal: &Goal, symbol: SymbolId, text: &str) {
        let line = format!("{} (for {}) {text}", self.name(symbol), self.origin(goal));
        if self.obstacles.len() < OBSTACLES && !self.obstacles.contains(&line) {
            self.obstacles.push(line);
        }
    }
}

fn restore(
    map: &mut BTreeMap<SymbolId, (Tristate, Goal)>,
    symbol: SymbolId,
    old: Option<(Tristate, Goal)>,
) {
    match old {
        Some(old) => map.insert(symbol, old),
        None => map.remove(&symbol),
    };
}
