//! What to boot, whichever program boots it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::VmError;
use super::monitor::Vmm;
use crate::guest::Interface;
use crate::guest::init::INIT_PATH;

/// The address that a guest has in user-mode networking, and what is around it; with a tap device
/// it is the same, and the device has the gateway's.
const GUEST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const GUEST_NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// A machine to boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The kernel: a bzImage, or an ELF vmlinux where the VMM takes one.
    pub kernel: PathBuf,
    /// Block devices in order; the first holds the root file system.
    pub drives: Vec<Drive>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processors, at least 1.
    pub cpus: u8,
    /// What boots it.
    #[serde(default)]
    pub vmm: Vmm,
    /// Whether there is a network interface. Ports can be forwarded only with one.
    pub network: bool,
    /// The tap device of the host that the network interface is connected to; by user-mode
    /// networking where there is none.
    #[serde(default)]
    pub tap: Option<String>,
    /// TCP ports of the host that lead to ports of the guest, with user-mode networking.
    pub forwards: Vec<Forward>,
    /// Whether the kernel's whole log goes to the console. It costs boot time; without it only
    /// errors do.
    pub kernel_log: bool,
    /// Whether guest instructions are counted: the guest's clocks then advance by a nanosecond an
    /// instruction, whatever the host's do, and leap where it sleeps. Only emulation can, and gets
    /// slower by it; with KVM it has no effect.
    #[serde(default)]
    pub instructions: bool,
    /// Seconds that the program has to end after it was asked to, at most an hour; then the machine
    /// is ended.
    #[serde(default = "stop_timeout")]
    pub stop_timeout_s: u64,
    /// kHz at which the guest's time stamp counter runs, told to its kernel, which then takes it as
    /// its clock without measuring or watching it. QEMU's guests are told by themselves where they
    /// are emulated.
    #[serde(default)]
    pub tsc_khz: Option<u32>,
    /// Further parameters at the end of the kernel command line.
    pub extra_parameters: Vec<String>,
}

/// Seconds that a program has to end where nobody says otherwise.
fn stop_timeout() -> u64 {
    5
}

/// A block device of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    /// The raw image.
    pub path: PathBuf,
    /// What becomes of the guest's writes.
    pub mode: DriveMode,
}

/// What becomes of a guest's writes to a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriveMode {
    /// They go into the image.
    Persistent,
    /// They last as long as the machine; the image stays as it is and may be shared.
    Discard,
    /// They are refused.
    ReadOnly,
}

/// A TCP port of the host that leads to one of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Forward {
    /// Where the host listens.
    pub host: SocketAddrV4,
    /// The port inside the guest.
    pub guest: u16,
}

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accel {
    /// The processor, through the host's kernel.
    Kvm,
    /// A translator inside QEMU. Slow, and available everywhere.
    Tcg,
}

impl Machine {
    /// A machine with one processor, 128 MiB, no network and a root file system whose changes are
    /// not kept.
    #[must_use]
    pub fn new(kernel: impl Into<PathBuf>, root: impl Into<PathBuf>) -> Self {
        Self {
            kernel: kernel.into(),
            drives: vec![Drive {
                path: root.into(),
                mode: DriveMode::Discard,
            }],
            memory_mib: 128,
            cpus: 1,
            vmm: Vmm::default(),
            network: false,
            tap: None,
            forwards: Vec::new(),
            kernel_log: false,
            instructions: false,
            stop_timeout_s: stop_timeout(),
            tsc_khz: None,
            extra_parameters: Vec::new(),
        }
    }

    /// Adds a network interface, and a port of 127.0.0.1 that leads to one of the guest.
    #[must_use]
    pub fn forward(mut self, host: u16, guest: u16) -> Self {
        self.network = true;
        self.forwards.push(Forward {
            host: SocketAddrV4::new(Ipv4Addr::LOCALHOST, host),
            guest,
        });
        self
    }

    /// Adds a network interface that is connected to a tap device of the host, through which the
    /// host reaches every port of the guest.
    #[must_use]
    pub fn with_tap(mut self, name: impl Into<String>) -> Self {
        self.network = true;
        self.tap = Some(name.into());
        self
    }

    /// Where the host reaches a port of the guest.
    #[must_use]
    pub fn host_port(&self, guest: u16) -> Option<SocketAddrV4> {
        if self.network && self.tap.is_some() {
            return Some(SocketAddrV4::new(GUEST_ADDRESS, guest));
        }
        let forward = self.forwards.iter().find(|f| f.guest == guest);
        forward.map(|f| f.host)
    }

    /// The tap device of its network, if it has one.
    ///
    /// # Errors
    /// [`VmError::NoUserNetwork`]: it has none, needs a network, and its VMM cannot do without.
    pub(super) fn tap_device(&self) -> Result<Option<&str>, VmError> {
        match &self.tap {
            Some(tap) if self.network => Ok(Some(tap)),
            None if self.network && !self.vmm.has_user_network() => {
                Err(VmError::NoUserNetwork { vmm: self.vmm })
            }
            _ => Ok(None),
        }
    }

