//! Every sample as a line, for other programs.

use csv::Writer;

use super::table::reason;
use crate::measure::{Comparison, Figure, Outcome, Subject};

const HEADER: [&str; 10] = [
    "application",
    "variant",
    "group",
    "quantity",
    "unit",
    "emulated",
    "sample",
    "value",
    "method",
    "error",
];

/// A comparison as comma-separated values (RFC 4180 with plain line feeds): a line for each sample,
/// numbered from 1 within its figure. A figure without samples has one line without number and
/// value, and so has a failed subject, without a quantity.
///
/// Names and errors are written as they are. A spreadsheet that takes a leading `=` for a formula
/// needs to be told that the columns are text.
#[must_use]
#[allow(
    clippy::expect_used,
    reason = "a vector takes every write, all records have ten fields, and what is written is UTF-8"
)]
pub fn csv(comparison: &Comparison) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    let mut write = |record: [&str; 10]| writer.write_record(record).expect("ten fields in memory");
    write(HEADER);
    for subject in &comparison.subjects {
        match &subject.outcome {
            Outcome::Measured(measures) => {
                for figure in &measures.figures {
                    figure_lines(comparison, subject, figure, &mut write);
                }
            }
            Outcome::Failed(error) => {
                let (application, variant) = (&subject.application, &subject.variant);
                write([
                    application,
                    variant,
                    "",
                    "",
                    "",
                    "",
                    "",
                    "",
                    "",
                    reason(error),
                ]);
            }
        }
    }
    let bytes = writer.into_inner().expect("a vector is flushed");
    String::from_utf8(bytes).expect("fields are text")
}

fn figure_lines(
    comparison: &Comparison,
    subject: &Subject,
    figure: &Figure,
    write: &mut impl FnMut([&str; 10]),
) {
    let emulated = if comparison.is_emulated(figure) {
        "yes"
    } else {
        "no"
    };
    let mut line = |sample: &str, value: &str| {
        write([
            &subject.application,
            &subject.variant,
            figure.group.name(),
            &figure.name,
            figure.unit.symbol(),
            emulated,
            sample,
            value,
            &figure.method,
            figure.error.as_deref().unwrap_or_default(),
        ]);
    };
    if figure.samples.is_empty() {
        line("", "");
    }
    for (number, value) in (1..).zip(&figure.samples) {
        line(&usize::to_string(&number), &value.to_string());
    }
}
