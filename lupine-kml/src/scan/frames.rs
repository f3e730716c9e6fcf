//! Unwind tables: which ranges are functions, and where exceptions land.

use std::collections::HashMap;

use crate::scan::abi as elf;
use gimli::{BaseAddresses, CieOrFde, EhFrame, EhFrameHdr, LittleEndian, Pointer, UnwindSection};

use super::elf::Elf;

/// One frame description entry: a range of code that the compiler vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Language-specific data (call sites and landing pads).
    pub(crate) lsda: Option<u64>,
    /// The code runs on a signal frame (augmentation `S`).
    pub(crate) signal: bool,
    /// Offset of the entry within the section.
    pub(crate) offset: usize,
}

/// The `.eh_frame` of a file.
#[derive(Debug, Clone)]
pub(crate) struct Frames<'a> {
    pub(crate) section: EhFrame<gimli::EndianSlice<'a, LittleEndian>>,
    pub(crate) bases: BaseAddresses,
    pub(crate) address: u64,
    /// Sorted by start.
    pub(crate) list: Vec<Frame>,
    /// Addresses at which exceptions continue.
    pub(crate) landing_pads: Vec<u64>,
}

impl<'a> Frames<'a> {
    /// Reads the table that `PT_GNU_EH_FRAME` names, or the section `.eh_frame`. Damaged tables end early.
    pub(crate) fn read(elf: &Elf<'a>) -> Option<Self> {
        let (address, bytes) = locate(elf)?;
        let section = EhFrame::new(bytes, LittleEndian);
        let mut bases = BaseAddresses::default().set_eh_frame(address);
        if let Some(text) = elf.section(b".text") {
            bases = bases.set_text(text.addr);
        }
        if let Some(got) = elf.section(b".got") {
            bases = bases.set_got(got.addr);
        }
        let mut frames = Frames {
            section,
            bases,
            address,
            list: Vec::new(),
            landing_pads: Vec::new(),
        };
        frames.read_entries(elf);
        Some(frames)
    }

    /// The entry that covers `address`.
    pub(crate) fn find(&self, address: u64) -> Option<&Frame> {
        let after = self.list.partition_point(|f| f.start <= address);
        self.list[..after].last().filter(|f| address < f.end)
    }

    fn read_entries(&mut self, elf: &Elf<'a>) {
        let section = self.section;
        let mut cies: HashMap<usize, gimli::CommonInformationEntry<_>> = HashMap::new();
        let mut entries = section.entries(&self.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else {
                continue;
            };
            let parsed = partial.parse(|section, bases, offset| {
                if let Some(cie) = cies.get(&offset.0) {
                    return Ok(cie.clone());
                }
                let cie = section.cie_from_offset(bases, offset)?;
                cies.insert(offset.0, cie.clone());
                Ok(cie)
            });
            let Ok(fde) = parsed else { continue };
            let start = fde.initial_address();
            let Some(end) = start
                .checked_add(fde.len())
                .filter(|end| *end > start && start != 0)
            else {
                continue;
            };
            let lsda = match fde.lsda() {
                Some(Pointer::Direct(address)) => Some(address),
                Some(Pointer::Indirect(slot)) => elf.at(slot).map(|b| super::elf::word(b, 0)),
                None => None,
            };
            self.list.push(Frame {
                start,
                end,
                lsda,
                signal: fde.cie().is_signal_trampoline(),
                offset: fde.offset(),
            });
            // Each function has a table of its own: those of a file are shorter than the file.
            if self.landing_pads.len() < elf.data.len()
                && let Some(table) = lsda.and_then(|a| Some((a, elf.at(a)?)))
            {
                landing_pads(table.0, table.1, start, &mut self.landing_pads);
            }
        }
        self.list.sort_by_key(|f| (f.start, f.end));
        self.landing_pads.sort_unstable();
        self.landing_pads.dedup();
    }
}

fn locate<'a>(elf: &Elf<'a>) -> Option<(u64, &'a [u8])> {
    if let Some(section) = elf
        .section(b".eh_frame")
        .filter(|s| s.flags & elf::SHF_ALLOC != 0)
    {
        return Some((section.addr, elf.section_bytes(section)?));
    }
    let segment = elf
        .segments
        .iter()
        .find(|s| s.kind == elf::PT_GNU_EH_FRAME)?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(segment.vaddr);
    let header = EhFrameHdr::new(elf.at(segment.vaddr)?, LittleEndian)
        .parse(&bases, 8)
        .ok()?;
    match header.eh_frame_ptr() {
        Pointer::Direct(address) => Some((address, elf.at(address)?)),
        Pointer::Indirect(_) => None,
    }
}

/// A cursor over a language-specific data area. `None` at the end or on an encoding that compilers do not use here.
struct Cursor<'a> {
    all: &'a [u8],
    at: usize,
    address: u64,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.all.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn uleb(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn fixed(&mut self, size: usize) -> Option<u64> {
        let raw = self.all.get(self.at..self.at + size)?;
        self.at += size;
        let mut wide = [0u8; 8];
        wide[..size].copy_from_slice(raw);
        Some(u64::from_le_bytes(wide))
    }

    fn encoded(&mut self, encoding: u8) -> Option<u64> {
        let here = self.address.wrapping_add(self.at as u64);
        let value = match encoding & 0xf {
            0x1 => self.uleb()?,
            0x2 => self.fixed(2)?,
            0x3 => self.fixed(4)?,
            0xb => self.fixed(4)? as u32 as i32 as i64 as u64,
            0x0 | 0x4 | 0xc => self.fixed(8)?,
            _ => return None,
        };
        match encoding & 0x70 {
            0x00 => Some(value),
            0x10 => Some(here.wrapping_add(value)),
            _ => None,
        }
    }
}

/// Collects the landing pads of one function (LSDA of the Itanium C++ ABI, used by C with cleanups too).
fn landing_pads(address: u64, table: &[u8], function: u64, out: &mut Vec<u64>) -> Option<()> {
    let mut cursor = Cursor {
        all: table,
        at: 0,
        address,
    };
    let base_encoding = cursor.byte()?;
    let base = if base_encoding == 0xff {
        function
    } else {
        cursor.encoded(base_encoding)?
    };
    if cursor.byte()? != 0xff {
        cursor.uleb()?;
    }
    let encoding = cursor.byte()?;
    let len = usize::try_from(cursor.uleb()?).ok()?;
    let end = cursor.at.checked_add(len)?;
    while cursor.at < end {
        cursor.encoded(encoding)?;
        cursor.encoded(encoding)?;
        let pad = cursor.encoded(encoding)?;
        cursor.uleb()?;
        if pad != 0 {
            out.push(base.wrapping_add(pad));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::landing_pads;

    #[test]
    fn landing_pads_of_a_call_site_table() {
        // No base, no types, uleb call sites: (0, 4, pad 0x20), (4, 2, none).
        let table = [0xff, 0xff, 0x01, 8, 0, 4, 0x20, 0, 4, 2, 0, 0];
        let mut pads = Vec::new();
        landing_pads(0x5000, &table, 0x1000, &mut pads);
        assert_eq!(pads, [0x1020]);
        let mut none = Vec::new();
        assert!(landing_pads(0x5000, &table[..5], 0x1000, &mut none).is_none());
    }
}
