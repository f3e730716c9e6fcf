//! Makes an ext2 image of a directory, a tar archive, an OCI layout or a docker archive.
//!
//! `mkfs SOURCE IMAGE [--no-sync]`; what the benchmark runs as a whole process.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use std::path::Path;
use std::process::ExitCode;

use lupine_rootfs::ext2::{self, Options};
use lupine_rootfs::{Image, OpenOptions};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, image, rest @ ..] = &arguments[..] else {
        eprintln!("usage: mkfs SOURCE IMAGE [--no-sync]");
        return ExitCode::from(2);
    };
    let sync = !rest.iter().any(|argument| argument == "--no-sync");
    match run(Path::new(source), Path::new(image), sync) {
        Ok(report) => {
            println!("{} blocks, {} free", report.blocks, report.free_blocks);
            for diagnostic in &report.diagnostics.first {
                eprintln!("{diagnostic}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("mkfs: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(
    source: &Path,
    image: &Path,
    sync: bool,
) -> Result<ext2::Report, Box<dyn std::error::Error>> {
    let opened = Image::open(source, &OpenOptions::default())?;
    let (tree, _) = opened.read(&mut ())?;
    let options = Options {
        sync,
        ..Options::default()
    };
    Ok(ext2::write_image(&tree, &options, image, &mut ())?)
}
