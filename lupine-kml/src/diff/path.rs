//! Names in patches: C-style quoting, stripping, and paths that stay inside a tree.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::text::Text;

/// Directory at the root of a patched tree that holds our journal and record.
pub const STATE_DIR: &str = ".lupine";

/// A relative path that names something inside a tree: no leading `/`, no `..`, no NUL, no
/// `.git` and no [`STATE_DIR`]; single slashes and no `.` components.
///
/// Whether a symbolic link leads out of the tree is asked of the tree itself, on access.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Box<[u8]>);

/// A name that cannot be a path inside a tree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing is left of the name.
    #[error("nothing is left of the name `{name}` after {strip} leading components are stripped")]
    Empty {
        /// The name as it stands in the patch.
        name: Text,
        /// Components stripped.
        strip: usize,
    },
    /// The name is absolute.
    #[error("`{0}` is absolute; a patch names files inside the tree")]
    Absolute(Text),
    /// The name has a `..` component.
    #[error("`{0}` has a `..`; a patch names files inside the tree")]
    Parent(Text),
    /// The name has a NUL byte.
    #[error("`{0}` has a NUL byte")]
    Nul(Text),
    /// The name lies in a repository's or in our own administrative directory.
    #[error("`{0}` lies in an administrative directory that no patch may touch")]
    Reserved(Text),
}

impl TreePath {
    /// Checks a name as it is, without stripping.
    ///
    /// # Errors
    /// A [`PathError`] for each way of naming something outside the tree.
    pub fn new(name: &[u8]) -> Result<Self, PathError> {
        if name.first() == Some(&b'/') {
            return Err(PathError::Absolute(name.into()));
        }
        if memchr::memchr(0, name).is_some() {
            return Err(PathError::Nul(name.into()));
        }
        let mut path = Vec::with_capacity(name.len());
        for part in name.split(|&b| b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(PathError::Parent(name.into())),
                _ => {}
            }
            if part.eq_ignore_ascii_case(b".git")
                || (path.is_empty() && part == STATE_DIR.as_bytes())
            {
                return Err(PathError::Reserved(name.into()));
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        if path.is_empty() {
            return Err(PathError::Empty {
                name: name.into(),
                strip: 0,
            });
        }
        Ok(Self(path.into()))
    }

    /// The path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components, first to last.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/')
    }

    /// The last component.
    pub fn file_name(&self) -> &[u8] {
        self.components().next_back().unwrap_or(&self.0)
    }

    /// The directory that holds this path; `None` at the root of the tree.
    pub fn parent(&self) -> Option<Self> {
        let slash = memchr::memrchr(b'/', &self.0)?;
        Some(Self(self.0[..slash].into()))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Saved as shown: quoted in the style of C where a byte needs it.
impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shown = Cow::<str>::deserialize(deserializer)?;
        let name = match unquote(shown.as_bytes()) {
            Some((name, b"")) => Cow::Owned(name),
            Some(_) => return Err(serde::de::Error::custom("text after a quoted path")),
            None => Cow::Borrowed(shown.as_bytes()),
        };
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

/// A file name as a patch writes it, unquoted but not stripped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<'a> {
    /// The bytes.
    pub bytes: Cow<'a, [u8]>,
    /// Whether `a/` or `b/` stands before it: not so in `rename from` and its kin.
    pub prefixed: bool,
}

impl Name<'_> {
    /// The path inside the tree once `strip` leading components are gone, as `patch -pN` does:
    /// a run of slashes counts as one. A name without prefix loses one component less.
    ///
    /// # Errors
    /// [`PathError`] where too little is left, or the rest leaves the tree.
    pub fn resolve(&self, strip: usize) -> Result<TreePath, PathError> {
        let count = if self.prefixed {
            strip
        } else {
            strip.saturating_sub(1)
        };
        let mut rest: &[u8] = &self.bytes;
        for _ in 0..count {
            let Some(slash) = memchr::memchr(b'/', rest) else {
                return Err(PathError::Empty {
                    name: (&*self.bytes).into(),
                    strip: count,
                });
            };
            rest = &rest[slash..];
            while let [b'/', tail @ ..] = rest {
                rest = tail;
            }
        }
        TreePath::new(rest).map_err(|error| match error {
            PathError::Empty { .. } => PathError::Empty {
                name: (&*self.bytes).into(),
                strip: count,
            },
            other => other,
        })
    }
}

