//! What each statement does to the tree being built.

use crate::diagnostic::Severity;
use crate::dialect::{Dialect, Rules};
use crate::expr::{Comparison, Expr, ExprId, ExprPool};
use crate::grammar::{ExprTree, Operand, SourceKind, Statement, Token};
use crate::kconfig::Kconfig;
use crate::lexer::{self, Kind};
use crate::loader::{Loader, Stop};
use crate::menu::{Choice, HelpRef, MenuNode, NodeId};
use crate::property::{Property, PropertyId, PropertyKind};
use crate::simplify::Simplifier;
use crate::source::{FileId, Text};
use crate::symbol::{SymbolId, SymbolTable, SymbolType};

/// Blocks inside one another.
const MAX_BLOCKS: usize = 300;
/// Dependencies of one entry.
const MAX_DEPENDENCIES: u32 = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    If,
    Menu,
    Choice,
}

/// An open block of the grammar.
pub(crate) struct Block {
    kind: BlockKind,
    node: NodeId,
    in_choice: bool,
}

/// What the options that follow belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Config,
    Menuconfig,
    Choice,
    Menu,
    Comment,
}

impl Kconfig {
    pub(crate) fn empty(dialect: Dialect, prefix: Vec<u8>) -> Self {
        let root = MenuNode {
            next: None,
            parent: None,
            list: None,
            symbol: None,
            prompt: None,
            visibility: None,
            dependency: None,
            help: None,
            file: FileId(0),
            line: 0,
        };
        Self {
            dialect,
            symbols: SymbolTable::new(),
            exprs: ExprPool::new(),
            properties: Vec::new(),
            nodes: vec![root],
            choices: Vec::new(),
            texts: Vec::new(),
            files: Vec::new(),
            modules: SymbolId::NO,
            hash_order: Vec::new(),
            prefix,
            used_environment: Vec::new(),
            diagnostics: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }
}

impl Loader<'_> {
    pub(crate) fn statement(&mut self, statement: Statement) -> Result<(), Stop> {
        let first = self.tokens.len() as u32;
        if let Err(token) = self.allowed(&statement) {
            self.syntax_error(token);
            return Ok(());
        }
        self.recovery = self.recovery.saturating_sub(first + 1);
        self.after_help = false;
        if !self.is_option(&statement) {
            self.end_entry();
        }
        match statement {
            Statement::Mainmenu(text) => {
                self.add_prompt(PropertyKind::Menu, &text, None);
            }
            Statement::Config(name) => self.declare(&name, Entry::Config),
            Statement::Menuconfig(name) => self.declare(&name, Entry::Menuconfig),
            Statement::Choice(name) => self.choice(name),
            Statement::Menu(text) => {
                self.add_node(None);
                self.add_prompt(PropertyKind::Menu, &text, None);
                self.entry = Some(Entry::Menu);
            }
            Statement::Comment(text) => {
                self.add_node(None);
                self.add_prompt(PropertyKind::Comment, &text, None);
                self.entry = Some(Entry::Comment);
            }
            Statement::If(condition) => {
                let condition = self.expr(&condition);
                self.add_node(None);
                self.add_dependency(condition);
                self.open_block(BlockKind::If)?;
            }
            Statement::EndChoice => self.end_block(BlockKind::Choice),
            Statement::EndIf => self.end_block(BlockKind::If),
            Statement::EndMenu => self.end_block(BlockKind::Menu),
            Statement::Source(path, kind) => self.source(&path, kind)?,
            Statement::Assignment(name, flavor) => {
                let name = self.text(&name).to_vec();
                let value = self
                    .assignment
                    .map(|range| self.raw(range))
                    .unwrap_or_default();
                self.assign(&name, &value, flavor)?;
            }
            other => return self.option(other),
        }
        Ok(())
    }

    fn is_option(&self, statement: &Statement) -> bool {
        matches!(
            statement,
            Statement::Type(..)
                | Statement::Prompt(..)
                | Statement::Default(..)
                | Statement::Select(..)
                | Statement::Imply(..)
                | Statement::Range(..)
                | Statement::Depends(..)
                | Statement::Visible(..)
                | Statement::Modules
                | Statement::Transitional
                | Statement::Optional
                | Statement::OptionEnv(..)
                | Statement::OptionDefconfigList
                | Statement::OptionOther
                | Statement::Help
        )
    }

