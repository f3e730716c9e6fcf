//! Images of Debian packages, made by mmdebstrap, cached by the packages'
//! versions.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::cache::{Cache, CacheError, Kind};
use crate::digest::DigestBuilder;
use crate::host::{self, Missing, Purpose};
use crate::process::{Cancel, ProcessError, Task};
use crate::progress::{Progress, Unit};

/// Why there is no image of the packages.
#[derive(Debug, Error)]
pub enum DebianError {
    /// mmdebstrap is not installed.
    #[error("cannot make an image of Debian packages: {0}")]
    Missing(Missing),
    /// mmdebstrap failed: an unknown package, no network, no user namespaces.
    #[error(
        "mmdebstrap could not make an image of {packages} from {suite}; without root it needs user namespaces (package uidmap). Its last words:\n{tail}"
    )]
    Failed {
        /// The packages, by comma.
        packages: String,
        /// The suite.
        suite: String,
        /// The end of its messages.
        tail: String,
    },
    /// A program does not run or does not end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The image cannot be kept.
    #[error("cannot write the image {path}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// What no application reads; it doubles the image.
const EXCLUDED: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
];

/// Packages' scripts put links beside manual pages, and some (Java's) end when the folder is missing.
const MANUAL_FOLDERS: &str =
    r#"--essential-hook=for section in 1 5 8; do mkdir -p "$1/usr/share/man/man$section"; done"#;

/// A download and installation that takes longer than this has stalled.
const TIME_LIMIT: Duration = Duration::from_secs(15 * 60);

/// A tar of a minimal root with `packages` of `suite`, without root's rights
/// where mmdebstrap can. Made once for the versions that apt knows of.
///
/// # Errors
/// Every [`DebianError`].
pub fn image(
    suite: &str,
    packages: &[String],
    cache: &Cache,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<PathBuf, DebianError> {
    host::require(&[Purpose::DebianImage], &[]).map_err(DebianError::Missing)?;
    let names = packages.join(",");
    let key = DigestBuilder::new("debian-image-2")
        .field("suite", suite.as_bytes())
        .field("packages", names.as_bytes())
        .field("versions", &versions(packages, cancel))
        .finish();
    let waiting = || progress.message("another run is making this image; waiting");
    let folder = cache.get_or_make(Kind::Image, &key, cancel, &mut { waiting }, |dir| {
        make(suite, &names, dir, cancel, progress)
    })?;
    Ok(folder.join("root.tar"))
}

/// The versions that apt would install, as far as this machine's apt knows:
/// an upgrade in the archive makes a new image after `apt-get update`.
fn versions(packages: &[String], cancel: &Cancel) -> Vec<u8> {
    let task = Task::new("apt-cache")
        .arg("policy")
        .args(packages.iter().cloned());
    let output = task
        .env("LC_ALL", "C")
        .run(cancel)
        .map(|output| output.stdout);
    let output = output.unwrap_or_default();
    let candidate = |line: &&[u8]| line.trim_ascii_start().starts_with(b"Candidate:");
    output
        .split(|&byte| byte == b'\n')
        .filter(candidate)
        .collect::<Vec<_>>()
        .join(&b'\n')
}

fn make(
    suite: &str,
    names: &str,
    dir: &Path,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<(), DebianError> {
    progress.stage(&format!("making an image of {names}"), None, Unit::Steps);
    let target = dir.join("root.tar");
    let excluded = EXCLUDED
        .iter()
        .map(|path| format!("--dpkgopt=path-exclude={path}"));
    let task = Task::new("mmdebstrap")
        .args(["--variant=essential", "--mode=auto", "--format=tar"])
        .arg(format!("--include={names}"))
        .args(excluded)
        .arg(MANUAL_FOLDERS)
        .args([suite.into(), target.clone().into_os_string()])
        // The same packages give the same bytes.
        .env("SOURCE_DATE_EPOCH", "0")
        .env("LC_ALL", "C")
        .time_limit(TIME_LIMIT);
    let output = task.run(cancel)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("I:"))
            .collect();
        let tail = lines
            .get(lines.len().saturating_sub(12)..)
            .unwrap_or_default()
            .join("\n");
        return Err(DebianError::Failed {
            packages: names.to_owned(),
            suite: suite.to_owned(),
            tail,
        });
    }
    // mmdebstrap in a user namespace may leave the tar readable by it alone.
    std::fs::File::open(&target)
        .map(drop)
        .map_err(|source| DebianError::Io {
            path: target,
            source,
        })?;
    progress.finish();
    Ok(())
}
