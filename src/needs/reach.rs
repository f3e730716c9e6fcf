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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use goblin::elf::Elf;
use goblin::elf::reloc::{R_X86_64_64, R_X86_64_RELATIVE};
use lupine_kml::scan::{self, Call, Callee, Function, Number};
use rayon::prelude::*;
use syscalls::x86_64::Sysno;

use super::elf::ElfFacts;
use super::requirement::{Evidence, Needs, Requirement, Strength};
use super::table;

/// A file that the dynamic loader maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapped<'a> {
    /// Path in the image.
    pub(super) file: &'a str,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
    /// Its headers.
    pub(super) facts: &'a ElfFacts,
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

/// `DT_RELR`: relocations in packed form.
const DT_RELR: u64 = 36;

/// Adds the needs of `files`, in the order in which the loader maps them, the
/// program first.
pub(super) fn add_needs(files: &[Mapped<'_>], needs: &mut Needs) {
    let objects: Vec<Object<'_>> = files.par_iter().map(Object::read).collect();
    let mut walk = Walk::new(&objects);
    walk.run(needs);
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

struct Object<'a> {
    mapped: Mapped<'a>,
    c_library: bool,
    functions: Vec<Function>,
    by_start: HashMap<u64, usize>,
    /// Functions that something outside of code points to.
    roots: Vec<usize>,
    /// Imports whose address is taken, or that no decoded call names.
    pointers: Vec<String>,
    /// Why its code could not be read.
    unread: Option<String>,
}

impl<'a> Object<'a> {
    fn read(mapped: &Mapped<'a>) -> Object<'a> {
        let (functions, unread) = match scan::functions(mapped.bytes) {
            Ok(functions) => (functions, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let by_start: HashMap<u64, usize> = functions
            .iter()
            .enumerate()
            .map(|(index, function)| (function.function.start, index))
            .collect();
        let called: BTreeSet<&str> = functions
            .iter()
            .flat_map(|function| &function.calls)
            .filter_map(|call| match &call.callee {
                Callee::Import(name) => Some(name.as_str()),
                Callee::Local(_) => None,
            })
            .collect();
        let imports = mapped.facts.imports.iter();
        let pointers = imports.filter(|name| !called.contains(name.as_str()));
        let c_library = is_c_library(mapped.file);
        Object {
            mapped: *mapped,
            c_library,
            roots: roots(mapped, &functions, &by_start),
            pointers: pointers.cloned().collect(),
            functions,
            by_start,
            unread,
        }
    }
}

/// The entry point, every function that a relocation of data names, and what is
/// exported where functions are looked up by name; all functions where
/// relocations do not tell (programs at a fixed address).
fn roots(
    mapped: &Mapped<'_>,
    functions: &[Function],
    by_start: &HashMap<u64, usize>,
) -> Vec<usize> {
    let Ok(elf) = Elf::parse(mapped.bytes) else {
        return Vec::new();
    };
    let packed = elf
        .dynamic
        .iter()
        .flat_map(|d| &d.dyns)
        .any(|d| d.d_tag == DT_RELR);
    if packed || elf.header.e_type == goblin::elf::header::ET_EXEC {
        return (0..functions.len()).collect();
    }
    let from_data = elf
        .dynrelas
        .iter()
        .filter_map(|relocation| match relocation.r_type {
            R_X86_64_RELATIVE => relocation.r_addend.map(|addend| addend as u64),
            R_X86_64_64 => {
                let symbol = elf.dynsyms.get(relocation.r_sym)?;
                let addend = relocation.r_addend.unwrap_or_default() as u64;
                (symbol.st_value != 0).then_some(symbol.st_value.wrapping_add(addend))
            }
            _ => None,
        });
    let mut roots: BTreeSet<usize> = from_data
        .filter_map(|at| by_start.get(&at).copied())
        .collect();
    roots.extend(by_start.get(&elf.header.e_entry).copied());
    if mapped.by_name {
        let exported = elf.dynsyms.iter().map(|symbol| symbol.st_value);
        roots.extend(exported.filter_map(|at| by_start.get(&at).copied()));
    }
    roots.into_iter().collect()
}

/// A function: index of its file, index in it.
type Node = (usize, usize);

/// How the walk came to a function of the C library: who imports what, where.
#[derive(Clone, Debug)]
struct Via {
    file: usize,
    symbol: String,
    address: Option<u64>,
}

/// The function that a call leads to.
fn callee(
    objects: &[Object<'_>],
    exports: &HashMap<&str, Node>,
    file: usize,
    call: &Call,
) -> Option<Node> {
    match &call.callee {
        Callee::Local(target) => Some((file, *objects[file].by_start.get(target)?)),
        Callee::Import(symbol) => exports.get(symbol.as_str()).copied(),
    }
}

/// A call's caller, and which of its own arguments each argument is.
type Passing = (Node, [Option<u8>; 6]);

/// Which functions take the number of a system call as an argument: those that
/// make it, and those that pass it on to one that does, as musl's cancellation
/// points do.
fn numbered(objects: &[Object<'_>], exports: &HashMap<&str, Node>) -> HashMap<Node, BTreeSet<u8>> {
    let mut new: Vec<(Node, u8)> = Vec::new();
    let mut callers: HashMap<Node, Vec<Passing>> = HashMap::new();
    for (file, object) in objects.iter().enumerate() {
        for (index, function) in object.functions.iter().enumerate() {
            let node = (file, index);
            new.extend(function.system_calls.iter().filter_map(|site| {
                let Number::Argument(at) = site.number else {
                    return None;
                };
                Some((node, at))
            }));
            for call in &function.calls {
                if call.passed.iter().any(Option::is_some)
                    && let Some(callee) = callee(objects, exports, file, call)
                {
                    callers.entry(callee).or_default().push((node, call.passed));
                }
            }
        }
    }
    let mut found: HashMap<Node, BTreeSet<u8>> = HashMap::new();
    while let Some((node, at)) = new.pop() {
        if found.entry(node).or_default().insert(at) {
            let callers = callers.get(&node).into_iter().flatten();
            new.extend(callers.filter_map(|(caller, passed)| {
                let own = (*passed.get(usize::from(at))?)?;
                Some((*caller, own))
            }));
        }
    }
    found
}

struct Walk<'a> {
    objects: &'a [Object<'a>],
    exports: HashMap<&'a str, Node>,
    /// Distance within the C library.
    reached: HashMap<Node, u32>,
    entered: BTreeSet<usize>,
    queue: VecDeque<(Node, u32, Option<Via>)>,
    /// Functions that take the number of a system call as an argument, and as
    /// which.
    numbered: HashMap<Node, BTreeSet<u8>>,
    unknown: BTreeMap<usize, Vec<String>>,
}

impl<'a> Walk<'a> {
    fn new(objects: &'a [Object<'a>]) -> Walk<'a> {
        let mut exports = HashMap::new();
        for (file, object) in objects.iter().enumerate() {
            for (index, function) in object.functions.iter().enumerate() {
                let names = function.function.name.iter().chain(&function.aliases);
                for name in names {
                    // `name@@VERSION` is what `name` means.
                    let name = name.split('@').next().unwrap_or(name);
                    exports.entry(name).or_insert((file, index));
                }
            }
        }
        Walk {
            objects,
            numbered: numbered(objects, &exports),
            exports,
            reached: HashMap::new(),
            entered: BTreeSet::new(),
            queue: VecDeque::new(),
            unknown: BTreeMap::new(),
        }
    }

    fn run(&mut self, needs: &mut Needs) {
        for (file, object) in self.objects.iter().enumerate() {
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
            let object = &self.objects[file];
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
        for object in self.objects {
            if let Some(why) = &object.unread {
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
        let object = &self.objects[file];
        let distance = if object.c_library { PURPOSE + 1 } else { 0 };
        for root in &object.roots {
            self.queue.push_back(((file, *root), distance, None));
        }
        if !object.c_library {
            for symbol in &object.pointers {
                self.import(file, symbol, None, 0, None, needs);
            }
        }
    }

    fn visit(&mut self, node: Node, distance: u32, via: Option<&Via>, needs: &mut Needs) {
        let (file, index) = node;
        self.enter(file, needs);
        let object = &self.objects[file];
        let Some(function) = object.functions.get(index) else {
            return;
        };
        let next = if object.c_library { distance + 1 } else { 0 };
        for call in &function.calls {
            match &call.callee {
                Callee::Local(target) => {
                    if let Some(&callee) = object.by_start.get(target) {
                        self.numbers(file, call, (file, callee), distance, via, needs);
                        self.queue.push_back(((file, callee), next, via.cloned()));
                    }
                }
                Callee::Import(symbol) => {
                    self.import(file, symbol, Some(call), next, via, needs);
                }
            }
        }
        for target in &function.references {
            if let Some(&callee) = object.by_start.get(target) {
                self.queue.push_back(((file, callee), next, via.cloned()));
            }
        }
        for site in &function.system_calls {
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
                Number::Unknown if object.c_library => {}
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
    }

    /// A call or a pointer to a function that the loader finds by name.
    fn import(
        &mut self,
        file: usize,
        symbol: &str,
        call: Option<&Call>,
        distance: u32,
        via: Option<&Via>,
        needs: &mut Needs,
    ) {
        let object = &self.objects[file];
        let address = call.map(|call| call.address);
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
            if let Some(call) = call {
                add_of_arguments(symbol, &call.arguments, strength, &evidence, needs);
            }
        }
        let Some(&target) = self.exports.get(symbol) else {
            return;
        };
        let in_c = self.objects[target.0].c_library;
        let via = match via {
            Some(via) => Some(via.clone()),
            None if in_c => Some(Via {
                file,
                symbol: symbol.to_owned(),
                address,
            }),
            None => None,
        };
        if let Some(call) = call {
            self.numbers(file, call, target, distance, via.as_ref(), needs);
        }
        self.queue.push_back((target, distance, via));
    }

    /// Where the callee takes the number of a system call as an argument, as
    /// `syscall(2)` does: which numbers this caller gives.
    fn numbers(
        &mut self,
        file: usize,
        call: &Call,
        callee: Node,
        distance: u32,
        via: Option<&Via>,
        needs: &mut Needs,
    ) {
        let object = &self.objects[file];
        let Some(function) = self.objects[callee.0].functions.get(callee.1) else {
            return;
        };
        let name = function.function.name.as_deref().unwrap_or("a function");
        for &at in self.numbered.get(&callee).into_iter().flatten() {
            // Its own callers give the number.
            if call
                .passed
                .get(usize::from(at))
                .is_some_and(Option::is_some)
            {
                continue;
            }
            let numbers = call.arguments.get(usize::from(at));
            let numbers = numbers.map(Vec::as_slice).unwrap_or_default();
            for number in numbers {
                let evidence = || Evidence::Import {
                    file: object.mapped.file.to_owned(),
                    symbol: format!("{name}({number}, ...)"),
                    address: Some(call.address),
                };
                let strength = self.strength(file, distance, via);
                let arguments: Vec<Vec<u64>> = call
                    .arguments
                    .iter()
                    .skip(usize::from(at) + 1)
                    .cloned()
                    .collect();
                add_call(*number, &arguments, strength, &evidence, needs);
            }
            if numbers.is_empty() && !object.c_library {
                let text = format!(
                    "calls {name} at {:#x} with a number that is not known",
                    call.address
                );
                self.unknown.entry(file).or_default().push(text);
            }
        }
    }

    fn strength(&self, file: usize, distance: u32, via: Option<&Via>) -> Strength {
        let from = via.map_or(file, |via| via.file);
        let optional = self.objects[from].mapped.optional || self.objects[file].mapped.optional;
        if optional || (self.objects[file].c_library && distance > PURPOSE) {
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
        via: Option<&Via>,
    ) -> Evidence {
        match via {
            Some(via) => Evidence::Import {
                file: self.objects[via.file].mapped.file.to_owned(),
                symbol: via.symbol.clone(),
                address: via.address,
            },
            None => Evidence::Site {
                file: self.objects[file].mapped.file.to_owned(),
                function: function.function.name.clone(),
                address,
            },
        }
    }
}

/// A system call by its number, with what its arguments say.
fn add_call(
    number: u64,
    arguments: &[Vec<u64>],
    strength: Strength,
    evidence: &dyn Fn() -> Evidence,
    needs: &mut Needs,
) {
    let Some(call) = usize::try_from(number).ok().and_then(Sysno::new) else {
        return;
    };
    let name = call.name();
    add_named(name, strength, evidence(), needs);
    add_of_arguments(name, arguments, strength, evidence, needs);
}

/// A system call by its name: optional where programs are known to go on
/// without it, or this file makes it only where something else failed.
pub(super) fn add_named(name: &str, strength: Strength, evidence: Evidence, needs: &mut Needs) {
    let fallback = |file| table::fallback_because(file, name);
    let without =
        table::optional_because(name).is_some() || evidence.file().and_then(fallback).is_some();
    let own = match without {
        true => Strength::Optional,
        false => strength,
    };
    needs.add(Requirement::Call(name.to_owned()), own, evidence);
}

/// What the constants among a call's arguments say: families of sockets,
/// namespaces, kinds of locks.
fn add_of_arguments(
    name: &str,
    arguments: &[Vec<u64>],
    strength: Strength,
    evidence: &dyn Fn() -> Evidence,
    needs: &mut Needs,
) {
    let values = |at: usize| arguments.get(at).map(Vec::as_slice).unwrap_or_default();
    match name {
        "socket" | "socketpair" => {
            for family in values(0) {
                if let Some((name, required)) = table::socket_family(*family) {
                    let own = if required {
                        strength
                    } else {
                        Strength::Optional
                    };
                    needs.add(Requirement::Socket(name.to_owned()), own, evidence());
                }
            }
        }
        "unshare" | "setns" | "clone" => {
            let places: &[usize] = match name {
                "unshare" => &[0],
                "setns" => &[1],
                // The call, and the C library's clone(fn, stack, flags, arg).
                _ => &[0, 2],
            };
            let flags = places.iter().flat_map(|at| values(*at));
            for what in flags.flat_map(|flags| table::namespaces(*flags)) {
                let requirement = Requirement::Behaviour(what.to_owned());
                needs.add(requirement, Strength::Optional, evidence());
            }
        }
        "fcntl" | "fcntl64"
            if values(1)
                .iter()
                .any(|command| table::is_lock_command(*command)) =>
        {
            let requirement = Requirement::Behaviour("file locks".to_owned());
            needs.add(requirement, strength, evidence());
        }
        _ => {}
    }
}
