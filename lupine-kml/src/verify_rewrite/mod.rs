//! Checks a rewritten file against its original, without the rewriter's knowledge.
//!
//! Another reader of headers (goblin), another way of decoding (a linear sweep), and the trampolines read back from
//! their bytes: each must do what the displaced instructions did, test the privilege level if it does, and go to
//! the gate with the address behind the site. Every byte that differs from the original must be explained by one.

mod file;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use goblin::elf::program_header::{
    PF_W, PF_X, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_GNU_PROPERTY, PT_LOAD, PT_NULL, PT_PHDR,
    ProgramHeader,
};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rewrite::GATE;
use file::{File, number, part};
use sweep::Sweep;

/// Why a rewritten file is not equivalent to its original. Addresses are virtual, offsets are file offsets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// One of the two files cannot be read as ELF.
    #[error("not a readable ELF file: {0}")]
    Elf(String),
    /// The file has no trampolines.
    #[error("there is no section .text.lupine: the file has not been rewritten")]
    NotRewritten,
    /// The original cannot be restored from the note.
    #[error("the section .note.lupine does not restore an original: {0}")]
    Note(&'static str),
    /// A byte changed that no trampoline explains.
    #[error("the byte at offset {offset:#x} changed, and no trampoline explains it")]
    Stray {
        /// Where.
        offset: u64,
    },
    /// A segment of the original is not loaded as it was.
    #[error("the segment at {address:#x} is not loaded as before: {what}")]
    Segment {
        /// Its address.
        address: u64,
        /// What differs.
        what: &'static str,
    },
    /// Bytes that are not a trampoline stand among the trampolines.
    #[error("at {address:#x} there is no well-formed trampoline: {what}")]
    Trampoline {
        /// Where.
        address: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A trampoline does not do what stood in front of its site.
    #[error("the trampoline at {trampoline:#x} does not do what stood in front of {site:#x}")]
    Different {
        /// The trampoline.
        trampoline: u64,
        /// The site.
        site: u64,
    },
    /// Something jumps into bytes that were replaced.
    #[error("{target:#x} is jumped to, but lies within the bytes replaced in front of {site:#x}")]
    Target {
        /// The address that is jumped to.
        target: u64,
        /// The site.
        site: u64,
    },
}

/// What a successful check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Sites that reach a trampoline.
    pub sites: usize,
    /// Bytes of code that changed.
    pub changed: usize,
    /// Trampolines that test the privilege level; the others always use the gate.
    pub tested: usize,
}

/// Checks `rewritten` against `original`, or against the original that its note restores.
///
/// # Errors
/// The first [`Mismatch`] found.
pub fn verify(original: Option<&[u8]>, rewritten: &[u8]) -> Result<Verified, Mismatch> {
    let new = File::parse(rewritten)?;
    let code = new.section(b".text.lupine").ok_or(Mismatch::NotRewritten)?;
    let restored;
    let original = match original {
        Some(bytes) => bytes,
        None => {
            restored = restore(&new)?;
            &restored
        }
    };
    let old = File::parse(original)?;
    if rewritten.len() < original.len() {
        return Err(Mismatch::Note(
            "the rewritten file is shorter than the original",
        ));
    }
    segments(&old, &new)?;
    let trampolines = read_trampolines(&new, code)?;
    let mut check = Check {
        old: &old,
        new: &new,
        sweep: Sweep::run(&old),
        explained: BTreeSet::new(),
        blocks: BTreeSet::new(),
        trampolines: BTreeMap::new(),
        windows: Vec::new(),
    };
    for trampoline in trampolines {
        check.trampolines.insert(trampoline.address, trampoline);
    }
    // Blocks before the sites whose jumps stand in them.
    let mut all: Vec<u64> = check.trampolines.keys().copied().collect();
    all.sort_by_key(|a| !check.trampolines[a].block);
    for address in &all {
        check.entry(*address)?;
    }
    let changed = check.changes()?;
    check.targets()?;
    let sites = check.trampolines.values().filter(|t| !t.block).count();
    let tested = check.trampolines.values().filter(|t| t.tested).count();
    Ok(Verified {
        sites,
        changed,
        tested,
    })
}

