//! Single operations of a kernel: the guest's benchmark program, its answers read.
//!
//! It runs on the very kernel of the application, in the application's image, so that nothing is
//! measured that the application does not have; what its kernel lacks is said.

mod answer;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::answer::{Answer, parse};
use super::quantity;
use super::report::{Figure, Group};
use super::sample::{Summary, Unit};
use super::unikernel::Unikernel;
use crate::cache::Kind;
use crate::digest::DigestBuilder;
use crate::error::Error;
use crate::guest::init::BENCH;
use crate::manifest::{ImageSource, Manifest};
use crate::pipeline::Lupine;
use crate::variant::Variant;
use crate::vmm::{Accel, HealthCheck, Probe, Vm};

/// The program's last line.
const DONE: &str = "lupine-bench: done";

/// A loop whose length is known, to see what a tick is.
const LOOP: &str = "hundred instructions";

/// How a context switch is found.
const SWITCH: &str = "half a round trip of a byte through two pipes between two processes, less the median of the same write and read by one process: what the switch costs";

/// Room for a thousand processes, MiB.
const MEMORY: u32 = 384;

/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(900);

/// A way for a program to reach the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the kind of kernel has it: by `syscall` in user mode, or through the gate.
    Own,
    /// By `syscall`, which nothing has rewritten, in kernel mode.
    Syscall,
    /// By `syscall` in user mode, on a kernel whose other programs may run in kernel mode.
    UserMode,
}

impl Way {
    fn suffix(self) -> &'static str {
        match self {
            Way::Own => "",
            Way::Syscall => ", by syscall in kernel mode",
            Way::UserMode => ", by an ordinary process",
        }
    }
}

/// Boots the benchmark program on the kernel of `unikernel` and measures the kernel's operations:
/// instructions where the guest is emulated, else nanoseconds. On a kernel for programs in kernel
/// mode the calls are measured each way: through the gate, by `syscall` in kernel mode, and by an
/// ordinary process beside. `on_run` is called after each of these boots.
///
/// # Errors
/// The guest failed, or the program's answers are not understood.
pub fn operations(
    lupine: &Lupine,
    unikernel: &Unikernel,
    mut on_run: impl FnMut(),
) -> Result<Vec<Figure>, Error> {
    let accel = lupine.choose_accelerator()?.accel;
    let ways: &[Way] = match unikernel.kernel.variant.has_kml() {
        true => &[Way::Own, Way::Syscall, Way::UserMode],
        false => &[Way::Own],
    };
    let mut figures = Vec::new();
    for &way in ways {
        let answers = run(lupine, unikernel, way, &[], accel)?;
        let found = figures_of(&answers, way, accel).into_iter();
        // What others do to the kernel is the same whichever way one comes.
        figures.extend(found.filter(|f| way == Way::Own || f.group == Group::Operations));
        on_run();
    }
    Ok(figures)
}

/// The same without others beside, and only as the application's own programs reach the kernel.
pub(super) fn operations_alone(
    lupine: &Lupine,
    unikernel: &Unikernel,
) -> Result<Vec<Figure>, Error> {
    let accel = lupine.choose_accelerator()?.accel;
    let answers = run(lupine, unikernel, Way::Own, &["alone"], accel)?;
    Ok(figures_of(&answers, Way::Own, accel))
}

/// The number of boots that [`operations`] makes.
pub(super) fn runs(variant: Variant) -> u32 {
    if variant.has_kml() { 3 } else { 1 }
}

fn run(
    lupine: &Lupine,
    unikernel: &Unikernel,
    way: Way,
    arguments: &[&str],
    accel: Accel,
) -> Result<Vec<(String, Answer)>, Error> {
    let mut manifest = manifest(&unikernel.manifest, &program(lupine)?, way);
    manifest.run.command = Some(arguments.iter().map(|&word| word.to_owned()).collect());
    let image = lupine.image(&manifest)?;
    let variant = match way {
        Way::UserMode => Variant::LupineNokml,
        _ => unikernel.kernel.variant,
    };
    let rootfs = lupine.rootfs(&image, variant)?;
    let bench = Unikernel {
        manifest,
        root: rootfs.path().to_owned(),
        ..unikernel.clone()
    };
    let mut machine = bench.machine(lupine)?;
    machine.memory_mib = MEMORY;
    machine.instructions = accel == Accel::Tcg;
    // A random place of the stack makes a child copy one page of it more or less, each boot.
    machine.extra_parameters.push("norandmaps".to_owned());
    let mut vm = Vm::boot(&machine, accel, lupine.cancel())?;
    let done = HealthCheck::new(Probe::Console { text: DONE.into() }).within(LIMIT);
    let mut answers = Vec::new();
    vm.wait_ready(&done, |line| {
        answers.extend(parse(&String::from_utf8_lossy(line)));
    })?;
    Ok(answers)
}

