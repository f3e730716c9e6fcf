//! The pipeline's error: whichever stage failed.

use std::io;

use thiserror::Error;

use crate::cache::CacheError;
use crate::debian::DebianError;
use crate::host::Missing;
use crate::image::ImageError;
use crate::kernel::build::BuildError;
use crate::kernel::config::ConfigError;
use crate::kernel::patch::PatchError;
use crate::kernel::source::SourceError;
use crate::kernel::toolchain::ToolchainError;
use crate::manifest::ManifestError;
use crate::needs::AnalysisError;
use crate::process::Cancelled;
use crate::rootfs::RootfsError;
use crate::vmm::VmError;

/// Why a stage of the pipeline failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An image of Debian packages.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image cannot run.
    #[error(transparent)]
    Needs(#[from] AnalysisError),
    /// The kernel source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The patched kernel source.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The compiler and its companions.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The kernel.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The root file system.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The guest.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// A file or a connection of the caller's own.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A stage's tools are not installed.
    #[error("{0}")]
    Missing(Missing),
    /// The user cancelled between stages.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Whose fault an error is: decides the exit status, unless the user cancelled
/// (then the token says so).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The application or its guest failed: status 1.
    Guest,
    /// The input is wrong: status 3.
    Input,
    /// This machine lacks something: status 4.
    Host,
}

impl Error {
    /// Whether a full disk, or a full quota, is behind it, whichever stage met
    /// it.
    #[must_use]
    pub fn disk_is_full(&self) -> bool {
        if let Error::Build(BuildError::DiskFull { .. }) = self {
            return true;
        }
        let no_space = |error: &(dyn std::error::Error + 'static)| {
            let said = match error.downcast_ref() {
                Some(DebianError::Failed { tail, .. }) => tail.as_str(),
                _ => "",
            };
            let kind = error.downcast_ref().map(io::Error::kind);
            said.contains("No space left on device")
                || matches!(
                    kind,
                    Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
                )
        };
        chain(Some(self)).any(no_space)
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        if self.disk_is_full() {
            return Blame::Host;
        }
        match self {
            Error::Vm(error) => match error {
                VmError::PortInUse { .. }
                | VmError::Port { .. }
                | VmError::Vmm { .. }
                | VmError::Process(_)
                | VmError::NotInstalled { .. }
                | VmError::NeedsKvm { .. }
                | VmError::NoUserNetwork { .. }
                | VmError::NoTap { .. }
                | VmError::Copy { .. }
                | VmError::Prepare { .. }
                | VmError::File { .. } => Blame::Host,
                VmError::Unsupported { .. } | VmError::TapForwards { .. } => Blame::Input,
                _ => Blame::Guest,
            },
            Error::Cache(_) | Error::Toolchain(_) | Error::Missing(_) | Error::Debian(_) => {
                Blame::Host
            }
            Error::Source(SourceError::NotFound { .. } | SourceError::Cache(_)) => Blame::Host,
            Error::Patch(PatchError::Cache(_) | PatchError::Io { .. }) => Blame::Host,
            Error::Build(BuildError::Cache(_)) => Blame::Host,
            Error::Rootfs(RootfsError::Cache(_)) => Blame::Host,
            _ => Blame::Input,
        }
    }
}

/// The text of an error and of what is behind it, the nearest cause first, with
/// `between` in front of each; a cause that the text holds already is not said
/// twice.
///
/// ```
/// use lupine::error::with_causes;
///
/// let cause = std::io::Error::other("the tree is hostile");
/// let error = lupine::kernel::source::SourceError::Io { action: "read", path: "Makefile".into(), source: cause };
/// assert!(with_causes(&error, "\n  because: ").ends_with("\n  because: the tree is hostile"));
/// ```
#[must_use]
pub fn with_causes(error: &dyn std::error::Error, between: &str) -> String {
    let mut text = error.to_string();
    for cause in chain(error.source()) {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(between);
            text.push_str(&words);
        }
    }
    text
}

/// An error and, one by one, what is behind it.
fn chain<'e>(
    first: Option<&'e (dyn std::error::Error + 'static)>,
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(first, |error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmm::Vmm;

    #[test]
    fn the_blame_decides_the_exit_status() {
        assert_eq!(
            Error::Needs(AnalysisError::NoEntryPoint).blame(),
            Blame::Input
        );
        assert_eq!(Error::Cache(CacheError::NoHome).blame(), Blame::Host);
        let vmm = Vmm::Firecracker;
        assert_eq!(
            Error::from(VmError::NotInstalled { vmm }).blame(),
            Blame::Host
        );
        let what = "boot this".to_owned();
        assert_eq!(
            Error::from(VmError::Unsupported { vmm, what }).blame(),
            Blame::Input
        );
    }

    #[test]
    fn a_full_disk_is_the_machines_whichever_stage_meets_it() {
        let write = |kind: io::ErrorKind| SourceError::Io {
            action: "write",
            path: "tree".into(),
            source: kind.into(),
        };
        let full = Error::from(write(io::ErrorKind::StorageFull));
        assert!(full.disk_is_full());
        assert_eq!(full.blame(), Blame::Host);
        let other = Error::from(write(io::ErrorKind::PermissionDenied));
        assert!(!other.disk_is_full());
        assert_eq!(other.blame(), Blame::Input);
    }
}
