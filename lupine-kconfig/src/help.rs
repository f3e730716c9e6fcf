//! The long help of an entry: its text, and how its symbol relates to others.

use crate::configuration::Configuration;
use crate::dialect::Rules;
use crate::expr::ExprId;
use crate::menu::NodeId;
use crate::property::{PropertyId, PropertyKind};
use crate::simplify;
use crate::symbol::{SymbolId, Tristate};

use Tristate::{Mod, No, Yes};

impl Configuration<'_> {
    /// What `?` shows for an entry: help text, type, place of definition, dependencies, selects.
    pub fn extended_help(&mut self, node: NodeId) -> Vec<u8> {
        self.refresh();
        let tree = self.tree;
        let mut out = Vec::new();
        let symbol = tree.node(node).symbol;
        match tree.help(node) {
            Some(help) => {
                if let Some(name) = symbol.and_then(|symbol| tree.name(symbol)) {
                    out.extend_from_slice(&[tree.prefix.as_slice(), name, b":\n\n"].concat());
                }
                out.extend_from_slice(&help);
            }
            None => out.extend_from_slice(b"There is no help available for this option."),
        }
        out.push(b'\n');
        if let Some(symbol) = symbol {
            self.relations(&mut out, symbol);
        }
        out
    }

    fn relations(&mut self, out: &mut Vec<u8>, symbol: SymbolId) {
        let tree = self.tree;
        let known = tree.get(symbol);
        if let Some(name) = tree.name(symbol) {
            let value = self.string_value(symbol).to_vec();
            out.extend_from_slice(&[b"Symbol: ", name, b" [=", &value, b"]\n"].concat());
            out.extend_from_slice(format!("Type  : {}\n", known.type_.as_str()).as_bytes());
            if known.type_.is_numeric()
                && let Some((range, _)) = self.active_property(symbol, PropertyKind::Range)
            {
                out.extend_from_slice(b"Range : ");
                self.print_expr(out, tree.property(range).expr);
                out.push(b'\n');
            }
        }
        for node in &known.nodes {
            if let Some(prompt) = tree.node(*node).prompt {
                self.definition(out, *node);
                self.prompt(out, prompt);
            }
        }
        for node in &known.nodes {
            if tree.node(*node).prompt.is_none() {
                self.definition(out, *node);
                self.dependency(out, "  Depends on: ", tree.node(*node).dependency);
            }
        }
        self.targets(out, symbol, PropertyKind::Select, "Selects: ");
        for (value, letter) in [(Yes, 'y'), (Mod, 'm'), (No, 'n')] {
            let title = format!("Selected by [{letter}]:\n");
            self.print_reasons(out, known.reverse, value, &title);
        }
        self.targets(out, symbol, PropertyKind::Imply, "Implies: ");
        for (value, letter) in [(Yes, 'y'), (Mod, 'm'), (No, 'n')] {
            let title = format!("Implied by [{letter}]:\n");
            self.print_reasons(out, known.implied, value, &title);
        }
        out.extend_from_slice(b"\n\n");
    }

    fn definition(&self, out: &mut Vec<u8>, node: NodeId) {
        let node = self.tree.node(node);
        out.extend_from_slice(b"Defined at ");
        out.extend_from_slice(self.tree.file_name(node.file));
        out.extend_from_slice(format!(":{}\n", node.line).as_bytes());
    }

    fn dependency(&self, out: &mut Vec<u8>, title: &str, e: Option<ExprId>) {
        if !self.tree.exprs.is_yes(e) {
            out.extend_from_slice(title.as_bytes());
            self.print_expr(out, e);
            out.push(b'\n');
        }
    }

    fn prompt(&mut self, out: &mut Vec<u8>, prompt: PropertyId) {
        let tree = self.tree;
        let property = tree.property(prompt);
        let text = tree.property_text(prompt).unwrap_or_default();
        out.extend_from_slice(&[b"  Prompt: ", text, b"\n"].concat());
        let dependency = tree.node(property.node).dependency;
        self.dependency(out, "  Depends on: ", dependency);
        let same = match (dependency, property.condition) {
            (Some(a), Some(b)) => {
                let pool = self
                    .scratch
                    .get_or_insert_with(|| Box::new(tree.exprs.clone()));
                a == b || simplify::equal(pool, tree.rules(), a, b)
            }
            (a, b) => tree.exprs.is_yes(a) && tree.exprs.is_yes(b),
        };
        if !same {
            self.dependency(out, "  Visible if: ", property.condition);
        }
        let mut path = Vec::new();
        let mut at = property.node;
        let mut located = false;
        while at != NodeId::ROOT && path.len() < 8 {
            path.push(at);
            if !located || tree.rules() == Rules::Linux6_1 {
                located |= self.is_visible(at);
            }
            at = tree.node(at).parent.unwrap_or(NodeId::ROOT);
        }
        out.extend_from_slice(b"  Location:\n");
        for (depth, node) in path.into_iter().rev().enumerate() {
            let text = tree.node_prompt(node).unwrap_or_default();
            let indent = " ".repeat(2 * depth + 4);
            out.extend_from_slice(&[indent.as_bytes(), b"-> ", text].concat());
            if let Some(symbol) = tree.node(node).symbol {
                let value = self.string_value(symbol);
                let name = tree.display_name(symbol);
                out.extend_from_slice(&[b" (", name, b" [=", value, b"])"].concat());
            }
            out.push(b'\n');
        }
    }

    fn targets(&self, out: &mut Vec<u8>, symbol: SymbolId, kind: PropertyKind, title: &str) {
        let mut first = true;
        for property in self.tree.properties_of(symbol, kind) {
            let before = if first { title } else { " && " };
            out.extend_from_slice(before.as_bytes());
            self.print_expr(out, self.tree.property(property).expr);
            first = false;
        }
        if !first {
            out.push(b'\n');
        }
    }
}
