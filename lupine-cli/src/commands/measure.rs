//! `lupine measure` and `lupine compare`.

use std::fs;
use std::path::Path;

use lupine::Error;
use lupine::measure::{
    Application, Comparison, FORMAT, Outcome, Plan, Subject, Unikernel, compare, conditions,
    measure, render,
};
use lupine::vmm::Vmm;

use super::{Failure, Session, complain, manifest_of};
use crate::args::measure::{Compare, Measure, Measures};

/// The name of the files of a comparison, without its end.
const NAME: &str = "comparison";

pub(super) fn one(session: &Session<'_>, args: &Measure) -> Result<(), Failure> {
    let unikernel = Unikernel::open(&args.dir)?;
    let vmm = unikernel.kernel.vmm;
    let lupine = session.lupine()?.with_vmm(vmm);
    let lupine = Session::on_tap(lupine, args.tap.as_deref());
    let application = unikernel.manifest.name.clone();
    let variant = unikernel.kernel.variant.name().to_owned();
    let directory = absolute(&args.dir)?;
    let mut plan = plan(&args.measures, vec![directory], vec![variant.clone()]);
    plan.vmm = vmm;
    let outcome = measure(&lupine, &plan, &unikernel)?;
    let comparison = Comparison {
        format: FORMAT,
        conditions: conditions(&lupine, &unikernel.kernel.version)?,
        plan,
        subjects: vec![Subject {
            application,
            variant,
            outcome: Outcome::Measured(Box::new(outcome)),
        }],
    };
    finish(session, &comparison, args.output.as_deref())
}

pub(super) fn several(session: &Session<'_>, args: &Compare) -> Result<(), Failure> {
    let plan = match &args.repeat {
        Some(file) => load(file)?.plan,
        None => {
            let variants = args.variants.iter().map(|v| v.name().to_owned()).collect();
            let mut plan = plan(&args.measures, args.images.clone(), variants);
            let path =
                |path: &Option<std::path::PathBuf>| path.as_deref().map(absolute).transpose();
            plan.vmm = args.vmm;
            plan.baseline = path(&args.baseline)?;
            plan.kernel_source = path(&args.kernel_src)?;
            plan
        }
    };
    let lupine = session.lupine()?.with_compiler(args.compiler.into());
    let lupine = Session::on_tap(lupine.with_vmm(plan.vmm), args.tap.as_deref());
    let applications = plan
        .applications
        .iter()
        .map(|name| {
            let manifest = manifest_of(name)?;
            let name = manifest.name.clone();
            Ok(Application { name, manifest })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    // Repeating is measuring anew, also what is in the directory already.
    let known = args.output.as_deref().filter(|_| args.repeat.is_none());
    let known = known
        .map(|directory| directory.join(format!("{NAME}.json")))
        .filter(|file| file.exists())
        .map(|file| load(&file))
        .transpose()?
        .filter(|known| known.subjects.len() < applications.len() * plan.variants.len());
    if known.is_some() {
        complain("going on with an interrupted comparison");
    }
    let comparison = compare(&lupine, &plan, &applications, known, |sofar| {
        match &args.output {
            Some(directory) => save(sofar, directory),
            None => Ok(()),
        }
    })?;
    finish(session, &comparison, args.output.as_deref())?;
    let failed = |subject: &&Subject| matches!(subject.outcome, Outcome::Failed(_));
    match comparison.subjects.iter().find(failed) {
        Some(_) => Err(Failure::Application(1)),
        None => Ok(()),
    }
}

fn plan(measures: &Measures, applications: Vec<String>, variants: Vec<String>) -> Plan {
    Plan {
        applications,
        variants,
        groups: measures
            .measures
            .iter()
            .map(|&group| group.into())
            .collect(),
        repetitions: measures.repetitions,
        spread_limit: measures.spread_limit / 100.0,
        baseline: None,
        vmm: Vmm::Qemu,
        kernel_source: None,
    }
}

/// A path that means the same elsewhere, for a plan that is repeated.
fn absolute(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(Error::from)?;
    Ok(path.display().to_string())
}

fn load(file: &Path) -> Result<Comparison, Failure> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Failure::Input {
        what: format!("comparison {}", file.display()),
        source,
    };
    let text = fs::read(file).map_err(|error| failed(error.into()))?;
    let comparison: Comparison =
        serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    if comparison.format != FORMAT {
        let text = format!(
            "its format is {}, and this version reads {FORMAT}",
            comparison.format
        );
        return Err(failed(text.into()));
    }
    Ok(comparison)
}

/// Writes every form of a comparison.
fn save(comparison: &Comparison, directory: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    let json = serde_json::to_vec_pretty(comparison)?;
    for (end, text) in [
        ("json", json),
        ("csv", render::csv(comparison).into_bytes()),
        ("md", render::markdown(comparison).into_bytes()),
        ("html", render::html(comparison).into_bytes()),
    ] {
        lupine::write_atomically(&directory.join(format!("{NAME}.{end}")), &text)?;
    }
    Ok(())
}

fn finish(
    session: &Session<'_>,
    comparison: &Comparison,
    output: Option<&Path>,
) -> Result<(), Failure> {
    if let Some(directory) = output {
        save(comparison, directory).map_err(|source| Failure::Output {
            what: directory.display().to_string(),
            source,
        })?;
        complain(&format!(
            "the plots are in {}",
            directory.join(format!("{NAME}.html")).display()
        ));
    }
    session.print(comparison, &render::markdown(comparison))
}
