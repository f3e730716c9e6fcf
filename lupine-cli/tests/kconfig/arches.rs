//! Every architecture of both releases, in the modes that need no input, and every defconfig.

use crate::answers::replaying;
use crate::reference::{Kernel, Version};
use crate::run::{Differences, Setting};
use crate::toolchain::Probes;
use std::ffi::OsStr;
use std::fs;

const MODES: [&str; 4] = [
    "--allnoconfig",
    "--allyesconfig",
    "--allmodconfig",
    "--alldefconfig",
];

/// How many architectures each release has at least.
const ARCHES: usize = 21;

/// All modes for each `keep`th architecture. The first run of an architecture starts the probes,
/// the others hear the recorded answers.
fn all_modes(version: Version, probes: Probes, share: usize) {
    let Some(kernel) = Kernel::get(version) else {
        return;
    };
    let mut differences = Differences::default();
    let arches = kernel.arches();
    assert!(arches.len() >= ARCHES, "{arches:?}");
    for arch in arches.iter().skip(share).step_by(2) {
        let mut setting = Setting::tree(kernel, arch, probes);
        let recorded = tempfile::NamedTempFile::new().unwrap();
        for (index, mode) in MODES.iter().enumerate() {
            differences.about(format!("{arch}, probes {probes:?}"));
            let how = if index == 0 { "record:" } else { "replay:" };
            let mut value = OsStr::new(how).to_owned();
            value.push(recorded.path());
            setting.set("LUPINE_PROBES", value);
            setting.compare(kernel, &[&[mode, "Kconfig"]], &mut differences);
        }
    }
    differences.finish(ARCHES / 2 * MODES.len());
}

#[test]
fn every_other_arch_of_6_1() {
    all_modes(Version::V6_1, Probes::Pass, 0);
}

#[test]
fn every_further_arch_of_6_1() {
    all_modes(Version::V6_1, Probes::Fail, 1);
}

#[test]
fn every_other_arch_of_6_12() {
    all_modes(Version::V6_12, Probes::Fail, 0);
}

#[test]
fn every_further_arch_of_6_12() {
    all_modes(Version::V6_12, Probes::Pass, 1);
}

/// Variants of an architecture's directory that `make` knows by another name.
#[test]
fn other_names_of_arches() {
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        let mut differences = Differences::default();
        for (name, directory) in [("i386", "x86"), ("x86", "x86"), ("sparc64", "sparc")] {
            let mut setting = Setting::tree(kernel, directory, Probes::Pass);
            setting.set("ARCH", name);
            differences.about(name);
            setting.compare(kernel, &[&["--alldefconfig", "Kconfig"]], &mut differences);
        }
        differences.finish(3);
    }
}

/// The defconfig files of `arch`, relative to the tree.
fn defconfigs(kernel: &Kernel, arch: &str) -> Vec<String> {
    let directory = format!("arch/{arch}/configs");
    let Ok(entries) = fs::read_dir(kernel.tree.join(&directory)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("defconfig"))
        .map(|name| format!("{directory}/{name}"))
        .collect();
    names.sort();
    names
}

/// Each `step`th defconfig from the `skip`th on.
fn every_defconfig(version: Version, skip: usize, step: usize) {
    let Some(kernel) = Kernel::get(version) else {
        return;
    };
    let mut differences = Differences::default();
    let mut count = 0;
    for arch in kernel.arches() {
        let (setting, reference) = replaying(kernel, &arch, Probes::Fail);
        for name in defconfigs(kernel, &arch).iter().skip(skip).step_by(step) {
            count += 1;
            differences.about(name);
            setting.compare_with(
                &reference,
                &[
                    &[&format!("--defconfig={name}"), "Kconfig"],
                    &["--savedefconfig=defconfig", "Kconfig"],
                ],
                &mut differences,
            );
        }
    }
    // A sample of one in sixty still has one of most architectures.
    assert!(count >= 12, "only {count} defconfigs");
    differences.finish(2 * count);
}

/// A few defconfigs of every architecture; with `LUPINE_TEST_ALL` all of them.
#[test]
fn defconfigs_of_6_1() {
    let all = std::env::var_os("LUPINE_TEST_ALL").is_some();
    every_defconfig(Version::V6_1, 0, if all { 1 } else { 60 });
}

#[test]
fn defconfigs_of_6_12() {
    let all = std::env::var_os("LUPINE_TEST_ALL").is_some();
    every_defconfig(
        Version::V6_12,
        if all { 0 } else { 1 },
        if all { 1 } else { 60 },
    );
}
