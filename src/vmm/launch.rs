//! A machine's VMM, ready to be started: what it cannot do is said first, and files that it needs
//! beside the machine's own are made.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::error::VmError;
use super::machine::{Accel, DriveMode, Machine};
use super::monitor::Vmm;
use super::{clock, cloud_hypervisor, firecracker, qemu};

/// Where Linux lists the network devices of this process's namespace: `NAME:` and counters, one a
/// line after two lines of headings.
const NETWORK_DEVICES: &str = "/proc/self/net/dev";

/// A program to start, and what lives as long as it.
#[derive(Debug)]
pub(super) struct Launch {
    /// The program.
    pub(super) program: OsString,
    /// Its arguments.
    pub(super) args: Vec<OsString>,
    /// Files that go with it.
    pub(super) files: Option<TempDir>,
}

/// Says what keeps the VMM of `machine` from booting it on this host, before files are touched.
pub(super) fn check(machine: &Machine, accel: Accel) -> Result<(), VmError> {
    let vmm = machine.vmm;
    if vmm.find().is_none() {
        return Err(VmError::NotInstalled { vmm });
    }
    if vmm.needs_kvm() && accel != Accel::Kvm {
        let reason = format!("{} was asked for", accel.name());
        return Err(VmError::NeedsKvm { vmm, reason });
    }
    if let Some(name) = machine.tap_device()? {
        check_tap(name)?;
        if !machine.forwards.is_empty() {
            return Err(VmError::TapForwards { name: name.into() });
        }
    }
    Ok(())
}

/// Whether this machine has a network device of that name. Whether it is a tap device, and this
/// user's, its VMM says.
///
/// # Errors
/// [`VmError::NoTap`].
pub fn check_tap(name: &str) -> Result<(), VmError> {
    let devices = fs::read_to_string(NETWORK_DEVICES).unwrap_or_default();
    let mut names = devices.lines().skip(2).filter_map(|line| {
        let (device, _) = line.split_once(':')?;
        Some(device.trim())
    });
    if names.any(|device| device == name) {
        return Ok(());
    }
    Err(VmError::NoTap { name: name.into() })
}

/// What boots `machine`, whose paths are absolute.
pub(super) fn launch(machine: &Machine, accel: Accel) -> Result<Launch, VmError> {
    let vmm = machine.vmm;
    let launch = |args, files| Launch {
        program: vmm.find().map_or(vmm.program().into(), OsString::from),
        args,
        files,
    };
    if vmm == Vmm::Qemu {
        let machine = with_clock(machine, accel);
        return Ok(launch(qemu::arguments(&machine, accel), None));
    }
    let prepare = |what: &'static str| move |source: io::Error| VmError::Prepare { what, source };
    let files = tempfile::Builder::new()
        .prefix("lupine-vm-")
        .tempdir()
        .map_err(prepare("make a directory for the machine's files"))?;
    let machine = with_copies(machine, files.path())?;
    let args = match vmm {
        Vmm::Firecracker => {
            let path = files.path().join("machine.json");
            fs::write(&path, firecracker::configuration(&machine)?)
                .map_err(prepare("write the machine's configuration"))?;
            firecracker::arguments(&path)
        }
        _ => cloud_hypervisor::arguments(&machine)?,
    };
    Ok(launch(args, Some(files)))
}

/// The words that boot `machine`, for people to read and to repeat: what its VMM reads from a file
/// stands in the file's place, and drives are the machine's own.
///
/// # Errors
/// The VMM has no such machine.
pub fn command(machine: &Machine, accel: Accel) -> Result<Vec<String>, VmError> {
    let words = match machine.vmm {
        Vmm::Qemu => qemu::arguments(&with_clock(machine, accel), accel),
        Vmm::CloudHypervisor => cloud_hypervisor::arguments(machine)?,
        Vmm::Firecracker => {
            firecracker::arguments(Path::new(&firecracker::configuration(machine)?))
        }
    };
    let words = words.iter().map(|word| word.to_string_lossy().into_owned());
    let program = machine.vmm.program().to_owned();
    Ok(std::iter::once(program).chain(words).collect())
}

