//! A quantity as bars: one for each kind of kernel, with its spread.

use maud::{Markup, html};

use super::emulated_badge;
use super::foreign::{Foreign, slot};
use super::plot::{Axis, px};
use crate::measure::Comparison;
use crate::measure::render::beside::Beside;
use crate::measure::render::table::{Cell, Row, Table, Value};
use crate::measure::render::text::{line, short};
use crate::measure::render::words;

const WIDTH: f64 = 440.0;
/// Where bars begin; names stand before.
const LEFT: f64 = 114.0;
/// The room for bars; numbers stand behind.
const BARS: f64 = 206.0;
/// The height of a bar with its surroundings.
const PITCH: f64 = 27.0;
/// The height of a bar.
const BAR: f64 = 13.0;
/// The height of the axis with its numbers.
const AXIS: f64 = 20.0;
/// More samples than these are not drawn, but some of them, evenly chosen by size.
const DOTS: usize = 60;

/// The plot of a row of a table.
pub(super) fn bars(comparison: &Comparison, table: &Table, row: &Row, id: &str) -> Markup {
    let axis = Axis::new(shown(row), LEFT, BARS);
    let bottom = PITCH * row.cells.len() as f64;
    let height = bottom + AXIS;
    let (low, high) = axis.range();
    html! {
        figure.plot {
            figcaption {
                span.quantity { (Foreign(row.name)) } " "
                @if !row.name.starts_with(row.scale.unit) { span.unit { (row.scale.unit) } }
                @if row.emulated { " " (emulated_badge()) }
            }
            svg viewBox={ "0 0 " (px(WIDTH)) " " (px(height)) } role="img"
                aria-labelledby={ (id) "-t " (id) "-d" } {
                title id={ (id) "-t" } { (Foreign(&line(row.name))) ", " (row.scale.unit) }
                desc id={ (id) "-d" } { (Foreign(&description(table, row))) }
                g.grid {
                    @for (value, text) in row.scale.ticks(low, high) {
                        line x1=(px(axis.place(value))) x2=(px(axis.place(value)))
                            y1="0" y2=(px(bottom)) {}
                        text.tick x=(px(axis.place(value))) y=(px(bottom + 14.0))
                            text-anchor="middle" { (text) }
                    }
                }
                @for (i, (subject, cell)) in table.columns.iter().zip(&row.cells).enumerate() {
                    g class={ "v" (slot(comparison, &subject.variant)) }
                        transform={ "translate(0 " (px(PITCH * i as f64)) ")" } {
                        text.name x=(px(LEFT - 8.0)) y=(px(PITCH / 2.0 + 4.0)) text-anchor="end" {
                            (short(&subject.variant, 16))
                        }
                        (bar(row, cell, axis))
                    }
                }
                line.zero x1=(px(axis.place(0.0))) x2=(px(axis.place(0.0))) y1="0" y2=(px(bottom)) {}
                @for (i, beside) in row.beside.iter().enumerate() {
                    @if let Some((says, place)) = marked(beside.as_ref(), axis) {
                        (diamond(place, PITCH * (i as f64 + 0.5), says))
                    }
                }
            }
        }
    }
}

/// Every value that has a place on the axis.
fn shown(row: &Row) -> impl Iterator<Item = f64> {
    let values = row.cells.iter().filter_map(|cell| match cell {
        Cell::Value(value) => Some([value.summary.min, value.summary.max]),
        _ => None,
    });
    values.flatten().chain(
        row.beside
            .iter()
            .flatten()
            .filter_map(|beside| beside.expected),
    )
}

fn bar(row: &Row, cell: &Cell, axis: Axis) -> Markup {
    let middle = PITCH / 2.0;
    let Cell::Value(value) = cell else {
        return html! {
            text.missing x=(px(LEFT + 6.0)) y=(px(middle + 4.0)) { (short(&why(cell), 44)) }
        };
    };
    let summary = value.summary;
    let [zero, median, low, high] =
        [0.0, summary.median, summary.low, summary.high].map(|value| axis.place(value));
    html! {
        rect.bar x=(px(zero.min(median))) y=(px(middle - BAR / 2.0))
            width=(px((median - zero).abs())) height=(px(BAR)) rx="1.5" {
            title { (said(row, value)) }
        }
        @for (i, sample) in dots(value).into_iter().enumerate() {
            circle.dot cx=(px(axis.place(sample))) cy=(px(middle + jitter(i))) r="1.7" {}
        }
        @if summary.count > 1 {
            path.whisker d={
                "M" (px(low)) " " (px(middle - 4.0)) "v8m0-4H" (px(high)) "m0-4v8"
            } {}
        }
        text.value x=(px(WIDTH - 58.0)) y=(px(middle + 4.0)) text-anchor="end" {
            (row.scale.number(summary.median))
        }
        @if let Some(ratio) = value.ratio() {
            text.ratio x=(px(WIDTH)) y=(px(middle + 4.0)) text-anchor="end" { (ratio) }
        }
    }
}

/// Samples to draw, in their order of size.
fn dots(value: &Value) -> Vec<f64> {
    let samples = &value.figure.samples;
    if samples.len() < 2 {
        return Vec::new();
    }
    let mut sorted = samples.clone();
    sorted.sort_by(f64::total_cmp);
    let drawn = samples.len().min(DOTS);
    let places = (0..drawn).map(|i| i * (samples.len() - 1) / (drawn - 1));
    places
        .filter_map(|place| sorted.get(place).copied())
        .collect()
}

/// How far from the middle a dot stands, so that equal samples are seen.
fn jitter(number: usize) -> f64 {
    [0.0, -3.0, 3.0, -1.5, 1.5, -4.5, 4.5]
        .get(number % 7)
        .copied()
        .unwrap_or_default()
}

/// What the paper says, and where its ratio would put our figure.
fn marked(beside: Option<&Beside>, axis: Axis) -> Option<(&str, f64)> {
    let beside = beside?;
    Some((&beside.says, axis.place(beside.expected?)))
}

fn diamond(x: f64, y: f64, says: &str) -> Markup {
    html! {
        path.paper d={ "M" (px(x)) " " (px(y - 6.0)) "l5 6-5 6-5-6z" } {
            title { "The paper: " (Foreign(says)) }
        }
    }
}

fn why(cell: &Cell) -> String {
    match cell {
        Cell::Value(_) => String::new(),
        Cell::Error(error, _) => format!("error: {}", line(error)),
        Cell::Failed(_) => "failed".to_owned(),
        Cell::Absent => words::ABSENT.to_owned(),
    }
}

/// A figure as a sentence has it.
fn said(row: &Row, value: &Value) -> String {
    let mut text = format!(
        "{} {}",
        row.scale.number(value.summary.median),
        row.scale.unit
    );
    if let Some(quartiles) = value.quartiles(row.scale) {
        text += &format!(", quartiles {quartiles}, {} samples", value.summary.count);
    }
    if let Some(ratio) = value.ratio() {
        text += &format!(", {ratio}");
    }
    if value.unsteady {
        text += ", unsteady";
    }
    text
}

/// The plot in words.
fn description(table: &Table, row: &Row) -> String {
    let figures = table.columns.iter().zip(&row.cells).map(|(subject, cell)| {
        let text = match cell {
            Cell::Value(value) => said(row, value),
            other => short(&why(other), 80),
        };
        format!("{}: {text}", line(&subject.variant))
    });
    let emulated = if row.emulated { "Emulated. " } else { "" };
    format!("{emulated}{}.", figures.collect::<Vec<_>>().join("; "))
}
