//! The dependency graph: which symbol mentions which, and how.
//!
//! ```
//! use lupine_kconfig::graph::{Graph, Relation};
//! use lupine_kconfig::{Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};
//! let text = "config LIB\n\tbool\n\nconfig A\n\tbool \"a\"\n\tselect LIB\n\n\
//!             config B\n\tbool \"b\"\n\tdepends on A\n";
//! let files = MemoryFiles::from([("Kconfig", text)]);
//! let tree = Kconfig::load(
//!     &files, "Kconfig", &Environment::new(), &RefuseShell, Dialect::LINUX_6_12)?;
//! let graph = Graph::new(&tree);
//! let id = |name| tree.symbol(name).ok_or(name);
//! assert_eq!(graph.selectors(id("LIB")?), [id("A")?]);
//! let path = graph.path(id("B")?, id("LIB")?).unwrap_or_default();
//! assert_eq!(path, [(id("B")?, Relation::Depends), (id("A")?, Relation::Selects)]);
//! let question = graph.around(&[id("LIB")?], 1);
//! assert!(question.to_dot().contains("\"A\" -> \"LIB\""));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::configuration::Configuration;
use crate::expr::{Expr, ExprId};
use crate::kconfig::Kconfig;
use crate::property::PropertyKind;
use crate::symbol::{SymbolId, Tristate};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

/// How one symbol mentions another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// Direct dependency: in `depends on`, or in an `if` or menu around the symbol.
    Depends,
    /// Reverse dependency: the symbol selects the other one.
    Selects,
    /// Weak reverse dependency: the symbol implies the other one.
    Implies,
    /// The visibility of the prompt mentions it.
    Prompts,
    /// A default value, or its condition, mentions it.
    Defaults,
    /// A bound of a range, or its condition.
    Ranges,
    /// The symbol is a member of the choice.
    Member,
    /// The symbol is shown in the menu of the other one.
    Inside,
}

impl Relation {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Relation::Depends => "depends",
            Relation::Selects => "selects",
            Relation::Implies => "implies",
            Relation::Prompts => "prompts",
            Relation::Defaults => "defaults",
            Relation::Ranges => "ranges",
            Relation::Member => "member",
            Relation::Inside => "inside",
        }
    }
}

/// All relations of a tree. An edge goes from the symbol that mentions to the one mentioned.
#[derive(Clone, Debug)]
pub struct Graph<'a> {
    tree: &'a Kconfig,
    graph: DiGraph<SymbolId, Relation>,
}

/// The part of a graph that a question is about, by name and in order of the files.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Excerpt {
    /// Names of the symbols.
    pub symbols: Vec<String>,
    /// From, to, and how.
    pub relations: Vec<(String, String, Relation)>,
    /// How many more symbols the question is about, where the answer was limited.
    pub left_out: usize,
}

