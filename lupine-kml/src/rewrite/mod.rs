//! Turns `syscall` instructions into jumps to the kernel's gate, where the process runs in CPL 0.
//!
//! The site keeps its two bytes; what stands in front of it moves to a trampoline in a new segment, which goes to
//! the gate or back to the site. One file serves both privilege levels, unless [`Gate::Always`] is chosen.

mod files;
pub(crate) mod layout;
mod listing;
pub(crate) mod note;
mod pads;
pub(crate) mod plan;
mod trampoline;
mod unwind;
mod window;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use files::{Caution, FileReport, rewrite_file, rewrite_files, undo_file};
pub use listing::listing;
pub use plan::{Plan, Reason};

use crate::scan::code::Code;
use crate::scan::elf::{Elf, ElfError};
use crate::scan::frames::Frames;
use crate::scan::{self, Scan};
use crate::verify_rewrite::{self, Mismatch};
use layout::{Content, Image, Layout};
use plan::{Entry, Job};
use trampoline::{Trampoline, near_jump, operand_offset, rel32};

/// Where a CPL-0 process enters the kernel: fixed by the kernel patch, in every configuration.
pub const GATE: u64 = 0xffff_ffff_ff7f_f000;

/// When trampolines go to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// When the process runs in CPL 0, tested on every call: the file works everywhere.
    #[default]
    Runtime,
    /// Always: three instructions less per call, and the file works only in CPL 0.
    Always,
}

/// How to rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Options {
    /// When trampolines go to the gate.
    pub gate: Gate,
}

/// Why a file was not rewritten. It is untouched then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The file is not an ELF file that can be read.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// There is no room for one more program header.
    #[error(
        "no room for a program header: moving the table would leave a hole of {hole:#x} bytes in the file"
    )]
    NoProgramHeader {
        /// Size of the hole in bytes.
        hole: u64,
    },
    /// More headers than the format counts.
    #[error(
        "{programs} program headers and {sections} section headers are more than the ELF header can count"
    )]
    TooManyHeaders {
        /// Section headers needed.
        sections: usize,
        /// Program headers needed.
        programs: usize,
    },
    /// The file has a note of a rewriting, but is no longer what the rewriting left.
    #[error(
        "the file was changed since it was rewritten (stripped, signed, patched): the original, SHA-256 {expected}, cannot be restored; start from a fresh copy"
    )]
    ChangedSince {
        /// SHA-256 of the original, hexadecimal.
        expected: String,
    },
    /// The file has no note of a rewriting.
    #[error("the file has not been rewritten: there is no section .note.lupine")]
    NotRewritten,
    /// The note cannot be read.
    #[error("the section .note.lupine is damaged or of a later version")]
    DamagedNote,
    /// The independent check of the result failed: a bug of the rewriter.
    #[error("the rewritten file failed its verification, so it was not written: {0}")]
    Verification(#[from] Mismatch),
    /// Reading or writing a file failed.
    #[error("{action} {path}: {message}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        message: String,
    },
}

/// What a rewriting did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Every site with its plan.
    pub scan: Scan,
    /// When trampolines go to the gate.
    pub gate: Gate,
    /// Sites that reach a trampoline.
    pub rewritten: usize,
    /// Sites left as they are.
    pub native: usize,
    /// Bytes of trampolines.
    pub trampoline_bytes: u64,
    /// How many bytes the file grew.
    pub growth: u64,
    /// Whether the program header table had to move to the end of the file; tools that rebuild it (`strip`,
    /// `objcopy`) are known to mishandle such files.
    pub moved_headers: bool,
    /// Whether the input had been rewritten before (it was undone first).
    pub again: bool,
}

/// A rewritten file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The new file, or the original where nothing could be rewritten.
    pub bytes: Vec<u8>,
    /// What was done.
    pub report: Report,
}

/// Rewrites an ELF file. A file that was rewritten before is restored first, so that the result is the same.
///
/// # Errors
/// See [`RewriteError`]. The result has passed [`crate::verify_rewrite::verify`].
pub fn rewrite_bytes(data: &[u8], options: &Options) -> Result<Rewritten, RewriteError> {
    let elf = Elf::parse(data)?;
    if note::find(&elf).is_some() {
        let original = undo_bytes(data)?;
        let mut again = rewrite_original(&original, options)?;
        again.report.again = true;
        return Ok(again);
    }
    rewrite_original(data, options)
}

