//! Evaluating again after a change: only what depends on it, and only as far as values change.
//!
//! Symbols that read one another (members of a choice, circles) are one group; groups have a rank
//! above that of everything they read. After a change, groups are computed again in the order of
//! their ranks, and what reads a symbol is looked at only if its value became another one.

use std::collections::BTreeSet;

use petgraph::graph::{DiGraph, NodeIndex};

use crate::configuration::{Configuration, Content, UNKNOWN};
use crate::dialect::Rules;
use crate::expr::{Expr, ExprId};
use crate::kconfig::Kconfig;
use crate::property::PropertyKind;
use crate::symbol::{SymbolId, Tristate};

/// Changes at once after which everything is computed anew.
const MANY: usize = 256;

/// Groups computed again after which the rest is no longer worth choosing.
const MOST_GROUPS: u32 = 5000;

/// Lists by index, one after another.
#[derive(Clone, Debug)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// The second parts of the pairs, listed by the first, which is below `count`.
    fn new(count: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0; count + 1];
        for (from, _) in pairs {
            starts[*from as usize + 1] += 1;
        }
        for index in 0..count {
            starts[index + 1] += starts[index];
        }
        let mut next = starts.clone();
        let mut items = vec![0; pairs.len()];
        for (from, to) in pairs {
            let place = &mut next[*from as usize];
            items[*place as usize] = *to;
            *place += 1;
        }
        Self { starts, items }
    }

    fn of(&self, index: usize) -> &[u32] {
        &self.items[self.starts[index] as usize..self.starts[index + 1] as usize]
    }
}

/// Who reads what when values are computed.
#[derive(Clone, Debug)]
pub(crate) struct Dependents {
    /// Expressions that contain an expression.
    outer: Lists,
    /// Symbols whose value an expression has a part in.
    readers: Lists,
    /// Expressions that mention a symbol themselves.
    mentions: Lists,
    /// The group of each symbol; what a group reads has smaller numbers.
    group: Vec<u32>,
    members: Lists,
    /// Whether the members of a group read one another's values: in a circle, or in nested
    /// choices. The members of a plain choice share their decision only.
    tangled: Vec<bool>,
}

impl Dependents {
    fn new(tree: &Kconfig) -> Self {
        let (symbols, exprs) = (tree.symbols.symbols.len(), tree.exprs.len());
        let (mut outer, mut readers, mut mentions) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..exprs {
            let e = index as u32;
            match tree.exprs.get(ExprId::new(index)) {
                Expr::And(a, b) | Expr::Or(a, b) => {
                    outer.extend([(a.index() as u32, e), (b.index() as u32, e)]);
                }
                Expr::Not(a) => outer.push((a.index() as u32, e)),
                Expr::Symbol(a) => mentions.push((a.0, e)),
                Expr::Compare(_, a, b) | Expr::Range(a, b) => mentions.extend([(a.0, e), (b.0, e)]),
            }
        }
        for id in tree.symbols() {
            let symbol = tree.get(id);
            let mut reads = |e: Option<ExprId>| {
                readers.extend(e.map(|e| (e.index() as u32, id.0)));
            };
            // As `compute` does: members of a choice are told, and the defaults of a choice name.
            let decided = tree.rules() == Rules::Linux6_12 && symbol.choice_node.is_some();
            if !symbol.member {
                for e in [symbol.direct, symbol.reverse, symbol.implied] {
                    reads(e);
                }
            }
            for property in &symbol.properties {
                let property = tree.property(*property);
                let value = matches!(property.kind, PropertyKind::Default | PropertyKind::Range);
                if property.text.is_some() || value && !decided {
                    reads(property.condition);
                }
                if value && !decided && !symbol.choice {
                    reads(property.expr);
                }
            }
        }
        // One graph of both: symbols first, then expressions; edges to what is read.
        let mut graph: DiGraph<(), (), u32> = DiGraph::with_capacity(
            symbols + exprs,
            outer.len() + readers.len() + mentions.len(),
        );
        for _ in 0..symbols + exprs {
            graph.add_node(());
        }
        let expr = |e: u32| NodeIndex::new(symbols + e as usize);
        let symbol = |id: u32| NodeIndex::new(id as usize);
        for (inner, e) in &outer {
            graph.add_edge(expr(*e), expr(*inner), ());
        }
        for (e, id) in &readers {
            graph.add_edge(symbol(*id), expr(*e), ());
        }
        for (id, e) in &mentions {
            graph.add_edge(expr(*e), symbol(*id), ());
        }
        for choice in &tree.choices {
            let below = tree
                .walk(choice.node)
                .filter_map(|node| tree.node(node).symbol);
            for member in below.chain(choice.members.iter().copied()) {
                graph.add_edge(symbol(member.0), symbol(choice.symbol.0), ());
                graph.add_edge(symbol(choice.symbol.0), symbol(member.0), ());
            }
        }
        let mut group = vec![0; symbols];
        let mut pairs = Vec::with_capacity(symbols);
        let mut tangled = Vec::with_capacity(symbols);
        for component in petgraph::algo::kosaraju_scc(&graph) {
            let mut ids: Vec<u32> = component
                .iter()
                .map(|node| node.index())
                .filter(|index| *index < symbols)
                .map(|index| index as u32)
                .collect();
            if ids.is_empty() {
                continue;
            }
            ids.sort_unstable();
            let is_choice = |id: &&u32| tree.get(SymbolId(**id)).is_choice();
            let choices = ids.iter().filter(is_choice).count();
            let number = tangled.len() as u32;
            tangled.push(ids.len() < component.len() || choices > 1);
            for id in ids {
                group[id as usize] = number;
                pairs.push((number, id));
            }
        }
        Self {
            outer: Lists::new(exprs, &outer),
            readers: Lists::new(exprs, &readers),
            mentions: Lists::new(symbols, &mentions),
            group,
            members: Lists::new(tangled.len(), &pairs),
            tangled,
        }
    }
}

