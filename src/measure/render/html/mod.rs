//! One page with plots and tables. It loads nothing, runs nothing, and prints.

mod bars;
mod directories;
mod foreign;
mod overview;
mod phases;
mod plot;
mod provenance;
mod table;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::foreign::{Foreign, slot};
use super::directories::Directories;
use super::notes::Notes;
use super::phases::Phases;
use super::table::{Table, applications, reason, subjects};
use super::words;
use crate::measure::{Comparison, Group, Outcome};

/// A comparison as one HTML page, complete in itself: nothing is loaded from elsewhere and no
/// script runs. Every plot has a description and its figures in a table beside it.
#[must_use]
pub fn html(comparison: &Comparison) -> String {
    let mut notes = Notes::default();
    let names = applications(comparison);
    let sections: Vec<Markup> = (0..)
        .zip(&names)
        .map(|(i, application)| application_section(comparison, application, i, &mut notes))
        .collect();
    let title = words::subjects(comparison);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                title { (Foreign(&title)) " on " (Foreign(&words::variants(comparison))) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    p.kicker { "lupine compare" }
                    h1 { (Foreign(&title)) }
                    p.lead {
                        "On " (Foreign(&words::variants(comparison))) ", "
                        (Foreign(&comparison.conditions.date)) "."
                    }
                }
                main {
                    (conditions(comparison))
                    (overview::overview(comparison))
                    (key(comparison))
                    @for section in &sections { (section) }
                    (methods(&notes))
                    (provenance::provenance(comparison))
                }
            }
        }
    };
    page.into_string()
}

fn conditions(comparison: &Comparison) -> Markup {
    html! {
        section.conditions aria-labelledby="conditions" {
            h2 #conditions { "Conditions" }
            dl {
                @for (name, value) in words::conditions(comparison) {
                    div { dt { (name) } dd { (Foreign(&value)) } }
                }
            }
            @if comparison.conditions.emulated {
                p.notice role="note" {
                    (emulated_badge()) " " (Foreign(&words::emulated(comparison)))
                }
            }
        }
    }
}

/// What colours and marks mean.
fn key(comparison: &Comparison) -> Markup {
    html! {
        section.key aria-labelledby="key" {
            h2 #key { "How to read it" }
            ul.swatches {
                @for variant in &comparison.plan.variants {
                    li { (variant_name(comparison, variant)) }
                }
            }
            p {
                (Foreign(&words::legend(comparison)))
                " In plots a bar ends at the median, a whisker joins the quartiles, a dot is a sample, and "
                span.diamond aria-hidden="true" { "◇" }
                " stands where the paper\u{2019}s ratio would put our figure."
            }
        }
    }
}

fn application_section(
    comparison: &Comparison,
    application: &str,
    number: usize,
    notes: &mut Notes,
) -> Markup {
    let groups: Vec<Markup> = Group::ALL
        .into_iter()
        .filter_map(|group| {
            let id = format!("a{number}-{}", group.name());
            group_section(comparison, application, group, &id, notes)
        })
        .collect();
    html! {
        section.application aria-labelledby={ "a" (number) } {
            h2 id={ "a" (number) } { (Foreign(application)) }
            @for subject in subjects(comparison, application) {
                @if let Outcome::Failed(error) = &subject.outcome {
                    div.failure role="note" {
                        p { strong { (variant_name(comparison, &subject.variant)) " failed" } }
                        (error_text(reason(error)))
                    }
                }
            }
            @for group in &groups { (group) }
        }
    }
}

fn group_section(
    comparison: &Comparison,
    application: &str,
    group: Group,
    id: &str,
    notes: &mut Notes,
) -> Option<Markup> {
    let table = Table::of(comparison, application, group);
    let directories = Directories::of(comparison, application).filter(|_| group == Group::Size);
    let phases = Phases::of(comparison, application).filter(|_| group == Group::Boot);
    if table.is_none() && directories.is_none() && phases.is_none() {
        return None;
    }
    Some(html! {
        section.group aria-labelledby=(id) {
            h3 id=(id) {
                (group.title())
                @if table.as_ref().is_some_and(Table::is_emulated) { " " (emulated_badge()) }
            }
            @if let Some(table) = &table {
                @if !table.rows.is_empty() {
                    div.plots {
                        @for (i, row) in (0..).zip(&table.rows) {
                            (bars::bars(comparison, table, row, &plot_id(id, i)))
                        }
                    }
                }
                (table::table(comparison, application, table, notes))
            }
            @if let Some(directories) = &directories {
                (directories::directories(comparison, directories, id))
            }
            @if let Some(phases) = &phases {
                (phases::phases(comparison, phases, id))
            }
        }
    })
}

fn plot_id(section: &str, number: usize) -> String {
    format!("{section}-{number}")
}

fn methods(notes: &Notes) -> Markup {
    html! {
        @if notes.all().next().is_some() {
            section.methods aria-labelledby="methods" {
                h2 #methods { "Methods and notes" }
                ol {
                    @for (number, note) in notes.all() {
                        li id={ "n" (number) } { (Foreign(note)) }
                    }
                }
            }
        }
    }
}

/// The mark of figures of an emulator.
fn emulated_badge() -> Markup {
    html! { span.badge { "emulated" } }
}

/// The name of a kind of kernel with its colour.
fn variant_name(comparison: &Comparison, variant: &str) -> Markup {
    html! {
        span.variant {
            span class={ "swatch v" (slot(comparison, variant)) } aria-hidden="true" {}
            (Foreign(variant))
        }
    }
}

/// An error, which may be long and of several lines.
fn error_text(error: &str) -> Markup {
    html! { div.error tabindex="0" { (Foreign(error)) } }
}
