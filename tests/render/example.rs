//! Comparisons with invented figures: as many kinds of trouble as a real one can have.

use lupine::measure::{
    Comparison, Conditions, FORMAT, Figure, Group, Measures, Outcome, Phase, Plan, SizePart,
    Subject, Unit, quantity,
};

/// A name that a page must not take for markup.
pub(crate) const HOSTILE: &str =
    "<script>alert('x')</script><img src=//evil.example/x onerror=\"1\">|`&amp;";

pub(crate) const VARIANTS: [&str; 5] = [
    "microvm",
    "lupine-nokml",
    "lupine",
    "lupine-general",
    "lupine-tiny",
];

pub(crate) fn conditions(emulated: bool) -> Conditions {
    Conditions {
        date: "2026-11-27".into(),
        lupine: "0.1.0".into(),
        processor: "Example Processor 8000 @ 2.60GHz".into(),
        processors: 2,
        memory_mib: 7946,
        host: "Linux 6.1.0-41-amd64".into(),
        vmm: "QEMU emulator version 7.2.19".into(),
        accelerator: if emulated { "tcg" } else { "kvm" }.into(),
        emulated,
        kernel: "6.12.57".into(),
        compiler: "gcc (Debian 12.2.0-14+deb12u1) 12.2.0".into(),
    }
}

pub(crate) fn plan(applications: &[&str], variants: &[&str], repetitions: u32) -> Plan {
    Plan {
        applications: applications.iter().map(|&name| name.to_owned()).collect(),
        variants: variants.iter().map(|&name| name.to_owned()).collect(),
        groups: Group::ALL.to_vec(),
        repetitions,
        spread_limit: 0.1,
        baseline: None,
        vmm: lupine::vmm::Vmm::Qemu,
        kernel_source: None,
    }
}

pub(crate) fn figure(
    group: Group,
    name: &str,
    unit: Unit,
    method: &str,
    samples: &[f64],
) -> Figure {
    Figure {
        group,
        name: name.to_owned(),
        unit,
        method: method.to_owned(),
        samples: samples.to_vec(),
        error: None,
    }
}

/// Samples about a median, the same on every run.
fn about(median: f64, spread: f64, count: u32, seed: u32) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24)
    };
    let noise = |a: f64, b: f64| a + b - 0.8;
    (0..count)
        .map(|_| median * (1.0 + spread * noise(next(), next())))
        .collect()
}

/// How large each kind of kernel is, in relation to the first.
const SIZES: [f64; 5] = [1.0, 0.27, 0.28, 0.31, 0.25];

fn measures(variant: usize, application: &str, emulated: bool) -> Measures {
    let size = SIZES[variant];
    let seed = variant as u32 * 97 + application.len() as u32;
    let whole = |value: f64| vec![value.round()];
    let time = if emulated {
        Unit::Instructions
    } else {
        Unit::Nanoseconds
    };
    let file = "The length of the file.";
    let mut figures = Vec::new();
    let mut add = |group, name, unit, method, samples: &[f64]| {
        figures.push(figure(group, name, unit, method, samples));
    };
    let counted = "Symbols that are on in the saved configuration.";
    for (name, value) in [
        (quantity::OPTIONS, 1290.0 * (0.3 + 0.5 * size)),
        (quantity::WITH_PROMPT, 611.0 * size),
        (quantity::APPLICATION_SPECIFIC, 260.0 * (size - 0.22)),
        (quantity::MULTI_PROCESSING, 90.0 * (size - 0.2)),
        (quantity::HARDWARE_MANAGEMENT, 148.0 * (size - 0.24)),
    ] {
        add(Group::Options, name, Unit::Options, counted, &whole(value));
    }
    add(
        Group::Size,
        quantity::BZIMAGE,
        Unit::Bytes,
        file,
        &whole(11.8e6 * size),
    );
    add(
        Group::Size,
        quantity::COMPRESSED,
        Unit::Bytes,
        "Text and data of vmlinux, by xz -9.",
        &whole(8.1e6 * size),
    );
    add(
        Group::Size,
        quantity::VMLINUX,
        Unit::Bytes,
        file,
        &whole(46e6 * size),
    );
    let boot = "From the start of the VMM until its output or the health check, host's clock.";
    let slow = if emulated { 14.0 } else { 1.0 };
    for (name, value) in [(quantity::TO_INIT, 0.062), (quantity::TO_READY, 0.091)] {
        let samples = about(value * (0.25 + 0.75 * size) * slow, 0.08, 10, seed);
        add(Group::Boot, name, Unit::Seconds, boot, &samples);
    }
    if emulated {
        let samples = about(4.2e8 * size, 0.001, 3, seed);
        let method = "Counted by a plugin of the emulator until the application is executed.";
        add(
            Group::Boot,
            quantity::BOOT_INSTRUCTIONS,
            Unit::Instructions,
            method,
            &samples,
        );
    }
    let memory = "The smallest guest in which the health check passes, by bisection.";
    let smallest = [34.0, 19.0, 19.0, 21.0, 18.0][variant];
    add(
        Group::Memory,
        quantity::SMALLEST_MEMORY,
        Unit::Mebibytes,
        memory,
        &[smallest],
    );
    let resident = "The VMM's resident size once the application is ready.";
    let samples = about(88e6 * (0.6 + 0.4 * size), 0.01, 5, seed);
    add(
        Group::Memory,
        quantity::RESIDENT,
        Unit::Bytes,
        resident,
        &samples,
    );
    let operation = "Medians of rounds of the guest's benchmark program.";
    for (i, (name, value)) in [
        (quantity::NULL_CALL, 78.0),
        (quantity::READ, 140.0),
        (quantity::WRITE, 121.0),
        (quantity::PIPE, 2890.0),
        (quantity::FORK_EXIT, 61_000.0),
        (quantity::PAGE_FAULT, 410.0),
    ]
    .into_iter()
    .enumerate()
    {
        let kernel_mode = if variant >= 2 { 0.62 } else { 1.0 };
        let value = value * (0.7 + 0.3 * size) * kernel_mode;
        let samples = about(value, if i == 3 { 0.5 } else { 0.06 }, 12, seed + i as u32);
        add(Group::Operations, name, time, operation, &samples);
    }
    let load = "Load of the host, over the VMM's forwarded port.";
    let names: &[&str] = match application {
        "redis" => &[quantity::REDIS_GET, quantity::REDIS_SET],
        _ => &[quantity::HTTP_CONNECTION, quantity::HTTP_KEPT],
    };
    for name in names {
        let samples = about(21_400.0 * (1.3 - 0.3 * size) / slow, 0.05, 10, seed);
        add(Group::Application, name, Unit::PerSecond, load, &samples);
    }
    Measures {
        figures,
        parts: parts(size),
        phases: phases(size * slow),
        digests: [("kernel".to_owned(), "9f86d081884c7d65".repeat(4))].into(),
        commands: [(
            "boot".to_owned(),
            vec!["qemu-system-x86_64".to_owned(), "-M".to_owned()],
        )]
        .into(),
        config: "CONFIG_NEVER_ON_THE_PAGE=y\n".repeat(300),
        config_for_several: String::new(),
    }
}

