//! What differs between two `.config` files, without the tree that they belong to.
//!
//! ```
//! use lupine_kconfig::difference::differences;
//! let old = b"CONFIG_A=y\n# CONFIG_B is not set\n";
//! let new = b"CONFIG_B=m\nCONFIG_NAME=\"x\"\n";
//! let text: String = differences(old, new, "CONFIG_")
//!     .iter()
//!     .map(|change| format!("{change}\n"))
//!     .collect();
//! assert_eq!(text, "-A y\n B n -> m\n+NAME \"x\"\n");
//! ```

use std::collections::BTreeMap;
use std::fmt;

/// One option that two files disagree about. Values are as the files spell them; `n` for an
/// option that is said to be not set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The option, without prefix.
    pub symbol: String,
    /// Its value in the first file; `None` where the file does not mention it.
    pub old: Option<String>,
    /// Its value in the second file.
    pub new: Option<String>,
}

impl fmt::Display for Change {
    /// As the kernel's `scripts/diffconfig` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = &self.symbol;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, " {symbol} {old} -> {new}"),
            (Some(old), None) => write!(f, "-{symbol} {old}"),
            (None, Some(new)) => write!(f, "+{symbol} {new}"),
            (None, None) => Ok(()),
        }
    }
}

/// The options that differ: first those that only `old` mentions, then those whose values differ,
/// then those that only `new` mentions; each by name. Lines that assign nothing are passed over.
pub fn differences(old: &[u8], new: &[u8], prefix: &str) -> Vec<Change> {
    let (old, new) = (values(old, prefix), values(new, prefix));
    let change = |symbol: &String| Change {
        symbol: symbol.clone(),
        old: old.get(symbol).cloned(),
        new: new.get(symbol).cloned(),
    };
    let removed = old.keys().filter(|symbol| !new.contains_key(*symbol));
    let changed = old
        .iter()
        .filter(|(symbol, value)| new.get(*symbol).is_some_and(|other| other != *value))
        .map(|(symbol, _)| symbol);
    let added = new.keys().filter(|symbol| !old.contains_key(*symbol));
    removed.chain(changed).chain(added).map(change).collect()
}

/// The values that a file gives, the last of each option.
fn values(text: &[u8], prefix: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if let Some((name, value)) = line
            .strip_prefix(prefix)
            .and_then(|rest| rest.split_once('='))
        {
            values.insert(name.to_owned(), value.to_owned());
        } else if let Some(name) = line
            .strip_prefix("# ")
            .and_then(|rest| rest.strip_prefix(prefix))
            .and_then(|rest| rest.strip_suffix(" is not set"))
        {
            values.insert(name.to_owned(), "n".to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_assigns_nothing_is_passed_over() {
        let odd = b"#\n# a comment\nCONFIG_A\nX=y\n\xff\nCONFIG_B=1\r\nCONFIG_B=2\n";
        assert_eq!(
            differences(odd, b"CONFIG_B=2\n", "CONFIG_"),
            [],
            "the last value of B is the same"
        );
        assert_eq!(differences(b"A=y\n", b"", "")[0].symbol, "A");
    }
}
