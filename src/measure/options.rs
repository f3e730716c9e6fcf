//! How many options a configuration has, by why it has them.

use crate::kernel::config::{Class, Reason, ReasonKind};

use super::quantity;
use super::report::{Figure, Group};
use super::sample::Unit;

/// Counts of the options that are `y`. Those without a prompt follow from others, and differ
/// between versions more than configurations do.
#[must_use]
pub fn options(reasons: &[Reason]) -> Vec<Figure> {
    let set: Vec<&Reason> = reasons.iter().filter(|r| r.value == "y").collect();
    let needed =
        |reason: &Reason| !matches!(reason.kind, ReasonKind::Baseline | ReasonKind::Default);
    let count = |keep: &dyn Fn(&Reason) -> bool| set.iter().filter(|r| keep(r)).count();
    let of_class = |class: Class| count(&|r| r.prompt && !needed(r) && r.class == class);
    let figure = |name: &str, method: &str, count: usize| {
        let samples = vec![count as f64];
        Figure::new(Group::Options, name, Unit::Options, method, samples)
    };
    let by_class = "options with a prompt that neither base nor the application asks for, by the paper's classes";
    vec![
        figure(
            quantity::OPTIONS,
            "options that are y in the kernel's .config",
            set.len(),
        ),
        figure(
            quantity::WITH_PROMPT,
            "those of them that a person could turn off: they have a visible prompt",
            count(&|r| r.prompt),
        ),
        figure(
            quantity::NEEDED,
            "options with a prompt that base or the application asks for, that those depend on, or that those select",
            count(&|r| r.prompt && needed(r)),
        ),
        figure(
            quantity::APPLICATION_SPECIFIC,
            by_class,
            of_class(Class::ApplicationSpecific),
        ),
        figure(
            quantity::MULTI_PROCESSING,
            by_class,
            of_class(Class::MultiProcessing),
        ),
        figure(
            quantity::HARDWARE_MANAGEMENT,
            by_class,
            of_class(Class::HardwareManagement),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_with_a_prompt_is_counted_once() {
        let reason = |kind, class, prompt, value: &str| Reason {
            symbol: "A".into(),
            value: value.into(),
            kind,
            because: String::new(),
            prompt,
            class,
            evidence: Vec::new(),
        };
        let reasons = [
            reason(ReasonKind::Base, Class::ApplicationSpecific, true, "y"),
            reason(ReasonKind::Need, Class::MultiProcessing, true, "y"),
            reason(ReasonKind::Baseline, Class::MultiProcessing, true, "y"),
            reason(ReasonKind::Default, Class::HardwareManagement, false, "y"),
            reason(ReasonKind::Default, Class::HardwareManagement, true, "y"),
            reason(ReasonKind::Default, Class::HardwareManagement, true, "14"),
        ];
        let counts: Vec<f64> = options(&reasons)
            .iter()
            .map(|figure| figure.samples[0])
            .collect();
        assert_eq!(counts, [5.0, 4.0, 2.0, 0.0, 1.0, 1.0]);
    }
}
