//! Decides for each site how it reaches its trampoline, or why it stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Code as Op, FlowControl, Instruction, Register, RflagsBits};
use serde::{Deserialize, Serialize};

use super::pads::{Pad, Pads};
use crate::scan::abi as elf;
use crate::scan::code::{Code, Span, ends_flow, is_near_branch, is_nop};
use crate::scan::elf::Elf;
use crate::scan::frames::Frames;

/// Length of `jmp rel32`.
pub(crate) const NEAR: u64 = 5;
/// Length of `jmp rel8`.
pub(crate) const SHORT: u64 = 2;

/// How a site is rewritten. Addresses are virtual addresses of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
#[non_exhaustive]
pub enum Plan {
    /// Instructions of at least five bytes in front of the site move; a `jmp rel32` takes their place.
    Displaced {
        /// Address of the first instruction that moves.
        start: u64,
        /// How many instructions move.
        instructions: usize,
    },
    /// Two to four bytes move; a `jmp rel8` takes their place and reaches a `jmp rel32` in padding nearby, or in the
    /// place of neighbouring instructions that move as well.
    ShortJump {
        /// Address of the first instruction that moves.
        start: u64,
        /// How many instructions move.
        instructions: usize,
        /// Address of the `jmp rel32` in the padding.
        pad: u64,
    },
    /// Nothing stands in front that can move, but branches lead to the site: they go to the trampoline.
    Retargeted {
        /// Addresses of the branches.
        branches: Vec<u64>,
    },
    /// The site and the range around it that a signal handler compares with the interrupted address move as one;
    /// the handler's references follow.
    Window {
        /// First address of the range.
        begin: u64,
        /// Addresses of the `lea` instructions that name its two ends.
        references: Vec<u64>,
    },
    /// The site stays as it is.
    Native {
        /// Why.
        reason: Reason,
    },
}

/// Why a site stays native. The `syscall` instruction keeps working in CPL 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
#[non_exhaustive]
pub enum Reason {
    /// Fewer bytes than a jump needs can move, and no padding is in reach.
    NoRoom {
        /// How many bytes in front of the site could move.
        bytes: u64,
    },
    /// Something jumps between the bytes that would have to move, and no padding is in reach.
    TargetInside {
        /// The address that is jumped to.
        address: u64,
    },
    /// Two ways of decoding disagree about the bytes in front of the site.
    Overlap {
        /// Where the second instruction starts.
        address: u64,
    },
    /// The flags that the call would lose are read behind it.
    FlagsLive,
    /// The function jumps through a table that was not found: its targets are unknown.
    UnknownTargets {
        /// Address of the jump.
        jump: u64,
    },
    /// Unwinders know a signal frame by these very bytes, and the file has no unwind table that could say it otherwise.
    SignalReturn,
    /// A handler compares the interrupted address with the range that ends behind the site, and that range cannot move.
    CancellationWindow,
    /// The new segment would be more than 2 GiB away.
    OutOfReach,
    /// The site belongs to code that was rewritten before.
    Foreign,
}

/// What the trampoline of one site needs.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The site, or the end of a block.
    pub(crate) site: u64,
    /// First address that moves (the site itself when nothing does).
    pub(crate) start: u64,
    pub(crate) moved: Vec<Instruction>,
    pub(crate) entry: Entry,
    /// The return from a signal handler, which no unwind entry covers.
    pub(crate) signal: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Near,
    Short(Pad),
    /// Direct branches to the site, each with the padding that carries its jump when it is short.
    Branches(Vec<(Instruction, Option<Pad>)>),
    /// The range from `start` moves with the site; these `lea` follow: instruction, and whether it names the end.
    Window(Vec<(Instruction, bool)>),
    /// No site at all: instructions that make room, with the jump of another site behind the first five bytes.
    Block,
}

#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub(crate) plans: BTreeMap<u64, Plan>,
    pub(crate) jobs: Vec<Job>,
}

