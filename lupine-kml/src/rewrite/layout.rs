//! Puts the new segment into the file: program headers, section headers, offsets.
//!
//! The original stays a prefix of the new file, patched where it must be; everything new is appended. A slot for
//! the new `PT_LOAD` is found in this order: an unused entry (`PT_NULL`); `PT_GNU_PROPERTY`, whose content a
//! `PT_NOTE` names as well; the first two segments as one, where they are neighbours (the classic layout with
//! headers and code in one segment); a copy of the whole table at the start of the new segment.

use crate::scan::abi as elf;

use super::RewriteError;
use super::note::Note;
use crate::scan::elf::{Elf, PHENT, SHENT, Segment};

/// Name of the section that holds the trampolines.
pub(crate) const CODE_SECTION: &[u8] = b".text.lupine";
/// Name of the section that holds the unwind entries of the trampolines.
pub(crate) const FRAME_SECTION: &[u8] = b".eh_frame.lupine";
const PAGE: u64 = 4096;
/// Largest hole that the moved program header table may cost.
const HOLE: u64 = 64 << 20;

/// How the program header of the new segment found its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Replaces the entry of this index.
    Instead(usize),
    /// These two become one.
    Merge(usize, usize),
    /// The table moves into the new segment.
    Move,
}

/// Where things will stand.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) slot: Slot,
    /// A writable segment whose zero-filled end becomes part of the file: index and new offset.
    pub(crate) data: Option<(usize, u64)>,
    /// File offset of the new segment.
    pub(crate) offset: u64,
    /// Its address.
    pub(crate) address: u64,
    /// Address of the first byte behind the moved program header table, if any.
    pub(crate) content: u64,
}

impl Layout {
    pub(crate) fn choose(elf: &Elf<'_>) -> Result<Self, RewriteError> {
        let slot = slot(elf);
        let end = elf
            .segments
            .iter()
            .filter(|s| s.is_load())
            .map(Segment::end)
            .max()
            .unwrap_or(0);
        let mut offset = (elf.data.len() as u64).next_multiple_of(PAGE);
        let mut data = None;
        if let Some(index) = loader_data(elf) {
            let segment = &elf.segments[index];
            let at = offset + segment.vaddr % PAGE;
            data = Some((index, at));
            offset = (at + segment.memsz).next_multiple_of(PAGE);
        }
        let mut address = end.next_multiple_of(PAGE);
        let mut content = address;
        if slot == Slot::Move {
            // Loaders take the table's address as that of the first segment plus e_phoff.
            let first = elf
                .segments
                .iter()
                .find(|s| s.is_load())
                .map_or(0, |s| s.vaddr.wrapping_sub(s.offset));
            let wanted = address.wrapping_sub(first);
            if wanted > offset {
                if wanted - offset > HOLE {
                    return Err(RewriteError::NoProgramHeader {
                        hole: wanted - offset,
                    });
                }
                offset = wanted;
            } else {
                address = first.wrapping_add(offset);
            }
            content = address + ((elf.segments.len() as u64 + 1) * PHENT).next_multiple_of(16);
        }
        Ok(Layout {
            slot,
            data,
            offset,
            address,
            content,
        })
    }
}

fn slot(elf: &Elf<'_>) -> Slot {
    if let Some(index) = elf.segments.iter().position(|s| s.kind == elf::PT_NULL) {
        return Slot::Instead(index);
    }
    if let Some(index) = elf
        .segments
        .iter()
        .position(|s| s.kind == elf::PT_GNU_PROPERTY)
    {
        let property = elf.segments[index];
        let named = elf.segments.iter().any(|s| {
            s.kind == elf::PT_NOTE
                && s.offset <= property.offset
                && s.offset.saturating_add(s.filesz)
                    >= property.offset.saturating_add(property.filesz)
        });
        if named {
            return Slot::Instead(index);
        }
    }
    let mut loads = elf.segments.iter().enumerate().filter(|(_, s)| s.is_load());
    if let (Some((first, a)), Some((second, b))) = (loads.next(), loads.next()) {
        let readable = a.flags == elf::PF_R && b.flags == elf::PF_R | elf::PF_X;
        let full = a.filesz == a.memsz && a.filesz > 0;
        let same = a.vaddr.wrapping_sub(a.offset) == b.vaddr.wrapping_sub(b.offset);
        if readable && full && same && a.end().next_multiple_of(PAGE) >= b.vaddr / PAGE * PAGE {
            return Slot::Merge(first, second);
        }
    }
    Slot::Move
}

