//! A whole comparison: every application on every kind of kernel.

use std::path::Path;
use std::time::{Duration, Instant};

use super::boot::{boot, boot_instructions, phases};
use super::conditions::conditions;
use super::load::load;
use super::memory::memory;
use super::operations::{self, operations};
use super::options::options;
use super::processors::{self, processors};
use super::report::{Comparison, FORMAT, Figure, Group, Measures, Outcome, Plan, Subject};
use super::size::size;
use super::unikernel::Unikernel;
use crate::error::{Error, with_causes};
use crate::kernel::source::KernelSource;
use crate::manifest::Manifest;
use crate::pipeline::Lupine;
use crate::progress::Unit as Step;
use crate::variant::Variant;

/// An application of a plan, opened.
#[derive(Clone, Debug)]
pub struct Application {
    /// What the plan calls it.
    pub name: String,
    /// How it is described.
    pub manifest: Manifest,
}

/// Measures what the plan asks for. `applications` are the plan's, in its order.
///
/// `known` is an earlier, interrupted comparison by the same plan: what it measured is taken over;
/// what failed in it is tried again. `on_subject` gets the comparison as far as it has come, after
/// each subject, and may keep it.
///
/// An application that cannot be built or does not run is a subject with its error; others go on.
///
/// # Errors
/// The kernel source or the baseline cannot be read, a kind of kernel has no such name, the plan
/// names another virtual machine monitor than `lupine` has or nothing can be booted by it on this
/// machine, the user cancelled, or `on_subject` failed.
pub fn compare(
    lupine: &Lupine,
    plan: &Plan,
    applications: &[Application],
    known: Option<Comparison>,
    mut on_subject: impl FnMut(&Comparison) -> std::io::Result<()>,
) -> Result<Comparison, Error> {
    let variants = plan
        .variants
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<Variant>, _>>()
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
    if plan.vmm != lupine.vmm() {
        let text = format!("the plan is for {}, and not {}", plan.vmm, lupine.vmm());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text).into());
    }
    lupine.check_vmm()?;
    let source = lupine.kernel_source(plan.kernel_source.as_deref().map(Path::new))?;
    let baseline = plan.baseline.as_ref().map(read).transpose()?;
    let known = known.filter(|known| known.format == FORMAT && known.plan == *plan);
    let known = known.map(|known| known.subjects).unwrap_or_default();
    let mut comparison = Comparison {
        format: FORMAT,
        plan: plan.clone(),
        conditions: conditions(lupine, &source.version.to_string())?,
        subjects: Vec::new(),
    };
    let total = applications.len() * variants.len();
    let mut pace = Pace::default();
    for application in applications {
        for &variant in &variants {
            let number = comparison.subjects.len() + 1;
            let of = |subject: &&Subject| {
                subject.application == application.name && subject.variant == variant.name()
            };
            let done = |subject: &&Subject| matches!(subject.outcome, Outcome::Measured(_));
            let outcome = match known.iter().find(of).filter(done) {
                Some(subject) => subject.outcome.clone(),
                None => {
                    let left = pace.left(total - comparison.subjects.len());
                    let name = &application.name;
                    let heading = format!("{number} of {total}: {name} on {variant}{left}");
                    lupine.progress().message(&heading);
                    let began = Instant::now();
                    let from = baseline.as_deref().filter(|_| variant == Variant::Microvm);
                    let measured = subject(lupine, plan, application, &source, variant, from);
                    pace.took(began.elapsed());
                    match measured {
                        Ok(measures) => Outcome::Measured(Box::new(measures)),
                        Err(error) => {
                            lupine.cancel().check()?;
                            Outcome::Failed(with_causes(&error, ": "))
                        }
                    }
                }
            };
            comparison.subjects.push(Subject {
                application: application.name.clone(),
                variant: variant.name().to_owned(),
                outcome,
            });
            on_subject(&comparison)?;
        }
    }
    Ok(comparison)
}

/// How long subjects took, to say how long those that are left will.
#[derive(Default)]
struct Pace {
    spent: Duration,
    subjects: u32,
}

impl Pace {
    fn took(&mut self, time: Duration) {
        self.spent += time;
        self.subjects += 1;
    }

    /// Such as `, about 12 minutes left`; nothing before the first subject is done.
    fn left(&self, subjects: usize) -> String {
        if self.subjects == 0 {
            return String::new();
        }
        let each = self.spent.as_secs_f64() / f64::from(self.subjects);
        match (each * subjects as f64 / 60.0).round() as u64 {
            0 | 1 => ", about a minute left".to_owned(),
            minutes => format!(", about {minutes} minutes left"),
        }
    }
}

fn read(path: &String) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        let text = format!("baseline {path}: {error}");
        std::io::Error::new(error.kind(), text).into()
    })
}

fn subject(
    lupine: &Lupine,
    plan: &Plan,
    application: &Application,
    source: &KernelSource,
    variant: Variant,
    from: Option<&[u8]>,
) -> Result<Measures, Error> {
    let unikernel = Unikernel::build(lupine, &application.manifest, source, variant, from)?;
    let mut measures = measure(lupine, plan, &unikernel)?;
    if plan.groups.contains(&Group::Degradation) && unikernel.manifest.machine.processors == 1 {
        let measured = for_several(lupine, application, source, variant, from, unikernel)
            .and_then(|unikernel| measure_processors(lupine, plan, &unikernel, &mut measures));
        if let Err(error) = measured {
            failed(&mut measures, lupine, Group::Degradation, &error)?;
        }
    }
    Ok(measures)
}

