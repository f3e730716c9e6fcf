//! One run of a `conf` in a directory of its own, and the comparison of two such runs.

use crate::reference::Kernel;
use crate::toolchain::{Probes, stub};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Seconds after which a run is ended, and counts as a difference.
const LIMIT: &str = "300";

/// The status of `timeout` when that is over.
const TIMED_OUT: i32 = 124;

/// Bytes of output after which a program is taken to write without end, about a whole tree.
const ENDLESS: usize = 16 << 20;

/// The same about a small file.
const ENDLESS_SMALL: usize = 1 << 20;

/// The variables of a run.
pub(crate) type Environment = BTreeMap<String, OsString>;

/// The `conf` under test: `lupine-conf`, or what `LUPINE_CONF` names, as a file called `conf`.
pub(crate) fn lupine_conf() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let program = std::env::var_os("LUPINE_CONF").map_or_else(
            || PathBuf::from(env!("CARGO_BIN_EXE_lupine-conf")),
            PathBuf::from,
        );
        // Beside the built programs, where it is replaced and not left over again and again.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("under-test");
        fs::create_dir_all(&directory).unwrap();
        let (conf, scratch) = (directory.join("conf"), directory.join("conf.new"));
        drop(fs::remove_file(&scratch));
        symlink(program, &scratch).unwrap();
        fs::rename(&scratch, &conf).unwrap();
        conf
    })
}

/// What a run left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Exit status; 128 plus the signal for a run ended by one.
    pub(crate) status: i32,
    /// Bytes on stdout.
    pub(crate) stdout: Vec<u8>,
    /// Bytes on stderr.
    pub(crate) stderr: Vec<u8>,
    /// Every file of the working directory afterwards.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
}

/// What is common to the runs of one comparison.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// All variables: nothing is inherited.
    pub(crate) environment: Environment,
    /// Files of the working directory before the first run.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    /// What is typed.
    pub(crate) stdin: Vec<u8>,
}

impl Setting {
    /// No kernel tree: Kconfig files in the working directory. `release` chooses the rules.
    pub(crate) fn small(kernel: &Kernel) -> Self {
        let mut setting = Self::default();
        for (name, value) in [("LC_ALL", "C"), ("KCONFIG_DEFCONFIG_LIST", "")] {
            setting.set(name, value);
        }
        setting.set("PATH", std::env::var_os("PATH").unwrap_or_default());
        setting.set("KERNELVERSION", &kernel.release);
        setting
    }

    /// A kernel tree for `arch` (a directory of `arch/`) with a stub toolchain.
    ///
    /// `include/config/auto.conf` exists, so that `conf` does not also write the tens of
    /// thousands of files a build depends on: [`Setting::syncing`] takes it away.
    pub(crate) fn tree(kernel: &Kernel, arch: &str, probes: Probes) -> Self {
        let mut setting = Self::small(kernel);
        let tools = stub(probes);
        setting.set("srctree", &kernel.tree);
        setting.set("ARCH", if arch == "x86" { "x86_64" } else { arch });
        setting.set("SRCARCH", arch);
        if arch == "um" {
            setting.set("SUBARCH", "x86");
            setting.set("HEADER_ARCH", "x86");
        }
        setting.set("CC", tools.join("cc"));
        setting.set("LD", tools.join("ld"));
        for tool in ["AR", "NM", "OBJCOPY", "PYTHON3", "BINDGEN"] {
            setting.set(tool, tools.join("tool"));
        }
        setting.set("RUSTC", "no-rustc-here");
        setting.set("PAHOLE", "no-pahole-here");
        setting.set("CC_VERSION_TEXT", "cc (stub) 14.2.0");
        setting.set("RUSTC_VERSION_TEXT", "");
        setting.file("include/config/auto.conf", b"");
        setting
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.insert(name.to_owned(), value.into());
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: impl Into<PathBuf>, content: &[u8]) {
        self.files.insert(path.into(), content.to_vec());
    }

    /// The same with `.config`.
    pub(crate) fn with_config(&self, config: &[u8]) -> Self {
        let mut setting = self.clone();
        setting.file(".config", config);
        setting
    }

