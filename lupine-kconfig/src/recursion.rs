//! Recursive dependencies: found along every kind of edge, reported with the whole cycle.

use crate::diagnostic::Severity;
use crate::dialect::Rules;
use crate::expr::{Expr, ExprId};
use crate::loader::Loader;
use crate::menu::NodeId;
use crate::property::{PropertyId, PropertyKind};
use crate::source::FileId;
use crate::symbol::SymbolId;

/// Chains of dependencies longer than this are an error: values are computed recursively.
const MAX_CHAIN: usize = 1500;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    None,
    Direct,
    Reverse,
    Implied,
    Value,
}

#[derive(Clone, Copy)]
struct Step {
    symbol: SymbolId,
    property: Option<PropertyId>,
    edge: Edge,
}

struct Search {
    active: Vec<bool>,
    done: Vec<bool>,
    steps: Vec<Step>,
    /// How many symbols each one leads to, one after another, as far as is known.
    heights: Vec<u32>,
    too_long: bool,
}

impl Search {
    /// Has the symbol that the search stands at lead to what `symbol` leads to.
    fn lead_to(&mut self, symbol: SymbolId) {
        let height = self.heights[symbol.index()] + 1;
        if let Some(step) = self.steps.last() {
            let known = &mut self.heights[step.symbol.index()];
            *known = height.max(*known);
        }
        self.too_long |= height as usize > MAX_CHAIN;
    }
}

