//! The `series` file of a stack of patches, as quilt writes it.

use super::error::SeriesError;
use super::path::TreePath;
use super::text::Text;

/// One line of a series file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesEntry {
    /// The patch file, relative to the series file's directory.
    pub name: TreePath,
    /// Leading components to strip from names; 1 unless `-pN` says otherwise.
    pub strip: usize,
    /// Whether `-R` asks for the patch to be taken back.
    pub reverse: bool,
    /// Line in the series file, from 1.
    pub line: usize,
}

/// Reads a series file: one patch per line with `-pN` and `-R` after it; `#` starts a comment at
/// the start of a line or after white space; blank lines are nothing.
///
/// # Errors
/// An option that is not known, or a name that leaves the series directory.
///
/// ```
/// let entries = lupine_kml::diff::parse_series(b"# ours\n01-entry.patch\n02-exec.patch -p0 # odd\n")?;
/// assert_eq!(entries[1].name.as_bytes(), b"02-exec.patch");
/// assert_eq!((entries[0].strip, entries[1].strip), (1, 0));
/// # Ok::<(), lupine_kml::diff::SeriesError>(())
/// ```
pub fn parse_series(input: &[u8]) -> Result<Vec<SeriesEntry>, SeriesError> {
    let mut entries = Vec::new();
    for (number, text) in input.split(|&b| b == b'\n').enumerate() {
        let line = number + 1;
        let mut words = text
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .take_while(|word| !word.starts_with(b"#"));
        let Some(name) = words.next() else { continue };
        let name_error = || SeriesError::Name {
            line,
            name: Text::from(name),
        };
        let name = TreePath::new(name).map_err(|_| name_error())?;
        let mut entry = SeriesEntry {
            name,
            strip: 1,
            reverse: false,
            line,
        };
        let mut strip_follows = false;
        for word in words {
            let option_error = || SeriesError::Option {
                line,
                option: Text::from(word),
            };
            let digits = match word {
                digits if strip_follows => digits,
                b"-R" | b"--reverse" => {
                    entry.reverse = true;
                    continue;
                }
                b"-p" => {
                    strip_follows = true;
                    continue;
                }
                // quilt's notation for patches made between `dir.orig` and `dir`.
                b"-pab" => b"1",
                word => word
                    .strip_prefix(b"--strip=")
                    .or_else(|| word.strip_prefix(b"-p"))
                    .ok_or_else(option_error)?,
            };
            strip_follows = false;
            entry.strip = match digits {
                [d @ b'0'..=b'9'] => usize::from(d - b'0'),
                [t @ b'0'..=b'9', d @ b'0'..=b'9'] => {
                    usize::from(t - b'0') * 10 + usize::from(d - b'0')
                }
                _ => return Err(option_error()),
            };
        }
        if strip_follows {
            return Err(SeriesError::Option {
                line,
                option: "-p".into(),
            });
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_options() {
        let entries = parse_series(
            b"\n#all\n a/b.patch -p2 -R\r\nc.diff -p 0 #x\n  # d\ne#f.patch\ng -pab\n",
        )
        .unwrap();
        let seen: Vec<_> = entries
            .iter()
            .map(|e| (e.name.to_string(), e.strip, e.reverse, e.line))
            .collect();
        assert_eq!(
            seen,
            [
                ("a/b.patch".to_owned(), 2, true, 3),
                ("c.diff".to_owned(), 0, false, 4),
                ("e#f.patch".to_owned(), 1, false, 6),
                ("g".to_owned(), 1, false, 7)
            ]
        );
        assert!(parse_series(b"").unwrap().is_empty());
    }

    #[test]
    fn refused() {
        assert!(matches!(
            parse_series(b"x\ny -F3"),
            Err(SeriesError::Option { line: 2, .. })
        ));
        assert!(matches!(
            parse_series(b"x -p"),
            Err(SeriesError::Option { .. })
        ));
        assert!(matches!(
            parse_series(b"x -p100"),
            Err(SeriesError::Option { .. })
        ));
        assert!(matches!(
            parse_series(b"../x"),
            Err(SeriesError::Name { line: 1, .. })
        ));
        assert!(matches!(parse_series(b"/x"), Err(SeriesError::Name { .. })));
    }
}