    /// Whether the statement may stand here, else which token is too much; closes the open entry
    /// when it may not be continued.
    fn allowed(&mut self, statement: &Statement) -> Result<(), usize> {
        if self.is_option(statement) {
            if self.entry == Some(Entry::Choice) {
                match statement {
                    Statement::Type(SymbolType::Bool, None) if self.rules() == Rules::Linux6_12 => {
                        return Err(1);
                    }
                    Statement::Default(None, ExprTree::Symbol(operand), _) if !operand.constant => {
                    }
                    Statement::Default(None, ..) => return Err(1),
                    _ => {}
                }
            }
            let fits = match (self.entry, statement) {
                (None, _) => false,
                (Some(Entry::Config | Entry::Menuconfig), Statement::Visible(..)) => false,
                (Some(Entry::Config | Entry::Menuconfig), Statement::Optional) => {
                    self.tree.dialect.legacy
                }
                (Some(Entry::Config | Entry::Menuconfig), _) => true,
                (Some(Entry::Choice), Statement::Type(type_, prompt)) => match self.rules() {
                    Rules::Linux6_12 => *type_ == SymbolType::Bool && prompt.is_some(),
                    Rules::Linux6_1 => type_.is_logical(),
                },
                (Some(Entry::Choice), Statement::Default(None, ExprTree::Symbol(operand), _)) => {
                    !operand.constant
                }
                (
                    Some(Entry::Choice),
                    Statement::Prompt(..)
                    | Statement::Depends(..)
                    | Statement::Help
                    | Statement::Optional,
                ) => true,
                (Some(Entry::Menu), Statement::Visible(..) | Statement::Depends(..)) => true,
                (Some(Entry::Comment), Statement::Depends(..)) => true,
                _ => false,
            };
            if !fits {
                self.end_entry();
            }
            return if fits { Ok(()) } else { Err(0) };
        }
        let in_choice = self.entry == Some(Entry::Choice)
            || (self.entry != Some(Entry::Menu)
                && self.blocks.last().is_some_and(|block| block.in_choice));
        let fits = match statement {
            Statement::Mainmenu(_) => {
                self.tree.nodes.len() == 1 && self.tree.nodes[0].prompt.is_none()
            }
            Statement::EndChoice | Statement::EndIf | Statement::EndMenu => {
                self.end_entry();
                !self.blocks.is_empty()
            }
            Statement::Config(_) | Statement::Comment(_) | Statement::If(_) => true,
            _ => !in_choice || self.tree.dialect.legacy,
        };
        if fits { Ok(()) } else { Err(0) }
    }

    fn declare(&mut self, name: &Token, entry: Entry) {
        let operand = Operand {
            text: *name,
            constant: false,
        };
        let symbol = self.operand(operand);
        self.tree.symbols.symbols[symbol.index()].optional = true;
        self.add_node(Some(symbol));
        self.entry = Some(entry);
    }

    fn choice(&mut self, name: Option<Token>) {
        let name = name.map(|name| self.text(&name).to_vec());
        let known = name.as_deref().and_then(|name| {
            let same = |choice: &&Choice| self.tree.name(choice.symbol) == Some(name);
            self.tree
                .choices
                .iter()
                .find(same)
                .map(|choice| choice.symbol)
        });
        let symbol = known.unwrap_or_else(|| self.tree.symbols.add_choice(name.as_deref()));
        self.add_node(Some(symbol));
        self.entry = Some(Entry::Choice);
        match self.rules() {
            Rules::Linux6_12 => self.set_type(SymbolType::Bool),
            Rules::Linux6_1 => {
                self.tree.symbols.symbols[symbol.index()].no_write = true;
                self.add_property(PropertyKind::Choice, None, None);
            }
        }
        // In 6.1 a further block of a named choice adds members to the first.
        if known.is_none() || self.rules() == Rules::Linux6_12 {
            self.tree.choices.push(Choice {
                symbol,
                node: self.current,
                members: Vec::new(),
            });
        }
    }

