//! An application under load, by the programs that people use for it.

mod program;

use std::time::Duration;

use self::program::{Run, Target, preparation, program, runs};
use super::report::{Figure, Group};
use super::sample::Unit;
use super::unikernel::Unikernel;
use crate::error::Error;
use crate::host;
use crate::pipeline::Lupine;
use crate::vmm::{Vm, VmError};

pub use self::program::LoadError;

/// Boots the application once and runs each load of its manifest `repetitions` times against it,
/// from the host through the VMM's network. `on_run` is called after each. Also gives the
/// commands that ran.
///
/// # Errors
/// A program is not installed or fails, or the guest does.
pub fn load(
    lupine: &Lupine,
    unikernel: &Unikernel,
    repetitions: u32,
    mut on_run: impl FnMut(),
) -> Result<(Vec<Figure>, Vec<Vec<String>>), Error> {
    let mut commands = Vec::new();
    let mut figures: Vec<Figure> = Vec::new();
    let loads = &unikernel.manifest.load;
    if loads.is_empty() {
        return Ok((figures, commands));
    }
    let programs: Vec<&str> = loads.iter().map(program).collect();
    host::require_programs(&programs).map_err(Error::Missing)?;
    let accel = lupine.choose_accelerator()?.accel;
    let mut vm = Vm::boot(&unikernel.machine(lupine)?, accel, lupine.cancel())?;
    vm.wait_ready(&unikernel.health(), |_| {})?;
    for load in loads {
        let Some(host) = vm.host_port(load.port()) else {
            let text = format!("port {} of the load is none of the machine's", load.port());
            return Err(std::io::Error::other(text).into());
        };
        let target = Target {
            host: host.ip().to_string(),
            port: host.port().to_string(),
        };
        // The port is another one each time, and no part of how a figure was obtained.
        let described = Target {
            port: "PORT".to_owned(),
            ..target.clone()
        };
        if let Some(call) = preparation(load, &target) {
            commands.push(call.words());
            call.run(lupine.cancel())?;
        }
        for (run, described) in runs(load, &target).iter().zip(runs(load, &described)) {
            commands.push(run.call.words());
            // The first run of all finds everything cold.
            for repetition in 0..=repetitions.max(1) {
                let found = run.run(lupine.cancel())?;
                // What the guest printed meanwhile must not fill its pipe.
                if let Some(exit) = vm.wait_for(Duration::from_millis(10), |_| {})? {
                    let tail = vm.console().tail();
                    return Err(VmError::Exited { exit, tail }.into());
                }
                if repetition == 0 {
                    continue;
                }
                for (name, value) in found {
                    record(&mut figures, name, &described, value);
                }
                on_run();
            }
        }
    }
    Ok((figures, commands))
}

fn record(figures: &mut Vec<Figure>, name: &str, run: &Run, value: f64) {
    if let Some(figure) = figures.iter_mut().find(|figure| figure.name == name) {
        figure.samples.push(value);
        return;
    }
    let method = format!(
        "`{}` on the host, through the VMM's network, one guest for all runs, after one that does not count",
        run.call.words().join(" ")
    );
    let samples = vec![value];
    figures.push(Figure::new(
        Group::Application,
        name,
        Unit::PerSecond,
        method,
        samples,
    ));
}
