//! The ways to give an expression a value.

use super::goal::{Goal, Want};
use super::search::Search;
use crate::expr::{Comparison, Expr, ExprId};
use crate::symbol::{SymbolId, Tristate};

use Tristate::{Mod, No, Yes};

/// Ways to reach a goal: each a list of goals that together are enough. None: impossible.
pub(super) type Ways = Vec<Vec<Goal>>;

/// A way with what it is sorted by.
pub(super) struct Rated {
    pub(super) last_resort: bool,
    pub(super) cost: u32,
    pub(super) goals: Vec<Goal>,
}

impl Rated {
    pub(super) fn new(cost: u32, goals: Vec<Goal>) -> Self {
        Self {
            last_resort: false,
            cost,
            goals,
        }
    }

    /// A way that is tried when no other leads on, whatever it costs.
    pub(super) fn last_resort(cost: u32, goals: Vec<Goal>) -> Self {
        Self {
            last_resort: true,
            cost,
            goals,
        }
    }
}

impl Search<'_, '_> {
    pub(super) fn at_least(&mut self, goal: &Goal, e: ExprId, value: Tristate) -> Ways {
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

    pub(super) fn at_most(&mut self, goal: &Goal, e: ExprId, value: Tristate) -> Ways {
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
    pub(super) fn disjuncts(&self, e: ExprId) -> Vec<ExprId> {
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
    pub(super) fn comparison(
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
                if how.holds(x.cmp(&y)) {
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

    pub(super) fn exactly(&self, goal: &Goal, symbol: SymbolId, value: Tristate) -> Vec<Goal> {
        let mut goals = Vec::new();
        if value != Yes {
            goals.push(goal.also(Want::SymbolAtMost(symbol, value)));
        }
        if value != No {
            goals.push(goal.also(Want::SymbolAtLeast(symbol, value)));
        }
        goals
    }

    pub(super) fn change(&mut self, symbol: SymbolId, value: Tristate) -> u32 {
        match self.config.tristate(symbol) {
            present if present == value => 0,
            No => self.costs.symbol_on(symbol).max(1),
            _ => 1,
        }
    }
}

/// Nothing is left to do.
pub(super) fn done() -> Ways {
    vec![Vec::new()]
}

pub(super) fn by_cost(mut parts: Vec<(u32, ExprId)>, goals: impl Fn(ExprId) -> Vec<Goal>) -> Ways {
    parts.sort_by_key(|(cost, _)| *cost);
    parts.into_iter().map(|(_, part)| goals(part)).collect()
}

/// The cheapest first, as written among equals.
pub(super) fn sorted(mut ways: Vec<Rated>) -> Ways {
    ways.sort_by_key(|way| (way.last_resort, way.cost));
    ways.into_iter().map(|way| way.goals).collect()
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