/// Plans every site of the file.
pub(crate) fn plan(elf: &Elf<'_>, code: &Code<'_>, frames: Option<&Frames<'_>>) -> Planned {
    let mut planned = Planned::default();
    let ours = elf
        .section(super::layout::CODE_SECTION)
        .map(|s| s.addr..s.addr.saturating_add(s.size));
    let mut pads = Pads::default();
    let mut later = Vec::new();
    for site in code.syscalls.keys().copied() {
        let native = |reason| Plan::Native { reason };
        if ours.as_ref().is_some_and(|r| r.contains(&site))
            || jumped_over(code, site, ours.as_ref())
        {
            planned.plans.insert(site, native(Reason::Foreign));
            continue;
        }
        if flags_live(code, site + 2) {
            planned.plans.insert(site, native(Reason::FlagsLive));
            continue;
        }
        if let Some(jump) = code.span(site).and_then(|span| unknown_targets(code, span)) {
            planned
                .plans
                .insert(site, native(Reason::UnknownTargets { jump }));
            continue;
        }
        if code.is_taken(site + 2) {
            match super::window::plan(code, site) {
                Some(job) => {
                    pads.claim(job.start, site + 2);
                    let Entry::Window(references) = &job.entry else {
                        continue;
                    };
                    for (one, _) in references {
                        pads.claim(one.ip(), one.next_ip());
                    }
                    let references = references.iter().map(|r| r.0.ip()).collect();
                    planned.plans.insert(
                        site,
                        Plan::Window {
                            begin: job.start,
                            references,
                        },
                    );
                    planned.jobs.push(job);
                }
                None => {
                    planned
                        .plans
                        .insert(site, native(Reason::CancellationWindow));
                }
            }
            continue;
        }
        let signal = bare_signal_return(code, frames, site);
        if signal && !elf.has_segment(elf::PT_GNU_EH_FRAME) {
            planned.plans.insert(site, native(Reason::SignalReturn));
            continue;
        }
        let (start, moved, blocked) = movable(code, site);
        if site - start >= NEAR {
            pads.claim(start, site + 2);
            planned.plans.insert(
                site,
                Plan::Displaced {
                    start,
                    instructions: moved.len(),
                },
            );
            planned.jobs.push(Job {
                site,
                start,
                moved,
                entry: Entry::Near,
                signal,
            });
        } else {
            pads.claim(site, site + 2);
            later.push((site, start, moved, blocked));
        }
    }
    for (site, start, moved, blocked) in later {
        if site - start >= SHORT
            && !pads.claimed(start, site)
            && let Some(pad) = pads
                .take(code, start + SHORT)
                .or_else(|| evict(code, start, site, &mut pads, &mut planned.jobs))
        {
            pads.claim(start, site + 2);
            planned.plans.insert(
                site,
                Plan::ShortJump {
                    start,
                    instructions: moved.len(),
                    pad: pad.jump,
                },
            );
            planned.jobs.push(Job {
                site,
                start,
                moved,
                entry: Entry::Short(pad),
                signal: false,
            });
            continue;
        }
        let branches = if code.is_target(site) {
            retarget(code, site, &mut pads, &mut planned.jobs)
        } else {
            Vec::new()
        };
        if branches.is_empty() {
            planned.plans.insert(
                site,
                Plan::Native {
                    reason: blocked.unwrap_or(Reason::NoRoom {
                        bytes: site - start,
                    }),
                },
            );
        } else {
            planned.plans.insert(
                site,
                Plan::Retargeted {
                    branches: branches.iter().map(|b| b.0.ip()).collect(),
                },
            );
            planned.jobs.push(Job {
                site,
                start: site,
                moved: Vec::new(),
                entry: Entry::Branches(branches),
                signal: false,
            });
        }
    }
    // Blocks first: a jump of another site is patched into theirs.
    planned
        .jobs
        .sort_by_key(|j| (!matches!(j.entry, Entry::Block), j.site));
    planned
}

