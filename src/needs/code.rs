//! The code of one file: its functions, and how execution gets into them.

use std::collections::BTreeSet;

use goblin::elf::Elf;
use goblin::elf::reloc::{R_X86_64_64, R_X86_64_RELATIVE};
use lupine_kml::scan::{Callee, Function, Functions, Values};

use super::elf::ElfFacts;

/// `DT_RELR`: relocations in packed form.
const DT_RELR: u64 = 36;

/// What is known of a file's code, whatever program loads it.
#[derive(Debug)]
pub(super) struct Code<'a> {
    functions: Option<Functions<'a>>,
    /// Why it could not be read.
    pub(super) unread: Option<String>,
    /// Functions that the entry point or something outside of code points to.
    pub(super) roots: Vec<usize>,
    /// Functions that can be looked up by name.
    pub(super) exported: Vec<usize>,
    /// Imports whose address is taken, or that no decoded call names.
    pub(super) pointers: Vec<String>,
}

impl<'a> Code<'a> {
    /// Reads a file, which no rewriting has changed.
    pub(super) fn read(bytes: &'a [u8], facts: &ElfFacts) -> Code<'a> {
        let (functions, unread) = match Functions::read(bytes) {
            Ok(functions) => (Some(functions), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut code = Code {
            functions,
            unread,
            roots: Vec::new(),
            exported: Vec::new(),
            pointers: Vec::new(),
        };
        let called: BTreeSet<usize> = code
            .list()
            .iter()
            .flat_map(|function| &function.calls)
            .filter_map(|call| match call.callee {
                Callee::Import(at) => Some(at),
                Callee::Local(_) => None,
            })
            .collect();
        let names = code.imports();
        let called: BTreeSet<&str> = called.into_iter().map(|at| names[at].as_str()).collect();
        let pointers = facts.imports.iter();
        let pointers = pointers.filter(|name| !called.contains(name.as_str()));
        code.pointers = pointers.cloned().collect();
        code.find_roots(bytes);
        code
    }

    pub(super) fn list(&self) -> &[Function] {
        self.functions.as_ref().map_or(&[], Functions::list)
    }

    /// Names of what the loader finds, by [`Callee::Import`].
    pub(super) fn imports(&self) -> &[String] {
        self.functions.as_ref().map_or(&[], Functions::imports)
    }

    pub(super) fn starting(&self, address: u64) -> Option<usize> {
        self.functions.as_ref()?.starting(address)
    }

    pub(super) fn values(&self, function: usize) -> Values {
        let functions = self.functions.as_ref();
        functions.map_or_else(Values::default, |all| all.values(function))
    }

    /// The entry point and every function that a relocation of data names; all functions where
    /// relocations do not tell (programs at a fixed address).
    fn find_roots(&mut self, bytes: &[u8]) {
        let Ok(elf) = Elf::parse(bytes) else {
            return;
        };
        let exported = elf.dynsyms.iter().map(|symbol| symbol.st_value);
        let exported: BTreeSet<usize> = exported.filter_map(|at| self.starting(at)).collect();
        self.exported = exported.into_iter().collect();
        let packed = elf
            .dynamic
            .iter()
            .flat_map(|d| &d.dyns)
            .any(|d| d.d_tag == DT_RELR);
        if packed || elf.header.e_type == goblin::elf::header::ET_EXEC {
            self.roots = (0..self.list().len()).collect();
            return;
        }
        let from_data = elf
            .dynrelas
            .iter()
            .filter_map(|relocation| match relocation.r_type {
                R_X86_64_RELATIVE => relocation.r_addend.map(|addend| addend as u64),
                R_X86_64_64 => {
                    let symbol = elf.dynsyms.get(relocation.r_sym)?;
                    let addend = relocation.r_addend.unwrap_or_default() as u64;
                    (symbol.st_value != 0).then_some(symbol.st_value.wrapping_add(addend))
                }
                _ => None,
            });
        let roots = from_data.chain([elf.header.e_entry]);
        let roots: BTreeSet<usize> = roots.filter_map(|at| self.starting(at)).collect();
        self.roots = roots.into_iter().collect();
    }
}
