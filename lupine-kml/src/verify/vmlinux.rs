//! Whether a built `vmlinux` has Kernel Mode Linux in it: its symbols and its gate.
//!
//! What a file can show is checked. The interrupt stack table is filled at boot, so of the entry
//! stacks only the code that fills it is visible; whether a program runs in CPL 0 only a booted
//! kernel says.

use std::collections::BTreeMap;
use std::fmt;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, OpKind};
use object::{Architecture, Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where every kernel maps the gate, KASLR or not: the first slot of the fixmap.
pub const GATE_ADDRESS: u64 = 0xffff_ffff_ff7f_f000;

/// The page whose code the gate maps.
pub const GATE_SYMBOL: &str = "kml_gate_page";

/// Symbols that a kernel with Kernel Mode Linux has, and what each is.
pub const SYMBOLS: &[(&str, &str)] = &[
    (GATE_SYMBOL, "the gate's code"),
    (
        "kml_return_jmp",
        "the jump that ends a fast return to a program",
    ),
];

/// What a `vmlinux` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmlinuxReport {
    /// Whether everything that can be seen is there and right.
    pub good: bool,
    /// Each symbol of [`SYMBOLS`].
    pub symbols: Vec<SymbolFinding>,
    /// The gate's code, if its symbol is there.
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

/// The code of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateFinding {
    /// Link address of the page.
    pub address: u64,
    /// Whether it starts a page, as it must to be mapped.
    pub page_aligned: bool,
    /// Whether its first instruction is `cli`.
    pub starts_with_cli: bool,
    /// Bytes from its start to the jump that leaves it, inclusive; none if none was found.
    pub length: Option<u64>,
    /// Offsets of instructions relative to the instruction pointer: they go astray, since the
    /// code runs at another address than it was linked for.
    pub rip_relative: Vec<u64>,
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
    let gate = address(GATE_SYMBOL).map(|at| gate(at, code_at(&file, at, 4096)));
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
        self.page_aligned
            && self.starts_with_cli
            && self.length.is_some()
            && self.rip_relative.is_empty()
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

fn gate(address: u64, code: &[u8]) -> GateFinding {
    let mut found = GateFinding {
        address,
        page_aligned: address.is_multiple_of(4096),
        starts_with_cli: false,
        length: None,
        rip_relative: Vec::new(),
    };
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            break;
        }
        let offset = instruction.ip() - address;
        found.starts_with_cli |= offset == 0 && instruction.code() == Code::Cli;
        // Jumps within the page move along with it; everything else must be absolute.
        let leaves = |target: u64| target / 4096 != address / 4096;
        let near = instruction.op_count() > 0 && instruction.op0_kind() == OpKind::NearBranch64;
        if instruction.is_ip_rel_memory_operand()
            || (near && leaves(instruction.near_branch_target()))
        {
            found.rip_relative.push(offset);
        }
        if matches!(
            instruction.flow_control(),
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
        ) {
            found.length = Some(instruction.next_ip() - address);
            break;
        }
    }
    found
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
                (!gate.starts_with_cli, "does not start with cli"),
                (gate.length.is_none(), "never jumps to the kernel"),
                (
                    !gate.rip_relative.is_empty(),
                    "has instructions relative to their address",
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

    /// `cli; mov $0x202,%r11d; jmp *0xffffffff82000000`
    const GATE: &[u8] = &[
        0xfa, 0x41, 0xbb, 2, 2, 0, 0, 0xff, 0x24, 0x25, 0, 0, 0, 0x82,
    ];
    /// `mov $0xffffffffff7ff000,%rax; ret`
    const LOAD: &[u8] = &[0x48, 0xc7, 0xc0, 0x00, 0xf0, 0x7f, 0xff, 0xc3];

    /// An object file with code at the given names; the sections lie at address 0.
    fn elf(code: &[(&str, &[u8])]) -> Vec<u8> {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let section = object.section_id(object::write::StandardSection::Text);
        for (name, bytes) in code {
            let value = object.append_section_data(section, bytes, 4096);
            object.add_symbol(Symbol {
                name: name.as_bytes().to_vec(),
                value,
                size: bytes.len() as u64,
                kind: SymbolKind::Text,
                scope: SymbolScope::Linkage,
                weak: false,
                section: SymbolSection::Section(section),
                flags: SymbolFlags::None,
            });
        }
        object.write().unwrap()
    }

    #[test]
    fn a_kernel_with_a_gate() {
        let file = elf(&[
            ("kml_gate_page", GATE),
            ("kml_return_jmp", &[0xff, 0xe1]),
            ("load_elf_binary", LOAD),
        ]);
        let report = verify_vmlinux(&file).unwrap();
        assert!(report.good, "{report}");
        assert_eq!(report.gate.unwrap().length, Some(14));
    }

    #[test]
    fn what_is_wrong_is_seen() {
        // mov 0(%rip),%rax; jmp *%rax
        let bad = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xff, 0xe0];
        let report = verify_vmlinux(&elf(&[("kml_gate_page", &bad)])).unwrap();
        assert!(!report.good);
        assert!(!report.gate_address_used);
        let gate = report.gate.clone().unwrap();
        assert_eq!((gate.starts_with_cli, gate.rip_relative), (false, vec![0]));
        assert!(report.to_string().contains("missing: kml_return_jmp"));
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
