//! Shows one function before and after, with the trampolines that it reaches.

use std::collections::BTreeSet;
use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Instruction, OpKind};

use super::RewriteError;
use super::layout::CODE_SECTION;
use crate::scan::elf::Elf;
use crate::scan::frames::Frames;
use crate::scan::{Names, code::Code};

/// Disassembly (AT&T syntax) of the function called `name`: the original, the rewritten bytes, and the trampolines.
/// `None` if there is no such function in `original`.
///
/// # Errors
/// One of the two files cannot be read as ELF.
pub fn listing(
    original: &[u8],
    rewritten: &[u8],
    name: &str,
) -> Result<Option<String>, RewriteError> {
    let (old, new) = (Elf::parse(original)?, Elf::parse(rewritten)?);
    let frames = Frames::read(&old);
    let code = Code::decode(&old, frames.as_ref());
    let names = Names::new(&old);
    let Some(start) = names.address(name.as_bytes()) else {
        return Ok(None);
    };
    let Some(span) = code.span(start) else {
        return Ok(None);
    };
    let len = (span.end - span.start) as usize;
    let mut out = String::from("before:\n");
    let mut targets = BTreeSet::new();
    show(&old, span.start, len, &mut out, |_| {});
    out += "after:\n";
    let ours = new
        .section(CODE_SECTION)
        .map(|s| s.addr..s.addr.saturating_add(s.size));
    show(&new, span.start, len, &mut out, |one| {
        if one.op0_kind() == OpKind::NearBranch64
            && ours
                .as_ref()
                .is_some_and(|r| r.contains(&one.near_branch_target()))
        {
            targets.insert(one.near_branch_target());
        }
    });
    for target in targets {
        out += "trampoline:\n";
        let len = new.at(target).map_or(0, |bytes| {
            bytes
                .windows(4)
                .position(|w| w == [0x3e, 0x41, 0xff, 0xe3])
                .map_or(0, |at| at + 4)
        });
        show(&new, target, len, &mut out, |_| {});
    }
    Ok(Some(out))
}

fn show(
    elf: &Elf<'_>,
    start: u64,
    len: usize,
    out: &mut String,
    mut each: impl FnMut(&Instruction),
) {
    let Some(bytes) = elf.at(start).and_then(|b| b.get(..len)) else {
        return;
    };
    let mut formatter = GasFormatter::new();
    formatter.options_mut().set_branch_leading_zeros(false);
    formatter.options_mut().set_uppercase_hex(false);
    let mut text = String::new();
    for one in Decoder::with_ip(64, bytes, start, DecoderOptions::NONE) {
        text.clear();
        formatter.format(&one, &mut text);
        let at = (one.ip() - start) as usize;
        let raw: String = bytes[at..(at + one.len()).min(bytes.len())]
            .iter()
            .map(|b| format!("{b:02x} "))
            .collect();
        let _ = writeln!(out, "{:>10x}: {raw:<24} {text}", one.ip());
        each(&one);
    }
}