impl Loader<'_> {
    /// Searches from every symbol; each cycle found is an error.
    pub(crate) fn check_recursion(&mut self) {
        let count = self.tree.symbols.symbols.len();
        let mut search = Search {
            active: vec![false; count],
            done: vec![false; count],
            steps: Vec::new(),
            heights: vec![0; count],
            too_long: false,
        };
        match self.rules() {
            Rules::Linux6_1 => {
                for index in 0..self.tree.hash_order.len() {
                    let symbol = self.tree.hash_order[index];
                    if self.check(&mut search, symbol).is_some() {
                        self.errors += 1;
                    }
                }
            }
            Rules::Linux6_12 => {
                let nodes: Vec<NodeId> = self.tree.walk(NodeId::ROOT).collect();
                for node in nodes {
                    let Some(symbol) = self.tree.node(node).symbol else {
                        continue;
                    };
                    if self.check(&mut search, symbol).is_some() {
                        self.errors += 1;
                    }
                    if self.tree.get(symbol).choice {
                        self.check_members(node);
                    }
                }
            }
        }
        if search.too_long {
            self.errors += 1;
            let message = b"more than 1500 symbols depend on one another in a chain";
            self.report(
                Severity::Error,
                None,
                message,
                &[b"error: ", message, b"\n"],
            );
        }
    }

    /// Members of a choice have no defaults, and no prompts outside of it (6.12).
    fn check_members(&mut self, choice: NodeId) {
        let children: Vec<NodeId> = self.tree.walk(choice).collect();
        for child in children {
            let Some(symbol) = self.tree.node(child).symbol else {
                continue;
            };
            let mut wrong = false;
            for id in self.tree.get(symbol).properties.clone() {
                let property = self.tree.property(id);
                let (file, line) = (property.file, property.line);
                let mut messages: Vec<&[u8]> = Vec::new();
                if property.kind == PropertyKind::Default {
                    messages.push(b"defaults for choice values not supported");
                }
                if property.node != child
                    && property.kind == PropertyKind::Prompt
                    && self.tree.node(property.node).parent != self.tree.node(child).parent
                {
                    messages.push(b"choice value has a prompt outside its choice group");
                }
                for message in messages {
                    wrong = true;
                    self.report_at(Severity::Error, file, line, message, b": error: ");
                }
            }
            self.errors += u32::from(wrong);
        }
    }

    fn choice_of(&self, symbol: SymbolId) -> Option<SymbolId> {
        match self.rules() {
            Rules::Linux6_1 => self.tree.get(symbol).choice_symbol,
            Rules::Linux6_12 => self
                .tree
                .get(symbol)
                .choice_node
                .and_then(|node| self.tree.node(node).symbol),
        }
    }

    fn check(&mut self, search: &mut Search, symbol: SymbolId) -> Option<SymbolId> {
        if search.active[symbol.index()] {
            self.report_cycle(search, symbol);
            return Some(symbol);
        }
        if search.done[symbol.index()] {
            search.lead_to(symbol);
            return None;
        }
        if search.steps.len() > MAX_CHAIN {
            search.too_long = true;
            return None;
        }
        if let Some(choice) = self.choice_of(symbol) {
            search.steps.push(Step {
                symbol,
                property: None,
                edge: Edge::None,
            });
            let found = self.check(search, choice);
            search.steps.pop();
            return found;
        }
        if self.tree.get(symbol).choice {
            return self.check_choice(search, symbol);
        }
        search.active[symbol.index()] = true;
        search.done[symbol.index()] = true;
        let found = self.check_symbol_edges(search, symbol);
        search.active[symbol.index()] = false;
        found
    }

    fn members(&self, choice: SymbolId) -> Vec<SymbolId> {
        match self.rules() {
            Rules::Linux6_1 => self
                .tree
                .choices
                .iter()
                .find(|known| known.symbol == choice)
                .map(|known| known.members.clone())
                .unwrap_or_default(),
            Rules::Linux6_12 => {
                let Some(node) = self.tree.get(choice).nodes.first() else {
                    return Vec::new();
                };
                self.tree
                    .walk(*node)
                    .filter_map(|node| self.tree.node(node).symbol)
                    .collect()
            }
        }
    }

    fn check_choice(&mut self, search: &mut Search, choice: SymbolId) -> Option<SymbolId> {
        search.steps.push(Step {
            symbol: choice,
            property: None,
            edge: Edge::None,
        });
        let members = self.members(choice);
        for member in &members {
            search.active[member.index()] = true;
            search.done[member.index()] = true;
        }
        search.active[choice.index()] = true;
        search.done[choice.index()] = true;
        let mut found = self.check_symbol_edges(search, choice);
        search.active[choice.index()] = false;
        if found.is_none() {
            for member in &members {
                found = self.check_symbol_edges(search, *member);
                if found.is_some() {
                    break;
                }
            }
        }
        let height = search.heights[choice.index()] + 1;
        for member in &members {
            search.active[member.index()] = false;
            let known = &mut search.heights[member.index()];
            *known = height.max(*known);
        }
        if let Some(symbol) = found
            && self.choice_of(symbol) == Some(choice)
        {
            found = Some(choice);
        }
        search.steps.pop();
        search.lead_to(choice);
        found
    }

    fn check_symbol_edges(&mut self, search: &mut Search, symbol: SymbolId) -> Option<SymbolId> {
        search.steps.push(Step {
            symbol,
            property: None,
            edge: Edge::None,
        });
        let found = self.check_edges(search, symbol);
        search.steps.pop();
        search.lead_to(symbol);
        found
    }

    fn check_edges(&mut self, search: &mut Search, symbol: SymbolId) -> Option<SymbolId> {
        let at = search.steps.len() - 1;
        let known = self.tree.get(symbol);
        let choice = known.choice;
        let edges = [
            (Edge::Direct, known.direct),
            (Edge::Reverse, known.reverse),
            (Edge::Implied, known.implied),
        ];
        for (edge, e) in edges {
            search.steps[at].edge = edge;
            if let Some(found) = self.check_expr(search, e) {
                return Some(found);
            }
        }
        search.steps[at].edge = Edge::None;
        for index in 0..self.tree.get(symbol).properties.len() {
            let id = self.tree.get(symbol).properties[index];
            let property = self.tree.property(id);
            let (kind, condition, value) = (property.kind, property.condition, property.expr);
            if matches!(
                kind,
                PropertyKind::Select | PropertyKind::Imply | PropertyKind::Choice
            ) {
                continue;
            }
            search.steps[at].property = Some(id);
            if let Some(found) = self.check_expr(search, condition) {
                return Some(found);
            }
            if kind != PropertyKind::Default || choice {
                continue;
            }
            search.steps[at].edge = Edge::Value;
            if let Some(found) = self.check_expr(search, value) {
                return Some(found);
            }
            search.steps[at].edge = Edge::None;
        }
        None
    }

    fn check_expr(&mut self, search: &mut Search, e: Option<ExprId>) -> Option<SymbolId> {
        // Operands from left to right, without recursion along chains.
        let mut stack: Vec<ExprId> = e.into_iter().collect();
        while let Some(e) = stack.pop() {
            let symbols = match self.tree.exprs.get(e) {
                Expr::And(a, b) | Expr::Or(a, b) => {
                    stack.push(b);
                    stack.push(a);
                    continue;
                }
                Expr::Not(a) => {
                    stack.push(a);
                    continue;
                }
                Expr::Symbol(a) => [Some(a), None],
                Expr::Compare(_, a, b) => [Some(a), Some(b)],
                Expr::Range(..) => continue,
            };
            for symbol in symbols.into_iter().flatten() {
                if let Some(found) = self.check(search, symbol) {
                    return Some(found);
                }
            }
        }
        None
    }

    fn report_cycle(&mut self, search: &mut Search, symbol: SymbolId) {
        let mut last = symbol;
        let mut steps = search.steps.clone();
        if let Some(choice) = self.choice_of(symbol) {
            steps.push(Step {
                symbol,
                property: None,
                edge: Edge::None,
            });
            last = choice;
        }
        let Some(start) = steps.iter().rposition(|step| step.symbol == last) else {
            let message = b"unexpected recursive dependency error";
            self.report(Severity::Error, None, message, &[message, b"\n"]);
            return;
        };
        let steps = &steps[start..];
        let mut text = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let next = steps.get(index + 1).map_or(last, |next| next.symbol);
            let place = self.step_place(step);
            if step.symbol == last {
                if self.rules() == Rules::Linux6_1 {
                    text.extend_from_slice(&self.place_text(place));
                }
                text.extend_from_slice(b"error: recursive dependency detected!\n");
            }
            if self.rules() == Rules::Linux6_1 {
                text.extend_from_slice(&self.place_text(place));
            }
            text.push(b'\t');
            text.extend_from_slice(&self.step_text(step, next));
            text.push(b'\n');
        }
        text.extend_from_slice(
            b"For a resolution refer to Documentation/kbuild/kconfig-language.rst\n\
              subsection \"Kconfig recursive dependency limitations\"\n\n",
        );
        let message = text.trim_ascii_end().to_vec();
        let place = steps.first().and_then(|step| self.step_place(step));
        self.report(Severity::Error, place, &message, &[&text]);
    }

    fn place_text(&self, place: Option<(FileId, u32)>) -> Vec<u8> {
        place.map_or_else(Vec::new, |(file, line)| {
            [self.tree.file_name(file), format!(":{line}:").as_bytes()].concat()
        })
    }

    fn step_place(&self, step: &Step) -> Option<(FileId, u32)> {
        let symbol = self.tree.get(step.symbol);
        if self.rules() == Rules::Linux6_12 {
            let node = self.tree.node(*symbol.nodes.first()?);
            return Some((node.file, node.line));
        }
        let first = *symbol.properties.first()?;
        if symbol.choice || symbol.member {
            let node = self.tree.node(self.tree.property(first).node);
            return Some((node.file, node.line));
        }
        let property = self.tree.property(step.property.unwrap_or(first));
        Some((property.file, property.line))
    }

    fn step_text(&self, step: &Step, next: SymbolId) -> Vec<u8> {
        let name = self.tree.display_name(step.symbol);
        let next_name = self.tree.display_name(next);
        let old = self.rules() == Rules::Linux6_1;
        if old && self.tree.get(step.symbol).choice {
            return [b"choice ", name, b" contains symbol ", next_name].concat();
        }
        if old && self.tree.get(step.symbol).member {
            return [b"symbol ", name, b" is part of choice ", next_name].concat();
        }
        if !old && self.tree.get(next).choice {
            let place = self
                .tree
                .get(next)
                .nodes
                .first()
                .map(|node| self.tree.node(*node));
            let (file, line) = place.map_or((FileId(0), 0), |node| (node.file, node.line));
            let line = format!(":{line}");
            return [
                b"symbol ",
                name,
                b" is part of choice block at ",
                self.tree.file_name(file),
                line.as_bytes(),
            ]
            .concat();
        }
        let kind = step
            .property
            .map_or("unknown", |id| self.tree.property(id).kind.as_str());
        let kind = match step.property {
            None if old => self
                .tree
                .get(step.symbol)
                .properties
                .first()
                .map_or("unknown", |id| self.tree.property(*id).kind.as_str()),
            _ => kind,
        };
        let how = match step.edge {
            Edge::Direct => " depends on ".to_owned(),
            Edge::Reverse => " is selected by ".to_owned(),
            Edge::Implied => " is implied by ".to_owned(),
            Edge::Value => format!(" {kind} value contains "),
            Edge::None => format!(" {kind} is visible depending on "),
        };
        [b"symbol ", name, how.as_bytes(), next_name].concat()
    }
}
