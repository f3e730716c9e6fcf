//! lupine-base: the options that every unikernel has, each with its reason.
//! The data is `src/data/base.toml`.

use serde::Deserialize;
use thiserror::Error;

use crate::kernel::version::KernelVersion;
use crate::needs::OptionNeed;
use crate::variant::Variant;
use crate::vmm::Vmm;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    symbol: String,
    #[serde(default = "yes")]
    value: String,
    reason: String,
    /// Whether our guests boot by it: then a baseline gets it, too.
    #[serde(default)]
    boot: bool,
    /// Variants that have it; all where absent.
    variants: Option<Vec<Variant>>,
    /// VMMs whose guests have it; all where absent.
    vmms: Option<Vec<Vmm>>,
    /// The first kernel, as (major, minor), that has it.
    since: Option<(u32, u32)>,
    /// The first kernel that no longer has it.
    until: Option<(u32, u32)>,
}

fn yes() -> String {
    "y".to_owned()
}

/// What every kernel has, by variant, VMM and version: lupine-base, or a file of the
/// same form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    option: Vec<Row>,
}

/// A base that cannot be read.
#[derive(Debug, Error)]
#[error("the base is not valid: {0}")]
pub struct BaseError(#[from] toml::de::Error);

impl Base {
    /// lupine-base.
    #[must_use]
    #[allow(
        clippy::expect_used,
        reason = "the data is part of this crate and parsed by a test"
    )]
    pub fn lupine() -> Base {
        Base::parse(include_str!("../data/base.toml")).expect("src/data/base.toml is valid")
    }

    /// A base as TOML: `[[option]]` with `symbol` and `reason`; `value` where it
    /// is not `y`, `variants`, `vmms`, `since` and `until` (each `[major, minor]`)
    /// where it is not for all, `boot = true` where guests do not boot without it.
    ///
    /// # Errors
    /// It is not of this form.
    pub fn parse(text: &str) -> Result<Base, BaseError> {
        Ok(toml::from_str(text)?)
    }

    /// The options of a variant under a VMM for a kernel version, in the order
    /// of the data. [`Variant::Microvm`] has its own, and gets only what our guests
    /// boot by.
    #[must_use]
    pub fn options(&self, variant: Variant, vmm: Vmm, version: &KernelVersion) -> Vec<OptionNeed> {
        let number = (version.version, version.patchlevel);
        self.option
            .iter()
            .filter(|row| row.boot || variant != Variant::Microvm)
            .filter(|row| {
                row.variants
                    .as_ref()
                    .is_none_or(|list| list.contains(&variant))
            })
            .filter(|row| row.vmms.as_ref().is_none_or(|list| list.contains(&vmm)))
            .filter(|row| row.since.is_none_or(|since| number >= since))
            .filter(|row| row.until.is_none_or(|until| number < until))
            .map(|row| OptionNeed {
                symbol: row.symbol.clone(),
                value: row.value.clone(),
                because: format!("base: {}", row.reason),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_unique_and_has_a_reason() {
        let version = KernelVersion::of_makefile(b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n");
        let version = version.unwrap();
        for (variant, vmm) in Variant::ALL.into_iter().zip(Vmm::ALL.into_iter().cycle()) {
            let mut symbols = Vec::new();
            for option in Base::lupine().options(variant, vmm, &version) {
                assert!(option.because.len() > "base: ".len(), "{}", option.symbol);
                assert!(!symbols.contains(&option.symbol), "{} twice", option.symbol);
                symbols.push(option.symbol);
            }
            assert_eq!(
                symbols.iter().any(|s| s == "KERNEL_MODE_LINUX"),
                variant.has_kml()
            );
        }
    }

    #[test]
    fn a_vmm_has_its_own_devices() {
        let version = KernelVersion::of_makefile(b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n");
        let version = version.unwrap();
        let symbols = |vmm| -> Vec<String> {
            let options = Base::lupine().options(Variant::Lupine, vmm, &version);
            options.into_iter().map(|option| option.symbol).collect()
        };
        let (qemu, pci) = (symbols(Vmm::Qemu), symbols(Vmm::CloudHypervisor));
        // One kernel for both.
        assert_eq!(qemu, symbols(Vmm::Firecracker));
        for (symbol, is_pci) in [
            ("VIRTIO_MMIO", false),
            ("VIRTIO_MMIO_CMDLINE_DEVICES", false),
            ("VIRTIO_PCI", true),
            ("PCI_MSI", true),
            ("ACPI", true),
        ] {
            assert_eq!(pci.iter().any(|s| s == symbol), is_pci, "{symbol}");
            assert_eq!(qemu.iter().any(|s| s == symbol), !is_pci, "{symbol}");
        }
    }
}
