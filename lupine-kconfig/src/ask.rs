//! Asking line by line, as `oldaskconfig` and `oldconfig` do.

use crate::configuration::Configuration;
use crate::dialect::Rules;
use crate::menu::NodeId;
use crate::property::PropertyKind;
use crate::session::{Failed, Mode, Session};
use crate::symbol::{SymbolId, SymbolType, Tristate};

use Tristate::{Mod, No, Yes};

/// A line of input is cut here, as `conf` does.
const LINE: usize = 4095;
/// Without input, questions are not repeated for ever.
const MAX_UNANSWERED: u32 = 10_000;

impl Session<'_> {
    /// Asks about everything.
    pub(crate) fn ask_all(&mut self) -> Result<(), Failed> {
        self.root = NodeId::ROOT;
        self.ask(NodeId::ROOT)
    }

    /// Asks about (or lists) what has no value yet, until nothing more turns up.
    pub(crate) fn ask_new(&mut self) -> Result<(), Failed> {
        loop {
            self.asked = 0;
            self.check(NodeId::ROOT)?;
            if self.asked == 0 {
                return Ok(());
            }
        }
    }

    fn check(&mut self, node: NodeId) -> Result<(), Failed> {
        if !self.config.is_visible(node) {
            return Ok(());
        }
        let tree = self.config.tree;
        if let Some(symbol) = tree.node(node).symbol
            && !self.config.states[symbol.index()].has_user
            && self.is_askable(symbol)
        {
            match self.mode {
                Mode::ListNew => {
                    if tree.name(symbol).is_some() {
                        let mut line = Vec::new();
                        self.config.print_for_list(&mut line, symbol);
                        self.print(&line);
                    }
                }
                Mode::HelpNew => {
                    self.print(b"-----\n");
                    self.help(node);
                    self.print(b"-----\n");
                }
                _ => {
                    if self.asked == 0 {
                        self.print(b"*\n* Restart config...\n*\n");
                    }
                    self.asked += 1;
                    self.root = self.menu_around(node);
                    self.ask(self.root)?;
                }
            }
        }
        for child in tree.children(node) {
            self.check(child)?;
        }
        Ok(())
    }

    fn is_askable(&self, symbol: SymbolId) -> bool {
        let old_choice =
            self.config.tree.rules() == Rules::Linux6_1 && self.config.tree.get(symbol).choice;
        self.config.is_changeable(symbol)
            || (old_choice && self.config.states[symbol.index()].tri == Yes)
    }

    fn menu_around(&self, node: NodeId) -> NodeId {
        let tree = self.config.tree;
        let mut at = node;
        while at != NodeId::ROOT {
            let menu = tree
                .node(at)
                .prompt
                .is_some_and(|prompt| tree.property(prompt).kind == PropertyKind::Menu);
            if menu {
                break;
            }
            at = tree.node(at).parent.unwrap_or(NodeId::ROOT);
        }
        at
    }

    fn ask(&mut self, node: NodeId) -> Result<(), Failed> {
        if !self.config.is_visible(node) {
            return Ok(());
        }
        let tree = self.config.tree;
        if let Some(prompt) = tree.node(node).prompt {
            let kind = tree.property(prompt).kind;
            if kind == PropertyKind::Menu && self.mode != Mode::OldAsk && self.root != node {
                return self.check(node);
            }
            if matches!(kind, PropertyKind::Menu | PropertyKind::Comment) {
                let star = format!("{:>width$}", '*', width = self.indent);
                let text = tree.property_text(prompt).unwrap_or_default();
                let star = star.as_bytes();
                self.print(&[star, b"\n", star, b" ", text, b"\n", star, b"\n"].concat());
            }
        }
        let symbol = tree.node(node).symbol;
        if let Some(symbol) = symbol {
            if tree.get(symbol).choice {
                self.ask_choice(node, symbol)?;
                let several = tree.rules() == Rules::Linux6_1
                    && self.config.states[symbol.index()].tri == Mod;
                if !several {
                    return Ok(());
                }
            } else if matches!(
                tree.get(symbol).type_,
                SymbolType::Int | SymbolType::Hex | SymbolType::String
            ) {
                self.ask_text(node, symbol)?;
            } else {
                self.ask_tristate(node, symbol)?;
            }
        }
        let deeper = if symbol.is_some() { 2 } else { 0 };
        self.indent += deeper;
        for child in tree.children(node) {
            self.ask(child)?;
        }
        self.indent -= deeper;
        Ok(())
    }

    fn prompt_text(&self, node: NodeId) -> Vec<u8> {
        let text = self.config.tree.node_prompt(node).unwrap_or_default();
        [" ".repeat(self.indent - 1).as_bytes(), text].concat()
    }

    /// Reads an answer into the line; `false` when the present value stands.
    fn answer(&mut self, symbol: SymbolId, present: &[u8]) -> Result<bool, Failed> {
        let has_user = self.config.states[symbol.index()].has_user;
        if !has_user {
            self.print(b"(NEW) ");
        }
        self.line = b"\n".to_vec();
        if !self.config.is_changeable(symbol)
            || (matches!(self.mode, Mode::Old | Mode::Sync) && has_user)
        {
            self.print(&[present, b"\n"].concat());
            return Ok(false);
        }
        self.read_line()?;
        Ok(true)
    }

    fn read_line(&mut self) -> Result<(), Failed> {
        self.flush();
        match self.console.read_line(LINE) {
            Some(line) => {
                self.input_ended = !line.ends_with(b"\n");
                self.line = line;
            }
            None => {
                self.asked += u32::from(self.input_ended);
                self.input_ended = true;
                self.complain(b"\nError in reading or end of file.\n");
                if self.asked > MAX_UNANSWERED {
                    return Err(Failed);
                }
            }
        }
        if !self.console.is_terminal() {
            let line = self.line.clone();
            self.print(&line);
        }
        Ok(())
    }

    fn ask_text(&mut self, node: NodeId, symbol: SymbolId) -> Result<(), Failed> {
        loop {
            let name = self.config.tree.display_name(symbol);
            let present = self.config.string_value(symbol).to_vec();
            let question = [
                &self.prompt_text(node),
                b" (".as_slice(),
                name,
                b") [",
                &present,
                b"] ",
            ];
            self.print(&question.concat());
            if !self.answer(symbol, &present)? {
                return Ok(());
            }
            let answer = match self.line.as_slice() {
                b"\n" => Some(present),
                b"?\n" => {
                    self.help(node);
                    None
                }
                line => Some(line[..line.len().saturating_sub(1)].to_vec()),
            };
            if let Some(answer) = answer
                && self.config.set_text(symbol, &answer)
            {
                return Ok(());
            }
            if self.input_ended {
                let name = self.config.tree.display_name(symbol);
                let text = [
                    b"\nerror: no value for new symbol '".as_slice(),
                    name,
                    b"' at end of input\n",
                ];
                self.complain(&text.concat());
                return Err(Failed);
            }
        }
    }

    fn ask_tristate(&mut self, node: NodeId, symbol: SymbolId) -> Result<(), Failed> {
        loop {
            let mut question = self.prompt_text(node);
            question.push(b' ');
            if let Some(name) = self.config.tree.name(symbol) {
                question.extend_from_slice(&[b"(", name, b") "].concat());
            }
            let present = self.config.states[symbol.index()].tri;
            question.push(b'[');
            question.extend_from_slice(present.as_str().to_ascii_uppercase().as_bytes());
            for value in [No, Mod, Yes] {
                if value != present && self.config.is_settable(symbol, value) {
                    question.push(b'/');
                    question.extend_from_slice(value.as_str().as_bytes());
                }
            }
            question.extend_from_slice(b"/?] ");
            self.print(&question);
            if !self.answer(symbol, present.as_str().as_bytes())? {
                return Ok(());
            }
            let line = strip(&self.line).to_vec();
            let value = match line.as_slice() {
                b"n" | b"N" | b"no" | b"No" => No,
                b"m" | b"M" => Mod,
                b"y" | b"Y" | b"yes" | b"Yes" => Yes,
                b"" => present,
                [b'?', ..] => {
                    self.help(node);
                    continue;
                }
                _ => continue,
            };
            if self.config.set_tristate(symbol, value) {
                return Ok(());
            }
            self.help(node);
        }
    }

    fn ask_choice(&mut self, node: NodeId, symbol: SymbolId) -> Result<(), Failed> {
        let tree = self.config.tree;
        let old = tree.rules() == Rules::Linux6_1;
        let mut is_new = old && !self.config.states[symbol.index()].has_user;
        if old {
            let changeable = self.config.is_changeable(symbol);
            if changeable {
                self.ask_tristate(node, symbol)?;
                self.config.calculate(symbol);
            }
            match self.config.states[symbol.index()].tri {
                No => return Ok(()),
                Mod => {
                    if !changeable {
                        let text = [self.prompt_text(node).as_slice(), b"\n"].concat();
                        self.print(&text);
                    }
                    return Ok(());
                }
                Yes => {}
            }
        }
        loop {
            let text = [self.prompt_text(node).as_slice(), b"\n"].concat();
            self.print(&text);
            let default = if old {
                self.config.states[symbol.index()].picked
            } else {
                self.config.choose(node)
            };
            let (count, at) = self.list_members(node, default, old, &mut is_new);
            self.line.clear();
            let indent = " ".repeat(self.indent - 1);
            let mut number = i64::from(count);
            let mut answered = false;
            if count == 1 {
                self.print(format!("{indent}choice[1]: 1\n").as_bytes());
            } else {
                self.print(format!("{indent}choice[1-{count}?]: ").as_bytes());
                if matches!(self.mode, Mode::Old | Mode::Sync) && !is_new {
                    number = i64::from(at);
                    self.print(format!("{number}\n").as_bytes());
                } else {
                    self.read_line()?;
                    answered = true;
                    self.line = strip(&self.line).to_vec();
                    match self.line.first() {
                        Some(b'?') => {
                            self.help(node);
                            continue;
                        }
                        None => number = i64::from(at),
                        Some(byte) if byte.is_ascii_digit() => {
                            number = crate::value::signed(&self.line, 10);
                        }
                        Some(_) => continue,
                    }
                }
            }
            let Some((child, member)) = self.member_at(node, number) else {
                if answered {
                    continue;
                }
                // Nobody is asked: the same would be printed for ever.
                self.complain(b"\nerror: a choice has no visible member to take\n");
                return Err(Failed);
            };
            if self.line.last() == Some(&b'?') {
                self.help(child);
                continue;
            }
            if !old {
                self.config.set_choice(node, member);
                return Ok(());
            }
            self.config.set_tristate(member, Yes);
            self.indent += 2;
            for below in tree.children(child) {
                self.ask(below)?;
            }
            self.indent -= 2;
            return Ok(());
        }
    }

    /// Prints the members; gives their number and the number of the present one.
    fn list_members(
        &mut self,
        node: NodeId,
        default: Option<SymbolId>,
        old: bool,
        is_new: &mut bool,
    ) -> (u32, u32) {
        let tree = self.config.tree;
        let (mut count, mut at) = (0, 0);
        for child in tree.children(node) {
            if !self.config.is_visible(child) {
                continue;
            }
            let text = tree.node_prompt(child).unwrap_or_default();
            let Some(member) = tree.node(child).symbol else {
                let star = format!("{:>width$} ", '*', width = self.indent);
                self.print(&[star.as_bytes(), text, b"\n"].concat());
                continue;
            };
            count += 1;
            let mark = if default == Some(member) {
                at = count;
                '>'
            } else {
                ' '
            };
            let mut line = format!("{mark:>width$} {count}. ", width = self.indent).into_bytes();
            line.extend_from_slice(text);
            if let Some(name) = tree.name(member) {
                line.extend_from_slice(&[b" (", name, b")"].concat());
            }
            if !self.config.states[member.index()].has_user {
                *is_new |= !old;
                line.extend_from_slice(b" (NEW)");
            }
            line.push(b'\n');
            self.print(&line);
        }
        (count, at)
    }

    fn member_at(&mut self, node: NodeId, number: i64) -> Option<(NodeId, SymbolId)> {
        let tree = self.config.tree;
        let mut left = number;
        for child in tree.children(node) {
            let Some(member) = tree.node(child).symbol else {
                continue;
            };
            if !self.config.is_visible(child) {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Some((child, member));
            }
        }
        None
    }

    fn help(&mut self, node: NodeId) {
        let text = self.config.extended_help(node);
        self.print(&[b"\n", text.as_slice(), b"\n"].concat());
    }
}