    /// The same, with files of a build written too.
    pub(crate) fn syncing(&self) -> Self {
        let mut setting = self.clone();
        setting.files.remove(Path::new("include/config/auto.conf"));
        setting
    }

    /// Runs `program` once per element of `runs` (its arguments), in one fresh directory.
    pub(crate) fn run(&self, program: &Path, runs: &[&[&str]]) -> Vec<Outcome> {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in &self.files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        runs.iter()
            .map(|args| self.run_in(program, args, directory.path()))
            .collect()
    }

    fn run_in(&self, program: &Path, args: &[&str], directory: &Path) -> Outcome {
        let mut args = args;
        let mut environment = self.environment.clone();
        while let Some((name, value)) = args.first().and_then(|arg| assignment(arg)) {
            environment.insert(name.to_owned(), value.into());
            args = &args[1..];
        }
        // By the name `conf`, which it says in its messages.
        let mut path = program.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(environment.get("PATH").cloned().unwrap_or_default());
        environment.insert("PATH".to_owned(), path);
        let mut child = Command::new("timeout")
            .arg(LIMIT)
            .arg("conf")
            .args(args)
            .current_dir(directory)
            .env_clear()
            .envs(&environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let endless = if self.environment.contains_key("srctree") {
            ENDLESS
        } else {
            ENDLESS_SMALL
        };
        let (stdout, stderr) = std::thread::scope(|scope| {
            // A program may end before it has read everything.
            scope.spawn(move || stdin.write_all(&self.stdin).ok());
            let stderr = scope.spawn(move || read_some(stderr, endless));
            (read_some(stdout, endless), stderr.join().unwrap())
        });
        if stdout.len().max(stderr.len()) >= endless {
            // At the end of its input `conf` may repeat a question for ever: until nobody reads it.
            let status = child.wait().unwrap();
            assert_ne!(status.code(), Some(TIMED_OUT), "goes on without a reader");
            return Outcome {
                status: -1,
                stdout,
                stderr: Vec::new(),
                files: BTreeMap::new(),
            };
        }
        let status = child.wait().unwrap();
        Outcome {
            status: status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            stdout,
            stderr,
            files: read_files(directory),
        }
    }

    /// Runs the reference and the program under test, and returns what the reference did after
    /// noting every difference in `differences`.
    pub(crate) fn compare(
        &self,
        kernel: &Kernel,
        runs: &[&[&str]],
        differences: &mut Differences,
    ) -> Vec<Outcome> {
        self.compare_with(&kernel.conf, runs, differences)
    }

    /// The same with another reference.
    pub(crate) fn compare_with(
        &self,
        reference: &Path,
        runs: &[&[&str]],
        differences: &mut Differences,
    ) -> Vec<Outcome> {
        let expected = self.run(reference, runs);
        let got = self.run(lupine_conf(), runs);
        differences.runs += runs.len();
        for ((args, expected), got) in runs.iter().zip(&expected).zip(&got) {
            // `conf` asks for ever at the end of its input: ending instead, with an error and
            // without another word, is wanted.
            if expected.status < 0 && got.status != 0 && expected.stdout.starts_with(&got.stdout) {
                continue;
            }
            if let Some(text) = difference(expected, got) {
                let release = self.environment.get("KERNELVERSION");
                let release = release.map_or("".into(), |text| text.to_string_lossy());
                differences.note(&format!("{release} {}", args.join(" ")), &text);
            }
        }
        expected
    }
}

/// `NAME=value` before the arguments of a run.
fn assignment(word: &str) -> Option<(&str, &str)> {
    word.split_once('=')
        .filter(|(name, _)| !name.is_empty() && !name.starts_with('-'))
}

/// Reads up to `limit` bytes, then closes the pipe.
fn read_some(pipe: impl io::Read, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.take(limit as u64).read_to_end(&mut bytes).unwrap();
    bytes
}

fn read_files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(directory).unwrap().to_owned();
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// Every difference found by a test, and how much was compared.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    context: String,
    texts: Vec<String>,
    runs: usize,
}