/// The data segment of a program interpreter. Kernels before 6.7 clear and map the zero-filled end only of its last
/// segment, which is now ours: so that end is written out.
fn loader_data(elf: &Elf<'_>) -> Option<usize> {
    if elf.has_segment(elf::PT_INTERP)
        || elf.has_needed()
        || elf.kind == crate::scan::Kind::Executable
        || !elf.has_segment(elf::PT_DYNAMIC)
    {
        return None;
    }
    let index = elf.segments.iter().rposition(Segment::is_load)?;
    let segment = &elf.segments[index];
    (segment.memsz > segment.filesz && segment.memsz <= 1 << 20).then_some(index)
}

/// What goes into the new segment, behind the program header table if that moves.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Loaded bytes, from [`Layout::content`] on.
    pub(crate) bytes: Vec<u8>,
    /// Length of the trampolines, the first part of `bytes`.
    pub(crate) code: u64,
    /// Unwind entries of the trampolines: start within `bytes`, length.
    pub(crate) frames: Option<(u64, u64)>,
    /// The search table of all unwind entries: start within `bytes`, length.
    pub(crate) frame_header: Option<(u64, u64)>,
}

/// The file under construction: changes to the original are remembered.
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    pub(crate) patches: Vec<(u64, Vec<u8>)>,
}

impl Image {
    pub(crate) fn new(original: &[u8]) -> Self {
        Image {
            bytes: original.to_vec(),
            patches: Vec::new(),
        }
    }

    /// Overwrites bytes of the original. The caller knows that they lie within it.
    pub(crate) fn patch(&mut self, offset: u64, new: &[u8]) {
        let at = offset as usize;
        if let Some(place) = self.bytes.get_mut(at..at + new.len())
            && place != new
        {
            self.patches.push((offset, place.to_vec()));
            place.copy_from_slice(new);
        }
    }

    fn pad_to(&mut self, offset: u64) {
        self.bytes.resize(offset as usize, 0);
    }
}

/// Appends everything new and patches the headers. `image` already has the code patched.
pub(crate) fn finish(
    elf: &Elf<'_>,
    layout: &Layout,
    content: &Content,
    mut image: Image,
    note: impl FnOnce(Vec<(u64, Vec<u8>)>) -> Note,
) -> Result<Vec<u8>, RewriteError> {
    let programs = programs(elf, layout, content);
    let strings = names(elf)?;
    let added = 2 + usize::from(content.frames.is_some()) + usize::from(elf.shnum == 0);
    let sections = elf.shnum.max(1) + added;
    if sections >= usize::from(elf::SHN_LORESERVE) || programs.len() > usize::from(u16::MAX - 1) {
        return Err(RewriteError::TooManyHeaders {
            sections,
            programs: programs.len(),
        });
    }

    // The headers' positions depend only on lengths: the moved data, the new segment, the note, names, sections.
    let end = layout.offset + segment_size(layout, content);
    let header = header_patches(elf, layout, programs.len(), sections);
    let table: Vec<u8> = programs.iter().flat_map(encode_program).collect();
    for (at, value, len) in &header {
        image.patch(*at, &value.to_le_bytes()[..*len]);
    }
    if layout.slot != Slot::Move {
        image.patch(elf.phoff, &table);
    }
    // The section header table goes last; its offset is patched in before the note is taken.
    let mut note_patches = image.patches.clone();
    let shoff_original = image
        .bytes
        .get(40..48)
        .map(<[u8]>::to_vec)
        .unwrap_or_default();
    note_patches.push((40, shoff_original));
    let note_bytes = note(note_patches).encode();
    let note_at = end.next_multiple_of(8);
    let names_at = note_at + note_bytes.len() as u64;
    let shoff = (names_at + strings.bytes.len() as u64).next_multiple_of(8);
    image.patch(40, &shoff.to_le_bytes());

    if let Some((index, at)) = layout.data {
        let segment = elf.segments[index];
        image.pad_to(at);
        let file = crate::scan::elf::bytes(elf.data, segment.offset, segment.filesz).unwrap_or(&[]);
        image.bytes.extend(file);
        image.pad_to(at + segment.memsz);
    }
    image.pad_to(layout.offset);
    if layout.slot == Slot::Move {
        image.bytes.extend(&table);
        image.pad_to(layout.offset + (layout.content - layout.address));
    }
    image.bytes.extend(&content.bytes);
    image.pad_to(note_at);
    image.bytes.extend(&note_bytes);
    image.bytes.extend(&strings.bytes);
    image.pad_to(shoff);
    let places = Places {
        note: (note_at, note_bytes.len() as u64),
        names: (names_at, strings.bytes.len() as u64),
    };
    let headers = section_headers(elf, layout, content, &strings, &places);
    image.bytes.extend(headers);
    Ok(image.bytes)
}

