//! Tables for a document.

use std::fmt::Write;

use super::directories::Directories;
use super::notes::Notes;
use super::number::{Scale, percent};
use super::phases::Phases;
use super::table::{Cell, Row, Table, Value, applications, reason, subjects};
use super::{text, words};
use crate::measure::{Comparison, Group, Outcome, Subject, Unit};

/// A comparison in Markdown with tables and footnotes, as GitHub and pandoc read it: the conditions
/// first, then a table for each group of each application, the methods last.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = String::new();
    let mut notes = Notes::default();
    let (subjects, variants) = (words::subjects(comparison), words::variants(comparison));
    paragraph(
        &mut out,
        &format!("# {} on {}", escape(&subjects), escape(&variants)),
    );
    let mut lines = vec![vec!["condition".to_owned(), String::new()]];
    let conditions = words::conditions(comparison).into_iter();
    lines.extend(conditions.map(|(name, value)| vec![name.to_owned(), escape(&value)]));
    grid(&mut out, &lines, 2);
    if comparison.conditions.emulated {
        paragraph(
            &mut out,
            &format!("**Emulated.** {}", escape(&words::emulated(comparison))),
        );
    }
    paragraph(&mut out, &escape(&words::legend(comparison)));
    for application in applications(comparison) {
        section(&mut out, comparison, application, &mut notes);
    }
    let notes: Vec<String> = notes
        .all()
        .map(|(number, note)| format!("[^{number}]: {}", escape(note)))
        .collect();
    if !notes.is_empty() {
        paragraph(&mut out, &notes.join("\n"));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn section(out: &mut String, comparison: &Comparison, application: &str, notes: &mut Notes) {
    paragraph(out, &format!("## {}", escape(application)));
    for subject in subjects(comparison, application) {
        if let Outcome::Failed(error) = &subject.outcome {
            let (variant, error) = (escape(&subject.variant), escape(reason(error)));
            paragraph(out, &format!("**{variant} failed:** {error}"));
        }
    }
    for group in Group::ALL {
        if let Some(table) = Table::of(comparison, application, group) {
            paragraph(out, &format!("### {}", group.title()));
            group_table(out, comparison, &table, notes);
        }
        match group {
            Group::Size => directories(out, comparison, application),
            Group::Boot => phases(out, comparison, application),
            _ => {}
        }
    }
}

fn group_table(out: &mut String, comparison: &Comparison, table: &Table, notes: &mut Notes) {
    if table.rows.is_empty() {
        paragraph(out, words::NO_FIGURES);
        return;
    }
    let mut head = vec!["quantity".to_owned(), "unit".to_owned()];
    head.extend(table.columns.iter().map(|subject| escape(&subject.variant)));
    let mut lines = vec![head];
    for (i, row) in table.rows.iter().enumerate() {
        let emulated = if row.emulated { " *(emulated)*" } else { "" };
        let mut name = format!("{}{emulated}", escape(row.name));
        if let Some(method) = row.method {
            reference(&mut name, method, notes);
        }
        let mut line = vec![name, row.scale.unit.to_owned()];
        line.extend(row.cells.iter().map(|it| cell(row, it, i == 0, notes)));
        lines.push(line);
        if row.has_beside() {
            lines.push(beside(row, notes));
        }
    }
    grid(out, &lines, 2);
    if table.is_unsteady() {
        paragraph(out, &words::unsteady(comparison));
    }
}

/// A cell; `first` says whether it is the first of its column, where a failed subject's error
/// stands.
fn cell(row: &Row, cell: &Cell, first: bool, notes: &mut Notes) -> String {
    let (mut text, method) = match cell {
        Cell::Value(value) => (value_text(value, row.scale), Some(&value.figure.method)),
        Cell::Error(error, figure) => (format!("error: {}", escape(error)), Some(&figure.method)),
        Cell::Failed(error) if first => (format!("failed: {}", escape(error)), None),
        Cell::Failed(_) => ("failed".to_owned(), None),
        Cell::Absent => (words::ABSENT.to_owned(), None),
    };
    if let Some(method) = method.filter(|_| row.method.is_none()) {
        reference(&mut text, method, notes);
    }
    text
}

fn value_text(value: &Value, scale: Scale) -> String {
    let mut text = format!("**{}**", scale.number(value.summary.median));
    if let Some(quartiles) = value.quartiles(scale) {
        let _ = write!(text, " ({quartiles})");
    }
    if let Some(ratio) = value.ratio() {
        let _ = write!(text, " {ratio}");
    }
    if value.unsteady {
        text.push_str(", unsteady");
    }
    if let Some(error) = &value.figure.error {
        let count = value.summary.count;
        let _ = write!(
            text,
            "; of {count} samples, then: {}",
            escape(reason(error))
        );
    }
    text
}

/// The paper's figures, in a line of their own below ours.
fn beside(row: &Row, notes: &mut Notes) -> Vec<String> {
    let figures = row.beside.iter().map(|beside| {
        let Some(beside) = beside else {
            return "–".to_owned();
        };
        let mut text = escape(&beside.says);
        reference(&mut text, &beside.note, notes);
        text
    });
    let name = format!("*{}*", words::PAPER);
    [name, String::new()].into_iter().chain(figures).collect()
}

fn directories(out: &mut String, comparison: &Comparison, application: &str) {
    let Some(directories) = Directories::of(comparison, application) else {
        return;
    };
    let totals = directories.totals();
    let scale = Scale::of(Unit::Bytes, totals.iter().copied());
    let mut lines = vec![head(
        format!("directory, {}", scale.unit),
        &directories.columns,
    )];
    for (name, sizes) in &directories.rows {
        let cells = sizes
            .iter()
            .zip(&totals)
            .map(|(size, total)| share(scale, *size, *total));
        lines.push([escape(name)].into_iter().chain(cells).collect());
    }
    let cells = totals
        .iter()
        .map(|total| format!("**{}**", scale.number(*total)));
    lines.push(["**all**".to_owned()].into_iter().chain(cells).collect());
    paragraph(out, &format!("{}:", words::DIRECTORIES));
    grid(out, &lines, 1);
}

fn share(scale: Scale, size: f64, total: f64) -> String {
    let part = if total > 0.0 { size / total } else { 0.0 };
    format!("{} ({})", scale.number(size), percent(part))
}

fn phases(out: &mut String, comparison: &Comparison, application: &str) {
    let Some(phases) = Phases::of(comparison, application) else {
        return;
    };
    let scale = Scale::of(Unit::Seconds, [phases.end()].into_iter());
    let mut lines = vec![head(format!("phase, {}", scale.unit), &phases.columns)];
    for (name, row) in &phases.rows {
        let cells = row.iter().map(|phase| match phase {
            Some(phase) => format!(
                "{} at {}",
                scale.number(phase.length),
                scale.number(phase.begin)
            ),
            None => "–".to_owned(),
        });
        lines.push([escape(name)].into_iter().chain(cells).collect());
    }
    let emulated = if phases.emulated { " *(emulated)*" } else { "" };
    paragraph(
        out,
        &format!("{}{emulated}: length, and when it begins.", words::PHASES),
    );
    grid(out, &lines, 1);
}

/// The head of a table whose columns are subjects.
fn head(first: String, columns: &[&Subject]) -> Vec<String> {
    let names = columns.iter().map(|subject| escape(&subject.variant));
    [first].into_iter().chain(names).collect()
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\n\n");
}

/// A table; the first line is its head, and the columns from `left` on are aligned to the right.
fn grid(out: &mut String, lines: &[Vec<String>], left: usize) {
    for (i, line) in lines.iter().enumerate() {
        let _ = writeln!(out, "| {} |", line.join(" | "));
        if i == 0 {
            let rules = (0..line.len()).map(|column| if column < left { "---" } else { "--:" });
            let _ = writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|"));
        }
    }
    out.push('\n');
}

fn reference(text: &mut String, note: &str, notes: &mut Notes) {
    let number = notes.number(note);
    if number > 0 {
        let _ = write!(text, "[^{number}]");
    }
}

/// Foreign text as one line in which Markdown sees nothing but text.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text::line(text).chars() {
        if "\\`*_{}[]<>|~#&$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_text() {
        assert_eq!(escape("a|b\n<i>*c*"), "a\\|b / \\<i\\>\\*c\\*");
        assert_eq!(escape("x_y `z` [l](u)"), "x\\_y \\`z\\` \\[l\\](u)");
    }
}
