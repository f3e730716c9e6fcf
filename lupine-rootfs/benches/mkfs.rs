//! Whole processes beside their peers: this crate, `mke2fs -d` and `genext2fs`, on a Debian root
//! (made once by `mmdebstrap`, then kept in the user's cache) and on a tree of 200,000 small files.
//!
//! Every round runs every contender once, so that all meet the same noise. Printed are medians, the
//! smallest and the largest time, and the ratio to `mke2fs` of the same round as median, smallest
//! and largest; and the highest resident memory of a child, as the kernel counts it.
//!
//! `mke2fs` flushes its image to the disk before it ends, as this crate does; `genext2fs` does not.
//! Each comparison is therefore run twice where there is a `/dev/shm`: with the image beside its
//! source, and in memory, where flushing costs nothing. Peers that are not installed are left out.
//!
//! `LUPINE_BENCH_ROUNDS` sets the number of rounds (11), `LUPINE_BENCH_AT` the directory in which
//! sources and images are made.
#![allow(clippy::disallowed_methods, reason = "runs the peers")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "prints figures")]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to say"
)]

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use lupine_rootfs::ext2::{self, Options};
use lupine_rootfs::{Image, OpenOptions};
use nix::sys::resource::{UsageWho, getrusage};
use sha2::{Digest, Sha256};

/// The argument that makes this program be the contender.
const CONTENDER: &str = "--as-contender";

/// The argument that makes this program run another and say what it took: a process of its own,
/// because the memory of children is known only as the most of all.
const STOPWATCH: &str = "--as-stopwatch";

fn main() {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    match &arguments[..] {
        [mode, source, image] if mode == CONTENDER => return contend(source, Path::new(image)),
        [mode, program, rest @ ..] if mode == STOPWATCH => return time(program, rest),
        // `cargo test --benches` only wants to know that this runs.
        _ if !arguments.iter().any(|argument| argument == "--bench") => return,
        _ => {}
    }
    let rounds = env::var("LUPINE_BENCH_ROUNDS");
    let rounds = rounds.ok().and_then(|value| value.parse().ok());
    let rounds = rounds.unwrap_or(11);
    let directory = match env::var_os("LUPINE_BENCH_AT") {
        Some(at) => tempfile::tempdir_in(at).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let at = directory.path();
    if debian(at) {
        let contenders = [
            mke2fs(&at.join("root"), 100_000),
            ours("lupine, directory", &at.join("root")),
            ours("lupine, tar", &at.join("root.tar")),
            genext2fs("-d", &at.join("root"), 100_000),
            genext2fs("-a", &at.join("root.tar"), 100_000),
        ];
        everywhere("Debian root with nginx and redis", &contenders, at, rounds);
    } else {
        println!("mmdebstrap is missing or failed: the Debian root is left out");
    }
    small_files(&at.join("small"));
    let contenders = [
        mke2fs(&at.join("small"), 300_000),
        ours("lupine, directory", &at.join("small")),
        genext2fs("-d", &at.join("small"), 300_000),
    ];
    everywhere("200,000 small files", &contenders, at, rounds);
}

fn contend(source: &OsString, image: &Path) {
    let opened = Image::open(source, &OpenOptions::default()).unwrap();
    let (tree, _) = opened.read(&mut ()).unwrap();
    ext2::write_image(&tree, &Options::default(), image, &mut ()).unwrap();
}

/// Runs a program, and prints seconds and KiB where it succeeds.
fn time(program: &OsString, arguments: &[OsString]) {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begin = Instant::now();
    if command.status().is_ok_and(|status| status.success()) {
        let seconds = begin.elapsed().as_secs_f64();
        let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        println!("{seconds} {}", used.max_rss());
    }
}

/// A command without the image's path, which stands between its arguments.
struct Contender {
    name: String,
    program: OsString,
    before: Vec<OsString>,
    after: Vec<OsString>,
}

fn ours(name: &str, source: &Path) -> Contender {
    Contender {
        name: name.to_string(),
        program: env::current_exe().unwrap().into(),
        before: vec![CONTENDER.into(), source.into()],
        after: Vec::new(),
    }
}

fn mke2fs(source: &Path, blocks: u32) -> Contender {
    // The block size that we choose for the same trees; enough inodes for either.
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

/// Runs a contender; its seconds and its highest resident memory in MiB. `None` when it fails.
fn run(contender: &Contender, image: &Path) -> Option<(f64, f64)> {
    let _ = fs::remove_file(image);
    let output = Command::new(env::current_exe().unwrap())
        .arg(STOPWATCH)
        .arg(&contender.program)
        .args(&contender.before)
        .arg(image)
        .args(&contender.after)
        .output()
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let (seconds, kib) = said.trim().split_once(' ')?;
    Some((seconds.parse().ok()?, kib.parse::<f64>().ok()? / 1024.0))
}

/// Compares with the image on the disk, then in memory.
fn everywhere(what: &str, contenders: &[Contender], at: &Path, rounds: usize) {
    let heading = format!("{what}, image on disk and flushed");
    compare(&heading, contenders, &at.join("image"), rounds);
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        let heading = format!("{what}, image in memory");
        compare(&heading, contenders, &memory.path().join("image"), rounds);
    }
}

/// Compares contenders, the first of which is what ratios refer to.
fn compare(heading: &str, contenders: &[Contender], image: &Path, rounds: usize) {
    println!("\n{heading}, {rounds} rounds");
    let mut figures = vec![Vec::new(); contenders.len()];
    for round in 0..=rounds {
        for (number, contender) in contenders.iter().enumerate() {
            let figure = run(contender, image);
            if round == 0
                && contender
                    .before
                    .iter()
                    .any(|argument| argument == CONTENDER)
            {
                let fsck = Command::new("e2fsck").arg("-fn").arg(image).output();
                let code = fsck.map(|output| output.status.code());
                println!("e2fsck -fn of {}: {code:?}", contender.name);
            }
            // The first round only warms the caches.
            if round > 0 {
                figures[number].push(figure);
            }
        }
    }
    for (contender, own) in contenders.iter().zip(&figures) {
        let times = own.iter().flatten().map(|&(seconds, _)| seconds).collect();
        let Some(times) = Spread::of(times) else {
            println!("{:20} not installed, or failed", contender.name);
            continue;
        };
        let mut line = format!("{:20} {times} s", contender.name);
        let pairs = own.iter().zip(&figures[0]);
        let ratios = pairs.filter_map(|(own, first)| Some(own.as_ref()?.0 / first.as_ref()?.0));
        if let Some(ratios) = Spread::of(ratios.collect()) {
            let _ = write!(line, "  {ratios} of {}", contenders[0].name);
        }
        let memory = own.iter().flatten().map(|&(_, memory)| memory);
        println!("{line}  {:6.1} MiB", memory.fold(0.0, f64::max));
    }
}

/// Median, smallest and largest.
struct Spread(f64, f64, f64);

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let median = *values.get(values.len() / 2)?;
        Some(Self(median, *values.first()?, *values.last()?))
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:6.3} ({:.3} to {:.3})", self.0, self.1, self.2)
    }
}

