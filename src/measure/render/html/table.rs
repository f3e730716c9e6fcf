//! The table of a group: the same figures as in Markdown.

use maud::{Markup, html};

use super::foreign::Foreign;
use super::{emulated_badge, error_text, variant_name};
use crate::measure::Comparison;
use crate::measure::render::notes::Notes;
use crate::measure::render::table::{Cell, Row, Table, Value, reason};
use crate::measure::render::text::short;
use crate::measure::render::words;

/// A group's table.
pub(super) fn table(
    comparison: &Comparison,
    application: &str,
    table: &Table,
    notes: &mut Notes,
) -> Markup {
    if table.rows.is_empty() {
        return html! { p.nothing { (words::NO_FIGURES) } };
    }
    let caption = format!("{} of {application}", table.group.title());
    let rows: Vec<Markup> = (0..)
        .zip(&table.rows)
        .map(|(i, row)| line(row, i, notes))
        .collect();
    html! {
        div.scroll role="region" tabindex="0" aria-label=(Foreign(&caption)) {
            table {
                caption.unseen { (Foreign(&caption)) }
                thead {
                    tr {
                        th.left scope="col" { "quantity" }
                        th.left scope="col" { "unit" }
                        @for subject in &table.columns {
                            th scope="col" { (variant_name(comparison, &subject.variant)) }
                        }
                    }
                }
                tbody { @for row in &rows { (row) } }
            }
        }
        @if table.is_unsteady() {
            p.remark { (words::unsteady(comparison)) }
        }
    }
}

fn line(row: &Row, number: usize, notes: &mut Notes) -> Markup {
    let method = row.method.map(|method| reference(method, notes));
    let cells: Vec<Markup> = row
        .cells
        .iter()
        .map(|it| cell(row, it, number == 0, notes))
        .collect();
    html! {
        tr {
            th.left scope="row" {
                (Foreign(row.name)) @if let Some(method) = &method { (method) }
                @if row.emulated { " " (emulated_badge()) }
            }
            td.left.unit { (row.scale.unit) }
            @for cell in &cells { (cell) }
        }
        @if row.has_beside() { (beside(row, notes)) }
    }
}

/// A cell; the `first` of a failed subject says why, in short: the whole error stands above.
fn cell(row: &Row, cell: &Cell, first: bool, notes: &mut Notes) -> Markup {
    match cell {
        Cell::Value(value) => {
            let method = own_method(row, &value.figure.method, notes);
            html! { td { (figure(row, value)) (method) } }
        }
        Cell::Error(error, figure) => {
            let method = own_method(row, &figure.method, notes);
            html! { td.bad { span.mark { "error" } (method) (error_text(error)) } }
        }
        Cell::Failed(error) if first => html! {
            td.bad { span.mark { "failed" } div.error { (short(error, 120)) } }
        },
        Cell::Failed(_) => html! { td { span.mark { "failed" } } },
        Cell::Absent => html! { td.absent { (words::ABSENT) } },
    }
}

fn figure(row: &Row, value: &Value) -> Markup {
    html! {
        span.figure {
            b { (row.scale.number(value.summary.median)) }
            @if let Some(ratio) = value.ratio() { " " span.ratio { (ratio) } }
        }
        @if let Some(quartiles) = value.quartiles(row.scale) {
            " " span.spread { "(" (quartiles) ")" }
        }
        @if value.unsteady { " " span.mark { "unsteady" } }
        @if let Some(error) = &value.figure.error {
            " " span.mark { (value.summary.count) " samples, then an error" }
            (error_text(reason(error)))
        }
    }
}

/// The paper's figures, in a line of their own below ours.
fn beside(row: &Row, notes: &mut Notes) -> Markup {
    let cells: Vec<Markup> = row
        .beside
        .iter()
        .map(|beside| match beside {
            Some(beside) => {
                let note = reference(&beside.note, notes);
                html! { td { (Foreign(&beside.says)) (note) } }
            }
            None => html! { td { "–" } },
        })
        .collect();
    html! {
        tr.paper {
            th.left scope="row" { (words::PAPER) }
            td {}
            @for cell in &cells { (cell) }
        }
    }
}

/// The note of a figure's method where the row has none for all.
fn own_method(row: &Row, method: &str, notes: &mut Notes) -> Markup {
    if row.method.is_some() {
        return html! {};
    }
    reference(method, notes)
}

fn reference(note: &str, notes: &mut Notes) -> Markup {
    let number = notes.number(note);
    html! {
        @if number > 0 {
            sup { a href={ "#n" (number) } aria-label={ "note " (number) } { (number) } }
        }
    }
}
