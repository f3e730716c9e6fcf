//! ELF files as the scan and the rewriter see them: headers, segments, sections, symbols, relocations.
//!
//! Everything is read with bounds checked first, so that a truncated or hostile file gives an error with
//! the offset that failed. Only x86-64 executables and shared objects are accepted.

use super::abi as elf;
use object::elf::{FileHeader64, ProgramHeader64, SectionHeader64};
use object::endian::LittleEndian as LE;
use object::pod;
use serde::Serialize;

/// Why a file cannot be scanned. Offsets are file offsets in bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// The file does not start with the ELF magic.
    #[error("not an ELF file: the first four bytes are {found:02x?}, not 7f 45 4c 46")]
    NotElf {
        /// What stands there (fewer than four when the file is shorter).
        found: Vec<u8>,
    },
    /// A 32-bit, big-endian, other-machine or non-loadable file.
    #[error(
        "offset {offset:#x}: {what} is {value}, only 64-bit little-endian x86-64 executables and shared objects can be rewritten"
    )]
    Unsupported {
        /// Which header field.
        what: &'static str,
        /// Its value.
        value: u64,
        /// Where it stands.
        offset: u64,
    },
    /// A structure reaches beyond the end of the file.
    #[error(
        "{what} at offset {offset:#x} needs {size:#x} bytes, the file ends at {len:#x}: it is truncated or damaged"
    )]
    Truncated {
        /// Which structure.
        what: &'static str,
        /// Where it starts.
        offset: u64,
        /// How many bytes it needs.
        size: u64,
        /// Length of the file.
        len: u64,
    },
    /// Two loaded segments claim the same memory.
    #[error(
        "program headers {first} and {second} (at offset {offset:#x}) overlap in memory at {address:#x}"
    )]
    Overlap {
        /// Index of the lower program header.
        first: usize,
        /// Index of the higher program header.
        second: usize,
        /// Where the second header stands.
        offset: u64,
        /// The first address that both claim.
        address: u64,
    },
    /// Code that can be written while it runs: packed or self-modifying files.
    #[error(
        "program header {index} (at offset {offset:#x}) is writable and executable: packed or self-modifying code is not rewritten"
    )]
    WritableCode {
        /// Index of the program header.
        index: usize,
        /// Where the header stands.
        offset: u64,
    },
    /// A packer's mark: the code in the file is not the code that runs.
    #[error("offset {offset:#x}: packed by UPX; unpack it first (`upx -d`)")]
    Packed {
        /// Where the mark stands.
        offset: u64,
    },
    /// A value that contradicts the rest of the file.
    #[error("offset {offset:#x}: {reason}")]
    Malformed {
        /// Where the value stands.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What `e_type` says, as far as it can be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `ET_EXEC`: loaded where it was linked.
    Executable,
    /// `ET_DYN`: a shared object, a position-independent or static-pie program, a loader.
    Dynamic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) vaddr: u64,
    pub(crate) paddr: u64,
    pub(crate) filesz: u64,
    pub(crate) memsz: u64,
    pub(crate) align: u64,
}

impl Segment {
    pub(crate) fn is_load(&self) -> bool {
        self.kind == elf::PT_LOAD
    }
    pub(crate) fn is_code(&self) -> bool {
        self.is_load() && self.flags & elf::PF_X != 0
    }
    pub(crate) fn end(&self) -> u64 {
        self.vaddr.saturating_add(self.memsz)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Section<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) addr: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
}

impl Section<'_> {
    pub(crate) fn is_code(&self) -> bool {
        let flags = elf::SHF_ALLOC | elf::SHF_EXECINSTR;
        self.flags & flags == flags && self.kind == elf::SHT_PROGBITS
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: u64,
    pub(crate) size: u64,
    pub(crate) kind: u8,
    pub(crate) defined: bool,
}

/// A GOT slot and the imported function that the loader puts into it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Import<'a> {
    pub(crate) slot: u64,
    pub(crate) name: &'a [u8],
}

