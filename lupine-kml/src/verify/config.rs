//! Whether a `.config` allows Kernel Mode Linux, and what stands against it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::diff::Text;

/// What a `.config` says about Kernel Mode Linux.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReport {
    /// Whether `CONFIG_KERNEL_MODE_LINUX=y`, and nothing stands against it.
    pub enabled: bool,
    /// Everything that must change, in the order of the table.
    pub findings: Vec<ConfigFinding>,
}

/// One option that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFinding {
    /// The option, without `CONFIG_`.
    pub symbol: String,
    /// Its value: `y`, `m`, `n`, or other text. `n` if it is not mentioned.
    pub value: Text,
    /// What it must be: `y` or `n`.
    pub required: Text,
    /// Why.
    pub reason: String,
}

/// An option that decides whether Kernel Mode Linux is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// The option, without `CONFIG_`.
    pub symbol: &'static str,
    /// Whether it must be on, or must be off.
    pub on: bool,
    /// Why.
    pub reason: &'static str,
}

const fn off(symbol: &'static str, reason: &'static str) -> Requirement {
    Requirement {
        symbol,
        on: false,
        reason,
    }
}

const fn on(symbol: &'static str, reason: &'static str) -> Requirement {
    Requirement {
        symbol,
        on: true,
        reason,
    }
}

/// Every option that Kernel Mode Linux requires or excludes on x86-64, in 6.1 and 6.12.
pub const REQUIREMENTS: &[Requirement] = &[
    on("X86_64", "Kernel Mode Linux exists for x86-64 only"),
    off(
        "MITIGATION_PAGE_TABLE_ISOLATION",
        "user page tables would lack the kernel that the program runs in",
    ),
    off(
        "PAGE_TABLE_ISOLATION",
        "user page tables would lack the kernel that the program runs in",
    ),
    off(
        "X86_KERNEL_IBT",
        "indirect jumps of programs would have to land on ENDBR; tinyconfig turns it on",
    ),
    off(
        "X86_USER_SHADOW_STACK",
        "a program in CPL 0 has no user shadow stack",
    ),
    off(
        "X86_FRED",
        "event delivery by FRED has no interrupt stack table",
    ),
    off("XEN_PV", "a Xen PV guest does not run in CPL 0 itself"),
    off(
        "PARAVIRT_XXL",
        "entry and exit would go through the hypervisor's hooks",
    ),
    off(
        "AMD_MEM_ENCRYPT",
        "#VC exceptions of SEV-ES nest on the same stacks",
    ),
    off(
        "INTEL_TDX_GUEST",
        "#VE exceptions have not been tried from CPL 0 programs",
    ),
    off(
        "KVM",
        "running guests beside programs in CPL 0 has not been tried",
    ),
    off(
        "IA32_EMULATION",
        "32-bit programs have no way to run in CPL 0",
    ),
    off("X86_X32_ABI", "x32 programs have no way to run in CPL 0"),
    off(
        "EFI",
        "firmware calls run at low addresses in CPL 0, where programs do",
    ),
    off(
        "KEXEC_CORE",
        "the code between two kernels runs at low addresses in CPL 0, where programs do",
    ),
    off(
        "HIBERNATION",
        "resuming restores page tables and stacks under programs in CPL 0",
    ),
    off(
        "SUSPEND",
        "waking up runs at low addresses in CPL 0, where programs do",
    ),
    on(
        "KERNEL_MODE_LINUX",
        "the option itself; the kernel's configuration drops it silently if an option above is wrong",
    ),
];

/// Judges the text of a `.config`.
///
/// ```
/// use lupine_kml::verify::verify_config;
///
/// let report = verify_config(b"CONFIG_X86_64=y\nCONFIG_X86_KERNEL_IBT=y\n");
/// assert!(!report.enabled);
/// assert_eq!(report.findings[0].symbol, "X86_KERNEL_IBT");
/// assert_eq!(report.findings[1].symbol, "KERNEL_MODE_LINUX");
/// ```
pub fn verify_config(text: &[u8]) -> ConfigReport {
    let values = values(text);
    let mut findings = Vec::new();
    for requirement in REQUIREMENTS {
        let value = values
            .get(requirement.symbol.as_bytes())
            .copied()
            .unwrap_or(b"n");
        let is_on = value != b"n";
        // A module is not built in: neither is good enough for what must be on.
        if (requirement.on && value != b"y") || (!requirement.on && is_on) {
            findings.push(ConfigFinding {
                symbol: requirement.symbol.to_owned(),
                value: value.into(),
                required: if requirement.on { "y" } else { "n" }.into(),
                reason: requirement.reason.to_owned(),
            });
        }
    }
    ConfigReport {
        enabled: findings.is_empty(),
        findings,
    }
}

/// The last value of each option, as the kernel's own reader takes it.
fn values(text: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut values = BTreeMap::new();
    for line in text.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(rest) = line.strip_prefix(b"CONFIG_") {
            if let Some(equals) = memchr::memchr(b'=', rest) {
                values.insert(&rest[..equals], &rest[equals + 1..]);
            }
        } else if let Some(symbol) = line
            .strip_prefix(b"# CONFIG_")
            .and_then(|rest| rest.strip_suffix(b" is not set"))
        {
            values.insert(symbol, &b"n"[..]);
        }
    }
    values
}

impl fmt::Display for ConfigReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.enabled {
            return writeln!(f, "Kernel Mode Linux is on, and nothing stands against it");
        }
        for ConfigFinding {
            symbol,
            value,
            required,
            reason,
        } in &self.findings
        {
            writeln!(f, "CONFIG_{symbol}={value}, must be {required}: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_one() {
        let text = b"CONFIG_X86_64=y\n# CONFIG_X86_KERNEL_IBT is not set\nCONFIG_KERNEL_MODE_LINUX=y\nCONFIG_PARAVIRT=y\n";
        let report = verify_config(text);
        assert!(report.enabled, "{report}");
    }

    #[test]
    fn conflicts_are_named_with_values() {
        let text = b"CONFIG_X86_64=y\r\nCONFIG_KERNEL_MODE_LINUX=y\r\nCONFIG_KVM=m\r\nCONFIG_EFI=y\r\n# CONFIG_EFI is not set\r\n";
        let report = verify_config(text);
        assert!(!report.enabled);
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].value, "m".into());
        assert!(report.to_string().starts_with("CONFIG_KVM=m, must be n: "));
    }

    #[test]
    fn an_empty_one_lacks_two() {
        let symbols: Vec<_> = verify_config(b"")
            .findings
            .into_iter()
            .map(|f| f.symbol)
            .collect();
        assert_eq!(symbols, ["X86_64", "KERNEL_MODE_LINUX"]);
    }
}
