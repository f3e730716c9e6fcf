//! Measurements of real guests: what they say holds together, is kept, and goes on where it
//! stopped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]

mod common;

use std::time::Instant;

use lupine::Lupine;
use lupine::manifest::Manifest;
use lupine::measure::{
    Application, Comparison, Figure, Group, Measures, Outcome, Plan, Unikernel, compare, measure,
    processors, quantity, render,
};
use lupine::variant::Variant;

use common::{ALL, able, asked_for_all, has_programs};

fn plan(groups: &[Group]) -> Plan {
    // The kernel without kernel mode is of another tree, which takes as long again.
    let variants = match asked_for_all() {
        true => &[Variant::LupineNokml, Variant::Lupine][..],
        false => &[Variant::Lupine],
    };
    Plan {
        applications: vec!["hello".to_owned()],
        variants: variants.iter().map(|v| v.name().to_owned()).collect(),
        groups: groups.to_vec(),
        repetitions: 1,
        spread_limit: 0.1,
        baseline: None,
        vmm: lupine::vmm::Vmm::Qemu,
        kernel_source: None,
    }
}

fn hello() -> Application {
    Application {
        name: "hello".to_owned(),
        manifest: Manifest::builtin("hello").unwrap(),
    }
}

fn median(comparison: &Comparison, variant: Variant, group: Group, name: &str) -> f64 {
    let mut subjects = comparison.subjects.iter();
    let subject = subjects.find(|s| s.variant == variant.name()).unwrap();
    median_of(subject.figure(group, name).expect(name))
}

fn median_of(figure: &Figure) -> f64 {
    let summary = figure.summary();
    summary
        .unwrap_or_else(|| panic!("{}: {:?}", figure.name, figure.error))
        .median
}

