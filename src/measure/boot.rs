//! From the start of the VMM to a ready application, in all and by phases.

use std::time::Duration;

use super::quantity;
use super::report::{Figure, Group, Phase};
use super::sample::Unit;
use super::unikernel::Unikernel;
use crate::error::Error;
use crate::pipeline::Lupine;
use crate::vmm::{Accel, Vm};

/// Lines of the kernel's log, of init/main.c and init/version.c, that begin a phase, in their
/// order.
const MARKS: [(&str, &str); 3] = [
    ("Linux version ", "kernel: early set-up"),
    ("calling  ", "kernel: initcalls"),
    (" as init process", "init: file systems, network"),
];

/// Boots `repetitions` times and takes the time to the start of the application and to a passed
/// health check. `on_boot` is called after each.
///
/// # Errors
/// A boot failed.
pub fn boot(
    lupine: &Lupine,
    unikernel: &Unikernel,
    repetitions: u32,
    mut on_boot: impl FnMut(),
) -> Result<Vec<Figure>, Error> {
    let accel = lupine.choose_accelerator()?.accel;
    let (mut started, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..repetitions.max(1) {
        let machine = unikernel.machine(lupine)?;
        let mut vm = Vm::boot(&machine, accel, lupine.cancel())?;
        let readiness = vm.wait_ready(&unikernel.health(), |_| {})?;
        started.extend(readiness.started.map(|time| time.as_secs_f64()));
        ready.push(readiness.ready.as_secs_f64());
        on_boot();
    }
    let figure = |name: &str, method: &str, samples| {
        Figure::new(Group::Boot, name, Unit::Seconds, method, samples)
    };
    Ok(vec![
        figure(
            quantity::TO_INIT,
            "host's clock from the start of the VMM's process to the line by which the guest's init says that it executes the application; file systems are mounted and the network is up",
            started,
        ),
        figure(
            quantity::TO_READY,
            "host's clock from the start of the VMM's process to the first success of the health check",
            ready,
        ),
    ])
}

/// How many instructions a guest has executed when its application starts, by an emulator that
/// counts them. Nothing is said of machines that cannot count.
///
/// # Errors
/// A boot failed.
pub fn boot_instructions(
    lupine: &Lupine,
    unikernel: &Unikernel,
    repetitions: u32,
) -> Result<Option<Figure>, Error> {
    if lupine.choose_accelerator()?.accel != Accel::Tcg {
        return Ok(None);
    }
    let mut samples = Vec::new();
    for _ in 0..repetitions.max(1) {
        let mut machine = unikernel.machine(lupine)?;
        machine.instructions = true;
        // Without it the count leaps to the next tick of the timer, four million, wherever the
        // kernel waits for its disk; how often is the host's doing.
        machine.extra_parameters.push("idle=poll".to_owned());
        let mut vm = Vm::boot(&machine, Accel::Tcg, lupine.cancel())?;
        vm.wait_ready(&unikernel.health(), |_| {})?;
        samples.extend(vm.console().start_ticks().map(|ticks| ticks as f64));
    }
    Ok(Some(Figure::new(
        Group::Boot,
        quantity::BOOT_INSTRUCTIONS,
        Unit::Instructions,
        "guest instructions from reset to the execution of the application, counted by the emulator (icount), firmware and decompression of the kernel included; while the guest waits for its disk it polls (idle=poll), and how long that takes is the host's doing, so that the least sample is the nearest",
        samples,
    )))
}

/// The phases of one boot with the kernel's whole log on the console, which makes it slower than
/// the boots of [`boot`]: what matters is where the time goes.
///
/// # Errors
/// The boot failed.
pub fn phases(lupine: &Lupine, unikernel: &Unikernel) -> Result<Vec<Phase>, Error> {
    let accel = lupine.choose_accelerator()?.accel;
    let mut machine = unikernel.machine(lupine)?;
    machine.kernel_log = true;
    let parameters = ["initcall_debug", "ignore_loglevel", "printk.time=1"];
    machine.extra_parameters = parameters.map(str::to_owned).into();
    let mut vm = Vm::boot(&machine, accel, lupine.cancel())?;
    let begin = std::time::Instant::now();
    let mut times: [Option<Duration>; MARKS.len()] = [None; MARKS.len()];
    let readiness = vm.wait_ready(&unikernel.health(), |line| {
        let line = String::from_utf8_lossy(line);
        for ((mark, _), time) in MARKS.iter().zip(&mut times) {
            if time.is_none() && line.contains(mark) {
                *time = Some(begin.elapsed());
            }
        }
    })?;
    let marks = MARKS
        .iter()
        .zip(times)
        .map(|((_, name), time)| (*name, time));
    let all = [("VMM, loader, decompression", Some(Duration::ZERO))]
        .into_iter()
        .chain(marks)
        .chain([("application", readiness.started)]);
    Ok(between(all, readiness.ready))
}

/// Phases from the times at which they begin, where those are known; each ends with the next.
fn between<'a>(
    begins: impl Iterator<Item = (&'a str, Option<Duration>)>,
    end: Duration,
) -> Vec<Phase> {
    let known: Vec<(&str, f64)> = begins
        .filter_map(|(name, time)| Some((name, time?.as_secs_f64())))
        .collect();
    let ends = known.iter().skip(1).map(|(_, time)| *time);
    let ends = ends.chain([end.as_secs_f64()]);
    known
        .iter()
        .zip(ends)
        .map(|(&(name, begin), end)| Phase {
            name: name.to_owned(),
            begin,
            length: (end - begin).max(0.0),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_lasts_until_the_next_that_was_seen() {
        let seconds = |s| Some(Duration::from_secs(s));
        let begins = [("a", seconds(0)), ("b", None), ("c", seconds(2))];
        let phases = between(begins.into_iter(), Duration::from_secs(5));
        let found: Vec<(&str, f64, f64)> = phases
            .iter()
            .map(|phase| (phase.name.as_str(), phase.begin, phase.length))
            .collect();
        assert_eq!(found, [("a", 0.0, 2.0), ("c", 2.0, 3.0)]);
    }
}