    fn option(&mut self, statement: Statement) -> Result<(), Stop> {
        match statement {
            Statement::Type(type_, prompt) => {
                if let Some((text, when)) = prompt {
                    let when = when.map(|when| self.expr(&when));
                    self.add_prompt(PropertyKind::Prompt, &text, when);
                }
                self.set_type(type_);
            }
            Statement::Prompt(text, when) => {
                let when = when.map(|when| self.expr(&when));
                self.add_prompt(PropertyKind::Prompt, &text, when);
            }
            Statement::Default(type_, value, when) => {
                let value = self.expr(&value);
                let when = when.map(|when| self.expr(&when));
                self.add_property(PropertyKind::Default, Some(value), when);
                if let Some(type_) = type_ {
                    self.set_type(type_);
                }
            }
            Statement::Select(name, when) => self.add_select(PropertyKind::Select, name, when),
            Statement::Imply(name, when) => self.add_select(PropertyKind::Imply, name, when),
            Statement::Range(low, high, when) => {
                let (low, high) = (self.operand(low), self.operand(high));
                let when = when.map(|when| self.expr(&when));
                let bounds = self.tree.exprs.intern(Expr::Range(low, high));
                self.add_property(PropertyKind::Range, Some(bounds), when);
            }
            Statement::Depends(on, when) => {
                let mut on = self.expr(&on);
                if let Some(when) = when {
                    let when = self.expr(&when);
                    let mut simplifier = Simplifier::new(self.rules());
                    let pool = &mut self.tree.exprs;
                    let off = simplifier.compare_with_no(pool, Some(when), Comparison::Equal);
                    on = pool.either(on, off);
                }
                self.add_dependency(on);
                self.check_depth()?;
            }
            Statement::Visible(Some(when)) => {
                let when = self.expr(&when);
                let node = &mut self.tree.nodes[self.current.index()];
                node.visibility = self.tree.exprs.and(node.visibility, Some(when));
            }
            Statement::Modules => self.set_modules(),
            Statement::Transitional => {
                if let Some(symbol) = self.tree.nodes[self.current.index()].symbol {
                    self.tree.symbols.symbols[symbol.index()].transitional = true;
                }
            }
            Statement::Optional => {
                if let Some(symbol) = self.tree.nodes[self.current.index()].symbol {
                    self.tree.symbols.symbols[symbol.index()].optional = true;
                }
            }
            Statement::OptionEnv(name) => {
                let name = self.text(&name).to_vec();
                let value = self.macros.environment(&name).unwrap_or_default();
                let value = self.tree.symbols.intern(&value, true);
                let value = self.tree.exprs.symbol(value);
                self.add_property(PropertyKind::Default, Some(value), None);
            }
            Statement::Help => self.help(),
            _ => {}
        }
        Ok(())
    }

    fn check_depth(&mut self) -> Result<(), Stop> {
        let mut depth = 0;
        let mut at = self.tree.nodes[self.current.index()].dependency;
        while let Some(Expr::And(left, _)) = at.map(|at| self.tree.exprs.get(at)) {
            depth += 1;
            at = Some(left);
        }
        if depth > MAX_DEPENDENCIES {
            self.error_here(b"an entry has more than 2000 dependencies");
            return Err(Stop);
        }
        Ok(())
    }

    fn add_select(&mut self, kind: PropertyKind, name: Token, when: Option<ExprTree>) {
        let symbol = self.operand(Operand {
            text: name,
            constant: false,
        });
        let when = when.map(|when| self.expr(&when));
        let symbol = self.tree.exprs.symbol(symbol);
        self.add_property(kind, Some(symbol), when);
    }

    fn set_modules(&mut self) {
        let Some(symbol) = self.tree.nodes[self.current.index()].symbol else {
            return;
        };
        if let Some(known) = self.modules {
            let message = [
                b"symbol '",
                self.tree.display_name(symbol),
                b"' redefines option 'modules' already defined by symbol '",
                self.tree.display_name(known),
                b"'",
            ]
            .concat();
            self.error_here(&message);
        }
        self.modules = Some(symbol);
    }

    fn help(&mut self) {
        let Some(frame) = self.stack.last_mut() else {
            return;
        };
        let start = frame.at;
        let end = lexer::help(&frame.bytes, start, None);
        frame.at = end.at;
        frame.line += end.lines;
        let (file, line) = (frame.file, frame.line);
        self.line = line;
        self.after_help = true;
        let node = &self.tree.nodes[self.current.index()];
        let name = node
            .symbol
            .map(|symbol| self.tree.display_name(symbol).to_vec());
        let name = name.unwrap_or_default();
        if node.help.is_some() {
            let message = [
                b"warning: '".as_slice(),
                &name,
                b"' defined with more than one help text -- only the last one will be used",
            ];
            self.report_at(Severity::Warning, file, line, &message.concat(), b": ");
        }
        if end.blank {
            let message = [
                b"warning: '".as_slice(),
                &name,
                b"' defined with blank help text",
            ];
            self.report_at(Severity::Warning, file, line, &message.concat(), b": ");
        }
        self.tree.nodes[self.current.index()].help = Some(HelpRef {
            file,
            at: start as u32,
        });
    }

