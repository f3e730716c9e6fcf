//! Finds every `syscall` instruction of an ELF file, by decoding.
//!
//! Bytes in, values out: no file is opened, no process started. One scan has two users: the rewriter, and whoever
//! wants to know which system calls a program can make ([`Functions`]).

pub(crate) mod abi;
pub(crate) mod code;
pub(crate) mod elf;
pub(crate) mod frames;
mod functions;
mod sites;
mod values;

use std::collections::BTreeMap;

use iced_x86::Register;
use serde::{Deserialize, Serialize};

pub use elf::{ElfError, Kind};
pub use functions::{Arguments, Call, Callee, Function, Functions, SystemCall, Values};
pub use sites::{Evidence, FunctionRef, Number, Site};

use crate::rewrite::plan::{self, Plan};
use code::{Code, Span};
use elf::Elf;
use frames::Frames;
use values::{State, Value};

/// Every system call site of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Sites in order of address, each with its plan.
    pub sites: Vec<Site>,
    /// Pairs `0f 05` in executable ranges that no decoding reached: data, or code that nothing refers to.
    /// They are left as they are.
    pub unreached: Vec<u64>,
    /// Whether the file has been rewritten already (its note says so): sites and plans are those of its original,
    /// unless it was changed since.
    pub rewritten: bool,
}

impl Scan {
    /// How many sites get a trampoline.
    #[must_use]
    pub fn rewritable(&self) -> usize {
        self.sites
            .iter()
            .filter(|s| !matches!(s.plan, Plan::Native { .. }))
            .count()
    }
}

/// Scans an ELF file.
///
/// # Errors
/// A file that is not a well-formed 64-bit x86-64 executable or shared object, with the offset that says so.
pub fn scan(data: &[u8]) -> Result<Scan, ElfError> {
    if let Ok(original) = crate::rewrite::undo_bytes(data) {
        let mut found = scan_as_is(&original)?;
        found.rewritten = true;
        return Ok(found);
    }
    scan_as_is(data)
}

fn scan_as_is(data: &[u8]) -> Result<Scan, ElfError> {
    let elf = Elf::parse(data)?;
    let frames = Frames::read(&elf);
    let code = Code::decode(&elf, frames.as_ref());
    let planned = plan::plan(&elf, &code, frames.as_ref());
    Ok(describe(&elf, &code, &planned.plans))
}

/// Puts names and numbers to the planned sites.
pub(crate) fn describe(elf: &Elf<'_>, code: &Code<'_>, plans: &BTreeMap<u64, Plan>) -> Scan {
    let names = Names::new(elf);
    let numbers = numbers(code);
    let sites = code.syscalls.iter().map(|(address, evidence)| Site {
        offset: elf.offset_of(*address).unwrap_or(0),
        address: *address,
        function: code
            .body(*address)
            .map(|span| names.function_around(span, *address)),
        number: numbers.get(address).cloned().unwrap_or(Number::Unknown),
        evidence: *evidence,
        plan: plans.get(address).cloned().unwrap_or(Plan::Native {
            reason: plan::Reason::Foreign,
        }),
    });
    Scan {
        sites: sites.collect(),
        unreached: unreached(elf, code),
        rewritten: crate::rewrite::note::find(elf).is_some(),
    }
}

fn numbers(code: &Code<'_>) -> BTreeMap<u64, Number> {
    let mut out = BTreeMap::new();
    let mut done = std::collections::BTreeSet::new();
    for address in code.syscalls.keys() {
        let Some(span) = code.body(*address) else {
            continue;
        };
        if !done.insert(span.start) {
            continue;
        }
        values::interpret(code, code.with_tail(span), |one, state| {
            if one.code() == iced_x86::Code::Syscall {
                out.insert(one.ip(), number(state));
            }
        });
    }
    out
}

fn number(state: &State) -> Number {
    match state.get(Register::RAX) {
        Value::Any => Number::Unknown,
        Value::Argument(n) => Number::Argument(n),
        known @ Value::Known { .. } => Number::Known(known.constants().to_vec()),
    }
}

fn unreached(elf: &Elf<'_>, code: &Code<'_>) -> Vec<u64> {
    let mut out = Vec::new();
    for (start, bytes) in elf.code_ranges() {
        for at in memchr::memmem::find_iter(bytes, &[0x0f, 0x05]) {
            let address = start + at as u64;
            let covered = (0..15).any(|back| {
                address
                    .checked_sub(back)
                    .filter(|a| code.is_start(*a))
                    .and_then(|a| code.instruction(a))
                    .is_some_and(|one| one.next_ip() > address)
            });
            if !covered {
                out.push(address);
            }
        }
    }
    out
}

/// Function symbols by address.
pub(crate) struct Names<'a> {
    /// Start, size, name.
    sorted: Vec<(u64, u64, &'a [u8])>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(elf: &Elf<'a>) -> Self {
        let functions = elf.symbols.iter().filter(|s| {
            let kind = s.kind;
            s.defined
                && !s.name.is_empty()
                && matches!(kind, abi::STT_FUNC | abi::STT_GNU_IFUNC | abi::STT_NOTYPE)
        });
        let mut sorted: Vec<_> = functions.map(|s| (s.value, s.size, s.name)).collect();
        sorted.sort_unstable();
        sorted.dedup();
        Names { sorted }
    }

    /// Where the function of this name starts.
    pub(crate) fn address(&self, name: &[u8]) -> Option<u64> {
        self.sorted.iter().find(|s| s.2 == name).map(|s| s.0)
    }

    fn starting(&self, address: u64) -> impl Iterator<Item = &'a [u8]> + '_ {
        let from = self.sorted.partition_point(|s| s.0 < address);
        self.sorted[from..]
            .iter()
            .take_while(move |s| s.0 == address)
            .map(|s| s.2)
    }

    fn aliases(&self, start: u64) -> Vec<String> {
        self.starting(start).skip(1).map(text).collect()
    }

    fn function(&self, span: Span) -> FunctionRef {
        FunctionRef {
            name: self.starting(span.start).next().map(text),
            start: span.start,
            end: span.end,
        }
    }

    /// As `function`, with a symbol that covers `address` where none stands at the start.
    fn function_around(&self, span: Span, address: u64) -> FunctionRef {
        let mut function = self.function(span);
        if function.name.is_none() {
            let after = self.sorted.partition_point(|s| s.0 <= address);
            let around = self.sorted[..after]
                .iter()
                .rev()
                .take(64)
                .find(|s| address - s.0 < s.1);
            function.name = around.map(|s| text(s.2));
        }
        function
    }
}

/// A name for people and JSON: bytes beyond printable ASCII are escaped.
fn text(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}
