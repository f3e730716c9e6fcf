//! `lupine-conf` beside the kernel's own `conf` on the x86 tree of Linux 6.12, as whole processes,
//! and the change of one symbol in process.
//!
//! The machine's noise is shared by all: runs alternate between the programs, medians are
//! compared, and the ratio is what counts. Where other work fills the machine, wall-clock times
//! say little: processor time (of a process and those it waited for) stands beside them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the ratios are the result, and what is missing is said"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "measures the reference implementation"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop")]
#![allow(unreachable_pub, reason = "shared with a test")]

#[path = "../tests/kconfig/reference.rs"]
mod reference;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use lupine::kernel::toolchain::{Compiler, Toolchain};
use lupine::kernel::version::KernelVersion;
use lupine::probes::{ProbeMode, with_shell};
use lupine::process::Cancel;
use lupine_kconfig::{Configuration, Dialect, DirFiles, Environment, Kconfig, PropertyKind};
use nix::sys::resource::{UsageWho, getrusage};
use reference::{Edit, Kernel, Version, build_replaying, write_plain_answers};

/// Tells a child of this benchmark to run one program and to say what it used.
const JOB: &str = "LUPINE_BENCH_JOB";

/// A table of expressions as large as the kernel's trees need.
const ENLARGED: Edit = (
    "internal.h",
    "#define EXPR_HASHSIZE\t\t(1U << 14)",
    "#define EXPR_HASHSIZE (1U << 18)",
);

const LUPINE_CONF: &str = env!("CARGO_BIN_EXE_lupine-conf");

fn main() {
    if std::env::var_os(JOB).is_some() {
        return job();
    }
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let Some(kernel) = Kernel::get(Version::V6_12) else {
        return;
    };
    let scene = Scene::new(kernel);
    println!(
        "Linux {}, x86, wall-clock / processor time in ms, peak memory in MB; medians (and extremes)",
        kernel.release
    );
    scene.replayed();
    scene.probing();
    scene.one_change();
}

/// What one run used.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    wall: f64,
    processor: f64,
    memory: f64,
}

/// Runs the program of the arguments, and prints what it used.
fn job() {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().unwrap();
    let start = Instant::now();
    let status = Command::new(program)
        .args(words)
        .env_remove(JOB)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .unwrap();
    let wall = start.elapsed().as_secs_f64() * 1e3;
    assert!(status.success(), "{status}");
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let ms =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    let processor = ms(used.user_time()) + ms(used.system_time());
    println!("{wall} {processor} {}", used.max_rss() as f64 / 1e3);
}

/// What a program must not exceed.
#[derive(Clone, Copy)]
struct Promise {
    /// Milliseconds, where the first program takes what it took when this was promised.
    wall: f64,
    /// Share of the first program's time: what a faster or busier machine does not change.
    ratio: f64,
    /// Megabytes, where they were promised.
    memory: Option<f64>,
}

impl Promise {
    const REPLAYED: Self = Self {
        wall: 60.0,
        ratio: 0.16,
        memory: Some(40.0),
    };
    const COLD: Self = Self {
        wall: 600.0,
        ratio: 0.44,
        memory: None,
    };
    const WARM: Self = Self {
        wall: 80.0,
        ratio: 80.0 / 1351.0,
        memory: None,
    };

    /// Whether `used` keeps it, beside the `first` of the same run.
    fn verdict(&self, used: &Used, first: &Used) -> String {
        let word = |kept| if kept { "kept" } else { "MISSED" };
        let mut text = format!(
            "{} ms {}, ratio {:.2} {}",
            self.wall,
            word(used.wall <= self.wall),
            self.ratio,
            word(used.wall / first.wall <= self.ratio)
        );
        if let Some(memory) = self.memory {
            text += &format!(", {memory} MB {}", word(used.memory <= memory));
        }
        text
    }
}

/// A program under measurement.
struct Runner {
    name: &'static str,
    program: PathBuf,
    variables: Vec<(&'static str, OsString)>,
    /// Removed before each run: what makes a run cold.
    forget: Option<PathBuf>,
    promise: Option<Promise>,
}

impl Runner {
    fn new(name: &'static str, program: &Path) -> Self {
        Self {
            name,
            program: program.to_owned(),
            variables: Vec::new(),
            forget: None,
            promise: None,
        }
    }

