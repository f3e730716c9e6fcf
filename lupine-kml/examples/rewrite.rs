//! Rewrites one ELF file: `rewrite IN OUT`; prints what was done.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use lupine_kml::rewrite::{Options, Plan, rewrite_file};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, from, to] = arguments.as_slice() else {
        return Err("usage: rewrite IN OUT".into());
    };
    let done = rewrite_file(Path::new(from), Path::new(to), &Options::default())?;
    println!(
        "{} sites rewritten, {} native, {} bytes of trampolines",
        done.report.rewritten, done.report.native, done.report.trampoline_bytes
    );
    let mut how: BTreeMap<String, usize> = BTreeMap::new();
    for site in &done.report.scan.sites {
        match &site.plan {
            Plan::Native { reason } => println!("native {:#x}: {reason:?}", site.address),
            other => {
                *how.entry(
                    format!("{other:?}")
                        .split(' ')
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                )
                .or_default() += 1
            }
        }
    }
    println!(
        "{how:?}; byte pairs that no decoding reached: {:x?}",
        done.report.scan.unreached
    );
    Ok(())
}
