//! The version of a kernel tree, as its Makefile states it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::diff::Text;

/// A kernel's version: `6.12.30-rc1` and its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelVersion {
    /// `VERSION`.
    pub version: u32,
    /// `PATCHLEVEL`.
    pub patchlevel: u32,
    /// `SUBLEVEL`.
    pub sublevel: u32,
    /// `EXTRAVERSION`, with its leading sign.
    pub extra: Text,
}

/// Why a tree's version is not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VersionError {
    /// No Makefile at the root.
    #[error("cannot read `{}`; a kernel source tree has its version there", .path.display())]
    Io {
        /// The Makefile.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The Makefile is another project's.
    #[error("`{}` does not set {variable}; this is no kernel source tree", .path.display())]
    Missing {
        /// The Makefile.
        path: PathBuf,
        /// The variable sought.
        variable: &'static str,
    },
}

impl KernelVersion {
    /// Reads the Makefile at the root of a tree.
    ///
    /// # Errors
    /// [`VersionError`].
    pub fn of_tree(root: &Path) -> Result<Self, VersionError> {
        let path = root.join("Makefile");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(source) => return Err(VersionError::Io { path, source }),
        };
        Self::of_makefile(&text).map_err(|variable| VersionError::Missing { path, variable })
    }

    /// Reads a Makefile's text.
    ///
    /// # Errors
    /// The name of the first variable that is not set to a number.
    ///
    /// ```
    /// use lupine_kml::verify::KernelVersion;
    ///
    /// let makefile = b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 30\nEXTRAVERSION =\n";
    /// assert_eq!(KernelVersion::of_makefile(makefile)?.to_string(), "6.12.30");
    /// # Ok::<(), &'static str>(())
    /// ```
    pub fn of_makefile(text: &[u8]) -> Result<Self, &'static str> {
        let value = |variable: &str| {
            text.split(|&b| b == b'\n').find_map(|line| {
                let rest = line.strip_prefix(variable.as_bytes())?.trim_ascii_start();
                Some(rest.strip_prefix(b"=")?.trim_ascii())
            })
        };
        let number = |variable: &'static str| {
            let digits = value(variable).and_then(|v| std::str::from_utf8(v).ok());
            digits.and_then(|v| v.parse().ok()).ok_or(variable)
        };
        Ok(Self {
            version: number("VERSION")?,
            patchlevel: number("PATCHLEVEL")?,
            sublevel: number("SUBLEVEL")?,
            extra: value("EXTRAVERSION").unwrap_or_default().into(),
        })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}{}",
            self.version, self.patchlevel, self.sublevel, self.extra
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makefiles() {
        let text =
            b"# SPDX\nVERSION = 6\nPATCHLEVEL=1\nSUBLEVEL = 0\nEXTRAVERSION = -rc2\nVERSIONS = 9\n";
        assert_eq!(
            KernelVersion::of_makefile(text).unwrap().to_string(),
            "6.1.0-rc2"
        );
        assert_eq!(KernelVersion::of_makefile(b"all:\n"), Err("VERSION"));
        assert_eq!(
            KernelVersion::of_makefile(b"VERSION = 6\nPATCHLEVEL = x\n"),
            Err("PATCHLEVEL")
        );
    }
}
