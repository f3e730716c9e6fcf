//! Unwind entries for trampolines, so that a signal that interrupts one can still be unwound through.
//!
//! A trampoline runs in the frame of its function: it gets a copy of the rules that hold at the site. The search
//! table is written anew with the old entries and these; `PT_GNU_EH_FRAME` then names the new table.

use crate::scan::abi as elf;
use gimli::read::{CallFrameInstruction as Old, UnwindSection};
use gimli::write::{
    Address, CallFrameInstruction as New, CommonInformationEntry, EhFrame, EndianVec, Expression,
    FrameDescriptionEntry, FrameTable,
};
use gimli::{EndianSlice, LittleEndian};

use super::layout::{Content, Layout};
use super::plan::Job;
use super::trampoline::Trampoline;
use crate::scan::elf::Elf;
use crate::scan::frames::{Frame, Frames};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Appends entries for the trampolines and a new search table to `content`; nothing where the file has no table
/// or its entries cannot be read.
pub(crate) fn append(
    elf: &Elf<'_>,
    frames: &Frames<'_>,
    placed: &[(Job, Trampoline)],
    layout: &Layout,
    content: &mut Content,
) {
    if !elf.has_segment(elf::PT_GNU_EH_FRAME) {
        return;
    }
    let start = content.bytes.len().next_multiple_of(8);
    let base = layout.content + start as u64;
    let Some((section, added)) = entries(frames, placed, base) else {
        return;
    };
    if added.is_empty() {
        return;
    }
    let header_at = (start + section.len()).next_multiple_of(4);
    let Some(header) = search_table(frames, &added, base, layout.content + header_at as u64) else {
        return;
    };
    content.bytes.resize(start, 0);
    content.bytes.extend(&section);
    content.bytes.resize(header_at, 0);
    content.bytes.extend(&header);
    content.frames = Some((start as u64, section.len() as u64));
    content.frame_header = Some((header_at as u64, header.len() as u64));
}

/// The bytes of a section, and for each entry the covered address and the entry's offset.
type Section = (Vec<u8>, Vec<(u64, u64)>);

/// The new section for `base`, and for each entry the covered address and the entry's offset.
fn entries(frames: &Frames<'_>, placed: &[(Job, Trampoline)], base: u64) -> Option<Section> {
    let mut table = FrameTable::default();
    for (job, trampoline) in placed {
        let Some(frame) = frames.find(job.site) else {
            if job.signal {
                let id = table.add_cie(signal_frame());
                // One byte early: unwinders look up the address before a return.
                for (start, end) in [
                    (job.start - 1, job.site + 2),
                    (
                        trampoline.address,
                        trampoline.address + trampoline.bytes.len() as u64,
                    ),
                ] {
                    let length = u32::try_from(end - start).ok()?;
                    table.add_fde(
                        id,
                        FrameDescriptionEntry::new(
                            Address::Constant(start.wrapping_sub(base)),
                            length,
                        ),
                    );
                }
            }
            continue;
        };
        let Some((cie, fde)) = copy(frames, frame, job, trampoline, base) else {
            continue;
        };
        let id = table.add_cie(cie);
        table.add_fde(id, fde);
    }
    let mut out = EhFrame(EndianVec::new(LittleEndian));
    table.write_eh_frame(&mut out).ok()?;
    let mut section = out.0.into_vec();
    section.extend([0; 4]);
    let read = gimli::read::EhFrame::new(&section, LittleEndian);
    let bases = gimli::BaseAddresses::default().set_eh_frame(base);
    let mut added = Vec::new();
    let mut all = read.entries(&bases);
    while let Some(entry) = all.next().ok()? {
        if let gimli::CieOrFde::Fde(partial) = entry {
            let fde = partial.parse(UnwindSection::cie_from_offset).ok()?;
            added.push((fde.initial_address(), fde.offset() as u64));
        }
    }
    Some((section, added))
}

