//! What kernels are made of, as stacked bars.

use maud::{Markup, html};

use super::foreign::Foreign;
use super::plot::{Axis, px};
use super::variant_name;
use crate::measure::render::directories::Directories;
use crate::measure::render::number::{Scale, percent};
use crate::measure::render::text::{line, short};
use crate::measure::render::words;
use crate::measure::{Comparison, Unit};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 114.0;
const BARS: f64 = 700.0;
const PITCH: f64 = 34.0;
const BAR: f64 = 22.0;
const AXIS: f64 = 20.0;
/// What a letter inside a bar takes at most.
const LETTER: f64 = 7.0;

/// The plot and the table of an application's kernels by directory.
pub(super) fn directories(comparison: &Comparison, found: &Directories, section: &str) -> Markup {
    let totals = found.totals();
    let scale = Scale::of(Unit::Bytes, totals.iter().copied());
    html! {
        figure.wide {
            figcaption {
                span.quantity { (words::DIRECTORIES) } " " span.unit { (scale.unit) }
            }
            (plot(found, &totals, scale, section))
            (table(comparison, found, &totals, scale))
        }
    }
}

fn plot(found: &Directories, totals: &[f64], scale: Scale, section: &str) -> Markup {
    let axis = Axis::new(totals.iter().copied(), LEFT, BARS);
    let bottom = PITCH * totals.len() as f64;
    let (low, high) = axis.range();
    html! {
        div.scroll tabindex="0" role="region" aria-label=(words::DIRECTORIES) {
            svg viewBox={ "0 0 " (px(WIDTH)) " " (px(bottom + AXIS)) } role="img"
                aria-labelledby={ (section) "-dt " (section) "-dd" } {
                title id={ (section) "-dt" } { (words::DIRECTORIES) }
                desc id={ (section) "-dd" } { (Foreign(&description(found, totals, scale))) }
                g.grid {
                    @for (value, text) in scale.ticks(low, high) {
                        line x1=(px(axis.place(value))) x2=(px(axis.place(value)))
                            y1="0" y2=(px(bottom)) {}
                        text.tick x=(px(axis.place(value))) y=(px(bottom + 14.0))
                            text-anchor="middle" { (text) }
                    }
                }
                @for (i, (subject, total)) in found.columns.iter().zip(totals).enumerate() {
                    g transform={ "translate(0 " (px(PITCH * i as f64)) ")" } {
                        text.name x=(px(LEFT - 8.0)) y=(px(PITCH / 2.0 + 4.0)) text-anchor="end" {
                            (short(&subject.variant, 16))
                        }
                        (bar(found, i, axis, scale))
                        text.value x=(px(axis.place(*total) + 8.0)) y=(px(PITCH / 2.0 + 4.0)) {
                            (scale.number(*total))
                        }
                    }
                }
            }
        }
    }
}

fn bar(found: &Directories, column: usize, axis: Axis, scale: Scale) -> Markup {
    let mut begin = 0.0;
    let mut pieces = Vec::new();
    for (number, (name, sizes)) in (0..).zip(&found.rows) {
        let size = sizes.get(column).copied().unwrap_or_default();
        if size > 0.0 {
            pieces.push((
                number,
                name,
                size,
                axis.place(begin),
                axis.place(begin + size),
            ));
            begin += size;
        }
    }
    html! {
        @for (number, name, size, from, to) in pieces {
            g class={ "piece p" (usize::min(number, 7)) } {
                rect x=(px(from)) y=(px((PITCH - BAR) / 2.0)) width=(px(to - from)) height=(px(BAR)) {
                    title { (Foreign(name)) ": " (scale.number(size)) " " (scale.unit) }
                }
                @if (name.chars().count() as f64 + 2.0) * LETTER < to - from {
                    text x=(px((from + to) / 2.0)) y=(px(PITCH / 2.0 + 4.0)) text-anchor="middle" {
                        (Foreign(&line(name)))
                    }
                }
            }
        }
    }
}

fn table(comparison: &Comparison, found: &Directories, totals: &[f64], scale: Scale) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-label={ (words::DIRECTORIES) ", table" } {
            table {
                caption.unseen { (words::DIRECTORIES) }
                thead {
                    tr {
                        th.left scope="col" { "directory" }
                        @for subject in &found.columns {
                            th scope="col" { (variant_name(comparison, &subject.variant)) }
                        }
                    }
                }
                tbody {
                    @for (number, (name, sizes)) in (0..).zip(&found.rows) {
                        tr {
                            th.left scope="row" {
                                span class={ "swatch p" (usize::min(number, 7)) } aria-hidden="true" {}
                                (Foreign(name))
                            }
                            @for (size, total) in sizes.iter().zip(totals) {
                                td { (share(*size, *total, scale)) }
                            }
                        }
                    }
                    tr.all {
                        th.left scope="row" { "all" }
                        @for total in totals { td { b { (scale.number(*total)) } } }
                    }
                }
            }
        }
    }
}

fn share(size: f64, total: f64, scale: Scale) -> Markup {
    html! {
        span.figure {
            b { (scale.number(size)) }
            @if total > 0.0 { " " span.ratio { (percent(size / total)) } }
        }
    }
}

fn description(found: &Directories, totals: &[f64], scale: Scale) -> String {
    let columns = found.columns.iter().zip(totals).map(|(subject, total)| {
        format!(
            "{}: {} {}",
            line(&subject.variant),
            scale.number(*total),
            scale.unit
        )
    });
    let rows: Vec<String> = found.rows.iter().map(|(name, _)| line(name)).collect();
    let columns: Vec<String> = columns.collect();
    format!(
        "{}. The largest directories: {}.",
        columns.join("; "),
        rows.join(", ")
    )
}
