//! What a path is that somebody wants verified.

use std::path::Path;

use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::rewrite::is_rewritten;

/// What can be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// A directory: a kernel tree, for [`verify_tree`](super::verify_tree).
    Tree,
    /// Text: a configuration, for [`verify_config`](super::verify_config).
    Config,
    /// A kernel, for [`verify_vmlinux`](super::verify_vmlinux), which says what is wrong with a bzImage.
    Vmlinux,
    /// A program or library, for [`verify_rewrite::verify`](crate::verify_rewrite::verify).
    Program,
}

impl Subject {
    /// What stands at a path, and its bytes (none for a directory).
    ///
    /// # Errors
    /// It is not there or cannot be read.
    pub fn read(path: &Path) -> std::io::Result<(Subject, Vec<u8>)> {
        if std::fs::metadata(path)?.is_dir() {
            return Ok((Subject::Tree, Vec::new()));
        }
        let bytes = std::fs::read(path)?;
        Ok((Subject::of_bytes(&bytes), bytes))
    }

    /// What a file's bytes are.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Subject {
        if !bytes.starts_with(b"\x7fELF") {
            let text = !bytes[..bytes.len().min(4096)].contains(&0);
            return if text {
                Subject::Config
            } else {
                Subject::Vmlinux
            };
        }
        if !is_rewritten(bytes) && is_linked_high(bytes).unwrap_or(false) {
            Subject::Vmlinux
        } else {
            Subject::Program
        }
    }
}

/// Whether the file is loaded to the kernel's half of the address space.
fn is_linked_high(bytes: &[u8]) -> Option<bool> {
    let header = FileHeader64::<object::Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let programs = header.program_headers(endian, bytes).ok()?;
    let loads = programs.iter().filter(|p| p.p_type(endian) == PT_LOAD);
    Some(loads.map(|p| p.p_vaddr(endian)).any(|a| a >> 63 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_bytes() {
        assert_eq!(
            Subject::of_bytes(b"# CONFIG_X is not set\n"),
            Subject::Config
        );
        assert_eq!(Subject::of_bytes(b""), Subject::Config);
        assert_eq!(Subject::of_bytes(b"MZ\0\0HdrS"), Subject::Vmlinux);
        assert_eq!(Subject::of_bytes(b"\x7fELF"), Subject::Program);
        let own = std::env::current_exe().unwrap();
        assert_eq!(Subject::read(&own).unwrap().0, Subject::Program);
        assert_eq!(
            Subject::read(own.parent().unwrap()).unwrap().0,
            Subject::Tree
        );
    }
}
