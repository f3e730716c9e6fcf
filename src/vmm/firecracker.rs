//! Firecracker: a [`Machine`] as the JSON file of `firecracker --config-file`.
//!
//! The objects are those of Firecracker's API (its src/firecracker/swagger/firecracker.yaml). Its
//! devices are virtio-mmio, described to the guest by ACPI and, for kernels without it, on the
//! kernel command line. It has no translator, no user-mode network, and no mode that throws a
//! guest's writes away: who boots a machine gives it copies of drives to be discarded.

use std::ffi::OsString;
use std::path::Path;

use serde::Serialize;

use super::error::VmError;
use super::machine::{DriveMode, Machine};
use super::monitor::Vmm;

/// The program.
pub const PROGRAM: &str = "firecracker";

/// The most processors that it gives a machine.
const MOST_CPUS: u8 = 32;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Config<'a> {
    boot_source: BootSource<'a>,
    drives: Vec<Drive<'a>>,
    machine_config: MachineConfig,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    network_interfaces: Vec<NetworkInterface<'a>>,
}

#[derive(Serialize)]
struct BootSource<'a> {
    kernel_image_path: &'a str,
    boot_args: String,
}

#[derive(Serialize)]
struct Drive<'a> {
    drive_id: String,
    path_on_host: &'a str,
    is_root_device: bool,
    is_read_only: bool,
}

#[derive(Serialize)]
struct MachineConfig {
    vcpu_count: u8,
    mem_size_mib: u32,
}

#[derive(Serialize)]
struct NetworkInterface<'a> {
    iface_id: &'static str,
    host_dev_name: &'a str,
}

/// The configuration file of `machine`. Writes to a drive of mode
/// [`Discard`](DriveMode::Discard) go into the file that it names.
///
/// # Errors
/// [`VmError::Unsupported`]: a path is not UTF-8, or there are more than 32 processors.
/// [`VmError::NoUserNetwork`]: there is a network, and no tap device for it.
pub fn configuration(machine: &Machine) -> Result<String, VmError> {
    if machine.cpus > MOST_CPUS {
        let what = format!(
            "give a machine {} processors; {MOST_CPUS} are its most",
            machine.cpus
        );
        return Err(unsupported(what));
    }
    let mut drives = Vec::new();
    for (n, drive) in machine.drives.iter().enumerate() {
        drives.push(Drive {
            drive_id: format!("drive{n}"),
            path_on_host: text(&drive.path)?,
            is_root_device: n == 0,
            is_read_only: drive.mode == DriveMode::ReadOnly,
        });
    }
    let tap = machine.tap_device()?;
    let network_interfaces = tap.map(|host_dev_name| NetworkInterface {
        iface_id: "eth0",
        host_dev_name,
    });
    let config = Config {
        boot_source: BootSource {
            kernel_image_path: text(&machine.kernel)?,
            boot_args: machine.kernel_parameters().join(" "),
        },
        drives,
        machine_config: MachineConfig {
            vcpu_count: machine.cpus.max(1),
            mem_size_mib: machine.memory_mib,
        },
        network_interfaces: network_interfaces.into_iter().collect(),
    };
    serde_json::to_string_pretty(&config).map_err(|error| unsupported(format!("be told: {error}")))
}

/// The arguments that boot the machine of a configuration file, with its console on standard
/// input and output. Firecracker logs to standard output, too, so that only its errors are wanted.
#[must_use]
pub fn arguments(configuration: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["--no-api", "--level", "Error", "--config-file"]
        .map(OsString::from)
        .into();
    args.push(configuration.into());
    args
}

fn text(path: &Path) -> Result<&str, VmError> {
    path.to_str().ok_or_else(|| {
        unsupported(format!(
            "take the path {}: it is not UTF-8",
            path.to_string_lossy()
        ))
    })
}

