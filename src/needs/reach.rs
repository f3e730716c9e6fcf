//! Which system calls a program and its libraries can make: the calls within
//! each file and across files, followed from the entry point on.
//!
//! Roots are the program's entry point and every function whose address lies
//! in data (initialisers, tables of methods), of what is loaded by name also
//! what it exports. A library's functions count where
//! reached code imports them; its tables count once anything of it is reached.
//! In the C library the distance from the import matters: the call that a
//! function is there for lies in it or one call away. What lies deeper, is
//! reached through its tables or by its start (the allocator's hints, name
//! services) is its own business, which it does without where it must.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use lupine_kml::scan::{Arguments, Call, Callee, Function, Number, SystemCall, Values};
use rayon::prelude::*;

use super::call::{add_call, add_of_arguments, arguments_matter};
use super::code::Code;
use super::requirement::{Evidence, Needs, Strength};
use super::table;

/// A file that the dynamic loader maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapped<'a> {
    /// Path in the image.
    pub(super) file: &'a str,
    /// Its functions.
    pub(super) code: &'a Code<'a>,
    /// Whether all of it is optional: it is loaded only where a configuration
    /// asks for it.
    pub(super) optional: bool,
    /// Whether it is loaded, and its functions are looked up, by name at run
    /// time.
    pub(super) by_name: bool,
}

/// How far from an exported function of the C library its purpose lies, in
/// calls.
const PURPOSE: u32 = 1;

/// How many calls of unknown number are named for one file.
const MAX_UNKNOWN: usize = 4;

