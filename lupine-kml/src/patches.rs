//! The Kernel Mode Linux patches that come with the library, by kernel version.
//!
//! They are licensed GPL-2.0-only, as the kernel is; see `patches/COPYING`.

use std::path::Path;

use thiserror::Error;

use crate::apply::{ApplyError, Mode, Options, Report, Series, SeriesPatch, patch_directory};
use crate::diff::{self, SeriesError};
use crate::verify::{KernelVersion, TreeReport, VersionError, verify_tree};

include!(concat!(env!("OUT_DIR"), "/patches.rs"));

/// One directory of `patches/`.
struct Embedded {
    /// The kernel version it is for: `6.12`.
    name: &'static str,
    series: &'static [u8],
    files: &'static [(&'static str, &'static [u8])],
}

/// Which kernels a series may go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fit {
    /// The versions it was made for.
    #[default]
    Supported,
    /// Any: the series of the nearest version is tried.
    Nearest,
}

/// Why there is no series for a tree.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The tree does not say which kernel it is.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// No series is made for the tree's version.
    #[error(
        "the tree is Linux {found}; there are patches for {}; `--force` tries the nearest",
        .supported.join(", ")
    )]
    Unsupported {
        /// The tree's version.
        found: KernelVersion,
        /// The versions there are patches for.
        supported: Vec<&'static str>,
    },
    /// The library was built without any patches.
    #[error("no patches were built in; name a series or a patch file")]
    None,
    /// An embedded series file is malformed.
    #[error("built-in series for {version}")]
    Series {
        /// The series' version.
        version: &'static str,
        /// What is wrong with it.
        source: SeriesError,
    },
}

/// Why a kernel tree was not patched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PatchError {
    /// There is no series for it.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Applying failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// The kernel versions there are patches for, lowest first.
pub fn supported() -> Vec<&'static str> {
    let mut names: Vec<_> = EMBEDDED.iter().map(|embedded| embedded.name).collect();
    names.sort_by_key(|name| number(name));
    names
}

/// The series for a kernel.
///
/// # Errors
/// [`SelectError::Unsupported`] if none is made for it and [`Fit::Nearest`] is not asked for.
pub fn series_for(version: &KernelVersion, fit: Fit) -> Result<Series, SelectError> {
    load(select(EMBEDDED, version, fit)?)
}

/// Patches a kernel tree with the series that fits its version.
///
/// # Errors
/// [`PatchError`]; hunks that do not fit are no error but in the report.
pub fn patch_kernel(
    root: &Path,
    fit: Fit,
    options: Options,
    mode: Mode,
) -> Result<Report, PatchError> {
    let version = KernelVersion::of_tree(root).map_err(SelectError::from)?;
    Ok(patch_directory(
        root,
        &series_for(&version, fit)?,
        options,
        mode,
    )?)
}

/// Tells whether a kernel tree has the series that fits its version.
///
/// # Errors
/// [`PatchError`]; a tree without the patch is no error.
pub fn verify_kernel(root: &Path, fit: Fit) -> Result<TreeReport, PatchError> {
    let version = KernelVersion::of_tree(root).map_err(SelectError::from)?;
    Ok(verify_tree(root, &series_for(&version, fit)?)?)
}

fn select<'e>(
    all: &'e [Embedded],
    version: &KernelVersion,
    fit: Fit,
) -> Result<&'e Embedded, SelectError> {
    let wanted = Some((version.version, version.patchlevel));
    if let Some(exact) = all.iter().find(|e| number(e.name) == wanted) {
        return Ok(exact);
    }
    let older = all
        .iter()
        .filter(|e| number(e.name) < wanted)
        .max_by_key(|e| number(e.name));
    let newer = all
        .iter()
        .filter(|e| number(e.name) > wanted)
        .min_by_key(|e| number(e.name));
    match (older.or(newer), fit) {
        (None, _) => Err(SelectError::None),
        (Some(nearest), Fit::Nearest) => Ok(nearest),
        (Some(_), Fit::Supported) => {
            let mut supported: Vec<_> = all.iter().map(|e| e.name).collect();
            supported.sort_by_key(|name| number(name));
            Err(SelectError::Unsupported {
                found: version.clone(),
                supported,
            })
        }
    }
}

