//! What each function calls: the graph from which reachable system calls follow.

use std::collections::BTreeMap;

use iced_x86::{Code as Op, FlowControl, Instruction};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::code::{Code, Span, is_near_branch};
use super::elf::{Elf, ElfError};
use super::sites::{FunctionRef, Number};
use super::values::{self, ARGUMENTS, Value};
use super::{Names, number};

/// Instructions of one function that are looked at.
pub(super) const MAX_INSTRUCTIONS: usize = 100_000;

/// Where a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callee {
    /// A function of the same file, by address.
    Local(u64),
    /// A function that the dynamic loader finds by name (through PLT or GOT): an index into [`Functions::imports`].
    Import(usize),
}

/// One direct call or tail call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Address of the call instruction.
    pub address: u64,
    /// Where it goes.
    pub callee: Callee,
}

/// One function and what it does to the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Name and range.
    pub function: FunctionRef,
    /// Further names of the same start (aliases, versions).
    pub aliases: Vec<String>,
    /// Direct calls and tail calls, in order of address.
    pub calls: Vec<Call>,
    /// Functions whose address it takes: they may be called through a pointer.
    pub references: Vec<u64>,
    /// Addresses of its `syscall` instructions, ascending.
    pub system_calls: Vec<u64>,
    /// Whether it calls through a pointer.
    pub indirect: bool,
}

/// What the integer arguments of a call can be (rdi, rsi, rdx, rcx, r8, r9).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Constants that each can hold there; empty where unknown.
    pub constants: [Vec<u64>; 6],
    /// Which integer argument of the calling function, counted from 0, each is there, where it is one.
    pub passed: [Option<u8>; 6],
}

/// A system call of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCall {
    /// Address of the `syscall` instruction.
    pub address: u64,
    /// What it calls.
    pub number: Number,
    /// Constants that the first three arguments can hold (rdi, rsi, rdx); empty where unknown.
    pub arguments: [Vec<u64>; 3],
}

/// What the registers hold where a function calls something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// For each of [`Function::calls`], what it passes.
    pub calls: Vec<Arguments>,
    /// Each of [`Function::system_calls`].
    pub system_calls: Vec<SystemCall>,
}

/// The functions of one file: what each calls, and on request with which values.
///
/// Values take a constant propagation through the function, several times the work of everything else; of most
/// functions nobody asks for them.
///
/// ```no_run
/// use lupine_kml::scan::Functions;
///
/// let data = std::fs::read("/lib/x86_64-linux-gnu/libc.so.6")?;
/// let file = Functions::read(&data)?;
/// for (index, function) in file.list().iter().enumerate() {
///     for call in file.values(index).system_calls {
///         println!("{:?}: {:?}", function.function.name, call.number);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Functions<'a> {
    code: Code<'a>,
    imports: Vec<String>,
    /// Places that the loader fills with an import's address: indices into `imports`.
    slots: BTreeMap<u64, usize>,
    /// Addresses of this file that relocations put into data.
    filled: BTreeMap<u64, u64>,
    spans: Vec<Span>,
    list: Vec<Function>,
}

impl<'a> Functions<'a> {
    /// Finds every function of the file and its direct callees.
    ///
    /// Calls through pointers are not resolved: [`Function::references`] tells which functions have their address
    /// taken. The trampolines of a rewritten file are read as they are; [`crate::rewrite::original`] gives the file
    /// without them.
    ///
    /// # Errors
    /// As [`super::scan`].
    pub fn read(data: &'a [u8]) -> Result<Self, ElfError> {
        let elf = Elf::parse(data)?;
        let frames = super::frames::Frames::read(&elf);
        let code = Code::decode(&elf, frames.as_ref());
        let names = Names::new(&elf);
        let mut file = Functions {
            spans: code.spans.iter().map(|s| code.with_tail(*s)).collect(),
            code,
            imports: elf.imports.iter().map(|i| super::text(i.name)).collect(),
            slots: elf.imports.iter().map(|i| i.slot).zip(0..).collect(),
            filled: elf.filled.iter().copied().collect(),
            list: Vec::new(),
        };
        let spans = file.code.spans.par_iter().zip(&file.spans);
        file.list = spans
            .map(|(own, body)| file.function(*own, *body, &names))
            .collect();
        Ok(file)
    }

    /// The functions, in order of address.
    #[must_use]
    pub fn list(&self) -> &[Function] {
        &self.list
    }

