//! The phases of a boot, on a line of time for each kind of kernel.

use maud::{Markup, html};

use super::foreign::Foreign;
use super::plot::{Axis, px};
use super::{emulated_badge, variant_name};
use crate::measure::render::number::Scale;
use crate::measure::render::phases::Phases;
use crate::measure::render::text::{line, short};
use crate::measure::render::words;
use crate::measure::{Comparison, Unit};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 114.0;
const BARS: f64 = 720.0;
const PITCH: f64 = 34.0;
const BAR: f64 = 22.0;
const AXIS: f64 = 20.0;
/// What a letter inside a bar takes at most.
const LETTER: f64 = 7.0;
/// The narrowest bar that is seen.
const NARROW: f64 = 1.0;

/// The plot and the table of an application's boots.
pub(super) fn phases(comparison: &Comparison, found: &Phases, section: &str) -> Markup {
    let scale = Scale::of(Unit::Seconds, [found.end()].into_iter());
    html! {
        figure.wide {
            figcaption {
                span.quantity { (words::PHASES) } " " span.unit { (scale.unit) }
                @if found.emulated { " " (emulated_badge()) }
            }
            (plot(found, scale, section))
            (table(comparison, found, scale))
        }
    }
}

fn plot(found: &Phases, scale: Scale, section: &str) -> Markup {
    let axis = Axis::new([found.end()].into_iter(), LEFT, BARS);
    let bottom = PITCH * found.columns.len() as f64;
    let (low, high) = axis.range();
    html! {
        div.scroll tabindex="0" role="region" aria-label=(words::PHASES) {
            svg viewBox={ "0 0 " (px(WIDTH)) " " (px(bottom + AXIS)) } role="img"
                aria-labelledby={ (section) "-pt " (section) "-pd" } {
                title id={ (section) "-pt" } { (words::PHASES) ", " (scale.unit) }
                desc id={ (section) "-pd" } { (Foreign(&description(found, scale))) }
                g.grid {
                    @for (value, text) in scale.ticks(low, high) {
                        line x1=(px(axis.place(value))) x2=(px(axis.place(value)))
                            y1="0" y2=(px(bottom)) {}
                        text.tick x=(px(axis.place(value))) y=(px(bottom + 14.0))
                            text-anchor="middle" { (text) }
                    }
                }
                @for (i, subject) in found.columns.iter().enumerate() {
                    g transform={ "translate(0 " (px(PITCH * i as f64)) ")" } {
                        text.name x=(px(LEFT - 8.0)) y=(px(PITCH / 2.0 + 4.0)) text-anchor="end" {
                            (short(&subject.variant, 16))
                        }
                        (boot(found, i, axis, scale))
                    }
                }
            }
        }
    }
}

fn boot(found: &Phases, column: usize, axis: Axis, scale: Scale) -> Markup {
    let phases = (0..).zip(&found.rows).filter_map(|(number, (name, row))| {
        let phase = (*row.get(column)?)?;
        let (from, to) = (
            axis.place(phase.begin),
            axis.place(phase.begin + phase.length),
        );
        Some((
            usize::min(number, 7),
            *name,
            phase,
            from,
            (to - from).max(NARROW),
        ))
    });
    let mut end = LEFT;
    let phases: Vec<_> = phases
        .inspect(|(.., from, width)| end = end.max(from + width))
        .collect();
    let last = phases
        .iter()
        .map(|(_, _, phase, ..)| phase.begin + phase.length)
        .fold(0.0, f64::max);
    html! {
        @for (number, name, phase, from, width) in phases {
            g class={ "piece p" (number) } {
                rect x=(px(from)) y=(px((PITCH - BAR) / 2.0)) width=(px(width)) height=(px(BAR)) {
                    title {
                        (Foreign(name)) ": " (scale.number(phase.length)) " " (scale.unit)
                        " from " (scale.number(phase.begin)) " on"
                    }
                }
                @if (name.chars().count() as f64 + 2.0) * LETTER < width {
                    text x=(px(from + width / 2.0)) y=(px(PITCH / 2.0 + 4.0)) text-anchor="middle" {
                        (Foreign(&line(name)))
                    }
                }
            }
        }
        text.value x=(px(end + 8.0)) y=(px(PITCH / 2.0 + 4.0)) { (scale.number(last)) }
    }
}

fn table(comparison: &Comparison, found: &Phases, scale: Scale) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-label={ (words::PHASES) ", table" } {
            table {
                caption.unseen { (words::PHASES) }
                thead {
                    tr {
                        th.left scope="col" {
                            "phase" @if found.emulated { " " (emulated_badge()) }
                        }
                        @for subject in &found.columns {
                            th scope="col" { (variant_name(comparison, &subject.variant)) }
                        }
                    }
                }
                tbody {
                    @for (number, (name, row)) in (0..).zip(&found.rows) {
                        tr {
                            th.left scope="row" {
                                span class={ "swatch p" (usize::min(number, 7)) } aria-hidden="true" {}
                                (Foreign(name))
                            }
                            @for phase in row {
                                td {
                                    @match phase {
                                        Some(phase) => span.figure {
                                            b { (scale.number(phase.length)) } " "
                                            span.ratio { "at " (scale.number(phase.begin)) }
                                        }
                                        None => { "–" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn description(found: &Phases, scale: Scale) -> String {
    let boots = found.columns.iter().enumerate().map(|(column, subject)| {
        let phases = found.rows.iter().filter_map(|(name, row)| {
            let phase = (*row.get(column)?)?;
            Some(format!(
                "{} {} {}",
                line(name),
                scale.number(phase.length),
                scale.unit
            ))
        });
        format!(
            "{}: {}",
            line(&subject.variant),
            phases.collect::<Vec<_>>().join(", ")
        )
    });
    format!("{}.", boots.collect::<Vec<_>>().join("; "))
}
