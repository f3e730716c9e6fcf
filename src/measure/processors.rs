//! What support for several processors costs on one of them, and what several do.

use std::num::NonZero;
use std::thread::available_parallelism;

use super::load::load;
use super::operations::operations_alone;
use super::report::{Figure, Group, Measures};
use super::unikernel::Unikernel;
use crate::error::Error;
use crate::pipeline::Lupine;

/// The most processors that a guest is given, however many the host has.
const MOST: u8 = 8;

/// How many processors stand for several on this machine: its own number, 2 to 8.
pub(super) fn several() -> u8 {
    let own = available_parallelism().map_or(2, NonZero::get);
    u8::try_from(own).unwrap_or(MOST).clamp(2, MOST)
}

/// How often `on_run` of [`processors`] is called.
pub(super) fn runs() -> u32 {
    4
}

/// Measures a kernel for several processors on one and on as many as its manifest gives it: the
/// kernel's operations, by the application's own way of calling it, and the application's loads,
/// each `repetitions` times. `on_run` is called after each of these four. What it measured, how it
/// was started and loaded stand beside the figures.
///
/// # Errors
/// A guest failed, or what makes the load.
pub fn processors(
    lupine: &Lupine,
    unikernel: &Unikernel,
    repetitions: u32,
    mut on_run: impl FnMut(),
) -> Result<Measures, Error> {
    let mut measures = Measures {
        config: String::from_utf8_lossy(&unikernel.config).into_owned(),
        ..Measures::default()
    };
    for count in [1, unikernel.manifest.machine.processors] {
        let mut there = unikernel.clone();
        there.manifest.machine.processors = count;
        let suffix = suffix(count);
        measures.trace_to(lupine, &there, &suffix)?;
        let mut found = operations_alone(lupine, &there)?;
        on_run();
        let (figures, commands) = load(lupine, &there, repetitions, || {})?;
        on_run();
        measures.add_loads(commands, &suffix);
        found.extend(figures);
        measures
            .figures
            .extend(found.into_iter().map(|figure| Figure {
                group: Group::Degradation,
                name: format!("{}{suffix}", figure.name),
                ..figure
            }));
    }
    Ok(measures)
}

/// What is added to the name of a quantity or of a command.
fn suffix(count: u8) -> String {
    match count {
        1 => ", SMP kernel on 1 processor".to_owned(),
        _ => format!(", SMP kernel on {count} processors"),
    }
}
