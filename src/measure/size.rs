//! How large a kernel is.

use std::io::{self, Write as _};
use std::path::Path;

use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use liblzma::write::XzEncoder;
use object::{Object as _, ObjectSection as _, SectionFlags, elf};

use super::quantity;
use super::report::{Figure, Group};
use super::sample::Unit;

/// The sizes of a kernel's files, and of what it has in memory.
///
/// # Errors
/// A file cannot be read, or `vmlinux` is not ELF.
pub fn size(vmlinux: &Path, bzimage: &Path) -> io::Result<Vec<Figure>> {
    let elf_bytes = std::fs::read(vmlinux)?;
    let sections = Sections::read(&elf_bytes)?;
    let figure = |name: &str, method: &str, bytes: u64| {
        let samples = vec![bytes as f64];
        Figure::new(Group::Size, name, Unit::Bytes, method, samples)
    };
    Ok(vec![
        figure(
            quantity::BZIMAGE,
            "the file that boots, compressed as its configuration says",
            std::fs::metadata(bzimage)?.len(),
        ),
        figure(
            quantity::COMPRESSED,
            "vmlinux's sections with contents, compressed by xz (x86 filter, preset 9): the same compression for every kernel",
            sections.compressed()?,
        ),
        figure(
            quantity::TEXT_AND_DATA,
            "vmlinux's sections with contents, without padding: runs of 512 KiB and more of one byte are not counted, for the text is filled up to multiples of 2 MiB",
            sections.unpadded(),
        ),
        figure(
            quantity::BSS,
            "vmlinux's sections that begin as zeros and take no room in the file",
            sections.zeros,
        ),
        figure(
            quantity::VMLINUX,
            "the ELF file; its text is padded to 2 MiB, so that small kernels look alike",
            elf_bytes.len() as u64,
        ),
    ])
}

/// A run of one byte of this length is padding; tables of zeros are shorter.
const PADDING: usize = 512 << 10;

/// What of an ELF file is loaded.
struct Sections {
    bytes: Vec<u8>,
    zeros: u64,
}

impl Sections {
    fn read(file: &[u8]) -> io::Result<Sections> {
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let object = object::File::parse(file).map_err(damaged)?;
        let mut sections = Sections {
            bytes: Vec::new(),
            zeros: 0,
        };
        for section in object.sections() {
            let loaded = matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(elf::SHF_ALLOC));
            if !loaded {
                continue;
            }
            match section.file_range() {
                Some(_) => sections
                    .bytes
                    .extend_from_slice(section.data().map_err(damaged)?),
                None => sections.zeros += section.size(),
            }
        }
        Ok(sections)
    }

    /// Bytes without long runs of one byte.
    fn unpadded(&self) -> u64 {
        let runs = self.bytes.chunk_by(|a, b| a == b);
        let kept = runs.map(<[u8]>::len).filter(|&length| length < PADDING);
        kept.sum::<usize>() as u64
    }

    fn compressed(&self) -> io::Result<u64> {
        let failed = |error: liblzma::stream::Error| io::Error::other(error);
        let options = LzmaOptions::new_preset(9).map_err(failed)?;
        let mut filters = Filters::new();
        filters.x86().lzma2(&options);
        let stream = Stream::new_stream_encoder(&filters, Check::Crc32).map_err(failed)?;
        let mut encoder = XzEncoder::new_stream(Count(0), stream);
        encoder.write_all(&self.bytes)?;
        Ok(encoder.finish()?.0)
    }
}

/// Counts what is written to it.
struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::init::INIT;

    #[test]
    fn a_program_has_its_sections_sizes() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("program");
        std::fs::write(&file, INIT).unwrap();
        let figures = size(&file, &file).unwrap();
        let of = |name| figures.iter().find(|f| f.name == name).unwrap().samples[0];
        assert_eq!(of(quantity::VMLINUX), INIT.len() as f64);
        assert_eq!(of(quantity::BZIMAGE), INIT.len() as f64);
        assert!(of(quantity::TEXT_AND_DATA) < INIT.len() as f64);
        assert!(of(quantity::COMPRESSED) < of(quantity::TEXT_AND_DATA));
        assert!(of(quantity::COMPRESSED) > of(quantity::TEXT_AND_DATA) / 8.0);
        assert!(of(quantity::BSS) > 0.0);
    }

    #[test]
    fn long_runs_are_padding() {
        let mut bytes = vec![1; 100];
        bytes.extend(vec![0xcc; PADDING]);
        bytes.extend(vec![0; PADDING - 1]);
        let sections = Sections { bytes, zeros: 0 };
        assert_eq!(sections.unpadded(), 100 + PADDING as u64 - 1);
    }

    #[test]
    fn what_is_not_elf_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("text");
        std::fs::write(&file, "text").unwrap();
        assert!(size(&file, &file).is_err());
    }
}
