//! What a system call costs, in guest instructions: through the gate, and from ring 3 on the kernel
//! as it is without the patches.

use std::path::Path;

use crate::guest::boot;
use crate::kernel::{KML, Kernel, Missing};

/// The guest writes to the serial port itself: with a clock of instructions its driver has no interrupts.
pub(crate) const IOPERM: &[&str] = &["CONFIG_X86_IOPL_IOPERM=y"];

/// Guest instructions of one call, with the two of the loop that makes it.
#[derive(Debug, Clone, Copy)]
struct Cost {
    getppid: f64,
    write: f64,
}

/// The line `bench HOW: getppid A, enosys B, write C, empty loop D` of the console.
fn cost(console: &str, how: &str) -> Cost {
    let start = format!("bench {how}: ");
    let line = console
        .lines()
        .find_map(|line| line.split_once(&start))
        .unwrap_or_else(|| panic!("no {start:?}:\n{console}"))
        .1;
    let value = |name: &str| -> f64 {
        line.split(", ")
            .find_map(|part| part.trim().strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {line:?}"))
    };
    Cost {
        getppid: value("getppid"),
        write: value("write"),
    }
}

/// One tick of the guest's clock is one instruction: the figures repeat on any machine.
fn count(vmlinux: &Path) -> Result<String, Missing> {
    boot(
        vmlinux,
        "nolapic kml_bench",
        &["-icount", "shift=0,sleep=off"],
    )
}

/// A call through the gate takes at most 60 % (getppid) and 75 % (a byte to /dev/null) of the
/// instructions of the same call from ring 3 on the kernel without the patches.
pub(crate) fn the_gate_is_short(version: &str) -> Result<(), Missing> {
    let stock = Kernel {
        version,
        patched: false,
        clang: false,
        options: &[IOPERM],
    };
    let ours = Kernel {
        patched: true,
        options: &[KML, IOPERM],
        ..stock
    };
    let consoles = [count(&stock.vmlinux()?)?, count(&ours.vmlinux()?)?];
    for line in consoles.iter().flat_map(|console| console.lines()) {
        if line.contains("bench ") {
            eprintln!("{version}: {line}");
        }
    }
    let ring3 = cost(&consoles[0], "ring3-syscall");
    let gate = cost(&consoles[1], "cpl0-gate");
    assert!(ring3.getppid > 100.0, "{ring3:?} is too little to be true");
    assert!(gate.getppid <= 0.60 * ring3.getppid, "{gate:?} {ring3:?}");
    assert!(gate.write <= 0.75 * ring3.write, "{gate:?} {ring3:?}");
    Ok(())
}
