//! What is said about a comparison as a whole, in every form.

use super::number::percent;
use super::table::applications;
use super::text::line;
use crate::measure::Comparison;

/// Names as a sentence has them: `a, b and c`.
fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => line(one),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| line(name)).collect();
            format!("{} and {}", first.join(", "), line(last))
        }
    }
}

/// The applications, as a sentence has them.
pub(super) fn subjects(comparison: &Comparison) -> String {
    list(&applications(comparison))
}

/// The kinds of kernels, as a sentence has them.
pub(super) fn variants(comparison: &Comparison) -> String {
    let names: Vec<&str> = comparison
        .plan
        .variants
        .iter()
        .map(String::as_str)
        .collect();
    list(&names)
}

/// The conditions of the measurement, each with its name.
pub(super) fn conditions(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let (c, plan) = (&comparison.conditions, &comparison.plan);
    let accelerator = if c.emulated {
        format!("{}, an emulator", line(&c.accelerator))
    } else {
        line(&c.accelerator)
    };
    let repeated = match plan.repetitions {
        1 => "one boot, and one run of each load".to_owned(),
        times => format!("{times} boots, and {times} runs of each load"),
    };
    vec![
        ("Date", line(&c.date)),
        (
            "Processor",
            format!("{} × {}", c.processors, line(&c.processor)),
        ),
        ("Memory", format!("{} MiB", c.memory_mib)),
        ("Host", line(&c.host)),
        ("VMM", line(&c.vmm)),
        ("Accelerator", accelerator),
        ("Guest kernel", line(&c.kernel)),
        ("Compiler", line(&c.compiler)),
        ("Repetitions", repeated),
        ("Ratios", ratios(comparison)),
        ("lupine", line(&c.lupine)),
    ]
}

fn ratios(comparison: &Comparison) -> String {
    let first = comparison
        .plan
        .variants
        .first()
        .map_or("none", String::as_str);
    match &comparison.plan.baseline {
        Some(file) => format!(
            "to {}; microvm is configured by {}",
            line(first),
            line(file)
        ),
        None => format!("to {}", line(first)),
    }
}

/// What emulation does to figures.
pub(super) fn emulated(comparison: &Comparison) -> String {
    format!(
        "Times and rates marked \u{201c}emulated\u{201d} are of an emulator ({}), not of a processor: \
         they do not say how fast a kernel is, and ratios between them may differ on a processor. \
         Counts, sizes and numbers of instructions are the same everywhere.",
        line(&comparison.conditions.accelerator)
    )
}

/// How a cell is read.
pub(super) fn legend(comparison: &Comparison) -> String {
    let first = comparison
        .plan
        .variants
        .first()
        .map_or("none", String::as_str);
    format!(
        "A cell is the median, the quartiles where there is more than one sample, and the ratio (×) \
         to {}.",
        line(first)
    )
}

/// What the mark of an unsteady figure says.
pub(super) fn unsteady(comparison: &Comparison) -> String {
    let limit = percent(comparison.plan.spread_limit);
    format!("Unsteady: the quartiles are more than {limit} of the median apart.")
}

/// What is shown in place of a table without rows.
pub(super) const NO_FIGURES: &str = "There are no figures of this group.";

/// What is shown of a quantity that a subject does not have.
pub(super) const ABSENT: &str = "not measured";

/// The name of the paper's line in a table.
pub(super) const PAPER: &str = "in the paper";

/// The title of what a kernel is made of.
pub(super) const DIRECTORIES: &str = "Code and data by directory of the kernel tree";

/// The title of a boot's phases.
pub(super) const PHASES: &str = "Phases of one boot";
