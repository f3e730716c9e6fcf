//! The search: goals, the ways to reach each of them, and the way back when none is open.

use super::Required;
use super::cost::Costs;
use super::goal::{Agenda, Decision, Goal, Want};
use crate::configuration::Configuration;
use crate::expr::{Comparison, Expr, ExprId};
use crate::kconfig::Kconfig;
use crate::property::PropertyKind;
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
enum Undo {
    Lower(SymbolId, Option<(Tristate, Goal)>),
    Upper(SymbolId, Option<(Tristate, Goal)>),
    Decision(SymbolId),
}

/// Ways not yet tried.
struct ChoicePoint {
    trail: usize,
    evaluations: usize,
    rest: Agenda,
    ways: std::vec::IntoIter<Vec<Goal>>,
}

/// Ways to reach a goal: each a list of goals that together are enough. None: impossible.
type Ways = Vec<Vec<Goal>>;

/// A way with what it is sorted by.
struct Rated {
    last_resort: bool,
    cost: u32,
    goals: Vec<Goal>,
}

pub(super) struct Search<'a, 't> {
    tree: &'t Kconfig,
    base: &'a Configuration<'t>,
    required: &'a [Required],
    /// The base with the decisions as of the last evaluation.
    config: Configuration<'t>,
    costs: Costs,
    decisions: BTreeMap<SymbolId, Decision>,
    lower: BTreeMap<SymbolId, (Tristate, Goal)>,
    upper: BTreeMap<SymbolId, (Tristate, Goal)>,
    trail: Vec<Undo>,
    open: Vec<ChoicePoint>,
    evaluations: usize,
    obstacles: Vec<String>,
    /// Symbols that the base already selects against their dependencies.
    unmet: BTreeSet<SymbolId>,
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

