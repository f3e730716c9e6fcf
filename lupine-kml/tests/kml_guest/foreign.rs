//! Programs that nobody here wrote, with the tests that came with them: rewritten, they do what the originals
//! do, from ring 3 on this machine and in CPL 0 in a guest.

use std::path::Path;
use std::process::Command;

use crate::cases::{Cases, that_stay};
use crate::guest::{Disk, Guest, calls, judge_kernel};
use crate::kernel::Missing;
use crate::root::Root;

/// How often a case that differs may try again.
pub(crate) const TRIES: usize = 4;
/// Seconds for all cases of a guest: emulation is slow.
const LIMIT: u32 = 10800;

/// Runs the cases of originals and of rewritten programs at the same time: what depends on the load of the
/// machine meets the same one.
pub(crate) fn in_both(commands: [Command; 2]) -> [Cases; 2] {
    std::thread::scope(|scope| {
        let start = |mut command: Command| {
            scope.spawn(move || {
                let out = command.output().unwrap();
                let said = String::from_utf8_lossy(&out.stdout).into_owned();
                let errors = String::from_utf8_lossy(&out.stderr);
                assert!(said.contains("cases done"), "{said}{errors}");
                Cases::read(&said)
            })
        };
        commands.map(start).map(|run| run.join().unwrap())
    })
}

/// Of the scripts' suites, one whose cases say whether they passed.
pub(crate) struct Suite {
    name: &'static str,
    /// What is in the result of a case that passed.
    success: &'static str,
}

impl Suite {
    pub(crate) const PERL: Suite = Suite {
        name: "perl",
        success: ",0-failed,",
    };
    pub(crate) const PYTHON: Suite = Suite {
        name: "python",
        success: "SUCCESS",
    };
    pub(crate) const TOOLS: Suite = Suite {
        name: "tools",
        success: "status-0,",
    };

    fn enough_pass(&self, original: &Cases, least: usize) {
        original.enough_pass(&format!("{}/", self.name), self.success, least);
    }
}

/// The regression tests of Python and of perl, and servers and tools, with rewritten libraries in ring 3.
pub(crate) fn ring3_is_the_same() -> Result<(), Missing> {
    let roots = [Root::new(false)?, Root::new(true)?];
    let cases = |script: &str| in_both(roots.each_ref().map(|root| root.command(script)));
    let [original, rewritten] = cases("CASES_AT_A_TIME=3 bash /foreign/cases.sh tools perl python");
    for (suite, least) in [(Suite::PYTHON, 380), (Suite::PERL, 400), (Suite::TOOLS, 10)] {
        suite.enough_pass(&original, least);
    }
    let left = that_stay(original.differences(&rewritten), TRIES, |names| {
        cases(&format!("bash /foreign/cases.sh {}", names.join(" ")))
    });
    assert!(left.is_empty(), "{left:#?}");
    Ok(())
}

/// What cases are run on.
struct Machine<'a> {
    vmlinux: &'a Path,
    /// As the emulator names it.
    processor: &'a str,
    /// Seconds for each case, if not those that its suite gives it.
    case_limit: Option<u32>,
}

impl<'a> Machine<'a> {
    fn new(vmlinux: &'a Path) -> Self {
        Machine {
            vmlinux,
            processor: "max",
            case_limit: None,
        }
    }
}

/// Cases in two guests at a time: the originals in ring 3, and the rewritten ones in CPL 0.
fn in_guests(machine: &Machine, disks: [&Path; 2], cases: &str) -> Result<[Cases; 2], Missing> {
    let start = |path: &Path, policy: &str| {
        let init = "/foreign/init.sh";
        let limit = |seconds| format!("CASE_LIMIT={seconds}");
        let limit = machine.case_limit.map_or_else(String::new, limit);
        let append = format!("kml={policy} {cases} {limit}");
        let extra = ["-m", "1024", "-cpu", machine.processor];
        Disk { path, init }.start(LIMIT, machine.vmlinux, &append, &extra)
    };
    let guests = [start(disks[0], "off")?, start(disks[1], "all")?];
    let [original, rewritten] = guests.map(Guest::end);
    let consoles = [original?, rewritten?];
    for console in &consoles {
        judge_kernel(console);
        assert!(console.contains("cases done"), "{console}");
    }
    let [gate, syscall, ring3] = calls(&consoles[1]);
    eprintln!("in CPL 0: {gate} calls through the gate, {syscall} by syscall, {ring3} from ring 3");
    assert!(calls(&consoles[0])[..2] == [0, 0]);
    Ok(consoles.map(|console| Cases::read(&console)))
}

/// Cases of the originals in ring 3 and of the rewritten in CPL 0 end alike; enough of the originals' pass.
fn alike_in_guests(machine: &Machine, cases: &str, enough: impl Fn(&Cases)) -> Result<(), Missing> {
    let disks = [Root::new(false)?.disk(), Root::new(true)?.disk()];
    let disks = disks.each_ref().map(tempfile::NamedTempFile::path);
    let [original, rewritten] = in_guests(machine, disks, cases)?;
    enough(&original);
    let mut failed = None;
    let left = that_stay(original.differences(&rewritten), TRIES, |names| {
        let cases = format!("cases={}", names.join(","));
        in_guests(machine, disks, &cases).unwrap_or_else(|missing| {
            failed = Some(missing);
            [Cases::default(), Cases::default()]
        })
    });
    if let Some(missing) = failed {
        return Err(missing);
    }
    assert!(left.is_empty(), "{left:#?}");
    Ok(())
}

/// Every case of a suite ends in CPL 0 as it does in ring 3.
pub(crate) fn cpl0_is_the_same(vmlinux: &Path, suite: &Suite, least: usize) -> Result<(), Missing> {
    let machine = Machine {
        case_limit: Some(3600),
        ..Machine::new(vmlinux)
    };
    let cases = format!("cases={} CASES_AT_A_TIME=2", suite.name);
    alike_in_guests(&machine, &cases, |original| {
        suite.enough_pass(original, least);
    })
}

/// Every stressor of stress-ng that asks for no hardware ends in CPL 0 as it does in ring 3.
pub(crate) fn stressors_end_alike(vmlinux: &Path) -> Result<(), Missing> {
    alike_in_guests(&Machine::new(vmlinux), "cases=stress", |original| {
        let ends = original.by_result();
        eprintln!("{ends:#?}");
        assert!(ends["status-0"].len() >= 260, "too few pass");
    })
}

/// So do those that run only on what says that it is Intel's.
pub(crate) fn stressors_of_intel_end_alike(vmlinux: &Path) -> Result<(), Missing> {
    let machine = Machine {
        processor: "max,vendor=GenuineIntel",
        ..Machine::new(vmlinux)
    };
    let cases = "cases=stress/rdrand,stress/tsc,stress/x86syscall";
    alike_in_guests(&machine, cases, |original| {
        assert_eq!(original.by_result()["status-0"].len(), 3, "{original:?}");
    })
}