impl Excerpt {
    /// The excerpt in the language of graphviz, one arrow for each pair of symbols.
    pub fn to_dot(&self) -> String {
        let mut text = String::from("digraph kconfig {\n\trankdir=LR;\n\tnode [shape=box];\n");
        if self.left_out > 0 {
            let _ = writeln!(
                text,
                "\tlabel=\"{} more symbols are not shown\";",
                self.left_out
            );
        }
        for symbol in &self.symbols {
            let _ = writeln!(text, "\t{};", quoted(symbol));
        }
        let mut arrows: BTreeMap<(&str, &str), Vec<Relation>> = BTreeMap::new();
        for (from, to, relation) in &self.relations {
            arrows.entry((from, to)).or_default().push(*relation);
        }
        for ((from, to), relations) in arrows {
            let style = match relations.first() {
                Some(Relation::Depends | Relation::Member | Relation::Inside) => "solid",
                Some(Relation::Selects) => "bold",
                _ => "dashed",
            };
            let words: Vec<&str> = relations.iter().map(|relation| relation.as_str()).collect();
            let (from, to, label) = (quoted(from), quoted(to), words.join(", "));
            let _ = writeln!(text, "\t{from} -> {to} [label=\"{label}\", style={style}];");
        }
        text.push_str("}\n");
        text
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

impl<'a> Graph<'a> {
    /// The graph of a tree. Literals and names that are never declared have no node of interest.
    pub fn new(tree: &'a Kconfig) -> Self {
        let mut graph = DiGraph::with_capacity(tree.symbols().len(), tree.property_count());
        for symbol in tree.symbols() {
            graph.add_node(symbol);
        }
        let mut edges: BTreeSet<(SymbolId, SymbolId, Relation)> = BTreeSet::new();
        for id in tree.symbols() {
            let symbol = tree.get(id);
            let mut add = |e: Option<ExprId>, relation: Relation| {
                for other in mentioned(tree, e) {
                    edges.insert((id, other, relation));
                }
            };
            add(symbol.direct_dependency(), Relation::Depends);
            for property in symbol.properties() {
                let property = tree.property(*property);
                let relation = match property.kind() {
                    PropertyKind::Prompt | PropertyKind::Menu => Relation::Prompts,
                    PropertyKind::Default => Relation::Defaults,
                    PropertyKind::Range => Relation::Ranges,
                    PropertyKind::Select => Relation::Selects,
                    PropertyKind::Imply => Relation::Implies,
                    _ => continue,
                };
                add(property.expr(), relation);
                if !matches!(relation, Relation::Selects | Relation::Implies) {
                    add(property.condition(), relation);
                }
            }
        }
        for choice in tree.choices() {
            for member in choice.members() {
                edges.insert((*member, choice.symbol(), Relation::Member));
            }
        }
        for id in tree.symbols() {
            for shown in tree.get(id).nodes() {
                let outer = tree.node(*shown).parent();
                let menu = outer.and_then(|outer| tree.node(outer).symbol());
                if let Some(menu) = menu.filter(|menu| *menu != id && !tree.get(*menu).is_choice())
                {
                    edges.insert((id, menu, Relation::Inside));
                }
            }
        }
        for (from, to, relation) in edges {
            // What a dependency mentions, the conditions of all properties mention too.
            graph.add_edge(node(from), node(to), relation);
        }
        Self { tree, graph }
    }

    /// The graph itself: node `i` is the symbol with index `i`.
    pub fn as_petgraph(&self) -> &DiGraph<SymbolId, Relation> {
        &self.graph
    }

    /// Symbols that select `symbol`, in order of first mention.
    pub fn selectors(&self, symbol: SymbolId) -> Vec<SymbolId> {
        self.related(symbol, Relation::Selects, Direction::Incoming)
    }

    /// Symbols that the dependencies of `symbol` mention.
    pub fn needs(&self, symbol: SymbolId) -> Vec<SymbolId> {
        self.related(symbol, Relation::Depends, Direction::Outgoing)
    }

    /// Symbols whose dependencies mention `symbol`.
    pub fn dependents(&self, symbol: SymbolId) -> Vec<SymbolId> {
        self.related(symbol, Relation::Depends, Direction::Incoming)
    }

    /// Symbols on the other end of one kind of edge.
    pub fn related(
        &self,
        symbol: SymbolId,
        relation: Relation,
        direction: Direction,
    ) -> Vec<SymbolId> {
        let edges = self.graph.edges_directed(node(symbol), direction);
        let found: BTreeSet<SymbolId> = edges
            .filter(|edge| *edge.weight() == relation)
            .map(|edge| match direction {
                Direction::Outgoing => self.graph[edge.target()],
                Direction::Incoming => self.graph[edge.source()],
            })
            .collect();
        found.into_iter().collect()
    }

    /// Groups of symbols that mention one another in a circle, the largest first.
    pub fn circles(&self) -> Vec<Vec<SymbolId>> {
        // Without recursion: chains of dependencies are as long as their author likes.
        let mut groups: Vec<Vec<SymbolId>> = petgraph::algo::kosaraju_scc(&self.graph)
            .into_iter()
            .filter(|group| group.len() > 1)
            .map(|group| {
                let mut group: Vec<SymbolId> =
                    group.into_iter().map(|node| self.graph[node]).collect();
                group.sort();
                group
            })
            .collect();
        groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group.first().copied()));
        groups
    }

