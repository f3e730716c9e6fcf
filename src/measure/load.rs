//! An application under load, by the programs that people use for it.

use std::net::SocketAddrV4;
use std::time::Duration;

use thiserror::Error as ThisError;

use super::quantity;
use super::report::{Figure, Group};
use super::sample::Unit;
use super::unikernel::Unikernel;
use crate::error::Error;
use crate::host::{self, Purpose};
use crate::manifest::Load;
use crate::pipeline::Lupine;
use crate::process::{Cancel, Task};
use crate::vmm::{Vm, VmError};

/// The longest that one run of a load may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What a program that makes load said is not understood.
#[derive(Debug, ThisError)]
#[error("{program} did not say how many requests a second it made; it said:\n{said}")]
pub struct LoadError {
    /// The program.
    pub program: &'static str,
    /// The end of its output.
    pub said: String,
}

/// A program's run: what it measures and how it is called.
struct Run {
    program: &'static str,
    arguments: Vec<String>,
    read: fn(&str) -> Vec<(&'static str, f64)>,
}

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
    if unikernel.manifest.load.is_empty() {
        return Ok((figures, commands));
    }
    host::require(&[Purpose::Load], &[]).map_err(Error::Missing)?;
    let accel = lupine.choose_accelerator()?.accel;
    let mut vm = Vm::boot(&unikernel.machine()?, accel, lupine.cancel())?;
    vm.wait_ready(&unikernel.health(), |_| {})?;
    for load in &unikernel.manifest.load {
        let Some(host) = vm.host_port(load.port()) else {
            let text = format!("port {} of the load is none of the machine's", load.port());
            return Err(std::io::Error::other(text).into());
        };
        for run in runs(load, host) {
            commands.push(
                std::iter::once(run.program.to_owned())
                    .chain(run.arguments.clone())
                    .collect(),
            );
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
                    record(&mut figures, name, &run, value);
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
        "`{} {}` on the host, through the VMM's network, one guest for all runs, after one that does not count",
        run.program,
        run.arguments.join(" ")
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

fn runs(load: &Load, host: SocketAddrV4) -> Vec<Run> {
    match load {
        Load::Http {
            path,
            requests,
            connections,
            ..
        } => {
            let arguments = |keep: &[&str]| {
                let mut arguments: Vec<String> = keep.iter().map(|&word| word.to_owned()).collect();
                arguments.extend(["-q", "-n"].map(str::to_owned));
                arguments.push(requests.to_string());
                arguments.extend(["-c".to_owned(), connections.to_string()]);
                arguments.push(format!("http://{host}{path}"));
                arguments
            };
            vec![
                Run {
                    program: "ab",
                    arguments: arguments(&[]),
                    read: |said| requests_per_second(said, quantity::HTTP_CONNECTION),
                },
                Run {
                    program: "ab",
                    arguments: arguments(&["-k"]),
                    read: |said| requests_per_second(said, quantity::HTTP_KEPT),
                },
            ]
        }
        Load::Redis {
            requests,
            connections,
            ..
        } => vec![Run {
            program: "redis-benchmark",
            arguments: [
                "-h",
                &host.ip().to_string(),
                "-p",
                &host.port().to_string(),
                "-t",
                "set,get",
                "-n",
                &requests.to_string(),
                "-c",
                &connections.to_string(),
                "--csv",
            ]
            .map(str::to_owned)
            .into(),
            read: redis,
        }],
    }
}

impl Run {
    fn run(&self, cancel: &Cancel) -> Result<Vec<(&'static str, f64)>, Error> {
        let output = Task::new(self.program)
            .args(&self.arguments)
            .time_limit(LIMIT)
            .run_checked(cancel)
            .map_err(VmError::from)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let found = (self.read)(&said);
        if found.is_empty() {
            let tail: Vec<&str> = said.lines().rev().take(10).collect();
            let error = LoadError {
                program: self.program,
                said: tail.into_iter().rev().collect::<Vec<_>>().join("\n"),
            };
            return Err(std::io::Error::other(error).into());
        }
        Ok(found)
    }
}

/// ApacheBench's `Requests per second`, where every request was answered.
fn requests_per_second(said: &str, name: &'static str) -> Vec<(&'static str, f64)> {
    let number = |start: &str| -> Option<f64> {
        let line = said.lines().find_map(|line| line.strip_prefix(start))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let failed = number("Failed requests:").unwrap_or(f64::INFINITY);
    let refused = number("Non-2xx responses:").unwrap_or(0.0);
    let found = number("Requests per second:").filter(|_| failed + refused == 0.0);
    found.map(|value| (name, value)).into_iter().collect()
}

/// redis-benchmark's CSV: `"SET","1234.56",...`.
fn redis(said: &str) -> Vec<(&'static str, f64)> {
    let value = |test: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(test))?;
        line.trim_matches(|c| c == ',' || c == '"')
            .split('"')
            .next()?
            .parse()
            .ok()
    };
    let found = [
        (quantity::REDIS_SET, value("\"SET\"")),
        (quantity::REDIS_GET, value("\"GET\"")),
    ];
    found
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apache_bench_is_understood() {
        let said = "Complete requests:      2000\nFailed requests:        0\n\
                    Requests per second:    512.25 [#/sec] (mean)\n";
        assert_eq!(requests_per_second(said, "a"), [("a", 512.25)]);
        let failed = said.replace("requests:        0", "requests:        3");
        assert_eq!(requests_per_second(&failed, "a"), []);
        let refused = format!("{said}Non-2xx responses:      2000\n");
        assert_eq!(requests_per_second(&refused, "a"), []);
        assert_eq!(requests_per_second("", "a"), []);
    }

    #[test]
    fn redis_benchmark_is_understood() {
        let said = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"1234.50\",\"0.4\"\n\"GET\",\"2000.00\",\"0.3\"\n";
        assert_eq!(
            redis(said),
            [(quantity::REDIS_SET, 1234.5), (quantity::REDIS_GET, 2000.0)]
        );
        assert_eq!(redis("Could not connect\n"), []);
    }
}