/// The rules of a signal frame: rsp points to the `ucontext` of the kernel's x86-64 ABI, which holds all registers.
fn signal_frame() -> CommonInformationEntry {
    // DWARF register and offset within `ucontext`, for r8 .. r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
    const SAVED: [(u16, u8); 17] = [
        (8, 40),
        (9, 48),
        (10, 56),
        (11, 64),
        (12, 72),
        (13, 80),
        (14, 88),
        (15, 96),
        (5, 104),
        (4, 112),
        (6, 120),
        (3, 128),
        (1, 136),
        (0, 144),
        (2, 152),
        (7, 160),
        (16, 168),
    ];
    // DW_OP_breg7 (rsp) with a two-byte SLEB128 offset.
    let at = |offset: u8| vec![0x77, 0x80 | offset & 0x7f, offset >> 7];
    let encoding = gimli::Encoding {
        format: gimli::Format::Dwarf32,
        version: 1,
        address_size: 8,
    };
    let mut cie = CommonInformationEntry::new(encoding, 1, -8, gimli::Register(16));
    cie.fde_address_encoding = gimli::DwEhPe(gimli::DW_EH_PE_pcrel.0 | gimli::DW_EH_PE_sdata4.0);
    cie.signal_trampoline = true;
    let mut stack = at(160);
    stack.push(gimli::DW_OP_deref.0);
    cie.add_instruction(New::CfaExpression(Expression::raw(stack)));
    for (register, offset) in SAVED {
        cie.add_instruction(New::Expression(
            gimli::Register(register),
            Expression::raw(at(offset)),
        ));
    }
    cie
}

/// The rules that hold at the site, for the range of the trampoline. Personality and call sites are left out: no
/// call stands in a trampoline.
fn copy(
    frames: &Frames<'_>,
    frame: &Frame,
    job: &Job,
    trampoline: &Trampoline,
    base: u64,
) -> Option<(CommonInformationEntry, FrameDescriptionEntry)> {
    let fde = frames
        .section
        .fde_from_offset(&frames.bases, frame.offset.into(), |s, b, o| {
            s.cie_from_offset(b, o)
        })
        .ok()?;
    let old = fde.cie();
    let factor = old.data_alignment_factor();
    let encoding = gimli::Encoding {
        format: gimli::Format::Dwarf32,
        version: 1,
        address_size: 8,
    };
    let mut cie = CommonInformationEntry::new(
        encoding,
        1,
        i8::try_from(factor).ok()?,
        old.return_address_register(),
    );
    cie.fde_address_encoding = gimli::DwEhPe(gimli::DW_EH_PE_pcrel.0 | gimli::DW_EH_PE_sdata4.0);
    cie.signal_trampoline = old.is_signal_trampoline();
    let mut initial = old.instructions(&frames.section, &frames.bases);
    while let Some(one) = initial.next().ok()? {
        if let Some(new) = convert(one, factor, &frames.section)? {
            cie.add_instruction(new);
        }
    }
    let length = u32::try_from(trampoline.bytes.len()).ok()?;
    let mut out = FrameDescriptionEntry::new(
        Address::Constant(trampoline.address.wrapping_sub(base)),
        length,
    );
    let mut location = frame.start;
    let mut offset = 0u32;
    let mut rules = fde.instructions(&frames.section, &frames.bases);
    while let Some(one) = rules.next().ok()? {
        match one {
            Old::AdvanceLoc { delta } => {
                location = location
                    .wrapping_add(u64::from(delta).wrapping_mul(old.code_alignment_factor()));
            }
            Old::SetLoc { address } => location = address,
            _ => {}
        }
        if location > job.site {
            break;
        }
        if location > job.start {
            let (_, moved) = trampoline.moved.iter().find(|m| m.0 >= location)?;
            offset = u32::try_from(moved - trampoline.address).ok()?;
        }
        if let Some(new) = convert(one, factor, &frames.section)? {
            out.add_instruction(offset, new);
        }
    }
    Some((cie, out))
}