const SUITE: &str = "bookworm";
const PACKAGES: [&str; 2] = ["nginx-light", "redis-server"];

/// Puts `root.tar` and, unpacked, `root` into a directory.
fn debian(at: &Path) -> bool {
    let Some(tar) = debian_tar() else {
        return false;
    };
    let root = at.join("root");
    let unpack = |at: &Path| {
        let mut command = Command::new("tar");
        command.arg("-xpf").arg(at.join("root.tar"));
        command.arg("-C").arg(&root).status()
    };
    fs::copy(tar, at.join("root.tar")).is_ok()
        && fs::create_dir(&root).is_ok()
        && unpack(at).is_ok_and(|status| status.success())
}

/// The archive of the root from the cache, where it is kept under a digest of what it is made of:
/// suite, packages, and the versions that apt knows of.
fn debian_tar() -> Option<PathBuf> {
    let mut policy = Command::new("apt-cache");
    policy.arg("policy").args(PACKAGES).env("LC_ALL", "C");
    let versions = policy.output().map(|output| output.stdout);
    let key = format!("{SUITE} {PACKAGES:?} {:?}", versions.unwrap_or_default());
    let mut name = String::new();
    for byte in &Sha256::digest(key)[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    let cache = cache()?.join("rootfs-bench");
    let kept = cache.join(format!("{name}.tar"));
    if kept.exists() {
        return Some(kept);
    }
    fs::create_dir_all(&cache).ok()?;
    // It takes its name when it is complete.
    let fresh = tempfile::Builder::new().suffix(".tar").tempfile_in(&cache);
    let fresh = fresh.ok()?;
    let made = Command::new("mmdebstrap")
        .args(["--quiet", "--variant=essential"])
        .arg(format!("--include={}", PACKAGES.join(",")))
        .args([SUITE.as_ref(), fresh.path()])
        .env("SOURCE_DATE_EPOCH", "0")
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return None;
    }
    fresh.persist(&kept).ok()?;
    Some(kept)
}

/// Where this project keeps what is expensive to make.
fn cache() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    set("LUPINE_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("XDG_CACHE_HOME")?).join("lupine")))
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache/lupine")))
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
