//! The programs that put an application under load: how each is called, and what it says.

use std::time::Duration;

use thiserror::Error as ThisError;

use super::super::quantity;
use crate::error::Error;
use crate::manifest::Load;
use crate::process::{Cancel, Task};
use crate::vmm::VmError;

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

/// Where the host reaches the application.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: String,
}

/// A call of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    program: &'static str,
    arguments: Vec<String>,
}

/// A program's run: what it measures and how it is called.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) call: Call,
    read: fn(&str) -> Vec<(&'static str, f64)>,
}

impl Call {
    /// A call with `flags` in front of `arguments`.
    fn new(program: &'static str, flags: &[&str], arguments: &[&str]) -> Call {
        let words = flags.iter().chain(arguments);
        Call {
            program,
            arguments: words.map(|&word| word.to_owned()).collect(),
        }
    }

    /// The program and its arguments.
    pub(super) fn words(&self) -> Vec<String> {
        let program = std::iter::once(self.program.to_owned());
        program.chain(self.arguments.clone()).collect()
    }

    /// Runs it and gives what it printed.
    pub(super) fn run(&self, cancel: &Cancel) -> Result<String, Error> {
        let output = Task::new(self.program)
            .args(&self.arguments)
            .time_limit(LIMIT)
            .run_checked(cancel)
            .map_err(VmError::from)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Run {
    /// Runs it and reads what it found, by the names of quantities.
    pub(super) fn run(&self, cancel: &Cancel) -> Result<Vec<(&'static str, f64)>, Error> {
        let said = self.call.run(cancel)?;
        let found = (self.read)(&said);
        if found.is_empty() {
            let tail: Vec<&str> = said.lines().rev().take(10).collect();
            let error = LoadError {
                program: self.call.program,
                said: tail.into_iter().rev().collect::<Vec<_>>().join("\n"),
            };
            return Err(std::io::Error::other(error).into());
        }
        Ok(found)
    }
}

/// The program that a load is made by.
pub(super) fn program(load: &Load) -> &'static str {
    match load {
        Load::Http { .. } => "ab",
        Load::Redis { .. } => "redis-benchmark",
        Load::Postgres { .. } => "pgbench",
    }
}

/// What must have run, once, before a load does.
pub(super) fn preparation(load: &Load, target: &Target) -> Option<Call> {
    let Load::Postgres { scale, user, .. } = load else {
        return None;
    };
    let Target { host, port } = target;
    let scale = scale.to_string();
    let database = user.as_str();
    Some(Call::new(
        program(load),
        &["-i", "-q"],
        &["-h", host, "-p", port, "-U", user, "-s", &scale, database],
    ))
}

/// The runs of a load.
pub(super) fn runs(load: &Load, target: &Target) -> Vec<Run> {
    let Target { host, port } = target;
    let program = program(load);
    match load {
        Load::Http {
            path,
            requests,
            connections,
            ..
        } => {
            let (requests, connections) = (requests.to_string(), connections.to_string());
            let url = format!("http://{host}:{port}{path}");
            let arguments = ["-q", "-n", &requests, "-c", &connections, &url];
            vec![
                Run {
                    call: Call::new(program, &[], &arguments),
                    read: |said| requests_per_second(said, quantity::HTTP_CONNECTION),
                },
                Run {
                    call: Call::new(program, &["-k"], &arguments),
                    read: |said| requests_per_second(said, quantity::HTTP_KEPT),
                },
            ]
        }
        Load::Redis {
            requests,
            connections,
            ..
        } => {
            let (n, c) = (requests.to_string(), connections.to_string());
            let arguments = [
                "-h", host, "-p", port, "-t", "set,get", "-n", &n, "-c", &c, "--csv",
            ];
            vec![Run {
                call: Call::new(program, &[], &arguments),
                read: redis,
            }]
        }
        Load::Postgres {
            user,
            transactions,
            clients,
            ..
        } => {
            let each = (transactions / clients.max(&1)).max(1).to_string();
            let clients = clients.to_string();
            let database = user.as_str();
            let arguments = [
                "-n", "-h", host, "-p", port, "-U", user, "-c", &clients, "-t", &each, database,
            ];
            vec![
                Run {
                    call: Call::new(program, &[], &arguments),
                    read: |said| transactions_per_second(said, quantity::POSTGRES_WRITING),
                },
                Run {
                    call: Call::new(program, &["-S"], &arguments),
                    read: |said| transactions_per_second(said, quantity::POSTGRES_READING),
                },
            ]
        }
    }
}

/// The first word after the start of a line, where it is a number.
fn number(said: &str, start: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix(start))?;
    line.split_whitespace().next()?.parse().ok()
}

/// ApacheBench's `Requests per second`, where every request was answered.
fn requests_per_second(said: &str, name: &'static str) -> Vec<(&'static str, f64)> {
    let failed = number(said, "Failed requests:").unwrap_or(f64::INFINITY);
    let refused = number(said, "Non-2xx responses:").unwrap_or(0.0);
    let found = number(said, "Requests per second:").filter(|_| failed + refused == 0.0);
    found.map(|value| (name, value)).into_iter().collect()
}

/// pgbench's `tps`, without the time to connect, where no transaction failed.
fn transactions_per_second(said: &str, name: &'static str) -> Vec<(&'static str, f64)> {
    let failed = number(said, "number of failed transactions: ").unwrap_or(0.0);
    let found = number(said, "tps = ").filter(|_| failed == 0.0);
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
    fn pgbench_is_understood() {
        let said = "number of transactions actually processed: 200/200\n\
                    number of failed transactions: 0 (0.000%)\nlatency average = 30.1 ms\n\
                    tps = 132.75 (without initial connection time)\n";
        assert_eq!(transactions_per_second(said, "a"), [("a", 132.75)]);
        let failed = said.replace("transactions: 0", "transactions: 2");
        assert_eq!(transactions_per_second(&failed, "a"), []);
        assert_eq!(transactions_per_second("pgbench: error\n", "a"), []);
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

    #[test]
    fn a_database_is_filled_before_it_is_asked() {
        let load = Load::Postgres {
            port: 5432,
            user: "me".into(),
            scale: 2,
            transactions: 100,
            clients: 4,
        };
        let target = Target {
            host: "127.0.0.1".into(),
            port: "1234".into(),
        };
        let filled = preparation(&load, &target).unwrap().words().join(" ");
        assert_eq!(filled, "pgbench -i -q -h 127.0.0.1 -p 1234 -U me -s 2 me");
        let asked: Vec<String> = runs(&load, &target)
            .iter()
            .map(|run| run.call.words().join(" "))
            .collect();
        assert_eq!(
            asked,
            [
                "pgbench -n -h 127.0.0.1 -p 1234 -U me -c 4 -t 25 me",
                "pgbench -S -n -h 127.0.0.1 -p 1234 -U me -c 4 -t 25 me",
            ]
        );
    }
}
