//! The paper's figures of a quantity, to stand beside ours.

use super::number::ratio;
use super::table::Cell;
use crate::measure::{Comparison, Group, Paper, PaperFigure, Subject, Unit};

/// What the paper says of a quantity on one kind of kernel.
#[derive(Debug)]
pub(super) struct Beside {
    /// The figure: `23 ms (× 0.41)`.
    pub(super) says: String,
    /// Under what conditions, and what differs from ours.
    pub(super) note: String,
    /// What the paper's ratio would make of our own figure of the kernel that the ratio is in
    /// relation to; none where the paper has no ratio, or we no figure of a processor.
    pub(super) expected: Option<f64>,
}

/// The paper's figures of a quantity, one for each of `columns`, where it has one.
pub(super) fn of(
    comparison: &Comparison,
    columns: &[&Subject],
    cells: &[Cell],
    (group, name, unit): (Group, &str, Unit),
) -> Vec<Option<Beside>> {
    let paper = Paper::eurosys();
    let first = comparison.plan.variants.first().map_or("", String::as_str);
    // The paper's ratios are of a processor; an emulator's times cannot be held against them.
    let emulated = comparison.conditions.emulated && unit.depends_on_speed();
    let median = |variant: &str| {
        let mut medians = columns
            .iter()
            .zip(cells)
            .filter_map(|(subject, cell)| match cell {
                Cell::Value(value) if subject.variant == variant => Some(value.summary.median),
                _ => None,
            });
        medians.next()
    };
    let find = |subject: &&Subject| {
        let mut figures = paper.of(group, name, unit, &subject.application);
        let figure = figures.find(|figure| figure.variant == subject.variant)?;
        let (relative_to, ratio) = relation(paper, figure, first);
        Some(Beside {
            says: says(figure, relative_to, ratio, first),
            note: format!("The paper: {}. {}", paper.conditions, figure.difference),
            expected: ratio
                .filter(|_| !emulated)
                .and_then(|ratio| Some(median(relative_to)? * ratio)),
        })
    };
    columns.iter().map(find).collect()
}

/// A ratio to our first kind of kernel where the paper has it, and otherwise to the one that the
/// paper chose.
fn relation<'a>(paper: &Paper, figure: &'a PaperFigure, first: &'a str) -> (&'a str, Option<f64>) {
    match (paper.ratio(figure, first), &figure.relative_to) {
        (None, Some(relative_to)) => (relative_to, figure.ratio),
        (ratio, _) => (first, ratio),
    }
}

fn says(figure: &PaperFigure, relative_to: &str, value: Option<f64>, first: &str) -> String {
    let related = value.map(|value| {
        let of = if relative_to == first {
            String::new()
        } else {
            format!(" of {relative_to}")
        };
        format!("{}{of}", ratio(value))
    });
    match (&figure.says, related) {
        (Some(says), Some(related)) => format!("{says} ({related})"),
        (Some(says), None) => says.clone(),
        (None, related) => related.unwrap_or_default(),
    }
}
