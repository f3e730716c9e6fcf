//! The patch engine in time: parsing a large patch, and checking and applying one of the size of
//! Kernel Mode Linux, in process (criterion) and as whole processes beside GNU patch and git.
//!
//! The machine's noise is shared by all: runs alternate between the tools, medians are compared,
//! and the ratio is what counts.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::print_stdout, reason = "the ratios are the result")]
#![allow(
    clippy::disallowed_methods,
    reason = "measures the reference implementations"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput};
use lupine_kml::apply::{Mode, Options, Outcome, Series, patch_directory};
use lupine_kml::diff::Patch;

/// Tells a child of this benchmark what to do.
const JOB: &str = "LUPINE_BENCH_JOB";

/// Files and lines of a tree like the part of the kernel that the patch touches.
const FILES: usize = 24;
const LINES: usize = 1500;

fn main() {
    if let Ok(job) = std::env::var(JOB) {
        return child(&job);
    }
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    parse(&mut criterion);
    apply(&mut criterion);
    criterion.final_summary();
    if !std::env::args().any(|arg| arg == "--test") {
        beside_the_others();
    }
}

/// What a whole process of ours does: `check DIR PATCH` or `parse PATCH`.
fn child(job: &str) {
    let words: Vec<&str> = job.split(' ').collect();
    match words[..] {
        ["check", dir, patch] => {
            let series = Series::read_patch(Path::new(patch)).unwrap();
            let report = patch_directory(Path::new(dir), &series, Options::default(), Mode::Check);
            assert_eq!(report.unwrap().outcome, Outcome::Applies);
        }
        ["parse", patch] => {
            let bytes = std::fs::read(patch).unwrap();
            black_box(Patch::parse(&bytes).unwrap().files.len());
        }
        _ => panic!("{JOB}={job}"),
    }
}

/// A patch of many files and hunks, of at least `size` bytes.
fn large(size: usize) -> Vec<u8> {
    let mut text = String::with_capacity(size + 1000);
    let mut file = 0;
    while text.len() < size {
        writeln!(text, "diff --git a/dir{}/file{file}.c b/dir{}/file{file}.c\nindex 1111111..2222222 100644\n--- a/dir{}/file{file}.c\n+++ b/dir{}/file{file}.c", file % 100, file % 100, file % 100, file % 100).unwrap();
        for hunk in 0..8 {
            let line = 100 * hunk + 10;
            writeln!(
                text,
                "@@ -{line},8 +{line},8 @@ static int function_{hunk}(struct device *dev)"
            )
            .unwrap();
            writeln!(text, " \tstruct resource *res;\n \tint ret = {hunk};\n ").unwrap();
            writeln!(
                text,
                "-\tres = platform_get_resource(pdev, IORESOURCE_MEM, {file});\n-\tif (!res)"
            )
            .unwrap();
            writeln!(
                text,
                "+\tres = devm_platform_get_resource(pdev, {file});\n+\tif (IS_ERR(res))"
            )
            .unwrap();
            writeln!(
                text,
                " \t\treturn -ENODEV;\n \n \tret = clk_prepare_enable(priv->clk);"
            )
            .unwrap();
        }
        file += 1;
    }
    text.into_bytes()
}

/// Lays out a tree and gives the patch for it: 4 hunks a file, 5 lines each.
fn tree(root: &Path) -> Vec<u8> {
    let mut patch = String::new();
    for file in 0..FILES {
        let dir = format!("arch/x86/part{}", file % 6);
        std::fs::create_dir_all(root.join(&dir)).unwrap();
        let name = format!("{dir}/file{file}.c");
        let line = |n: usize| format!("\tstatement_{file}_{n}(argument, {n});");
        let text: String = (1..=LINES).map(|n| line(n) + "\n").collect();
        std::fs::write(root.join(&name), text).unwrap();
        writeln!(patch, "--- a/{name}\n+++ b/{name}").unwrap();
        for (before, at) in [200, 500, 900, 1400].into_iter().enumerate() {
            writeln!(patch, "@@ -{},6 +{},11 @@", at - 3, at - 3 + 5 * before).unwrap();
            (at - 3..at).for_each(|n| writeln!(patch, " {}", line(n)).unwrap());
            (0..5).for_each(|n| writeln!(patch, "+\tadded_{n}();").unwrap());
            (at..at + 3).for_each(|n| writeln!(patch, " {}", line(n)).unwrap());
        }
    }
    patch.into_bytes()
}

fn parse(criterion: &mut Criterion) {
    let patch = large(100_000_000);
    let mut group = criterion.benchmark_group("diff");
    group.throughput(Throughput::Bytes(patch.len() as u64));
    group.bench_function("parse 100 MB", |b| {
        b.iter(|| Patch::parse(black_box(&patch)).unwrap().files.len());
    });
    group.finish();
}

fn apply(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let series = Series::single("bench", tree(dir.path()));
    let run = |mode, reverse| {
        let report =
            patch_directory(dir.path(), &series, Options { fuzz: 0, reverse }, mode).unwrap();
        assert_eq!(report.outcome, Outcome::Applies);
    };
    let mut group = criterion.benchmark_group("apply");
    group.bench_function("check", |b| b.iter(|| run(Mode::Check, false)));
    // Forwards only is timed; every file and directory is flushed to the disk.
    group.bench_function("write", |b| {
        b.iter_batched(
            || {
                if dir.path().join(".lupine").exists() {
                    run(Mode::Write, true);
                }
            },
            |()| run(Mode::Write, false),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Whole processes in turn; medians and their ratios.
fn beside_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    let small = dir.path().join("small.patch");
    std::fs::write(&small, tree(&root)).unwrap();
    let big = dir.path().join("big.patch");
    std::fs::write(&big, large(100_000_000)).unwrap();
    let (small, big) = (small.display().to_string(), big.display().to_string());
    let ours = |job: String| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(JOB, job);
        command
    };
    let theirs = |tool: &str, args: &[&str]| {
        let mut command = Command::new(tool);
        command.args(args).current_dir(&root);
        command
    };
    race(
        "check a patch of the size of Kernel Mode Linux",
        21,
        vec![
            ("lupine", ours(format!("check {} {small}", root.display()))),
            (
                "patch --dry-run",
                theirs("patch", &["-p1", "--dry-run", "-s", "-i", &small]),
            ),
            (
                "git apply --check",
                theirs("git", &["apply", "--check", &small]),
            ),
        ],
    );
    race(
        "read a patch of 100 MB",
        3,
        vec![
            ("lupine", ours(format!("parse {big}"))),
            (
                "git apply --numstat",
                theirs("git", &["apply", "--numstat", &big]),
            ),
        ],
    );
}

fn race(what: &str, rounds: usize, mut runners: Vec<(&str, Command)>) {
    runners.retain_mut(|(name, command)| {
        let there = command
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !there {
            println!("SKIPPED: {name} is missing or fails");
        }
        there
    });
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); runners.len()];
    for _ in 0..rounds {
        for ((_, command), times) in runners.iter_mut().zip(&mut times) {
            let start = Instant::now();
            assert!(command.status().unwrap().success());
            times.push(start.elapsed());
        }
    }
    let medians: Vec<Duration> = times
        .iter_mut()
        .map(|times| {
            times.sort();
            times[times.len() / 2]
        })
        .collect();
    println!("\n{what}: whole processes, median of {rounds}");
    for ((name, _), median) in runners.iter().zip(&medians) {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        println!(
            "  {name:20} {:9.2} ms  {ratio:6.2} x",
            median.as_secs_f64() * 1000.0
        );
    }
}