#[derive(Debug)]
pub(crate) struct Elf<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) kind: Kind,
    pub(crate) entry: u64,
    pub(crate) phoff: u64,
    pub(crate) shoff: u64,
    pub(crate) shnum: usize,
    pub(crate) shstrndx: usize,
    pub(crate) segments: Vec<Segment>,
    pub(crate) sections: Vec<Section<'a>>,
    pub(crate) dynamic: Vec<(u64, u64)>,
    pub(crate) symbols: Vec<Symbol<'a>>,
    pub(crate) imports: Vec<Import<'a>>,
    /// Addresses of code that relocations put into data.
    pub(crate) pointers: Vec<u64>,
    /// Where relocations put which address of this file, in order of place.
    pub(crate) filled: Vec<(u64, u64)>,
}

/// Size of one program header.
pub(crate) const PHENT: u64 = 56;
/// The longest program header table that Linux loads, in bytes (`load_elf_phdrs`).
const MOST_PROGRAM_HEADERS: u64 = 65536;
/// Size of one section header.
pub(crate) const SHENT: u64 = 64;

/// Names are cut there, so that tables without terminators cost no more time than others.
const LONGEST_NAME: usize = 32 << 10;

const DT_NEEDED: u64 = 1;
const DT_PLTRELSZ: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_STRSZ: u64 = 10;
const DT_INIT: u64 = 12;
const DT_FINI: u64 = 13;
const DT_JMPREL: u64 = 23;
const DT_RELRSZ: u64 = 35;
const DT_RELR: u64 = 36;

