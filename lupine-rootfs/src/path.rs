//! Paths inside a file tree: bytes, relative to the tree's root, never outside it.
//!
//! Images are made elsewhere, by anyone, so a path is untrusted input: it may be absolute, climb
//! with `..`, hold empty components, or be too long for a file system. [`TreePath::new`] turns all
//! spellings of one place into one value, and refuses what names no place inside the root.

use thiserror::Error;

/// Longest file name ext2 holds, in bytes.
pub const MAX_NAME: usize = 255;

/// Deepest nesting of directories accepted: what `PATH_MAX` (4096) can name with one-byte names.
pub const MAX_DEPTH: usize = 2048;

/// A normalised path: components joined by `/`, no leading or trailing `/`, none of them empty,
/// `.` or `..`; the root itself is the empty path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Vec<u8>);

/// A path that cannot stand for a place inside a tree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError {
    /// `..` components climb above the root.
    #[error("path `{}` leads outside the root", .path.escape_ascii())]
    Escape {
        /// The path as given.
        path: Vec<u8>,
    },
    /// A component is longer than [`MAX_NAME`].
    #[error("name of {len} bytes in path `{}`: names hold at most {MAX_NAME} bytes", .path.escape_ascii())]
    NameTooLong {
        /// The path as given.
        path: Vec<u8>,
        /// Length of the component, in bytes.
        len: usize,
    },
    /// A component holds a zero byte.
    #[error("zero byte in path `{}`", .path.escape_ascii())]
    ZeroByte {
        /// The path as given.
        path: Vec<u8>,
    },
    /// What should be one component is several, or none.
    #[error("`{}` is not the name of one file", .name.escape_ascii())]
    NotAName {
        /// The name as given.
        name: Vec<u8>,
    },
    /// More than [`MAX_DEPTH`] components.
    #[error("path of {depth} components: at most {MAX_DEPTH} are supported")]
    TooDeep {
        /// Number of components.
        depth: usize,
    },
}

impl TreePath {
    /// Normalises `path`: leading `/`, empty components and `.` vanish, and `..` removes the
    /// component before it by name alone, as POSIX tools clean archive member names.
    ///
    /// # Errors
    /// [`PathError`] when `..` would climb above the root, a name is longer than [`MAX_NAME`] or
    /// holds a zero byte, or the path is deeper than [`MAX_DEPTH`].
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let path = path.as_ref();
        if path.contains(&0) {
            return Err(PathError::ZeroByte {
                path: path.to_vec(),
            });
        }
        let mut clean: Vec<&[u8]> = Vec::new();
        for component in path.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    if clean.pop().is_none() {
                        return Err(PathError::Escape {
                            path: path.to_vec(),
                        });
                    }
                }
                name if name.len() > MAX_NAME => {
                    let len = name.len();
                    return Err(PathError::NameTooLong {
                        path: path.to_vec(),
                        len,
                    });
                }
                name => clean.push(name),
            }
        }
        if clean.len() > MAX_DEPTH {
            return Err(PathError::TooDeep { depth: clean.len() });
        }
        Ok(Self(clean.join(&b'/')))
    }

    /// The root of the tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, without a leading `/`; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components, from the root downwards.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0
            .split(|&byte| byte == b'/')
            .filter(|name| !name.is_empty())
    }

    /// The last component and the path of the directory that holds it; `None` for the root.
    pub fn split_last(&self) -> Option<(TreePath, &[u8])> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => Some((TreePath(self.0[..slash].to_vec()), &self.0[slash + 1..])),
            None => Some((TreePath::root(), &self.0)),
        }
    }

    /// A path from bytes that are already normal.
    pub(crate) fn from_clean(bytes: Vec<u8>) -> TreePath {
        TreePath(bytes)
    }

    /// The path of `name` in the directory this path names. `name` must be one valid component,
    /// as the names held by a [`FileTree`](crate::FileTree) are.
    pub(crate) fn child(&self, name: &[u8]) -> TreePath {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        TreePath(bytes)
    }
}

impl std::fmt::Display for TreePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_place_are_one_path() {
        for path in [
            "usr/bin",
            "/usr/bin",
            "./usr//bin/",
            "usr/lib/../bin",
            "/./usr/./bin/.",
        ] {
            assert_eq!(
                TreePath::new(path).unwrap().as_bytes(),
                b"usr/bin",
                "{path}"
            );
        }
        for path in ["", "/", "./", "a/.."] {
            assert!(TreePath::new(path).unwrap().is_root(), "{path}");
        }
    }

    #[test]
    fn escapes_and_impossible_names_are_refused() {
        assert!(matches!(
            TreePath::new("../etc"),
            Err(PathError::Escape { .. })
        ));
        assert!(matches!(
            TreePath::new("a/../../etc"),
            Err(PathError::Escape { .. })
        ));
        assert!(matches!(
            TreePath::new("a\0b"),
            Err(PathError::ZeroByte { .. })
        ));
        let long = "x".repeat(256);
        assert!(matches!(
            TreePath::new(&long),
            Err(PathError::NameTooLong { len: 256, .. })
        ));
        let deep = "a/".repeat(MAX_DEPTH + 1);
        assert!(matches!(
            TreePath::new(&deep),
            Err(PathError::TooDeep { .. })
        ));
    }
}
