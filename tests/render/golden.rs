//! A small comparison in Markdown and CSV, byte for byte.

use lupine::measure::render::{csv, html, markdown};
use lupine::measure::{
    Comparison, FORMAT, Figure, Group, Measures, Outcome, Phase, SizePart, Subject, Unit, quantity,
};

use crate::example::{conditions, figure, plan, realistic};
use crate::markup;

/// Three kinds of kernels: figures; figures with errors; a failure.
fn small() -> Comparison {
    let file = "The length of the file.";
    let boot = "From the start of the VMM, host's clock.";
    let first = vec![
        figure(Group::Size, quantity::VMLINUX, Unit::Bytes, file, &[46e6]),
        figure(
            Group::Boot,
            quantity::TO_INIT,
            Unit::Seconds,
            boot,
            &[0.9, 0.92, 0.91, 0.95],
        ),
        figure(
            Group::Operations,
            quantity::NULL_CALL,
            Unit::Instructions,
            "Counted.",
            &[312.0],
        ),
    ];
    let mut second = vec![
        figure(Group::Size, quantity::VMLINUX, Unit::Bytes, file, &[12.4e6]),
        figure(
            Group::Boot,
            quantity::TO_INIT,
            Unit::Seconds,
            boot,
            &[0.2, 0.3, 0.4],
        ),
        figure(
            Group::Operations,
            quantity::NULL_CALL,
            Unit::Nanoseconds,
            "By a clock.",
            &[41.5],
        ),
        Figure {
            error: Some("the guest ended:\n\"139\", <segfault> | *".to_owned()),
            ..figure(
                Group::Operations,
                quantity::PIPE,
                Unit::Instructions,
                "Counted.",
                &[],
            )
        },
    ];
    second[1].error = Some("the fourth boot did not end".to_owned());
    let part = |directory: &str, text| SizePart {
        directory: directory.into(),
        text,
        data: 0,
        bss: 9,
    };
    let phase = |name: &str, begin, length| Phase {
        name: name.into(),
        begin,
        length,
    };
    let measured = |figures, scale: u32| {
        Outcome::Measured(Box::new(Measures {
            figures,
            parts: vec![
                part("net/ipv4", 3 << scale),
                part("net/core", 1 << scale),
                part("mm", 1 << scale),
            ],
            phases: vec![phase("kernel", 0.0, 0.75), phase("init", 0.75, 0.25)],
            ..Measures::default()
        }))
    };
    let subject = |variant: &str, outcome| Subject {
        application: "nginx".to_owned(),
        variant: variant.to_owned(),
        outcome,
    };
    let mut plan = plan(&["nginx"], &["microvm", "lupine", "lupine-tiny"], 4);
    plan.groups = vec![Group::Size, Group::Boot, Group::Operations];
    Comparison {
        format: FORMAT,
        plan,
        conditions: conditions(true),
        subjects: vec![
            subject("microvm", measured(first, 20)),
            subject("lupine", measured(second, 18)),
            subject(
                "lupine-tiny",
                Outcome::Failed("no kernel\nmake: *** [vmlinux] Error 1".to_owned()),
            ),
        ],
    }
}

#[test]
fn markdown_of_a_small_comparison() {
    insta::assert_snapshot!(markdown(&small()));
}

#[test]
fn csv_of_a_small_comparison() {
    insta::assert_snapshot!(csv(&small()));
}

#[test]
fn the_page_has_everything_that_the_tables_have() {
    let page = html(&small());
    let seen = [
        "emulated",
        "unsteady",
        "not measured",
        "15 MB",
        "× 0.27",
        "56 ms",
        "failed",
    ];
    for text in seen
        .into_iter()
        .chain(["3 samples, then an error", "&lt;segfault&gt; | *"])
    {
        assert!(page.contains(text), "{text}");
    }
    // The paper's null call is in nanoseconds, and so beside ours of that unit only.
    assert_eq!(page.matches("× 0.60 of lupine-nokml").count(), 1);
    assert!(markup::svg_elements(&page).unwrap() > 50);
}

#[test]
fn nothing_of_a_hostile_comparison_is_markup() {
    let comparison = realistic(true);
    let page = html(&comparison);
    let read = markup::read(&page).unwrap();
    for element in ["script", "img", "link", "iframe", "object", "image", "use"] {
        assert!(!read.elements.contains(element), "{element}");
    }
    for attribute in &read.attributes {
        let harmless = !attribute.contains("//") && !attribute.starts_with("on");
        assert!(
            harmless || attribute.starts_with("aria-label="),
            "{attribute}"
        );
        assert!(
            !attribute.starts_with("href=") || attribute.starts_with("href=#"),
            "{attribute}"
        );
        assert!(!attribute.starts_with("src"), "{attribute}");
    }
    assert!(
        !page.contains("NEVER_ON_THE_PAGE"),
        "the configuration is kept out"
    );
    assert!(!page.contains("url(") && !page.contains("@import"));
}

#[test]
fn the_same_comparison_gives_the_same_bytes() {
    let comparison = realistic(false);
    assert_eq!(html(&comparison), html(&comparison.clone()));
    assert_eq!(markdown(&comparison), markdown(&comparison.clone()));
}