    /// A shortest way from one symbol to another: each step with the relation to the next one.
    pub fn path(&self, from: SymbolId, to: SymbolId) -> Option<Vec<(SymbolId, Relation)>> {
        let mut came: BTreeMap<SymbolId, (SymbolId, Relation)> = BTreeMap::new();
        let mut open = VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            if at == to {
                let mut path = Vec::new();
                let mut at = to;
                while at != from {
                    let (before, relation) = *came.get(&at)?;
                    path.push((before, relation));
                    at = before;
                }
                path.reverse();
                return Some(path);
            }
            let mut next: Vec<(SymbolId, Relation)> = self
                .graph
                .edges(node(at))
                .map(|edge| (self.graph[edge.target()], *edge.weight()))
                .collect();
            next.sort();
            for (other, relation) in next {
                if other != from && !came.contains_key(&other) {
                    came.insert(other, (at, relation));
                    open.push_back(other);
                }
            }
        }
        None
    }

    /// What lies within `steps` edges of some symbols, in both directions.
    pub fn around(&self, symbols: &[SymbolId], steps: usize) -> Excerpt {
        self.around_at_most(symbols, steps, usize::MAX)
    }

    /// The same with at most `limit` symbols: the nearest, and among equals those that are
    /// depended on or select, before those that only mention; then in order of first mention.
    pub fn around_at_most(&self, symbols: &[SymbolId], steps: usize, limit: usize) -> Excerpt {
        let mut inside: BTreeSet<SymbolId> = symbols.iter().copied().collect();
        let mut seen = inside.clone();
        let mut edge_of_it: Vec<SymbolId> = inside.iter().copied().collect();
        for _ in 0..steps {
            let mut next: BTreeMap<SymbolId, u8> = BTreeMap::new();
            for symbol in edge_of_it {
                for (direction, own) in [(Direction::Outgoing, 0), (Direction::Incoming, 2)] {
                    for edge in self.graph.edges_directed(node(symbol), direction) {
                        let end = match direction {
                            Direction::Outgoing => edge.target(),
                            Direction::Incoming => edge.source(),
                        };
                        let (other, relation) = (self.graph[end], *edge.weight());
                        let weak = match relation {
                            Relation::Depends | Relation::Selects | Relation::Member => 0,
                            _ => 1,
                        };
                        // Selectors matter as much as dependencies.
                        let rank = if relation == Relation::Selects {
                            0
                        } else {
                            own + weak
                        };
                        if !seen.contains(&other) {
                            let known = next.entry(other).or_insert(rank);
                            *known = rank.min(*known);
                        }
                    }
                }
            }
            let mut nearest: Vec<(u8, SymbolId)> = next
                .into_iter()
                .map(|(symbol, rank)| (rank, symbol))
                .collect();
            nearest.sort();
            edge_of_it = nearest.into_iter().map(|(_, symbol)| symbol).collect();
            seen.extend(&edge_of_it);
            let room = limit.saturating_sub(inside.len());
            inside.extend(edge_of_it.iter().take(room));
        }
        let mut excerpt = self.excerpt(&inside);
        excerpt.left_out = seen.len() - inside.len();
        excerpt
    }

    /// Some symbols and what relates them.
    pub fn excerpt(&self, symbols: &BTreeSet<SymbolId>) -> Excerpt {
        let name = |id: SymbolId| String::from_utf8_lossy(self.tree.display_name(id)).into_owned();
        let mut relations: Vec<(SymbolId, SymbolId, Relation)> = symbols
            .iter()
            .flat_map(|symbol| self.graph.edges(node(*symbol)))
            .map(|edge| {
                (
                    self.graph[edge.source()],
                    self.graph[edge.target()],
                    *edge.weight(),
                )
            })
            .filter(|(_, to, _)| symbols.contains(to))
            .collect();
        relations.sort();
        Excerpt {
            symbols: symbols.iter().map(|id| name(*id)).collect(),
            relations: relations
                .into_iter()
                .map(|(from, to, relation)| (name(from), name(to), relation))
                .collect(),
            left_out: 0,
        }
    }
}

/// A symbol that a change would have an effect on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consequence {
    /// The symbol.
    pub symbol: SymbolId,
    /// Its value now.
    pub before: Vec<u8>,
    /// Its value then.
    pub after: Vec<u8>,
    /// The largest value a user can give it now, and then.
    pub visibility: (Tristate, Tristate),
}

impl Consequence {
    /// Whether a user can set the symbol now and could not then.
    pub fn dies(&self) -> bool {
        self.visibility.0 != Tristate::No && self.visibility.1 == Tristate::No
    }

