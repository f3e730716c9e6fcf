//! The phases of one boot of each kernel.

use super::table::subjects;
use crate::measure::{Comparison, Outcome, Phase, Subject};

/// Phases: a row for each by name, a column for each subject.
#[derive(Debug)]
pub(super) struct Phases<'a> {
    /// Those subjects whose phases are known.
    pub(super) columns: Vec<&'a Subject>,
    /// Phases in the order in which the subjects have them, with what is known of each column.
    pub(super) rows: Vec<(&'a str, Vec<Option<&'a Phase>>)>,
    /// Whether the times are of an emulator.
    pub(super) emulated: bool,
}

impl<'a> Phases<'a> {
    /// The phases of an application's kernels; none where no subject has any.
    pub(super) fn of(comparison: &'a Comparison, application: &str) -> Option<Phases<'a>> {
        let mut columns = Vec::new();
        let mut rows: Vec<(&str, Vec<Option<&Phase>>)> = Vec::new();
        for subject in subjects(comparison, application) {
            let Outcome::Measured(measures) = &subject.outcome else {
                continue;
            };
            if measures.phases.is_empty() {
                continue;
            }
            columns.push(subject);
            let width = columns.len();
            for phase in measures.phases.iter().filter(|phase| is_drawable(phase)) {
                let free = |(name, row): &(&str, Vec<Option<&Phase>>)| {
                    *name == phase.name && row.len() < width
                };
                // A name that comes twice in one boot gets a second row.
                let place = rows.iter().position(free).unwrap_or(rows.len());
                if place == rows.len() {
                    rows.push((&phase.name, Vec::new()));
                }
                if let Some((_, row)) = rows.get_mut(place) {
                    row.resize(width - 1, None);
                    row.push(Some(phase));
                }
            }
        }
        for (_, row) in &mut rows {
            row.resize(columns.len(), None);
        }
        let emulated = comparison.conditions.emulated;
        (!rows.is_empty()).then_some(Phases {
            columns,
            rows,
            emulated,
        })
    }

    /// The end of the last phase, seconds.
    pub(super) fn end(&self) -> f64 {
        let phases = self.rows.iter().flat_map(|(_, row)| row.iter().flatten());
        phases
            .map(|phase| phase.begin + phase.length)
            .fold(0.0, f64::max)
    }
}

/// Whether a phase has a place on a line of time.
fn is_drawable(phase: &Phase) -> bool {
    let end = phase.begin + phase.length;
    phase.begin >= 0.0 && phase.length >= 0.0 && end.is_finite()
}