fn parts(size: f64) -> Vec<SizePart> {
    let parts = [
        ("drivers/acpi", 2100.0),
        ("drivers/net", 800.0),
        ("kernel/sched", 1200.0),
        ("kernel/trace", 700.0),
        ("net/ipv4", 1100.0),
        ("net/core", 900.0),
        ("fs/ext4", 600.0),
        ("fs", 800.0),
        ("mm", 900.0),
        ("arch/x86/kernel", 1100.0),
        ("lib", 500.0),
        ("security/selinux", 300.0),
        ("block", 250.0),
        ("crypto", 220.0),
        ("init", 60.0),
    ];
    let part = |(directory, kib): (&str, f64)| SizePart {
        directory: directory.to_owned(),
        text: (kib * 1024.0 * size) as u64,
        data: (kib * 128.0 * size) as u64,
        bss: 4096,
    };
    parts.into_iter().map(part).collect()
}

fn phases(scale: f64) -> Vec<Phase> {
    let mut begin = 0.0;
    let phases = [
        ("VMM", 0.012),
        ("decompression", 0.011 * scale),
        ("kernel", 0.036 * scale),
        ("init", 0.003),
        ("application", 0.028),
    ];
    let phase = |(name, length): (&str, f64)| {
        begin += length;
        Phase {
            name: name.to_owned(),
            begin: begin - length,
            length,
        }
    };
    phases.into_iter().map(phase).collect()
}

/// Two applications, one with a hostile name, on five kinds of kernels, one of which has failed.
pub(crate) fn realistic(emulated: bool) -> Comparison {
    let applications = ["nginx", "redis", HOSTILE];
    let mut subjects = Vec::new();
    for application in applications {
        for (i, variant) in VARIANTS.into_iter().enumerate() {
            let failed = application == HOSTILE && i < 4
                || (application, variant) == ("redis", "lupine-general");
            let outcome = if failed {
                Outcome::Failed(format!(
                    "the health check of {application} did not pass in 30 s\nthe kernel lacks \
                     CONFIG_EPOLL\n<b onload=alert(1)>{}</b>",
                    "a long line of a log without an end ".repeat(12)
                ))
            } else {
                Outcome::Measured(Box::new(measures(i, application, emulated)))
            };
            let (application, variant) = (application.to_owned(), variant.to_owned());
            subjects.push(Subject {
                application,
                variant,
                outcome,
            });
        }
    }
    trouble(&mut subjects);
    Comparison {
        format: FORMAT,
        plan: plan(&applications, &VARIANTS, 10),
        conditions: conditions(emulated),
        subjects,
    }
}

/// Figures with errors, one with fewer samples than asked for, and one that only one subject has.
fn trouble(subjects: &mut [Subject]) {
    for subject in subjects {
        let Outcome::Measured(measures) = &mut subject.outcome else {
            continue;
        };
        if subject.variant == "lupine-tiny" {
            for figure in &mut measures.figures {
                if figure.name == quantity::FORK_EXIT {
                    figure.samples.clear();
                    figure.error = Some("the guest ended with status 139: <segfault>".to_owned());
                }
                if figure.name == quantity::TO_READY {
                    figure.samples.truncate(4);
                    figure.error = Some("the fifth boot passed its time limit of 60 s".to_owned());
                }
            }
        }
        if subject.variant == "lupine" && subject.application == "nginx" {
            measures.figures.push(figure(
                Group::Degradation,
                "requests beside 1024 sleeping processes",
                Unit::PerSecond,
                "The load of the group Application, with sleeping processes in the guest.",
                &[23_900.0, 24_100.0, 24_050.0],
            ));
        }
    }
}
