//! QEMU's microvm machine: a [`Machine`] as arguments of `qemu-system-x86_64`.
//!
//! Device descriptions go by the kernel command line (`acpi=off`), so that the guest needs no
//! ACPI; this needs `CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES`. The interval timer and the interrupt
//! controller of the PC stay, because without a clock of the hypervisor the guest calibrates the
//! TSC by them. A host without room for the guest's writes is an I/O error in the guest, where
//! QEMU's default would stop the machine without a word. See QEMU's docs/system/i386/microvm.rst.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::machine::{Accel, DriveMode, Machine};

/// The program.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// The arguments that boot `machine` with its console on standard input and output. Paths should
/// be absolute: QEMU takes a relative one with a colon for a protocol.
#[must_use]
pub fn arguments(machine: &Machine, accel: Accel) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-M",
        "microvm,acpi=off,rtc=on,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=on",
        "-no-user-config",
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
        "-monitor",
        "none",
        "-chardev",
        "stdio,id=console,signal=off",
        "-serial",
        "chardev:console",
        "-accel",
        accel.name(),
        "-cpu",
        cpu_model(accel),
    ]
    .map(OsString::from)
    .into();
    let mut add = |name: &str, value: OsString| args.extend([OsString::from(name), value]);

    if machine.instructions && accel == Accel::Tcg {
        // Virtual time follows the instructions; where the guest sleeps, it leaps.
        add("-icount", "shift=0,sleep=off".into());
    }
    add("-smp", machine.cpus.max(1).to_string().into());
    add("-m", format!("{}M", machine.memory_mib).into());
    add("-kernel", machine.kernel.clone().into_os_string());
    add("-append", machine.kernel_parameters().join(" ").into());
    for (n, drive) in machine.drives.iter().enumerate() {
        let option = match drive.mode {
            DriveMode::Persistent => "",
            DriveMode::Discard => ",snapshot=on",
            DriveMode::ReadOnly => ",readonly=on",
        };
        let mut value = OsString::from(format!("id=drive{n},if=none,format=raw{option},file="));
        value.push(commas_doubled(drive.path.as_os_str()));
        add("-drive", value);
        add(
            "-device",
            format!("virtio-blk-device,drive=drive{n},werror=report,rerror=report").into(),
        );
    }
    if let Some(tap) = machine.tap.as_ref().filter(|_| machine.network) {
        let mut value = OsString::from("tap,id=net0,script=no,downscript=no,ifname=");
        value.push(commas_doubled(OsStr::new(tap)));
        add("-netdev", value);
    } else if machine.network {
        let mut value = String::from("user,id=net0");
        for forward in &machine.forwards {
            let (host, guest) = (forward.host, forward.guest);
            let _ = write!(value, ",hostfwd=tcp:{}:{}-:{guest}", host.ip(), host.port());
        }
        add("-netdev", value.into());
    }
    if machine.network {
        add("-device", "virtio-net-device,netdev=net0".into());
    }
    args
}

/// The processor that guests see: everything that is there.
pub(super) fn cpu_model(accel: Accel) -> &'static str {
    match accel {
        Accel::Kvm => "host",
        Accel::Tcg => "max",
    }
}

/// A value for QEMU's option syntax, in which a comma ends a value and two are one.
fn commas_doubled(value: &OsStr) -> OsString {
    let mut bytes = Vec::with_capacity(value.len());
    for &byte in value.as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::machine::Drive;
    use super::*;

    fn lines(machine: &Machine, accel: Accel) -> String {
        let args = arguments(machine, accel);
        args.iter()
            .map(|arg| arg.to_string_lossy() + "\n")
            .collect()
    }

    #[test]
    fn the_smallest_machine() {
        insta::assert_snapshot!(lines(
            &Machine::new("/k/bzImage", "/i/root.ext2"),
            Accel::Tcg
        ));
    }

    #[test]
    fn a_machine_with_a_tap() {
        let machine = Machine::new("/k/bzImage", "/i/root.ext2").with_tap("tap0");
        let text = lines(&machine, Accel::Kvm);
        let network = text.split_once("-netdev\n").unwrap().1;
        assert_eq!(
            network,
            "tap,id=net0,script=no,downscript=no,ifname=tap0\n\
             -device\nvirtio-net-device,netdev=net0\n"
        );
    }

    #[test]
    fn only_an_emulated_machine_counts_instructions() {
        let mut machine = Machine::new("/k/bzImage", "/i/root.ext2");
        let plain = [Accel::Tcg, Accel::Kvm].map(|accel| lines(&machine, accel));
        machine.instructions = true;
        let counting = [Accel::Tcg, Accel::Kvm].map(|accel| lines(&machine, accel));
        assert_eq!(counting[1], plain[1]);
        let option = "-icount\nshift=0,sleep=off\n";
        assert_eq!(counting[0].replacen(option, "", 1), plain[0]);
        assert_ne!(counting[0], plain[0]);
    }

    #[test]
    fn a_machine_with_everything() {
        let mut machine = Machine::new("/k/bzImage", "/i/a,b.ext2").forward(8080, 80);
        machine.drives.push(Drive {
            path: "/i/data".into(),
            mode: DriveMode::Persistent,
        });
        machine.drives.push(Drive {
            path: "/i/more".into(),
            mode: DriveMode::ReadOnly,
        });
        machine = machine.forward(16379, 6379);
        machine.cpus = 2;
        machine.memory_mib = 64;
        machine.kernel_log = true;
        machine.tsc_khz = Some(2_100_000);
        machine.extra_parameters.push("mitigations=off".into());
        insta::assert_snapshot!(lines(&machine, Accel::Kvm));
    }
}
