//! What was measured, by digest, and the commands that ran.

use maud::{Markup, html};

use super::foreign::Foreign;
use super::variant_name;
use crate::measure::{Comparison, Outcome};

/// Digests and commands of every subject that was measured; the rest is in the JSON.
pub(super) fn provenance(comparison: &Comparison) -> Markup {
    let measured: Vec<_> = comparison
        .subjects
        .iter()
        .filter_map(|subject| match &subject.outcome {
            Outcome::Measured(measures) => Some((subject, measures)),
            Outcome::Failed(_) => None,
        })
        .filter(|(_, measures)| !measures.digests.is_empty() || !measures.commands.is_empty())
        .collect();
    html! {
        @if !measured.is_empty() {
            section.provenance aria-labelledby="provenance" {
                h2 #provenance { "What was measured" }
                @for (subject, measures) in measured {
                    details {
                        summary {
                            (Foreign(&subject.application)) " on "
                            (variant_name(comparison, &subject.variant))
                        }
                        dl {
                            @for (name, digest) in &measures.digests {
                                div { dt { (Foreign(name)) } dd.code { (Foreign(digest)) } }
                            }
                            @for (name, command) in &measures.commands {
                                div {
                                    dt { (Foreign(name)) }
                                    dd.code { (Foreign(&command.join(" "))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
