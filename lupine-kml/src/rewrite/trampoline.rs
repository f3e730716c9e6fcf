//! The code of a trampoline.

use iced_x86::{ConstantOffsets, Decoder, DecoderOptions, Instruction};

use super::plan::{Entry, Job};
use super::{GATE, Gate};
use crate::scan::code::{Code, is_near_branch};

/// `mov %cs,%ecx`
const MOV_CS: [u8; 2] = [0x8c, 0xc9];
/// `cmp $0x10,%cl`: the kernel's code segment (`__KERNEL_CS`), not just any of level 0. Tools that interpret
/// programs, as Valgrind does, show them a selector of 0.
const IS_KERNEL_CS: [u8; 3] = [0x80, 0xf9, 0x10];
/// `notrack jmp *%r11`
const JMP_GATE: [u8; 4] = [0x3e, 0x41, 0xff, 0xe3];

/// One trampoline: bytes, and where each moved instruction went (old address, new address).
#[derive(Debug, Clone)]
pub(crate) struct Trampoline {
    pub(crate) address: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) moved: Vec<(u64, u64)>,
    /// Where the copy of the `syscall` of a moved window stands.
    pub(crate) syscall: Option<u64>,
}

/// A relative operand that does not reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooFar;

/// Encodes the trampoline of `job` at `address`.
pub(crate) fn encode(
    code: &Code<'_>,
    job: &Job,
    gate: Gate,
    address: u64,
) -> Result<Trampoline, TooFar> {
    let mut asm = Asm {
        address,
        out: Vec::with_capacity(64),
    };
    let mut moved = Vec::new();
    for one in &job.moved {
        moved.push((one.ip(), asm.here()));
        if !crate::scan::code::is_nop(one) {
            asm.relocate(code, one)?;
        }
    }
    if matches!(job.entry, Entry::Block) {
        moved.push((job.site, asm.here()));
        asm.relative(&[0xe9], job.site)?;
        return Ok(Trampoline {
            address,
            bytes: asm.out,
            moved,
            syscall: None,
        });
    }
    let window = matches!(job.entry, Entry::Window(_));
    // A moved window brings its own `syscall`, 4 + 7 + 7 (or 6 with a short branch before) bytes further on.
    let tail = 7 + 7 + JMP_GATE.len() as u64;
    let syscall = if window {
        let test = if gate == Gate::Runtime { 5 + 6 } else { 0 };
        Some(asm.here() + test + tail)
    } else {
        None
    };
    moved.push((job.site, asm.here()));
    let native = syscall.unwrap_or(job.site);
    if gate == Gate::Runtime {
        asm.out.extend(MOV_CS);
        asm.out.extend(IS_KERNEL_CS);
        asm.relative(&[0x0f, 0x85], native)?;
    }
    asm.relative(&[0x48, 0x8d, 0x0d], native + 2)?;
    asm.out.extend([0x49, 0xc7, 0xc3]);
    asm.out.extend((GATE as u32).to_le_bytes());
    asm.out.extend(JMP_GATE);
    if window {
        asm.out.extend([0x0f, 0x05]);
        asm.relative(&[0xe9], job.site + 2)?;
    }
    Ok(Trampoline {
        address,
        bytes: asm.out,
        moved,
        syscall,
    })
}

/// `jmp rel32` at `from` to `to`.
pub(crate) fn near_jump(from: u64, to: u64) -> Result<[u8; 5], TooFar> {
    let rel = rel32(from + 5, to)?;
    let [a, b, c, d] = rel.to_le_bytes();
    Ok([0xe9, a, b, c, d])
}

/// Displacement from `next`, the address behind the instruction, to `to`.
pub(crate) fn rel32(next: u64, to: u64) -> Result<i32, TooFar> {
    i32::try_from(to.wrapping_sub(next) as i64).map_err(|_| TooFar)
}

/// Where the relative operand stands within an instruction.
pub(crate) fn operand_offset(bytes: &[u8], one: &Instruction) -> ConstantOffsets {
    let mut decoder = Decoder::with_ip(64, bytes, one.ip(), DecoderOptions::NONE);
    let again = decoder.decode();
    decoder.get_constant_offsets(&again)
}

struct Asm {
    address: u64,
    out: Vec<u8>,
}

impl Asm {
    fn here(&self) -> u64 {
        self.address + self.out.len() as u64
    }

    /// Opcode bytes, then a 32-bit displacement to `to`.
    fn relative(&mut self, opcode: &[u8], to: u64) -> Result<(), TooFar> {
        let rel = rel32(self.here() + opcode.len() as u64 + 4, to)?;
        self.out.extend(opcode);
        self.out.extend(rel.to_le_bytes());
        Ok(())
    }

    /// Copies one instruction byte for byte, but for what depends on its place.
    fn relocate(&mut self, code: &Code<'_>, one: &Instruction) -> Result<(), TooFar> {
        let Some(bytes) = code.bytes(one.ip()).and_then(|b| b.get(..one.len())) else {
            return Err(TooFar);
        };
        if one.is_jcc_short_or_near() {
            let condition = 0x80 | one.condition_code() as u8;
            debug_assert!(is_near_branch(one));
            return self.relative(
                &[0x0f, condition_opcode(bytes).unwrap_or(condition)],
                one.near_branch_target(),
            );
        }
        let start = self.out.len();
        let here = self.here();
        self.out.extend(bytes);
        if one.is_ip_rel_memory_operand() {
            let at = start + operand_offset(bytes, one).displacement_offset();
            let rel = rel32(here + one.len() as u64, one.memory_displacement64())?;
            self.out[at..at + 4].copy_from_slice(&rel.to_le_bytes());
        }
        Ok(())
    }
}

/// Second opcode byte of the near form of a conditional branch.
fn condition_opcode(bytes: &[u8]) -> Option<u8> {
    let skip = bytes
        .iter()
        .take_while(|b| matches!(b, 0x2e | 0x3e | 0x66 | 0xf2 | 0xf3 | 0x40..=0x4f))
        .count();
    match bytes.get(skip..)? {
        [short @ 0x70..=0x7f, ..] => Some(short + 0x10),
        [0x0f, near @ 0x80..=0x8f, ..] => Some(*near),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_keep_their_condition() {
        assert_eq!(condition_opcode(&[0x74, 0x10]), Some(0x84));
        assert_eq!(condition_opcode(&[0x0f, 0x8f, 0, 0, 0, 0]), Some(0x8f));
        assert_eq!(condition_opcode(&[0x2e, 0x75, 0]), Some(0x85));
        assert_eq!(condition_opcode(&[0xe3, 0]), None);
    }

    #[test]
    fn jumps_reach_two_gigabytes() {
        assert_eq!(near_jump(0x1000, 0x1005).unwrap(), [0xe9, 0, 0, 0, 0]);
        assert_eq!(
            near_jump(0x1000, 0xffe).unwrap(),
            [0xe9, 0xf9, 0xff, 0xff, 0xff]
        );
        assert!(near_jump(0x1000, 0x9000_0000).is_err());
    }
}