impl<'a> Elf<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, ElfError> {
        let header = header(data)?;
        let phoff = header.e_phoff.get(LE);
        let phnum = usize::from(header.e_phnum.get(LE));
        check_entsize("e_phentsize", header.e_phentsize.get(LE), PHENT, 54, phnum)?;
        if phnum as u64 * PHENT > MOST_PROGRAM_HEADERS {
            return Err(ElfError::Malformed {
                offset: 56,
                reason: "more than 64 KiB of program headers: the kernel refuses such a file",
            });
        }
        let raw: &[ProgramHeader64<LE>] =
            table(data, phoff, phnum, PHENT, "the program header table")?;
        let segments: Vec<Segment> = raw.iter().map(segment).collect();
        check_segments(data, phoff, &segments)?;

        let shoff = header.e_shoff.get(LE);
        let shnum = if shoff == 0 {
            0
        } else {
            usize::from(header.e_shnum.get(LE))
        };
        check_entsize("e_shentsize", header.e_shentsize.get(LE), SHENT, 58, shnum)?;
        if shoff != 0 && shnum == 0 {
            return Err(ElfError::Malformed {
                offset: 60,
                reason: "section header table without a count (extended numbering)",
            });
        }
        let shstrndx = usize::from(header.e_shstrndx.get(LE).0);
        let mut elf = Elf {
            data,
            kind: if header.e_type.get(LE).0 == elf::ET_EXEC {
                Kind::Executable
            } else {
                Kind::Dynamic
            },
            entry: header.e_entry.get(LE),
            phoff,
            shoff,
            shnum,
            shstrndx,
            segments,
            sections: Vec::new(),
            dynamic: Vec::new(),
            symbols: Vec::new(),
            imports: Vec::new(),
            pointers: Vec::new(),
            filled: Vec::new(),
        };
        elf.sections = elf.read_sections()?;
        elf.dynamic = elf.read_dynamic();
        elf.read_symbols();
        elf.read_relocations();
        Ok(elf)
    }

    /// The bytes of the file that are loaded from `address` to the end of the segment.
    pub(crate) fn at(&self, address: u64) -> Option<&'a [u8]> {
        let segment = self
            .segments
            .iter()
            .find(|s| s.is_load() && address >= s.vaddr && address - s.vaddr < s.filesz)?;
        let skip = address - segment.vaddr;
        bytes(self.data, segment.offset + skip, segment.filesz - skip)
    }

    /// The file offset that is loaded to `address`.
    pub(crate) fn offset_of(&self, address: u64) -> Option<u64> {
        let segment = self
            .segments
            .iter()
            .find(|s| s.is_load() && address >= s.vaddr && address - s.vaddr < s.filesz)?;
        Some(segment.offset + (address - segment.vaddr))
    }

    /// Address ranges of code: executable sections, or executable segments where there are no sections.
    pub(crate) fn code_ranges(&self) -> Vec<(u64, &'a [u8])> {
        let mut ranges: Vec<(u64, &'a [u8])> = Vec::new();
        let inside = |start: u64, size: u64| {
            self.segments.iter().any(|s| {
                s.is_code()
                    && start >= s.vaddr
                    && start.saturating_add(size) <= s.vaddr.saturating_add(s.filesz)
            })
        };
        for section in self
            .sections
            .iter()
            .filter(|s| s.is_code() && s.size > 0 && inside(s.addr, s.size))
        {
            if let Some(all) = self.at(section.addr) {
                let len = usize::try_from(section.size)
                    .unwrap_or(usize::MAX)
                    .min(all.len());
                ranges.push((section.addr, &all[..len]));
            }
        }
        if ranges.is_empty() {
            for segment in self.segments.iter().filter(|s| s.is_code() && s.filesz > 0) {
                if let Some(all) = self.at(segment.vaddr) {
                    ranges.push((segment.vaddr, all));
                }
            }
        }
        ranges.sort_by_key(|r| r.0);
        let mut out: Vec<(u64, &'a [u8])> = Vec::new();
        for range in ranges {
            match out.last() {
                Some(last) if range.0 < last.0 + last.1.len() as u64 => {}
                _ => out.push(range),
            }
        }
        out
    }

    pub(crate) fn section(&self, name: &[u8]) -> Option<&Section<'a>> {
        self.sections.iter().find(|s| s.name == name)
    }

    pub(crate) fn section_bytes(&self, section: &Section<'_>) -> Option<&'a [u8]> {
        if section.kind == elf::SHT_NOBITS {
            return None;
        }
        bytes(self.data, section.offset, section.size)
    }

    pub(crate) fn has_needed(&self) -> bool {
        self.dynamic.iter().any(|d| d.0 == DT_NEEDED)
    }

    pub(crate) fn has_segment(&self, kind: u32) -> bool {
        self.segments.iter().any(|s| s.kind == kind)
    }

    pub(crate) fn dyn_value(&self, tag: u64) -> Option<u64> {
        self.dynamic.iter().find(|d| d.0 == tag).map(|d| d.1)
    }

    /// Entry points that the headers name.
    pub(crate) fn entries(&self) -> Vec<u64> {
        let mut out = vec![self.entry];
        out.extend([DT_INIT, DT_FINI].iter().filter_map(|t| self.dyn_value(*t)));
        out.retain(|a| *a != 0);
        out
    }

    fn read_sections(&self) -> Result<Vec<Section<'a>>, ElfError> {
        let raw: &[SectionHeader64<LE>] = table(
            self.data,
            self.shoff,
            self.shnum,
            SHENT,
            "the section header table",
        )?;
        if raw.is_empty() {
            return Ok(Vec::new());
        }
        let names = raw.get(self.shstrndx).ok_or(ElfError::Malformed {
            offset: 62,
            reason: "e_shstrndx names no section",
        })?;
        let (start, size) = (names.sh_offset.get(LE), names.sh_size.get(LE));
        let strings = bytes(self.data, start, size).ok_or(ElfError::Truncated {
            what: "the section name table",
            offset: start,
            size,
            len: self.data.len() as u64,
        })?;
        Ok(raw
            .iter()
            .map(|s| Section {
                name: string(strings, s.sh_name.get(LE) as usize),
                kind: s.sh_type.get(LE).0,
                flags: s.sh_flags.get(LE).0,
                addr: s.sh_addr.get(LE),
                offset: s.sh_offset.get(LE),
                size: s.sh_size.get(LE),
                link: s.sh_link.get(LE),
            })
            .collect())
    }

    fn read_dynamic(&self) -> Vec<(u64, u64)> {
        let Some(segment) = self.segments.iter().find(|s| s.kind == elf::PT_DYNAMIC) else {
            return Vec::new();
        };
        let Some(all) = self.at(segment.vaddr) else {
            return Vec::new();
        };
        words(all)
            .map_while(|(tag, value)| (tag != 0).then_some((tag, value)))
            .take(4096)
            .collect()
    }

    fn read_symbols(&mut self) {
        let mut tables: Vec<(&'a [u8], &'a [u8])> = Vec::new();
        for section in &self.sections {
            if section.kind == elf::SHT_SYMTAB || section.kind == elf::SHT_DYNSYM {
                let strings = self
                    .sections
                    .get(section.link as usize)
                    .and_then(|s| self.section_bytes(s));
                if let (Some(symbols), Some(strings)) = (self.section_bytes(section), strings) {
                    tables.push((symbols, strings));
                }
            }
        }
        if tables.is_empty() {
            tables.extend(self.dynamic_symbol_table());
        }
        let mut left = self.data.len();
        for (symbols, strings) in tables {
            // Tables do not overlap: more than the file's length is damage.
            let Some(rest) = left.checked_sub(symbols.len()) else {
                break;
            };
            left = rest;
            self.symbols.extend(
                symbols
                    .as_chunks::<24>()
                    .0
                    .iter()
                    .map(|raw| symbol(raw, strings)),
            );
        }
    }

    /// The dynamic symbol table where no section header tells its length: it ends where the strings start.
    fn dynamic_symbol_table(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (symtab, strtab) = (self.dyn_value(DT_SYMTAB)?, self.dyn_value(DT_STRTAB)?);
        let size = usize::try_from(strtab.checked_sub(symtab)?).ok()?;
        let strings = self.at(strtab)?;
        let len = usize::try_from(self.dyn_value(DT_STRSZ)?)
            .ok()?
            .min(strings.len());
        Some((self.at(symtab)?.get(..size)?, &strings[..len]))
    }

    fn read_relocations(&mut self) {
        let mut tables: Vec<(&'a [u8], Option<u32>)> = Vec::new();
        for section in &self.sections {
            if section.kind == elf::SHT_RELA && section.flags & elf::SHF_ALLOC != 0 {
                tables.extend(self.section_bytes(section).map(|b| (b, Some(section.link))));
            }
        }
        if tables.is_empty() {
            for (address, size) in [(DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)] {
                let found = self
                    .dyn_value(address)
                    .zip(self.dyn_value(size))
                    .and_then(|(a, s)| {
                        let all = self.at(a)?;
                        Some(&all[..usize::try_from(s).ok()?.min(all.len())])
                    });
                tables.extend(found.map(|b| (b, None)));
            }
        }
        let fallback = self.dynamic_symbol_table();
        let (mut pointers, mut imports, mut filled) = (Vec::new(), Vec::new(), Vec::new());
        let mut left = self.data.len();
        for (relocations, link) in tables {
            let Some(rest) = left.checked_sub(relocations.len()) else {
                break;
            };
            left = rest;
            let linked = link.and_then(|l| {
                let symbols = self
                    .sections
                    .get(l as usize)
                    .filter(|s| s.kind == elf::SHT_DYNSYM || s.kind == elf::SHT_SYMTAB)?;
                let strings = self.sections.get(symbols.link as usize)?;
                Some((self.section_bytes(symbols)?, self.section_bytes(strings)?))
            });
            let names = linked.or(fallback);
            for raw in relocations.as_chunks::<24>().0 {
                let (slot, info, addend) = (word(raw, 0), word(raw, 8), word(raw, 16));
                let (kind, index) = ((info & 0xffff_ffff) as u32, (info >> 32) as usize);
                let target = names.and_then(|(symbols, strings)| {
                    let raw = symbols.as_chunks::<24>().0.get(index)?;
                    Some(symbol(raw, strings))
                });
                match kind {
                    elf::R_X86_64_RELATIVE => filled.push((slot, addend)),
                    elf::R_X86_64_IRELATIVE => pointers.push(addend),
                    elf::R_X86_64_64 | elf::R_X86_64_JUMP_SLOT | elf::R_X86_64_GLOB_DAT => {
                        if let Some(symbol) = target.filter(|_| index != 0) {
                            if symbol.defined {
                                pointers.push(symbol.value.wrapping_add(addend));
                            }
                            imports.push(Import {
                                slot,
                                name: symbol.name,
                            });
                        }
                    }
                    _ => {}
                }
            }
        }
        filled.sort_unstable();
        pointers.extend(filled.iter().map(|(_, value)| *value));
        pointers.extend(self.relr_pointers());
        pointers.sort_unstable();
        pointers.dedup();
        imports.sort_by_key(|i| i.slot);
        self.pointers = pointers;
        self.filled = filled;
        self.imports = imports;
    }

    /// Values that packed relative relocations (`DT_RELR`) adjust.
    fn relr_pointers(&self) -> Vec<u64> {
        let mut out = Vec::new();
        let Some(all) = self.dyn_value(DT_RELR).and_then(|a| self.at(a)) else {
            return out;
        };
        let size = usize::try_from(self.dyn_value(DT_RELRSZ).unwrap_or(0))
            .unwrap_or(0)
            .min(all.len());
        let mut next = 0u64;
        let mut push = |address: u64| {
            out.extend(
                self.at(address)
                    .and_then(|b| b.first_chunk::<8>())
                    .map(|b| u64::from_le_bytes(*b)),
            );
        };
        for raw in all[..size].as_chunks::<8>().0 {
            let entry = u64::from_le_bytes(*raw);
            if entry & 1 == 0 {
                push(entry);
                next = entry.wrapping_add(8);
            } else {
                for bit in 1..64 {
                    if entry >> bit & 1 != 0 {
                        push(next.wrapping_add((bit - 1) * 8));
                    }
                }
                next = next.wrapping_add(63 * 8);
            }
        }
        out
    }
}

/// `data[offset..offset + size]`, if the file has it.
pub(crate) fn bytes(data: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    data.get(start..end)
}

/// Little-endian 64-bit word at `at`, zero beyond the end.
pub(crate) fn word(raw: &[u8], at: usize) -> u64 {
    raw.get(at..)
        .and_then(|b| b.first_chunk::<8>())
        .map_or(0, |b| u64::from_le_bytes(*b))
}

fn words(raw: &[u8]) -> impl Iterator<Item = (u64, u64)> + '_ {
    raw.as_chunks::<16>()
        .0
        .iter()
        .map(|c| (word(c, 0), word(c, 8)))
}

