//! The ways to give a symbol a value: by its prompt, a default, a `select`, its choice.

use super::goal::{Decision, Goal, Want};
use super::search::{Search, Undo};
use super::ways::{Rated, Ways, done, sorted};
use crate::expr::{Expr, ExprId};
use crate::menu::Choice;
use crate::property::{Property, PropertyKind};
use crate::symbol::{SymbolId, Tristate};

use Tristate::{Mod, No, Yes};

/// Which end of the values of a symbol a goal bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Least,
    Most,
}

impl<'t> Search<'_, 't> {
    /// The conditions of a symbol's prompts.
    fn prompts(&self, symbol: SymbolId) -> Vec<Option<ExprId>> {
        let properties = self.tree.get(symbol).properties().iter();
        properties
            .map(|property| self.tree.property(*property))
            .filter(|property| matches!(property.kind(), PropertyKind::Prompt | PropertyKind::Menu))
            .map(Property::condition)
            .collect()
    }

    fn choice_of(&self, symbol: SymbolId) -> Option<&'t Choice> {
        let node = self.tree.get(symbol).choice_node()?;
        self.tree.choice_at(node)
    }

    /// Notes that `symbol` has to be at least, or at most, `value`. An error holds what follows
    /// where that decides it: nothing is left to do, or there is no way.
    fn bound(
        &mut self,
        goal: &Goal,
        symbol: SymbolId,
        value: Tristate,
        end: End,
    ) -> Result<(), Ways> {
        let meets = |known: Tristate| match end {
            End::Least => known >= value,
            End::Most => known <= value,
        };
        let (own, opposite, words) = match end {
            End::Least => (&mut self.lower, &self.upper, ["least", "most"]),
            End::Most => (&mut self.upper, &self.lower, ["most", "least"]),
        };
        if let Some((limit, other)) = opposite.get(&symbol)
            && !meets(*limit)
        {
            let text = format!(
                "has to be at {} {} here, but at {} {} for {}",
                words[0],
                value.as_str(),
                words[1],
                limit.as_str(),
                self.origin(other)
            );
            self.obstacle(goal, symbol, &text);
            return Err(Vec::new());
        }
        let reached = own.get(&symbol).is_some_and(|(known, _)| meets(*known));
        if !reached {
            let old = own.insert(symbol, (value, goal.clone()));
            self.trail.push(match end {
                End::Least => Undo::Lower(symbol, old),
                End::Most => Undo::Upper(symbol, old),
            });
        }
        if (reached || meets(self.config.tristate(symbol))) && !goal.again {
            return Err(done());
        }
        Ok(())
    }

    pub(super) fn symbol_at_least(
        &mut self,
        goal: &Goal,
        symbol: SymbolId,
        value: Tristate,
    ) -> Ways {
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
        if let Err(known) = self.bound(goal, symbol, value, End::Least) {
            return known;
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

    pub(super) fn ways_on(&mut self, goal: &Goal, symbol: SymbolId, level: Tristate) -> Ways {
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
        let prompts = self.prompts(symbol);
        let prompted = !prompts.is_empty();
        for condition in prompts {
            let mut goals: Vec<Goal> = need(condition).into_iter().collect();
            if !known.is_choice() {
                goals.push(goal.also(Want::Set(symbol, level.as_str().into())));
            }
            ways.push(Rated::new(cost(condition), goals));
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
            ways.push(Rated::new(cost, goals));
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

    pub(super) fn symbol_at_most(
        &mut self,
        goal: &Goal,
        symbol: SymbolId,
        value: Tristate,
    ) -> Ways {
        let known = self.tree.get(symbol);
        let present = self.config.tristate(symbol);
        if known.is_constant() || !known.is_defined() || !known.symbol_type().is_logical() {
            return if present <= value { done() } else { Vec::new() };
        }
        if let Err(known) = self.bound(goal, symbol, value, End::Most) {
            return known;
        }
        let ways = self.ways_off(goal, symbol, value);
        if ways.is_empty() {
            self.obstacle(goal, symbol, "is always on");
        }
        ways
    }

    pub(super) fn ways_off(&mut self, goal: &Goal, symbol: SymbolId, value: Tristate) -> Ways {
        let known = self.tree.get(symbol);
        let off = |e: Option<ExprId>| e.map(|e| goal.needed_by(symbol, Want::AtMost(e, value)));
        let mut ways = Vec::new();
        let prompts = self.prompts(symbol);
        if let Some(choice) = self.choice_of(symbol) {
            for other in choice.members() {
                if *other != symbol {
                    let want = Want::SymbolAtLeast(*other, Yes);
                    let goals = vec![goal.needed_by(symbol, want)];
                    let cost = self.costs.symbol_on(*other).max(1);
                    ways.push(Rated::new(cost, goals));
                }
            }
            // Or no prompt of it is to be seen.
            if let Some(goals) = prompts.into_iter().map(off).collect::<Option<Vec<Goal>>>() {
                ways.push(Rated::last_resort(1, goals));
            }
            return sorted(ways);
        }
        let reverse = off(known.reverse_dependency());
        if !prompts.is_empty() && !known.is_choice() {
            let mut goals: Vec<Goal> = reverse.clone().into_iter().collect();
            goals.push(goal.also(Want::Set(symbol, value.as_str().into())));
            ways.push(Rated::new(1, goals));
        }
        if let Some(direct) = off(known.direct_dependency()) {
            let mut goals = vec![direct];
            goals.extend(reverse.clone());
            let cost = known.direct_dependency().map_or(0, |e| self.costs.off(e));
            ways.push(Rated::last_resort(cost, goals));
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
            ways.push(Rated::last_resort(2, goals));
        }
        sorted(ways)
    }

    pub(super) fn text(&mut self, goal: &Goal, symbol: SymbolId, text: &[u8]) -> Ways {
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
                    ways.push(Rated::new(cost, goals));
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
                        ways.push(Rated::last_resort(cost, goals));
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

    pub(super) fn set(&mut self, goal: &Goal, symbol: SymbolId, text: &[u8]) -> Ways {
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
        if text == b"y"
            && let Some(choice) = self.choice_of(symbol)
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
}
