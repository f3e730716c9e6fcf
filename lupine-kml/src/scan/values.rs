//! Constant propagation within one function: what the registers can hold at an instruction.
//!
//! A small abstract interpretation: a register holds one of up to four known constants, an argument of the
//! function as it came in, or anything. Stack slots are not followed.

use std::collections::BTreeMap;

use iced_x86::{
    Code as Op, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

use super::code::{Code, Span, ends_flow, is_near_branch};
use super::functions::MAX_INSTRUCTIONS;

const LIMIT: usize = 4;

/// What a register can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    Any,
    /// The first `len` entries, ascending.
    Known {
        len: u8,
        set: [u64; LIMIT],
    },
    /// The function's own integer argument, counted from 0 (rdi).
    Argument(u8),
}

impl Value {
    fn one(value: u64) -> Self {
        let mut set = [0; LIMIT];
        set[0] = value;
        Value::Known { len: 1, set }
    }

    pub(crate) fn constants(&self) -> &[u64] {
        match self {
            Value::Known { len, set } => &set[..usize::from(*len)],
            _ => &[],
        }
    }

    fn map(self, f: impl Fn(u64) -> u64) -> Self {
        let mut out: Option<Value> = None;
        for value in self.constants() {
            let one = Value::one(f(*value));
            out = Some(out.map_or(one, |o| o.join(one)));
        }
        out.unwrap_or(Value::Any)
    }

    fn join(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let (Value::Known { len, mut set }, Value::Known { .. }) = (self, other) else {
            return Value::Any;
        };
        let mut count = usize::from(len);
        for value in other.constants() {
            if set[..count].contains(value) {
                continue;
            }
            if count == LIMIT {
                return Value::Any;
            }
            set[count] = *value;
            count += 1;
        }
        set[..count].sort_unstable();
        Value::Known {
            len: count as u8,
            set,
        }
    }
}

/// The sixteen general registers, in encoding order (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 ...).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State([Value; 16]);

/// rdi, rsi, rdx, rcx, r8, r9.
pub(crate) const ARGUMENTS: [Register; 6] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
];

impl State {
    fn unknown() -> Self {
        State([Value::Any; 16])
    }

    fn entry() -> Self {
        let mut state = State::unknown();
        for (number, register) in ARGUMENTS.iter().enumerate() {
            state.set(*register, Value::Argument(number as u8));
        }
        state
    }

    pub(crate) fn get(&self, register: Register) -> Value {
        index(register).map_or(Value::Any, |i| self.0[i])
    }

    fn set(&mut self, register: Register, value: Value) {
        if let Some(i) = index(register) {
            self.0[i] = value;
        }
    }

    /// Joins `other` in; whether anything changed.
    fn join(&mut self, other: &State) -> bool {
        let mut changed = false;
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            let joined = mine.join(*theirs);
            changed |= joined != *mine;
            *mine = joined;
        }
        changed
    }

    fn step(&mut self, one: &Instruction, factory: &mut InstructionInfoFactory) {
        if one.flow_control() == FlowControl::Call {
            let clobbered: &[Register] = if one.code() == Op::Syscall {
                &[Register::RAX, Register::RCX, Register::R11]
            } else {
                &[
                    Register::RAX,
                    Register::RCX,
                    Register::RDX,
                    Register::RSI,
                    Register::RDI,
                    Register::R8,
                    Register::R9,
                    Register::R10,
                    Register::R11,
                ]
            };
            for register in clobbered {
                self.set(*register, Value::Any);
            }
            return;
        }
        let result = self.result(one);
        for used in factory.info(one).used_registers() {
            if matches!(
                used.access(),
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            ) {
                self.set(used.register(), Value::Any);
            }
        }
        if let Some((register, value)) = result {
            self.set(register, value);
        }
    }

    /// Register and value of an instruction whose result can be known.
    fn result(&self, one: &Instruction) -> Option<(Register, Value)> {
        if one.op_count() != 2 || one.op0_kind() != OpKind::Register {
            return None;
        }
        let to = one.op0_register();
        index(to)?;
        let (size, same) = (
            to.size(),
            one.op1_kind() == OpKind::Register && one.op1_register() == to,
        );
        let operand = match one.op1_kind() {
            OpKind::Register => self.get(one.op1_register()),
            OpKind::Memory => Value::Any,
            _ => one.try_immediate(1).map_or(Value::Any, Value::one),
        };
        let high_byte = matches!(
            to,
            Register::AH | Register::BH | Register::CH | Register::DH
        );
        let value = match one.mnemonic() {
            Mnemonic::Xor | Mnemonic::Sub if same && size >= 4 => Value::one(0),
            Mnemonic::Mov if size == 8 => operand,
            Mnemonic::Mov if size == 4 => match operand {
                Value::Argument(_) => operand,
                known => known.map(|v| v & 0xffff_ffff),
            },
            Mnemonic::Mov if size == 1 && !high_byte => match operand.constants() {
                [low] => self.get(to).map(|v| v & !0xff | low & 0xff),
                _ => Value::Any,
            },
            Mnemonic::Movsxd if size == 8 => match operand {
                Value::Argument(_) => operand,
                known => known.map(|v| v as u32 as i32 as i64 as u64),
            },
            Mnemonic::Or => match operand.constants() {
                [bits] => self.get(to).map(|v| v | bits),
                _ => Value::Any,
            },
            Mnemonic::Add => match operand.constants() {
                [term] => self.get(to).map(|v| {
                    if size == 4 {
                        v.wrapping_add(*term) & 0xffff_ffff
                    } else {
                        v.wrapping_add(*term)
                    }
                }),
                _ => Value::Any,
            },
            _ if is_cmov(one) && size >= 4 => self.get(to).join(operand),
            _ => return None,
        };
        Some((to, value))
    }
}