fn load(embedded: &Embedded) -> Result<Series, SelectError> {
    let entries = diff::parse_series(embedded.series).map_err(|source| SelectError::Series {
        version: embedded.name,
        source,
    })?;
    let patches = entries.iter().filter_map(|entry| {
        let (name, bytes) = embedded
            .files
            .iter()
            .find(|(name, _)| name.as_bytes() == entry.name.as_bytes())?;
        Some(SeriesPatch {
            name: (*name).into(),
            bytes: (*bytes).into(),
            strip: entry.strip,
            reverse: entry.reverse,
        })
    });
    Ok(Series {
        patches: patches.collect(),
    })
}

/// `6.12` as a pair.
fn number(name: &str) -> Option<(u32, u32)> {
    let (version, patchlevel) = name.split_once('.')?;
    Some((version.parse().ok()?, patchlevel.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Embedded] = &[
        Embedded {
            name: "6.1",
            series: b"a\n",
            files: &[("a", b"A")],
        },
        Embedded {
            name: "6.12",
            series: b"x -p2\ny\n",
            files: &[("x", b"X"), ("y", b"Y")],
        },
    ];

    fn version(version: u32, patchlevel: u32) -> KernelVersion {
        KernelVersion {
            version,
            patchlevel,
            sublevel: 7,
            extra: "-rc1".into(),
        }
    }

    #[test]
    fn the_series_of_the_version() {
        let series = load(select(TWO, &version(6, 12), Fit::Supported).unwrap()).unwrap();
        let seen: Vec<_> = series
            .patches
            .iter()
            .map(|p| (p.name.to_string(), p.strip, &*p.bytes))
            .collect();
        assert_eq!(
            seen,
            [("x".to_owned(), 2, &b"X"[..]), ("y".to_owned(), 1, b"Y")]
        );
        assert_eq!(
            select(TWO, &version(6, 1), Fit::Supported).unwrap().name,
            "6.1"
        );
    }

    #[test]
    fn other_versions_are_refused_or_forced() {
        let error = select(TWO, &version(6, 6), Fit::Supported).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("6.6.7-rc1") && text.contains("6.1, 6.12"),
            "{text}"
        );
        for (patchlevel, nearest) in [(6, "6.1"), (0, "6.1"), (13, "6.12")] {
            assert_eq!(
                select(TWO, &version(6, patchlevel), Fit::Nearest)
                    .unwrap()
                    .name,
                nearest
            );
        }
        assert!(matches!(
            select(&[], &version(6, 6), Fit::Nearest),
            Err(SelectError::None)
        ));
    }

    #[test]
    fn whatever_is_built_in_can_be_read() {
        for embedded in EMBEDDED {
            assert!(number(embedded.name).is_some(), "{}", embedded.name);
            let series = load(embedded).unwrap();
            assert_eq!(series.patches.len(), embedded.files.len());
            series.parse().unwrap();
        }
    }

    /// The table of required and excluded options against what the patches' Kconfig says.
    #[test]
    fn the_options_are_those_of_the_patches() {
        use crate::diff::LineKind;
        use crate::verify::REQUIREMENTS;
        for embedded in EMBEDDED {
            let series = load(embedded).unwrap();
            let mut depends = Vec::new();
            for patch in series.parse().unwrap() {
                for hunk in patch.files.iter().flat_map(|file| &file.hunks) {
                    let mut lines: Vec<String> = Vec::new();
                    for line in hunk.lines().filter(|line| line.kind == LineKind::Added) {
                        let text = String::from_utf8_lossy(line.text).into_owned();
                        match lines.last_mut() {
                            Some(last) if last.ends_with('\\') => {
                                *last = last.replace('\\', " ") + &text;
                            }
                            _ => lines.push(text),
                        }
                    }
                    let Some(start) = lines.iter().position(|l| l == "config KERNEL_MODE_LINUX")
                    else {
                        continue;
                    };
                    let entry = lines[start + 1..]
                        .iter()
                        .take_while(|l| !l.starts_with("config ") && l.trim() != "help");
                    depends.extend(
                        entry.filter_map(|l| {
                            l.trim().strip_prefix("depends on ").map(str::to_owned)
                        }),
                    );
                }
            }
            assert!(
                !depends.is_empty(),
                "{}: no patch adds config KERNEL_MODE_LINUX",
                embedded.name
            );
            for term in depends.iter().flat_map(|line| line.split("&&")) {
                let term = term.trim().trim_matches(['(', ')']);
                let (symbol, on) = term
                    .strip_prefix('!')
                    .map_or((term, true), |symbol| (symbol, false));
                let known = REQUIREMENTS
                    .iter()
                    .any(|r| r.symbol == symbol && r.on == on);
                assert!(known, "{}: `{term}` is not in the table", embedded.name);
            }
        }
    }
}
