//! The files under comparison, as goblin reads them.

use goblin::elf::Elf;
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use iced_x86::{Decoder, DecoderOptions, Instruction};

use super::Mismatch;

pub(super) struct File<'a> {
    pub(super) data: &'a [u8],
    pub(super) entry: u64,
    pub(super) header: goblin::elf::Header,
    pub(super) programs: Vec<ProgramHeader>,
    pub(super) sections: Vec<(Vec<u8>, u64, u64, u64, bool)>,
    pub(super) symbols: Vec<u64>,
}

impl<'a> File<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, Mismatch> {
        let failed = |e: goblin::error::Error| Mismatch::Elf(e.to_string());
        let mut elf = Elf::lazy_parse(Elf::parse_header(data).map_err(failed)?).map_err(failed)?;
        let ctx = goblin::container::Ctx::new(
            goblin::container::Container::Big,
            goblin::container::Endian::Little,
        );
        let (phoff, phnum) = (elf.header.e_phoff as usize, usize::from(elf.header.e_phnum));
        if phnum * 56 > 65536 {
            return Err(Mismatch::Elf(
                "more program headers than Linux loads".into(),
            ));
        }
        elf.program_headers = ProgramHeader::parse(data, phoff, phnum, ctx).map_err(failed)?;
        for p in &elf.program_headers {
            let ends = [
                p.p_vaddr.checked_add(p.p_memsz),
                p.p_offset.checked_add(p.p_filesz),
            ];
            if ends.iter().any(|e| e.is_none_or(|e| e > 1 << 62)) {
                return Err(Mismatch::Segment {
                    address: p.p_vaddr,
                    what: "it ends beyond the address space",
                });
            }
        }
        let (shoff, shnum) = (elf.header.e_shoff as usize, usize::from(elf.header.e_shnum));
        let headers = if shoff == 0 {
            Vec::new()
        } else {
            goblin::elf::SectionHeader::parse(data, shoff, shnum, ctx).map_err(failed)?
        };
        let table = headers
            .get(usize::from(elf.header.e_shstrndx))
            .and_then(|h| part(data, h.sh_offset, h.sh_size))
            .unwrap_or(&[]);
        let mut symbols = Vec::new();
        for h in headers.iter().filter(|h| h.sh_type == 2 || h.sh_type == 11) {
            let table = part(data, h.sh_offset, h.sh_size).unwrap_or(&[]);
            if symbols.len() + table.len() / 24 > data.len() {
                return Err(Mismatch::Elf(
                    "its symbol tables are longer than itself".into(),
                ));
            }
            for raw in table.as_chunks::<24>().0 {
                let (kind, section) = (raw[4] & 0xf, u16::from_le_bytes([raw[6], raw[7]]));
                if section != 0 && section < 0xff00 && matches!(kind, 0 | 2 | 10) {
                    symbols.push(number(&raw[8..16]));
                }
            }
        }
        let name = |at: usize| {
            table
                .get(at..)
                .unwrap_or(&[])
                .split(|b| *b == 0)
                .next()
                .unwrap_or(&[])
                .to_vec()
        };
        let sections = headers
            .iter()
            .map(|h| {
                (
                    name(h.sh_name),
                    h.sh_addr,
                    h.sh_offset,
                    h.sh_size,
                    h.sh_type == 1 && h.sh_flags & 6 == 6,
                )
            })
            .collect();
        Ok(File {
            data,
            entry: elf.header.e_entry,
            header: elf.header,
            programs: elf.program_headers,
            sections,
            symbols,
        })
    }

    pub(super) fn section(&self, name: &[u8]) -> Option<(u64, &'a [u8])> {
        let found = self.sections.iter().find(|s| s.0 == name)?;
        Some((found.1, part(self.data, found.2, found.3)?))
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.programs.iter().filter(|p| p.p_type == PT_LOAD)
    }

    pub(super) fn at(&self, address: u64) -> Option<&'a [u8]> {
        let load = self
            .loads()
            .find(|p| address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz)?;
        let skip = address - load.p_vaddr;
        part(
            self.data,
            load.p_offset.checked_add(skip)?,
            load.p_filesz - skip,
        )
    }

    pub(super) fn decode(&self, address: u64) -> Option<Instruction> {
        let bytes = self.at(address)?;
        let one = Decoder::with_ip(
            64,
            &bytes[..bytes.len().min(15)],
            address,
            DecoderOptions::NONE,
        )
        .decode();
        (!one.is_invalid()).then_some(one)
    }

    pub(super) fn offset(&self, address: u64) -> Option<usize> {
        let load = self
            .loads()
            .find(|p| address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz)?;
        usize::try_from(load.p_offset + (address - load.p_vaddr)).ok()
    }
}

pub(super) fn part(data: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    data.get(usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(size)?).ok()?)
}

pub(super) fn number(raw: &[u8]) -> u64 {
    raw.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}