    /// Does what is due when no more options can follow.
    fn end_entry(&mut self) {
        match self.entry.take() {
            Some(Entry::Config) => self.end_config(),
            Some(Entry::Menuconfig) => match self.tree.nodes[self.current.index()].prompt {
                Some(prompt) => {
                    self.tree.properties[prompt.index()].kind = PropertyKind::Menu;
                }
                None => {
                    let (file, line) = self.next_place();
                    self.report_at(
                        Severity::Warning,
                        file,
                        line,
                        b"warning: menuconfig statement without prompt",
                        b": ",
                    );
                }
            },
            Some(Entry::Choice) => {
                if self.tree.nodes[self.current.index()].prompt.is_none()
                    && self.rules() == Rules::Linux6_12
                {
                    self.entry_error(b"choice must have a prompt");
                }
                self.current_choice = Some(self.tree.choices.len() - 1);
                self.enter();
                self.blocks.push(Block {
                    kind: BlockKind::Choice,
                    node: self.current,
                    in_choice: true,
                });
            }
            Some(Entry::Menu) => {
                self.enter();
                self.blocks.push(Block {
                    kind: BlockKind::Menu,
                    node: self.current,
                    in_choice: false,
                });
            }
            Some(Entry::Comment) | None => {}
        }
    }

    /// Where the grammar stands when it learns that an entry has ended: the next statement.
    fn next_place(&self) -> (FileId, u32) {
        (self.file, self.line)
    }

    fn end_config(&mut self) {
        let (Some(choice), Rules::Linux6_12) = (self.current_choice, self.rules()) else {
            return;
        };
        let node = &self.tree.nodes[self.current.index()];
        let (prompt, symbol) = (node.prompt, node.symbol);
        if prompt.is_none() {
            self.entry_error(b"choice member must have a prompt");
        }
        let Some(symbol) = symbol else { return };
        if self.tree.get(symbol).type_ != SymbolType::Bool {
            self.entry_error(b"choice member must be bool");
        }
        let member = &mut self.tree.symbols.symbols[symbol.index()].member;
        if !*member {
            *member = true;
            self.tree.choices[choice].members.push(symbol);
        }
    }

    fn entry_error(&mut self, message: &[u8]) {
        self.errors += 1;
        let node = &self.tree.nodes[self.current.index()];
        let (file, line) = (node.file, node.line);
        self.report_at(Severity::Error, file, line, message, b": error: ");
    }

    fn open_block(&mut self, kind: BlockKind) -> Result<(), Stop> {
        let in_choice = self.blocks.last().is_some_and(|block| block.in_choice);
        if self.blocks.len() >= MAX_BLOCKS {
            self.error_here(b"more than 300 blocks inside one another");
            return Err(Stop);
        }
        self.enter();
        self.blocks.push(Block {
            kind,
            node: self.current,
            in_choice,
        });
        Ok(())
    }

    fn end_block(&mut self, end: BlockKind) {
        let Some(block) = self.blocks.pop() else {
            return;
        };
        if block.kind == BlockKind::Choice {
            self.current_choice = None;
        }
        let word = |kind| match kind {
            BlockKind::If => "if",
            BlockKind::Menu => "menu",
            BlockKind::Choice => "choice",
        };
        if end != block.kind {
            let message = format!(
                "unexpected '{}' within {} block",
                word(end),
                word(block.kind)
            );
            self.error_here(message.as_bytes());
            return;
        }
        let node = &self.tree.nodes[self.current_menu.index()];
        let (file, line) = (node.file, node.line);
        if file != self.file {
            let message = format!(
                "'{}' in different file than '{}'",
                word(end),
                word(block.kind)
            );
            self.error_here(message.as_bytes());
            let message = format!("location of the '{}'", word(block.kind));
            self.report_at(Severity::Error, file, line, message.as_bytes(), b": ");
            return;
        }
        self.leave();
    }

    fn enter(&mut self) {
        self.last_child = self.current;
        self.link_child = true;
        self.current_menu = self.current;
    }

    fn leave(&mut self) {
        self.last_child = self.current_menu;
        self.link_child = false;
        let parent = self.tree.nodes[self.current_menu.index()].parent;
        self.current_menu = parent.unwrap_or(NodeId::ROOT);
    }

