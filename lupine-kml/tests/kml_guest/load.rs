//! Half an hour of everything at once in CPL 0: servers under load from outside, stressors beside them.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::guest::{Disk, judge_kernel};
use crate::kernel::{Missing, have};
use crate::root::Root;

/// KiB that a kernel and two servers may hold after the load more than before it. The least leak of a
/// page for each request or process would be a hundred times as much.
const LEAK: i64 = 4096;

/// A program that loads a server, with so little to do in so much time that only an answer that never
/// comes is missed, a lost wake-up: not one that a busy machine is slow to give.
struct Load {
    name: &'static str,
    arguments: Vec<String>,
    /// Whether what it said is that of a run without an error.
    good: fn(&str) -> bool,
}

fn loads([http, redis]: [u16; 2]) -> [Load; 2] {
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    [
        Load {
            name: "wrk",
            arguments: words(format!(
                "-t 1 -c 8 -d 10s --timeout 60s http://127.0.0.1:{http}/page"
            )),
            good: |said| {
                said.contains("Requests/sec")
                    && !said.contains("Socket errors")
                    && !said.contains("Non-2xx")
            },
        },
        Load {
            name: "timeout",
            arguments: words(format!(
                "120 redis-benchmark -p {redis} -n 400 -c 8 -q --csv -t ping,set,get,incr,lpush,rpop,sadd,hset,zadd,mset"
            )),
            good: |said| said.lines().filter(|line| line.starts_with('"')).count() > 10,
        },
    ]
}

impl Load {
    /// Runs while there is load to be made; returns how often it ran, and what went wrong.
    fn run(&self, wanted: &AtomicBool, over: &AtomicBool) -> (u32, Vec<String>) {
        let (mut runs, mut wrong) = (0, Vec::new());
        while !over.load(Ordering::Relaxed) {
            if !wanted.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(200));
                continue;
            }
            let out = Command::new(self.name)
                .args(&self.arguments)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&out.stdout).into_owned();
            runs += 1;
            // One that the guest's end cut off says nothing.
            let fine = out.status.success() && (self.good)(&said);
            if !fine && !over.load(Ordering::Relaxed) {
                let reason = String::from_utf8_lossy(&out.stderr).into_owned();
                wrong.push(format!("{} {}: {said}{reason}", self.name, out.status));
            }
        }
        (runs, wrong)
    }
}

/// A port that is free now.
fn port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// KiB free, in slabs, in kernel stacks and in page tables.
fn memory(line: &str) -> Option<[i64; 4]> {
    let numbers = line.trim().strip_prefix("memory ")?.split(' ');
    let numbers: Vec<i64> = numbers.filter_map(|n| n.parse().ok()).collect();
    numbers.try_into().ok()
}

/// No fault, no leak, no answer that never comes.
pub(crate) fn mixed_load(vmlinux: &Path, minutes: u32) -> Result<(), Missing> {
    have("redis-benchmark")?;
    let disk = Root::new(true)?.disk();
    let ports = [port(), port()];
    let [http, redis] = ports;
    let network =
        format!("user,id=net,hostfwd=tcp:127.0.0.1:{http}-:80,hostfwd=tcp:127.0.0.1:{redis}-:6379");
    let machine = [
        "-smp",
        "2",
        "-m",
        "768",
        "-netdev",
        &network,
        "-device",
        "virtio-net-device,netdev=net",
    ];
    let disk = Disk {
        path: disk.path(),
        init: "/foreign/load.sh",
    };
    let append = format!("kml=all minutes={minutes}");
    let mut guest = disk.start(60 * (minutes + 15), vmlinux, &append, &machine)?;

    let (wanted, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let loads = loads(ports);
    let (console, ran) = std::thread::scope(|scope| {
        let running = loads
            .each_ref()
            .map(|load| scope.spawn(|| load.run(&wanted, &over)));
        let mut console = String::new();
        for line in guest.lines() {
            if let Some(phase) = line.trim().strip_prefix("phase ") {
                wanted.store(phase == "load", Ordering::Relaxed);
                over.store(phase == "end", Ordering::Relaxed);
            }
            console += &line;
            console.push('\n');
        }
        over.store(true, Ordering::Relaxed);
        (console, running.map(|load| load.join().unwrap()))
    });

    judge_kernel(&console);
    assert!(console.contains("phase end"), "{console}");
    let faults: Vec<&str> = console
        .lines()
        .filter(|line| line.contains("fault:"))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    for (load, (runs, wrong)) in loads.iter().zip(&ran) {
        eprintln!("{} ran {runs} times", load.arguments.join(" "));
        assert!(*runs >= minutes, "{console}");
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    let measured: Vec<[i64; 4]> = console.lines().filter_map(memory).collect();
    let [before, after] = measured[..] else {
        panic!("{measured:?}\n{console}");
    };
    eprintln!("KiB free, in slabs, stacks, page tables: {before:?} before, {after:?} after");
    assert!(before[0] - after[0] <= LEAK, "{before:?} {after:?}");
    for of in 1..4 {
        assert!(after[of] - before[of] <= LEAK / 2, "{before:?} {after:?}");
    }
    let counters = console.lines().rev().take(12).collect::<Vec<_>>();
    eprintln!("{counters:#?}");
    Ok(())
}
