//! Foreign text and its colours on the page.

use maud::Render;

use crate::measure::Comparison;
use crate::measure::render::text::clean;

/// Text that others wrote: cleaned and escaped where it is rendered.
pub(super) struct Foreign<'a>(pub(super) &'a str);

impl Render for Foreign<'_> {
    fn render_to(&self, buffer: &mut String) {
        clean(self.0).as_ref().render_to(buffer);
    }
}

/// Kinds of kernels with colours of their own, the same on every page.
const KNOWN: [&str; 5] = [
    "microvm",
    "lupine-nokml",
    "lupine",
    "lupine-general",
    "lupine-tiny",
];

/// Colours of others, in the order of the plan.
const OTHERS: usize = 3;

/// The number of a kind of kernel's colour.
pub(super) fn slot(comparison: &Comparison, variant: &str) -> usize {
    if let Some(known) = KNOWN.iter().position(|known| *known == variant) {
        return known;
    }
    let mut others = comparison.plan.variants.iter();
    let place = others
        .position(|other| other == variant)
        .unwrap_or_default();
    KNOWN.len() + place % OTHERS
}
