//! Which bytes of a file are instructions, and which of them are jumped to.
//!
//! Code is found by decoding: ranges that symbols and unwind tables vouch for are swept from their start; from
//! there, and from the entry point, direct branches are followed. Addresses that are only *taken* (by `lea`, by
//! relocations, by jump tables) are tried first: a trace that runs into something that no compiler emits is
//! dropped, and with it every claim that these bytes are code.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::scan::abi as elf;
use iced_x86::{Code as Op, Decoder, DecoderOptions, FlowControl, Instruction, OpKind, Register};

use super::elf::{Elf, Kind, word};
use super::frames::Frames;
use super::sites::Evidence;

/// Bytes behind a function that are believed to go on with it.
const TAIL: u64 = 256;

/// One bit per byte of a code range.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Bits(vec![0; len.div_ceil(64)])
    }
    fn set(&mut self, at: usize) -> bool {
        let (word, bit) = (&mut self.0[at / 64], 1u64 << (at % 64));
        let was = *word & bit != 0;
        *word |= bit;
        !was
    }
    fn get(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|w| w >> (at % 64) & 1 != 0)
    }
    /// The first set bit at `at` or behind.
    fn next(&self, at: usize) -> Option<usize> {
        let (index, mask) = (at / 64, u64::MAX << (at % 64));
        let first = self.0.get(index)? & mask;
        let rest = || Some((index + 1, *self.0.get(index + 1)?));
        let mut word = if first != 0 { (index, first) } else { rest()? };
        while word.1 == 0 {
            word = (word.0 + 1, *self.0.get(word.0 + 1)?);
        }
        Some(word.0 * 64 + word.1.trailing_zeros() as usize)
    }
}

#[derive(Debug)]
struct Range<'a> {
    start: u64,
    bytes: &'a [u8],
    /// First bytes of instructions.
    starts: Bits,
    /// Addresses that something jumps, calls or points to.
    targets: Bits,
    /// Addresses whose value is taken, not branched to.
    taken: Bits,
}

/// A function as far as the file tells: `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

#[derive(Debug)]
pub(crate) struct Code<'a> {
    ranges: Vec<Range<'a>>,
    /// Every decoded `syscall`, with the evidence that it is code.
    pub(crate) syscalls: BTreeMap<u64, Evidence>,
    /// Indirect jumps through a register or a computed address.
    pub(crate) indirect: BTreeSet<u64>,
    /// Functions by start: unwind entries, symbols, targets of calls.
    pub(crate) spans: Vec<Span>,
    called: BTreeSet<u64>,
    /// Instructions that take the address of code, by address taken.
    referenced: BTreeMap<u64, Vec<u64>>,
    /// Code addresses that relocations or data hold.
    pointed: BTreeSet<u64>,
    data_references: BTreeSet<u64>,
    /// Addresses from where no code follows.
    rejected: HashSet<u64>,
    /// Targets of all jump tables, ascending.
    table_targets: Vec<u64>,
    /// Not all jump tables were read: there were more entries than a file of this length can hold.
    tables_left: bool,
}

enum Trust {
    Sure,
    Try,
}

impl<'a> Code<'a> {
    pub(crate) fn decode(elf: &Elf<'a>, frames: Option<&Frames<'a>>) -> Self {
        let ranges = elf.code_ranges().into_iter().map(|(start, bytes)| Range {
            start,
            bytes,
            starts: Bits::new(bytes.len()),
            targets: Bits::new(bytes.len()),
            taken: Bits::new(bytes.len()),
        });
        let mut code = Code {
            ranges: ranges.collect(),
            syscalls: BTreeMap::new(),
            indirect: BTreeSet::new(),
            spans: Vec::new(),
            called: BTreeSet::new(),
            referenced: BTreeMap::new(),
            pointed: BTreeSet::new(),
            data_references: BTreeSet::new(),
            rejected: HashSet::new(),
            table_targets: Vec::new(),
            tables_left: false,
        };
        code.run(elf, frames);
        code
    }

