//! Boots kernels with the KML patches and runs the guest tests in them, and programs of a distribution.
//!
//! The kernel source is that of Debian's linux-source packages. A tree is
//! unpacked, patched by this library without fuzz, configured and built in the
//! user's cache directory, under a key made of everything that goes in, so that
//! a second run only boots. Where the source package, a compiler or QEMU is
//! missing the tests say so and pass, unless `CI` is set.
#![allow(
    clippy::disallowed_methods,
    reason = "the tests run make, gcc and QEMU"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a test helper that fails fails the test"
)]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "../common/archive.rs"]
#[allow(
    dead_code,
    reason = "some of it is for the tests of rewriting and of the patch engine"
)]
mod archive;
mod cases;
#[path = "../../../src/vmm/clock.rs"]
mod clock;
mod controls;
mod figures;
mod foreign;
mod glibc;
mod guest;
mod kernel;
mod load;
mod programs;
mod root;
mod series;

use std::fs;
use std::path::{Path, PathBuf};

use lupine_kml::verify::{verify_config, verify_vmlinux};

use crate::foreign::Suite;
use crate::guest::{boot, judge};
use crate::kernel::{
    DEBUG, DISTRIBUTION, EVERYTHING, KML, Kernel, Missing, SANITIZERS, SMP, STATS,
};
use crate::programs::judge_programs;

/// The guest tests as ring 3, by `syscall` and through the gate.
const ALL_MODES: &[&str] = &["ring3", "native", "gate"];

/// Runs a test body, or says why it cannot run; in CI that is a failure.
fn unless_missing(body: impl FnOnce() -> Result<(), Missing>) {
    if let Err(Missing(why)) = body() {
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("skipped: {why}");
    }
}

/// As [`unless_missing`], for what takes many minutes.
fn if_all_are_asked_for(body: impl FnOnce() -> Result<(), Missing>) {
    if asked_for_all() {
        unless_missing(body);
    }
}

fn asked_for_all() -> bool {
    std::env::var_os("LUPINE_TEST_ALL").is_some()
}

