//! What a kernel's code and data are made of: the sections of the objects that it was linked
//! from, by the directory of the tree that they come from.
//!
//! The link keeps every object of `vmlinux.a`, and of the libraries those that something calls:
//! the ones whose symbols are in `System.map`.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SectionKind, elf};
use serde::{Deserialize, Serialize};

/// A part of the kernel's code and data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizePart {
    /// A directory of the kernel tree, such as `net/ipv4`.
    pub directory: String,
    /// Code and read-only data, bytes.
    pub text: u64,
    /// Initialised data, bytes.
    pub data: u64,
    /// Data that begins as zeros and takes no room in the file, bytes.
    pub bss: u64,
}

/// The objects of every kernel since 6.1, and the libraries that are linked with them on x86-64.
const ARCHIVES: [&str; 3] = ["vmlinux.a", "lib/lib.a", "arch/x86/lib/lib.a"];

/// Reads what the kernel in `objects` was linked from, largest part first; nothing where a
/// compiler left no machine code in its objects (link-time optimisation).
///
/// # Errors
/// A file cannot be read, or is not what its name says.
pub(super) fn read(objects: &Path) -> io::Result<Vec<SizePart>> {
    let map = fs::read(objects.join("System.map"))?;
    let linked: HashSet<&[u8]> = map
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.rsplit(|&byte| byte == b' ').next())
        .collect();
    let mut parts: BTreeMap<String, SizePart> = BTreeMap::new();
    for name in ARCHIVES {
        let path = objects.join(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            bytes => bytes?,
        };
        // Names are relative to the archive, or to where ar ran.
        let folder = path.parent().unwrap_or(objects);
        for member in members(&bytes)? {
            let beside = folder.join(&member);
            let file = match beside.exists() {
                true => beside,
                false => objects.join(&member),
            };
            let object = fs::read(&file)?;
            let Ok(object) = object::File::parse(object.as_slice()) else {
                continue;
            };
            if name != "vmlinux.a" && !is_linked(&object, &linked) {
                continue;
            }
            let directory = file
                .strip_prefix(objects)
                .unwrap_or(&file)
                .parent()
                .map(|path| path.display().to_string())
                .unwrap_or_default();
            let part = parts.entry(directory.clone()).or_insert(SizePart {
                directory,
                text: 0,
                data: 0,
                bss: 0,
            });
            add(part, &object);
        }
    }
    let mut parts: Vec<SizePart> = parts.into_values().collect();
    parts.sort_by_key(|part| std::cmp::Reverse((part.text + part.data, part.bss)));
    Ok(parts)
}

/// The names in an archive.
fn members(bytes: &[u8]) -> io::Result<Vec<String>> {
    let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let archive = ArchiveFile::parse(bytes).map_err(damaged)?;
    let mut names = Vec::new();
    for member in archive.members() {
        let member = member.map_err(damaged)?;
        names.push(String::from_utf8_lossy(member.name()).into_owned());
    }
    Ok(names)
}

/// Whether a library's object is part of the kernel.
fn is_linked(object: &object::File<'_>, linked: &HashSet<&[u8]>) -> bool {
    object
        .symbols()
        .filter(|symbol| symbol.is_definition() && symbol.is_global())
        .any(|symbol| symbol.name_bytes().is_ok_and(|name| linked.contains(name)))
}

/// Adds what an object's sections take in memory.
fn add(part: &mut SizePart, object: &object::File<'_>) {
    for section in object.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        if !sh_flags.contains(elf::SHF_ALLOC) {
            continue;
        }
        let count = match section.kind() {
            SectionKind::UninitializedData => &mut part.bss,
            _ if !sh_flags.contains(elf::SHF_WRITE) => &mut part.text,
            _ => &mut part.data,
        };
        *count += section.size();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object, Symbol, SymbolSection};
    use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

    /// An object with a function of `text` bytes and as much data and bss.
    fn object(name: &str, text: usize) -> Vec<u8> {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        for kind in [
            object::write::StandardSection::Text,
            object::write::StandardSection::ReadOnlyData,
            object::write::StandardSection::Data,
        ] {
            let id = object.section_id(kind);
            object.append_section_data(id, &vec![0x90; text], 1);
        }
        let bss = object.section_id(object::write::StandardSection::UninitializedData);
        object.append_section_bss(bss, 7, 1);
        let section = object.section_id(object::write::StandardSection::Text);
        object.add_symbol(Symbol {
            name: name.into(),
            value: 0,
            size: text as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
        object.write().unwrap()
    }

    /// A thin archive, as `ar rcT` writes it: names in a table, no contents.
    fn thin(names: &[(&str, usize)]) -> Vec<u8> {
        let table: String = names.iter().map(|(name, _)| format!("{name}/\n")).collect();
        let mut archive = b"!<thin>\n".to_vec();
        let header = |name: &str, size: usize| format!("{name:<16}{:<32}{size:<10}`\n", "");
        archive.extend(header("//", table.len()).bytes());
        archive.extend(table.bytes());
        if table.len() % 2 == 1 {
            archive.push(b'\n');
        }
        let mut at = 0;
        for (name, size) in names {
            archive.extend(header(&format!("/{at}"), *size).bytes());
            at += name.len() + 2;
        }
        archive
    }

    #[test]
    fn sections_are_counted_by_directory() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for (path, name, text) in [
            ("mm/slub.o", "kmalloc", 100),
            ("mm/util.o", "kfree", 11),
            ("net/ipv4/tcp.o", "tcp", 300),
            ("lib/used.o", "memcpy", 5),
            ("lib/unused.o", "memmem", 1000),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), object(name, text)).unwrap();
        }
        let archive = thin(&[("mm/slub.o", 1), ("mm/util.o", 1), ("net/ipv4/tcp.o", 1)]);
        fs::write(root.join("vmlinux.a"), archive).unwrap();
        let library = thin(&[("used.o", 1), ("unused.o", 1)]);
        fs::write(root.join("lib/lib.a"), library).unwrap();
        fs::write(root.join("System.map"), "ffffffff81000000 T memcpy\n").unwrap();
        let parts = read(root).unwrap();
        let found: Vec<(&str, u64, u64, u64)> = parts
            .iter()
            .map(|part| (part.directory.as_str(), part.text, part.data, part.bss))
            .collect();
        assert_eq!(
            found,
            [
                ("net/ipv4", 600, 300, 7),
                ("mm", 222, 111, 14),
                ("lib", 10, 5, 7)
            ]
        );
    }

    #[test]
    fn damaged_archives_are_errors() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("System.map"), "").unwrap();
        assert_eq!(read(temp.path()).unwrap(), []);
        fs::write(temp.path().join("vmlinux.a"), "no archive").unwrap();
        assert!(read(temp.path()).is_err());
    }
}