/// Whether a file has the note of a rewriting.
#[must_use]
pub fn is_rewritten(data: &[u8]) -> bool {
    Elf::parse(data).is_ok_and(|elf| note::find(&elf).is_some())
}

/// Restores the original of a rewritten file, to the byte.
///
/// # Errors
/// [`RewriteError::NotRewritten`], or [`RewriteError::ChangedSince`] when the result is not the original.
pub fn undo_bytes(data: &[u8]) -> Result<Vec<u8>, RewriteError> {
    let elf = Elf::parse(data)?;
    let raw = note::find(&elf).ok_or(RewriteError::NotRewritten)?;
    note::Note::decode(raw)
        .ok_or(RewriteError::DamagedNote)?
        .undo(data)
}

/// The file as it was before any rewriting: itself, where it was not rewritten or its original cannot be restored.
#[must_use]
pub fn original(data: &[u8]) -> Cow<'_, [u8]> {
    undo_bytes(data).map_or(Cow::Borrowed(data), Cow::Owned)
}

/// Rewrites, verifies, and leaves native what the verification disputes.
fn rewrite_original(data: &[u8], options: &Options) -> Result<Rewritten, RewriteError> {
    let mut disputed = BTreeMap::new();
    loop {
        let made = rewrite_once(data, options, &disputed)?;
        if made.report.rewritten == 0 {
            return Ok(made);
        }
        match verify_rewrite::verify(Some(data), &made.bytes) {
            Ok(_) => return Ok(made),
            Err(Mismatch::Target { target, site })
                if disputed.len() < 64 && !disputed.contains_key(&site) =>
            {
                disputed.insert(site, target);
            }
            Err(other) => return Err(other.into()),
        }
    }
}

fn rewrite_once(
    data: &[u8],
    options: &Options,
    disputed: &BTreeMap<u64, u64>,
) -> Result<Rewritten, RewriteError> {
    let elf = Elf::parse(data)?;
    let frames = Frames::read(&elf);
    let code = Code::decode(&elf, frames.as_ref());
    let mut planned = plan::plan(&elf, &code, frames.as_ref());
    planned.jobs.retain(|job| !disputed.contains_key(&job.site));
    for (site, target) in disputed {
        planned.plans.insert(
            *site,
            Plan::Native {
                reason: Reason::TargetInside { address: *target },
            },
        );
    }
    let layout = if planned.jobs.is_empty() {
        None
    } else {
        Some(Layout::choose(&elf)?)
    };
    let mut image = Image::new(data);
    let mut content = Content::default();
    let mut placed: Vec<(Job, Trampoline)> = Vec::new();
    for job in layout
        .iter()
        .flat_map(|_| std::mem::take(&mut planned.jobs))
    {
        let base = layout.as_ref().map_or(0, |l| l.content);
        let at = content.bytes.len().next_multiple_of(16);
        let made = trampoline::encode(&code, &job, options.gate, base + at as u64);
        let patches = made
            .as_ref()
            .ok()
            .and_then(|t| patches(&elf, &code, &job, t));
        let made_room = |pad: &pads::Pad| {
            pad.block
                .is_none_or(|start| placed.iter().any(|(j, _)| j.start == start))
        };
        let room = match &job.entry {
            Entry::Short(pad) => made_room(pad),
            Entry::Branches(all) => all.iter().filter_map(|b| b.1.as_ref()).all(made_room),
            _ => true,
        };
        let (Ok(trampoline), Some(patches), true) = (made, patches, room) else {
            if !matches!(job.entry, Entry::Block) {
                planned.plans.insert(
                    job.site,
                    Plan::Native {
                        reason: Reason::OutOfReach,
                    },
                );
            }
            continue;
        };
        for (offset, bytes) in patches {
            image.patch(offset, &bytes);
        }
        content.bytes.resize(at, 0xcc);
        content.bytes.extend(&trampoline.bytes);
        placed.push((job, trampoline));
    }
    content.code = content.bytes.len() as u64;
    let sites = placed
        .iter()
        .filter(|(job, _)| !matches!(job.entry, Entry::Block))
        .count();
    let mut report = Report {
        scan: scan::describe(&elf, &code, &planned.plans),
        gate: options.gate,
        rewritten: sites,
        native: code.syscalls.len() - sites,
        trampoline_bytes: content.code,
        growth: 0,
        moved_headers: layout
            .as_ref()
            .is_some_and(|l| l.slot == layout::Slot::Move),
        again: false,
    };
    let Some(layout) = layout.filter(|_| !placed.is_empty()) else {
        return Ok(Rewritten {
            bytes: data.to_vec(),
            report,
        });
    };
    if let Some(frames) = &frames {
        unwind::append(&elf, frames, &placed, &layout, &mut content);
    }
    let note = |patches| note::Note {
        gate: options.gate,
        length: data.len() as u64,
        digest: note::digest(data),
        patches,
    };
    let bytes = layout::finish(&elf, &layout, &content, image, note)?;
    report.growth = bytes.len() as u64 - data.len() as u64;
    Ok(Rewritten { bytes, report })
}