#[test]
fn a_kernel_is_measured_from_its_options_to_its_calls() {
    if !able(ALL) {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    let plan = plan(&Group::ALL);
    let mut kept = Vec::new();
    let begin = Instant::now();
    let found = compare(&lupine, &plan, &[hello()], None, |sofar| {
        kept.push(serde_json::to_vec(sofar)?);
        Ok(())
    })
    .unwrap();
    let measuring = begin.elapsed();
    assert_eq!(kept.len(), plan.variants.len());
    let read: Comparison = serde_json::from_slice(kept.last().unwrap()).unwrap();
    assert!(read == found, "a comparison reads back as it was");

    let of = |group, name| median(&found, Variant::Lupine, group, name);
    let (all, with_prompt) = (
        of(Group::Options, quantity::OPTIONS),
        of(Group::Options, quantity::WITH_PROMPT),
    );
    assert!(with_prompt < all);
    let nothing_unexplained = [
        quantity::APPLICATION_SPECIFIC,
        quantity::MULTI_PROCESSING,
        quantity::HARDWARE_MANAGEMENT,
    ];
    for name in nothing_unexplained {
        assert_eq!(of(Group::Options, name), 0.0, "{name}");
    }

    let sections = of(Group::Size, quantity::TEXT_AND_DATA);
    assert!(of(Group::Size, quantity::COMPRESSED) < sections);
    let Outcome::Measured(measures) = &found.subjects.last().unwrap().outcome else {
        panic!("nothing was measured")
    };
    // The link adds tables that no object has; nothing else is unaccounted for.
    let parts: u64 = measures.parts.iter().map(|p| p.text + p.data).sum();
    let share = parts as f64 / sections;
    assert!((0.85..=1.15).contains(&share), "{share}");

    let (init, ready) = (
        of(Group::Boot, quantity::TO_INIT),
        of(Group::Boot, quantity::TO_READY),
    );
    assert!(init > 0.01 && ready > 0.01 && ready < 60.0);
    assert!(measures.phases.len() >= 4, "{:?}", measures.phases);
    let smallest = of(Group::Memory, quantity::SMALLEST_MEMORY);
    assert!((6.0..=32.0).contains(&smallest), "{smallest}");

    // Counted instructions are the same each time but for timer interrupts.
    if found.conditions.emulated {
        let null = found.subjects.last().unwrap();
        let null = null.figure(Group::Operations, quantity::NULL_CALL).unwrap();
        assert!(null.summary().unwrap().spread() < 0.01, "{null:?}");
    }
    the_gate_is_shorter(&found, measures);
    for text in [
        render::markdown(&found),
        render::csv(&found),
        render::html(&found),
    ] {
        assert!(text.contains(quantity::NULL_CALL));
    }

    // What is known is not measured again; what another plan asked for is.
    let begin = Instant::now();
    let again = compare(&lupine, &plan, &[hello()], Some(found.clone()), |_| Ok(())).unwrap();
    assert!(again.subjects == found.subjects);
    assert!(begin.elapsed() < measuring / 2);
}

fn the_gate_is_shorter(found: &Comparison, measures: &Measures) {
    let calls = [
        "",
        ", by syscall in kernel mode",
        ", by an ordinary process",
    ]
    .map(|way| {
        let name = format!("{}{way}", quantity::NULL_CALL);
        let mut figures = measures.figures.iter();
        median_of(figures.find(|figure| figure.name == name).expect(&name))
    });
    let [gate, syscall, ordinary] = calls;
    assert!(gate < syscall && gate < ordinary, "{calls:?}");
    if asked_for_all() {
        let name = quantity::NULL_CALL;
        let user = median(found, Variant::LupineNokml, Group::Operations, name);
        assert!(gate < user, "{gate} {user}");
    }
}

#[test]
fn a_server_is_measured_under_load() {
    if able(ALL) && has_programs(&["ab"]) {
        loads_are_measured("nginx", &[quantity::HTTP_CONNECTION, quantity::HTTP_KEPT]);
    }
}

#[test]
fn a_database_is_measured_under_load() {
    if asked_for_all() && able(ALL) && has_programs(&["pgbench"]) {
        let loads = [quantity::POSTGRES_WRITING, quantity::POSTGRES_READING];
        loads_are_measured("postgres", &loads);
    }
}

fn loads_are_measured(application: &str, names: &[&str]) {
    let lupine = Lupine::of_user().unwrap();
    let application = Application {
        name: application.to_owned(),
        manifest: Manifest::builtin(application).unwrap(),
    };
    let plan = Plan {
        variants: vec![Variant::Lupine.name().to_owned()],
        ..plan(&[Group::Application])
    };
    let found = compare(&lupine, &plan, &[application], None, |_| Ok(())).unwrap();
    for name in names {
        let subject = found.subjects.first().unwrap();
        let figure = subject.figure(Group::Application, name);
        let figure = figure.unwrap_or_else(|| panic!("{subject:?}"));
        assert_eq!(figure.samples.len(), 1, "{figure:?}");
        assert!(figure.samples.iter().all(|&rate| rate > 1.0), "{figure:?}");
        assert!(found.is_emulated(figure) == found.conditions.emulated);
    }
}

#[test]
fn a_kernel_for_several_processors_is_measured_on_one_and_on_several() {
    if !asked_for_all() || !able(ALL) {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    let source = lupine.kernel_source(None).unwrap();
    for variant in [Variant::LupineNokml, Variant::Lupine] {
        let mut manifest = Manifest::builtin("hello").unwrap();
        manifest.machine.processors = 2;
        let built = Unikernel::build(&lupine, &manifest, &source, variant, None).unwrap();
        let config = String::from_utf8(built.config.clone()).unwrap();
        for option in ["CONFIG_SMP=y", "CONFIG_NR_CPUS=2"] {
            assert!(config.lines().any(|line| line == option), "{option}");
        }
        let measures = processors(&lupine, &built, 1, || {}).unwrap();
        for (count, suffix) in [(1, "1 processor"), (2, "2 processors")] {
            let command = &measures.commands[&format!("boot, SMP kernel on {suffix}")];
            let smp = command.windows(2).find(|words| words[0] == "-smp");
            let smp = smp.map(|words| &*words[1]);
            assert_eq!(smp, Some(&*count.to_string()), "{command:?}");
        }
        let null_call = |suffix: &str| {
            let name = format!("{}, SMP kernel on {suffix}", quantity::NULL_CALL);
            let mut figures = measures.figures.iter();
            let found = figures.find(|figure| figure.name == name);
            median_of(found.expect(&name))
        };
        let (one, two) = (null_call("1 processor"), null_call("2 processors"));
        assert!(one > 10.0 && two > 10.0, "{one} {two}");
    }
}

#[test]
fn a_saved_unikernel_is_measured_as_it_was_built() {
    if !able(ALL) {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    let source = lupine.kernel_source(None).unwrap();
    let manifest = Manifest::builtin("hello").unwrap();
    let built = Unikernel::build(&lupine, &manifest, &source, Variant::Lupine, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    built.save(folder.path()).unwrap();
    let opened = Unikernel::open(folder.path()).unwrap();
    assert_eq!(opened.digests().unwrap(), built.digests().unwrap());
    let plan = plan(&[Group::Options, Group::Size]);
    let figures = |unikernel| measure(&lupine, &plan, unikernel).unwrap().figures;
    assert_eq!(figures(&opened), figures(&built));

    std::fs::write(folder.path().join("reasons.json"), "[").unwrap();
    let error = Unikernel::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("reasons.json"), "{error}");
    std::fs::remove_file(folder.path().join("vmlinux")).unwrap();
    let error = Unikernel::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("vmlinux"), "{error}");
}

#[test]
fn what_does_not_run_stands_in_the_comparison() {
    if !able(ALL) {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    let mut broken = hello();
    broken.manifest.run.entrypoint = Some(vec!["/not-there".to_owned()]);
    let plan = plan(&[Group::Options]);
    let found = compare(&lupine, &plan, &[broken], None, |_| Ok(())).unwrap();
    for subject in &found.subjects {
        let Outcome::Failed(error) = &subject.outcome else {
            panic!("it ran")
        };
        assert!(error.contains("/not-there"), "{error}");
    }
    assert!(render::markdown(&found).contains("/not-there"));
}