    /// Bytes from `address` to the end of its range.
    pub(crate) fn bytes(&self, address: u64) -> Option<&'a [u8]> {
        let (range, at) = self.locate(address)?;
        Some(&range.bytes[at..])
    }

    pub(crate) fn contains(&self, address: u64) -> bool {
        self.locate(address).is_some()
    }
    pub(crate) fn is_start(&self, address: u64) -> bool {
        self.locate(address).is_some_and(|(r, at)| r.starts.get(at))
    }
    pub(crate) fn is_target(&self, address: u64) -> bool {
        self.locate(address)
            .is_some_and(|(r, at)| r.targets.get(at))
    }
    pub(crate) fn is_taken(&self, address: u64) -> bool {
        self.locate(address).is_some_and(|(r, at)| r.taken.get(at))
    }

    /// The instruction at `address`.
    pub(crate) fn instruction(&self, address: u64) -> Option<Instruction> {
        let bytes = self.bytes(address)?;
        let one = Decoder::with_ip(
            64,
            &bytes[..bytes.len().min(15)],
            address,
            DecoderOptions::NONE,
        )
        .decode();
        (!one.is_invalid()).then_some(one)
    }

    /// The decoded instruction that ends at `address`, if exactly one does.
    pub(crate) fn previous(&self, address: u64) -> Option<Instruction> {
        let mut found = None;
        for len in 1..=15u64 {
            let Some(start) = address.checked_sub(len) else {
                break;
            };
            if !self.is_start(start) {
                continue;
            }
            if let Some(one) = self.instruction(start) {
                if one.next_ip() == address {
                    if found.is_some() {
                        return None;
                    }
                    found = Some(one);
                } else if one.next_ip() > address {
                    return None;
                }
            }
        }
        found
    }

    /// The instructions that take `address`; `None` if data holds it too.
    pub(crate) fn references(&self, address: u64) -> Option<Vec<Instruction>> {
        if self.pointed.contains(&address) {
            return None;
        }
        let from = self.referenced.get(&address)?;
        let mut from = from.clone();
        from.sort_unstable();
        from.dedup();
        from.into_iter().map(|a| self.instruction(a)).collect()
    }

    /// Whether `address` lies within a decoded instruction, behind its first byte: nothing in data means that.
    fn inside(&self, address: u64) -> bool {
        !self.is_start(address)
            && (1..15).any(|back| {
                let start = address.wrapping_sub(back);
                self.is_start(start)
                    && self
                        .instruction(start)
                        .is_some_and(|one| one.next_ip() > address)
            })
    }

    /// The function that holds `address`.
    pub(crate) fn span(&self, address: u64) -> Option<Span> {
        let after = self.spans.partition_point(|s| s.start <= address);
        self.spans[..after]
            .iter()
            .rev()
            .take(64)
            .find(|s| address < s.end)
            .copied()
    }

    /// The function whose code runs to `address`: [`span`](Self::span), or the one before with its tail.
    pub(crate) fn body(&self, address: u64) -> Option<Span> {
        self.span(address).or_else(|| {
            let after = self.spans.partition_point(|s| s.start <= address);
            let body = self.with_tail(*self.spans[..after].last()?);
            (address < body.end).then_some(body)
        })
    }

    /// A span with what its last instruction goes on into, up to the next one, of some length: unwind entries of C
    /// libraries end before the call that makes a thread, whose caller the child does not have.
    pub(crate) fn with_tail(&self, span: Span) -> Span {
        // No instruction is longer.
        let last = Span {
            start: span.start.max(span.end.saturating_sub(15)),
            end: span.end,
        };
        let goes_on = self
            .instructions(last)
            .last()
            .is_some_and(|last| last.next_ip() == span.end && !ends_flow(last.flow_control()));
        if !goes_on {
            return span;
        }
        let next = self.spans.partition_point(|s| s.start < span.end);
        let next = self.spans[next..].first().map(|next| next.start);
        let range = self.locate(span.end.saturating_sub(1));
        let end = range.map(|(range, _)| range.start + range.bytes.len() as u64);
        Span {
            start: span.start,
            end: next
                .into_iter()
                .chain(end)
                .min()
                .map_or(span.end, |end| end.min(span.end.saturating_add(TAIL))),
        }
    }

    /// Decoded instructions from `start` to `end` or to the end of the code range around `start`, in order.
    pub(crate) fn instructions(&self, span: Span) -> impl Iterator<Item = Instruction> + '_ {
        let mut at = span.start;
        std::iter::from_fn(move || {
            while at < span.end {
                let (range, from) = self.locate(at)?;
                let start = range.start + range.starts.next(from)? as u64;
                if start >= span.end {
                    return None;
                }
                if let Some(one) = self.instruction(start) {
                    at = one.next_ip();
                    return Some(one);
                }
                at = start + 1;
            }
            None
        })
    }

    fn locate(&self, address: u64) -> Option<(&Range<'a>, usize)> {
        let range = &self.ranges[self.index(address)?];
        Some((range, (address - range.start) as usize))
    }

    fn index(&self, address: u64) -> Option<usize> {
        let after = self.ranges.partition_point(|r| r.start <= address);
        let index = after.checked_sub(1)?;
        (address - self.ranges[index].start < self.ranges[index].bytes.len() as u64)
            .then_some(index)
    }

    fn mark_target(&mut self, address: u64, taken: bool) {
        if let Some(index) = self.index(address) {
            let range = &mut self.ranges[index];
            let at = (address - range.start) as usize;
            range.targets.set(at);
            if taken {
                range.taken.set(at);
            }
        }
    }

    fn run(&mut self, elf: &Elf<'a>, frames: Option<&Frames<'a>>) {
        let mut work: Vec<(u64, Evidence, Trust)> = Vec::new();
        let mut spans: Vec<(Span, Evidence)> = Vec::new();
        for frame in frames.iter().flat_map(|f| &f.list) {
            spans.push((
                Span {
                    // Entries of signal frames start one byte early: unwinders look up the address before a return.
                    start: frame.start + u64::from(frame.signal),
                    end: frame.end,
                },
                Evidence::UnwindEntry { start: frame.start },
            ));
        }
        for symbol in &elf.symbols {
            if !symbol.defined || !self.contains(symbol.value) {
                continue;
            }
            self.mark_target(symbol.value, false);
            let evidence = Evidence::Symbol {
                start: symbol.value,
            };
            match symbol.kind {
                elf::STT_FUNC | elf::STT_GNU_IFUNC if symbol.size > 0 => {
                    let end = symbol.value.saturating_add(symbol.size);
                    spans.push((
                        Span {
                            start: symbol.value,
                            end,
                        },
                        evidence,
                    ));
                }
                elf::STT_FUNC | elf::STT_GNU_IFUNC => {
                    work.push((symbol.value, evidence, Trust::Sure));
                }
                elf::STT_NOTYPE => work.push((symbol.value, evidence, Trust::Try)),
                _ => {}
            }
        }
        for pad in frames.iter().flat_map(|f| &f.landing_pads) {
            self.mark_target(*pad, false);
        }
        spans.retain_mut(|(span, _)| self.clamp(span));
        spans.sort_by_key(|(s, _)| (s.start, std::cmp::Reverse(s.end)));
        let mut swept = 0u64;
        for (span, evidence) in &spans {
            self.mark_target(span.start, false);
            if span.end > swept {
                self.sweep(span.start, span.end, swept, *evidence, &mut work);
                swept = span.end;
            }
        }
        for entry in elf.entries() {
            self.mark_target(entry, false);
            work.push((entry, Evidence::Entry, Trust::Sure));
        }
        for pointer in &elf.pointers {
            if self.inside(*pointer) {
                continue;
            }
            self.mark_target(*pointer, true);
            self.pointed.insert(*pointer);
            work.push((*pointer, Evidence::Pointer, Trust::Try));
        }
        if elf.kind == Kind::Executable {
            self.data_words(elf, &mut work);
        }
        self.follow(&mut work);
        let mut seen = BTreeSet::new();
        loop {
            self.jump_tables(elf, &mut seen, &mut work);
            if work.is_empty() {
                break;
            }
            self.follow(&mut work);
        }
        self.spans = self.name_spans(spans.into_iter().map(|s| s.0).collect());
    }

    /// Cuts what reaches beyond its code range; whether anything is left.
    fn clamp(&self, span: &mut Span) -> bool {
        let Some((range, _)) = self.locate(span.start) else {
            return false;
        };
        span.end = span.end.min(range.start + range.bytes.len() as u64);
        span.end > span.start
    }

    fn follow(&mut self, work: &mut Vec<(u64, Evidence, Trust)>) {
        while let Some((address, evidence, trust)) = work.pop() {
            if self.is_start(address) || !self.contains(address) {
                continue;
            }
            if matches!(trust, Trust::Try) {
                if self.rejected.contains(&address) || self.inside(address) {
                    continue;
                }
                if !self.plausible(address) {
                    self.rejected.insert(address);
                    continue;
                }
            }
            self.sweep(address, address, 0, evidence, work);
        }
    }

    /// Decodes from `from`; up to `end` through everything, and beyond it while the flow goes on. Where it falls in
    /// step with an earlier sweep, it goes on behind `swept`, which that sweep reached.
    fn sweep(
        &mut self,
        from: u64,
        end: u64,
        swept: u64,
        evidence: Evidence,
        work: &mut Vec<(u64, Evidence, Trust)>,
    ) {
        let Some(index) = self.index(from) else {
            return;
        };
        let (base, bytes) = (self.ranges[index].start, self.ranges[index].bytes);
        let mut decoder = Decoder::with_ip(64, bytes, base, DecoderOptions::NONE);
        if decoder.set_position((from - base) as usize).is_err() {
            return;
        }
        decoder.set_ip(from);
        let mut one = Instruction::default();
        let traced = end == from;
        while decoder.can_decode() {
            let at = decoder.position();
            if decoder.ip() >= end && !traced {
                break;
            }
            decoder.decode_out(&mut one);
            if one.is_invalid() {
                break;
            }
            if !self.ranges[index].starts.set(at) {
                if traced {
                    break;
                }
                if one.next_ip() < swept {
                    if decoder.set_position((swept - base) as usize).is_err() {
                        break;
                    }
                    decoder.set_ip(swept);
                    continue;
                }
            }
            let flow = one.flow_control();
            self.note(&one, flow, evidence, work);
            if traced && ends_flow(flow) {
                break;
            }
        }
        // Assembly ends its unwind entry where the stack changes (clone): the code goes on.
        if !traced && decoder.ip() == end && !ends_flow(one.flow_control()) && !is_nop(&one) {
            work.push((end, evidence, Trust::Try));
        }
    }

    /// Records what one instruction tells about others.
    fn note(
        &mut self,
        one: &Instruction,
        flow: FlowControl,
        evidence: Evidence,
        work: &mut Vec<(u64, Evidence, Trust)>,
    ) {
        match flow {
            FlowControl::Next => {}
            FlowControl::UnconditionalBranch
            | FlowControl::ConditionalBranch
            | FlowControl::XbeginXabortXend => {
                if is_near_branch(one) {
                    let target = one.near_branch_target();
                    self.mark_target(target, false);
                    work.push((target, Evidence::Branch { from: one.ip() }, Trust::Sure));
                }
                return;
            }
            FlowControl::Call => {
                if one.code() == Op::Syscall {
                    self.syscalls.entry(one.ip()).or_insert(evidence);
                } else if is_near_branch(one) {
                    let target = one.near_branch_target();
                    self.mark_target(target, false);
                    self.called.insert(target);
                    work.push((target, Evidence::Branch { from: one.ip() }, Trust::Sure));
                }
                return;
            }
            FlowControl::IndirectBranch => {
                if !one.is_ip_rel_memory_operand() {
                    self.indirect.insert(one.ip());
                    self.absolute_operand(one);
                }
                return;
            }
            _ => return,
        }
        if one.is_ip_rel_memory_operand() {
            if matches!(one.code(), Op::Lea_r64_m | Op::Lea_r32_m) {
                self.reference(one.memory_displacement64(), one.ip(), work);
            }
        } else if one.op1_kind() == OpKind::Immediate32
            || one.op1_kind() == OpKind::Immediate64
            || one.op1_kind() == OpKind::Immediate32to64
        {
            if matches!(
                one.code(),
                Op::Mov_r32_imm32
                    | Op::Mov_r64_imm64
                    | Op::Mov_rm64_imm32
                    | Op::Mov_rm32_imm32
                    | Op::Cmp_rm64_imm32
            ) {
                self.reference(one.immediate(1), one.ip(), work);
            }
        } else if one.memory_displ_size() >= 4 {
            self.absolute_operand(one);
        }
    }

    fn reference(&mut self, target: u64, from: u64, work: &mut Vec<(u64, Evidence, Trust)>) {
        if self.contains(target) {
            self.mark_target(target, true);
            self.referenced.entry(target).or_default().push(from);
            work.push((target, Evidence::Reference { from }, Trust::Try));
        } else {
            self.data_references.insert(target);
        }
    }

    /// `table(,%reg,8)` of position-dependent code: the displacement is the table.
    fn absolute_operand(&mut self, one: &Instruction) {
        if one.memory_index() != Register::None && one.memory_base() == Register::None {
            self.data_references.insert(one.memory_displacement64());
        }
    }

    /// Whether a trace from a merely taken address looks like code to its end.
    fn plausible(&self, address: u64) -> bool {
        let Some(bytes) = self.bytes(address) else {
            return false;
        };
        let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
        let mut one = Instruction::default();
        for _ in 0..4096 {
            if !decoder.can_decode() {
                return false;
            }
            if self.is_start(decoder.ip()) {
                return true;
            }
            if self.rejected.contains(&decoder.ip()) {
                return false;
            }
            decoder.decode_out(&mut one);
            if one.is_invalid() || unusual(&one) {
                return false;
            }
            if is_near_branch(&one) && !self.contains(one.near_branch_target()) {
                return false;
            }
            if ends_flow(one.flow_control()) {
                return true;
            }
        }
        false
    }

    /// Position-dependent files hold code addresses as plain words in data.
    fn data_words(&mut self, elf: &Elf<'a>, work: &mut Vec<(u64, Evidence, Trust)>) {
        let (Some(low), Some(high)) = (self.ranges.first(), self.ranges.last()) else {
            return;
        };
        let (low, high) = (low.start, high.start + high.bytes.len() as u64);
        for segment in elf.segments.iter().filter(|s| s.is_load() && !s.is_code()) {
            let Some(all) = super::elf::bytes(elf.data, segment.offset, segment.filesz) else {
                continue;
            };
            let skip = (segment.vaddr.wrapping_neg() % 8) as usize;
            for raw in all.get(skip..).unwrap_or(&[]).as_chunks::<8>().0 {
                let value = u64::from_le_bytes(*raw);
                if value >= low && value < high && self.contains(value) && !self.inside(value) {
                    self.mark_target(value, true);
                    self.pointed.insert(value);
                    work.push((value, Evidence::Pointer, Trust::Try));
                }
            }
        }
    }

    /// Reads every referenced piece of constant data as a jump table of 32-bit offsets to itself or of addresses.
    fn jump_tables(
        &mut self,
        elf: &Elf<'a>,
        seen: &mut BTreeSet<u64>,
        work: &mut Vec<(u64, Evidence, Trust)>,
    ) {
        // Tables of compilers do not overlap, so their entries are fewer than the file's words.
        let most = elf.data.len() / 2;
        let fresh: Vec<u64> = self.data_references.difference(seen).copied().collect();
        for table in fresh {
            seen.insert(table);
            if self.table_targets.len() > most {
                self.tables_left = true;
                break;
            }
            let Some(all) = elf.at(table) else { continue };
            let relative = all
                .as_chunks::<4>()
                .0
                .iter()
                .map(|c| table.wrapping_add(i32::from_le_bytes(*c) as i64 as u64));
            let mut targets: Vec<u64> = relative
                .take(4096)
                .take_while(|t| self.contains(*t) && !self.inside(*t))
                .collect();
            if targets.is_empty() && elf.kind == Kind::Executable {
                targets = all
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|c| word(c, 0))
                    .take(4096)
                    .take_while(|t| self.contains(*t) && !self.inside(*t))
                    .collect();
            }
            for target in &targets {
                self.mark_target(*target, false);
                work.push((*target, Evidence::JumpTable { table }, Trust::Try));
            }
            self.table_targets.append(&mut targets);
        }
        self.table_targets.sort_unstable();
    }

    /// Whether all jump tables that lead into `span` are known, and there is one.
    pub(crate) fn has_table(&self, span: Span) -> bool {
        let first = self.table_targets.partition_point(|t| *t < span.start);
        !self.tables_left && self.table_targets.get(first).is_some_and(|t| *t < span.end)
    }

    /// Known spans, plus one per called address outside them that ends where the next one starts.
    fn name_spans(&self, mut known: Vec<Span>) -> Vec<Span> {
        known.sort_by_key(|s| (s.start, s.end));
        known.dedup();
        let mut starts: Vec<u64> = self.called.iter().copied().collect();
        for range in &self.ranges {
            starts.push(range.start);
        }
        starts.retain(|a| {
            let after = known.partition_point(|s| s.start <= *a);
            self.contains(*a) && known[..after].last().is_none_or(|s| *a >= s.end)
        });
        let mut all: Vec<u64> = known
            .iter()
            .flat_map(|s| [s.start, s.end])
            .chain(starts.iter().copied())
            .collect();
        all.extend(self.ranges.iter().map(|r| r.start + r.bytes.len() as u64));
        all.sort_unstable();
        for start in starts {
            let next = all[all.partition_point(|a| *a <= start)..].first().copied();
            if let Some(end) = next {
                known.push(Span { start, end });
            }
        }
        known.sort_by_key(|s| (s.start, s.end));
        known.dedup();
        // Functions overlap a little (parts of assembly with names of their own). Those of a damaged table overlap
        // without end: each then ends where the next starts.
        let total = known.iter().map(|s| s.end - s.start).sum::<u64>();
        let code = self
            .ranges
            .iter()
            .map(|r| r.bytes.len() as u64)
            .sum::<u64>();
        if total > 4 * code {
            for i in 1..known.len() {
                known[i - 1].end = known[i - 1].end.min(known[i].start);
            }
            known.retain(|s| s.end > s.start);
        }
        known
    }
}