    /// Names of what the loader finds, one for each place that it fills; some come more than once.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The function that starts at `address`, as an index into the list: the longest where several do.
    #[must_use]
    pub fn starting(&self, address: u64) -> Option<usize> {
        let after = self
            .list
            .partition_point(|one| one.function.start <= address);
        let last = after.checked_sub(1)?;
        (self.list[last].function.start == address).then_some(last)
    }

    /// What a function passes to those that it calls; nothing is known of one that the list does not have, or that
    /// is too long to be followed.
    #[must_use]
    pub fn values(&self, index: usize) -> Values {
        let (Some(function), Some(body)) = (self.list.get(index), self.spans.get(index)) else {
            return Values::default();
        };
        let mut out = Values {
            calls: vec![Arguments::default(); function.calls.len()],
            system_calls: Vec::with_capacity(function.system_calls.len()),
        };
        let mut next = 0;
        values::interpret(&self.code, *body, |one, state| {
            let constants = |i: usize| state.get(ARGUMENTS[i]).constants().to_vec();
            if one.code() == Op::Syscall {
                out.system_calls.push(SystemCall {
                    address: one.ip(),
                    number: number(state),
                    arguments: std::array::from_fn(constants),
                });
            }
            if function.calls.get(next).map(|call| call.address) == Some(one.ip()) {
                out.calls[next] = Arguments {
                    constants: std::array::from_fn(constants),
                    passed: ARGUMENTS.map(|register| match state.get(register) {
                        Value::Argument(own) => Some(own),
                        _ => None,
                    }),
                };
                next += 1;
            }
        });
        out
    }

    fn function(&self, own: Span, body: Span, names: &Names<'_>) -> Function {
        let mut out = Function {
            function: names.function(own),
            aliases: names.aliases(own.start),
            calls: Vec::new(),
            references: Vec::new(),
            system_calls: Vec::new(),
            indirect: false,
        };
        for one in self.code.instructions(body).take(MAX_INSTRUCTIONS) {
            if one.code() == Op::Syscall {
                out.system_calls.push(one.ip());
            } else if let Some(callee) = self.callee(&mut out, body, &one) {
                let address = one.ip();
                out.calls.push(Call { address, callee });
            }
        }
        out.references.sort_unstable();
        out.references.dedup();
        out
    }

    /// Where an instruction goes, if it leaves the function; what else it tells goes into `out`.
    fn callee(&self, out: &mut Function, body: Span, one: &Instruction) -> Option<Callee> {
        match one.flow_control() {
            FlowControl::Call if is_near_branch(one) => {
                Some(self.resolve(one.near_branch_target()))
            }
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                if is_near_branch(one) =>
            {
                let target = one.near_branch_target();
                let inside = (body.start..body.end).contains(&target);
                (!inside).then(|| self.resolve(target))
            }
            FlowControl::IndirectCall | FlowControl::IndirectBranch => {
                let slot = one
                    .is_ip_rel_memory_operand()
                    .then(|| one.memory_displacement64());
                let callee = slot.and_then(|slot| self.in_slot(slot));
                out.indirect |= callee.is_none();
                callee
            }
            _ => {
                if one.code() == Op::Lea_r64_m
                    && one.is_ip_rel_memory_operand()
                    && self.code.contains(one.memory_displacement64())
                {
                    out.references.push(one.memory_displacement64());
                }
                None
            }
        }
    }

    /// What a call through a place in data leads to.
    fn in_slot(&self, slot: u64) -> Option<Callee> {
        if let Some(import) = self.slots.get(&slot) {
            return Some(Callee::Import(*import));
        }
        let target = *self.filled.get(&slot)?;
        self.code.contains(target).then_some(Callee::Local(target))
    }

    /// Looks through a procedure linkage stub.
    fn resolve(&self, target: u64) -> Callee {
        let mut at = target;
        for _ in 0..3 {
            let Some(one) = self.code.instruction(at) else {
                break;
            };
            if one.flow_control() == FlowControl::IndirectBranch {
                if one.is_ip_rel_memory_operand()
                    && let Some(import) = self.slots.get(&one.memory_displacement64())
                {
                    return Callee::Import(*import);
                }
                break;
            }
            if one.code() != Op::Endbr64 {
                break;
            }
            at = one.next_ip();
        }
        Callee::Local(target)
    }
}