/// The folder that holds the program: the same each time, because an image's place in the cache
/// depends on the names of what is put on top of it.
fn program(lupine: &Lupine) -> Result<PathBuf, Error> {
    let key = DigestBuilder::new("bench-1")
        .field("program", BENCH)
        .finish();
    let (cache, cancel) = (lupine.cache(), lupine.cancel());
    cache.get_or_make(Kind::Image, &key, cancel, &mut || {}, |folder| {
        let program = folder.join("bench");
        fs::write(&program, BENCH)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(())
    })
}

/// The application's image with the program on top and in its place.
fn manifest(application: &Manifest, folder: &Path, way: Way) -> Manifest {
    let mut manifest = application.clone();
    match manifest.image.embedded() {
        // An embedded program has no files to put something on.
        Some(_) => manifest.image = ImageSource::Path(folder.to_owned()),
        None => manifest.run.overlays.push(folder.to_owned()),
    }
    manifest.run.entrypoint = Some(vec!["/bench".to_owned()]);
    manifest.run.user = Some("0:0".to_owned());
    manifest.run.groups.clear();
    manifest.run.workdir = Some("/".to_owned());
    manifest.run.native_calls = way == Way::Syscall;
    manifest.machine.ports.clear();
    manifest.health = None;
    manifest
}