fn patched<'a>(version: &'a str, options: &'a [&'a [&'a str]]) -> Kernel<'a> {
    Kernel {
        version,
        patched: true,
        clang: false,
        options,
    }
}

/// The files of a build say that the patches are in it.
fn verify(vmlinux: &Path) {
    let report = verify_vmlinux(&fs::read(vmlinux).unwrap()).unwrap();
    assert!(report.good, "{report}");
    let config = fs::read(vmlinux.with_file_name(".config")).unwrap();
    assert!(verify_config(&config).enabled);
}

/// The guest tests under each policy.
fn policies(vmlinux: &Path) -> Result<(), Missing> {
    judge(&boot(vmlinux, "", &[])?, ALL_MODES);
    judge(&boot(vmlinux, "kml=all", &[])?, &["native", "gate"]);
    judge(&boot(vmlinux, "kml=off", &[])?, &["ring3"]);
    Ok(())
}

/// The guest tests on a processor without FSGSBASE, and with an interrupt possible at every
/// instruction.
fn processors(vmlinux: &Path) -> Result<(), Missing> {
    judge(
        &boot(vmlinux, "", &["-cpu", "qemu64,-fsgsbase"])?,
        ALL_MODES,
    );
    judge(&boot(vmlinux, "", &["-singlestep"])?, ALL_MODES);
    Ok(())
}

#[test]
fn linux_6_12() {
    unless_missing(|| {
        let vmlinux = patched("6.12", &[KML, STATS]).vmlinux()?;
        verify(&vmlinux);
        policies(&vmlinux)?;
        if asked_for_all() {
            processors(&vmlinux)?;
        }
        Ok(())
    });
}

#[test]
fn linux_6_1() {
    if_all_are_asked_for(|| {
        let vmlinux = patched("6.1", &[KML, STATS]).vmlinux()?;
        verify(&vmlinux);
        policies(&vmlinux)?;
        processors(&vmlinux)
    });
}

#[test]
fn rewritten_programs_in_cpl_0() {
    unless_missing(|| judge_programs(&patched("6.12", &[KML, STATS]).vmlinux()?, &[]));
}

#[test]
fn rewritten_programs_in_cpl_0_on_6_1() {
    if_all_are_asked_for(|| judge_programs(&patched("6.1", &[KML, STATS]).vmlinux()?, &[]));
}

fn with_everything() -> Result<PathBuf, Missing> {
    patched("6.12", &[KML, STATS, SMP, DISTRIBUTION, EVERYTHING]).vmlinux()
}

#[test]
fn stressors_end_alike_in_cpl_0() {
    if_all_are_asked_for(|| foreign::stressors_end_alike(&with_everything()?));
}

#[test]
fn stressors_of_intel_end_alike_in_cpl_0() {
    if_all_are_asked_for(|| foreign::stressors_of_intel_end_alike(&with_everything()?));
}

#[test]
fn foreign_programs_are_the_same_in_ring_3() {
    if_all_are_asked_for(foreign::ring3_is_the_same);
}

#[test]
fn the_tests_of_glibc_end_alike_in_ring_3() {
    if_all_are_asked_for(glibc::tests_end_alike);
}

fn for_a_distribution() -> Result<PathBuf, Missing> {
    patched("6.12", &[KML, STATS, SMP, DISTRIBUTION]).vmlinux()
}

#[test]
fn foreign_programs_are_the_same_in_cpl_0() {
    if_all_are_asked_for(|| foreign::cpl0_is_the_same(&for_a_distribution()?, &Suite::TOOLS, 10));
}

#[test]
fn the_tests_of_perl_end_alike_in_cpl_0() {
    if_all_are_asked_for(|| foreign::cpl0_is_the_same(&for_a_distribution()?, &Suite::PERL, 400));
}

#[test]
fn the_tests_of_python_end_alike_in_cpl_0() {
    if_all_are_asked_for(|| foreign::cpl0_is_the_same(&for_a_distribution()?, &Suite::PYTHON, 400));
}

/// `LUPINE_LOAD_MINUTES` for another time than half an hour.
#[test]
fn mixed_load_in_cpl_0() {
    if_all_are_asked_for(|| {
        let minutes = std::env::var("LUPINE_LOAD_MINUTES").map_or(30, |n| n.parse().unwrap());
        load::mixed_load(&for_a_distribution()?, minutes)
    });
}

#[test]
fn the_series_is_in_kernel_style() {
    unless_missing(|| series::is_in_kernel_style("6.12"));
    if_all_are_asked_for(|| series::is_in_kernel_style("6.1"));
}

#[test]
fn every_step_of_the_series_builds() {
    if_all_are_asked_for(|| series::every_step_builds("6.12"));
    if_all_are_asked_for(|| series::every_step_builds("6.1"));
}

#[test]
fn without_the_option_the_code_is_the_same() {
    if_all_are_asked_for(|| series::leaves_the_code_alone("6.12"));
    if_all_are_asked_for(|| series::leaves_the_code_alone("6.1"));
}

#[test]
fn the_gate_of_6_12_is_short() {
    if_all_are_asked_for(|| figures::the_gate_is_short("6.12"));
}

#[test]
fn the_gate_of_6_1_is_short() {
    if_all_are_asked_for(|| figures::the_gate_is_short("6.1"));
}

#[test]
fn linux_6_12_with_smp() {
    if_all_are_asked_for(|| {
        let vmlinux = patched("6.12", &[KML, STATS, SMP]).vmlinux()?;
        judge(&boot(&vmlinux, "", &[])?, ALL_MODES);
        judge(&boot(&vmlinux, "", &["-smp", "4"])?, ALL_MODES);
        judge_programs(&vmlinux, &["-smp", "2"])
    });
}

#[test]
fn linux_6_1_with_smp() {
    if_all_are_asked_for(|| {
        let vmlinux = patched("6.1", &[KML, STATS, SMP]).vmlinux()?;
        judge(&boot(&vmlinux, "", &["-smp", "4"])?, ALL_MODES);
        Ok(())
    });
}

#[test]
fn linux_6_12_with_debugging() {
    if_all_are_asked_for(|| {
        let vmlinux = patched("6.12", &[KML, STATS, SMP, DEBUG]).vmlinux()?;
        judge(&boot(&vmlinux, "", &["-smp", "2"])?, ALL_MODES);
        Ok(())
    });
}

#[test]
fn linux_6_12_with_sanitizers() {
    if_all_are_asked_for(|| {
        let vmlinux = patched("6.12", &[KML, STATS, SANITIZERS]).vmlinux()?;
        judge(&boot(&vmlinux, "", &["-m", "512"])?, ALL_MODES);
        Ok(())
    });
}

#[test]
fn linux_6_12_built_by_clang() {
    if_all_are_asked_for(|| {
        let kernel = Kernel {
            clang: true,
            ..patched("6.12", &[KML, STATS])
        };
        let vmlinux = kernel.vmlinux()?;
        verify(&vmlinux);
        judge(&boot(&vmlinux, "", &[])?, ALL_MODES);
        Ok(())
    });
}

#[test]
fn every_rule_is_needed() {
    if_all_are_asked_for(|| controls::every_rule_is_needed("6.12"));
}

#[test]
fn nmis_find_every_rule() {
    if_all_are_asked_for(|| controls::nmis_find_every_rule("6.12"));
}
