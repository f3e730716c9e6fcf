//! The main quantities of every application at one glance, as ratios.

use maud::{Markup, html};

use super::foreign::{Foreign, slot};
use super::{emulated_badge, variant_name};
use crate::measure::render::number::ratio;
use crate::measure::render::table::{Cell, Row, Table, applications};
use crate::measure::render::words;
use crate::measure::{Comparison, Group, quantity};

/// The quantities that are shown, where they were measured.
const MAIN: [(Group, &str); 9] = [
    (Group::Options, quantity::WITH_PROMPT),
    (Group::Size, quantity::BZIMAGE),
    (Group::Boot, quantity::TO_READY),
    (Group::Memory, quantity::SMALLEST_MEMORY),
    (Group::Operations, quantity::NULL_CALL),
    (Group::Application, quantity::REDIS_GET),
    (Group::Application, quantity::REDIS_SET),
    (Group::Application, quantity::HTTP_CONNECTION),
    (Group::Application, quantity::HTTP_KEPT),
];

/// Tiles of ratios to the plan's first kind of kernel, in a row for each application; nothing
/// where there is no ratio.
pub(super) fn overview(comparison: &Comparison) -> Markup {
    let rows: Vec<(&str, Vec<Markup>)> = applications(comparison)
        .into_iter()
        .map(|application| (application, tiles(comparison, application)))
        .filter(|(_, tiles)| !tiles.is_empty())
        .collect();
    let first = comparison.plan.variants.first().map_or("", String::as_str);
    html! {
        @if !rows.is_empty() {
            section.overview aria-labelledby="overview" {
                h2 #overview {
                    "At a glance"
                    span.beside { "in relation to " (variant_name(comparison, first)) }
                }
                @for (application, tiles) in &rows {
                    h3 { (Foreign(application)) }
                    div.tiles { @for tile in tiles { (tile) } }
                }
            }
        }
    }
}

fn tiles(comparison: &Comparison, application: &str) -> Vec<Markup> {
    let mut tiles = Vec::new();
    for group in Group::ALL {
        let Some(table) = Table::of(comparison, application, group) else {
            continue;
        };
        let is_main = |row: &&Row| MAIN.contains(&(group, row.name));
        tiles.extend(
            table
                .rows
                .iter()
                .filter(is_main)
                .filter_map(|row| tile(comparison, &table, row)),
        );
    }
    tiles
}

/// A quantity with its ratios, and what became of kernels without; none without any ratio.
fn tile(comparison: &Comparison, table: &Table, row: &Row) -> Option<Markup> {
    let ratio_of = |cell: &Cell| match cell {
        Cell::Value(value) => value.ratio,
        _ => None,
    };
    let ratios = row.cells.iter().filter_map(ratio_of);
    let largest = ratios.map(f64::abs).reduce(f64::max)?.max(1.0);
    let first = comparison.plan.variants.first();
    let columns = table.columns.iter().zip(&row.cells);
    Some(html! {
        div.tile {
            p.quantity { (Foreign(row.name)) @if row.emulated { " " (emulated_badge()) } }
            dl {
                @for (subject, cell) in columns.filter(|(s, _)| Some(&s.variant) != first) {
                    dt { (Foreign(&subject.variant)) }
                    @if let Some(value) = ratio_of(cell) {
                        dd {
                            span class={ "meter v" (slot(comparison, &subject.variant)) }
                                aria-hidden="true" {
                                i style={ "width:" (percentage(value.abs() / largest)) } {}
                                u style={ "left:" (percentage(1.0 / largest)) } {}
                            }
                            b { (ratio(value)) }
                        }
                    } @else {
                        dd.none { (without(cell)) }
                    }
                }
            }
        }
    })
}

/// Why there is no ratio, in a word or two; the table says more.
fn without(cell: &Cell) -> &'static str {
    match cell {
        Cell::Value(_) => "no ratio",
        Cell::Error(..) => "error",
        Cell::Failed(_) => "failed",
        Cell::Absent => words::ABSENT,
    }
}

/// A part of a width as CSS writes it.
fn percentage(part: f64) -> String {
    format!("{:.1}%", 100.0 * part.clamp(0.0, 1.0))
}