fn figures_of(answers: &[(String, Answer)], way: Way, accel: Accel) -> Vec<Figure> {
    let per_tick = per_tick(answers);
    let unit = match accel {
        Accel::Tcg => Unit::Instructions,
        Accel::Kvm => Unit::Nanoseconds,
    };
    let each = |answer: &Answer| match answer {
        Answer::Times { repeats, ticks, ns } => {
            let values = match accel {
                Accel::Tcg => ticks,
                Accel::Kvm => ns,
            };
            let scale = match accel {
                Accel::Tcg => per_tick,
                Accel::Kvm => 1.0,
            };
            let value = |&value: &u64| value as f64 * scale / *repeats as f64;
            Ok(values.iter().map(value).collect::<Vec<f64>>())
        }
        Answer::Skipped(reason) => Err(reason.clone()),
    };
    let figure = |name: &str, found: Result<Vec<f64>, String>, method: &str| {
        let (samples, error) = match found {
            Ok(samples) => (samples, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        Figure {
            group: group_of(name),
            name: format!("{name}{}", way.suffix()),
            unit,
            method: method.to_owned(),
            samples,
            error,
        }
    };
    let repeated = match accel {
        Accel::Tcg => {
            "the guest's benchmark program, user and kernel instructions of one operation, counted by the emulator; mean of a series (20 for those that fork, else some hundreds), a sample each series; address spaces are not randomised, the machine is at rest before"
        }
        Accel::Kvm => {
            "the guest's benchmark program, monotonic clock over a series (20 for those that fork, else some hundreds), a sample each series; address spaces are not randomised, the machine is at rest before"
        }
    };
    let mut figures: Vec<Figure> = answers
        .iter()
        .filter(|(name, _)| name != LOOP && name != quantity::PIPE_TO_ITSELF)
        .map(|(name, answer)| figure(name, each(answer), repeated))
        .collect();
    let alone = answers
        .iter()
        .find(|(name, _)| name == quantity::PIPE_TO_ITSELF)
        .map_or(Err("was not measured".to_owned()), |(_, answer)| {
            each(answer)
        })
        .and_then(|samples| Summary::of(&samples).ok_or("has no samples".to_owned()))
        .map(|summary| summary.median)
        .map_err(|error| format!("{} {error}", quantity::PIPE_TO_ITSELF));
    for (name, answer) in answers {
        let Some(beside) = name.strip_prefix(quantity::PIPE) else {
            continue;
        };
        let switches = each(answer).and_then(|trips| {
            let alone = alone.clone()?;
            Ok(trips.iter().map(|trip| trip / 2.0 - alone).collect())
        });
        let name = format!("{}{beside}", quantity::CONTEXT_SWITCH);
        figures.push(figure(&name, switches, SWITCH));
    }
    figures
}

/// Instructions a tick of the time stamp counter, by the loop of a known length. Under an
/// emulator that counts them it is 1.
fn per_tick(answers: &[(String, Answer)]) -> f64 {
    let found = answers.iter().find(|(name, _)| name == LOOP);
    match found {
        Some((_, Answer::Times { repeats, ticks, .. })) => {
            let least = ticks.iter().copied().min().unwrap_or(0);
            let measured = *repeats as f64 * 100.0 / least.max(1) as f64;
            // The counter's own reading is within.
            if (0.98..=1.02).contains(&measured) {
                1.0
            } else {
                measured
            }
        }
        _ => 1.0,
    }
}

/// What others do to an operation is no property of the operation.
fn group_of(name: &str) -> Group {
    match name.contains(" beside ") || name.contains("between threads") {
        true => Group::Degradation,
        false => Group::Operations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Cancel, Task};

    #[test]
    fn a_switch_is_what_two_processes_cost_more_than_one() {
        let times = |ticks: u64| Answer::Times {
            repeats: 10,
            ticks: vec![ticks; 2],
            ns: vec![1; 2],
        };
        let answers = [
            (LOOP.to_owned(), times(1005)),
            (quantity::PIPE.to_owned(), times(10_000)),
            (quantity::PIPE_TO_ITSELF.to_owned(), times(3000)),
            ("read".to_owned(), Answer::Skipped("no".into())),
        ];
        let figures = figures_of(&answers, Way::Syscall, Accel::Tcg);
        let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
        let suffix = Way::Syscall.suffix();
        assert_eq!(
            names,
            [
                format!("{}{suffix}", quantity::PIPE),
                format!("read{suffix}"),
                format!("{}{suffix}", quantity::CONTEXT_SWITCH),
            ]
        );
        assert_eq!(figures[0].samples, [1000.0, 1000.0]);
        assert_eq!(figures[1].error.as_deref(), Some("no"));
        assert_eq!(figures[2].samples, [200.0, 200.0]);
        assert!(figures.iter().all(|f| f.unit == Unit::Instructions));
    }

    #[test]
    fn calls_of_the_program_can_go_through_the_gate() {
        let gate = lupine_kml::rewrite::Gate::Runtime;
        let options = lupine_kml::rewrite::Options { gate };
        let made = lupine_kml::rewrite::rewrite_bytes(BENCH, &options).unwrap();
        // One for all calls, and the return from a signal's handler.
        assert_eq!((made.report.rewritten, made.report.native), (2, 0));
    }

    #[test]
    fn the_program_measures_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let written = folder.path().join("written");
        let program = folder.path().join("bench");
        fs::write(&written, BENCH).unwrap();
        // Written by another process, lest a test's child keeps it open for writing.
        Task::new("cp")
            .args([&written, &program])
            .run_checked(&Cancel::new())
            .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let output = Task::new(&program).run_checked(&Cancel::new()).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.ends_with(&format!("{DONE}\n")), "{text}");
        let answers: Vec<(String, Answer)> = text.lines().filter_map(parse).collect();
        assert_eq!(answers.len() + 1, text.lines().count(), "{text}");
        let figures = figures_of(&answers, Way::Own, Accel::Kvm);
        for name in [
            quantity::NULL_CALL,
            quantity::READ,
            quantity::WRITE,
            quantity::STAT,
            quantity::OPEN_CLOSE,
            quantity::SIGNAL_INSTALL,
            quantity::SIGNAL_DELIVERY,
            quantity::PAGE_FAULT,
            quantity::FUTEX,
            quantity::FUTEX_HANDOVER,
            quantity::FORK_EXIT,
            quantity::FORK_EXEC,
            quantity::FORK_SHELL,
            quantity::PIPE,
            quantity::UNIX_SOCKET,
            "pipe latency between threads",
            "null call beside 16 sleeping processes",
            "fork and exit beside 1024 sleeping processes",
            "context switch 2p/0K between threads",
        ] {
            let figure = figures.iter().find(|figure| figure.name == name);
            let figure = figure.unwrap_or_else(|| panic!("{name} in {text}"));
            assert!(
                figure.samples.len() > 1 && figure.error.is_none(),
                "{figure:?}"
            );
            assert!(
                figure.samples.iter().all(|&sample| sample > 0.0),
                "{figure:?}"
            );
        }
    }
}
