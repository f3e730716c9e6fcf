//! A linear sweep over all code: the verifier's own view of where instructions start and what is jumped to.

use std::collections::BTreeMap;

use goblin::elf::program_header::PF_X;
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind};

use super::file::File;

/// The original's code decoded from front to back: boundaries, and targets of direct branches.
pub(super) struct Sweep {
    pub(super) starts: BTreeMap<u64, Vec<u64>>,
    pub(super) targets: Vec<u64>,
}

impl Sweep {
    pub(super) fn run(old: &File<'_>) -> Self {
        let mut sweep = Sweep {
            starts: BTreeMap::new(),
            targets: Vec::new(),
        };
        let mut ranges: Vec<(u64, u64)> = old
            .sections
            .iter()
            .filter(|s| s.4)
            .map(|s| (s.1, s.3))
            .collect();
        if ranges.is_empty() {
            ranges = old
                .loads()
                .filter(|p| p.p_flags & PF_X != 0)
                .map(|p| (p.p_vaddr, p.p_filesz))
                .collect();
        }
        ranges.sort_unstable();
        let mut one = Instruction::default();
        let mut last = 0;
        for (start, size) in ranges {
            let Some(bytes) = old.at(start).filter(|_| start >= last) else {
                continue;
            };
            let bytes = &bytes[..bytes.len().min(size as usize)];
            last = start + bytes.len() as u64;
            let mut bits = vec![0u64; bytes.len().div_ceil(64)];
            let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
            while decoder.can_decode() {
                let at = decoder.position();
                bits[at / 64] |= 1 << (at % 64);
                decoder.decode_out(&mut one);
                if one.is_invalid() {
                    let _ = decoder.set_position(at + 1);
                    decoder.set_ip(start + at as u64 + 1);
                } else if one.op0_kind() == OpKind::NearBranch64 {
                    sweep.targets.push(one.near_branch_target());
                }
            }
            sweep.starts.insert(start, bits);
        }
        sweep.targets.sort_unstable();
        sweep.targets.dedup();
        sweep
    }

    pub(super) fn is_start(&self, address: u64) -> bool {
        self.starts
            .range(..=address)
            .next_back()
            .is_some_and(|(start, bits)| {
                let at = (address - start) as usize;
                bits.get(at / 64).is_some_and(|w| w >> (at % 64) & 1 != 0)
            })
    }

    pub(super) fn targets_in(&self, from: u64, to: u64) -> Option<u64> {
        let first = self.targets.partition_point(|t| *t < from);
        self.targets.get(first).copied().filter(|t| *t < to)
    }
}
