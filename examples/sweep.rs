//! What single options cost an application in size, boot time and memory: builds its kernel as it
//! is and once more with each of some options, measures all, and draws them side by side.
//!
//!     cargo run --release --example sweep [-- --kernel-src DIR|TARBALL --variant VARIANT]

#![allow(clippy::print_stdout, reason = "examples print what they did")]

#[path = "common/mod.rs"]
mod common;

use lupine::Error;
use lupine::manifest::Manifest;
use lupine::measure::{
    Comparison, FORMAT, Group, Outcome, Plan, Subject, Unikernel, conditions, measure, render,
};

/// What is added, one at a time.
const OPTIONS: [(&str, &str); 3] = [
    ("KALLSYMS", "y"),
    ("SYSFS", "y"),
    ("CC_OPTIMIZE_FOR_SIZE", "n"),
];

fn main() -> std::process::ExitCode {
    common::main(run)
}

fn run(args: &common::Args) -> Result<(), Error> {
    let lupine = args.lupine()?;
    let app = Manifest::builtin("hello")?;
    let image = lupine.image(&app)?;
    let needs = lupine.needs(&image)?;
    let source = lupine.kernel_source(args.kernel_src.as_deref())?;

    let mut plan = Plan {
        applications: vec![app.name.clone()],
        variants: Vec::new(),
        groups: vec![Group::Options, Group::Size, Group::Boot, Group::Memory],
        repetitions: 11,
        spread_limit: 0.1,
        baseline: None,
        vmm: lupine::vmm::Vmm::Qemu,
        kernel_source: None,
    };
    let mut subjects = Vec::new();
    for change in std::iter::once(None).chain(OPTIONS.map(Some)) {
        let (mut needs, mut name) = (needs.clone(), args.variant.to_string());
        if let Some((option, value)) = change {
            needs.state(option, value);
            name = format!("{option}={value}");
        }
        let unikernel = Unikernel::of_needs(&lupine, &image, &needs, &source, args.variant, None)?;
        let measures = measure(&lupine, &plan, &unikernel)?;
        plan.variants.push(name.clone());
        subjects.push(Subject {
            application: app.name.clone(),
            variant: name,
            outcome: Outcome::Measured(Box::new(measures)),
        });
    }
    let comparison = Comparison {
        format: FORMAT,
        conditions: conditions(&lupine, &source.version.to_string())?,
        plan,
        subjects,
    };
    lupine::write_atomically("sweep.html".as_ref(), render::html(&comparison).as_bytes())?;
    print!("{}", render::markdown(&comparison));
    Ok(())
}
