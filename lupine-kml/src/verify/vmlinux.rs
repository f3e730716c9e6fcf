//! Whether a built `vmlinux` has Kernel Mode Linux in it: its symbols and its gate.
//!
//! What a file can show is checked. The interrupt stack table is filled at boot, so of the entry
//! stacks only the code that fills it is visible; whether a program runs in CPL 0 only a booted
//! kernel says.

use std::collections::BTreeMap;
use std::fmt;

use iced_x86::{Code, Decoder, DecoderOptions, OpKind};
use object::{Architecture, Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where every kernel maps the gate, KASLR or not: the first slot of the fixmap.
pub const GATE_ADDRESS: u64 = 0xffff_ffff_ff7f_f000;

/// The page that is mapped there; the kernel writes the gate into it at boot.
pub const GATE_SYMBOL: &str = "kml_gate_page";

/// Where the gate leads.
const ENTRY_SYMBOL: &str = "entry_KML";

/// The jump back to the program; the instruction before it must be the STI.
const RETURN_SYMBOL: &str = "kml_return_jmp";

/// `sti; jmp *%rcx`
const STI_JMP: &[u8] = &[0xfb, 0xff, 0xe1];

/// Symbols that a kernel with Kernel Mode Linux has, and what each is.
pub const SYMBOLS: &[(&str, &str)] = &[
    (GATE_SYMBOL, "the page of the gate"),
    (ENTRY_SYMBOL, "where the gate leads"),
    (
        RETURN_SYMBOL,
        "the jump that ends a fast return to a program",
    ),
    (
        "kml_switch_stack",
        "tells interrupted programs from the interrupted kernel",
    ),
];

/// What a `vmlinux` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmlinuxReport {
    /// Whether everything that can be seen is there and right.
    pub good: bool,
    /// Each symbol of [`SYMBOLS`].
    pub symbols: Vec<SymbolFinding>,
    /// The gate and the code on both its sides, if its symbol is there.
    pub gate: Option<GateFinding>,
    /// Whether the code that starts programs holds [`GATE_ADDRESS`] as a constant, to hand it out
    /// as `AT_SYSINFO`.
    pub gate_address_used: bool,
}

/// One symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolFinding {
    /// Its name.
    pub name: String,
    /// Its link address; none if it is missing.
    pub address: Option<u64>,
}

/// The gate, and the code that it leads to and that leads back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateFinding {
    /// Link address of the page.
    pub address: u64,
    /// Whether it starts a page, as it must to be mapped.
    pub page_aligned: bool,
    /// Whether the entry is within the reach of the gate's near jump.
    pub entry_reachable: bool,
    /// Whether the entry starts with code.
    pub entry_is_code: bool,
    /// Whether the way back ends in `sti; jmp *%rcx`. No interrupt may come between the two: the
    /// stack is the program's already.
    pub return_is_whole: bool,
}

/// A file that cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VmlinuxError {
    /// Not an ELF file, or a damaged one.
    #[error("no readable ELF file; name the `vmlinux` of the build, not bzImage")]
    Elf(#[from] object::Error),
    /// For another machine.
    #[error("the file is for {0:?}; Kernel Mode Linux exists for x86-64")]
    Machine(Architecture),
    /// Stripped.
    #[error("the file has no symbols; name the `vmlinux` that the build left, not a stripped one")]
    NoSymbols,
}

