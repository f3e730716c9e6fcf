//! The main quantities of every application at one glance, as ratios.

use maud::{Markup, html};

use super::foreign::{Foreign, slot};
use super::{emulated_badge, variant_name};
use crate::measure::render::number::ratio;
use crate::measure::render::table::{Cell, Row, Table, applications};
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

/// A quantity with its ratios; none without any.
fn tile(comparison: &Comparison, table: &Table, row: &Row) -> Option<Markup> {
    let ratios = table
        .columns
        .iter()
        .zip(&row.cells)
        .filter_map(|(subject, cell)| match cell {
            Cell::Value(value) => Some((&subject.variant, value.ratio?)),
            _ => None,
        });
    let ratios: Vec<(&String, f64)> = ratios.collect();
    let largest = ratios
        .iter()
        .map(|(_, ratio)| ratio.abs())
        .fold(1.0, f64::max);
    (!ratios.is_empty()).then(|| {
        html! {
            div.tile {
                p.quantity { (Foreign(row.name)) @if row.emulated { " " (emulated_badge()) } }
                dl {
                    @for (variant, value) in ratios {
                        dt { (Foreign(variant)) }
                        dd {
                            span class={ "meter v" (slot(comparison, variant)) } aria-hidden="true" {
                                i style={ "width:" (percentage(value.abs() / largest)) } {}
                                u style={ "left:" (percentage(1.0 / largest)) } {}
                            }
                            b { (ratio(value)) }
                        }
                    }
                }
            }
        }
    })
}

/// A part of a width as CSS writes it.
fn percentage(part: f64) -> String {
    format!("{:.1}%", 100.0 * part.clamp(0.0, 1.0))
}
