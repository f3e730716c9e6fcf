//! Patterns in `source`, as coreboot and Zephyr write them.

use crate::Environment;
use crate::files::Files;

/// The files whose names match, sorted; looked up as spelled, then below `srctree`.
pub(crate) fn matches(
    files: &dyn Files,
    environment: &Environment,
    pattern: &[u8],
) -> Vec<Vec<u8>> {
    let found = expand(files, pattern);
    if !found.is_empty() || pattern.first() == Some(&b'/') {
        return found;
    }
    let Some(srctree) = environment.get(b"srctree".as_slice()) else {
        return found;
    };
    let prefix = [srctree.as_slice(), b"/"].concat();
    expand(files, &[prefix.as_slice(), pattern].concat())
        .into_iter()
        .map(|name| name[prefix.len()..].to_vec())
        .collect()
}

fn expand(files: &dyn Files, pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = vec![Vec::new()];
    for (index, part) in pattern.split(|byte| *byte == b'/').enumerate() {
        let special = part.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
        found = found
            .into_iter()
            .flat_map(|directory| {
                let names = if special {
                    let mut names = files.list(&directory);
                    names.retain(|name| {
                        fits(part, name) && (part[0] == b'.' || name.first() != Some(&b'.'))
                    });
                    names
                } else {
                    vec![part.to_vec()]
                };
                names.into_iter().map(move |name| {
                    if index == 0 {
                        name
                    } else {
                        [directory.as_slice(), b"/", &name].concat()
                    }
                })
            })
            .collect();
    }
    found.retain(|name| !files.is_directory(name) && files.read(name).is_ok());
    found.sort();
    found
}

/// Whether a name fits a pattern of `*`, `?` and `[a-z]`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(b'[') => {
                if let Some((matched, length)) = class(&pattern[p..], name[n])
                    && matched
                {
                    p += length;
                    n += 1;
                    continue;
                }
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        match &mut star {
            Some((at, consumed)) => {
                *consumed += 1;
                (p, n) = (*at + 1, *consumed);
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether the class at the start of the pattern has the byte, and its length.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let end = pattern.iter().skip(2).position(|byte| *byte == b']')? + 2;
    let mut inside = &pattern[1..end];
    let negated = matches!(inside.first(), Some(b'!' | b'^'));
    inside = &inside[usize::from(negated)..];
    let mut matched = false;
    while let Some(first) = inside.first() {
        if inside.len() >= 3 && inside[1] == b'-' {
            matched |= (*first..=inside[2]).contains(&byte);
            inside = &inside[3..];
        } else {
            matched |= *first == byte;
            inside = &inside[1..];
        }
    }
    Some((matched != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::MemoryFiles;

    #[test]
    fn stars_stay_within_one_directory() {
        let files = MemoryFiles::from([
            ("src/b/Kconfig", ""),
            ("src/a/Kconfig", ""),
            ("src/a/x/Kconfig", ""),
            ("src/.h/Kconfig", ""),
        ]);
        let names = matches(&files, &Environment::new(), b"src/*/Kconfig");
        assert_eq!(
            names,
            [b"src/a/Kconfig".to_vec(), b"src/b/Kconfig".to_vec()]
        );
        assert!(matches(&files, &Environment::new(), b"none/*").is_empty());
    }

    #[test]
    fn patterns() {
        assert!(fits(b"Kconfig.[a-c]*", b"Kconfig.board"));
        assert!(!fits(b"Kconfig.[!a-c]*", b"Kconfig.board"));
    }
}