/// Judges the bytes of a `vmlinux`.
///
/// # Errors
/// [`VmlinuxError`], if they are none. What a kernel lacks is no error but in the report.
pub fn verify_vmlinux(bytes: &[u8]) -> Result<VmlinuxReport, VmlinuxError> {
    let file = object::File::parse(bytes)?;
    if file.architecture() != Architecture::X86_64 {
        return Err(VmlinuxError::Machine(file.architecture()));
    }
    let mut addresses: BTreeMap<&[u8], (u64, u64)> = BTreeMap::new();
    for symbol in file.symbols() {
        if let Ok(name) = symbol.name_bytes() {
            addresses.insert(name, (symbol.address(), symbol.size()));
        }
    }
    if addresses.is_empty() {
        return Err(VmlinuxError::NoSymbols);
    }
    let address = |name: &str| addresses.get(name.as_bytes()).map(|&(address, _)| address);
    let symbols: Vec<_> = SYMBOLS
        .iter()
        .map(|&(name, _)| SymbolFinding {
            name: name.to_owned(),
            address: address(name),
        })
        .collect();
    let gate = address(GATE_SYMBOL).map(|page| GateFinding {
        address: page,
        page_aligned: page.is_multiple_of(4096),
        entry_reachable: address(ENTRY_SYMBOL)
            .is_some_and(|entry| i32::try_from(entry.wrapping_sub(GATE_ADDRESS) as i64).is_ok()),
        entry_is_code: address(ENTRY_SYMBOL)
            .is_some_and(|entry| starts_with_code(entry, code_at(&file, entry, 16))),
        return_is_whole: address(RETURN_SYMBOL)
            .and_then(|jump| jump.checked_sub(1))
            .is_some_and(|sti| code_at(&file, sti, STI_JMP.len()) == STI_JMP),
    });
    let starters = ["load_elf_binary", "create_elf_tables"];
    let gate_address_used = starters.iter().any(|name| {
        addresses.get(name.as_bytes()).is_some_and(|&(at, size)| {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            holds_constant(at, code_at(&file, at, size), GATE_ADDRESS)
        })
    });
    let good = symbols.iter().all(|symbol| symbol.address.is_some())
        && gate.as_ref().is_some_and(GateFinding::is_good)
        && gate_address_used;
    Ok(VmlinuxReport {
        good,
        symbols,
        gate,
        gate_address_used,
    })
}

impl GateFinding {
    /// Whether the code can work as a gate.
    pub fn is_good(&self) -> bool {
        self.page_aligned && self.entry_reachable && self.entry_is_code && self.return_is_whole
    }
}

/// At most `length` bytes of code linked at an address; empty if there are none.
fn code_at<'d>(file: &object::File<'d>, address: u64, length: usize) -> &'d [u8] {
    let section = file.sections().find(|section| {
        section.kind() == SectionKind::Text
            && address
                .checked_sub(section.address())
                .is_some_and(|into| into < section.size())
    });
    let Some(section) = section else { return &[] };
    let (Ok(data), Ok(into)) = (section.data(), usize::try_from(address - section.address()))
    else {
        return &[];
    };
    let code = data.get(into..).unwrap_or(&[]);
    &code[..code.len().min(length)]
}

fn starts_with_code(address: u64, code: &[u8]) -> bool {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    decoder.can_decode() && {
        let first = decoder.decode();
        !first.is_invalid() && first.code() != Code::Int3
    }
}

fn holds_constant(address: u64, code: &[u8], constant: u64) -> bool {
    Decoder::with_ip(64, code, address, DecoderOptions::NONE)
        .iter()
        .any(|instruction| {
            (0..instruction.op_count()).any(|operand| match instruction.op_kind(operand) {
                OpKind::Immediate32to64 | OpKind::Immediate64 => {
                    instruction.immediate(operand) == constant
                }
                _ => false,
            })
        })
}

