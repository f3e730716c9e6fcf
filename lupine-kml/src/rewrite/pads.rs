//! Padding between functions and in front of loops: room for a jump that does not fit at its site.

use std::collections::BTreeMap;

use iced_x86::Instruction;

use super::plan::{NEAR, SHORT, can_move};
use crate::scan::code::{Code, ends_flow, is_nop};

/// Five bytes of padding that become a `jmp rel32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pad {
    /// Where the jump stands.
    pub(crate) jump: u64,
    /// Padding that is executed: its first two bytes become a `jmp rel8` to its end (start, end).
    pub(crate) skip: Option<(u64, u64)>,
    /// Room that a block made: where the block starts.
    pub(crate) block: Option<u64>,
}

/// Bytes that are taken: by displaced instructions, by jumps in padding.
#[derive(Debug, Default)]
pub(crate) struct Pads {
    /// Claimed ranges, start to end.
    claims: BTreeMap<u64, u64>,
}

impl Pads {
    pub(crate) fn claim(&mut self, start: u64, end: u64) {
        let known = self.claims.entry(start).or_insert(end);
        *known = (*known).max(end);
    }

    pub(crate) fn claimed(&self, start: u64, end: u64) -> bool {
        // Claims are short: no instruction window is longer than 64 bytes.
        self.claims
            .range(start.saturating_sub(256)..end)
            .any(|(from, to)| *from < end && *to > start)
    }

    /// Finds five free bytes that a `jmp rel8` ending at `from` reaches, nearest first behind, then before.
    pub(crate) fn take(&mut self, code: &Code<'_>, from: u64) -> Option<Pad> {
        let (low, high) = (from.saturating_sub(128), from + 127);
        let mut best: Option<(bool, u64, Pad)> = None;
        let mut at = low.saturating_sub(32);
        while at < high {
            if !code.is_start(at) {
                at += 1;
                continue;
            }
            let Some(one) = code.instruction(at) else {
                at += 1;
                continue;
            };
            let next = one.next_ip();
            let found = if ends_flow(one.flow_control()) {
                self.dead(code, next, low, high)
            } else if is_nop(&one) && one.len() >= 2 {
                self.live(code, at, low, high)
            } else {
                None
            };
            if let Some(pad) = found {
                let rank = (pad.skip.is_some(), pad.jump.abs_diff(from), pad);
                if best.as_ref().is_none_or(|b| (rank.0, rank.1) < (b.0, b.1)) {
                    best = Some(rank);
                }
            }
            at = next;
        }
        let pad = best?.2;
        match pad.skip {
            Some((start, end)) => self.claim(start, end),
            None => self.claim(pad.jump, pad.jump + NEAR),
        }
        Some(pad)
    }

    /// Makes five bytes where there is no padding: ten bytes of neighbouring instructions, in reach of a `jmp rel8`
    /// that ends at `from`, are to move to a block of their own. Returns them; the jump goes behind the first five.
    pub(crate) fn evict(&mut self, code: &Code<'_>, from: u64) -> Option<Vec<Instruction>> {
        let (low, high) = (from.saturating_sub(128 + NEAR), from + 127 - NEAR);
        let mut best: Option<(u64, Vec<Instruction>)> = None;
        for start in (low..=high).filter(|a| code.is_start(*a)) {
            let mut moved = Vec::new();
            let mut at = start;
            while at - start < 2 * NEAR {
                let next = code.instruction(at).filter(can_move);
                let Some(one) = next.filter(|_| at == start || !code.is_target(at)) else {
                    break;
                };
                if (at + 1..one.next_ip()).any(|a| code.is_start(a) || code.is_target(a)) {
                    break;
                }
                at = one.next_ip();
                moved.push(one);
            }
            let distance = start.abs_diff(from);
            if at - start >= 2 * NEAR
                && !self.claimed(start, at)
                && best.as_ref().is_none_or(|b| distance < b.0)
            {
                best = Some((distance, moved));
            }
        }
        let moved = best?.1;
        self.claim(moved.first()?.ip(), moved.last()?.next_ip());
        Some(moved)
    }

    /// Padding behind an instruction that never goes on.
    fn dead(&self, code: &Code<'_>, start: u64, low: u64, high: u64) -> Option<Pad> {
        let mut end = start;
        while end < start + 64 && !code.is_target(end) {
            let Some(one) = code.instruction(end).filter(is_nop) else {
                break;
            };
            if (end + 1..one.next_ip()).any(|a| code.is_target(a) || code.is_start(a)) {
                break;
            }
            end = one.next_ip();
        }
        let fits = |jump: &u64| {
            jump + NEAR <= end && *jump >= low && *jump <= high && !self.claimed(*jump, jump + NEAR)
        };
        (start..end).find(fits).map(|jump| Pad {
            jump,
            skip: None,
            block: None,
        })
    }

    /// Padding that is run through: a jump over its rest makes that rest free.
    fn live(&self, code: &Code<'_>, start: u64, low: u64, high: u64) -> Option<Pad> {
        let mut end = start;
        while end < start + 64 && (end == start || !code.is_target(end)) {
            let Some(one) = code
                .instruction(end)
                .filter(|o| is_nop(o) && o.code() != iced_x86::Code::Int3)
            else {
                break;
            };
            if (end + 1..one.next_ip()).any(|a| code.is_target(a) || code.is_start(a)) {
                break;
            }
            end = one.next_ip();
        }
        let jump = start + SHORT;
        let fits = jump + NEAR <= end && jump >= low && jump <= high && !self.claimed(start, end);
        fits.then_some(Pad {
            jump,
            skip: Some((start, end)),
            block: None,
        })
    }
}