impl Differences {
    /// Says what the comparisons that follow are about.
    pub(crate) fn about(&mut self, context: impl Into<String>) {
        self.context = context.into();
    }

    /// Notes a difference in what `command` did.
    pub(crate) fn note(&mut self, command: &str, text: &str) {
        self.texts
            .push(format!("== {}: {command}\n{text}", self.context));
    }

    /// How many differences there are.
    pub(crate) fn count(&self) -> usize {
        self.texts.len()
    }

    /// Ends the test.
    ///
    /// # Panics
    /// When there is a difference, or when less than `at_least` runs were compared.
    pub(crate) fn finish(self, at_least: usize) {
        assert!(
            self.runs >= at_least,
            "only {} runs were compared, not {at_least}",
            self.runs
        );
        if self.texts.is_empty() {
            return;
        }
        let mut report = format!("{} of {} runs differ\n", self.texts.len(), self.runs);
        for text in self.texts.iter().take(40) {
            report.push_str(text);
            report.push('\n');
        }
        panic!("{report}");
    }
}

/// What differs between two runs, for a person.
pub(crate) fn difference(expected: &Outcome, got: &Outcome) -> Option<String> {
    if expected == got {
        return None;
    }
    let mut text = String::new();
    if expected.status != got.status {
        let _ = writeln!(
            text,
            "status: expected {}, got {}",
            expected.status, got.status
        );
    }
    difference_of_texts("stdout", &expected.stdout, &got.stdout, &mut text);
    difference_of_texts("stderr", &expected.stderr, &got.stderr, &mut text);
    let empty = Vec::new();
    let mut shown = 0;
    for path in expected
        .files
        .keys()
        .chain(got.files.keys())
        .collect::<std::collections::BTreeSet<_>>()
    {
        let (old, new) = (expected.files.get(path), got.files.get(path));
        if old == new {
            continue;
        }
        shown += 1;
        if shown > 8 {
            let _ = writeln!(text, "more files differ");
            break;
        }
        let name = path.display();
        match (old, new) {
            (Some(_), None) => {
                let _ = writeln!(text, "{name}: expected, not written");
            }
            (None, Some(_)) => {
                let _ = writeln!(text, "{name}: written, not expected");
            }
            _ => {}
        }
        let name = name.to_string();
        difference_of_texts(
            &name,
            old.unwrap_or(&empty),
            new.unwrap_or(&empty),
            &mut text,
        );
    }
    Some(text)
}

/// Lines of one that the other lacks (as multisets), or the first line out of order.
fn difference_of_texts(name: &str, expected: &[u8], got: &[u8], text: &mut String) {
    const SHOWN: usize = 12;
    if expected == got {
        return;
    }
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) = (
        expected.split_inclusive(|b| *b == b'\n').collect(),
        got.split_inclusive(|b| *b == b'\n').collect(),
    );
    let mut count: BTreeMap<&[u8], i64> = BTreeMap::new();
    old.iter()
        .for_each(|line| *count.entry(line).or_default() += 1);
    new.iter()
        .for_each(|line| *count.entry(line).or_default() -= 1);
    let _ = writeln!(
        text,
        "{name}: {} lines expected, {} lines got",
        old.len(),
        new.len()
    );
    let mut shown = 0;
    for (sign, lines, keep) in [('-', &old, 1), ('+', &new, -1)] {
        for line in lines {
            let left = count.get_mut(line).filter(|left| left.signum() == keep);
            if let Some(left) = left {
                *left -= keep;
                shown += 1;
                if shown <= 2 * SHOWN {
                    let _ = writeln!(
                        text,
                        "  {sign}{}",
                        String::from_utf8_lossy(line).escape_debug()
                    );
                }
            }
        }
    }
    if shown == 0 {
        let place = old
            .iter()
            .zip(&new)
            .position(|(a, b)| a != b)
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "  order: line {}: expected {:?}, got {:?}",
            place + 1,
            String::from_utf8_lossy(old[place]),
            String::from_utf8_lossy(new[place])
        );
    }
}