/// Room made by moving neighbours out of the way, where `jmp rel8` at `start` reaches it.
fn evict(
    code: &Code<'_>,
    start: u64,
    site: u64,
    pads: &mut Pads,
    jobs: &mut Vec<Job>,
) -> Option<Pad> {
    pads.claim(start, site + 2);
    make_room(code, start + SHORT, pads, jobs)
}

/// Room for a jump where a `jmp rel8` or a short branch that ends at `from` reaches it.
fn make_room(code: &Code<'_>, from: u64, pads: &mut Pads, jobs: &mut Vec<Job>) -> Option<Pad> {
    let moved = pads.evict(code, from)?;
    let (first, end) = (moved.first()?.ip(), moved.last()?.next_ip());
    jobs.push(Job {
        site: end,
        start: first,
        moved,
        entry: Entry::Block,
        signal: false,
    });
    Some(Pad {
        jump: first + NEAR,
        skip: None,
        block: Some(first),
    })
}

/// Whether the bytes in front of `site` are already a jump into our own segment.
fn jumped_over(code: &Code<'_>, site: u64, ours: Option<&std::ops::Range<u64>>) -> bool {
    let Some(ours) = ours else { return false };
    (NEAR..NEAR + 24).any(|back| {
        let one = code.instruction(site.wrapping_sub(back));
        one.is_some_and(|o| is_near_branch(&o) && ours.contains(&o.near_branch_target()))
    })
}

/// The longest run of movable instructions in front of `site`, up to five bytes, and what ended it.
fn movable(code: &Code<'_>, site: u64) -> (u64, Vec<Instruction>, Option<Reason>) {
    let mut moved: Vec<Instruction> = Vec::new();
    let mut at = site;
    let mut blocked = None;
    while site - at < NEAR {
        if at != site && code.is_target(at) {
            blocked = Some(Reason::TargetInside { address: at });
            break;
        }
        let Some(before) = code.previous(at) else {
            break;
        };
        if let Some(address) =
            (before.ip() + 1..at).find(|a| code.is_start(*a) || code.is_target(*a))
        {
            blocked = Some(Reason::Overlap { address });
            break;
        }
        if !can_move(&before) {
            break;
        }
        at = before.ip();
        moved.insert(0, before);
    }
    (at, moved, blocked)
}

/// Whether an instruction does the same at another address, once its relative operand is adjusted.
pub(crate) fn can_move(one: &Instruction) -> bool {
    match one.flow_control() {
        FlowControl::Next => {}
        FlowControl::ConditionalBranch if one.is_jcc_short_or_near() => return true,
        _ => return false,
    }
    // An `endbr64` has to stay where indirect branches land.
    one.code() != Op::Endbr64
        && !one.is_privileged()
        && one.code() != Op::Int3
        && one.op_kinds().all(|k| k != iced_x86::OpKind::FarBranch32)
        && one.memory_base() != Register::EIP
}

/// Whether arithmetic flags that stand before the call are read behind it: the gate does not keep them.
fn flags_live(code: &Code<'_>, after: u64) -> bool {
    const ARITHMETIC: u32 = RflagsBits::CF
        | RflagsBits::PF
        | RflagsBits::AF
        | RflagsBits::ZF
        | RflagsBits::SF
        | RflagsBits::OF;
    let mut work = vec![(after, ARITHMETIC)];
    let mut seen = BTreeSet::new();
    while let Some((at, open)) = work.pop() {
        // A loop that never reads them ends the search; one that is too long to follow does not.
        if !seen.insert((at, open)) {
            continue;
        }
        let Some(one) = code.instruction(at) else {
            continue;
        };
        if seen.len() > 1024 || one.code() != Op::Syscall && one.rflags_read() & open != 0 {
            return true;
        }
        let left = if one.code() == Op::Syscall {
            open
        } else {
            open & !one.rflags_modified()
        };
        if left == 0 {
            continue;
        }
        match one.flow_control() {
            FlowControl::Next => work.push((one.next_ip(), left)),
            FlowControl::Call if one.code() == Op::Syscall => work.push((one.next_ip(), left)),
            FlowControl::UnconditionalBranch if is_near_branch(&one) => {
                work.push((one.near_branch_target(), left));
            }
            FlowControl::ConditionalBranch if is_near_branch(&one) => {
                work.extend([(one.near_branch_target(), left), (one.next_ip(), left)]);
            }
            FlowControl::XbeginXabortXend => return true,
            // The calling convention leaves the flags to nobody.
            _ => {}
        }
    }
    false
}