/// Changes of the ELF header but for `e_shoff`: offset, value, length.
fn header_patches(
    elf: &Elf<'_>,
    layout: &Layout,
    programs: usize,
    sections: usize,
) -> Vec<(u64, u64, usize)> {
    let mut out = vec![(58, SHENT, 2), (60, sections as u64, 2)];
    if elf.shnum == 0 {
        out.push((62, sections as u64 - 1, 2));
    }
    if layout.slot == Slot::Move {
        out.push((32, layout.offset, 8));
        out.push((56, programs as u64, 2));
    }
    out
}

/// Bytes of the new segment: whole pages. Behind the last segment of a program interpreter, kernels before 6.7 clear
/// the rest of the page, and refuse the program where that cannot be written.
fn segment_size(layout: &Layout, content: &Content) -> u64 {
    (layout.content - layout.address + content.bytes.len() as u64).next_multiple_of(PAGE)
}

fn programs(elf: &Elf<'_>, layout: &Layout, content: &Content) -> Vec<Segment> {
    let size = segment_size(layout, content);
    let new = Segment {
        kind: elf::PT_LOAD,
        flags: elf::PF_R | elf::PF_X,
        offset: layout.offset,
        vaddr: layout.address,
        paddr: layout.address,
        filesz: size,
        memsz: size,
        align: PAGE,
    };
    let mut all = elf.segments.clone();
    if let Some((index, at)) = layout.data {
        let old = all[index];
        for segment in all
            .iter_mut()
            .filter(|s| !s.is_load() && s.memsz > 0 && s.vaddr >= old.vaddr && s.vaddr < old.end())
        {
            segment.offset = at + (segment.vaddr - old.vaddr);
        }
        all[index].offset = at;
        all[index].filesz = old.memsz;
    }
    if let Some((start, len)) = content.frame_header {
        for segment in all.iter_mut().filter(|s| s.kind == elf::PT_GNU_EH_FRAME) {
            segment.vaddr = layout.content + start;
            segment.paddr = segment.vaddr;
            segment.offset = layout.offset + (segment.vaddr - layout.address);
            (segment.filesz, segment.memsz) = (len, len);
        }
    }
    let last = all.iter().rposition(Segment::is_load).map_or(0, |i| i + 1);
    match layout.slot {
        Slot::Instead(index) => {
            all.insert(last, new);
            all.remove(if index < last { index } else { index + 1 });
        }
        Slot::Merge(first, second) => {
            let (a, b) = (all[first], all[second]);
            all[first].flags |= b.flags;
            all[first].filesz = b.vaddr - a.vaddr + b.filesz;
            all[first].memsz = b.vaddr - a.vaddr + b.memsz;
            all[first].align = a.align.max(b.align);
            all.insert(last, new);
            all.remove(second);
        }
        Slot::Move => {
            all.insert(last, new);
            for segment in all.iter_mut().filter(|s| s.kind == elf::PT_PHDR) {
                segment.offset = layout.offset;
                segment.vaddr = layout.address;
                segment.paddr = layout.address;
                segment.filesz = (elf.segments.len() as u64 + 1) * PHENT;
                segment.memsz = segment.filesz;
            }
        }
    }
    all
}

