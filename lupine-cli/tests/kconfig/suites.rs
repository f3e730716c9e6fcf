//! The kernel's own tests of `conf`, and the kernel's own makefiles, with `lupine-conf` in place.

use crate::reference::{Kernel, Version, require, run, skip};
use crate::run::lupine_conf;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has pytest.
fn python() -> Result<&'static str, String> {
    for candidate in ["python3", "/usr/bin/python3"] {
        let found = Command::new(candidate)
            .args(["-c", "import pytest"])
            .output();
        if found.is_ok_and(|output| output.status.success()) {
            return Ok(candidate);
        }
    }
    Err("pytest is not installed (python3-pytest)".to_owned())
}

/// Runs `scripts/kconfig/tests` of `kernel` and returns how many passed and the whole report.
fn pytest(kernel: &Kernel, conf: &Path) -> Result<(usize, bool, String), String> {
    let python = python()?;
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("scripts/kconfig");
    fs::create_dir_all(&place).unwrap();
    let tests = kernel.tree.join("scripts/kconfig/tests");
    run(
        "cp",
        &["-r".as_ref(), tests.as_os_str(), place.as_os_str()],
        Path::new("/"),
        b"",
    );
    symlink(conf, place.join("conf")).unwrap();
    let output = Command::new(python)
        .args([
            "-B",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "scripts/kconfig/tests",
        ])
        .current_dir(directory.path())
        .env("KERNELVERSION", &kernel.release)
        // Or the reasons of failures are cut off.
        .env("COLUMNS", "400")
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let passed = report
        .lines()
        .rev()
        .find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let place = words
                .iter()
                .position(|word| word.trim_end_matches(',') == "passed")?;
            words.get(place.checked_sub(1)?)?.parse().ok()
        })
        .unwrap_or_default();
    Ok((passed, output.status.success(), report))
}

/// How often the suite may run.
const TRIES: usize = 5;

/// Whether nothing but the suite's own race failed: it presses Enter until the program has ended, which
/// breaks the pipe of one that has nothing to ask and ends between two presses, the kernel's `conf` included.
fn only_its_pipe_broke(report: &str) -> bool {
    let mut failed = report
        .lines()
        .filter(|line| line.starts_with("FAILED "))
        .peekable();
    failed.peek().is_some() && failed.all(|line| line.contains("BrokenPipeError"))
}

fn kernel_suite(version: Version, cases: usize) {
    let Some(kernel) = Kernel::get(version) else {
        return;
    };
    for attempt in 1..=TRIES {
        match pytest(kernel, lupine_conf()) {
            Ok((passed, true, _)) if passed == cases => return,
            Ok((.., report)) if attempt < TRIES && only_its_pipe_broke(&report) => {}
            Ok((passed, _, report)) => panic!("{passed} of {cases} pass\n{report}"),
            Err(missing) => return skip(&missing),
        }
    }
}

#[test]
fn kernel_suite_of_6_1() {
    kernel_suite(Version::V6_1, 17);
}

#[test]
fn kernel_suite_of_6_12() {
    kernel_suite(Version::V6_12, 16);
}

/// An output directory of `make`, whose `conf` is the one that make builds or another.
struct Output<'a> {
    kernel: &'a Kernel,
    /// Goes when the output does.
    _parent: tempfile::TempDir,
    /// The same name for all, since make says where it works.
    directory: PathBuf,
    /// The `conf` that is used; empty until it is there.
    in_place: Vec<u8>,
}

impl<'a> Output<'a> {
    fn new(kernel: &'a Kernel, conf: Option<&Path>) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("output");
        fs::create_dir(&directory).unwrap();
        let mut output = Self {
            kernel,
            _parent: parent,
            directory,
            in_place: Vec::new(),
        };
        // Builds scripts/kconfig/conf, which is then newer than what it is made of.
        output.make(&["allnoconfig"]);
        fs::remove_file(output.directory.join(".config")).unwrap();
        let built = fs::read(output.conf()).unwrap();
        if let Some(conf) = conf {
            fs::copy(conf, output.conf()).unwrap();
        }
        output.in_place = fs::read(output.conf()).unwrap();
        assert!(
            conf.is_none() || output.in_place != built,
            "the program under test was not put in place"
        );
        output
    }

