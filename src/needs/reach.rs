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
use std::rc::Rc;

use lupine_kml::scan::{Arguments, Callee, Function, Number, SystemCall, Values};

use super::call::{add_call, add_of_arguments, arguments_matter};
use super::numbered::{Called, Numbered};
use super::program::{Mapped, Node, Program, is_loader};
use super::requirement::{Evidence, Needs, Strength};
use super::table;

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

/// Where the walk is: in a file, at a distance from where it came into the C library, and how it
/// came there.
#[derive(Clone, Copy)]
struct Here<'v> {
    file: usize,
    distance: u32,
    via: Option<&'v Rc<Via>>,
}

struct Walk<'a> {
    program: &'a Program<'a>,
    /// Functions whose arguments tell something.
    telling: Called,
    /// Distance within the C library.
    reached: HashMap<Node, u32>,
    entered: BTreeSet<usize>,
    queue: VecDeque<(Node, u32, Option<Rc<Via>>)>,
    /// What only an optional file leads to: what is required is walked first, so that the first
    /// visit of a function is its strongest.
    later: VecDeque<(Node, u32, Option<Rc<Via>>)>,
    numbered: Numbered,
    unknown: BTreeMap<usize, Vec<String>>,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program<'a>) -> Walk<'a> {
        let numbered = Numbered::find(program);
        let mut telling = Called::of(program, &numbered.arguments);
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
            later: VecDeque::new(),
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
        while let Some((node, distance, via)) =
            self.queue.pop_front().or_else(|| self.later.pop_front())
        {
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

    fn push(&mut self, node: Node, distance: u32, via: Option<Rc<Via>>) {
        let from = via.as_ref().map_or(node.0, |via| via.file);
        match self.is_optional(node.0, from) {
            true => self.later.push_back((node, distance, via)),
            false => self.queue.push_back((node, distance, via)),
        }
    }

    fn is_optional(&self, file: usize, from: usize) -> bool {
        let objects = &self.program.objects;
        objects[from].mapped.optional || objects[file].mapped.optional
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
            self.push((file, *root), distance, None);
        }
        if !object.c_library {
            for symbol in &code.pointers {
                let found = self.program.exports.get(symbol.as_str()).copied();
                let here = Here {
                    file,
                    distance: 0,
                    via: None,
                };
                self.import(here, symbol, found, None, needs);
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
        let here = Here {
            file,
            distance,
            via,
        };
        let next = Here {
            distance: if object.c_library { distance + 1 } else { 0 },
            ..here
        };
        let tells = !function.system_calls.is_empty() || self.telling.any(file, &function.calls);
        let values = match tells {
            true => self.values(node),
            false => Rc::default(),
        };
        for (index, call) in function.calls.iter().enumerate() {
            let site = Site {
                address: call.address,
                passed: values.calls.get(index),
            };
            let found = program.callee(file, call.callee);
            match call.callee {
                Callee::Local(_) => {
                    if let Some(callee) = found {
                        self.numbers(here, &site, callee, needs);
                        self.push(callee, next.distance, via.cloned());
                    }
                }
                Callee::Import(import) => {
                    let symbol = &object.mapped.code.imports()[import];
                    self.import(next, symbol, found, Some(&site), needs);
                }
            }
        }
        for target in &function.references {
            if let Some(callee) = object.mapped.code.starting(*target) {
                self.push((file, callee), next.distance, via.cloned());
            }
        }
        for site in &values.system_calls {
            self.system_call(here, function, site, needs);
        }
    }

    fn system_call(
        &mut self,
        here: Here<'_>,
        function: &Function,
        site: &SystemCall,
        needs: &mut Needs,
    ) {
        match &site.number {
            Number::Known(numbers) => {
                for number in numbers {
                    let evidence = || self.evidence(here, function, site.address);
                    let strength = self.strength(here);
                    add_call(*number, &site.arguments, strength, &evidence, needs);
                }
            }
            // Its callers give the number.
            Number::Argument(_) => {}
            Number::Unknown if self.program.objects[here.file].c_library => {}
            Number::Unknown => {
                let name = function.function.name.as_deref().unwrap_or("a function");
                let text = format!(
                    "{name} makes a system call at {:#x} whose number is not known",
                    site.address
                );
                self.unknown.entry(here.file).or_default().push(text);
            }
        }
    }

    /// A call or a pointer to a function that the loader finds by name.
    fn import(
        &mut self,
        here: Here<'_>,
        symbol: &str,
        found: Option<Node>,
        site: Option<&Site<'_>>,
        needs: &mut Needs,
    ) {
        let Here { file, via, .. } = here;
        let object = &self.program.objects[file];
        let address = site.map(|site| site.address);
        if !object.c_library {
            let evidence = || Evidence::Import {
                file: object.mapped.file.to_owned(),
                symbol: symbol.to_owned(),
                address,
            };
            let strength = self.strength(Here { via: None, ..here });
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
            let here = Here {
                via: via.as_ref(),
                ..here
            };
            self.numbers(here, site, target, needs);
        }
        self.push(target, here.distance, via);
    }

    /// Where the callee takes the number of a system call as an argument, as
    /// `syscall(2)` does: which numbers this caller gives.
    fn numbers(&mut self, here: Here<'_>, site: &Site<'_>, callee: Node, needs: &mut Needs) {
        let Some(places) = self.numbered.arguments.get(&callee) else {
            return;
        };
        let Some(function) = self.program.function(callee) else {
            return;
        };
        let object = &self.program.objects[here.file];
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
                let strength = self.strength(here);
                add_call(*number, arguments, strength, &evidence, needs);
            }
            if numbers.is_empty() && !object.c_library {
                let text = format!(
                    "calls {name} at {:#x} with a number that is not known",
                    site.address
                );
                self.unknown.entry(here.file).or_default().push(text);
            }
        }
    }

    fn strength(&self, here: Here<'_>) -> Strength {
        let from = here.via.map_or(here.file, |via| via.file);
        let deep = self.program.objects[here.file].c_library && here.distance > PURPOSE;
        if deep || self.is_optional(here.file, from) {
            Strength::Optional
        } else {
            Strength::Required
        }
    }

    fn evidence(&self, here: Here<'_>, function: &Function, address: u64) -> Evidence {
        let path = |file: usize| self.program.objects[file].mapped.file.to_owned();
        match here.via {
            Some(via) => Evidence::Import {
                file: path(via.file),
                symbol: via.symbol.clone(),
                address: via.address,
            },
            None => Evidence::Site {
                file: path(here.file),
                function: function.function.name.clone(),
                address,
            },
        }
    }
}
