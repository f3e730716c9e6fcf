//! Writing `.config` and the files generated from it.

use crate::configuration::Configuration;
use crate::dialect::Rules;
use crate::menu::NodeId;
use crate::property::PropertyKind;
use crate::symbol::{SymbolId, SymbolType, Tristate};

/// What becomes of `n`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Off {
    AsValue,
    AsComment,
    Omitted,
}

impl Configuration<'_> {
    /// The `.config` text.
    pub fn write(&mut self) -> Vec<u8> {
        self.refresh();
        self.calculate(self.tree.modules);
        self.dot_config()
    }

    /// The `.config` text of the values as computed so far, computing the rest.
    pub(crate) fn dot_config(&mut self) -> Vec<u8> {
        let tree = self.tree;
        let mut out = Vec::with_capacity(1 << 18);
        self.heading(&mut out, ["#", "#", "#"]);
        let mut written = vec![false; self.states.len()];
        let mut separate = false;
        let mut at = tree.node(NodeId::ROOT).list;
        while let Some(node) = at {
            match tree.node(node).symbol {
                None => {
                    if self.is_visible(node) {
                        out.extend_from_slice(b"\n#\n# ");
                        out.extend_from_slice(tree.node_prompt(node).unwrap_or_default());
                        out.extend_from_slice(b"\n#\n");
                        separate = false;
                    }
                }
                Some(symbol) if !tree.get(symbol).choice && !written[symbol.index()] => {
                    self.calculate(symbol);
                    if self.states[symbol.index()].write || tree.dialect.writes_hidden {
                        if separate {
                            out.push(b'\n');
                            separate = false;
                        }
                        written[symbol.index()] = true;
                        self.print_symbol(&mut out, symbol, Off::AsComment, true);
                    }
                }
                Some(_) => {}
            }
            at = tree
                .node(node)
                .list
                .or_else(|| self.leave(&mut out, node, &mut separate));
        }
        out
    }

    /// Ends menus on the way to the next node outside.
    fn leave(&mut self, out: &mut Vec<u8>, node: NodeId, separate: &mut bool) -> Option<NodeId> {
        let tree = self.tree;
        let mut node = node;
        loop {
            let known = tree.node(node);
            let menu = known
                .prompt
                .filter(|prompt| tree.property(*prompt).kind == PropertyKind::Menu);
            if let Some(prompt) = menu
                && !tree.dialect.is_early()
                && known.symbol.is_none()
                && node != NodeId::ROOT
                && self.is_visible(node)
            {
                out.extend_from_slice(b"# end of ");
                out.extend_from_slice(tree.property_text(prompt).unwrap_or_default());
                out.push(b'\n');
                *separate = true;
            }
            if known.next.is_some() {
                return known.next;
            }
            node = known.parent?;
        }
    }

    fn heading(&self, out: &mut Vec<u8>, [first, middle, last]: [&str; 3]) {
        out.extend_from_slice(first.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(middle.as_bytes());
        out.extend_from_slice(b" Automatically generated file; DO NOT EDIT.\n");
        out.extend_from_slice(middle.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.tree.title());
        out.push(b'\n');
        out.extend_from_slice(last.as_bytes());
        out.push(b'\n');
    }

    /// Whether a menu entry is shown.
    pub fn is_visible(&mut self, node: NodeId) -> bool {
        self.refresh();
        let known = self.tree.node(node);
        let Some(prompt) = known.prompt else {
            return false;
        };
        if known.visibility.is_some() && self.expr_value(known.visibility) == Tristate::No {
            return false;
        }
        let condition = self.tree.property(prompt).condition;
        let visible = match known.symbol {
            Some(symbol) => {
                self.calculate(symbol);
                self.prompts[prompt.index()]
            }
            None => self.expr_value(condition),
        };
        if visible != Tristate::No {
            return true;
        }
        let Some(symbol) = known.symbol else {
            return false;
        };
        if self.states[symbol.index()].tri == Tristate::No {
            return false;
        }
        let tree = self.tree;
        for child in tree.children(node) {
            if self.is_visible(child) {
                if tree.rules() == Rules::Linux6_1 {
                    self.states[symbol.index()].has_user = true;
                }
                return true;
            }
        }
        false
    }

    fn name(&self, out: &mut Vec<u8>, symbol: SymbolId) {
        out.extend_from_slice(&self.tree.prefix);
        out.extend_from_slice(self.tree.display_name(symbol));
    }

    fn print_symbol(&self, out: &mut Vec<u8>, symbol: SymbolId, off: Off, escape: bool) {
        let type_ = self.tree.get(symbol).type_;
        if type_ == SymbolType::Unknown {
            return;
        }
        let mut value = self.string_value(symbol);
        if self.tree.dialect.writes_hidden && type_.is_numeric() && value.is_empty() {
            value = b"0";
        }
        if type_.is_logical() && off != Off::AsValue && value == b"n" {
            if off == Off::AsComment {
                out.extend_from_slice(b"# ");
                self.name(out, symbol);
                out.extend_from_slice(b" is not set\n");
            }
            return;
        }
        self.name(out, symbol);
        out.push(b'=');
        if type_ == SymbolType::String && escape {
            if self.tree.dialect.plain_texts {
                out.extend([b"\"", value, b"\""].concat());
            } else {
                escape_text(out, value);
            }
        } else {
            out.extend_from_slice(value);
        }
        out.push(b'\n');
    }

    /// The line `listnewconfig` prints.
    pub(crate) fn print_for_list(&self, out: &mut Vec<u8>, symbol: SymbolId) {
        self.print_symbol(out, symbol, Off::AsValue, true);
    }

    /// The smallest file that gives the present values again: what differs from the defaults.
    pub fn write_defconfig(&mut self) -> Vec<u8> {
        self.invalidate();
        let tree = self.tree;
        let mut out = Vec::new();
        let mut at = tree.node(NodeId::ROOT).list;
        while let Some(node) = at {
            let mut inside = true;
            match tree.node(node).symbol {
                Some(symbol) if !tree.get(symbol).choice => self.print_if_needed(&mut out, symbol),
                Some(_) => {}
                // 6.1 asks whether a menu is visible, which computes values, but goes on inside.
                None if tree.rules() == Rules::Linux6_1 => {
                    self.is_visible(node);
                }
                None => inside = true,
            }
            let list = tree.node(node).list.filter(|_| inside);
            at = list.or_else(|| {
                let mut node = Some(node);
                while let Some(outer) = node {
                    if tree.node(outer).next.is_some() {
                        return tree.node(outer).next;
                    }
                    node = tree.node(outer).parent;
                }
                None
            });
        }
        out
    }

    fn print_if_needed(&mut self, out: &mut Vec<u8>, symbol: SymbolId) {
        self.calculate(symbol);
        let state = &mut self.states[symbol.index()];
        if !state.write {
            return;
        }
        state.write = false;
        if !self.is_changeable(symbol) {
            return;
        }
        let default = self.default_text(symbol);
        if self.string_value(symbol) == default.as_slice() {
            return;
        }
        if self.is_choice_default(symbol) {
            return;
        }
        self.print_symbol(out, symbol, Off::AsComment, true);
    }

    /// Whether a member is on only because nobody chose.
    fn is_choice_default(&mut self, symbol: SymbolId) -> bool {
        let known = self.tree.get(symbol);
        if self.states[symbol.index()].tri != Tristate::Yes {
            return false;
        }
        match self.tree.rules() {
            Rules::Linux6_12 => {
                let Some(node) = known.choice_node else {
                    return false;
                };
                let Some(choice) = self.tree.node(node).symbol else {
                    return false;
                };
                self.choice_default(choice, node) == Some(symbol)
            }
            Rules::Linux6_1 => {
                let Some(choice) = known.choice_symbol else {
                    return false;
                };
                !self.tree.get(choice).optional
                    && known.type_ == SymbolType::Bool
                    && self.choice_default(choice, NodeId::ROOT) == Some(symbol)
            }
        }
    }

    /// Whether a user can change the value now.
    pub fn is_changeable(&self, symbol: SymbolId) -> bool {
        let state = &self.states[symbol.index()];
        let choice = self.tree.rules() == Rules::Linux6_12 && self.tree.get(symbol).choice;
        !choice && state.visible > state.reverse
    }

    /// The value without a user's, as text.
    fn default_text(&mut self, id: SymbolId) -> Vec<u8> {
        let tree = self.tree;
        let symbol = tree.get(id);
        self.calculate_visibility(id);
        self.calculate(tree.modules);
        let mut value = Tristate::No;
        let mut text = Vec::new();
        if let Some((property, when)) = self.active_property(id, PropertyKind::Default) {
            if symbol.type_.is_logical() {
                value = self.expr_value(tree.property(property).expr).min(when);
            } else if let Some(source) = tree.property_symbol(property) {
                self.calculate(source);
                text = if tree.get(source).type_.is_logical() && source.0 >= 3 {
                    b"n".to_vec()
                } else {
                    self.string_value(source).to_vec()
                };
            }
        }
        let (reverse, implied) = (
            self.states[id.index()].reverse,
            self.states[id.index()].implied,
        );
        value = value.max(reverse);
        let modules = self.states[tree.modules.index()].tri;
        if value == Tristate::Mod && !symbol.member && modules == Tristate::No {
            value = Tristate::Yes;
        }
        if symbol.type_ == SymbolType::Bool && value == Tristate::Mod {
            value = Tristate::Yes;
        }
        value = value.max(implied);
        match symbol.type_ {
            SymbolType::Bool | SymbolType::Tristate => value.as_str().as_bytes().to_vec(),
            SymbolType::Int if text.is_empty() && tree.rules() == Rules::Linux6_12 => b"0".to_vec(),
            SymbolType::Hex if text.is_empty() && tree.rules() == Rules::Linux6_12 => {
                b"0x0".to_vec()
            }
            _ => text,
        }
    }

    fn written_symbols(&mut self) -> Vec<SymbolId> {
        self.refresh();
        let tree = self.tree;
        for id in &tree.hash_order {
            self.calculate(*id);
        }
        let named = |id: &SymbolId| self.states[id.index()].write && tree.get(*id).named;
        tree.hash_order.iter().copied().filter(named).collect()
    }

    /// `include/config/auto.conf`: what the makefiles read.
    pub fn write_auto_conf(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let symbols = self.written_symbols();
        self.heading(&mut out, ["#", "#", "#"]);
        for symbol in symbols {
            self.print_symbol(&mut out, symbol, Off::Omitted, false);
        }
        out
    }

    /// `include/generated/autoconf.h`: what C sources see.
    pub fn write_autoconf_h(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let symbols = self.written_symbols();
        self.heading(&mut out, ["/*", " *", " */"]);
        for symbol in symbols {
            let type_ = self.tree.get(symbol).type_;
            let value = self.string_value(symbol);
            if type_ == SymbolType::Unknown || (type_.is_logical() && value == b"n") {
                continue;
            }
            out.extend_from_slice(b"#define ");
            self.name(&mut out, symbol);
            match type_ {
                SymbolType::Bool | SymbolType::Tristate => {
                    out.extend_from_slice(if value == b"m" { b"_MODULE 1" } else { b" 1" });
                }
                SymbolType::String => {
                    out.push(b' ');
                    escape_text(&mut out, value);
                }
                _ => {
                    out.push(b' ');
                    out.extend_from_slice(hex_prefix(type_, value));
                    out.extend_from_slice(value);
                }
            }
            out.push(b'\n');
        }
        out
    }

    /// `include/generated/rustc_cfg`: arguments of the Rust compiler.
    pub fn write_rustc_cfg(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for symbol in self.written_symbols() {
            let type_ = self.tree.get(symbol).type_;
            let value = self.string_value(symbol);
            if type_ == SymbolType::Unknown || (type_.is_logical() && value == b"n") {
                continue;
            }
            if type_.is_logical() {
                out.extend_from_slice(b"--cfg=");
                self.name(&mut out, symbol);
                out.push(b'\n');
            }
            out.extend_from_slice(b"--cfg=");
            self.name(&mut out, symbol);
            out.push(b'=');
            let value = [hex_prefix(type_, value), value].concat();
            escape_text(&mut out, &value);
            out.push(b'\n');
        }
        out
    }
}

fn hex_prefix(type_: SymbolType, value: &[u8]) -> &'static [u8] {
    if type_ == SymbolType::Hex && !matches!(value, [b'0', b'x' | b'X', ..]) {
        b"0x"
    } else {
        b""
    }
}

fn escape_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