    /// Whether a user cannot set the symbol now and could then.
    pub fn becomes_reachable(&self) -> bool {
        self.visibility.0 == Tristate::No && self.visibility.1 != Tristate::No
    }
}

/// Which symbols would get another value, die or become reachable if the user gave `symbol`
/// another value. `None` when the text is no value of the symbol.
pub fn consequences(
    config: &Configuration<'_>,
    symbol: SymbolId,
    value: &[u8],
) -> Option<Vec<Consequence>> {
    let (mut before, mut after) = (config.clone(), config.clone());
    if !after.set_bytes(symbol, value) {
        return None;
    }
    let changed = config.tree().symbols().filter_map(|id| {
        let visibility = (before.visibility(id), after.visibility(id));
        let (old, new) = (before.value_bytes(id), after.value_bytes(id));
        (old != new || visibility.0 != visibility.1).then(|| Consequence {
            symbol: id,
            before: old.to_vec(),
            after: new.to_vec(),
            visibility,
        })
    });
    Some(changed.collect())
}

fn node(symbol: SymbolId) -> NodeIndex {
    NodeIndex::new(symbol.index())
}

/// The declared symbols that an expression mentions.
pub(crate) fn mentioned(tree: &Kconfig, e: Option<ExprId>) -> BTreeSet<SymbolId> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<ExprId> = e.into_iter().collect();
    while let Some(e) = open.pop() {
        if !seen.insert(e) {
            continue;
        }
        match tree.expr(e) {
            Expr::And(a, b) | Expr::Or(a, b) => open.extend([a, b]),
            Expr::Not(a) => open.push(a),
            Expr::Symbol(a) => drop(found.insert(a)),
            Expr::Compare(_, a, b) | Expr::Range(a, b) => found.extend([a, b]),
        }
    }
    found.retain(|id| tree.get(*id).is_defined() && !tree.get(*id).is_constant());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Environment, MemoryFiles, RefuseShell};

    #[test]
    fn relations_and_consequences() {
        let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\
                    \tdefault y if C\n\timply D\n\nconfig C\n\tbool \"c\"\n\nconfig D\n\tbool \"d\"\n";
        let files = MemoryFiles::from([("Kconfig", text)]);
        let environment = Environment::new();
        let tree = Kconfig::load(
            &files,
            "Kconfig",
            &environment,
            &RefuseShell,
            Dialect::LINUX_6_12,
        )
        .unwrap();
        let graph = Graph::new(&tree);
        let id = |name| tree.symbol(name).unwrap();
        assert_eq!(graph.needs(id("B")), [id("A")]);
        assert_eq!(graph.dependents(id("A")), [id("B")]);
        let implied = graph.related(id("B"), Relation::Implies, Direction::Outgoing);
        assert_eq!(implied, [id("D")]);
        assert!(graph.path(id("D"), id("A")).is_none());
        assert!(graph.circles().is_empty());
        let mut config = Configuration::new(&tree);
        for name in ["A", "B"] {
            config.set(name, "y");
        }
        let changes = consequences(&config, id("A"), b"n").unwrap();
        let names: Vec<&[u8]> = changes
            .iter()
            .filter_map(|change| tree.name(change.symbol))
            .collect();
        assert_eq!(names, [b"A".as_slice(), b"B", b"D"]);
        let dead: Vec<bool> = changes.iter().map(Consequence::dies).collect();
        assert_eq!(dead, [false, true, false]);
        config.set("A", "n");
        let changes = consequences(&config, id("A"), b"y").unwrap();
        assert!(
            changes
                .iter()
                .any(|change| change.symbol == id("B") && change.becomes_reachable())
        );
        let small = graph.around_at_most(&[id("B")], 1, 2);
        assert_eq!((small.symbols.len(), small.left_out), (2, 2));
        assert!(
            small.to_dot().contains("\"B\" -> \"A\" [label=\"depends"),
            "{}",
            small.to_dot()
        );
        assert!(small.to_dot().contains("2 more symbols are not shown"));
        let json = serde_json::to_string(&graph.around(&[id("D")], 1)).unwrap();
        assert!(json.contains("[\"B\",\"D\",\"implies\"]"), "{json}");
    }
}