    /// What stood in the way, the latest first.
    pub(super) fn obstacles(&self) -> Vec<String> {
        self.obstacles.iter().rev().cloned().collect()
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

    fn at_least(&mut self, goal: &Goal, e: ExprId, value: Tristate) -> Ways {
        if value == No {
            return done();
        }
        match self.tree.expr(e) {
            Expr::Symbol(symbol) => vec![vec![goal.also(Want::SymbolAtLeast(symbol, value))]],
            Expr::Not(inner) => {
                let most = if value == Yes { No } else { Mod };
                vec![vec![goal.also(Want::AtMost(inner, most))]]
            }
            Expr::And(a, b) => {
                let wants = [Want::AtLeast(a, value), Want::AtLeast(b, value)];
                vec![wants.map(|want| goal.also(want)).to_vec()]
            }
            Expr::Or(..) => {
                let parts = self.disjuncts(e).into_iter().map(|part| {
                    let holds = self.config.evaluate(Some(part)) >= value;
                    (if holds { 0 } else { self.costs.on(part).max(1) }, part)
                });
                let parts = parts.collect();
                by_cost(parts, |part| vec![goal.also(Want::AtLeast(part, value))])
            }
            Expr::Compare(how, a, b) => self.comparison(goal, e, how, a, b, true),
            Expr::Range(..) => Vec::new(),
        }
    }

    fn at_most(&mut self, goal: &Goal, e: ExprId, value: Tristate) -> Ways {
        if value == Yes {
            return done();
        }
        match self.tree.expr(e) {
            Expr::Symbol(symbol) => vec![vec![goal.also(Want::SymbolAtMost(symbol, value))]],
            Expr::Not(inner) => {
                let least = if value == No { Yes } else { Mod };
                vec![vec![goal.also(Want::AtLeast(inner, least))]]
            }
            Expr::And(a, b) => {
                let parts = [a, b].map(|part| {
                    let holds = self.config.evaluate(Some(part)) <= value;
                    (
                        if holds {
                            0
                        } else {
                            self.costs.off(part).max(1)
                        },
                        part,
                    )
                });
                by_cost(parts.to_vec(), |part| {
                    vec![goal.also(Want::AtMost(part, value))]
                })
            }
            Expr::Or(a, b) => {
                let wants = [Want::AtMost(a, value), Want::AtMost(b, value)];
                vec![wants.map(|want| goal.also(want)).to_vec()]
            }
            Expr::Compare(how, a, b) => self.comparison(goal, e, how, a, b, false),
            Expr::Range(..) => done(),
        }
    }

    /// The parts of an `||`, as written.
    fn disjuncts(&self, e: ExprId) -> Vec<ExprId> {
        let (mut parts, mut open) = (Vec::new(), vec![e]);
        while let Some(e) = open.pop() {
            match self.tree.expr(e) {
                Expr::Or(a, b) => open.extend([b, a]),
                _ => parts.push(e),
            }
        }
        parts
    }

    /// Ways to make a comparison hold, or not.
    fn comparison(
        &mut self,
        goal: &Goal,
        e: ExprId,
        how: Comparison,
        a: SymbolId,
        b: SymbolId,
        hold: bool,
    ) -> Ways {
        let how = if hold { how } else { how.negate() };
        let tristate = |symbol: SymbolId| {
            let known = self.tree.get(symbol);
            known.symbol_type().is_logical() && (known.is_defined() || known.is_constant())
        };
        if tristate(a) && tristate(b) {
            let mut ways = Vec::new();
            for (x, y) in [(No, No), (No, Mod), (No, Yes), (Mod, No), (Mod, Mod)]
                .into_iter()
                .chain([(Mod, Yes), (Yes, No), (Yes, Mod), (Yes, Yes)])
            {
                if compares(how, x.cmp(&y)) {
                    let mut goals = self.exactly(goal, a, x);
                    goals.extend(self.exactly(goal, b, y));
                    let changes = [(a, x), (b, y)];
                    let cost = changes.map(|(symbol, value)| self.change(symbol, value));
                    ways.push(Rated {
                        last_resort: false,
                        cost: cost[0] + cost[1],
                        goals,
                    });
                }
            }
            return sorted(ways);
        }
        if (self.config.evaluate(Some(e)) == Yes) == hold && !goal.again {
            return done();
        }
        // One side a number or text that can be set, the other one as it is.
        let mut ways = Vec::new();
        for (symbol, other, how) in [(a, b, how), (b, a, mirrored(how))] {
            let text = self.config.value_bytes(other).to_vec();
            let known = self.tree.get(symbol);
            if !known.is_defined() || known.symbol_type().is_logical() {
                continue;
            }
            let candidates = match how {
                Comparison::Equal | Comparison::LessOrEqual | Comparison::GreaterOrEqual => {
                    vec![text]
                }
                Comparison::Less => neighbour(&text, -1),
                Comparison::Greater => neighbour(&text, 1),
                Comparison::Unequal => {
                    let mut both = neighbour(&text, 1);
                    both.extend(neighbour(&text, -1));
                    both
                }
            };
            ways.extend(
                candidates
                    .into_iter()
                    .map(|text| vec![goal.also(Want::Text(symbol, text))]),
            );
        }
        ways
    }

    fn exactly(&self, goal: &Goal, symbol: SymbolId, value: Tristate) -> Vec<Goal> {
        let mut goals = Vec::new();
        if value != Yes {
            goals.push(goal.also(Want::SymbolAtMost(symbol, value)));
        }
        if value != No {
            goals.push(goal.also(Want::SymbolAtLeast(symbol, value)));
        }
        goals
    }

    fn change(&mut self, symbol: SymbolId, value: Tristate) -> u32 {
        match self.config.tristate(symbol) {
            present if present == value => 0,
            No => self.costs.symbol_on(symbol).max(1),
            _ => 1,
        }
    }

    fn symbol_at_least(&mut self, goal: &Goal, symbol: SymbolId, value: Tristate) -> Ways {
        let known = self.tree.get(symbol);
        let present = self.config.tristate(symbol);
        if known.is_constant() || !known.is_defined() || !known.symbol_type().is_logical() {
            if present >= value {
                return done();
            }
            if !known.is_constant() {
                self.obstacle(goal, symbol, "is not declared as an option that can be on");
            }
            return Vec::new();
        }
        let whole = !matches!(
            self.config.effective_type(symbol),
            crate::SymbolType::Tristate
        );
        let modules = self.tree.modules();
        let can_be_module = known.symbol_type() == crate::SymbolType::Tristate
            && modules != SymbolId::NO
            && (!whole
                || self
                    .upper
                    .get(&symbol)
                    .is_some_and(|(most, _)| *most == Mod));
        let value = if can_be_module { value } else { Yes };
        if let Some((most, other)) = self.upper.get(&symbol)
            && *most < value
        {
            let text = format!(
                "has to be at least {} here, but at most {} for {}",
                value.as_str(),
                most.as_str(),
                self.origin(other)
            );
            self.obstacle(goal, symbol, &text);
            return Vec::new();
        }
        let reached = self
            .lower
            .get(&symbol)
            .is_some_and(|(least, _)| *least >= value);
        if reached && !goal.again {
            return done();
        }
        if !reached {
            let old = self.lower.insert(symbol, (value, goal.clone()));
            self.trail.push(Undo::Lower(symbol, old));
        }
        if present >= value && !goal.again {
            return done();
        }
        let most = self.upper.get(&symbol).map_or(Yes, |(most, _)| *most);
        let mut ways = Vec::new();
        for level in [Yes, Mod] {
            if level >= value && level <= most {
                let mut found = self.ways_on(goal, symbol, level);
                if level == Mod && self.config.tristate(modules) == No {
                    for goals in &mut found {
                        goals.insert(0, goal.needed_by(symbol, Want::SymbolAtLeast(modules, Yes)));
                    }
                }
                ways.extend(found);
            }
        }
        if ways.is_empty() {
            self.obstacle(
                goal,
                symbol,
                "has no prompt, and nothing selects it or turns it on",
            );
        }
        ways
    }

    fn ways_on(&mut self, goal: &Goal, symbol: SymbolId, level: Tristate) -> Ways {
        let known = self.tree.get(symbol);
        // On a bool, m counts as y.
        let enough = if known.symbol_type() == crate::SymbolType::Bool {
            Mod
        } else {
            level
        };
        let need = |e: Option<ExprId>| e.map(|e| goal.needed_by(symbol, Want::AtLeast(e, enough)));
        let cost = |e: Option<ExprId>| e.map_or(0, |e| self.costs.on(e));
        let mut ways = Vec::new();
        let mut prompted = false;
        for property in known.properties() {
            let property = self.tree.property(*property);
            if matches!(property.kind(), PropertyKind::Prompt | PropertyKind::Menu) {
                prompted = true;
                let mut goals: Vec<Goal> = need(property.condition()).into_iter().collect();
                if !known.is_choice() {
                    goals.push(goal.also(Want::Set(symbol, level.as_str().into())));
                }
                let cost = cost(property.condition());
                ways.push(Rated {
                    last_resort: false,
                    cost,
                    goals,
                });
            }
        }
        let mut before: Vec<Goal> = Vec::new();
        for property in known.properties() {
            let property = self.tree.property(*property);
            if property.kind() != PropertyKind::Default || prompted {
                continue;
            }
            let parts = [
                property.condition(),
                property.expr(),
                known.direct_dependency(),
            ];
            let mut goals = before.clone();
            goals.extend(parts.into_iter().filter_map(need));
            let cost = parts.into_iter().map(cost).sum();
            ways.push(Rated {
                last_resort: false,
                cost,
                goals,
            });
            match property.condition() {
                Some(e) => before.push(goal.needed_by(symbol, Want::AtMost(e, No))),
                None => break,
            }
        }
        let implied = if prompted {
            None
        } else {
            known.implied_dependency()
        };
        for selectors in [known.reverse_dependency(), implied].into_iter().flatten() {
            for selector in self.disjuncts(selectors) {
                let parts = [Some(selector), known.direct_dependency()];
                let goals = parts.into_iter().filter_map(need).collect();
                let cost = parts.into_iter().map(cost).sum();
                ways.push(Rated {
                    last_resort: prompted,
                    cost,
                    goals,
                });
            }
        }
        sorted(ways)
    }

    fn symbol_at_most(&mut self, goal: &Goal, symbol: SymbolId, value: Tristate) -> Ways {
        let known = self.tree.get(symbol);
        let present = self.config.tristate(symbol);
        if known.is_constant() || !known.is_defined() || !known.symbol_type().is_logical() {
            return if present <= value { done() } else { Vec::new() };
        }
        if let Some((least, other)) = self.lower.get(&symbol)
            && *least > value
        {
            let text = format!(
                "has to be at most {} here, but at least {} for {}",
                value.as_str(),
                least.as_str(),
                self.origin(other)
            );
            self.obstacle(goal, symbol, &text);
            return Vec::new();
        }
        let reached = self
            .upper
            .get(&symbol)
            .is_some_and(|(most, _)| *most <= value);
        if reached && !goal.again {
            return done();
        }
        if !reached {
            let old = self.upper.insert(symbol, (value, goal.clone()));
            self.trail.push(Undo::Upper(symbol, old));
        }
        if present <= value && !goal.again {
            return done();
        }
        let ways = self.ways_off(goal, symbol, value);
        if ways.is_empty() {
            self.obstacle(goal, symbol, "is always on");
        }
        ways
    }

    fn ways_off(&mut self, goal: &Goal, symbol: SymbolId, value: Tristate) -> Ways {
        let known = self.tree.get(symbol);
        let off = |e: Option<ExprId>| e.map(|e| goal.needed_by(symbol, Want::AtMost(e, value)));
        let mut ways = Vec::new();
        let prompts: Vec<Option<ExprId>> = known
            .properties()
            .iter()
            .map(|property| self.tree.property(*property))
            .filter(|property| matches!(property.kind(), PropertyKind::Prompt | PropertyKind::Menu))
            .map(crate::property::Property::condition)
            .collect();
        if let Some(choice) = known
            .choice_node()
            .and_then(|node| self.tree.choice_at(node))
        {
            for other in choice.members() {
                if *other != symbol {
                    let want = Want::SymbolAtLeast(*other, Yes);
                    let goals = vec![goal.needed_by(symbol, want)];
                    let cost = self.costs.symbol_on(*other).max(1);
                    ways.push(Rated {
                        last_resort: false,
                        cost,
                        goals,
                    });
                }
            }
            // Or no prompt of it is to be seen.
            if let Some(goals) = prompts.into_iter().map(off).collect::<Option<Vec<Goal>>>() {
                ways.push(Rated {
                    last_resort: true,
                    cost: 1,
                    goals,
                });
            }
            return sorted(ways);
        }
        let reverse = off(known.reverse_dependency());
        if !prompts.is_empty() && !known.is_choice() {
            let mut goals: Vec<Goal> = reverse.clone().into_iter().collect();
            goals.push(goal.also(Want::Set(symbol, value.as_str().into())));
            ways.push(Rated {
                last_resort: false,
                cost: 1,
                goals,
            });
        }
        if let Some(direct) = off(known.direct_dependency()) {
            let mut goals = vec![direct];
            goals.extend(reverse.clone());
            let cost = known.direct_dependency().map_or(0, |e| self.costs.off(e));
            ways.push(Rated {
                last_resort: true,
                cost,
                goals,
            });
        }
        let mut goals: Vec<Goal> = reverse.into_iter().collect();
        goals.extend(off(known.implied_dependency()));
        let mut open = true;
        for property in known.properties() {
            let property = self.tree.property(*property);
            if property.kind() == PropertyKind::Default {
                open &= property.condition().or(property.expr()).is_some();
                let want = Want::BothAtMost(property.condition(), property.expr(), value);
                goals.push(goal.needed_by(symbol, want));
            }
        }
        if open {
            ways.push(Rated {
                last_resort: true,
                cost: 2,
                goals,
            });
        }
        sorted(ways)
    }

    fn text(&mut self, goal: &Goal, symbol: SymbolId, text: &[u8]) -> Ways {
        if self.config.value_bytes(symbol) == text && !goal.again {
            return done();
        }
        let known = self.tree.get(symbol);
        if known.is_constant() || !known.is_defined() {
            return Vec::new();
        }
        let mut ways = Vec::new();
        let mut before: Vec<Goal> = Vec::new();
        for property in known.properties() {
            let property = self.tree.property(*property);
            let condition = property
                .condition()
                .map(|e| goal.needed_by(symbol, Want::AtLeast(e, Mod)));
            let cost = property.condition().map_or(0, |e| self.costs.on(e));
            match (property.kind(), property.expr().map(|e| self.tree.expr(e))) {
                (PropertyKind::Prompt | PropertyKind::Menu, _) => {
                    let mut goals: Vec<Goal> = condition.into_iter().collect();
                    goals.push(goal.also(Want::Set(symbol, text.to_vec())));
                    ways.push(Rated {
                        last_resort: false,
                        cost,
                        goals,
                    });
                }
                (PropertyKind::Default, Some(Expr::Symbol(source))) => {
                    let mut goals = before.clone();
                    goals.extend(condition);
                    if !self.tree.get(source).is_constant() && source != symbol {
                        goals.push(goal.needed_by(symbol, Want::Text(source, text.to_vec())));
                    }
                    if self.config.value_bytes(source) == text
                        || !self.tree.get(source).is_constant()
                    {
                        ways.push(Rated {
                            last_resort: true,
                            cost,
                            goals,
                        });
                    }
                    if let Some(e) = property.condition() {
                        before.push(goal.needed_by(symbol, Want::AtMost(e, No)));
                    }
                }
                _ => {}
            }
        }
        if ways.is_empty() {
            let text = format!("cannot have the value {}", String::from_utf8_lossy(text));
            self.obstacle(goal, symbol, &text);
        }
        sorted(ways)
    }

    fn set(&mut self, goal: &Goal, symbol: SymbolId, text: &[u8]) -> Ways {
        if let Some(decided) = self.decisions.get(&symbol) {
            if decided.value == text {
                return done();
            }
            let text = format!(
                "has to be {} here, but {} for {}",
                String::from_utf8_lossy(text),
                String::from_utf8_lossy(&decided.value),
                self.origin(&decided.goal)
            );
            self.obstacle(goal, symbol, &text);
            return Vec::new();
        }
        let known = self.tree.get(symbol);
        if text == b"y"
            && let Some(choice) = known
                .choice_node()
                .and_then(|node| self.tree.choice_at(node))
        {
            let rival = choice.members().iter().find_map(|member| {
                let decided = self.decisions.get(member)?;
                (decided.value == b"y").then_some((*member, decided.goal.clone()))
            });
            if let Some((rival, other)) = rival {
                let text = format!(
                    "excludes {} of the same choice, which is needed for {}",
                    self.name(rival),
                    self.origin(&other)
                );
                self.obstacle(goal, symbol, &text);
                return Vec::new();
            }
        }
        let decision = Decision {
            value: text.to_vec(),
            goal: goal.clone(),
        };
        self.decisions.insert(symbol, decision);
        self.trail.push(Undo::Decision(symbol));
        done()
    }

    fn name(&self, symbol: SymbolId) -> String {
        String::from_utf8_lossy(self.tree.display_name(symbol)).into_owned()
    }

    /// What a goal is for.
    fn origin(&self, goal: &Goal) -> String {
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

    fn obstacle(&mut self, goal: &Goal, symbol: SymbolId, text: &str) {
        let line = format!("{} (for {}) {text}", self.name(symbol), self.origin(goal));
        if !self.obstacles.contains(&line) {
            if self.obstacles.len() >= OBSTACLES {
                self.obstacles.remove(0);
            }
            self.obstacles.push(line);
        }
    }
}

/// Nothing is left to do.
fn done() -> Ways {
    vec![Vec::new()]
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

fn by_cost(mut parts: Vec<(u32, ExprId)>, goals: impl Fn(ExprId) -> Vec<Goal>) -> Ways {
    parts.sort_by_key(|(cost, _)| *cost);
    parts.into_iter().map(|(_, part)| goals(part)).collect()
}

/// The cheapest first, as written among equals.
fn sorted(mut ways: Vec<Rated>) -> Ways {
    ways.sort_by_key(|way| (way.last_resort, way.cost));
    ways.into_iter().map(|way| way.goals).collect()
}

fn compares(how: Comparison, order: std::cmp::Ordering) -> bool {
    match how {
        Comparison::Equal => order.is_eq(),
        Comparison::Unequal => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

/// The comparison with its sides exchanged.
fn mirrored(how: Comparison) -> Comparison {
    match how {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

/// A number one above or below, in the same notation.
fn neighbour(text: &[u8], by: i64) -> Vec<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Vec::new();
    };
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let moved = match digits {
        Some(digits) => i64::from_str_radix(digits, 16)
            .ok()
            .and_then(|number| number.checked_add(by))
            .filter(|number| *number >= 0)
            .map(|number| format!("{number:#x}")),
        None => text
            .parse::<i64>()
            .ok()
            .and_then(|number| number.checked_add(by))
            .map(|number| number.to_string()),
    };
    moved.map(String::into_bytes).into_iter().collect()
}