fn strip(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | 9..=13);
    let start = line
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    &line[start..end]
}

impl Configuration<'_> {
    /// Whether a user's choice of that value would stand.
    pub(crate) fn is_settable(&self, id: SymbolId, value: Tristate) -> bool {
        let type_ = self.effective_type(id);
        let state = &self.states[id.index()];
        if state.visible == No || !type_.is_logical() {
            return false;
        }
        if (type_ == SymbolType::Bool && value == Mod) || state.visible <= state.reverse {
            return false;
        }
        if self.tree.dialect.is_early() && state.implied == Yes && value == Mod {
            return false;
        }
        if self.tree.rules() == Rules::Linux6_1 && self.tree.get(id).member && state.visible == Yes
        {
            return value == Yes;
        }
        value >= state.reverse && value <= state.visible
    }

    /// Sets a value if it would stand.
    pub(crate) fn set_tristate(&mut self, id: SymbolId, value: Tristate) -> bool {
        let present = self.states[id.index()].tri;
        let old = self.tree.rules() == Rules::Linux6_1;
        let stands = (old && present == value) || self.is_settable(id, value);
        if !stands {
            return false;
        }
        if old && self.tree.get(id).member && value == Yes {
            self.pick(id);
        }
        let state = &mut self.states[id.index()];
        state.user_tri = value;
        state.has_user = true;
        if present != value {
            self.invalidate();
        }
        true
    }

    /// A 6.1 choice and its visible members count as decided with one member's `y`.
    fn pick(&mut self, member: SymbolId) {
        let Some(choice) = self.tree.get(member).choice_symbol else {
            return;
        };
        let state = &mut self.states[choice.index()];
        state.user_pick = Some(member);
        state.has_user = true;
        for other in self.members_of(choice).to_vec() {
            let state = &mut self.states[other.index()];
            state.has_user |= state.visible != No;
        }
    }

    /// Sets a number or text if it is valid and in range.
    fn set_text(&mut self, id: SymbolId, text: &[u8]) -> bool {
        if !self.text_within_range(id, text) {
            return false;
        }
        let type_ = self.tree.get(id).type_;
        let bare = type_ == SymbolType::Hex && !matches!(text, [b'0', b'x' | b'X', ..]);
        let had_same = self.states[id.index()].user_text.as_deref() == Some(text);
        let state = &mut self.states[id.index()];
        state.has_user = true;
        if bare {
            state.user_text = Some([b"0x", text].concat().into());
        } else if had_same {
            return true;
        } else {
            state.user_text = Some(text.into());
        }
        self.invalidate();
        true
    }
}
