//! What each statement does to the tree being built.

use crate::block::BlockKind;
use crate::diagnostic::Severity;
use crate::dialect::Rules;
use crate::entry::Entry;
use crate::expr::{Comparison, Expr, ExprId};
use crate::grammar::{ExprTree, Operand, Statement, Token};
use crate::lexer::Kind;
use crate::loader::{Loader, Stop};
use crate::property::PropertyKind;
use crate::simplify::Simplifier;
use crate::symbol::SymbolType;

/// Dependencies of one entry.
const MAX_DEPENDENCIES: u32 = 2000;

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
                | Statement::OptionAllnoconfigY
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
                self.option_env(&name);
            }
            Statement::OptionAllnoconfigY => {
                if let Some(symbol) = self.tree.nodes[self.current.index()].symbol {
                    self.tree.symbols.symbols[symbol.index()].allno_yes = true;
                }
            }
            Statement::Help => self.help(),
            _ => {}
        }
        Ok(())
    }

    /// `option env=`: the symbol has the value of a variable, and is not written.
    fn option_env(&mut self, name: &[u8]) {
        let node = self.tree.node(self.current);
        let (file, line) = (node.file, node.line);
        if let Some(symbol) = node.symbol {
            self.tree.symbols.symbols[symbol.index()].no_write = true;
        }
        match self.macros.environment(name) {
            Some(value) => {
                let value = self.tree.symbols.intern(&value, true);
                let value = self.tree.exprs.symbol(value);
                self.add_property(PropertyKind::Default, Some(value), None);
            }
            None => {
                let message = [b"environment variable ", name, b" undefined"].concat();
                self.report_at(Severity::Warning, file, line, &message, b":warning: ");
            }
        }
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
}
