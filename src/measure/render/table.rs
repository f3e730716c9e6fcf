//! The table of one group of figures of one application: what Markdown and HTML both show.

use super::beside::{self, Beside};
use super::number::{Scale, ratio};
use super::text;
use crate::measure::{Comparison, Figure, Group, Outcome, Subject, Summary, Unit};

/// Figures of a group: a column for each kind of kernel, a row for each quantity.
#[derive(Debug)]
pub(super) struct Table<'a> {
    /// What the rows belong to.
    pub(super) group: Group,
    /// The subjects.
    pub(super) columns: Vec<&'a Subject>,
    /// The quantities; none where no subject has a figure of the group.
    pub(super) rows: Vec<Row<'a>>,
}

/// A quantity of each subject.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// The quantity.
    pub(super) name: &'a str,
    /// The unit in which the row is shown.
    pub(super) scale: Scale,
    /// Whether the figures are of an emulator.
    pub(super) emulated: bool,
    /// How it was obtained, where that is the same for all.
    pub(super) method: Option<&'a str>,
    /// One for each column.
    pub(super) cells: Vec<Cell<'a>>,
    /// The paper's figures of the same quantity, one for each column.
    pub(super) beside: Vec<Option<Beside>>,
}

/// A figure, or why there is none.
#[derive(Debug)]
pub(super) enum Cell<'a> {
    /// There are samples.
    Value(Value<'a>),
    /// There are none, or they come to nothing, with the reason.
    Error(&'a str, &'a Figure),
    /// The subject has failed.
    Failed(&'a str),
    /// The quantity was not measured of this subject.
    Absent,
}

/// A figure with samples.
#[derive(Debug)]
pub(super) struct Value<'a> {
    /// The figure.
    pub(super) figure: &'a Figure,
    /// Its statistics, all finite.
    pub(super) summary: Summary,
    /// Its median in relation to that of the plan's first kind of kernel; none for that itself.
    pub(super) ratio: Option<f64>,
    /// Whether the samples are further apart than the plan allows.
    pub(super) unsteady: bool,
}

impl<'a> Table<'a> {
    /// The table of a group; none where the plan does not ask for it and no subject has it.
    pub(super) fn of(
        comparison: &'a Comparison,
        application: &'a str,
        group: Group,
    ) -> Option<Table<'a>> {
        let columns = subjects(comparison, application);
        let rows: Vec<Row<'a>> = comparison
            .quantities(group)
            .into_iter()
            .filter_map(|(name, unit)| row(comparison, &columns, group, name, unit))
            .collect();
        let asked = comparison.plan.groups.contains(&group);
        (asked || !rows.is_empty()).then_some(Table {
            group,
            columns,
            rows,
        })
    }

    /// Whether a row is of an emulator.
    pub(super) fn is_emulated(&self) -> bool {
        self.rows.iter().any(|row| row.emulated)
    }

    /// Whether a figure is unsteady.
    pub(super) fn is_unsteady(&self) -> bool {
        let mut cells = self.rows.iter().flat_map(|row| &row.cells);
        cells.any(|cell| matches!(cell, Cell::Value(value) if value.unsteady))
    }
}

impl Row<'_> {
    /// Whether the paper has a figure of the quantity.
    pub(super) fn has_beside(&self) -> bool {
        self.beside.iter().any(Option::is_some)
    }
}

impl Value<'_> {
    /// The quartiles; none of a single sample.
    pub(super) fn quartiles(&self, scale: Scale) -> Option<String> {
        let Summary {
            count,
            low,
            high,
            median,
            ..
        } = self.summary;
        let like = |value| scale.like(value, median);
        (count > 1).then(|| format!("{} to {}", like(low), like(high)))
    }

    /// The ratio as text.
    pub(super) fn ratio(&self) -> Option<String> {
        self.ratio.map(ratio)
    }
}

/// The applications of a comparison, each once, in their order.
pub(super) fn applications(comparison: &Comparison) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for subject in &comparison.subjects {
        if !names.contains(&subject.application.as_str()) {
            names.push(&subject.application);
        }
    }
    names
}

/// The subjects of an application, in their order.
pub(super) fn subjects<'a>(comparison: &'a Comparison, application: &str) -> Vec<&'a Subject> {
    let subjects = comparison.subjects.iter();
    subjects
        .filter(|subject| subject.application == application)
        .collect()
}

/// A quantity of an application's subjects; none where no subject has it.
fn row<'a>(
    comparison: &'a Comparison,
    columns: &[&'a Subject],
    group: Group,
    name: &'a str,
    unit: Unit,
) -> Option<Row<'a>> {
    let find = |subject: &'a Subject| figure(subject, group, name, unit);
    let figures: Vec<&Figure> = columns.iter().copied().filter_map(find).collect();
    let first = *figures.first()?;
    let median_of = |figure: &Figure| figure.summary().map(|summary| summary.median);
    let cells = columns.iter().map(|subject| {
        let reference = comparison.reference(subject);
        let reference = reference.filter(|reference| !std::ptr::eq(*reference, *subject));
        let reference = reference.and_then(find).and_then(median_of);
        cell(comparison, subject, find(subject), reference)
    });
    let cells: Vec<Cell> = cells.collect();
    Some(Row {
        beside: beside::of(comparison, columns, &cells, (group, name, unit)),
        name,
        scale: Scale::of(unit, figures.iter().copied().filter_map(median_of)),
        emulated: comparison.is_emulated(first),
        method: figures
            .iter()
            .all(|f| f.method == first.method)
            .then_some(&first.method),
        cells,
    })
}

/// A subject's figure of a quantity, which is a name and a unit.
fn figure<'a>(subject: &'a Subject, group: Group, name: &str, unit: Unit) -> Option<&'a Figure> {
    let Outcome::Measured(measures) = &subject.outcome else {
        return None;
    };
    let mut figures = measures.figures.iter();
    figures.find(|figure| (figure.group, figure.name.as_str(), figure.unit) == (group, name, unit))
}

fn cell<'a>(
    comparison: &Comparison,
    subject: &'a Subject,
    figure: Option<&'a Figure>,
    reference: Option<f64>,
) -> Cell<'a> {
    if let Outcome::Failed(error) = &subject.outcome {
        return Cell::Failed(reason(error));
    }
    let Some(figure) = figure else {
        return Cell::Absent;
    };
    let finite = |s: &Summary| {
        [s.min, s.low, s.median, s.high, s.max]
            .iter()
            .all(|v| v.is_finite())
    };
    let Some(summary) = figure.summary().filter(finite) else {
        let unsaid = if figure.samples.is_empty() {
            "no samples"
        } else {
            "a sample is no number"
        };
        return Cell::Error(figure.error.as_deref().map_or(unsaid, reason), figure);
    };
    let ratio = reference.map(|reference| summary.median / reference);
    Cell::Value(Value {
        figure,
        summary,
        ratio: ratio.filter(|ratio| ratio.is_finite()),
        unsteady: comparison.is_unsteady(figure),
    })
}

/// An error as it is shown: one that says nothing is an error still.
pub(super) fn reason(error: &str) -> &str {
    if text::line(error).is_empty() {
        "an error without a text"
    } else {
        error
    }
}