fn string(table: &[u8], at: usize) -> &[u8] {
    let tail = table.get(at..).unwrap_or(&[]);
    let tail = &tail[..tail.len().min(LONGEST_NAME)];
    let end = memchr::memchr(0, tail).unwrap_or(tail.len());
    &tail[..end]
}

fn symbol<'a>(raw: &[u8; 24], strings: &'a [u8]) -> Symbol<'a> {
    let head = word(raw, 0);
    let section = (head >> 48) as u16;
    Symbol {
        name: string(strings, (head & 0xffff_ffff) as usize),
        value: word(raw, 8),
        size: word(raw, 16),
        kind: (head >> 32) as u8 & 0xf,
        defined: section != 0 && section < elf::SHN_LORESERVE,
    }
}

fn header(data: &[u8]) -> Result<&FileHeader64<LE>, ElfError> {
    let magic = &data[..data.len().min(4)];
    if magic != *b"\x7fELF" {
        return Err(ElfError::NotElf {
            found: magic.to_vec(),
        });
    }
    let unsupported = |what, value: u64, offset| {
        Err(ElfError::Unsupported {
            what,
            value,
            offset,
        })
    };
    match data {
        [_, _, _, _, class, ..] if *class != elf::ELFCLASS64 => {
            return unsupported("EI_CLASS", (*class).into(), 4);
        }
        [_, _, _, _, _, order, ..] if *order != elf::ELFDATA2LSB => {
            return unsupported("EI_DATA", (*order).into(), 5);
        }
        _ => {}
    }
    let truncated = ElfError::Truncated {
        what: "the ELF header",
        offset: 0,
        size: 64,
        len: data.len() as u64,
    };
    let (header, _) = pod::from_bytes::<FileHeader64<LE>>(data).map_err(|()| truncated)?;
    let (kind, machine) = (header.e_type.get(LE).0, header.e_machine.get(LE).0);
    if machine != elf::EM_X86_64 {
        return unsupported("e_machine", machine.into(), 18);
    }
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return unsupported("e_type", kind.into(), 16);
    }
    Ok(header)
}