    fn conf(&self) -> PathBuf {
        self.directory.join("scripts/kconfig/conf")
    }

    /// What make says.
    fn make(&self, words: &[&str]) -> String {
        let mut directory = std::ffi::OsString::from("O=");
        directory.push(&self.directory);
        let mut args = vec![directory.as_os_str(), "ARCH=x86_64".as_ref()];
        args.extend(words.iter().map(|word| word.as_ref() as &std::ffi::OsStr));
        let said = run("make", &args, &self.kernel.tree, b"");
        if !self.in_place.is_empty() {
            assert!(
                fs::read(self.conf()).unwrap() == self.in_place,
                "make built conf again"
            );
        }
        String::from_utf8_lossy(&said).replace(&*self.directory.to_string_lossy(), "OUTPUT")
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.directory.join(name)).ok()
    }
}

/// What `make` of `targets`, one after another, says and writes.
fn make(kernel: &Kernel, targets: &[&str], conf: Option<&Path>) -> Vec<(String, Vec<u8>)> {
    let output = Output::new(kernel, conf);
    let mut results = Vec::new();
    for target in targets {
        let said = output.make(&[target]).into_bytes();
        results.push((format!("what make {target} says"), said));
        let config = output.read(".config").unwrap();
        results.push((format!(".config of {target}"), config));
    }
    for name in ["include/config/auto.conf", "include/config/auto.conf.cmd"] {
        if let Some(text) = output.read(name) {
            results.push((name.to_owned(), text));
        }
    }
    results
}

#[test]
fn make_with_lupine_conf_in_place() {
    if let Err(missing) = require("make") {
        return skip(&missing);
    }
    let targets = [
        "defconfig",
        "olddefconfig",
        "tinyconfig",
        "kvm_guest.config",
        "mod2noconfig",
        "syncconfig",
    ];
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        let expected = make(kernel, &targets, None);
        let got = make(kernel, &targets, Some(lupine_conf()));
        assert_eq!(expected.len(), got.len());
        for ((name, expected), (_, got)) in expected.iter().zip(&got) {
            assert!(
                expected == got,
                "{name} of {} differs:\n{}\n---\n{}",
                kernel.release,
                String::from_utf8_lossy(expected),
                String::from_utf8_lossy(got)
            );
        }
    }
}

/// The smallest kernel that `make` builds: every file in the output by name, and the kernel.
fn smallest_kernel(kernel: &Kernel, conf: Option<&Path>) -> (Vec<String>, Vec<u8>) {
    let output = Output::new(kernel, conf);
    output.make(&["tinyconfig"]);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    output.make(&[
        &format!("-j{processors}"),
        "KBUILD_BUILD_TIMESTAMP=1970-01-01",
        "vmlinux",
    ]);
    let found = run("find", &[".", "-type", "f"], &output.directory, b"");
    let mut files: Vec<String> = String::from_utf8_lossy(&found)
        .lines()
        .map(str::to_owned)
        .collect();
    files.sort_unstable();
    (files, output.read("vmlinux").unwrap())
}

#[test]
fn a_kernel_is_built_with_lupine_conf_in_place() {
    if std::env::var_os("LUPINE_TEST_ALL").is_none() {
        return;
    }
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        let kernel = &kernel.whole(version);
        let (files, vmlinux) = smallest_kernel(kernel, None);
        let (our_files, our_vmlinux) = smallest_kernel(kernel, Some(lupine_conf()));
        assert!(files.len() > 1000, "only {} files", files.len());
        assert_eq!(our_files, files, "{}", kernel.release);
        assert!(
            our_vmlinux == vmlinux,
            "the kernels of {} differ",
            kernel.release
        );
    }
}
