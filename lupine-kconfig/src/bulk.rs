//! Values for everything the user did not decide: all alike, or random.

use crate::configuration::Configuration;
use crate::dialect::Rules;
use crate::menu::NodeId;
use crate::random::Random;
use crate::symbol::{SymbolId, SymbolType, Tristate};
use crate::value;

use Tristate::{Mod, No, Yes};

/// Percentages of `y` and `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Odds {
    bool_yes: i64,
    tristate_yes: i64,
    tristate_mod: i64,
}

impl Odds {
    /// Reads `KCONFIG_PROBABILITY`: one to three numbers with colons between them. `None` when
    /// one is out of range.
    pub(crate) fn parse(text: Option<&[u8]>) -> Option<Odds> {
        let mut odds = Odds {
            bool_yes: 50,
            tristate_yes: 33,
            tristate_mod: 33,
        };
        let mut numbers = Vec::new();
        let mut rest = text.unwrap_or_default();
        while !rest.is_empty() && numbers.len() < 3 {
            let number = value::signed(rest, 10);
            if !(0..=100).contains(&number) {
                return None;
            }
            numbers.push(number);
            let length = value::parse(rest, 10).length;
            rest = &rest[length..];
            // Text that is no number is read as zero until there are three numbers.
            rest = rest.strip_prefix(b":").unwrap_or(rest);
        }
        match numbers.as_slice() {
            [both] => {
                odds.bool_yes = *both;
                odds.tristate_mod = both / 2;
                odds.tristate_yes = both - odds.tristate_mod;
            }
            [yes, module] => {
                odds.tristate_yes = *yes;
                odds.tristate_mod = *module;
                odds.bool_yes = yes + module;
            }
            [both, yes, module] => {
                odds.bool_yes = *both;
                odds.tristate_yes = *yes;
                odds.tristate_mod = *module;
            }
            _ => {}
        }
        (odds.tristate_yes + odds.tristate_mod <= 100).then_some(odds)
    }

    fn draw(&self, random: &mut Random, type_: SymbolType) -> Tristate {
        let number = i64::from(random.next() % 100);
        if type_ == SymbolType::Tristate {
            if number < self.tristate_yes {
                return Yes;
            }
            return if number < self.tristate_yes + self.tristate_mod {
                Mod
            } else {
                No
            };
        }
        if number < self.bool_yes { Yes } else { No }
    }
}

