//! Patches in the order in which they go on a tree.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::diff::{self, ParseError, Patch, SeriesError, Text};

/// A stack of patches: read from a `series` file and its directory, a single file, or embedded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// The patches, first to apply first.
    pub patches: Vec<SeriesPatch>,
}

/// One patch of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesPatch {
    /// Its name, for reports.
    pub name: Text,
    /// The patch file's bytes.
    pub bytes: Cow<'static, [u8]>,
    /// Leading components to strip from names.
    pub strip: usize,
    /// Whether the series takes this patch back instead of applying it.
    pub reverse: bool,
}

/// Why a series cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The series file is malformed.
    #[error("`{}`", .path.display())]
    Series {
        /// The series file.
        path: PathBuf,
        /// What is wrong with it.
        source: SeriesError,
    },
    /// A patch is malformed.
    #[error("patch `{name}`")]
    Patch {
        /// The patch.
        name: Text,
        /// What is wrong with it.
        source: ParseError,
    },
}

impl Series {
    /// A series of one patch, applied with `-p1`.
    pub fn single(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        let patch = SeriesPatch {
            name: name.into(),
            bytes: bytes.into(),
            strip: 1,
            reverse: false,
        };
        Self {
            patches: vec![patch],
        }
    }

    /// Reads one patch file.
    ///
    /// # Errors
    /// [`LoadError::Io`].
    pub fn read_patch(path: &Path) -> Result<Self, LoadError> {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self::single(&name.to_string_lossy(), read(path)?))
    }

    /// Reads `DIRECTORY/series` and the patches it lists.
    ///
    /// # Errors
    /// [`LoadError`]; a series file may not name patches outside its directory.
    pub fn read_directory(directory: &Path) -> Result<Self, LoadError> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = directory.join("series");
        let entries = diff::parse_series(&read(&path)?)
            .map_err(|source| LoadError::Series { path, source })?;
        let patches = entries.into_iter().map(|entry| {
            let file = directory.join(std::ffi::OsStr::from_bytes(entry.name.as_bytes()));
            let bytes = read(&file)?.into();
            let name = entry.name.as_bytes().into();
            Ok(SeriesPatch {
                name,
                bytes,
                strip: entry.strip,
                reverse: entry.reverse,
            })
        });
        Ok(Self {
            patches: patches.collect::<Result<_, LoadError>>()?,
        })
    }

    /// Reads every patch of the series.
    ///
    /// # Errors
    /// [`LoadError::Patch`] for the first that is malformed.
    pub fn parse(&self) -> Result<Vec<Patch<'_>>, LoadError> {
        self.patches
            .iter()
            .map(|patch| {
                Patch::parse(&patch.bytes).map_err(|source| LoadError::Patch {
                    name: patch.name.clone(),
                    source,
                })
            })
            .collect()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|source| LoadError::Io {
        path: path.to_owned(),
        source,
    })
}
