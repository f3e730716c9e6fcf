//! Entries: what has a node of the menu tree, from its first line to the end of its options.

use crate::block::{Block, BlockKind};
use crate::diagnostic::Severity;
use crate::dialect::Rules;
use crate::expr::ExprId;
use crate::grammar::{Operand, Token};
use crate::lexer;
use crate::loader::Loader;
use crate::menu::{Choice, HelpRef, MenuNode, NodeId};
use crate::property::{Property, PropertyId, PropertyKind};
use crate::source::{FileId, Text};
use crate::symbol::{SymbolId, SymbolType};

/// What the options that follow belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Config,
    Menuconfig,
    Choice,
    Menu,
    Comment,
}

impl Loader<'_> {
    pub(crate) fn declare(&mut self, name: &Token, entry: Entry) {
        let operand = Operand {
            text: *name,
            constant: false,
        };
        let symbol = self.operand(operand);
        self.tree.symbols.symbols[symbol.index()].optional = true;
        self.add_node(Some(symbol));
        self.entry = Some(entry);
    }

    pub(crate) fn choice(&mut self, name: Option<Token>) {
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

    pub(crate) fn set_modules(&mut self) {
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

    pub(crate) fn help(&mut self) {
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
    pub(crate) fn end_entry(&mut self) {
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
    pub(crate) fn next_place(&self) -> (FileId, u32) {
        (self.file, self.line)
    }

    pub(crate) fn end_config(&mut self) {
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

    pub(crate) fn entry_error(&mut self, message: &[u8]) {
        self.errors += 1;
        let node = &self.tree.nodes[self.current.index()];
        let (file, line) = (node.file, node.line);
        self.report_at(Severity::Error, file, line, message, b": error: ");
    }

    pub(crate) fn add_node(&mut self, symbol: Option<SymbolId>) {
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

    pub(crate) fn add_dependency(&mut self, on: ExprId) {
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
}