    /// The kernel's parameters. What the VMM adds by itself, such as the places of virtio-mmio
    /// devices, is not among them.
    ///
    /// The VMM decides by which `reboot=` and `panic=` the end of the guest is its own.
    /// `no_timer_check` keeps the kernel from counting timer interrupts against its delay loop,
    /// which on a busy host makes it panic for want of a working timer.
    #[must_use]
    pub fn kernel_parameters(&self) -> Vec<String> {
        let writable = self
            .drives
            .first()
            .is_some_and(|root| root.mode != DriveMode::ReadOnly);
        let mut parameters = vec![
            "console=ttyS0".to_owned(),
            "root=/dev/vda".to_owned(),
            if writable { "rw" } else { "ro" }.to_owned(),
            "rootfstype=ext2".to_owned(),
        ];
        parameters.extend(self.vmm.kernel_parameters().iter().map(|&p| p.to_owned()));
        parameters.push("no_timer_check".to_owned());
        if let Some(khz) = self.tsc_khz {
            parameters.push(format!("tsc_early_khz={khz}"));
            parameters.push("tsc=reliable".to_owned());
        }
        parameters.push(format!("init={INIT_PATH}"));
        if !self.kernel_log {
            parameters.push("quiet".to_owned());
        }
        parameters.extend(self.extra_parameters.iter().cloned());
        parameters
    }

    /// The guest's network interface as its init has to set it up: for
    /// [`Step::Address`](crate::guest::Step::Address).
    #[must_use]
    pub fn guest_interface() -> Interface {
        Interface {
            interface: "eth0".into(),
            address: GUEST_ADDRESS,
            netmask: GUEST_NETMASK,
            gateway: Some(GATEWAY),
        }
    }

    /// The lines of a shell that make a tap device for a guest and this user.
    #[must_use]
    pub fn tap_commands(name: &str) -> [String; 3] {
        [
            format!("sudo ip tuntap add {name} mode tap user \"$USER\""),
            format!("sudo ip addr add {GATEWAY}/24 dev {name}"),
            format!("sudo ip link set {name} up"),
        ]
    }

    /// The name server that user-mode networking offers: for the guest's /etc/resolv.conf.
    #[must_use]
    pub fn guest_name_server() -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 2, 3)
    }
}

impl Accel {
    /// How QEMU names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_read_only_where_writes_are_refused() {
        let mut machine = Machine::new("/k", "/r");
        assert!(machine.kernel_parameters().contains(&"rw".to_owned()));
        machine.drives[0].mode = DriveMode::ReadOnly;
        assert!(machine.kernel_parameters().contains(&"ro".to_owned()));
    }

    #[test]
    fn the_vmm_decides_how_the_guest_ends() {
        let mut machine = Machine::new("/k", "/r");
        let mut ends = |vmm| {
            machine.vmm = vmm;
            machine.kernel_parameters().join(" ")
        };
        assert!(ends(Vmm::Qemu).contains(" reboot=t panic=-1 "));
        assert!(ends(Vmm::Firecracker).contains(" reboot=k panic=-1 pci=off "));
        assert!(ends(Vmm::CloudHypervisor).contains(" reboot=a panic=0 "));
    }

    #[test]
    fn a_tap_leads_to_every_port_of_the_guest() {
        let machine = Machine::new("/k", "/r").forward(8080, 80);
        assert_eq!(machine.host_port(80), "127.0.0.1:8080".parse().ok());
        assert_eq!(machine.host_port(81), None);
        let machine = Machine::new("/k", "/r").with_tap("tap0");
        assert_eq!(machine.host_port(81), "10.0.2.15:81".parse().ok());
        let [_, address, _] = Machine::tap_commands("tap0");
        assert!(address.contains(&Machine::guest_interface().gateway.unwrap().to_string()));
    }

    #[test]
    fn a_machine_saved_before_instructions_were_counted_is_read() {
        let machine = Machine::new("/k", "/r");
        let mut json = serde_json::to_value(&machine).unwrap();
        assert!(
            json.as_object_mut()
                .unwrap()
                .remove("instructions")
                .is_some()
        );
        assert_eq!(serde_json::from_value::<Machine>(json).unwrap(), machine);
    }

    #[test]
    fn a_machine_is_saved_as_json() {
        let machine = Machine::new("/k", "/r").forward(8080, 80);
        let json = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&json).unwrap(), machine);
        assert!(
            json.contains(r#""host":"127.0.0.1:8080","guest":80"#),
            "{json}"
        );
        // One that was saved before there were other VMMs.
        let old = json
            .replace(r#""vmm":"qemu","#, "")
            .replace(r#""tap":null,"#, "");
        assert_ne!(old, json);
        assert_eq!(serde_json::from_str::<Machine>(&old).unwrap(), machine);
    }
}
