//! Finalisation: dependencies move from blocks to entries, reverse dependencies are gathered,
//! and the menu tree gets its submenus.

use crate::diagnostic::Severity;
use crate::dialect::Rules;
use crate::expr::{Comparison, Expr, ExprId, ExprPool};
use crate::loader::{Loader, Stop};
use crate::menu::NodeId;
use crate::property::{PropertyId, PropertyKind};
use crate::simplify::Simplifier;
use crate::symbol::{SymbolId, SymbolTable, SymbolType};
use crate::value;

/// Submenus inside one another; each takes a part of the stack.
const MAX_SUBMENUS: u32 = 500;

impl Loader<'_> {
    /// Completes the tree after everything was read.
    pub(crate) fn finish(&mut self) -> Result<(), Stop> {
        self.tree.modules = self.modules.unwrap_or(SymbolId::NO);
        if self.tree.nodes[0].prompt.is_none() {
            self.current = NodeId::ROOT;
            self.add_prompt_text(PropertyKind::Menu, b"Main menu", None);
        }
        let mut warned = vec![false; self.tree.symbols.symbols.len()];
        let mut simplifier = Simplifier::new(self.rules());
        self.finalize(&mut simplifier, &mut warned, NodeId::ROOT, false, 0);
        self.tree.hash_order = self.tree.symbols.hash_order(self.rules());
        self.tree.exprs.shrink();
        if self.rules() == Rules::Linux6_12 {
            for symbol in 0..self.tree.symbols.symbols.len() {
                let menu = self.choice_menu(SymbolId(symbol as u32));
                self.tree.symbols.symbols[symbol].choice_node = menu;
            }
        }
        self.check_recursion();
        if self.errors > 0 { Err(Stop) } else { Ok(()) }
    }

    /// The choice a symbol's prompt is in (6.12): found by walking up from its first node with a
    /// prompt to the first node with a symbol.
    pub(crate) fn choice_menu(&self, symbol: SymbolId) -> Option<NodeId> {
        let nodes = &self.tree.nodes;
        let prompted = self
            .tree
            .get(symbol)
            .nodes
            .iter()
            .find(|node| nodes[node.index()].prompt.is_some())?;
        let mut at = nodes[prompted.index()].parent;
        while let Some(node) = at {
            if let Some(symbol) = nodes[node.index()].symbol {
                return self.tree.get(symbol).choice.then_some(node);
            }
            at = nodes[node.index()].parent;
        }
        None
    }

    fn finalize(
        &mut self,
        simplifier: &mut Simplifier,
        warned: &mut [bool],
        parent: NodeId,
        inside_choice: bool,
        depth: u32,
    ) {
        let old = self.rules() == Rules::Linux6_1;
        let symbol = self.tree.node(parent).symbol;
        let choice = symbol.is_some_and(|symbol| self.tree.get(symbol).choice);
        if depth > MAX_SUBMENUS {
            let (file, line) = (self.tree.node(parent).file, self.tree.node(parent).line);
            let message = format!("more than {MAX_SUBMENUS} submenus inside one another");
            self.report_at(Severity::Error, file, line, message.as_bytes(), b": ");
            return;
        }
        if self.tree.node(parent).list.is_some() {
            if old && choice {
                self.infer_choice_types(parent);
            }
            let mut child = self.tree.node(parent).list;
            while let Some(node) = child {
                self.propagate(simplifier, parent, node);
                child = self.tree.node(node).next;
            }
            let mut child = self.tree.node(parent).list;
            while let Some(node) = child {
                self.finalize(simplifier, warned, node, choice, depth);
                child = self.tree.node(node).next;
            }
        } else if let Some(symbol) = symbol
            && (old || !inside_choice)
        {
            self.form_submenu(simplifier, warned, parent, symbol, depth + 1);
            let dependency = self.tree.node(parent).dependency;
            let known = self.tree.get(symbol).direct;
            self.tree.symbols.symbols[symbol.index()].direct =
                self.tree.exprs.or(known, dependency);
        }
        let mut child = self.tree.node(parent).list;
        while let Some(node) = child {
            if old && choice {
                self.join_choice(symbol.unwrap_or(SymbolId::NO), node);
            }
            self.flatten(parent, node);
            child = self.tree.node(node).next;
        }
        if let Some(symbol) = symbol {
            if !warned[symbol.index()] {
                warned[symbol.index()] = true;
                self.check_symbol(parent, symbol);
            }
            if old && !self.tree.get(symbol).optional {
                self.require_choice(parent, symbol);
            }
        }
        if !simplifier.output.is_empty() {
            self.tree.stdout.append(&mut simplifier.output);
        }
    }

    /// Hands the parent's dependencies to a node and to the properties written there.
    fn propagate(&mut self, simplifier: &mut Simplifier, parent: NodeId, node: NodeId) {
        let modules = self.tree.modules;
        let tree = &mut self.tree;
        let (pool, symbols) = (&mut tree.exprs, &tree.symbols);
        let around = match tree.nodes[parent.index()].symbol {
            Some(symbol)
                if tree.dialect.rules() == Rules::Linux6_1
                    && symbols.symbols[symbol.index()].choice =>
            {
                Some(pool.symbol(symbol))
            }
            _ => tree.nodes[parent.index()].dependency,
        };
        let base = {
            let own = tree.nodes[node.index()].dependency;
            condition(simplifier, pool, symbols, modules, own, around)
        };
        tree.nodes[node.index()].dependency = base;
        let Some(symbol) = tree.nodes[node.index()].symbol else {
            if let Some(prompt) = tree.nodes[node.index()].prompt {
                let property = &mut tree.properties[prompt.index()];
                let own = property.condition;
                property.condition = condition(simplifier, pool, symbols, modules, own, base);
            }
            return;
        };
        // In the order of their nodes, as they were read.
        let first = tree.symbols.symbols[symbol.index()]
            .properties
            .partition_point(|id| tree.properties[id.index()].node < node);
        for index in first..tree.symbols.symbols[symbol.index()].properties.len() {
            let id = tree.symbols.symbols[symbol.index()].properties[index];
            let property = &mut tree.properties[id.index()];
            if property.node != node {
                break;
            }
            let (pool, symbols) = (&mut tree.exprs, &mut tree.symbols);
            let own = property.condition;
            let when = condition(simplifier, pool, symbols, modules, own, base);
            property.condition = when;
            let (PropertyKind::Select | PropertyKind::Imply, Some(target)) =
                (property.kind, property.expr)
            else {
                continue;
            };
            let Expr::Symbol(target) = pool.get(target) else {
                continue;
            };
            let selector = Some(pool.symbol(symbol));
            let reason = pool.and(selector, when);
            let target = &mut symbols.symbols[target.index()];
            if property.kind == PropertyKind::Select {
                target.reverse = pool.or(target.reverse, reason);
            } else {
                target.implied = pool.or(target.implied, reason);
            }
        }
    }

    /// Puts the nodes that follow a symbol and depend on it below it.
    fn form_submenu(
        &mut self,
        simplifier: &mut Simplifier,
        warned: &mut [bool],
        parent: NodeId,
        symbol: SymbolId,
        depth: u32,
    ) {
        let Some(first) = self.tree.node(parent).next else {
            return;
        };
        let mut base: Option<ExprId> = None;
        let mut last: Option<NodeId> = None;
        let mut follower = Some(first);
        while let Some(node) = follower {
            let dependency = match self.tree.node(node).prompt {
                Some(prompt) => self.tree.property(prompt).condition,
                None => self.tree.node(node).dependency,
            };
            let Some(dependency) = dependency else { break };
            if !self.tree.exprs.contains(dependency, symbol) {
                break;
            }
            if !self.tree.exprs.depends(dependency, symbol) {
                let base = match base {
                    Some(base) => base,
                    None => {
                        let prompt = self.tree.node(parent).prompt;
                        let own = prompt.and_then(|prompt| self.tree.property(prompt).condition);
                        *base.insert(self.unequal_no(simplifier, own))
                    }
                };
                let dependency = self.unequal_no(simplifier, Some(dependency));
                let pool = &mut self.tree.exprs;
                let (_, left) = simplifier.eliminate_common(pool, dependency, base);
                if !pool.is_yes(Some(left)) {
                    break;
                }
            }
            self.finalize(simplifier, warned, node, false, depth);
            self.tree.nodes[node.index()].parent = Some(parent);
            last = Some(node);
            follower = self.tree.node(node).next;
        }
        if let Some(last) = last {
            self.tree.nodes[parent.index()].list = Some(first);
            self.tree.nodes[parent.index()].next = self.tree.nodes[last.index()].next.take();
        }
    }

    fn unequal_no(&mut self, simplifier: &mut Simplifier, e: Option<ExprId>) -> ExprId {
        let (pool, symbols) = (&mut self.tree.exprs, &self.tree.symbols);
        let e = simplifier.compare_with_no(pool, e, Comparison::Unequal);
        let e = simplifier.transform(pool, symbols, e);
        simplifier.eliminate_duplicates(pool, symbols, e)
    }

    /// Moves the children of a node without a prompt up behind it.
    fn flatten(&mut self, parent: NodeId, node: NodeId) {
        if self.tree.node(node).prompt.is_some() {
            return;
        }
        let Some(first) = self.tree.nodes[node.index()].list.take() else {
            return;
        };
        let mut last = first;
        loop {
            self.tree.nodes[last.index()].parent = Some(parent);
            match self.tree.node(last).next {
                Some(next) => last = next,
                None => break,
            }
        }
        self.tree.nodes[last.index()].next = self.tree.node(node).next;
        self.tree.nodes[node.index()].next = Some(first);
    }

    /// A choice and its members without a type take it from one another (6.1).
    fn infer_choice_types(&mut self, parent: NodeId) {
        let Some(choice) = self.tree.node(parent).symbol else {
            return;
        };
        let children: Vec<NodeId> = self.tree.children(parent).collect();
        if self.tree.get(choice).type_ == SymbolType::Unknown {
            let typed = children.iter().find_map(|child| {
                let symbol = self.tree.node(*child).symbol?;
                Some(self.tree.get(symbol).type_).filter(|type_| *type_ != SymbolType::Unknown)
            });
            if let Some(type_) = typed {
                self.current = parent;
                self.set_type(type_);
            }
        }
        let type_ = self.tree.get(choice).type_;
        for child in children {
            self.current = child;
            if let Some(symbol) = self.tree.node(child).symbol
                && self.tree.get(symbol).type_ == SymbolType::Unknown
            {
                self.set_type(type_);
            }
        }
    }

    /// Makes a node's symbol a member of the choice around it (6.1).
    fn join_choice(&mut self, choice: SymbolId, node: NodeId) {
        let Some(member) = self.tree.node(node).symbol else {
            return;
        };
        if self.tree.get(member).member {
            return;
        }
        self.tree.symbols.symbols[member.index()].member = true;
        self.tree.symbols.symbols[member.index()].choice_symbol = Some(choice);
        let (file, line) = (self.tree.node(node).file, self.tree.node(node).line);
        if self.tree.node(node).prompt.is_none() {
            let message = b"choice value must have a prompt";
            self.report_at(Severity::Warning, file, line, message, b":warning: ");
        }
        for id in self.tree.get(member).properties.clone() {
            let property = self.tree.property(id);
            if property.kind == PropertyKind::Default {
                self.property_warning(id, b"defaults for choice values not supported");
            }
            let property = self.tree.property(id);
            if property.node == node || property.kind != PropertyKind::Prompt {
                continue;
            }
            let parent = self.tree.node(property.node).parent;
            if parent.and_then(|parent| self.tree.node(parent).symbol) != Some(choice) {
                self.property_warning(id, b"choice value used outside its choice group");
            }
        }
        if self.tree.get(choice).type_ == SymbolType::Tristate
            && self.tree.get(member).type_ != SymbolType::Tristate
        {
            let pool = &mut self.tree.exprs;
            let yes = pool.intern(Expr::Compare(Comparison::Equal, choice, SymbolId::YES));
            let dependency = self.tree.nodes[node.index()].dependency;
            self.tree.nodes[node.index()].dependency = pool.and(Some(yes), dependency);
            for id in &self.tree.symbols.symbols[member.index()].properties {
                let property = &mut self.tree.properties[id.index()];
                if property.node == node {
                    property.condition = pool.and(Some(yes), property.condition);
                }
            }
        }
        self.current = node;
        (self.file, self.line) = (file, line);
        let expr = self.tree.exprs.symbol(choice);
        self.add_property(PropertyKind::Choice, Some(expr), None);
        if let Some(choice) = self
            .tree
            .choices
            .iter_mut()
            .find(|known| known.symbol == choice)
        {
            choice.members.push(member);
        }
    }

    /// A visible choice that is not optional cannot be `n` (6.1).
    fn require_choice(&mut self, node: NodeId, symbol: SymbolId) {
        let Some(prompt) = self.tree.node(node).prompt else {
            return;
        };
        let condition = self.tree.property(prompt).condition;
        let pool = &mut self.tree.exprs;
        let module = Some(pool.symbol(SymbolId::MOD));
        let reason = pool.and(condition, module);
        let symbol = &mut self.tree.symbols.symbols[symbol.index()];
        symbol.reverse = pool.or(symbol.reverse, reason);
    }

    pub(crate) fn property_warning(&mut self, id: PropertyId, message: &[u8]) {
        let property = self.tree.property(id);
        let (file, line) = (property.file, property.line);
        self.report_at(Severity::Warning, file, line, message, b":warning: ");
    }

    fn check_symbol(&mut self, node: NodeId, symbol: SymbolId) {
        let (file, line) = (self.tree.node(node).file, self.tree.node(node).line);
        if self.tree.get(symbol).type_ == SymbolType::Unknown {
            let message = b"config symbol defined without type";
            self.report_at(Severity::Warning, file, line, message, b":warning: ");
        }
        if self.rules() == Rules::Linux6_1
            && self.tree.get(symbol).choice
            && self.tree.node(node).prompt.is_none()
        {
            let message = b"choice must have a prompt";
            self.report_at(Severity::Warning, file, line, message, b":warning: ");
        }
        for index in 0..self.tree.get(symbol).properties.len() {
            let id = self.tree.get(symbol).properties[index];
            match self.tree.property(id).kind {
                PropertyKind::Default => self.check_default(id, symbol),
                PropertyKind::Select => self.check_select(id, symbol, b"select"),
                PropertyKind::Imply => self.check_select(id, symbol, b"imply"),
                PropertyKind::Range => self.check_range(id, symbol),
                _ => {}
            }
        }
    }

    fn check_default(&mut self, id: PropertyId, symbol: SymbolId) {
        let type_ = self.tree.get(symbol).type_;
        let name = self.tree.display_name(symbol).to_vec();
        let Some(target) = self.tree.property_symbol(id) else {
            if type_ == SymbolType::String || type_.is_numeric() {
                let start = b"default for config symbol '".as_slice();
                let message = [start, &name, b"' must be a single symbol"].concat();
                self.property_warning(id, &message);
            }
            return;
        };
        if type_.is_numeric() && !self.is_number(type_, target) {
            let message = [b"'".as_slice(), &name, b"': number is invalid"].concat();
            self.property_warning(id, &message);
        }
        if self.tree.get(symbol).choice {
            let contained = match self.rules() {
                Rules::Linux6_1 => self.tree.get(target).choice_symbol == Some(symbol),
                Rules::Linux6_12 => self
                    .choice_menu(target)
                    .is_some_and(|menu| self.tree.node(menu).symbol == Some(symbol)),
            };
            if !contained {
                let message = [
                    b"choice default symbol '",
                    self.tree.display_name(target),
                    b"' is not contained in the choice",
                ]
                .concat();
                self.property_warning(id, &message);
            }
        }
    }

    fn is_number(&self, type_: SymbolType, target: SymbolId) -> bool {
        match self.tree.get(target).type_ {
            SymbolType::Int | SymbolType::Hex => true,
            SymbolType::Unknown => value::is_valid(type_, self.tree.display_name(target)),
            _ => false,
        }
    }

    fn check_select(&mut self, id: PropertyId, symbol: SymbolId, word: &[u8]) {
        let Some(target) = self.tree.property_symbol(id) else {
            return;
        };
        let target_type = self.tree.get(target).type_;
        if !self.tree.get(symbol).type_.is_logical() {
            let message = [
                b"config symbol '",
                self.tree.display_name(symbol),
                b"' uses ",
                word,
                b", but is not bool or tristate",
            ]
            .concat();
            self.property_warning(id, &message);
        } else if target_type != SymbolType::Unknown && !target_type.is_logical() {
            let message = [
                b"'",
                self.tree.display_name(target),
                b"' has wrong type. '",
                word,
                b"' only accept arguments of bool and tristate type",
            ]
            .concat();
            self.property_warning(id, &message);
        }
    }

    fn check_range(&mut self, id: PropertyId, symbol: SymbolId) {
        let type_ = self.tree.get(symbol).type_;
        if !type_.is_numeric() {
            self.property_warning(id, b"range is only allowed for int or hex symbols");
        }
        if let Some(Expr::Range(low, high)) =
            self.tree.property(id).expr.map(|e| self.tree.exprs.get(e))
            && !(self.is_number(type_, low) && self.is_number(type_, high))
        {
            self.property_warning(id, b"range is invalid");
        }
    }
}

/// An entry's own condition and what is around it, rewritten and simplified.
fn condition(
    simplifier: &mut Simplifier,
    pool: &mut ExprPool,
    symbols: &SymbolTable,
    modules: SymbolId,
    own: Option<ExprId>,
    base: Option<ExprId>,
) -> Option<ExprId> {
    let own = simplifier.rewrite_m(pool, modules, own);
    let own = own.map(|own| simplifier.transform(pool, symbols, own));
    let all = pool.and(base, own);
    all.map(|all| simplifier.eliminate_duplicates(pool, symbols, all))
}
