//! Single operations of kernels, counted in instructions: kernel mode is fewer, and runs agree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]

mod common;

use lupine::Lupine;
use lupine::manifest::Manifest;
use lupine::measure::{Figure, Unikernel, Unit, boot_instructions, operations, quantity};
use lupine::variant::Variant;
use lupine::vmm::Accel;

use common::{ALL, able, asked_for_all};

/// Operations that meet nothing but the kernel's code: their count is the same each time.
const EXACT: [&str; 5] = [
    quantity::NULL_CALL,
    quantity::READ,
    quantity::WRITE,
    quantity::SIGNAL_INSTALL,
    quantity::FUTEX,
];

/// How far two runs may be apart otherwise: where memory is, and when the timer ticks, differs.
const APART: f64 = 0.03;

fn median(figures: &[Figure], name: &str) -> f64 {
    let figure = figures.iter().find(|figure| figure.name == name);
    let figure = figure.unwrap_or_else(|| panic!("no figure of {name}"));
    assert_eq!(figure.unit, Unit::Instructions);
    let summary = figure.summary();
    summary
        .unwrap_or_else(|| panic!("{name}: {:?}", figure.error))
        .median
}

#[test]
fn a_call_through_the_gate_takes_fewer_instructions_and_runs_agree() {
    if !asked_for_all() {
        eprintln!("SKIPPED: LUPINE_TEST_ALL is not set");
        return;
    }
    if !able(ALL) {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    if lupine.choose_accelerator().unwrap().accel != Accel::Tcg {
        eprintln!("SKIPPED: instructions are counted by emulation, and here is KVM");
        return;
    }
    let source = lupine.kernel_source(None).unwrap();
    let manifest = Manifest::builtin("bench").unwrap();
    let [kernel_mode, user_mode] = [Variant::Lupine, Variant::LupineNokml].map(|variant| {
        let unikernel = Unikernel::build(&lupine, &manifest, &source, variant, None).unwrap();
        let runs = [0, 1].map(|_| operations(&lupine, &unikernel, || {}).unwrap());
        runs_agree(&runs);
        let boots = boot_instructions(&lupine, &unikernel, 3).unwrap().unwrap();
        let summary = boots.summary().unwrap();
        assert_eq!(summary.count, 3);
        assert!(summary.max / summary.min < 1.0 + APART, "{boots:?}");
        let [figures, _] = runs;
        figures
    });
    for name in [quantity::NULL_CALL, quantity::READ, quantity::WRITE] {
        let gate = median(&kernel_mode, name);
        let syscall = median(&kernel_mode, &format!("{name}, by syscall in kernel mode"));
        let user = median(&user_mode, name);
        assert!(
            gate < user && gate < syscall,
            "{name}: {gate} {syscall} {user}"
        );
    }
}

fn runs_agree([first, second]: &[Vec<Figure>; 2]) {
    let names = |figures: &[Figure]| -> Vec<String> {
        figures.iter().map(|figure| figure.name.clone()).collect()
    };
    assert_eq!(names(first), names(second));
    for figure in first {
        // The image has no shell; all else has samples.
        if figure.name.starts_with(quantity::FORK_SHELL) {
            assert_eq!(figure.error.as_deref(), Some("the image has no /bin/sh"));
            continue;
        }
        let name = &figure.name;
        let (a, b) = (median(first, name), median(second, name));
        eprintln!("{name}: {a} {b}");
        let operation = name.split(',').next().unwrap_or_default();
        if EXACT.contains(&operation) {
            assert_eq!(a, b, "{name}");
        }
        assert!(a > 0.0 && (a - b).abs() <= APART * a, "{name}: {a} {b}");
    }
}
