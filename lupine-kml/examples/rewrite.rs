//! Rewrites one ELF file: `rewrite IN OUT [FUNCTION]`; prints what was done, and the function before and after.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use lupine_kml::rewrite::{Options, Plan, listing, rewrite_file};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, from, to, function @ ..] = arguments.as_slice() else {
        return Err("usage: rewrite IN OUT [FUNCTION]".into());
    };
    let original = std::fs::read(from)?;
    let done = rewrite_file(Path::new(from), Path::new(to), &Options::default())?;
    let report = done.report;
    println!(
        "{} sites rewritten, {} native, {} bytes of trampolines",
        report.rewritten, report.native, report.trampoline_bytes
    );
    let mut how: BTreeMap<&str, usize> = BTreeMap::new();
    for site in &report.scan.sites {
        let name = match &site.plan {
            Plan::Displaced { .. } => "displaced",
            Plan::ShortJump { .. } => "through padding",
            Plan::Retargeted { .. } => "branches retargeted",
            Plan::Window { .. } => "window moved",
            other => {
                println!("native {:#x}: {other:?}", site.address);
                "native"
            }
        };
        *how.entry(name).or_default() += 1;
    }
    println!(
        "{how:?}; byte pairs that no decoding reached: {:x?}",
        report.scan.unreached
    );
    for name in function {
        println!(
            "{}",
            listing(&original, &std::fs::read(to)?, name)?.ok_or("there is no such function")?
        );
    }
    Ok(())
}