fn check_entsize(
    what: &'static str,
    found: u16,
    want: u64,
    offset: u64,
    count: usize,
) -> Result<(), ElfError> {
    if count == 0 || u64::from(found) == want {
        return Ok(());
    }
    Err(ElfError::Unsupported {
        what,
        value: found.into(),
        offset,
    })
}

fn table<'a, T: pod::Pod>(
    data: &'a [u8],
    offset: u64,
    count: usize,
    entry: u64,
    what: &'static str,
) -> Result<&'a [T], ElfError> {
    if count == 0 {
        return Ok(&[]);
    }
    let size = count as u64 * entry;
    let truncated = ElfError::Truncated {
        what,
        offset,
        size,
        len: data.len() as u64,
    };
    let raw = bytes(data, offset, size).ok_or_else(|| truncated.clone())?;
    pod::slice_from_bytes(raw, count)
        .map(|(t, _)| t)
        .map_err(|()| truncated)
}

fn segment(raw: &ProgramHeader64<LE>) -> Segment {
    Segment {
        kind: raw.p_type.get(LE).0,
        flags: raw.p_flags.get(LE).0,
        offset: raw.p_offset.get(LE),
        vaddr: raw.p_vaddr.get(LE),
        paddr: raw.p_paddr.get(LE),
        filesz: raw.p_filesz.get(LE),
        memsz: raw.p_memsz.get(LE),
        align: raw.p_align.get(LE),
    }
}