/// Adds the needs of `files`, in the order in which the loader maps them, the
/// program first.
pub(super) fn add_needs(files: &[Mapped<'_>], needs: &mut Needs) {
    let program = Program::link(files);
    Walk::new(&program).run(needs);
}

/// Libraries whose system calls stand behind the functions of C.
pub(super) fn is_c_library(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    [
        "libc.",
        "libc-",
        "ld-",
        "libpthread.",
        "libpthread-",
        "librt.",
        "librt-",
        "libdl.",
        "libm.",
        "libresolv.",
        "libanl.",
        "libutil.",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Whether it is the dynamic loader, whose entry point runs before the program's.
fn is_loader(file: &str) -> bool {
    file.rsplit('/').next().unwrap_or(file).starts_with("ld-")
}

/// A function: index of its file, index in it.
type Node = (usize, usize);

/// A file beside those that it is loaded with.
struct Object<'a> {
    mapped: Mapped<'a>,
    c_library: bool,
    /// What the loader finds for each import.
    found: Vec<Option<Node>>,
}

/// Files that are loaded together.
struct Program<'a> {
    objects: Vec<Object<'a>>,
    exports: HashMap<&'a str, Node>,
}

impl<'a> Program<'a> {
    fn link(files: &[Mapped<'a>]) -> Self {
        let mut exports = HashMap::new();
        for (file, mapped) in files.iter().enumerate() {
            for (index, function) in mapped.code.list().iter().enumerate() {
                let names = function.function.name.iter().chain(&function.aliases);
                for name in names {
                    // `name@@VERSION` is what `name` means.
                    let name = name.split('@').next().unwrap_or(name);
                    exports.entry(name).or_insert((file, index));
                }
            }
        }
        let objects = files.iter().map(|mapped| {
            let imports = mapped.code.imports().iter();
            Object {
                mapped: *mapped,
                c_library: is_c_library(mapped.file),
                found: imports
                    .map(|name| exports.get(name.as_str()).copied())
                    .collect(),
            }
        });
        Self {
            objects: objects.collect(),
            exports,
        }
    }

    fn function(&self, (file, index): Node) -> Option<&'a Function> {
        self.objects[file].mapped.code.list().get(index)
    }

    fn nodes(&self) -> Vec<Node> {
        let files = self.objects.iter().enumerate();
        let each = |(file, object): (usize, &Object<'_>)| {
            (0..object.mapped.code.list().len()).map(move |index| (file, index))
        };
        files.flat_map(each).collect()
    }

    /// The function that a call of a file leads to.
    fn callee(&self, file: usize, callee: Callee) -> Option<Node> {
        let object = &self.objects[file];
        match callee {
            Callee::Local(target) => Some((file, object.mapped.code.starting(target)?)),
            Callee::Import(import) => *object.found.get(import)?,
        }
    }

    /// What functions pass on; computed side by side.
    fn values(&self, nodes: &[Node]) -> Vec<(Node, Rc<Values>)> {
        let values: Vec<Values> = nodes
            .par_iter()
            .map(|&(file, index)| self.objects[file].mapped.code.values(index))
            .collect();
        let shared = values.into_iter().map(Rc::new);
        nodes.iter().copied().zip(shared).collect()
    }
}

/// Some functions, as the calls of each file name them.
struct Called {
    locals: Vec<HashSet<u64>>,
    imports: Vec<Vec<bool>>,
}

impl Called {
    fn of(program: &Program<'_>, is_one: impl Fn(Node) -> bool, nodes: &[Node]) -> Self {
        let mut locals = vec![HashSet::new(); program.objects.len()];
        for &node in nodes {
            if let Some(function) = program.function(node) {
                locals[node.0].insert(function.function.start);
            }
        }
        let imports = program.objects.iter().map(|object| {
            let found = object.found.iter();
            found.map(|found| found.is_some_and(&is_one)).collect()
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

    fn any(&self, file: usize, calls: &[Call]) -> bool {
        calls.iter().any(|call| self.has(file, call.callee))
    }
}

/// Functions that take the number of a system call as an argument: those that make it, and those
/// that pass it on to one that does, as musl's cancellation points do.
#[derive(Default)]
struct Numbered {
    /// As which arguments.
    arguments: HashMap<Node, BTreeSet<u8>>,
    /// What functions pass on, as far as it was looked at.
    values: HashMap<Node, Rc<Values>>,
}

impl Numbered {
    fn find(program: &Program<'_>) -> Self {
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
        let called: Vec<Node> = places.keys().copied().collect();
        let called = Called::of(program, |node| places.contains_key(&node), &called);
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

/// How the walk came to a function of the C library: who imports what, where.
#[derive(Debug)]
struct Via {
    file: usize,
    symbol: String,
    address: Option<u64>,
}

/// A place that calls, and what it passes where that tells anything.
struct Site<'v> {
    address: u64,
    passed: Option<&'v Arguments>,
}

struct Walk<'a> {
    program: &'a Program<'a>,
    /// Functions whose arguments tell something.
    telling: Called,
    /// Distance within the C library.
    reached: HashMap<Node, u32>,
    entered: BTreeSet<usize>,
    queue: VecDeque<(Node, u32, Option<Rc<Via>>)>,
    numbered: Numbered,
    unknown: BTreeMap<usize, Vec<String>>,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program<'a>) -> Walk<'a> {
        let numbered = Numbered::find(program);
        let nodes: Vec<Node> = numbered.arguments.keys().copied().collect();
        let mut telling = Called::of(
            program,
            |node| numbered.arguments.contains_key(&node),
            &nodes,
        );
        for (object, imports) in program.objects.iter().zip(&mut telling.imports) {
            for (name, tells) in object.mapped.code.imports().iter().zip(imports) {
                *tells |= !object.c_library && arguments_matter(name);
            }
        }
        Walk {
            program,
            telling,
            numbered,
            reached: HashMap::new(),
            entered: BTreeSet::new(),
            queue: VecDeque::new(),
            unknown: BTreeMap::new(),
        }
    }

    fn run(&mut self, needs: &mut Needs) {
        for (file, object) in self.program.objects.iter().enumerate() {
            // The program, its loader, and what is loaded by name at run time.
            if file == 0 || object.mapped.by_name || is_loader(object.mapped.file) {
                self.enter(file, needs);
            }
        }
        while let Some((node, distance, via)) = self.queue.pop_front() {
            if self
                .reached
                .get(&node)
                .is_some_and(|known| *known <= distance)
            {
                continue;
            }
            self.reached.insert(node, distance);
            self.visit(node, distance, via.as_ref(), needs);
        }
        for (file, texts) in std::mem::take(&mut self.unknown) {
            let object = &self.program.objects[file];
            let more = texts.len().saturating_sub(MAX_UNKNOWN);
            for text in texts.into_iter().take(MAX_UNKNOWN) {
                needs
                    .unknown
                    .push(format!("{}: {text}", object.mapped.file));
            }
            if more > 0 {
                needs
                    .unknown
                    .push(format!("{}: {more} more of the kind", object.mapped.file));
            }
        }
        for object in &self.program.objects {
            if let Some(why) = &object.mapped.code.unread {
                needs.unknown.push(format!(
                    "{}: its code cannot be read: {why}",
                    object.mapped.file
                ));
            }
        }
    }

    /// What counts as soon as anything of a file is reached.
    fn enter(&mut self, file: usize, needs: &mut Needs) {
        if !self.entered.insert(file) {
            return;
        }
        let object = &self.program.objects[file];
        let distance = if object.c_library { PURPOSE + 1 } else { 0 };
        let code = object.mapped.code;
        let by_name = object.mapped.by_name.then_some(&code.exported);
        for root in code.roots.iter().chain(by_name.into_iter().flatten()) {
            self.queue.push_back(((file, *root), distance, None));
        }
        if !object.c_library {
            for symbol in &code.pointers {
                let found = self.program.exports.get(symbol.as_str()).copied();
                self.import(file, symbol, found, None, 0, None, needs);
            }
        }
    }

    /// What a function passes on.
    fn values(&mut self, node: Node) -> Rc<Values> {
        let program = self.program;
        let own = self.numbered.values.entry(node);
        let new = || Rc::new(program.objects[node.0].mapped.code.values(node.1));
        Rc::clone(own.or_insert_with(new))
    }

    fn visit(&mut self, node: Node, distance: u32, via: Option<&Rc<Via>>, needs: &mut Needs) {
        let (file, _) = node;
        self.enter(file, needs);
        let program = self.program;
        let Some(function) = program.function(node) else {
            return;
        };
        let object = &program.objects[file];
        let next = if object.c_library { distance + 1 } else { 0 };
        let tells = !function.system_calls.is_empty() || self.telling.any(file, &function.calls);
        let values = tells.then(|| self.values(node)).unwrap_or_default();
        for (index, call) in function.calls.iter().enumerate() {
            let site = Site {
                address: call.address,
                passed: values.calls.get(index),
            };
            let found = program.callee(file, call.callee);
            match call.callee {
                Callee::Local(_) => {
                    if let Some(callee) = found {
                        self.numbers(file, &site, callee, distance, via, needs);
                        self.queue.push_back((callee, next, via.cloned()));
                    }
                }
                Callee::Import(import) => {
                    let symbol = &object.mapped.code.imports()[import];
                    self.import(file, symbol, found, Some(&site), next, via, needs);
                }
            }
        }
        for target in &function.references {
            if let Some(callee) = object.mapped.code.starting(*target) {
                self.queue.push_back(((file, callee), next, via.cloned()));
            }
        }
        for site in &values.system_calls {
            self.system_call(file, function, site, distance, via, needs);
        }
    }

    fn system_call(
        &mut self,
        file: usize,
        function: &Function,
        site: &SystemCall,
        distance: u32,
        via: Option<&Rc<Via>>,
        needs: &mut Needs,
    ) {
        match &site.number {
            Number::Known(numbers) => {
                for number in numbers {
                    let evidence = || self.evidence(file, function, site.address, via);
                    let strength = self.strength(file, distance, via);
                    add_call(*number, &site.arguments, strength, &evidence, needs);
                }
            }
            // Its callers give the number.
            Number::Argument(_) => {}
            Number::Unknown if self.program.objects[file].c_library => {}
            Number::Unknown => {
                let name = function.function.name.as_deref().unwrap_or("a function");
                let text = format!(
                    "{name} makes a system call at {:#x} whose number is not known",
                    site.address
                );
                self.unknown.entry(file).or_default().push(text);
            }
        }
    }

    /// A call or a pointer to a function that the loader finds by name.
    fn import(
        &mut self,
        file: usize,
        symbol: &str,
        found: Option<Node>,
        site: Option<&Site<'_>>,
        distance: u32,
        via: Option<&Rc<Via>>,
        needs: &mut Needs,
    ) {
        let object = &self.program.objects[file];
        let address = site.map(|site| site.address);
        if !object.c_library {
            let evidence = || Evidence::Import {
                file: object.mapped.file.to_owned(),
                symbol: symbol.to_owned(),
                address,
            };
            let strength = self.strength(file, 0, None);
            if let Some(requirement) = table::requirement_of_import(symbol) {
                needs.add(requirement, strength, evidence());
            }
            if let Some(passed) = site.and_then(|site| site.passed) {
                add_of_arguments(symbol, &passed.constants, strength, &evidence, needs);
            }
        }
        let Some(target) = found else {
            return;
        };
        let in_c = self.program.objects[target.0].c_library;
        let via = match via {
            Some(via) => Some(Rc::clone(via)),
            None if in_c => Some(Rc::new(Via {
                file,
                symbol: symbol.to_owned(),
                address,
            })),
            None => None,
        };
        if let Some(site) = site {
            self.numbers(file, site, target, distance, via.as_ref(), needs);
        }
        self.queue.push_back((target, distance, via));
    }

    /// Where the callee takes the number of a system call as an argument, as
    /// `syscall(2)` does: which numbers this caller gives.
    fn numbers(
        &mut self,
        file: usize,
        site: &Site<'_>,
        callee: Node,
        distance: u32,
        via: Option<&Rc<Via>>,
        needs: &mut Needs,
    ) {
        let Some(places) = self.numbered.arguments.get(&callee) else {
            return;
        };
        let Some(function) = self.program.function(callee) else {
            return;
        };
        let object = &self.program.objects[file];
        let name = function.function.name.as_deref().unwrap_or("a function");
        let nothing = Arguments::default();
        let passed = site.passed.unwrap_or(&nothing);
        for at in places.iter().map(|&at| usize::from(at)) {
            // Its own callers give the number.
            if passed.passed.get(at).is_some_and(Option::is_some) {
                continue;
            }
            let numbers = passed.constants.get(at);
            let numbers = numbers.map(Vec::as_slice).unwrap_or_default();
            let arguments = passed.constants.get(at + 1..).unwrap_or_default();
            for number in numbers {
                let evidence = || Evidence::Import {
                    file: object.mapped.file.to_owned(),
                    symbol: format!("{name}({number}, ...)"),
                    address: Some(site.address),
                };
                let strength = self.strength(file, distance, via);
                add_call(*number, arguments, strength, &evidence, needs);
            }
            if numbers.is_empty() && !object.c_library {
                let text = format!(
                    "calls {name} at {:#x} with a number that is not known",
                    site.address
                );
                self.unknown.entry(file).or_default().push(text);
            }
        }
    }

    fn strength(&self, file: usize, distance: u32, via: Option<&Rc<Via>>) -> Strength {
        let objects = &self.program.objects;
        let from = via.map_or(file, |via| via.file);
        let optional = objects[from].mapped.optional || objects[file].mapped.optional;
        if optional || (objects[file].c_library && distance > PURPOSE) {
            Strength::Optional
        } else {
            Strength::Required
        }
    }

    fn evidence(
        &self,
        file: usize,
        function: &Function,
        address: u64,
        via: Option<&Rc<Via>>,
    ) -> Evidence {
        let path = |file: usize| self.program.objects[file].mapped.file.to_owned();
        match via {
            Some(via) => Evidence::Import {
                file: path(via.file),
                symbol: via.symbol.clone(),
                address: via.address,
            },
            None => Evidence::Site {
                file: path(file),
                function: function.function.name.clone(),
                address,
            },
        }
    }
}