/// Reads the note (layout: see the module `rewrite::note`) and puts the original bytes back.
fn restore(new: &File<'_>) -> Result<Vec<u8>, Mismatch> {
    let (_, raw) = new
        .section(b".note.lupine")
        .ok_or(Mismatch::Note("it is missing"))?;
    let short = Mismatch::Note("it is truncated");
    let field = |at: usize, len: usize| {
        raw.get(at..at.saturating_add(len))
            .ok_or_else(|| short.clone())
    };
    if field(12, 8)? != b"lupine\0\0" || number(field(20, 4)?) != 1 {
        return Err(Mismatch::Note("its owner or version is unknown"));
    }
    let len = usize::try_from(number(field(28, 8)?)).unwrap_or(usize::MAX);
    let mut out = new
        .data
        .get(..len)
        .ok_or(Mismatch::Note("the original was longer than this file"))?
        .to_vec();
    let mut patches = Vec::new();
    let mut at = 72;
    for _ in 0..number(field(68, 4)?) {
        let (offset, size) = (
            number(field(at, 8)?) as usize,
            number(field(at + 8, 4)?) as usize,
        );
        patches.push((offset, field(at + 12, size)?));
        at += 12 + size;
    }
    for (offset, bytes) in patches.into_iter().rev() {
        let place = out.get_mut(offset..).and_then(|t| t.get_mut(..bytes.len()));
        place
            .ok_or(Mismatch::Note("it patches beyond the original"))?
            .copy_from_slice(bytes);
    }
    if Sha256::digest(&out).as_slice() == field(36, 32)? {
        Ok(out)
    } else {
        Err(Mismatch::Note("the SHA-256 differs"))
    }
}

/// Every segment of the original must be loaded where it was, with what it held.
fn segments(old: &File<'_>, new: &File<'_>) -> Result<(), Mismatch> {
    let wrong = |p: &ProgramHeader, what| {
        Err(Mismatch::Segment {
            address: p.p_vaddr,
            what,
        })
    };
    for load in old.loads() {
        let Some(now) = new.loads().find(|n| {
            n.p_vaddr <= load.p_vaddr && n.p_vaddr + n.p_memsz >= load.p_vaddr + load.p_memsz
        }) else {
            return wrong(load, "it is missing");
        };
        if now.p_flags & load.p_flags != load.p_flags || (now.p_flags ^ load.p_flags) & PF_W != 0 {
            return wrong(load, "its permissions changed");
        }
        if load.p_flags & PF_X != 0 {
            continue;
        }
        let skip = load.p_vaddr - now.p_vaddr;
        let before = part(old.data, load.p_offset, load.p_filesz);
        let after = now
            .p_filesz
            .checked_sub(skip)
            .and_then(|len| part(new.data, now.p_offset + skip, len));
        let (Some(before), Some(after)) = (before, after) else {
            return wrong(load, "its bytes are not in the file");
        };
        let headers = header_bytes(old);
        let same = after.len() >= before.len()
            && before.iter().zip(after).enumerate().all(|(i, (a, b))| {
                a == b
                    || headers
                        .iter()
                        .any(|h| h.contains(&(load.p_offset + i as u64)))
            });
        if !same {
            return wrong(load, "its content changed");
        }
        let merged = now.p_flags & PF_X != 0;
        if !merged && after[before.len()..].iter().any(|b| *b != 0) {
            return wrong(load, "its zero-filled end is not zero");
        }
    }
    for part in old.programs.iter().filter(|p| {
        !matches!(
            p.p_type,
            PT_LOAD | PT_NULL | PT_GNU_PROPERTY | PT_PHDR | PT_GNU_EH_FRAME
        )
    }) {
        let kept = new.programs.iter().any(|n| {
            (n.p_type, n.p_vaddr, n.p_memsz, n.p_flags)
                == (part.p_type, part.p_vaddr, part.p_memsz, part.p_flags)
        });
        if !kept {
            return wrong(part, "its program header is gone");
        }
        if part.p_type == PT_DYNAMIC
            && old
                .at(part.p_vaddr)
                .map(|b| b.len() as u64 >= part.p_filesz)
                != Some(true)
        {
            return wrong(part, "the dynamic section is not loaded");
        }
    }
    let mut sorted: Vec<&ProgramHeader> = new.loads().collect();
    sorted.sort_by_key(|p| p.p_vaddr);
    for pair in sorted.windows(2) {
        if pair[0].p_vaddr + pair[0].p_memsz > pair[1].p_vaddr {
            return wrong(pair[1], "it overlaps another");
        }
    }
    if sorted
        .iter()
        .any(|p| p.p_flags & PF_X != 0 && p.p_flags & PF_W != 0)
    {
        return wrong(sorted[0], "code became writable");
    }
    Ok(())
}