/// The machine with the frequency of its clock, where it could not find that out by itself. Where the
/// emulator's clock counts instructions, the guest's own calibration is exact.
fn with_clock(machine: &Machine, accel: Accel) -> Machine {
    let mut machine = machine.clone();
    if accel == Accel::Tcg && !machine.instructions && machine.tsc_khz.is_none() {
        machine.tsc_khz = clock::tsc_khz();
    }
    machine
}

/// The machine with copies in `directory` for its drives to be discarded, where its VMM would
/// change the drives themselves. The copies share blocks where the file system can.
fn with_copies(machine: &Machine, directory: &Path) -> Result<Machine, VmError> {
    let mut machine = machine.clone();
    if machine.vmm.discards_writes() {
        return Ok(machine);
    }
    for (n, drive) in machine.drives.iter_mut().enumerate() {
        if drive.mode != DriveMode::Discard {
            continue;
        }
        let copy = directory.join(format!("drive{n}"));
        let copied = File::open(&drive.path)
            .and_then(|mut from| io::copy(&mut from, &mut File::create(&copy)?));
        copied.map_err(|source| VmError::Copy {
            path: drive.path.clone(),
            source,
        })?;
        drive.path = copy;
    }
    Ok(machine)
}

#[cfg(test)]
mod tests {
    use super::super::machine::Drive;
    use super::*;

    fn machine(vmm: Vmm, root: &Path) -> Machine {
        let mut machine = Machine::new("/k/vmlinux", root);
        machine.vmm = vmm;
        machine
    }

    #[test]
    fn what_is_discarded_is_a_copy_and_what_is_kept_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root.ext2");
        fs::write(&root, b"image").unwrap();
        fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        for vmm in [Vmm::Firecracker, Vmm::CloudHypervisor] {
            let mut machine = machine(vmm, &root);
            for mode in [DriveMode::Persistent, DriveMode::ReadOnly] {
                let path = root.clone();
                machine.drives.push(Drive { path, mode });
            }
            let launch = launch(&machine, Accel::Kvm).unwrap();
            let files = launch.files.unwrap();
            let copy = files.path().join("drive0");
            let text = match vmm {
                Vmm::Firecracker => fs::read_to_string(files.path().join("machine.json")).unwrap(),
                _ => launch
                    .args
                    .iter()
                    .map(|arg| arg.to_string_lossy() + "\n")
                    .collect(),
            };
            assert_eq!(text.matches(copy.to_str().unwrap()).count(), 1, "{text}");
            assert_eq!(text.matches(root.to_str().unwrap()).count(), 2, "{text}");
            // A cached image may be read-only; its copy is the guest's to write.
            fs::write(&copy, b"changed").unwrap();
            assert_eq!(fs::read(&root).unwrap(), b"image");
            let place = files.path().to_owned();
            drop(files);
            assert!(!place.exists());
        }
    }

    #[test]
    fn a_drive_that_cannot_be_copied_is_named() {
        let machine = machine(Vmm::Firecracker, Path::new("/no/such/image"));
        let error = launch(&machine, Accel::Kvm).unwrap_err();
        assert!(matches!(&error, VmError::Copy { path, .. } if path.ends_with("image")));
    }

    #[test]
    fn a_tap_must_be_there_and_forwards_nothing() {
        if Vmm::Qemu.find().is_none() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no QEMU");
            return;
        }
        for name in ["no-such-tap", "", "../net/lo", ".."] {
            let machine = Machine::new("/k", "/r").with_tap(name);
            let error = check(&machine, Accel::Tcg).unwrap_err();
            assert!(matches!(error, VmError::NoTap { .. }), "{error}");
        }
        // Any device stands for a tap here.
        let machine = Machine::new("/k", "/r").with_tap("lo");
        assert!(check(&machine, Accel::Tcg).is_ok());
        let error = check(&machine.forward(8080, 80), Accel::Tcg).unwrap_err();
        assert!(error.to_string().contains("10.0.2.15"), "{error}");
    }

    #[test]
    fn a_vmm_that_is_not_there_says_how_to_get_it() {
        for vmm in Vmm::ALL.into_iter().filter(|vmm| vmm.find().is_none()) {
            let error = check(&machine(vmm, Path::new("/r")), Accel::Kvm).unwrap_err();
            assert!(matches!(error, VmError::NotInstalled { .. }), "{error}");
            assert!(error.to_string().contains(vmm.how_to_install()), "{error}");
        }
    }
}
