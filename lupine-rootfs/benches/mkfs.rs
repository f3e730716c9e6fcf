//! Whole processes beside their peers: this crate, `mke2fs -d` and `genext2fs`, on a Debian root
//! (made here by `mmdebstrap`) and on a tree of 200,000 small files.
//!
//! Every round runs every contender once, so that all meet the same noise; medians and ratios of
//! medians are printed, with the highest resident memory seen. Peers that are not installed are
//! left out. `LUPINE_BENCH_ROUNDS` sets the number of rounds (7).
#![allow(clippy::disallowed_methods, reason = "runs the peers")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "prints figures")]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to say"
)]

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lupine_rootfs::ext2::{self, Options};
use lupine_rootfs::{Image, OpenOptions};

/// The argument that makes this program be the contender.
const CONTENDER: &str = "--as-contender";

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [mode, source, image] = &arguments[..]
        && mode == CONTENDER
    {
        let opened = Image::open(source, &OpenOptions::default()).unwrap();
        let (tree, _) = opened.read(&mut ()).unwrap();
        ext2::write_image(&tree, &Options::default(), Path::new(image), &mut ()).unwrap();
        return;
    }
    // `cargo test --benches` only wants to know that this runs.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let rounds = std::env::var("LUPINE_BENCH_ROUNDS");
    let rounds = rounds
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(7);
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    if debian(at) {
        let contenders = [
            ours("lupine, directory", &at.join("root")),
            mke2fs(&at.join("root"), 100_000),
            genext2fs("-d", &at.join("root"), 100_000),
            ours("lupine, tar", &at.join("root.tar")),
            genext2fs("-a", &at.join("root.tar"), 100_000),
        ];
        compare("Debian root with nginx and redis", &contenders, at, rounds);
    } else {
        println!("mmdebstrap is missing or failed: the Debian root is left out");
    }
    small_files(&at.join("small"));
    let contenders = [
        ours("lupine, directory", &at.join("small")),
        mke2fs(&at.join("small"), 300_000),
        genext2fs("-d", &at.join("small"), 300_000),
    ];
    compare("200,000 small files", &contenders, at, rounds);
}

/// A command without the image's path, which comes last or where it is replaced.
struct Contender {
    name: String,
    program: OsString,
    before: Vec<OsString>,
    after: Vec<OsString>,
}

fn ours(name: &str, source: &Path) -> Contender {
    Contender {
        name: name.to_string(),
        program: std::env::current_exe().unwrap().into(),
        before: vec![CONTENDER.into(), source.into()],
        after: Vec::new(),
    }
}

fn mke2fs(source: &Path, blocks: u32) -> Contender {
    // Its own block size for the size of the image; enough inodes for either tree.
    let before = ["-qF", "-t", "ext2", "-b", "4096", "-N", "250000", "-d"].map(OsString::from);
    Contender {
        name: "mke2fs -d".to_string(),
        program: "mke2fs".into(),
        before: before.into_iter().chain([source.into()]).collect(),
        after: vec![blocks.to_string().into()],
    }
}

fn genext2fs(option: &str, source: &Path, blocks: u32) -> Contender {
    let blocks = blocks.to_string();
    let fixed = ["-B", "4096", "-b", &blocks, "-N", "250000", option].map(OsString::from);
    Contender {
        name: format!("genext2fs {option}"),
        program: "genext2fs".into(),
        before: fixed.into_iter().chain([source.into()]).collect(),
        after: Vec::new(),
    }
}

/// Runs a contender; its time and its highest resident memory in KiB. `None` when it fails.
fn run(contender: &Contender, image: &Path) -> Option<(Duration, u64)> {
    let _ = fs::remove_file(image);
    let begin = Instant::now();
    let mut child = Command::new(&contender.program)
        .args(&contender.before)
        .arg(image)
        .args(&contender.after)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    // The high-water mark only grows: what is read last before the end is close to it.
    let exit = loop {
        if let Ok(text) = fs::read_to_string(&status) {
            let line = text.lines().find(|line| line.starts_with("VmHWM:"));
            let field = line.and_then(|line| line.split_whitespace().nth(1));
            memory = memory.max(field.and_then(|number| number.parse().ok()).unwrap_or(0));
        }
        if let Some(exit) = child.try_wait().unwrap() {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    exit.success().then(|| (begin.elapsed(), memory))
}

fn compare(what: &str, contenders: &[Contender], at: &Path, rounds: usize) {
    println!("\n{what}, {rounds} rounds");
    let image = at.join("image");
    let mut times = vec![Vec::new(); contenders.len()];
    let mut memory = vec![0; contenders.len()];
    for round in 0..=rounds {
        for (number, contender) in contenders.iter().enumerate() {
            let Some((time, peak)) = run(contender, &image) else {
                continue;
            };
            // The first round only warms the caches.
            if round > 0 {
                times[number].push(time);
                memory[number] = memory[number].max(peak);
            }
            if round == 0 && number == 0 {
                let fsck = Command::new("e2fsck").arg("-fn").arg(&image).output();
                println!(
                    "e2fsck -fn of ours: {:?}",
                    fsck.map(|output| output.status.code())
                );
            }
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times.get(times.len() / 2).map(Duration::as_secs_f64)
    };
    let medians: Vec<Option<f64>> = times.iter_mut().map(median).collect();
    let reference = medians.get(1).copied().flatten();
    for ((contender, median), peak) in contenders.iter().zip(medians).zip(memory) {
        match (median, reference) {
            (Some(median), Some(reference)) => println!(
                "{:24} {median:7.3} s  {:5.2} of mke2fs  {:6.1} MiB",
                contender.name,
                median / reference,
                peak as f64 / 1024.0
            ),
            (Some(median), None) => println!("{:24} {median:7.3} s", contender.name),
            (None, _) => println!("{:24} not installed, or failed", contender.name),
        }
    }
}

fn debian(at: &Path) -> bool {
    let tar = at.join("root.tar");
    let made = Command::new("mmdebstrap")
        .args([
            "--quiet",
            "--variant=essential",
            "--include=nginx-light,redis-server",
            "bookworm",
        ])
        .arg(&tar)
        .stderr(Stdio::null())
        .status();
    let root = at.join("root");
    made.is_ok_and(|status| status.success())
        && fs::create_dir(&root).is_ok()
        && Command::new("tar")
            .arg("-xpf")
            .arg(&tar)
            .arg("-C")
            .arg(&root)
            .status()
            .is_ok_and(|status| status.success())
}

fn small_files(at: &Path) {
    let bytes = vec![0x5a; 4096];
    for directory in 0..400_usize {
        let path = at.join(format!("{directory}"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..500 {
            let len = (directory * 500 + file) * 7919 % 4000;
            fs::write(path.join(format!("file-{file}")), &bytes[..len]).unwrap();
        }
    }
}