    fn promising(mut self, promise: Promise) -> Self {
        self.promise = Some(promise);
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }
}

struct Scene {
    kernel: &'static Kernel,
    environment: BTreeMap<String, String>,
    directory: tempfile::TempDir,
    /// Recorded answers, for us and for the reference.
    answers: PathBuf,
    plain_answers: PathBuf,
}

impl Scene {
    fn new(kernel: &'static Kernel) -> Self {
        let toolchain = Toolchain::detect(Compiler::Gcc, true, &Cancel::new()).unwrap();
        let makefile = fs::read(kernel.tree.join("Makefile")).unwrap();
        let version = KernelVersion::of_makefile(&makefile).unwrap();
        let mut environment = toolchain.kconfig_environment(&kernel.tree, &version);
        environment.insert("PATH".to_owned(), std::env::var("PATH").unwrap());
        let directory = tempfile::tempdir().unwrap();
        let scene = Self {
            kernel,
            environment,
            answers: directory.path().join("answers.json"),
            plain_answers: directory.path().join("answers"),
            directory,
        };
        // Files that a build depends on are not what is measured.
        let generated = scene.directory.path().join("include/config");
        fs::create_dir_all(&generated).unwrap();
        fs::write(generated.join("auto.conf"), b"").unwrap();
        let mut record = OsString::from("record:");
        record.push(&scene.answers);
        let recorder = Runner::new("", Path::new(LUPINE_CONF)).with("LUPINE_PROBES", record);
        let arguments = ["--defconfig=arch/x86/configs/x86_64_defconfig", "Kconfig"];
        scene.run(&recorder, &arguments);
        write_plain_answers(&scene.answers, &scene.plain_answers);
        scene
    }