impl Kconfig {
    pub(crate) fn dependents(&self) -> &Dependents {
        self.dependents.get_or_init(|| Dependents::new(self))
    }
}

/// What others see of a symbol.
type Seen = (Tristate, Option<Content>);

impl Configuration<'_> {
    /// Computes every value, and gives the symbols whose value is another one than when it was
    /// computed before, in the order of [`Kconfig::symbols`].
    ///
    /// After a change by [`Configuration::set`] or [`Configuration::unset`] this looks only at
    /// what depends on it; by the rules of 6.1, whose results depend on the order of evaluation,
    /// at everything.
    ///
    /// ```
    /// use lupine_kconfig::{Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};
    /// let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool\n\tdefault A\n\nconfig C\n\tbool \"c\"\n";
    /// let files = MemoryFiles::from([("Kconfig", text)]);
    /// let tree = Kconfig::load(
    ///     &files, "Kconfig", &Environment::new(), &RefuseShell, Dialect::LINUX_6_12)?;
    /// let mut config = Configuration::new(&tree);
    /// config.update();
    /// config.set("A", "y");
    /// let changed: Vec<_> = config.update().into_iter().map(|id| tree.name(id)).collect();
    /// assert_eq!(changed, [Some(b"A".as_slice()), Some(b"B")]);
    /// # Ok::<(), lupine_kconfig::LoadError>(())
    /// ```
    pub fn update(&mut self) -> Vec<SymbolId> {
        if self.tree.rules() == Rules::Linux6_12 {
            // Who reads what is found out now, not at the first change.
            self.tree.dependents();
        }
        let mut changed = self.propagate();
        for id in self.tree.symbols() {
            self.calculate(id);
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Notes that what the user wants of a symbol has changed.
    pub(crate) fn touch(&mut self, id: SymbolId) {
        self.changed = true;
        if !self.pending.contains(&id) {
            self.pending.push(id);
        }
    }

    /// Takes noted changes into account.
    pub(crate) fn refresh(&mut self) {
        if !self.pending.is_empty() {
            self.propagate();
        }
    }

    fn propagate(&mut self) -> Vec<SymbolId> {
        let seeds = std::mem::take(&mut self.pending);
        if seeds.is_empty() {
            return Vec::new();
        }
        // By the rules of 6.1 a symbol in a circle through a choice has the value that the order
        // of evaluation gives it: the order is part of the result.
        if seeds.len() > MANY || self.tree.rules() != Rules::Linux6_12 {
            return self.start_over(Vec::new());
        }
        let tree = self.tree;
        let dependents = tree.dependents();
        let group_of = |id: SymbolId| dependents.group[id.index()];
        let mut queue: BTreeSet<u32> = seeds.into_iter().map(group_of).collect();
        let mut changed = Vec::new();
        let mut computed = 0;
        while let Some(group) = queue.pop_first() {
            let members = dependents.members.of(group as usize);
            let known = |config: &Self, id: &u32| config.states[*id as usize].valid;
            if !members.iter().any(|id| known(self, id)) {
                continue;
            }
            computed += 1;
            if computed > MOST_GROUPS {
                return self.start_over(changed);
            }
            let tangled = dependents.tangled[group as usize];
            let in_choice = members.iter().any(|id| tree.get(SymbolId(*id)).is_choice());
            if tangled && in_choice {
                // The first member that is y hides the others' visibility from whoever asks later:
                // the order of evaluation is part of the result.
                return self.start_over(changed);
            }
            let before: Vec<(SymbolId, Option<Seen>)> = members
                .iter()
                .map(|id| {
                    let seen = known(self, id).then(|| self.seen(SymbolId(*id)));
                    (SymbolId(*id), seen)
                })
                .collect();
            for (id, _) in before.iter().filter(|(id, _)| id.0 >= 3) {
                let state = &mut self.states[id.index()];
                state.valid = false;
                if in_choice {
                    state.visible = Tristate::No;
                }
            }
            if tangled {
                // They read one another's old values otherwise.
                for (id, _) in &before {
                    self.forget_mentions(dependents, *id, &mut queue);
                }
                queue.remove(&group);
            }
            for (id, _) in &before {
                self.calculate(*id);
            }
            for (id, seen) in before {
                let Some(seen) = seen.filter(|seen| !self.sees(id, seen)) else {
                    continue;
                };
                if self.is_another_value(id, &seen) {
                    changed.push(id);
                }
                if id == tree.modules {
                    // The type of every tristate depends on it.
                    return self.start_over(changed);
                }
                if !tangled {
                    self.forget_mentions(dependents, id, &mut queue);
                }
            }
        }
        changed
    }

    fn seen(&self, id: SymbolId) -> Seen {
        let state = &self.states[id.index()];
        (state.tri, state.text.clone())
    }

    fn sees(&self, id: SymbolId, (tri, text): &Seen) -> bool {
        let state = &self.states[id.index()];
        let same_text = match (&state.text, text) {
            (Some(new), Some(old)) => self.content(new) == self.content(old),
            (new, old) => new.is_none() && old.is_none(),
        };
        state.tri == *tri && same_text
    }

    /// Whether the value, as a user sees it, is another one. The text of a logical symbol, which
    /// only ranges read, is none.
    fn is_another_value(&self, id: SymbolId, seen: &Seen) -> bool {
        if self.tree.get(id).type_.is_logical() {
            self.states[id.index()].tri != seen.0
        } else {
            !self.sees(id, seen)
        }
    }

    /// Forgets the values of expressions that a symbol has a part in, and queues who reads them.
    fn forget_mentions(
        &mut self,
        dependents: &Dependents,
        id: SymbolId,
        queue: &mut BTreeSet<u32>,
    ) {
        let keeps = self.tree.rules() == Rules::Linux6_12;
        let mut open: Vec<u32> = dependents.mentions.of(id.index()).to_vec();
        let mut seen = BTreeSet::new();
        while let Some(e) = open.pop() {
            let index = e as usize;
            let queued = if keeps {
                // An expression without a value has no part in any value.
                std::mem::replace(&mut self.expr_values[index], UNKNOWN) == UNKNOWN
                    && !matches!(
                        self.tree.exprs.get(ExprId::new(index)),
                        Expr::Range(..) | Expr::Symbol(..)
                    )
            } else {
                !seen.insert(e)
            };
            if queued {
                continue;
            }
            let readers = dependents.readers.of(index).iter();
            queue.extend(readers.map(|reader| dependents.group[*reader as usize]));
            open.extend_from_slice(dependents.outer.of(index));
        }
    }

    /// Computes everything anew; adds to what is known to have changed.
    fn start_over(&mut self, mut changed: Vec<SymbolId>) -> Vec<SymbolId> {
        let known: Vec<(SymbolId, Seen)> = self
            .tree
            .symbols()
            .filter(|id| self.states[id.index()].valid)
            .map(|id| (id, self.seen(id)))
            .collect();
        self.forget_values();
        for (id, seen) in known {
            self.calculate(id);
            if self.is_another_value(id, &seen) {
                changed.push(id);
            }
        }
        changed
    }
}