fn unsupported(what: String) -> VmError {
    VmError::Unsupported {
        vmm: Vmm::Firecracker,
        what,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::super::machine;
    use super::*;

    /// What Firecracker takes, as its API documents it: every object refuses fields that it does
    /// not know, and what is no `Option` here is required.
    mod schema {
        use serde::Deserialize;
        use serde::de::IgnoredAny;

        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        #[expect(dead_code, reason = "their presence is what is tested")]
        pub(super) struct FullVmConfiguration {
            pub balloon: Option<IgnoredAny>,
            pub drives: Vec<Drive>,
            pub boot_source: BootSource,
            pub cpu_config: Option<String>,
            pub logger: Option<IgnoredAny>,
            pub machine_config: Option<MachineConfiguration>,
            pub metrics: Option<IgnoredAny>,
            pub mmds_config: Option<IgnoredAny>,
            #[serde(default)]
            pub network_interfaces: Vec<NetworkInterface>,
            pub vsock: Option<IgnoredAny>,
            pub entropy: Option<IgnoredAny>,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "their presence is what is tested")]
        pub(super) struct BootSource {
            pub kernel_image_path: String,
            pub initrd_path: Option<String>,
            pub boot_args: Option<String>,
        }

        #[derive(Deserialize)]
        pub(super) enum CacheType {
            Unsafe,
            Writeback,
        }

        #[derive(Deserialize)]
        pub(super) enum IoEngine {
            Sync,
            Async,
        }

        /// `path_on_host` and `is_read_only` are required of a drive that is a file.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "their presence is what is tested")]
        pub(super) struct Drive {
            pub drive_id: String,
            pub partuuid: Option<String>,
            pub is_root_device: bool,
            pub cache_type: Option<CacheType>,
            pub is_read_only: bool,
            pub path_on_host: String,
            pub rate_limiter: Option<IgnoredAny>,
            pub io_engine: Option<IoEngine>,
        }

        #[derive(Deserialize)]
        pub(super) enum HugePages {
            None,
            #[serde(rename = "2M")]
            M2,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "their presence is what is tested")]
        pub(super) struct MachineConfiguration {
            pub vcpu_count: u8,
            pub mem_size_mib: usize,
            pub smt: Option<bool>,
            pub cpu_template: Option<String>,
            pub track_dirty_pages: Option<bool>,
            pub huge_pages: Option<HugePages>,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "their presence is what is tested")]
        pub(super) struct NetworkInterface {
            pub iface_id: String,
            pub host_dev_name: String,
            pub guest_mac: Option<String>,
            pub rx_rate_limiter: Option<IgnoredAny>,
            pub tx_rate_limiter: Option<IgnoredAny>,
        }
    }

    fn machine() -> Machine {
        let mut machine = Machine::new("/k/vmlinux", "/i/root.ext2");
        machine.vmm = Vmm::Firecracker;
        machine
    }

    fn everything() -> Machine {
        let mut machine = machine().with_tap("tap0");
        for (path, mode) in [
            ("/i/a,\"b\".ext2", DriveMode::Persistent),
            ("/i/more", DriveMode::ReadOnly),
        ] {
            let path = path.into();
            machine.drives.push(machine::Drive { path, mode });
        }
        machine.cpus = 2;
        machine.memory_mib = 64;
        machine.kernel_log = true;
        machine.extra_parameters.push("mitigations=off".into());
        machine
    }

    fn read(text: &str) -> Result<schema::FullVmConfiguration, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn the_smallest_machine() {
        insta::assert_snapshot!(configuration(&machine()).unwrap());
    }

    #[test]
    fn a_machine_with_everything() {
        insta::assert_snapshot!(configuration(&everything()).unwrap());
    }

    #[test]
    fn configurations_are_what_firecracker_takes() {
        for machine in [machine(), everything()] {
            let config = read(&configuration(&machine).unwrap()).unwrap();
            let roots = config.drives.iter().filter(|drive| drive.is_root_device);
            assert_eq!(roots.count(), 1, "more than one is refused");
            let mut ids: Vec<&str> = config.drives.iter().map(|d| d.drive_id.as_str()).collect();
            ids.dedup();
            assert_eq!(ids.len(), config.drives.len(), "one replaces the other");
            let size = config.machine_config.unwrap();
            assert!((1..=32).contains(&size.vcpu_count) && size.mem_size_mib > 0);
        }
        // The schema of this test refuses what Firecracker would refuse.
        let text = configuration(&everything()).unwrap();
        for (from, to) in [
            ("\"is_read_only\"", "\"readonly\""),
            ("\"vcpu_count\": 2,", ""),
            ("boot-source", "boot_source"),
            ("\"host_dev_name\": \"tap0\"", "\"guest_mac\": null"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert!(read(&changed).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        let mut many = machine();
        many.cpus = 33;
        let mut foreign = machine();
        foreign.drives[0].path = OsStr::from_bytes(b"/i/\xff").into();
        let mut foreign_kernel = machine();
        foreign_kernel.kernel = OsStr::from_bytes(b"/k/\xff").into();
        for machine in [many, foreign, foreign_kernel] {
            let error = configuration(&machine).unwrap_err();
            assert!(matches!(error, VmError::Unsupported { .. }), "{error}");
        }
        let mut networked = machine();
        networked.network = true;
        let error = configuration(&networked).unwrap_err();
        assert!(matches!(error, VmError::NoUserNetwork { .. }), "{error}");
    }

    #[test]
    fn the_command_line_has_no_api() {
        let args = arguments(Path::new("/t/machine.json"));
        assert_eq!(
            args,
            [
                "--no-api",
                "--level",
                "Error",
                "--config-file",
                "/t/machine.json"
            ]
        );
    }
}