    fn run(&self, runner: &Runner, arguments: &[&str]) -> Used {
        if let Some(file) = &runner.forget {
            drop(fs::remove_file(file));
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .env_clear()
            .envs(&self.environment)
            .envs(runner.variables.iter().map(|(name, value)| (name, value)))
            .env(JOB, "1")
            .arg(&runner.program)
            .args(arguments)
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {complaint}", runner.name);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut numbers = text
            .split_whitespace()
            .map(|word| word.parse::<f64>().unwrap());
        let mut next = || numbers.next().unwrap();
        Used {
            wall: next(),
            processor: next(),
            memory: next(),
        }
    }

    /// Runs the programs in turn, and prints medians and the ratios to the first.
    fn compare(&self, title: &str, arguments: &[&str], runners: &[Runner], rounds: usize) {
        println!("\n{title}");
        let mut all: Vec<Vec<Used>> = vec![Vec::new(); runners.len()];
        let config = self.directory.path().join(".config");
        let before = fs::read(&config).unwrap();
        let mut first = None;
        for round in 0..=rounds {
            for (index, runner) in runners.iter().enumerate() {
                fs::write(&config, &before).unwrap();
                let used = self.run(runner, arguments);
                // The first round warms the page cache, and shows that all do the same.
                if round > 0 {
                    all[index].push(used);
                    continue;
                }
                let after = fs::read(&config).unwrap();
                let expected = first.get_or_insert_with(|| after.clone());
                assert!(*expected == after, "{}: another result", runner.name);
            }
        }
        fs::write(&config, &before).unwrap();
        let medians: Vec<Used> = all.iter().map(|runs| median(runs)).collect();
        for ((runner, used), runs) in runners.iter().zip(&medians).zip(&all) {
            let walls = || runs.iter().map(|run| run.wall);
            println!(
                "  {:34} {:7.1} ({:.1} to {:.1}) / {:7.1} ms {:6.1} MB   {:5.3} / {:5.3} of the first",
                runner.name,
                used.wall,
                walls().fold(f64::INFINITY, f64::min),
                walls().fold(0.0, f64::max),
                used.processor,
                used.memory,
                used.wall / medians[0].wall,
                used.processor / medians[0].processor,
            );
            if let Some(promise) = runner.promise {
                println!("    promised: {}", promise.verdict(used, &medians[0]));
            }
        }
    }

    /// No commands are run: the programs themselves.
    fn replayed(&self) {
        let stock = build_replaying(&self.kernel.tree, &[]);
        let enlarged = build_replaying(&self.kernel.tree, &[ENLARGED]);
        let mut replay = OsString::from("replay:");
        replay.push(&self.answers);
        let reference = |name, program: &Path| {
            Runner::new(name, program).with("CONF_ANSWERS", &self.plain_answers)
        };
        let runners = [
            reference("conf", &stock),
            reference("conf, hash table enlarged", &enlarged),
            Runner::new("lupine-conf", Path::new(LUPINE_CONF))
                .with("LUPINE_PROBES", replay)
                .promising(Promise::REPLAYED),
        ];
        for mode in ["--olddefconfig", "--allnoconfig", "--allmodconfig"] {
            let title = format!("recorded answers, {mode}");
            self.compare(&title, &["-s", mode, "Kconfig"], &runners, 15);
        }
    }

    /// Commands are run, or their answers remembered.
    fn probing(&self) {
        let cache = self.directory.path().join("cache.json");
        let mut setting = OsString::from("cache:");
        setting.push(&cache);
        let empty = self.directory.path().join("empty.json");
        let mut filling = OsString::from("cache:");
        filling.push(&empty);
        let mut cold = Runner::new("lupine-conf, empty cache", Path::new(LUPINE_CONF))
            .with("LUPINE_PROBES", filling);
        cold.forget = Some(empty);
        let runners = [
            Runner::new("conf", &self.kernel.conf),
            Runner::new("lupine-conf", Path::new(LUPINE_CONF)).promising(Promise::COLD),
            cold.promising(Promise::COLD),
            Runner::new("lupine-conf, filled cache", Path::new(LUPINE_CONF))
                .with("LUPINE_PROBES", setting)
                .promising(Promise::WARM),
        ];
        let title = "probes by gcc, --olddefconfig";
        self.compare(title, &["-s", "--olddefconfig", "Kconfig"], &runners, 7);
    }

    /// One symbol after another, in process.
    fn one_change(&self) {
        let environment: Environment = self
            .environment
            .iter()
            .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
            .collect();
        let mode = ProbeMode::Replay(self.answers.clone());
        let files = DirFiles::new(self.directory.path());
        let tree = with_shell(&mode, &environment, None, |shell| {
            Kconfig::load(&files, "Kconfig", &environment, shell, Dialect::LINUX_6_12)
        });
        let tree = tree.unwrap().unwrap();
        let mut config = Configuration::new(&tree);
        config.read(&fs::read(self.directory.path().join(".config")).unwrap());
        config.update();
        let start = Instant::now();
        for _ in 0..20 {
            config.forget_values();
            config.update();
        }
        let whole = start.elapsed().as_secs_f64() * 1e3 / 20.0;
        let (mut times, mut changed) = (Vec::new(), 0);
        for id in tree.symbols() {
            let prompted = tree
                .properties_of(id, PropertyKind::Prompt)
                .next()
                .is_some();
            if !prompted || !tree.get(id).symbol_type().is_logical() || tree.get(id).is_choice() {
                continue;
            }
            let value = config.value_bytes(id).to_vec();
            let other: &[u8] = if value == b"n" { b"y" } else { b"n" };
            for value in [other, value.as_slice()] {
                config.set_bytes(id, value);
                let start = Instant::now();
                changed += config.update().len();
                times.push((start.elapsed().as_secs_f64() * 1e3, id));
            }
        }
        times.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let part = |share: f64| times[((times.len() - 1) as f64 * share) as usize].0;
        println!("\none symbol changed, all values up to date (at most 1 ms is promised)");
        println!("  everything computed anew  {whole:7.3} ms");
        println!(
            "  {} changes of every option and back, {changed} values changed:",
            times.len()
        );
        println!(
            "  median {:.3}, 99 of 100 {:.3}, 999 of 1000 {:.3}, longest {:.3} ms ({})",
            part(0.5),
            part(0.99),
            part(0.999),
            part(1.0),
            String::from_utf8_lossy(tree.name(times[times.len() - 1].1).unwrap()),
        );
        let late = times.iter().filter(|(time, _)| *time > 1.0).count();
        println!("  {late} of {} took longer than 1 ms", times.len());
    }
}

fn median(runs: &[Used]) -> Used {
    let middle = |of: fn(&Used) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Used {
        wall: middle(|used| used.wall),
        processor: middle(|used| used.processor),
        memory: middle(|used| used.memory),
    }
}