fn is_cmov(one: &Instruction) -> bool {
    use Mnemonic::{
        Cmova, Cmovae, Cmovb, Cmovbe, Cmove, Cmovg, Cmovge, Cmovl, Cmovle, Cmovne, Cmovno, Cmovnp,
        Cmovns, Cmovo, Cmovp, Cmovs,
    };
    matches!(
        one.mnemonic(),
        Cmova
            | Cmovae
            | Cmovb
            | Cmovbe
            | Cmove
            | Cmovg
            | Cmovge
            | Cmovl
            | Cmovle
            | Cmovne
            | Cmovno
            | Cmovnp
            | Cmovns
            | Cmovo
            | Cmovp
            | Cmovs
    )
}

/// Encoding number of the 64-bit register around `register`.
fn index(register: Register) -> Option<usize> {
    register.is_gpr().then(|| register.full_register().number())
}

/// Runs the function in `span` to a fixed point, then calls `visit` with each instruction and the state before it.
pub(crate) fn interpret(code: &Code<'_>, span: Span, mut visit: impl FnMut(&Instruction, &State)) {
    let mut factory = InstructionInfoFactory::new();
    let body: Vec<Instruction> = code.instructions(span).take(MAX_INSTRUCTIONS).collect();
    let position: BTreeMap<u64, usize> = body
        .iter()
        .enumerate()
        .map(|(i, one)| (one.ip(), i))
        .collect();
    let mut heads: BTreeMap<usize, State> = BTreeMap::new();
    heads.insert(0, State::entry());
    let branched: Vec<u64> = body
        .iter()
        .filter(|o| is_near_branch(o) && o.flow_control() != FlowControl::Call)
        .map(Instruction::near_branch_target)
        .collect();
    // Reached from elsewhere (jump tables, landing pads, other functions): nothing is known there.
    let mut known = std::collections::BTreeSet::from([span.start]);
    known.extend(&branched);
    let mut after_gap = false;
    for (i, one) in body.iter().enumerate().skip(1) {
        after_gap |= body[i - 1].next_ip() != one.ip() || ends_flow(body[i - 1].flow_control());
        // Padding before an aligned loop is not where anything enters.
        let padding = after_gap && one.mnemonic() == Mnemonic::Nop && !code.is_target(one.ip());
        if !known.contains(&one.ip()) && !padding && (code.is_target(one.ip()) || after_gap) {
            heads.insert(i, State::unknown());
        }
        after_gap &= padding;
    }
    let mut joins: std::collections::BTreeSet<usize> = heads.keys().copied().collect();
    joins.extend(branched.iter().filter_map(|t| position.get(t)));
    let mut work: Vec<usize> = heads.keys().rev().copied().collect();
    let mut budget = body.len().saturating_mul(40).saturating_add(1000);
    while let Some(head) = work.pop() {
        let mut state = heads[&head];
        let mut i = head;
        while let Some(one) = body.get(i) {
            let Some(left) = budget.checked_sub(1) else {
                return;
            };
            budget = left;
            let flow = one.flow_control();
            state.step(one, &mut factory);
            if flow != FlowControl::Call
                && is_near_branch(one)
                && let Some(target) = position.get(&one.near_branch_target())
            {
                enter(&mut heads, &mut work, *target, &state);
            }
            i += 1;
            if ends_flow(flow) || body.get(i).is_none_or(|next| next.ip() != one.next_ip()) {
                break;
            }
            if joins.contains(&i) {
                enter(&mut heads, &mut work, i, &state);
                break;
            }
        }
    }
    let mut state = State::unknown();
    for (i, one) in body.iter().enumerate() {
        if joins.contains(&i) {
            state = heads.get(&i).copied().unwrap_or_else(State::unknown);
        }
        visit(one, &state);
        state.step(one, &mut factory);
    }
}

fn enter(heads: &mut BTreeMap<usize, State>, work: &mut Vec<usize>, head: usize, state: &State) {
    match heads.get_mut(&head) {
        Some(known) => {
            if known.join(state) {
                work.push(head);
            }
        }
        None => {
            heads.insert(head, *state);
            work.push(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn joins_of_constants_stay_small() {
        let mut value = Value::one(1);
        for next in [2, 3, 4] {
            value = value.join(Value::one(next));
        }
        assert_eq!(value.constants(), [1, 2, 3, 4]);
        assert_eq!(value.join(Value::one(9)), Value::Any);
        assert_eq!(Value::Argument(1).join(Value::one(9)), Value::Any);
        assert_eq!(
            Value::one(0xffff_fff0).map(|v| v & 0xff).constants(),
            [0xf0]
        );
    }
}
