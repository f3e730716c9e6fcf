//! What kernels are made of: code and data by the top-level directory of the kernel tree.

use std::collections::BTreeMap;

use super::table::subjects;
use crate::measure::{Comparison, Outcome, Subject};

/// How many directories are shown by name.
const NAMED: usize = 7;

/// The row of what is not shown by name.
const OTHER: &str = "other";

/// Code and data, without what begins as zeros: a row for each directory, a column for each
/// subject.
#[derive(Debug)]
pub(super) struct Directories<'a> {
    /// Those subjects whose parts are known.
    pub(super) columns: Vec<&'a Subject>,
    /// Directories with their bytes in each column, the largest first, what remains last.
    pub(super) rows: Vec<(String, Vec<f64>)>,
}

impl<'a> Directories<'a> {
    /// The parts of an application's kernels; none where no subject has any.
    pub(super) fn of(comparison: &'a Comparison, application: &str) -> Option<Directories<'a>> {
        let mut columns = Vec::new();
        let mut sizes: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for subject in subjects(comparison, application) {
            let Outcome::Measured(measures) = &subject.outcome else {
                continue;
            };
            if measures.parts.is_empty() {
                continue;
            }
            let column = columns.len();
            columns.push(subject);
            for part in &measures.parts {
                let row = sizes.entry(top(&part.directory)).or_default();
                row.resize(row.len().max(column + 1), 0.0);
                if let Some(size) = row.get_mut(column) {
                    *size += part.text as f64 + part.data as f64;
                }
            }
        }
        let mut rows: Vec<(String, Vec<f64>)> = Vec::new();
        for (name, mut row) in sizes {
            row.resize(columns.len(), 0.0);
            rows.push((name.to_owned(), row));
        }
        let total = |row: &[f64]| row.iter().sum::<f64>();
        rows.sort_by(|(_, a), (_, b)| total(b).total_cmp(&total(a)));
        if rows.len() > NAMED + 1 {
            let rest = rows.split_off(NAMED);
            let sum = |column: usize| rest.iter().filter_map(|(_, row)| row.get(column)).sum();
            rows.push((OTHER.to_owned(), (0..columns.len()).map(sum).collect()));
        }
        (!columns.is_empty()).then_some(Directories { columns, rows })
    }

    /// The whole size of each column.
    pub(super) fn totals(&self) -> Vec<f64> {
        let sum = |column: usize| {
            self.rows
                .iter()
                .filter_map(|(_, row)| row.get(column))
                .sum()
        };
        (0..self.columns.len()).map(sum).collect()
    }
}

/// The first component of a path.
fn top(directory: &str) -> &str {
    let path = directory.trim_start_matches(['.', '/']);
    path.split('/')
        .next()
        .filter(|top| !top.is_empty())
        .unwrap_or(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_component_counts() {
        assert_eq!(
            ["net/ipv4", "./fs/ext2", "mm", "/", ""].map(top),
            ["net", "fs", "mm", "/", ""]
        );
    }
}
