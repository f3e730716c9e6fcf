//! Which member of a choice is on.

use crate::configuration::Configuration;
use crate::dialect::Rules;
use crate::menu::NodeId;
use crate::property::PropertyKind;
use crate::symbol::{SymbolId, Tristate};

use Tristate::{No, Yes};

impl Configuration<'_> {
    /// The symbols of all nodes below a choice's, in order (6.12).
    pub(crate) fn symbols_below(&self, choice: NodeId) -> Vec<SymbolId> {
        self.tree
            .walk(choice)
            .filter_map(|node| self.tree.node(node).symbol)
            .collect()
    }

    /// The member a choice takes when the user does not decide.
    pub(crate) fn choice_default(&mut self, choice: SymbolId, node: NodeId) -> Option<SymbolId> {
        let tree = self.tree;
        for property in tree.properties_of(choice, PropertyKind::Default) {
            if self.expr_value(tree.property(property).condition) == No {
                continue;
            }
            let Some(member) = tree.property_symbol(property) else {
                continue;
            };
            if self.states[member.index()].visible != No {
                return Some(member);
            }
        }
        let members = match tree.rules() {
            Rules::Linux6_12 => self.symbols_below(node),
            Rules::Linux6_1 => self.members_of(choice).to_vec(),
        };
        members
            .into_iter()
            .find(|member| self.states[member.index()].visible != No)
    }

    /// Decides a choice and gives values to its visible members (6.12).
    pub(crate) fn choose(&mut self, node: NodeId) -> Option<SymbolId> {
        let choice = self.tree.node(node).symbol?;
        let index = self.choice_index_at(node)?;
        let members = self.priorities[index].clone();
        let mut chosen = None;
        for member in &members {
            self.calculate_visibility(*member);
            let state = &self.states[member.index()];
            if state.visible != No && state.has_user && state.user_tri == Yes {
                chosen = Some(*member);
                break;
            }
        }
        if chosen.is_none() {
            chosen = self.choice_default(choice, node);
            if let Some(member) = chosen {
                let state = &self.states[member.index()];
                if state.has_user && state.user_tri == No {
                    chosen = None;
                }
            }
        }
        let below = self.symbols_below(node);
        if chosen.is_none() {
            chosen = below.iter().copied().find(|member| {
                let state = &self.states[member.index()];
                state.visible != No && !state.has_user
            });
        }
        if chosen.is_none() {
            chosen = members
                .iter()
                .rev()
                .copied()
                .find(|member| self.states[member.index()].visible != No);
        }
        for member in below {
            let state = &mut self.states[member.index()];
            if state.visible == No {
                continue;
            }
            state.tri = if chosen == Some(member) { Yes } else { No };
            state.valid = true;
            state.write = true;
        }
        chosen
    }

    /// Makes a member the user's pick, the others the user's `n` (6.12).
    pub(crate) fn set_choice(&mut self, node: NodeId, picked: SymbolId) {
        let Some(index) = self.choice_index_at(node) else {
            return;
        };
        let mut changed = false;
        for member in self.symbols_below(node) {
            let state = &mut self.states[member.index()];
            if state.visible == No {
                continue;
            }
            let value = if member == picked { Yes } else { No };
            changed |= state.tri != value;
            state.user_tri = value;
            state.has_user = true;
            self.remove_from_choices(member);
            self.priorities[index].insert(0, member);
        }
        if changed {
            self.invalidate();
        }
    }

    fn remove_from_choices(&mut self, member: SymbolId) {
        for members in &mut self.priorities {
            members.retain(|known| *known != member);
        }
    }

    /// Members of a 6.1 choice, in order.
    pub(crate) fn members_of(&self, choice: SymbolId) -> &[SymbolId] {
        self.tree
            .choices
            .binary_search_by_key(&choice, |known| known.symbol)
            .map_or(&[], |index| self.tree.choices[index].members.as_slice())
    }

    /// The member a 6.1 choice at `y` takes.
    pub(crate) fn pick_member(&mut self, choice: SymbolId) -> Option<SymbolId> {
        let mut all_set = true;
        for member in self.members_of(choice).to_vec() {
            self.calculate_visibility(member);
            let state = &self.states[member.index()];
            all_set &= state.visible == No || state.has_user;
        }
        let node = self
            .tree
            .get(choice)
            .nodes
            .first()
            .copied()
            .unwrap_or(NodeId::ROOT);
        let state = &mut self.states[choice.index()];
        state.has_user &= all_set;
        if let Some(pick) = state.user_pick
            && self.states[pick.index()].visible != No
        {
            return Some(pick);
        }
        let default = self.choice_default(choice, node);
        if default.is_none() {
            self.states[choice.index()].tri = No;
        }
        default
    }

    /// A written 6.1 choice has its visible members written.
    pub(crate) fn write_members(&mut self, choice: SymbolId) {
        if !self.states[choice.index()].write {
            return;
        }
        for member in self.members_of(choice).to_vec() {
            let state = &mut self.states[member.index()];
            state.write |= state.visible != No;
        }
    }

    /// Gives every member of a 6.1 choice a user value, and has the choice computed again.
    pub(crate) fn set_all_members(&mut self, choice: SymbolId) {
        for member in self.members_of(choice).to_vec() {
            let state = &mut self.states[member.index()];
            if !state.has_user {
                state.user_tri = No;
            }
        }
        let state = &mut self.states[choice.index()];
        state.has_user = true;
        state.valid = false;
        state.set_members = false;
    }
}
