//! Makes a table of the kernel patches: for every `patches/VERSION/series` the series file and
//! the patches it lists, to be included in the library.

#![allow(
    clippy::print_stdout,
    reason = "a build script speaks to cargo on stdout"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let patches = manifest.join("patches");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=patches");
    let mut versions = Vec::new();
    for entry in fs::read_dir(&patches)? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|n| format!("{n:?} is not UTF-8"))?;
        if entry.path().join("series").is_file() {
            versions.push((name, entry.path()));
        }
    }
    versions.sort();
    let mut table = String::from("static EMBEDDED: &[Embedded] = &[\n");
    for (name, directory) in &versions {
        let series = directory.join("series");
        writeln!(
            table,
            "    Embedded {{ name: {name:?}, series: include_bytes!({series:?}), files: &["
        )?;
        for patch in names(&fs::read_to_string(&series)?) {
            let file = directory.join(patch);
            if !file.is_file() {
                return Err(
                    format!("{} lists {patch}, which is not there", series.display()).into(),
                );
            }
            writeln!(table, "        ({patch:?}, include_bytes!({file:?})),")?;
        }
        table.push_str("    ] },\n");
    }
    table.push_str("];\n");
    write(&Path::new(&env::var("OUT_DIR")?).join("patches.rs"), &table)
}

/// The first word of each line that is no comment; options are read by the library.
fn names(series: &str) -> impl Iterator<Item = &str> {
    series
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| !word.starts_with('#'))
}

fn write(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