impl fmt::Display for VmlinuxReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (finding, (_, what)) in self.symbols.iter().zip(SYMBOLS) {
            match finding.address {
                Some(address) => writeln!(f, "{address:#018x} {} ({what})", finding.name)?,
                None => writeln!(f, "missing: {} ({what})", finding.name)?,
            }
        }
        if let Some(gate) = &self.gate {
            let words = [
                (!gate.page_aligned, "does not start a page"),
                (
                    !gate.entry_reachable,
                    "cannot reach its entry by a near jump",
                ),
                (!gate.entry_is_code, "leads to no code"),
                (
                    !gate.return_is_whole,
                    "is not left by `sti; jmp *%rcx`: interrupts would find a program's stack in the kernel",
                ),
            ];
            for (_, word) in words.iter().filter(|(wrong, _)| *wrong) {
                writeln!(f, "the gate {word}")?;
            }
        }
        if self.gate_address_used {
            writeln!(f, "programs are told of the gate at {GATE_ADDRESS:#x}")
        } else {
            writeln!(f, "programs are not told of the gate at {GATE_ADDRESS:#x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object, Symbol, SymbolSection};
    use object::{BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

    /// `mov $0xffffffffff7ff000,%rax; ret`
    const LOAD: &[u8] = &[0x48, 0xc7, 0xc0, 0x00, 0xf0, 0x7f, 0xff, 0xc3];

    /// The upper 2 GiB, where the code of the kernel lies.
    const TEXT: u64 = 0xffff_ffff_8120_0000;

    /// An object file with code at the given names, each on a page of its own, linked at [`TEXT`].
    fn elf(code: &[(&str, &[u8])]) -> Vec<u8> {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let section = object.section_id(object::write::StandardSection::Text);
        for (name, bytes) in code {
            let value = object.append_section_data(section, bytes, 4096);
            // This name follows an instruction of one byte.
            let into = u64::from(*name == "kml_return_jmp");
            object.add_symbol(Symbol {
                name: name.as_bytes().to_vec(),
                value: value + into,
                size: bytes.len() as u64 - into,
                kind: SymbolKind::Text,
                scope: SymbolScope::Linkage,
                weak: false,
                section: SymbolSection::Section(section),
                flags: SymbolFlags::None,
            });
        }
        linked(object.write().unwrap())
    }

    /// Moves the `.text` section and every symbol to [`TEXT`].
    fn linked(mut file: Vec<u8>) -> Vec<u8> {
        let (text, symbols) = {
            let read = object::File::parse(&*file).unwrap();
            let table = read.section_by_name(".symtab").unwrap();
            let (at, size) = table.file_range().unwrap();
            let text = read.section_by_name(".text").unwrap().index().0;
            (text, (at, at + size))
        };
        let mut add = |at: usize| {
            let old = u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
            file[at..at + 8].copy_from_slice(&(old + TEXT).to_le_bytes());
        };
        // e_shoff is at 40 of the file header, sh_addr at 16 of a section's, st_value at 8 of a symbol.
        for symbol in (symbols.0..symbols.1).step_by(24).skip(1) {
            add(symbol as usize + 8);
        }
        let headers = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
        let at = headers + text * 64 + 16;
        file[at..at + 8].copy_from_slice(&TEXT.to_le_bytes());
        file
    }

    #[test]
    fn a_kernel_with_a_gate() {
        let file = elf(&[
            ("kml_gate_page", &[0; 8]),
            ("entry_KML", &[0x0f, 0x01, 0xf8]),
            ("kml_return_jmp", &[0xfb, 0xff, 0xe1]),
            ("kml_switch_stack", &[0x50]),
            ("load_elf_binary", LOAD),
        ]);
        let report = verify_vmlinux(&file).unwrap();
        assert!(report.good, "{report:?}\n{report}");
    }

    #[test]
    fn what_is_wrong_is_seen() {
        // A NOP between the STI and the jump.
        let report = verify_vmlinux(&elf(&[
            ("kml_gate_page", &[0; 8]),
            ("entry_KML", &[0xcc]),
            ("kml_return_jmp", &[0x90, 0xff, 0xe1]),
        ]))
        .unwrap();
        assert!(!report.good);
        assert!(!report.gate_address_used);
        let gate = report.gate.clone().unwrap();
        assert!(gate.page_aligned && gate.entry_reachable);
        assert!(!gate.entry_is_code && !gate.return_is_whole);
        assert!(report.to_string().contains("missing: kml_switch_stack"));
        let stock = verify_vmlinux(&elf(&[("load_elf_binary", &[0xc3])])).unwrap();
        assert!(stock.gate.is_none() && !stock.good);
    }

    #[test]
    fn what_is_no_vmlinux() {
        assert!(matches!(
            verify_vmlinux(b"MZ\0\0"),
            Err(VmlinuxError::Elf(_))
        ));
        assert!(matches!(
            verify_vmlinux(&elf(&[])),
            Err(VmlinuxError::NoSymbols)
        ));
    }
}