/// An indirect jump of the function whose table was not found.
fn unknown_targets(code: &Code<'_>, span: Span) -> Option<u64> {
    if code.has_table(span) {
        return None;
    }
    code.indirect
        .range(span.start..span.end)
        .copied()
        .find(|jump| is_table_jump(code, *jump))
}

/// Whether an indirect jump picks its target from a table (a switch, a computed goto), other than a tail call.
fn is_table_jump(code: &Code<'_>, jump: u64) -> bool {
    let Some(one) = code.instruction(jump) else {
        return true;
    };
    if one.op0_kind() == iced_x86::OpKind::Memory {
        return one.memory_index() != Register::None;
    }
    let target = one.op0_register().full_register();
    let mut at = jump;
    for _ in 0..24 {
        let Some(before) = code.previous(at) else {
            return false;
        };
        let writes = before.op_count() > 0
            && before.op0_kind() == iced_x86::OpKind::Register
            && before.op0_register().full_register() == target;
        match before.code() {
            Op::Add_r64_rm64 | Op::Add_rm64_r64 if writes => return true,
            Op::Mov_r64_rm64 if writes => {
                return before.op1_kind() == iced_x86::OpKind::Memory
                    && before.memory_index() != Register::None;
            }
            Op::Pop_r64 | Op::Lea_r64_m if writes => return false,
            _ if ends_flow(before.flow_control()) || before.flow_control() == FlowControl::Call => {
                return false;
            }
            _ => {}
        }
        at = before.ip();
    }
    false
}

/// `mov $15,%rax; syscall` at the start of nothing that an unwind entry covers: unwinders compare these nine bytes.
fn bare_signal_return(code: &Code<'_>, frames: Option<&Frames<'_>>, site: u64) -> bool {
    const BYTES: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
    let start = site.wrapping_sub(7);
    code.bytes(start).is_some_and(|b| b.starts_with(&BYTES))
        && !frames.and_then(|f| f.find(start)).is_some_and(|f| f.signal)
}

/// Branches of the surrounding code that go to the site. Missing one is harmless: it takes the slow way.
fn retarget(
    code: &Code<'_>,
    site: u64,
    pads: &mut Pads,
    jobs: &mut Vec<Job>,
) -> Vec<(Instruction, Option<Pad>)> {
    let span = code.span(site).unwrap_or(Span {
        start: site,
        end: site,
    });
    let near = Span {
        start: span
            .start
            .clamp(site.saturating_sub(0x8000), site.saturating_sub(0x200)),
        end: span.end.clamp(site + 0x200, site + 0x8000),
    };
    let mut out = Vec::new();
    for one in code.instructions(near) {
        let direct = is_near_branch(&one)
            && one.near_branch_target() == site
            && one.flow_control() != FlowControl::Call;
        if !direct || pads.claimed(one.ip(), one.next_ip()) || is_nop(&one) {
            continue;
        }
        if one.len() >= 5 {
            pads.claim(one.ip(), one.next_ip());
            out.push((one, None));
        } else if one.is_jcc_short() || one.is_jmp_short() {
            let after = one.next_ip();
            pads.claim(one.ip(), after);
            let pad = pads.take(code, after);
            if let Some(pad) = pad.or_else(|| make_room(code, after, pads, jobs)) {
                out.push((one, Some(pad)));
            }
        }
    }
    out
}
