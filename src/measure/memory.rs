//! How little memory suffices.

use std::fs;
use std::time::Duration;

use super::quantity;
use super::report::{Figure, Group};
use super::sample::Unit;
use super::unikernel::Unikernel;
use crate::error::Error;
use crate::pipeline::Lupine;
use crate::vmm::{Vm, VmError};

/// Below this no Linux begins to boot, MiB.
const LEAST: u32 = 4;

/// The smallest guest memory with which the health check passes, by binary search to 1 MiB
/// between 4 MiB and what the manifest gives, and what the VMM occupies when it passes with the
/// manifest's memory. `on_boot` is called after each boot.
///
/// # Errors
/// It does not run with the memory of its manifest either, or the VMM does not run.
pub fn memory(
    lupine: &Lupine,
    unikernel: &Unikernel,
    mut on_boot: impl FnMut(),
) -> Result<Vec<Figure>, Error> {
    let given = unikernel.manifest.machine.memory_mib;
    let (ready, resident) = runs(lupine, unikernel, given, None)?;
    on_boot();
    // Lack of memory shows as slowness, too: reclaim, and reading anew what was dropped.
    let patience = ready * 4 + Duration::from_secs(2);
    let smallest = smallest(LEAST, given, |memory| {
        let result = runs(lupine, unikernel, memory, Some(patience));
        on_boot();
        match result {
            Ok(_) => Ok(true),
            Err(error) if is_the_guests(&error) => Ok(false),
            Err(error) => Err(error),
        }
    })?;
    Ok(vec![
        Figure::new(
            Group::Memory,
            quantity::SMALLEST_MEMORY,
            Unit::Mebibytes,
            format!(
                "binary search to 1 MiB for the least guest memory with which the health check passes within {:.0} s, four times what it takes with {given} MiB",
                patience.as_secs_f64()
            ),
            vec![f64::from(smallest)],
        ),
        Figure {
            group: Group::Memory,
            name: quantity::RESIDENT.to_owned(),
            unit: Unit::Bytes,
            method: format!(
                "VmRSS of the VMM when the health check passes, with {given} MiB of guest memory: the guest's touched memory and the VMM's own"
            ),
            samples: resident.map(|bytes| bytes as f64).into_iter().collect(),
            error: resident
                .is_none()
                .then(|| "/proc does not say it".to_owned()),
        },
    ])
}

/// The smallest number above `least` for which `passes`, which does so for `most`.
fn smallest<E>(
    least: u32,
    most: u32,
    mut passes: impl FnMut(u32) -> Result<bool, E>,
) -> Result<u32, E> {
    let (mut fails, mut works) = (least, most);
    while works.saturating_sub(fails) > 1 {
        let middle = fails + (works - fails) / 2;
        if passes(middle)? {
            works = middle;
        } else {
            fails = middle;
        }
    }
    Ok(works)
}

/// One boot: the time to a passed health check, and the VMM's resident size in bytes.
fn runs(
    lupine: &Lupine,
    unikernel: &Unikernel,
    memory_mib: u32,
    limit: Option<Duration>,
) -> Result<(Duration, Option<u64>), Error> {
    let mut machine = unikernel.machine(lupine)?;
    machine.memory_mib = memory_mib;
    let mut check = unikernel.health();
    check.limit = limit.map_or(check.limit, |limit| limit.min(check.limit));
    let accel = lupine.choose_accelerator()?.accel;
    let mut vm = Vm::boot(&machine, accel, lupine.cancel())?;
    let readiness = vm.wait_ready(&check, |_| {})?;
    Ok((readiness.ready, resident(vm.id())))
}

/// Whether a guest failed, and not the VMM or the machine that it runs on.
fn is_the_guests(error: &Error) -> bool {
    match error {
        // QEMU itself refuses a memory that the kernel has no room in.
        Error::Vm(VmError::Process(_) | VmError::File { .. }) => false,
        Error::Vm(VmError::Port { .. } | VmError::PortInUse { .. }) => false,
        Error::Vm(_) => true,
        _ => false,
    }
}

/// The resident size of a process, bytes: `VmRSS` of proc(5).
fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    resident_of(&status)
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_resident_size_is_read() {
        assert_eq!(
            resident_of("Name:\tx\nVmRSS:\t    1234 kB\n"),
            Some(1_263_616)
        );
        assert_eq!(resident_of("Name:\tx\n"), None);
        assert!(resident(std::process::id()).unwrap() > 1 << 20);
    }

    proptest! {
        #[test]
        fn the_smallest_is_found(most in 5u32..2000, part in 0.0f64..1.0) {
            let limit = 5 + (f64::from(most - 5) * part) as u32;
            let found = smallest(4, most, |n| Ok::<_, ()>(n >= limit));
            prop_assert_eq!(found, Ok(limit));
        }
    }
}
