//! What the dynamic section of an ELF file says: interpreter, libraries,
//! imported functions.

use goblin::elf::Elf;
use goblin::elf::dynamic::{DT_RPATH, DT_RUNPATH};
use goblin::elf::header::{EM_X86_64, ET_DYN, ET_EXEC};
use thiserror::Error;

/// Why an ELF file cannot run in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ElfError {
    /// It does not start with ELF's magic bytes.
    #[error("is not an ELF file")]
    NotElf,
    /// It is damaged.
    #[error("is a damaged ELF file: {0}")]
    Damaged(String),
    /// It is for another machine.
    #[error("is for another architecture ({0}), the guest is x86-64")]
    Architecture(String),
    /// It is neither an executable nor a shared object.
    #[error("is an ELF file of type {0}, not an executable or a shared library")]
    Type(u16),
}

/// The facts of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElfFacts {
    /// The dynamic loader that the kernel starts, for a dynamic executable.
    pub interpreter: Option<String>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<String>,
    /// Folders of `DT_RUNPATH` and `DT_RPATH`, `$ORIGIN` not yet replaced.
    pub runpath: Vec<String>,
    /// Names of undefined dynamic symbols: what it imports.
    pub imports: Vec<String>,
    /// Zero-terminated strings that start with `/proc/`, `/sys/` or `/dev/`.
    pub kernel_paths: Vec<String>,
}

impl ElfFacts {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ElfError`]; hostile bytes give an error, never a panic.
    pub fn parse(bytes: &[u8]) -> Result<ElfFacts, ElfError> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(ElfError::NotElf);
        }
        let elf = Elf::parse(bytes).map_err(|e| ElfError::Damaged(e.to_string()))?;
        if elf.header.e_machine != EM_X86_64 || !elf.is_64 {
            let machine = goblin::elf::header::machine_to_str(elf.header.e_machine);
            let width = if elf.is_64 { 64 } else { 32 };
            return Err(ElfError::Architecture(format!("{machine}, {width} bits")));
        }
        if ![ET_EXEC, ET_DYN].contains(&elf.header.e_type) {
            return Err(ElfError::Type(elf.header.e_type));
        }
        let mut runpath = Vec::new();
        for entry in elf.dynamic.iter().flat_map(|dynamic| &dynamic.dyns) {
            if [DT_RUNPATH, DT_RPATH].contains(&entry.d_tag)
                && let Some(text) = elf.dynstrtab.get_at(entry.d_val as usize)
            {
                runpath.extend(text.split(':').filter(|s| !s.is_empty()).map(str::to_owned));
            }
        }
        let mut imports: Vec<String> = elf
            .dynsyms
            .iter()
            .filter(goblin::elf::Sym::is_import)
            .filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name))
            .map(str::to_owned)
            .collect();
        imports.sort_unstable();
        imports.dedup();
        Ok(ElfFacts {
            interpreter: elf.interpreter.map(str::to_owned),
            needed: elf.libraries.iter().map(|&name| name.to_owned()).collect(),
            runpath,
            imports,
            kernel_paths: kernel_paths(bytes),
        })
    }
}

fn kernel_paths(bytes: &[u8]) -> Vec<String> {
    let mut paths: Vec<String> = bytes
        .split(|&byte| byte == 0)
        .filter(|part| part.starts_with(b"/") && part.len() > 5)
        .filter_map(|part| std::str::from_utf8(part).ok())
        .filter(|text| super::table::is_kernel_path(text))
        .map(str::to_owned)
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_machines_shell() {
        let bytes = std::fs::read("/bin/sh").unwrap();
        let facts = ElfFacts::parse(&bytes).unwrap();
        assert!(facts.interpreter.unwrap().contains("ld-linux"));
        assert!(facts.needed.iter().any(|name| name.starts_with("libc.so")));
        assert!(facts.imports.iter().any(|name| name == "fork"));
    }

    #[test]
    fn foreign_and_damaged_files_are_errors() {
        assert_eq!(ElfFacts::parse(b"#!/bin/sh\n"), Err(ElfError::NotElf));
        let mut bytes = std::fs::read("/bin/sh").unwrap();
        bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
        assert!(matches!(
            ElfFacts::parse(&bytes),
            Err(ElfError::Architecture(_))
        ));
        for cut in [5, 20, 63, 64, 1000] {
            assert!(ElfFacts::parse(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    proptest::proptest! {
        #[test]
        fn mutated_files_never_panic(at in 0usize..4096, with: [u8; 8]) {
            let mut bytes = std::fs::read("/bin/sh").unwrap();
            bytes[at..at + 8].copy_from_slice(&with);
            let _ = ElfFacts::parse(&bytes);
        }
    }
}