/// File offsets and bytes that lead from the site to its trampoline.
fn patches(
    elf: &Elf<'_>,
    code: &Code<'_>,
    job: &Job,
    trampoline: &Trampoline,
) -> Option<Vec<(u64, Vec<u8>)>> {
    let to = trampoline.address;
    let mut out = Vec::new();
    let mut put = |address: u64, bytes: Vec<u8>| {
        let offset = elf.offset_of(address)?;
        out.push((offset, bytes));
        Some(())
    };
    let filled = |mut bytes: Vec<u8>, start: u64| {
        bytes.resize((job.site - start) as usize, 0xcc);
        bytes
    };
    match &job.entry {
        Entry::Near | Entry::Block => put(
            job.start,
            filled(near_jump(job.start, to).ok()?.to_vec(), job.start),
        )?,
        Entry::Short(pad) => {
            put(
                job.start,
                filled(short_jump(job.start, pad.jump)?, job.start),
            )?;
            put_pad(&mut put, pad, to)?;
        }
        Entry::Branches(branches) => {
            for (one, pad) in branches {
                let bytes = code.bytes(one.ip())?.get(..one.len())?;
                let mut new = bytes.to_vec();
                let at = operand_offset(bytes, one).immediate_offset();
                if let Some(pad) = pad {
                    let rel = i8::try_from(pad.jump.wrapping_sub(one.next_ip()) as i64).ok()?;
                    new[at] = rel as u8;
                    put_pad(&mut put, pad, to)?;
                } else {
                    new[at..at + 4].copy_from_slice(&rel32(one.next_ip(), to).ok()?.to_le_bytes());
                }
                put(one.ip(), new)?;
            }
        }
        Entry::Window(references) => {
            // The old copy of the window is never reached again, but its `syscall` stays what it is.
            put(
                job.start,
                filled(near_jump(job.start, to).ok()?.to_vec(), job.start),
            )?;
            for (one, end) in references {
                let bytes = code.bytes(one.ip())?.get(..one.len())?;
                let mut new = bytes.to_vec();
                let at = operand_offset(bytes, one).displacement_offset();
                let target = if *end { trampoline.syscall? + 2 } else { to };
                new[at..at + 4].copy_from_slice(&rel32(one.next_ip(), target).ok()?.to_le_bytes());
                put(one.ip(), new)?;
            }
        }
    }
    Some(out)
}

fn put_pad(
    put: &mut impl FnMut(u64, Vec<u8>) -> Option<()>,
    pad: &pads::Pad,
    to: u64,
) -> Option<()> {
    if let Some((start, end)) = pad.skip {
        put(start, short_jump(start, end)?)?;
    }
    put(pad.jump, near_jump(pad.jump, to).ok()?.to_vec())
}

fn short_jump(from: u64, to: u64) -> Option<Vec<u8>> {
    let rel = i8::try_from(to.wrapping_sub(from + 2) as i64).ok()?;
    Some(vec![0xeb, rel as u8])
}
