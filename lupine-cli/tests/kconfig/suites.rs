//! The kernel's own tests of `conf`, and the kernel's own makefiles, with `lupine-conf` in place.

use crate::reference::{Kernel, Version, require, run, skip};
use crate::run::lupine_conf;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
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

fn kernel_suite(version: Version, cases: usize) {
    let Some(kernel) = Kernel::get(version) else {
        return;
    };
    match pytest(kernel, lupine_conf()) {
        Ok((passed, all, report)) => {
            assert!(all && passed == cases, "{passed} of {cases} pass\n{report}");
        }
        Err(missing) => skip(&missing),
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

/// `make` of `targets`, one after another, in an output directory whose `conf` is `conf` (or the
/// one that make builds); what it wrote and what it said.
fn make(kernel: &Kernel, targets: &[&str], conf: Option<&Path>) -> Vec<(String, Vec<u8>)> {
    // The same name for both, since make says where it works.
    let parent = tempfile::tempdir().unwrap();
    let output = parent.path().join("output");
    fs::create_dir(&output).unwrap();
    let mut argument = std::ffi::OsString::from("O=");
    argument.push(&output);
    let make = |target: &str| {
        let args = [
            argument.as_os_str(),
            "ARCH=x86_64".as_ref(),
            target.as_ref(),
        ];
        let said = run("make", &args, &kernel.tree, b"");
        String::from_utf8_lossy(&said).replace(&*output.to_string_lossy(), "OUTPUT")
    };
    // Builds scripts/kconfig/conf, which is then newer than what it is made of.
    make("allnoconfig");
    fs::remove_file(output.join(".config")).unwrap();
    let place = output.join("scripts/kconfig/conf");
    let built = fs::read(&place).unwrap();
    if let Some(conf) = conf {
        fs::copy(conf, &place).unwrap();
    }
    let in_place = fs::read(&place).unwrap();
    let mut results = Vec::new();
    for target in targets {
        results.push((
            format!("what make {target} says"),
            make(target).into_bytes(),
        ));
        results.push((
            format!(".config of {target}"),
            fs::read(output.join(".config")).unwrap(),
        ));
    }
    for name in ["auto.conf", "auto.conf.cmd"] {
        if let Ok(text) = fs::read(output.join("include/config").join(name)) {
            results.push((name.to_owned(), text));
        }
    }
    assert!(
        fs::read(&place).unwrap() == in_place,
        "make built conf again"
    );
    assert!(
        conf.is_none() || in_place != built,
        "the program under test was not put in place"
    );
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
