//! Blocks of the grammar: `if`, `menu` and `choice`, from opening to end.

use crate::diagnostic::Severity;
use crate::loader::{Loader, Stop};
use crate::menu::NodeId;

/// Blocks inside one another.
const MAX_BLOCKS: usize = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    If,
    Menu,
    Choice,
}

/// An open block of the grammar.
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    pub(crate) node: NodeId,
    pub(crate) in_choice: bool,
}

impl Loader<'_> {
    pub(crate) fn open_block(&mut self, kind: BlockKind) -> Result<(), Stop> {
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

    pub(crate) fn end_block(&mut self, end: BlockKind) {
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

    pub(crate) fn enter(&mut self) {
        self.last_child = self.current;
        self.link_child = true;
        self.current_menu = self.current;
    }

    pub(crate) fn leave(&mut self) {
        self.last_child = self.current_menu;
        self.link_child = false;
        let parent = self.tree.nodes[self.current_menu.index()].parent;
        self.current_menu = parent.unwrap_or(NodeId::ROOT);
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