/// Reads a name in double quotes with the escapes of C; gives it and what follows the quote.
///
/// `None` if `input` does not start with a quote, does not end one, or has an unknown escape.
pub(super) fn unquote(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let [b'"', rest @ ..] = input else {
        return None;
    };
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        match *rest.get(at)? {
            b'"' => return Some((out, &rest[at + 1..])),
            b'\\' => {
                at += 1;
                let byte = match *rest.get(at)? {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    c @ (b'"' | b'\\') => c,
                    c @ b'0'..=b'3' => {
                        let digit = |i: usize| match rest.get(at + i) {
                            Some(d @ b'0'..=b'7') => Some(d - b'0'),
                            _ => None,
                        };
                        let value = (c - b'0') * 64 + digit(1)? * 8 + digit(2)?;
                        at += 2;
                        value
                    }
                    _ => return None,
                };
                out.push(byte);
            }
            b'\n' => return None,
            byte => out.push(byte),
        }
        at += 1;
    }
}

/// The name as `git` shows it: quoted with C escapes if a control byte, quote, backslash or a
/// byte over 0x7f is in it.
fn quote(name: &[u8]) -> String {
    use std::fmt::Write as _;
    let plain = |b: &u8| (0x20..0x7f).contains(b) && !matches!(b, b'"' | b'\\');
    if name.iter().all(plain) {
        return name.iter().copied().map(char::from).collect();
    }
    let mut out = String::from('"');
    for &byte in name {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            byte if plain(&byte) => out.push(char::from(byte)),
            byte => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> Name<'_> {
        Name {
            bytes: Cow::Borrowed(bytes),
            prefixed: true,
        }
    }

    #[test]
    fn strip_counts_runs_of_slashes_once() {
        assert_eq!(name(b"a//b///c").resolve(1).unwrap().as_bytes(), b"b/c");
        assert_eq!(name(b"a//b///c").resolve(2).unwrap().as_bytes(), b"c");
        assert_eq!(
            name(b"/usr/src/x").resolve(1).unwrap().as_bytes(),
            b"usr/src/x"
        );
        assert!(matches!(
            name(b"a/b").resolve(2),
            Err(PathError::Empty { .. })
        ));
    }

    #[test]
    fn nothing_leaves_the_tree() {
        for bad in [
            &b"/etc/passwd"[..],
            b"../x",
            b"a/../../x",
            b"..",
            b"a/..",
            b".git/config",
            b"sub/.GIT/hooks/x",
            b".lupine/x",
            b"a\0b",
        ] {
            assert!(TreePath::new(bad).is_err(), "{bad:?}");
        }
        for good in [&b"a..b"[..], b"...", b".gitignore", b"x/.lupine"] {
            assert!(TreePath::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn quoting_and_back() {
        for bytes in [
            &b"plain"[..],
            b"t\tab",
            b"\xc3\xbcber \"x\"\\",
            b"\x01\x7f\xff\nz",
        ] {
            let shown = quote(bytes);
            match unquote(shown.as_bytes()) {
                Some((back, rest)) => {
                    assert_eq!(back, bytes);
                    assert!(rest.is_empty());
                }
                None => assert_eq!(shown.as_bytes(), bytes),
            }
            let path = TreePath::new(bytes).unwrap();
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<TreePath>(&json).unwrap(), path);
        }
        for bad in [&b"\"open"[..], b"\"\\q\"", b"\"\\400\"", b"\"\\12\""] {
            assert!(unquote(bad).is_none(), "{bad:?}");
        }
    }
}