/// The same application on a kernel for several processors, which `unikernel` may have already.
fn for_several(
    lupine: &Lupine,
    application: &Application,
    source: &KernelSource,
    variant: Variant,
    from: Option<&[u8]>,
    mut unikernel: Unikernel,
) -> Result<Unikernel, Error> {
    let count = processors::several();
    if unikernel.has_option("SMP") {
        unikernel.manifest.machine.processors = count;
        return Ok(unikernel);
    }
    let mut manifest = application.manifest.clone();
    manifest.machine.processors = count;
    Unikernel::build(lupine, &manifest, source, variant, from)
}

fn measure_processors(
    lupine: &Lupine,
    plan: &Plan,
    unikernel: &Unikernel,
    measures: &mut Measures,
) -> Result<(), Error> {
    let progress = lupine.progress();
    let stage = format!("several processors for {}", unikernel.manifest.name);
    progress.stage(&stage, Some(processors::runs().into()), Step::Steps);
    let found = processors(lupine, unikernel, plan.repetitions, || progress.advance(1));
    progress.finish();
    let found = found?;
    measures.figures.extend(found.figures);
    measures.commands.extend(found.commands);
    measures.digests.extend(found.digests);
    measures.config_for_several = found.config;
    Ok(())
}

/// Measures one built unikernel: what of `plan` does not need its source. Of a plan, only the
/// groups and the repetitions are used.
///
/// # Errors
/// It does not run, or its files cannot be read. What fails otherwise is a figure with its error.
pub fn measure(lupine: &Lupine, plan: &Plan, unikernel: &Unikernel) -> Result<Measures, Error> {
    let name = &unikernel.manifest.name;
    let has = |group| plan.groups.contains(&group);
    let mut measures = Measures {
        config: String::from_utf8_lossy(&unikernel.config).into_owned(),
        parts: unikernel.parts.clone(),
        ..Measures::default()
    };
    measures.trace_to(lupine, unikernel, "")?;
    if has(Group::Options) {
        measures.figures.extend(options(&unikernel.reasons));
    }
    if has(Group::Size) {
        measures
            .figures
            .extend(size(&unikernel.vmlinux, &unikernel.bzimage)?);
    }
    let progress = lupine.progress();
    let stage = |what: &str, steps: u32| {
        progress.stage(&format!("{what} {name}"), Some(steps.into()), Step::Steps);
    };
    let step = || progress.advance(1);
    if has(Group::Boot) {
        stage("booting", plan.repetitions);
        measures
            .figures
            .extend(boot(lupine, unikernel, plan.repetitions, step)?);
        progress.finish();
        match boot_instructions(lupine, unikernel, plan.repetitions.min(3)) {
            Ok(figure) => measures.figures.extend(figure),
            Err(error) => failed(&mut measures, lupine, Group::Boot, &error)?,
        }
        match phases(lupine, unikernel) {
            Ok(phases) => measures.phases = phases,
            Err(error) => failed(&mut measures, lupine, Group::Boot, &error)?,
        }
    }
    if has(Group::Memory) {
        let range = unikernel.manifest.machine.memory_mib.max(2);
        stage("finding the memory of", range.ilog2() + 1);
        match memory(lupine, unikernel, step) {
            Ok(figures) => measures.figures.extend(figures),
            Err(error) => failed(&mut measures, lupine, Group::Memory, &error)?,
        }
        progress.finish();
    }
    if has(Group::Operations) || has(Group::Degradation) {
        let variant = unikernel.kernel.variant;
        stage("timing the kernel of", operations::runs(variant));
        match operations(lupine, unikernel, step) {
            Ok(figures) => {
                let asked = figures.into_iter().filter(|figure| has(figure.group));
                measures.figures.extend(asked);
            }
            Err(error) => failed(&mut measures, lupine, Group::Operations, &error)?,
        }
        progress.finish();
    }
    if has(Group::Application) {
        let loads = u32::try_from(unikernel.manifest.load.len()).unwrap_or(1);
        stage("loading", plan.repetitions * loads);
        match load(lupine, unikernel, plan.repetitions, step) {
            Ok((figures, commands)) => {
                measures.figures.extend(figures);
                measures.add_loads(commands, "");
            }
            Err(error) => failed(&mut measures, lupine, Group::Application, &error)?,
        }
        progress.finish();
    }
    if has(Group::Degradation)
        && unikernel.manifest.machine.processors > 1
        && let Err(error) = measure_processors(lupine, plan, unikernel, &mut measures)
    {
        failed(&mut measures, lupine, Group::Degradation, &error)?;
    }
    Ok(measures)
}

/// A measurement that failed stands in the report with its reason; a cancelled one ends all.
fn failed(
    measures: &mut Measures,
    lupine: &Lupine,
    group: Group,
    error: &Error,
) -> Result<(), Error> {
    lupine.cancel().check()?;
    measures.figures.push(without_samples(group, error));
    Ok(())
}

fn without_samples(group: Group, error: &Error) -> Figure {
    Figure {
        group,
        name: group.title().to_lowercase(),
        unit: super::Unit::Seconds,
        method: "not measured".to_owned(),
        samples: Vec::new(),
        error: Some(with_causes(error, ": ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_what_was_taken() {
        let mut pace = Pace::default();
        assert_eq!(pace.left(9), "");
        pace.took(Duration::from_secs(100));
        pace.took(Duration::from_secs(140));
        assert_eq!(pace.left(3), ", about 6 minutes left");
        assert_eq!(pace.left(0), ", about a minute left");
    }
}