/// Whether execution never continues behind an instruction of this kind.
pub(crate) fn ends_flow(flow: FlowControl) -> bool {
    matches!(
        flow,
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Exception
    )
}

/// Whether operand 0 is a direct branch target.
pub(crate) fn is_near_branch(one: &Instruction) -> bool {
    matches!(
        one.op0_kind(),
        OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16
    )
}

/// Instructions that compilers do not emit for user space; data decoded as code is full of them.
fn unusual(one: &Instruction) -> bool {
    one.is_privileged() && one.code() != Op::Hlt
        || one
            .op_kinds()
            .any(|k| k == OpKind::FarBranch32 || k == OpKind::FarBranch16)
        || matches!(
            one.segment_prefix(),
            Register::ES | Register::CS | Register::SS | Register::DS
        ) && one.has_segment_prefix()
            && one.flow_control() == FlowControl::Next
            && !is_nop(one)
        || matches!(
            one.code(),
            Op::Retnw | Op::Retfq | Op::Retfd | Op::Retfw | Op::Retnw_imm16 | Op::Iretq | Op::Iretd
        )
}

/// Padding: `nop` of any length, or `int3`.
pub(crate) fn is_nop(one: &Instruction) -> bool {
    use iced_x86::Mnemonic;
    one.mnemonic() == Mnemonic::Nop || one.code() == Op::Int3
}