fn check_segments(data: &[u8], phoff: u64, segments: &[Segment]) -> Result<(), ElfError> {
    let mut previous: Option<(usize, &Segment)> = None;
    for (index, segment) in segments.iter().enumerate().filter(|(_, s)| s.is_load()) {
        let offset = phoff + index as u64 * PHENT;
        let malformed = |reason| Err(ElfError::Malformed { offset, reason });
        if bytes(data, segment.offset, segment.filesz).is_none() {
            return Err(ElfError::Truncated {
                what: "a loaded segment",
                offset: segment.offset,
                size: segment.filesz,
                len: data.len() as u64,
            });
        }
        if segment.memsz < segment.filesz {
            return malformed("p_memsz is smaller than p_filesz");
        }
        if segment
            .vaddr
            .checked_add(segment.memsz)
            .is_none_or(|end| end > 1 << 47)
        {
            return malformed("the segment ends beyond the user half of the address space");
        }
        if segment.vaddr % 4096 != segment.offset % 4096 {
            return malformed("p_vaddr and p_offset differ modulo the page size");
        }
        if segment.is_code() && segment.flags & elf::PF_W != 0 {
            return Err(
                match memchr::memmem::find(&data[..data.len().min(4096)], b"UPX!") {
                    Some(at) => ElfError::Packed { offset: at as u64 },
                    None => ElfError::WritableCode { index, offset },
                },
            );
        }
        if let Some((first, before)) = previous {
            if segment.vaddr < before.vaddr {
                return malformed("loaded segments are not in ascending order of address");
            }
            if segment.vaddr < before.end() {
                return Err(ElfError::Overlap {
                    first,
                    second: index,
                    offset,
                    address: segment.vaddr,
                });
            }
        }
        previous = Some((index, segment));
    }
    if previous.is_none() {
        return Err(ElfError::Malformed {
            offset: phoff,
            reason: "no loaded segment",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_files_are_named() {
        assert_eq!(
            Elf::parse(b"#!/").unwrap_err(),
            ElfError::NotElf {
                found: b"#!/".to_vec()
            }
        );
        let mut file = vec![0u8; 64];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1]);
        assert!(matches!(
            Elf::parse(&file),
            Err(ElfError::Unsupported {
                what: "EI_CLASS",
                value: 1,
                offset: 4
            })
        ));
        file[4] = 2;
        file[5] = 2;
        assert!(matches!(
            Elf::parse(&file),
            Err(ElfError::Unsupported {
                what: "EI_DATA",
                ..
            })
        ));
        file[5] = 1;
        file[16] = 3;
        file[18] = 183;
        assert!(matches!(
            Elf::parse(&file),
            Err(ElfError::Unsupported {
                what: "e_machine",
                value: 183,
                offset: 18
            })
        ));
        file[18] = 62;
        assert!(matches!(
            Elf::parse(&file),
            Err(ElfError::Malformed {
                reason: "no loaded segment",
                ..
            })
        ));
        assert!(matches!(
            Elf::parse(&file[..40]),
            Err(ElfError::Truncated {
                what: "the ELF header",
                ..
            })
        ));
    }
}