/// File ranges of the ELF header's table fields and of the program header table.
fn header_bytes(old: &File<'_>) -> [std::ops::Range<u64>; 3] {
    let table = old.header.e_phoff;
    [
        32..48,
        56..64,
        table..table + u64::from(old.header.e_phnum) * 56,
    ]
}

struct Trampoline {
    address: u64,
    moved: Vec<Instruction>,
    site: u64,
    tested: bool,
    /// Address of its own copy of the `syscall`, if the site moved along.
    own: Option<u64>,
    /// No trampoline of a site: instructions that made room; `site` is where they continue.
    block: bool,
}

fn read_trampolines(new: &File<'_>, code: (u64, &[u8])) -> Result<Vec<Trampoline>, Mismatch> {
    let (base, bytes) = code;
    let mut decoder = Decoder::with_ip(64, bytes, base, DecoderOptions::NONE);
    let mut out = Vec::new();
    while decoder.can_decode() {
        let start = decoder.ip();
        if bytes[(start - base) as usize] == 0xcc {
            let _ = decoder.decode();
            continue;
        }
        let bad = |what| Mismatch::Trampoline {
            address: start,
            what,
        };
        if !start.is_multiple_of(16) {
            return Err(bad("it is not aligned"));
        }
        let mut all: Vec<Instruction> = Vec::new();
        loop {
            let one = decoder.decode();
            if one.is_invalid() || all.len() > 128 {
                return Err(bad("it does not end in a jump to the gate"));
            }
            all.push(one);
            if one.mnemonic() == Mnemonic::Jmp {
                break;
            }
        }
        if let [moved @ .., back] = all.as_slice()
            && back.code() == Code::Jmp_rel32_64
        {
            if new.at(back.near_branch_target()).is_none() {
                return Err(bad("it continues nowhere"));
            }
            out.push(Trampoline {
                address: start,
                moved: moved.to_vec(),
                site: back.near_branch_target(),
                tested: false,
                own: None,
                block: true,
            });
            continue;
        }
        let [moved @ .., lea, load, jump] = all.as_slice() else {
            return Err(bad("it is too short"));
        };
        let gate = jump.op0_register() == Register::R11
            && load.code() == Code::Mov_rm64_imm32
            && load.op0_register() == Register::R11
            && load.immediate(1) == GATE;
        if !gate {
            return Err(bad("it does not jump to the gate"));
        }
        if lea.code() != Code::Lea_r64_m
            || lea.op0_register() != Register::RCX
            || !lea.is_ip_rel_memory_operand()
        {
            return Err(bad("it does not load the return address"));
        }
        let native = lea.memory_displacement64().wrapping_sub(2);
        let (moved, tested) = match moved {
            [moved @ .., cs, test, branch]
                if cs.code() == Code::Mov_r32m16_Sreg && cs.op1_register() == Register::CS =>
            {
                // The kernel's segment; files of older versions ask for any of level 0.
                let asks = match test.code() {
                    Code::Cmp_rm8_imm8 => test.immediate(1) == 0x10,
                    Code::Test_rm8_imm8 => test.immediate(1) == 3,
                    _ => false,
                };
                let right = cs.op0_register() == Register::ECX
                    && asks
                    && test.op0_register() == Register::CL
                    && branch.code() == Code::Jne_rel32_64
                    && branch.near_branch_target() == native;
                if !right {
                    return Err(bad("its test of the privilege level is not the known one"));
                }
                (moved, true)
            }
            other => (other, false),
        };
        let mut site = native;
        let mut own = None;
        if native >= base && native < base + bytes.len() as u64 {
            let (call, back) = (decoder.decode(), decoder.decode());
            if call.ip() != native
                || call.code() != Code::Syscall
                || back.code() != Code::Jmp_rel32_64
            {
                return Err(bad("its own syscall is not where it returns to"));
            }
            site = back.near_branch_target().wrapping_sub(2);
            own = Some(native);
        }
        if new.at(site).is_none_or(|b| !b.starts_with(&[0x0f, 0x05])) {
            return Err(bad("it does not return behind a syscall"));
        }
        out.push(Trampoline {
            address: start,
            moved: moved.to_vec(),
            site,
            tested,
            own,
            block: false,
        });
    }
    Ok(out)
}