fn encode_program(segment: &Segment) -> Vec<u8> {
    let mut out = Vec::with_capacity(56);
    out.extend(segment.kind.to_le_bytes());
    out.extend(segment.flags.to_le_bytes());
    for value in [
        segment.offset,
        segment.vaddr,
        segment.paddr,
        segment.filesz,
        segment.memsz,
        segment.align,
    ] {
        out.extend(value.to_le_bytes());
    }
    out
}

/// The section name table with our names behind it.
struct Strings {
    bytes: Vec<u8>,
    code: u32,
    frames: u32,
    note: u32,
    table: u32,
}

fn names(elf: &Elf<'_>) -> Result<Strings, RewriteError> {
    let old = match elf.sections.get(elf.shstrndx) {
        Some(section) if elf.shnum > 0 => elf.section_bytes(section).unwrap_or(&[]).to_vec(),
        _ => vec![0],
    };
    let mut bytes = old;
    let mut add = |name: &[u8]| {
        let at = bytes.len() as u32;
        bytes.extend(name);
        bytes.push(0);
        at
    };
    let (code, frames, note, table) = (
        add(CODE_SECTION),
        add(FRAME_SECTION),
        add(super::note::SECTION),
        add(b".shstrtab"),
    );
    Ok(Strings {
        bytes,
        code,
        frames,
        note,
        table,
    })
}

/// Offset and length of what only section headers name.
struct Places {
    note: (u64, u64),
    names: (u64, u64),
}

fn section_headers(
    elf: &Elf<'_>,
    layout: &Layout,
    content: &Content,
    strings: &Strings,
    places: &Places,
) -> Vec<u8> {
    let mut table = match crate::scan::elf::bytes(elf.data, elf.shoff, elf.shnum as u64 * SHENT) {
        Some(old) if elf.shnum > 0 => old.to_vec(),
        _ => vec![0; SHENT as usize],
    };
    let mut set = |index: usize, at: usize, value: u64| {
        let at = index * SHENT as usize + at;
        if let Some(place) = table.get_mut(at..at + 8) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    };
    let offset_of = |within: u64| layout.offset + (layout.content - layout.address) + within;
    for (index, section) in elf.sections.iter().enumerate() {
        if index == elf.shstrndx {
            set(index, 24, places.names.0);
            set(index, 32, places.names.1);
        }
        let loaded = section.flags & elf::SHF_ALLOC != 0;
        if let Some((data, at)) = layout.data.filter(|_| loaded) {
            let segment = elf.segments[data];
            if section.addr >= segment.vaddr && section.addr < segment.end() {
                set(index, 24, at + (section.addr - segment.vaddr));
            }
        }
        if let Some((start, len)) = content
            .frame_header
            .filter(|_| section.name == b".eh_frame_hdr")
        {
            set(index, 16, layout.content + start);
            set(index, 24, offset_of(start));
            set(index, 32, len);
        }
    }
    let alloc = elf::SHF_ALLOC;
    let mut push = |fields: [u64; 8]| {
        let [name, kind, flags, addr, offset, size, align, _] = fields;
        table.extend((name as u32).to_le_bytes());
        table.extend((kind as u32).to_le_bytes());
        for value in [flags, addr, offset, size] {
            table.extend(value.to_le_bytes());
        }
        table.extend(0u64.to_le_bytes());
        table.extend(align.to_le_bytes());
        table.extend(0u64.to_le_bytes());
    };
    let progbits = u64::from(elf::SHT_PROGBITS);
    push([
        strings.code.into(),
        progbits,
        alloc | elf::SHF_EXECINSTR,
        layout.content,
        offset_of(0),
        content.code,
        16,
        0,
    ]);
    if let Some((start, len)) = content.frames {
        push([
            strings.frames.into(),
            progbits,
            alloc,
            layout.content + start,
            offset_of(start),
            len,
            8,
            0,
        ]);
    }
    push([
        strings.note.into(),
        elf::SHT_NOTE.into(),
        0,
        0,
        places.note.0,
        places.note.1,
        4,
        0,
    ]);
    if elf.shnum == 0 {
        push([
            strings.table.into(),
            elf::SHT_STRTAB.into(),
            0,
            0,
            places.names.0,
            places.names.1,
            1,
            0,
        ]);
    }
    table
}