/// One rule in the writer's terms; `Some(None)` for what has no effect on rules, `None` for what cannot be copied.
fn convert(
    one: Old<usize>,
    factor: i64,
    section: &gimli::read::EhFrame<Slice<'_>>,
) -> Option<Option<New>> {
    let scaled = |factored: i64| i32::try_from(factored.checked_mul(factor)?).ok();
    let raw = |e: gimli::UnwindExpression<usize>| {
        Some(Expression::raw(e.get(section).ok()?.0.slice().to_vec()))
    };
    Some(Some(match one {
        Old::DefCfa { register, offset } => New::Cfa(register, i32::try_from(offset).ok()?),
        Old::DefCfaSf {
            register,
            factored_offset,
        } => New::Cfa(register, scaled(factored_offset)?),
        Old::DefCfaRegister { register } => New::CfaRegister(register),
        Old::DefCfaOffset { offset } => New::CfaOffset(i32::try_from(offset).ok()?),
        Old::DefCfaOffsetSf { factored_offset } => New::CfaOffset(scaled(factored_offset)?),
        Old::DefCfaExpression { expression } => New::CfaExpression(raw(expression)?),
        Old::Undefined { register } => New::Undefined(register),
        Old::SameValue { register } => New::SameValue(register),
        Old::Offset {
            register,
            factored_offset,
        } => New::Offset(register, scaled(i64::try_from(factored_offset).ok()?)?),
        Old::OffsetExtendedSf {
            register,
            factored_offset,
        } => New::Offset(register, scaled(factored_offset)?),
        Old::ValOffset {
            register,
            factored_offset,
        } => New::ValOffset(register, scaled(i64::try_from(factored_offset).ok()?)?),
        Old::ValOffsetSf {
            register,
            factored_offset,
        } => New::ValOffset(register, scaled(factored_offset)?),
        Old::Register {
            dest_register,
            src_register,
        } => New::Register(dest_register, src_register),
        Old::Expression {
            register,
            expression,
        } => New::Expression(register, raw(expression)?),
        Old::ValExpression {
            register,
            expression,
        } => New::ValExpression(register, raw(expression)?),
        Old::Restore { register } => New::Restore(register),
        Old::RememberState => New::RememberState,
        Old::RestoreState => New::RestoreState,
        Old::ArgsSize { size } => New::ArgsSize(u32::try_from(size).ok()?),
        Old::AdvanceLoc { .. } | Old::SetLoc { .. } | Old::Nop => return Some(None),
        _ => return None,
    }))
}

/// `.eh_frame_hdr` at `here`: all entries of the file and the added ones, sorted by address.
fn search_table(
    frames: &Frames<'_>,
    added: &[(u64, u64)],
    base: u64,
    here: u64,
) -> Option<Vec<u8>> {
    let mut rows: Vec<(u64, u64)> = frames
        .list
        .iter()
        .map(|f| (f.start, frames.address + f.offset as u64))
        .collect();
    rows.extend(
        added
            .iter()
            .map(|(address, offset)| (*address, base + offset)),
    );
    rows.sort_unstable();
    rows.dedup_by_key(|r| r.0);
    let relative = |to: u64, from: u64| {
        i32::try_from(to.wrapping_sub(from) as i64)
            .ok()
            .map(i32::to_le_bytes)
    };
    // Version 1; pointer to .eh_frame pc-relative, count udata4, rows relative to this table.
    let mut out = vec![1, 0x1b, 0x03, 0x3b];
    out.extend(relative(frames.address, here + 4)?);
    out.extend(u32::try_from(rows.len()).ok()?.to_le_bytes());
    for (address, entry) in rows {
        out.extend(relative(address, here)?);
        out.extend(relative(entry, here)?);
    }
    Some(out)
}