impl Configuration<'_> {
    /// Gives every undecided symbol this value; `None` leaves them to their defaults.
    pub(crate) fn set_all_new(&mut self, value: Option<Tristate>) {
        match self.tree.rules() {
            Rules::Linux6_12 => {
                if let Some(value) = value {
                    self.set_prompted(&mut |_, _| Some(value));
                }
                self.invalidate();
            }
            Rules::Linux6_1 => {
                if let Some(value) = value {
                    let tree = self.tree;
                    self.set_hashed(&mut |id| {
                        let excepted =
                            value == No && tree.dialect.is_early() && tree.get(id).allno_yes;
                        (if excepted { Yes } else { value }, true)
                    });
                }
                self.invalidate();
                self.complete_choices();
            }
        }
    }

    /// Gives every undecided symbol a random value.
    pub(crate) fn set_random(&mut self, seed: u32, odds: &Odds) {
        let mut random = Random::new(seed);
        match self.tree.rules() {
            Rules::Linux6_12 => {
                self.set_prompted(&mut |config, node| {
                    let symbol = config
                        .tree
                        .node(node)
                        .symbol
                        .map(|id| config.tree.get(id))?;
                    if symbol.choice {
                        config.shuffle_choice(&mut random, node);
                        return None;
                    }
                    Some(odds.draw(&mut random, symbol.type_))
                });
                self.invalidate();
            }
            Rules::Linux6_1 => while self.set_random_once(&mut random, odds) {},
        }
    }

    /// Walks prompted, undecided logical symbols in menu order (6.12).
    fn set_prompted(&mut self, value: &mut dyn FnMut(&mut Self, NodeId) -> Option<Tristate>) {
        let tree = self.tree;
        for node in tree.walk(NodeId::ROOT) {
            let Some(id) = tree.node(node).symbol else {
                continue;
            };
            let symbol = tree.get(id);
            if tree.node(node).prompt.is_none()
                || self.states[id.index()].has_user
                || !symbol.type_.is_logical()
                || symbol.member
            {
                continue;
            }
            if let Some(value) = value(self, node)
                && !symbol.choice
            {
                let state = &mut self.states[id.index()];
                state.user_tri = value;
                state.has_user = true;
            }
        }
    }

    /// Gives the undecided members of a choice a random order of preference (6.12).
    fn shuffle_choice(&mut self, random: &mut Random, node: NodeId) {
        let Some(choice) = self.choice_index_at(node) else {
            return;
        };
        let members = self.symbols_below(node);
        let mut undecided = members
            .iter()
            .filter(|member| !self.states[member.index()].has_user)
            .count();
        while undecided > 0 {
            let mut left = i64::from(random.next() % undecided as u32);
            for member in &members {
                if !self.states[member.index()].has_user {
                    left -= 1;
                }
                if left < 0 {
                    let state = &mut self.states[member.index()];
                    state.user_tri = Yes;
                    state.has_user = true;
                    self.move_to_back(*member, choice);
                    break;
                }
            }
            undecided -= 1;
        }
    }

    /// Walks undecided logical symbols in hash order (6.1); gives whether there were any.
    fn set_hashed(&mut self, value: &mut dyn FnMut(SymbolId) -> (Tristate, bool)) -> bool {
        let tree = self.tree;
        let mut changed = false;
        for id in &tree.hash_order {
            let state = &self.states[id.index()];
            if state.has_user || state.valid || !self.effective_type(*id).is_logical() {
                continue;
            }
            changed = true;
            let (value, decided) = value(*id);
            let state = &mut self.states[id.index()];
            state.user_tri = value;
            state.has_user |= decided;
        }
        changed
    }

    fn set_random_once(&mut self, random: &mut Random, odds: &Odds) -> bool {
        let tree = self.tree;
        let mut changed = self.set_hashed(&mut |id| {
            let symbol = tree.get(id);
            (odds.draw(random, symbol.type_), !symbol.choice)
        });
        self.invalidate();
        for choice in self.undecided_choices() {
            self.calculate(choice);
            let randomized = self.randomize_choice(random, choice);
            // Early on, the last choice alone decides whether another round follows.
            changed = randomized || (changed && !tree.dialect.is_early());
        }
        changed
    }

    fn undecided_choices(&self) -> Vec<SymbolId> {
        let tree = self.tree;
        let undecided = |id: &SymbolId| tree.get(*id).choice && !self.states[id.index()].has_user;
        tree.hash_order.iter().copied().filter(undecided).collect()
    }

    fn randomize_choice(&mut self, random: &mut Random, choice: SymbolId) -> bool {
        if self.states[choice.index()].has_user || self.states[choice.index()].tri != Yes {
            return false;
        }
        let members = self.members_of(choice).to_vec();
        if members.is_empty() {
            return false;
        }
        let picked = random.next() as usize % members.len();
        for (index, member) in members.into_iter().enumerate() {
            let state = &mut self.states[member.index()];
            state.user_tri = if index == picked { Yes } else { No };
            state.has_user = true;
            state.valid = false;
            if index == picked {
                self.states[choice.index()].user_pick = Some(member);
            }
        }
        let state = &mut self.states[choice.index()];
        state.has_user = true;
        state.valid = false;
        true
    }

    /// Members of undecided choices get values with the choice (6.1).
    fn complete_choices(&mut self) {
        let tree = self.tree;
        for id in &tree.hash_order {
            let symbol = tree.get(*id);
            if symbol.member || (symbol.choice && !self.states[id.index()].has_user) {
                self.states[id.index()].set_members = true;
            }
        }
        for choice in self.undecided_choices() {
            if self.states[choice.index()].has_user {
                continue;
            }
            self.calculate(choice);
            self.set_all_members(choice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_split_between_y_and_m() {
        let odds = |text: &str| {
            Odds::parse(Some(text.as_bytes()))
                .map(|odds| (odds.bool_yes, odds.tristate_yes, odds.tristate_mod))
        };
        assert_eq!(odds("25"), Some((25, 13, 12)));
        assert_eq!(odds("10:20"), Some((30, 10, 20)));
        assert_eq!(odds("5:10:15"), Some((5, 10, 15)));
        assert_eq!(odds("60:70"), None);
        assert_eq!(odds("101"), None);
    }
}
