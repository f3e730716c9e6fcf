//! `lupine needs` of a large image (Node.js as Debian packages it), as a whole process: from the
//! kept image to its needs. Beside it `objdump -d` on the same program and libraries, which only
//! disassembles.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark prints, may stop, and runs the programs that it measures"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use lupine::Lupine;
use lupine::manifest::Manifest;
use lupine::needs::Files;
use lupine::needs::analyse::loaded;

const APPLICATION: &str = "nodejs";

/// Seconds that an image of 180 MB may take on two processors.
const PROMISED: f64 = 3.0;

const ROUNDS: usize = 7;

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    let image = lupine
        .image(&Manifest::builtin(APPLICATION).unwrap())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    let mapped = loaded(&image, &image.entry()).unwrap();
    for bytes in image.read(&mapped).unwrap().into_values() {
        let path = folder.path().join(files.len().to_string());
        fs::write(&path, bytes).unwrap();
        files.push(path);
    }
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let code = files.iter().map(size).sum::<u64>() as f64 / 1e6;
    println!(
        "{APPLICATION}: {} files that it maps, {code:.0} MB",
        files.len()
    );
    let (mut needs, mut objdump) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let own = timed(Command::new(env!("CARGO_BIN_EXE_lupine")).args([
            "needs",
            APPLICATION,
            "--json",
            "--no-trace",
        ]));
        let peer = timed(Command::new("objdump").arg("-d").args(&files));
        // The first round warms the page cache.
        if round > 0 {
            needs.push(own);
            objdump.push(peer);
        }
    }
    for (name, times) in [("objdump -d", &mut objdump), ("lupine needs", &mut needs)] {
        times.sort_by(f64::total_cmp);
        let (first, last) = (times[0], times[ROUNDS - 1]);
        println!(
            "  {name:13} {:6.2} s ({first:.2} to {last:.2})",
            times[ROUNDS / 2]
        );
    }
    let own = needs[ROUNDS / 2];
    println!("  ratio {:.3}", own / objdump[ROUNDS / 2]);
    let kept = if own <= PROMISED { "kept" } else { "MISSED" };
    println!("  promised for 180 MB: {PROMISED} s {kept}");
}

/// Wall-clock seconds of a process whose output nobody reads.
fn timed(command: &mut Command) -> f64 {
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}: {status}");
    start.elapsed().as_secs_f64()
}