    fn source(&mut self, path: &Token, kind: SourceKind) -> Result<(), Stop> {
        let mut path = self.text(path).to_vec();
        if self.tree.dialect.legacy {
            path = self.expand_dollar_names(&path);
        }
        if kind.relative {
            let file = self.tree.file_name(self.file);
            if let Some(slash) = file.iter().rposition(|byte| *byte == b'/') {
                path = [&file[..=slash], &path].concat();
            }
        }
        if self.tree.dialect.globs && path.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            let names = crate::glob::matches(self.files, self.environment, &path);
            if names.is_empty() && !kind.optional && self.tree.dialect.relative_source {
                let message = [b"no file matches \"".as_slice(), &path, b"\""].concat();
                self.error_here(&message);
                return Err(Stop);
            }
            // The last one pushed is read first.
            for name in names.iter().rev() {
                self.include(name)?;
            }
            return Ok(());
        }
        if kind.optional && self.open(&path).is_none() {
            return Ok(());
        }
        self.include(&path)
    }

    /// `$NAME` and `${NAME}` of the old language: a symbol set from the environment, or the
    /// environment itself.
    fn expand_dollar_names(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            out.extend_from_slice(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            let braced = rest.first() == Some(&b'{');
            rest = &rest[usize::from(braced)..];
            let length = rest
                .iter()
                .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(length);
            out.extend_from_slice(&self.symbol_text(name));
            rest = if braced {
                after.strip_prefix(b"}").unwrap_or(after)
            } else {
                after
            };
        }
        out.extend_from_slice(rest);
        out
    }

    fn symbol_text(&mut self, name: &[u8]) -> Vec<u8> {
        if let Some(symbol) = self.tree.symbol(name)
            && let Some(default) = self
                .tree
                .properties_of(symbol, PropertyKind::Default)
                .next()
            && let Some(value) = self.tree.property_symbol(default)
        {
            return self.tree.symbols.name(value).to_vec();
        }
        self.macros.environment(name).unwrap_or_default()
    }

    fn add_node(&mut self, symbol: Option<SymbolId>) {
        let id = NodeId(self.tree.nodes.len() as u32);
        self.tree.nodes.push(MenuNode {
            next: None,
            parent: Some(self.current_menu),
            list: None,
            symbol,
            prompt: None,
            visibility: None,
            dependency: None,
            help: None,
            file: self.file,
            line: self.line,
        });
        let link = &mut self.tree.nodes[self.last_child.index()];
        if self.link_child {
            link.list = Some(id);
        } else {
            link.next = Some(id);
        }
        self.last_child = id;
        self.link_child = false;
        self.current = id;
        if let Some(symbol) = symbol {
            self.tree.symbols.symbols[symbol.index()].nodes.push(id);
            if self.rules() == Rules::Linux6_1 {
                let itself = self.tree.exprs.symbol(symbol);
                self.add_property(PropertyKind::Symbol, Some(itself), None);
            }
        }
    }

    pub(crate) fn add_property(
        &mut self,
        kind: PropertyKind,
        expr: Option<ExprId>,
        condition: Option<ExprId>,
    ) -> PropertyId {
        let id = PropertyId(self.tree.properties.len() as u32);
        self.tree.properties.push(Property {
            kind,
            text: None,
            condition,
            expr,
            node: self.current,
            file: self.file,
            line: self.line,
        });
        if let Some(symbol) = self.tree.nodes[self.current.index()].symbol {
            self.tree.symbols.symbols[symbol.index()]
                .properties
                .push(id);
        }
        id
    }

    pub(crate) fn add_prompt(&mut self, kind: PropertyKind, text: &Token, when: Option<ExprId>) {
        let text = self.text(text).to_vec();
        self.add_prompt_text(kind, &text, when);
    }

    pub(crate) fn add_prompt_text(
        &mut self,
        kind: PropertyKind,
        text: &[u8],
        mut when: Option<ExprId>,
    ) {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | 10..=13);
        let trimmed = text
            .iter()
            .position(|byte| !blank(byte))
            .unwrap_or(text.len());
        let (file, line) = (self.file, self.line);
        if trimmed > 0 {
            let message = b"leading whitespace ignored";
            self.report_at(Severity::Warning, file, line, message, b":warning: ");
        }
        let text = &text[trimmed..];
        if self.tree.nodes[self.current.index()].prompt.is_some() {
            self.report_at(
                Severity::Warning,
                file,
                line,
                b"prompt redefined",
                b":warning: ",
            );
        }
        if kind == PropertyKind::Prompt {
            let mut at = self.tree.nodes[self.current.index()].parent;
            while let Some(parent) = at {
                let parent = &self.tree.nodes[parent.index()];
                if parent.visibility.is_some() {
                    when = self.tree.exprs.and(when, parent.visibility);
                }
                at = parent.parent;
            }
        }
        let prompt = self.add_property(kind, None, when);
        let start = self.tree.texts.len() as u32;
        self.tree.texts.extend_from_slice(text);
        let end = self.tree.texts.len() as u32;
        self.tree.properties[prompt.index()].text = Some(Text { start, end });
        self.tree.nodes[self.current.index()].prompt = Some(prompt);
    }

    fn add_dependency(&mut self, on: ExprId) {
        let node = &mut self.tree.nodes[self.current.index()];
        node.dependency = self.tree.exprs.and(node.dependency, Some(on));
    }

    pub(crate) fn set_type(&mut self, type_: SymbolType) {
        let node = &self.tree.nodes[self.current.index()];
        let (file, line) = (node.file, node.line);
        let Some(symbol) = node.symbol else { return };
        let known = self.tree.get(symbol).type_;
        if known == type_ {
            return;
        }
        if known == SymbolType::Unknown {
            self.tree.symbols.symbols[symbol.index()].type_ = type_;
            return;
        }
        let message = [
            b"ignoring type redefinition of '",
            self.tree.display_name(symbol),
            b"' from '",
            known.as_str().as_bytes(),
            b"' to '",
            type_.as_str().as_bytes(),
            b"'",
        ]
        .concat();
        self.report_at(Severity::Warning, file, line, &message, b":warning: ");
    }

    fn expr(&mut self, tree: &ExprTree) -> ExprId {
        match tree {
            ExprTree::Symbol(operand) => {
                let symbol = self.operand(*operand);
                self.tree.exprs.symbol(symbol)
            }
            ExprTree::Compare(how, a, b) => {
                let (a, b) = (self.operand(*a), self.operand(*b));
                self.tree.exprs.intern(Expr::Compare(*how, a, b))
            }
            ExprTree::Not(inner) => {
                let inner = self.expr(inner);
                self.tree.exprs.not(inner)
            }
            ExprTree::And(a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                self.tree.exprs.both(a, b)
            }
            ExprTree::Or(a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                self.tree.exprs.either(a, b)
            }
        }
    }

    /// "syntax error" at the present statement, unless one was just reported.
    pub(crate) fn syntax_message(&mut self) {
        self.errors += 1;
        let line = match self.rules() {
            Rules::Linux6_1 => self.line + 1,
            Rules::Linux6_12 => self.line,
        };
        let message = b"syntax error";
        if self.rules() == Rules::Linux6_1 && self.stack.is_empty() {
            let start = format!("<none>:{line}: ");
            let conf = [start.as_bytes(), message, b"\n"];
            self.report(
                Severity::Error,
                Some((self.file, self.line)),
                message,
                &conf,
            );
            return;
        }
        self.report_at(Severity::Error, self.file, line, message, b": ");
    }

    /// Reports the statement whose token of that index does not fit, and gives it up.
    pub(crate) fn syntax_error(&mut self, token: usize) {
        let keyword = matches!(
            self.tokens.first().map(|token| token.kind),
            Some(Kind::Keyword(_))
        );
        if !keyword || token == 0 {
            self.end_entry();
        }
        self.recovery = self.recovery.saturating_sub(token as u32);
        if self.recovery == 0 {
            self.syntax_message();
            if let Some(token) = self.tokens.get(token).or(self.tokens.last()).copied() {
                self.underline(&token);
            }
        }
        self.recovery = 2;
        self.entry = None;
        self.after_help = false;
        let in_choice = self.blocks.last().is_some_and(|block| block.in_choice);
        match self.tokens.first().copied() {
            Some(first) if first.kind == Kind::Word && !in_choice => {
                let message = [b"unknown statement \"", self.text(&first), b"\""].concat();
                self.error_here(&message);
            }
            _ => self.error_here(b"invalid statement"),
        }
    }

    /// At the end of the last file: open blocks are errors.
    pub(crate) fn end_of_input(&mut self) {
        self.end_entry();
        if self.blocks.is_empty() {
            return;
        }
        self.syntax_message();
        while let Some(block) = self.blocks.pop() {
            let node = &self.tree.nodes[block.node.index()];
            let (file, line) = (node.file, node.line);
            let message = b"missing end statement for this entry";
            self.report_at(Severity::Error, file, line, message, b": ");
        }
    }
}
