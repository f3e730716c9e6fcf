//! The programs that boot machines, and what sets them apart.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{cloud_hypervisor, firecracker, qemu};
use crate::host;

/// A virtual machine monitor: a program that boots machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vmm {
    /// QEMU's microvm machine: everywhere, by KVM or by translation.
    #[default]
    Qemu,
    /// Firecracker, by KVM.
    Firecracker,
    /// Cloud Hypervisor, by KVM.
    CloudHypervisor,
}

/// Which of a kernel's files a VMM starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelFile {
    /// The compressed image.
    BzImage,
    /// The ELF image.
    Vmlinux,
}

impl Vmm {
    /// Every VMM, the default first.
    pub const ALL: [Vmm; 3] = [Vmm::Qemu, Vmm::Firecracker, Vmm::CloudHypervisor];

    /// The name that users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Vmm::Qemu => "qemu",
            Vmm::Firecracker => "firecracker",
            Vmm::CloudHypervisor => "cloud-hypervisor",
        }
    }

    /// The program's file name, as it is looked up in `PATH`.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Vmm::Qemu => qemu::PROGRAM,
            Vmm::Firecracker => firecracker::PROGRAM,
            Vmm::CloudHypervisor => cloud_hypervisor::PROGRAM,
        }
    }

    /// Where the program is on this machine.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        host::find_program(self.program())
    }

    /// How to get the program, as a sentence without its end.
    #[must_use]
    pub fn how_to_install(self) -> &'static str {
        match self {
            Vmm::Qemu => "`lupine doctor` says how to install it",
            Vmm::Firecracker => {
                "put the binary from https://github.com/firecracker-microvm/firecracker/releases \
                 into PATH as `firecracker`"
            }
            Vmm::CloudHypervisor => {
                "put the binary from https://github.com/cloud-hypervisor/cloud-hypervisor/releases \
                 into PATH as `cloud-hypervisor`"
            }
        }
    }

    /// The file of a kernel that it starts.
    #[must_use]
    pub fn kernel_file(self) -> KernelFile {
        match self {
            Vmm::Qemu => KernelFile::BzImage,
            Vmm::Firecracker | Vmm::CloudHypervisor => KernelFile::Vmlinux,
        }
    }

    /// Whether it runs guests by KVM only.
    #[must_use]
    pub fn needs_kvm(self) -> bool {
        self != Vmm::Qemu
    }

    /// Whether it connects a guest without a device of the host, and forwards ports to it.
    #[must_use]
    pub fn has_user_network(self) -> bool {
        self == Vmm::Qemu
    }

    /// Whether it writes a guest's changes to a place that it throws away.
    pub(super) fn discards_writes(self) -> bool {
        self == Vmm::Qemu
    }

    /// Whether it boots a guest again that resets its machine, instead of ending.
    pub(super) fn restarts_guests(self) -> bool {
        self == Vmm::CloudHypervisor
    }

    /// The kernel parameters that make the end of a guest the end of its VMM, and others that
    /// depend on the VMM.
    pub(super) fn kernel_parameters(self) -> &'static [&'static str] {
        match self {
            // A triple fault; at once after a panic.
            Vmm::Qemu => &["reboot=t", "panic=-1"],
            // It ends well by the keyboard controller only, and takes a triple fault for a
            // failure. Its devices are not on a PCI bus, and probing for one takes time.
            Vmm::Firecracker => &["reboot=k", "panic=-1", "pci=off"],
            // It boots the guest again whichever way; after a panic the guest has to wait for us.
            Vmm::CloudHypervisor => &["reboot=a", "panic=0"],
        }
    }
}

impl fmt::Display for Vmm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no VMM's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no virtual machine monitor {0:?}; there are qemu, firecracker and cloud-hypervisor")]
pub struct UnknownVmm(pub String);

impl FromStr for Vmm {
    type Err = UnknownVmm;

    fn from_str(name: &str) -> Result<Vmm, UnknownVmm> {
        let found = Vmm::ALL.into_iter().find(|vmm| vmm.name() == name);
        found.ok_or_else(|| UnknownVmm(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for vmm in Vmm::ALL {
            assert_eq!(vmm.name().parse(), Ok(vmm));
            let json = serde_json::to_string(&vmm).unwrap();
            assert_eq!(json, format!("{:?}", vmm.name()));
        }
        let error = "qemo".parse::<Vmm>().unwrap_err().to_string();
        for vmm in Vmm::ALL {
            assert!(error.contains(vmm.name()), "{error}");
        }
    }
}
