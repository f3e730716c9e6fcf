//! What each function calls: the graph from which reachable system calls follow.

use std::collections::BTreeMap;

use iced_x86::{Code as Op, FlowControl, Instruction};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::code::{Code, Span, is_near_branch};
use super::elf::{Elf, ElfError};
use super::sites::{FunctionRef, Number};
use super::values::{self, ARGUMENTS, State, Value};
use super::{Names, number};

/// Where a call goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callee {
    /// A function of the same file, by address.
    Local(u64),
    /// A function that the dynamic loader finds, by name (through PLT or GOT).
    Import(String),
}

/// One direct call or tail call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Address of the call instruction.
    pub address: u64,
    /// Where it goes.
    pub callee: Callee,
    /// Constants that the six integer arguments can hold there (rdi, rsi, rdx, rcx, r8, r9); empty where unknown.
    pub arguments: [Vec<u64>; 6],
    /// Which integer argument of the calling function, counted from 0, each argument is there, where it is one.
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
    /// Its system calls, in order of address.
    pub system_calls: Vec<SystemCall>,
    /// Whether it calls through a pointer.
    pub indirect: bool,
}

/// Every function of the file with its direct callees and system calls, in order of address.
///
/// A rewritten file is read as its original. Calls through pointers are not resolved: [`Function::references`] tells which functions have their address taken.
///
/// # Errors
/// As [`super::scan`].
pub fn functions(data: &[u8]) -> Result<Vec<Function>, ElfError> {
    if let Ok(original) = crate::rewrite::undo_bytes(data) {
        return functions_as_is(&original);
    }
    functions_as_is(data)
}

fn functions_as_is(data: &[u8]) -> Result<Vec<Function>, ElfError> {
    let elf = Elf::parse(data)?;
    let frames = super::frames::Frames::read(&elf);
    let code = Code::decode(&elf, frames.as_ref());
    let names = Names::new(&elf);
    let stubs = Stubs {
        code: &code,
        imports: elf.imports.iter().map(|i| (i.slot, i.name)).collect(),
        filled: elf.filled.iter().copied().collect(),
    };
    Ok(code
        .spans
        .par_iter()
        .map(|span| stubs.function(*span, &names))
        .collect())
}

struct Stubs<'a> {
    code: &'a Code<'a>,
    imports: BTreeMap<u64, &'a [u8]>,
    /// Addresses of this file that relocations put into data.
    filled: BTreeMap<u64, u64>,
}

impl Stubs<'_> {
    fn function(&self, span: Span, names: &Names<'_>) -> Function {
        let mut out = Function {
            function: names.function(span),
            aliases: names.aliases(span.start),
            calls: Vec::new(),
            references: Vec::new(),
            system_calls: Vec::new(),
            indirect: false,
        };
        let body = self.code.with_tail(span);
        values::interpret(self.code, body, |one, state| {
            self.record(&mut out, body, one, state);
        });
        out.references.sort_unstable();
        out.references.dedup();
        out
    }

    fn record(&self, out: &mut Function, span: Span, one: &Instruction, state: &State) {
        let constants = |i: usize| state.get(ARGUMENTS[i]).constants().to_vec();
        if one.code() == Op::Syscall {
            let arguments = std::array::from_fn(constants);
            out.system_calls.push(SystemCall {
                address: one.ip(),
                number: number(state),
                arguments,
            });
        }
        let callee = match one.flow_control() {
            FlowControl::Call if is_near_branch(one) => self.resolve(one.near_branch_target()),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                if is_near_branch(one) =>
            {
                let target = one.near_branch_target();
                if (span.start..span.end).contains(&target) {
                    return;
                }
                self.resolve(target)
            }
            FlowControl::IndirectCall | FlowControl::IndirectBranch
                if one.is_ip_rel_memory_operand() =>
            {
                let slot = one.memory_displacement64();
                match (self.imports.get(&slot), self.filled.get(&slot)) {
                    (Some(name), _) => Callee::Import(super::text(name)),
                    (None, Some(target)) if self.code.contains(*target) => Callee::Local(*target),
                    _ => {
                        out.indirect = true;
                        return;
                    }
                }
            }
            FlowControl::IndirectCall | FlowControl::IndirectBranch => {
                out.indirect = true;
                return;
            }
            _ => {
                if one.is_ip_rel_memory_operand()
                    && matches!(one.code(), Op::Lea_r64_m)
                    && self.code.contains(one.memory_displacement64())
                {
                    out.references.push(one.memory_displacement64());
                }
                return;
            }
        };
        out.calls.push(Call {
            address: one.ip(),
            callee,
            arguments: std::array::from_fn(constants),
            passed: ARGUMENTS.map(|register| match state.get(register) {
                Value::Argument(own) => Some(own),
                _ => None,
            }),
        });
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
                    && let Some(name) = self.imports.get(&one.memory_displacement64())
                {
                    return Callee::Import(super::text(name));
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
