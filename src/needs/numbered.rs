//! Functions that take the number of a system call as an argument.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use lupine_kml::scan::{Call, Callee, Number, Values};
use rayon::prelude::*;

use super::program::{Node, Program};

/// Some functions, as the calls of each file name them.
pub(super) struct Called {
    /// Addresses of those of the file itself.
    locals: Vec<HashSet<u64>>,
    /// Whether each import is one.
    pub(super) imports: Vec<Vec<bool>>,
}

impl Called {
    pub(super) fn of<T>(program: &Program<'_>, nodes: &HashMap<Node, T>) -> Self {
        let mut locals = vec![HashSet::new(); program.objects.len()];
        for &node in nodes.keys() {
            if let Some(function) = program.function(node) {
                locals[node.0].insert(function.function.start);
            }
        }
        let imports = program.objects.iter().map(|object| {
            let found = object.found.iter();
            let is_one = |found: &Option<Node>| found.is_some_and(|node| nodes.contains_key(&node));
            found.map(is_one).collect()
        });
        Self {
            locals,
            imports: imports.collect(),
        }
    }

    fn has(&self, file: usize, callee: Callee) -> bool {
        match callee {
            Callee::Local(target) => self.locals[file].contains(&target),
            Callee::Import(import) => self.imports[file].get(import) == Some(&true),
        }
    }

    pub(super) fn any(&self, file: usize, calls: &[Call]) -> bool {
        calls.iter().any(|call| self.has(file, call.callee))
    }
}

/// Functions that take the number of a system call as an argument: those that make it, and those
/// that pass it on to one that does, as musl's cancellation points do.
#[derive(Default)]
pub(super) struct Numbered {
    /// As which arguments.
    pub(super) arguments: HashMap<Node, BTreeSet<u8>>,
    /// What functions pass on, as far as it was looked at.
    pub(super) values: HashMap<Node, Rc<Values>>,
}

impl Numbered {
    pub(super) fn find(program: &Program<'_>) -> Self {
        let mut numbered = Self::default();
        let nodes = program.nodes();
        let calls = |node: &&Node| {
            let function = program.function(**node);
            function.is_some_and(|function| !function.system_calls.is_empty())
        };
        let callers: Vec<Node> = nodes.iter().filter(calls).copied().collect();
        numbered.values.extend(program.values(&callers));
        let mut new: Vec<(Node, u8)> = Vec::new();
        for (node, values) in &numbered.values {
            new.extend(values.system_calls.iter().filter_map(|site| {
                let Number::Argument(at) = site.number else {
                    return None;
                };
                Some((*node, at))
            }));
        }
        while !new.is_empty() {
            let fresh: Vec<(Node, u8)> = new
                .drain(..)
                .filter(|(node, at)| numbered.arguments.entry(*node).or_default().insert(*at))
                .collect();
            numbered.look_at_callers(program, &nodes, &fresh, &mut new);
        }
        numbered
    }

    /// Finds who passes an argument of its own on as one of `fresh`.
    fn look_at_callers(
        &mut self,
        program: &Program<'_>,
        nodes: &[Node],
        fresh: &[(Node, u8)],
        new: &mut Vec<(Node, u8)>,
    ) {
        let mut places: HashMap<Node, Vec<u8>> = HashMap::new();
        for (node, at) in fresh {
            places.entry(*node).or_default().push(*at);
        }
        let called = Called::of(program, &places);
        let calls = |node: &&Node| {
            let function = program.function(**node);
            function.is_some_and(|function| called.any(node.0, &function.calls))
        };
        let callers: Vec<Node> = nodes.par_iter().filter(calls).copied().collect();
        let unknown: Vec<Node> = callers
            .iter()
            .filter(|node| !self.values.contains_key(node))
            .copied()
            .collect();
        self.values.extend(program.values(&unknown));
        for caller in callers {
            let function = program.function(caller);
            let calls = function.iter().flat_map(|function| &function.calls);
            for (call, passed) in calls.zip(&self.values[&caller].calls) {
                let callee = program.callee(caller.0, call.callee);
                let places = callee.and_then(|callee| places.get(&callee));
                new.extend(places.into_iter().flatten().filter_map(|at| {
                    let own = (*passed.passed.get(usize::from(*at))?)?;
                    Some((caller, own))
                }));
            }
        }
    }
}
