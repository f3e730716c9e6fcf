//! Computing values, in the order and with the intermediate states of `conf`.
//!
//! The order matters where symbols depend on one another in circles that are not errors, and for
//! the order of warnings.

use crate::configuration::{Configuration, Content, UNKNOWN};
use crate::dialect::Rules;
use crate::expr::{Comparison, Expr, ExprId};
use crate::property::{PropertyId, PropertyKind};
use crate::symbol::{SymbolId, SymbolType, Tristate};
use crate::value::{self, Comparable};

use Tristate::{Mod, No, Yes};

/// Computations inside one another. Trees with longer chains of dependencies are rejected when
/// they are loaded, but for chains of ranges, where circles are allowed.
const DEEPEST: u32 = 1600;

impl Configuration<'_> {
    /// The type as far as modules are on.
    pub(crate) fn effective_type(&self, id: SymbolId) -> SymbolType {
        let symbol = self.tree.get(id);
        let member_visible = self.tree.rules() == Rules::Linux6_1
            && symbol.member
            && self.states[id.index()].visible == Yes;
        match symbol.type_ {
            SymbolType::Tristate if self.modules_value == No || member_visible => SymbolType::Bool,
            other => other,
        }
    }

    pub(crate) fn expr_value(&mut self, e: Option<ExprId>) -> Tristate {
        e.map_or(Yes, |e| self.value_of(e))
    }

    fn value_of(&mut self, e: ExprId) -> Tristate {
        const CHAIN: usize = 32;
        if let Some(known) = self.known(e) {
            return known;
        }
        // `&&` and `||` group from the left: walk down the left side, then combine going up.
        let mut chain = [e; CHAIN];
        let mut length = 0;
        let mut at = e;
        let mut result = loop {
            if let Some(known) = self.known(at) {
                break known;
            }
            match self.tree.exprs.get(at) {
                Expr::And(left, _) | Expr::Or(left, _) if length < CHAIN => {
                    chain[length] = at;
                    length += 1;
                    at = left;
                }
                Expr::And(..) | Expr::Or(..) => break self.value_of(at),
                Expr::Symbol(symbol) => {
                    self.calculate(symbol);
                    let value = self.states[symbol.index()].tri;
                    break self.keep(at, value);
                }
                Expr::Not(inner) => {
                    let value = self.value_of(inner).negate();
                    break self.keep(at, value);
                }
                Expr::Compare(how, a, b) => {
                    let value = if self.compare(how, a, b) { Yes } else { No };
                    break self.keep(at, value);
                }
                Expr::Range(..) => break No,
            }
        };
        for at in chain[..length].iter().rev() {
            result = match self.tree.exprs.get(*at) {
                Expr::And(_, right) => result.min(self.value_of(right)),
                Expr::Or(_, right) => result.max(self.value_of(right)),
                _ => result,
            };
            self.keep(*at, result);
        }
        result
    }

    fn known(&self, e: ExprId) -> Option<Tristate> {
        match self.expr_values[e.index()] {
            0 => Some(No),
            1 => Some(Mod),
            2 => Some(Yes),
            _ => None,
        }
    }

    /// 6.12 keeps values of expressions, 6.1 computes them anew.
    fn keep(&mut self, e: ExprId, value: Tristate) -> Tristate {
        if self.tree.rules() == Rules::Linux6_12 {
            self.expr_values[e.index()] = value as u8;
        } else {
            debug_assert_eq!(self.expr_values[e.index()], UNKNOWN);
        }
        value
    }

    fn compare(&mut self, how: Comparison, a: SymbolId, b: SymbolId) -> bool {
        self.calculate(a);
        self.calculate(b);
        let (type_a, type_b) = (self.tree.get(a).type_, self.tree.get(b).type_);
        let (text_a, text_b) = (self.string_value(a), self.string_value(b));
        let (mut read_a, mut read_b) = (Comparable::Text, Comparable::Text);
        if type_a != SymbolType::String || type_b != SymbolType::String {
            read_a = value::comparable(type_a, text_a);
            read_b = value::comparable(type_b, text_b);
        }
        let order = match (read_a, read_b) {
            (Comparable::Text, _) | (_, Comparable::Text) => text_a.cmp(text_b),
            (Comparable::Signed(a), Comparable::Signed(b)) => a.cmp(&b),
            (a, b) => a.bits().cmp(&b.bits()),
        };
        how.holds(order)
    }

    /// The first property of that kind whose condition holds, and how far.
    pub(crate) fn active_property(
        &mut self,
        id: SymbolId,
        kind: PropertyKind,
    ) -> Option<(PropertyId, Tristate)> {
        let tree = self.tree;
        for property in &tree.get(id).properties {
            let known = tree.property(*property);
            if known.kind == kind {
                let value = self.expr_value(known.condition);
                if value != No {
                    return Some((*property, value));
                }
            }
        }
        None
    }

    /// How visible a prompt is. Where a 6.1 choice is `y`, those of its tristate members that
    /// could only be `m` are hidden.
    pub(crate) fn prompt_visibility(
        &mut self,
        id: SymbolId,
        condition: Option<ExprId>,
    ) -> Tristate {
        let value = self.expr_value(condition);
        let symbol = self.tree.get(id);
        let of_yes = |choice: SymbolId| self.states[choice.index()].tri == Yes;
        let hidden = value == Mod
            && self.tree.rules() == Rules::Linux6_1
            && symbol.type_ == SymbolType::Tristate
            && symbol.choice_symbol.is_some_and(of_yes);
        if hidden { No } else { value }
    }

    pub(crate) fn calculate_visibility(&mut self, id: SymbolId) {
        let tree = self.tree;
        let symbol = tree.get(id);
        let mut visible = No;
        for property in &symbol.properties {
            let known = tree.property(*property);
            if known.text.is_some() {
                let value = self.prompt_visibility(id, known.condition);
                self.prompts[property.index()] = value;
                visible = visible.max(value);
            }
        }
        if visible == Mod && (symbol.type_ != SymbolType::Tristate || self.modules_value == No) {
            visible = Yes;
        }
        self.states[id.index()].visible = visible;
        if symbol.member {
            return;
        }
        let direct = self.expr_value(symbol.direct);
        self.states[id.index()].direct = self.without_modules(id, direct);
        let reverse = symbol.reverse.map_or(No, |e| self.value_of(e));
        self.states[id.index()].reverse = self.without_modules(id, reverse);
        let implied = if tree.dialect.is_early() && direct == No {
            No
        } else {
            symbol.implied.map_or(No, |e| self.value_of(e))
        };
        self.states[id.index()].implied = self.without_modules(id, implied);
    }

    fn without_modules(&self, id: SymbolId, value: Tristate) -> Tristate {
        if value == Mod && self.effective_type(id) == SymbolType::Bool {
            Yes
        } else {
            value
        }
    }

    /// Computes a symbol's value unless it is known.
    pub(crate) fn calculate(&mut self, id: SymbolId) {
        if self.states[id.index()].valid {
            return;
        }
        if self.depth == DEEPEST {
            let name = self.tree.display_name(id);
            let text = [b"warning: too many values depend on one another; ", name];
            self.stderr.extend_from_slice(&text.concat());
            self.stderr.extend_from_slice(b" is not looked at\n");
            return;
        }
        self.depth += 1;
        self.compute(id);
        self.depth -= 1;
    }

    fn compute(&mut self, id: SymbolId) {
        let tree = self.tree;
        let symbol = tree.get(id);
        let old = tree.rules() == Rules::Linux6_1;
        if old && symbol.member && self.states[id.index()].set_members {
            self.states[id.index()].set_members = false;
            if let Some(choice) = symbol.choice_symbol {
                self.calculate(choice);
            }
        }
        self.states[id.index()].valid = true;
        let empty: &[u8] = match symbol.type_ {
            SymbolType::Unknown => {
                let state = &mut self.states[id.index()];
                state.text = Some(Content::Name(id));
                state.tri = No;
                return;
            }
            SymbolType::Int if !old => b"0",
            SymbolType::Hex if !old => b"0x0",
            SymbolType::Int | SymbolType::Hex | SymbolType::String => b"",
            SymbolType::Bool | SymbolType::Tristate => b"n",
        };
        self.states[id.index()].write = false;
        self.calculate_visibility(id);
        let state = &mut self.states[id.index()];
        state.write |= state.visible != No;
        // What others see who ask while this is being computed.
        state.tri = No;
        state.text = Some(Content::Fixed(empty));
        if symbol.type_.is_logical() {
            let value = self.calculate_logical(id);
            let state = &mut self.states[id.index()];
            state.tri = value;
            state.text = Some(Content::Fixed(b"n"));
        } else {
            self.calculate_text(id);
        }
        if old && symbol.choice && self.states[id.index()].tri == Yes {
            self.states[id.index()].picked = self.pick_member(id);
        }
        if symbol.type_.is_numeric() {
            self.clamp(id);
        }
        if id == tree.modules {
            self.modules_value = self.states[id.index()].tri;
        }
        if old && symbol.choice {
            self.write_members(id);
        }
        if symbol.no_write || symbol.transitional || (symbol.choice && !old) {
            self.states[id.index()].write = false;
        }
        if old && symbol.choice && self.states[id.index()].set_members {
            self.set_all_members(id);
        }
    }

    fn calculate_logical(&mut self, id: SymbolId) -> Tristate {
        let symbol = self.tree.get(id);
        let mut value;
        let member_of_612 = self.tree.rules() == Rules::Linux6_12 && symbol.choice_node.is_some();
        if member_of_612 {
            if let Some(choice) = symbol.choice_node {
                self.choose(choice);
            }
            value = self.states[id.index()].tri;
        } else if self.tree.rules() == Rules::Linux6_1
            && symbol.member
            && self.states[id.index()].visible == Yes
        {
            let picked = symbol
                .choice_symbol
                .and_then(|choice| self.states[choice.index()].picked);
            value = if picked == Some(id) { Yes } else { No };
        } else {
            let state = &self.states[id.index()];
            if symbol.transitional && state.has_user {
                value = state.user_tri;
            } else if state.visible != No && state.has_user {
                value = state.user_tri.min(state.visible);
            } else {
                value = self.default_logical(id);
            }
            let state = &self.states[id.index()];
            if state.direct < state.reverse {
                self.warn_unmet(id);
            }
            value = value.max(self.states[id.index()].reverse);
        }
        let wants_yes = self.tree.dialect.is_early() && self.states[id.index()].implied == Yes;
        if value == Mod && wants_yes {
            value = Yes;
        }
        self.without_modules(id, value)
    }

    fn default_logical(&mut self, id: SymbolId) -> Tristate {
        let mut value = No;
        let state = &mut self.states[id.index()];
        state.write |= state.reverse != No;
        if self.tree.get(id).choice {
            return value;
        }
        if let Some((property, when)) = self.active_property(id, PropertyKind::Default) {
            value = self.expr_value(self.tree.property(property).expr).min(when);
            let always = self.tree.dialect.writes_default_off();
            self.states[id.index()].write |= always || value != No;
        }
        let state = &mut self.states[id.index()];
        if state.implied != No {
            state.write = true;
            value = value.max(state.implied);
            if !self.tree.dialect.is_early() {
                value = value.min(state.direct);
            }
        }
        value
    }

    fn calculate_text(&mut self, id: SymbolId) {
        let state = &mut self.states[id.index()];
        let transitional = self.tree.get(id).transitional;
        if (state.visible != No || transitional) && state.has_user {
            state.text = state.user_text.clone().map(Content::Owned);
            return;
        }
        if let Some((property, _)) = self.active_property(id, PropertyKind::Default)
            && let Some(source) = self.tree.property_symbol(property)
        {
            self.states[id.index()].write = true;
            self.calculate(source);
            let text = if self.tree.get(source).type_.is_logical() && source.0 >= 3 {
                Some(Content::Fixed(b"n"))
            } else {
                self.states[source.index()].text.clone()
            };
            self.states[id.index()].text = text;
        }
    }

    /// Replaces a number outside the active range by the text of the bound it crossed.
    fn clamp(&mut self, id: SymbolId) {
        let Some((property, _)) = self.active_property(id, PropertyKind::Range) else {
            return;
        };
        let Some(Expr::Range(low, high)) = self
            .tree
            .property(property)
            .expr
            .map(|e| self.tree.exprs.get(e))
        else {
            return;
        };
        let base = if self.tree.get(id).type_ == SymbolType::Int {
            10
        } else {
            16
        };
        let value = value::signed(self.string_value(id), base);
        let (mut bound, mut number) = (low, self.bound(low, base));
        if value >= number {
            (bound, number) = (high, self.bound(high, base));
            if value <= number {
                return;
            }
        }
        let text = match base {
            _ if !self.tree.dialect.is_early() => self.states[bound.index()].text.clone(),
            10 => Some(Content::Owned(number.to_string().into_bytes().into())),
            _ => Some(Content::Owned(format!("{number:#x}").into_bytes().into())),
        };
        self.states[id.index()].text = text;
    }

    pub(crate) fn bound(&mut self, id: SymbolId, base: u32) -> i64 {
        self.calculate(id);
        let base = match self.tree.get(id).type_ {
            SymbolType::Int => 10,
            SymbolType::Hex => 16,
            _ => base,
        };
        value::signed(self.string_value(id), base)
    }

    fn warn_unmet(&mut self, id: SymbolId) {
        let symbol = self.tree.get(id);
        let mut text = b"\nWARNING: unmet direct dependencies detected for ".to_vec();
        text.extend_from_slice(self.tree.display_name(id));
        let direct = if self.states[id.index()].direct == Mod {
            "m"
        } else {
            "n"
        };
        text.extend_from_slice(format!("\n  Depends on [{direct}]: ").as_bytes());
        self.print_expr(&mut text, symbol.direct);
        text.push(b'\n');
        for (value, title) in [(Yes, "  Selected by [y]:\n"), (Mod, "  Selected by [m]:\n")] {
            self.print_reasons(&mut text, symbol.reverse, value, title);
        }
        self.stderr.extend_from_slice(&text);
        self.unmet += 1;
    }
}
