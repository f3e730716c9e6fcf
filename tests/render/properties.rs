//! Whatever a comparison holds, what is made of it is well-formed.

use lupine::measure::render::{csv, html, markdown};
use lupine::measure::{
    Comparison, FORMAT, Figure, Group, Measures, Outcome, Phase, Plan, SizePart, Subject, Unit,
    quantity,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::example::{HOSTILE, conditions};
use crate::markup;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(HOSTILE.to_owned()),
        Just("microvm".to_owned()),
        Just("lupine".to_owned()),
        Just(quantity::VMLINUX.to_owned()),
        Just("</svg></style>\u{0}\u{202E}\u{FFFE}\r\n|\"'&<!--".to_owned()),
        any::<String>(),
        ".{0,200}",
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..1e6_f64,
        1 => any::<f64>(),
        1 => prop_oneof![Just(0.0), Just(f64::MAX), Just(f64::MIN), Just(f64::NAN), Just(1e-320)],
    ]
}

fn figure() -> impl Strategy<Value = Figure> {
    let units = vec![
        Unit::Options,
        Unit::Bytes,
        Unit::Mebibytes,
        Unit::Seconds,
        Unit::Nanoseconds,
        Unit::Instructions,
        Unit::PerSecond,
    ];
    let groups = proptest::sample::select(Group::ALL.to_vec());
    let units = proptest::sample::select(units);
    (
        groups,
        text(),
        units,
        text(),
        vec(number(), 0..90),
        proptest::option::of(text()),
    )
        .prop_map(|(group, name, unit, method, samples, error)| Figure {
            group,
            name,
            unit,
            method,
            samples,
            error,
        })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let part = (text(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(directory, text, data, bss)| SizePart {
            directory,
            text,
            data,
            bss,
        },
    );
    let phase = (text(), number(), number()).prop_map(|(name, begin, length)| Phase {
        name,
        begin,
        length,
    });
    let texts = proptest::collection::btree_map(text(), text(), 0..3);
    let measures = (
        vec(figure(), 0..6),
        vec(part, 0..12),
        vec(phase, 0..5),
        texts,
    )
        .prop_map(|(figures, parts, phases, digests)| {
            let commands = digests
                .iter()
                .map(|(a, b)| (a.clone(), vec![b.clone()]))
                .collect();
            Measures {
                figures,
                parts,
                phases,
                digests,
                commands,
                config: String::new(),
                config_for_several: String::new(),
            }
        });
    prop_oneof![
        3 => measures.prop_map(|measures| Outcome::Measured(Box::new(measures))),
        1 => text().prop_map(Outcome::Failed),
    ]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    let names = (vec(text(), 0..4), vec(text(), 0..4));
    let subjects = vec((any::<u8>(), any::<u8>(), text(), outcome()), 0..6);
    let groups = proptest::sample::subsequence(Group::ALL.to_vec(), 0..7);
    (names, subjects, groups, text(), any::<bool>(), number()).prop_map(
        |((applications, variants), subjects, groups, strange, emulated, spread_limit)| {
            let pick = |names: &[String], i: u8, other: &str| {
                let place = usize::from(i) % (names.len() + 1);
                names.get(place).map_or(other, String::as_str).to_owned()
            };
            let subjects = subjects.into_iter().map(|(a, v, other, outcome)| Subject {
                application: pick(&applications, a, &other),
                variant: pick(&variants, v, &other),
                outcome,
            });
            let mut conditions = conditions(emulated);
            conditions.processor.clone_from(&strange);
            conditions.accelerator = strange;
            Comparison {
                format: FORMAT,
                subjects: subjects.collect(),
                conditions,
                plan: Plan {
                    applications: applications.clone(),
                    variants: variants.clone(),
                    groups,
                    repetitions: 1,
                    spread_limit,
                    baseline: None,
                    vmm: lupine::vmm::Vmm::Qemu,
                    kernel_source: None,
                },
            }
        },
    )
}

/// Cells of a line of a Markdown table: what unescaped bars separate.
fn cells(line: &str) -> usize {
    let mut bars = 0;
    let mut escaped = false;
    for c in line.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '|' if !escaped => bars += 1,
            _ => escaped = false,
        }
    }
    bars - 1
}

fn records(comparison: &Comparison) -> usize {
    let lines = comparison
        .subjects
        .iter()
        .map(|subject| match &subject.outcome {
            Outcome::Measured(measures) => measures
                .figures
                .iter()
                .map(|figure| figure.samples.len().max(1))
                .sum(),
            Outcome::Failed(_) => 1,
        });
    lines.sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_well_formed(comparison in comparison()) {
        let page = html(&comparison);
        let read = markup::read(&page);
        prop_assert!(read.is_ok(), "{:?}", read.err());
        let svg = markup::svg_elements(&page);
        prop_assert!(svg.is_ok(), "{:?}", svg.err());
        let hidden = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202E}';
        prop_assert!(!page.contains(hidden));
        let ids = read.unwrap().attributes.into_iter().filter(|a| a.starts_with("id="));
        let mut ids: Vec<String> = ids.collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), count, "an id is there twice");
        let mut svgs = page.split("<svg").skip(1);
        let no_number = svgs.any(|svg| svg.contains("=\"NaN") || svg.contains("=\"inf"));
        prop_assert!(!no_number, "a place that is no number");
    }

    #[test]
    fn tables_have_as_many_cells_in_each_line(comparison in comparison()) {
        let text = markdown(&comparison);
        let mut width = None;
        for line in text.lines() {
            if line.starts_with('|') {
                let found = cells(line);
                prop_assert_eq!(*width.get_or_insert(found), found, "{}", line);
            } else {
                width = None;
            }
        }
    }

    #[test]
    fn another_program_reads_every_sample(comparison in comparison()) {
        let text = csv(&comparison);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), records(&comparison));
        let mut read = read.iter();
        for subject in &comparison.subjects {
            let Outcome::Measured(measures) = &subject.outcome else {
                read.next();
                continue;
            };
            for figure in &measures.figures {
                for sample in &figure.samples {
                    let record = read.next().unwrap();
                    prop_assert_eq!(&record[0], &subject.application);
                    prop_assert_eq!(&record[3], &figure.name);
                    let value: f64 = record[7].parse().unwrap();
                    prop_assert!(value == *sample || (value.is_nan() && sample.is_nan()));
                }
                if figure.samples.is_empty() {
                    read.next();
                }
            }
        }
    }
}
