//! A kernel's version, as the first lines of its Makefile state it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `VERSION.PATCHLEVEL.SUBLEVEL` and `EXTRAVERSION` of a tree's Makefile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KernelVersion {
    /// `VERSION`.
    pub version: u32,
    /// `PATCHLEVEL`.
    pub patchlevel: u32,
    /// `SUBLEVEL`.
    pub sublevel: u32,
    /// `EXTRAVERSION`, such as `-rc3`; mostly empty.
    pub extraversion: String,
}

impl KernelVersion {
    /// Reads a tree's top-level Makefile. `None` where it does not state a
    /// version, which every kernel's does.
    #[must_use]
    pub fn of_makefile(text: &[u8]) -> Option<KernelVersion> {
        let text = String::from_utf8_lossy(text.get(..4096).unwrap_or(text)).into_owned();
        let field = |name: &str| {
            text.lines().find_map(|line| {
                let rest = line.strip_prefix(name)?.trim_start().strip_prefix('=')?;
                Some(rest.trim().to_owned())
            })
        };
        Some(KernelVersion {
            version: field("VERSION")?.parse().ok()?,
            patchlevel: field("PATCHLEVEL")?.parse().ok()?,
            sublevel: field("SUBLEVEL")?.parse().ok()?,
            extraversion: field("EXTRAVERSION").unwrap_or_default(),
        })
    }
}

impl fmt::Display for KernelVersion {
    /// As `make kernelversion` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KernelVersion {
            version,
            patchlevel,
            sublevel,
            extraversion,
        } = self;
        write!(f, "{version}.{patchlevel}.{sublevel}{extraversion}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_make_kernelversion_prints() {
        let text =
            b"# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\nNAME = x\n";
        assert_eq!(
            KernelVersion::of_makefile(text).unwrap().to_string(),
            "6.12.117"
        );
        assert!(KernelVersion::of_makefile(b"all:\n\tcc x.c\n").is_none());
    }
}
