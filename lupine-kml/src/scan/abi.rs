//! Constants of the ELF format as plain numbers, from `object`'s typed ones.

use object::elf;

pub(crate) use object::elf::SHN_LORESERVE;

pub(crate) const ELFCLASS64: u8 = elf::ELFCLASS64.0;
pub(crate) const ELFDATA2LSB: u8 = elf::ELFDATA2LSB.0;
pub(crate) const EM_X86_64: u16 = elf::EM_X86_64.0;
pub(crate) const ET_DYN: u16 = elf::ET_DYN.0;
pub(crate) const ET_EXEC: u16 = elf::ET_EXEC.0;
pub(crate) const PF_R: u32 = elf::PF_R.0;
pub(crate) const PF_W: u32 = elf::PF_W.0;
pub(crate) const PF_X: u32 = elf::PF_X.0;
pub(crate) const PT_DYNAMIC: u32 = elf::PT_DYNAMIC.0;
pub(crate) const PT_GNU_EH_FRAME: u32 = elf::PT_GNU_EH_FRAME.0;
pub(crate) const PT_GNU_PROPERTY: u32 = elf::PT_GNU_PROPERTY.0;
pub(crate) const PT_INTERP: u32 = elf::PT_INTERP.0;
pub(crate) const PT_LOAD: u32 = elf::PT_LOAD.0;
pub(crate) const PT_NOTE: u32 = elf::PT_NOTE.0;
pub(crate) const PT_NULL: u32 = elf::PT_NULL.0;
pub(crate) const PT_PHDR: u32 = elf::PT_PHDR.0;
pub(crate) const R_X86_64_64: u32 = elf::R_X86_64_64.0;
pub(crate) const R_X86_64_GLOB_DAT: u32 = elf::R_X86_64_GLOB_DAT.0;
pub(crate) const R_X86_64_IRELATIVE: u32 = elf::R_X86_64_IRELATIVE.0;
pub(crate) const R_X86_64_JUMP_SLOT: u32 = elf::R_X86_64_JUMP_SLOT.0;
pub(crate) const R_X86_64_RELATIVE: u32 = elf::R_X86_64_RELATIVE.0;
pub(crate) const SHF_ALLOC: u64 = elf::SHF_ALLOC.0;
pub(crate) const SHF_EXECINSTR: u64 = elf::SHF_EXECINSTR.0;
pub(crate) const SHT_DYNSYM: u32 = elf::SHT_DYNSYM.0;
pub(crate) const SHT_NOBITS: u32 = elf::SHT_NOBITS.0;
pub(crate) const SHT_NOTE: u32 = elf::SHT_NOTE.0;
pub(crate) const SHT_PROGBITS: u32 = elf::SHT_PROGBITS.0;
pub(crate) const SHT_RELA: u32 = elf::SHT_RELA.0;
pub(crate) const SHT_STRTAB: u32 = elf::SHT_STRTAB.0;
pub(crate) const SHT_SYMTAB: u32 = elf::SHT_SYMTAB.0;
pub(crate) const STT_FUNC: u8 = elf::STT_FUNC.0;
pub(crate) const STT_GNU_IFUNC: u8 = elf::STT_GNU_IFUNC.0;
pub(crate) const STT_NOTYPE: u8 = elf::STT_NOTYPE.0;
