//! Where Kconfig and configuration files come from.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Read access to files by the name the input spells: relative to the object directory, or
/// absolute. The search in `$srctree` is done by the caller of this trait.
pub trait Files {
    /// The whole file.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says; a missing file is [`io::ErrorKind::NotFound`].
    fn read(&self, path: &[u8]) -> io::Result<Vec<u8>>;

    /// Whether the path names a directory.
    fn is_directory(&self, path: &[u8]) -> bool;

    /// Names in a directory, sorted, without `.` and `..`; empty when it cannot be read. Only
    /// dialects with patterns in `source` ask.
    fn list(&self, path: &[u8]) -> Vec<Vec<u8>>;
}

/// Reads a file by name, then below the environment's `srctree` unless the name is absolute.
pub(crate) fn search(
    files: &dyn Files,
    environment: &crate::Environment,
    name: &[u8],
) -> Option<Vec<u8>> {
    if let Ok(bytes) = files.read(name) {
        return Some(bytes);
    }
    if name.first() == Some(&b'/') {
        return None;
    }
    let srctree = environment.get(b"srctree".as_slice())?;
    files.read(&[srctree, b"/".as_slice(), name].concat()).ok()
}

/// Files of the operating system below a directory.
#[derive(Clone, Debug)]
pub struct DirFiles {
    root: PathBuf,
}

impl DirFiles {
    /// Relative names are looked up in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn resolve(&self, path: &[u8]) -> PathBuf {
        let path = to_path(path);
        if self.root.as_os_str().is_empty() || self.root == Path::new(".") {
            path
        } else {
            self.root.join(path)
        }
    }
}

#[cfg(unix)]
fn to_path(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

#[cfg(not(unix))]
fn to_path(path: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
}

impl Files for DirFiles {
    fn read(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        std::fs::read(self.resolve(path))
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        self.resolve(path).is_dir()
    }

    fn list(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let path = if path.is_empty() {
            b".".as_slice()
        } else {
            path
        };
        let mut names: Vec<Vec<u8>> = std::fs::read_dir(self.resolve(path))
            .map(|entries| {
                entries
                    .filter_map(Result::ok)
                    .map(|entry| entry.file_name().into_encoded_bytes())
                    .collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }
}

/// Files held in memory, by the exact name they are asked for.
///
/// ```
/// use lupine_kconfig::{Files, MemoryFiles};
/// let files = MemoryFiles::from([("Kconfig", "config A\n\tbool\n")]);
/// assert!(files.read(b"Kconfig").is_ok());
/// assert!(files.read(b"missing").is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryFiles {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<Vec<u8>>, contents: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), contents.into());
    }
}

impl<P: Into<Vec<u8>>, C: Into<Vec<u8>>, const N: usize> From<[(P, C); N]> for MemoryFiles {
    fn from(files: [(P, C); N]) -> Self {
        Self {
            files: files
                .into_iter()
                .map(|(path, text)| (path.into(), text.into()))
                .collect(),
        }
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        let mut prefix = path.to_vec();
        prefix.push(b'/');
        self.files
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(&prefix))
    }

    fn list(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let mut prefix = path.to_vec();
        if !prefix.is_empty() && !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        let mut names: Vec<Vec<u8>> = self
            .files
            .keys()
            .filter_map(|name| name.strip_prefix(prefix.as_slice()))
            .filter_map(|rest| rest.split(|byte| *byte == b'/').next())
            .map(<[u8]>::to_vec)
            .collect();
        names.dedup();
        names
    }
}