struct Check<'a> {
    old: &'a File<'a>,
    new: &'a File<'a>,
    sweep: Sweep,
    /// File offsets of code bytes that may differ.
    explained: BTreeSet<usize>,
    trampolines: BTreeMap<u64, Trampoline>,
    /// Room that blocks made: five bytes from here.
    blocks: BTreeSet<u64>,
    /// Replaced bytes: first, site.
    windows: Vec<(u64, u64)>,
}

impl Check<'_> {
    /// Finds how the site of one trampoline leads to it, and compares what moved.
    fn entry(&mut self, address: u64) -> Result<(), Mismatch> {
        let trampoline = &self.trampolines[&address];
        let site = trampoline.site;
        let different = Mismatch::Different {
            trampoline: address,
            site,
        };
        let Some(start) = self.start(trampoline) else {
            // Nothing moved: branches to the site lead here (checked with the changes).
            return if trampoline.moved.is_empty() && trampoline.own.is_none() {
                Ok(())
            } else {
                Err(different)
            };
        };
        let jump = self.new.decode(start).ok_or_else(|| different.clone())?;
        let pad = jump.near_branch_target();
        let mut jump_end = jump.next_ip();
        if trampoline.block {
            // The jump of another site, checked with that site, takes the next five bytes.
            jump_end += 5;
            self.blocks.insert(start + 5);
            if pad != address || jump_end > site || jump.len() != 5 {
                return Err(different);
            }
            self.explain(start, start + 5);
            self.explain(jump_end, site);
        } else {
            self.explain(start, site);
        }
        let rest = self
            .new
            .at(jump_end)
            .and_then(|b| b.get(..site.checked_sub(jump_end)? as usize));
        if rest.is_none_or(|r| r.iter().any(|b| *b != 0xcc)) {
            return Err(different);
        }
        if pad != address && !self.pad(pad, address) {
            return Err(different);
        }
        self.windows.push((start, site));
        Ok(())
    }

    /// The first replaced byte: the original from there to the site is what the trampoline does.
    fn start(&self, trampoline: &Trampoline) -> Option<u64> {
        let site = trampoline.site;
        (2..=256)
            .filter_map(|back| site.checked_sub(back))
            .find(|start| {
                let leads = self.new.decode(*start).is_some_and(|one| {
                    let to = one.near_branch_target();
                    match one.code() {
                        Code::Jmp_rel32_64 => to == trampoline.address,
                        // Not the bytes of the long jump itself, read from within.
                        Code::Jmp_rel8_64 if to.saturating_add(5) <= *start || to >= site => {
                            self.new.decode(to).is_some_and(|p| {
                                p.code() == Code::Jmp_rel32_64
                                    && p.near_branch_target() == trampoline.address
                            })
                        }
                        _ => false,
                    }
                });
                leads && self.equivalent(*start, trampoline)
            })
    }

    fn equivalent(&self, start: u64, trampoline: &Trampoline) -> bool {
        let mut moved = trampoline.moved.iter();
        let mut at = start;
        while at < trampoline.site {
            let Some(one) = self.old.decode(at) else {
                return false;
            };
            at = one.next_ip();
            if one.mnemonic() == Mnemonic::Nop {
                continue;
            }
            let Some(copy) = moved.next() else {
                return false;
            };
            let same = if one.is_jcc_short_or_near() {
                copy.is_jcc_short_or_near()
                    && copy.condition_code() == one.condition_code()
                    && copy.near_branch_target() == one.near_branch_target()
            } else {
                one.op0_kind() != OpKind::NearBranch64 && copy == &one
            };
            if !same {
                return false;
            }
        }
        at == trampoline.site && moved.next().is_none()
    }

    /// Whether a `jmp rel32` to `trampoline` stands at `pad`, in what was padding.
    fn pad(&mut self, pad: u64, trampoline: u64) -> bool {
        let jump = self.new.decode(pad);
        if jump
            .is_none_or(|j| j.code() != Code::Jmp_rel32_64 || j.near_branch_target() != trampoline)
        {
            return false;
        }
        if self.blocks.contains(&pad) {
            self.explain(pad, pad + 5);
            return true;
        }
        // Padding that is run through has a short jump over its rest in front.
        let before = self
            .new
            .decode(pad.wrapping_sub(2))
            .filter(|b| b.code() == Code::Jmp_rel8_64 && b.near_branch_target() >= pad + 5);
        let (start, end) = match before {
            Some(skip) if self.padding(pad.wrapping_sub(2), skip.near_branch_target()) => {
                (pad.wrapping_sub(2), skip.near_branch_target())
            }
            _ => (pad, pad + 5),
        };
        if start == pad && !self.dead(pad) || self.sweep.targets_in(start + 1, pad + 5).is_some() {
            return false;
        }
        self.explain(start, end.min(pad + 5));
        true
    }

    /// Whether the original is nothing but `nop` from `start` to exactly `end`.
    fn padding(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.old.decode(at) {
                Some(one) if one.mnemonic() == Mnemonic::Nop => at = one.next_ip(),
                _ => return false,
            }
        }
        at == end
    }

    /// Whether five bytes of the original at `pad` are padding that nothing runs into.
    fn dead(&self, pad: u64) -> bool {
        let Some(first) = (0..64).filter_map(|b| pad.checked_sub(b)).find(|a| {
            self.sweep.is_start(*a)
                && self
                    .old
                    .decode(*a)
                    .is_some_and(|o| !matches!(o.mnemonic(), Mnemonic::Nop | Mnemonic::Int3))
        }) else {
            return false;
        };
        let Some(last) = self.old.decode(first) else {
            return false;
        };
        let ends = matches!(
            last.mnemonic(),
            Mnemonic::Jmp | Mnemonic::Ret | Mnemonic::Ud2
        );
        let mut at = last.next_ip();
        while at < pad + 5 {
            match self.old.decode(at) {
                Some(one) if matches!(one.mnemonic(), Mnemonic::Nop | Mnemonic::Int3) => {
                    at = one.next_ip();
                }
                _ => return false,
            }
        }
        ends && last.next_ip() <= pad
    }

    fn explain(&mut self, start: u64, end: u64) {
        if let Some(offset) = self.old.offset(start) {
            self.explained
                .extend(offset..offset + (end - start) as usize);
        }
    }

    /// Every changed byte is a header's, lies in replaced bytes, or belongs to a branch or `lea` that follows its target.
    fn changes(&mut self) -> Result<usize, Mismatch> {
        let headers = header_bytes(self.old);
        let (old, new) = (self.old.data, self.new.data);
        let mut changed = Vec::new();
        // Most of the file is the same: compare in blocks.
        for (block, (a, b)) in old.chunks(4096).zip(new.chunks(4096)).enumerate() {
            if b.starts_with(a) {
                continue;
            }
            let differing = a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b);
            changed.extend(differing.map(|(i, _)| block * 4096 + i));
        }
        changed.retain(|offset| !headers.iter().any(|h| h.contains(&(*offset as u64))));
        // A branch explains the padding that carries its jump, which may stand before it.
        for offset in &changed {
            if !self.explained.contains(offset) {
                self.follows(*offset);
            }
        }
        match changed
            .iter()
            .find(|offset| !self.explained.contains(offset))
        {
            Some(offset) => Err(Mismatch::Stray {
                offset: *offset as u64,
            }),
            None => Ok(changed.len()),
        }
    }

    /// Explains a changed byte if it belongs to an instruction that now names a trampoline instead of what moved there.
    fn follows(&mut self, offset: usize) -> Option<()> {
        let inside = |p: &&ProgramHeader| {
            p.p_flags & PF_X != 0
                && (p.p_offset..p.p_offset + p.p_filesz).contains(&(offset as u64))
        };
        let address = self
            .old
            .loads()
            .find(inside)
            .map(|p| p.p_vaddr + (offset as u64 - p.p_offset))?;
        let start = (0..15)
            .filter_map(|b| address.checked_sub(b))
            .find(|a| self.sweep.is_start(*a))?;
        let (old, new) = (self.old.decode(start)?, self.new.decode(start)?);
        if old.code() != new.code() || old.len() != new.len() || address >= old.next_ip() {
            return None;
        }
        if old.op0_kind() == OpKind::NearBranch64 {
            let to = new.near_branch_target();
            let direct = self.trampolines.get(&to).map(|t| t.address);
            let through = || {
                self.new
                    .decode(to)
                    .filter(|p| p.code() == Code::Jmp_rel32_64)
                    .map(|p| p.near_branch_target())
            };
            let trampoline = self.trampolines.get(&direct.or_else(through)?)?;
            let address = trampoline.address;
            if trampoline.site != old.near_branch_target()
                || !trampoline.moved.is_empty()
                || to != address && !self.pad(to, address)
            {
                return None;
            }
        } else if old.code() == Code::Lea_r64_m
            && old.is_ip_rel_memory_operand()
            && old.op0_register() == new.op0_register()
        {
            let (from, to) = (old.memory_displacement64(), new.memory_displacement64());
            let begins = self
                .trampolines
                .get(&to)
                .is_some_and(|t| t.own.is_some() && self.windows.contains(&(from, t.site)));
            let ends = || {
                let before = self.trampolines.range(..to).next_back();
                before.is_some_and(|(_, t)| t.own == Some(to.wrapping_sub(2)) && t.site + 2 == from)
            };
            if !begins && !ends() {
                return None;
            }
        } else {
            return None;
        }
        self.explain(start, old.next_ip());
        Some(())
    }

    /// Nothing known jumps between the replaced bytes.
    fn targets(&self) -> Result<(), Mismatch> {
        let mut named: Vec<u64> = self.old.symbols.clone();
        named.push(self.old.entry);
        named.sort_unstable();
        for (start, site) in &self.windows {
            let first = named.partition_point(|t| *t <= *start);
            let symbol = named.get(first).copied().filter(|t| t < site);
            if let Some(target) = self.sweep.targets_in(start + 1, *site).or(symbol) {
                return Err(Mismatch::Target {
                    target,
                    site: *site,
                });
            }
        }
        Ok(())
    }
}
