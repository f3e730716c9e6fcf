//! What an application's own configuration files ask of the kernel.
//!
//! A program's code says that it can listen on IPv6; whether it does, and fails where it cannot,
//! stands in its configuration. Read are the files below `/etc/NAME`, where `NAME` is the
//! program's, and those that its arguments name.

use std::collections::BTreeSet;

use super::analyse::{Entry, Files, FilesError};
use super::requirement::{Evidence, Needs, Requirement, Strength};

/// The longest configuration file that is read, in bytes: longer ones are data.
const LONGEST: usize = 256 << 10;

/// How many files are looked at.
const MOST: usize = 500;

/// Addresses that only an IPv6 socket can be bound or connected to, as URLs, nginx, Apache
/// (`[::]:80`) and HAProxy (`:::80`) write them.
const IPV6: [&str; 2] = ["[::", " :::"];

/// Adds what the configuration of `program` (a path in the image) asks for.
///
/// # Errors
/// The image cannot be read.
pub(super) fn add_needs(
    files: &dyn Files,
    entry: &Entry,
    program: &str,
    needs: &mut Needs,
) -> Result<(), FilesError> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let named = entry.argv.iter().skip(1);
    let named = named.filter(|argument| argument.starts_with('/')).cloned();
    let paths: BTreeSet<String> = files
        .below(&format!("/etc/{name}"))
        .into_iter()
        .chain(named)
        .take(MOST)
        .collect();
    if paths.is_empty() {
        return Ok(());
    }
    for (file, bytes) in files.read(&paths)? {
        let Some(text) = text_of(&bytes) else {
            continue;
        };
        if let Some(line) = text.lines().find(|line| asks_for_ipv6(line)) {
            let text = line.trim().to_owned();
            needs.add(
                Requirement::Socket("INET6".to_owned()),
                Strength::Required,
                Evidence::Text { file, text },
            );
        }
    }
    Ok(())
}

/// A file's text, where it is one of a length that people write.
fn text_of(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= LONGEST && !text.contains('\0'))
}

fn asks_for_ipv6(line: &str) -> bool {
    let line = line.trim_start();
    let is_comment = ["#", ";", "//"].iter().any(|mark| line.starts_with(mark));
    !is_comment && IPV6.iter().any(|address| line.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_seen_and_comments_are_not() {
        for line in [
            "listen [::]:80 default_server;",
            "  Listen [::1]:8080",
            "bind :::80 v4v6",
            "proxy_pass http://[::1]:3000/;",
        ] {
            assert!(asks_for_ipv6(line), "{line}");
        }
        for line in [
            "# listen [::]:80;",
            "\t#listen [::]:80;",
            "listen 80;",
            "bind 127.0.0.1 -::1",
            "std::string a;",
            "pattern [[:alpha:]]",
        ] {
            assert!(!asks_for_ipv6(line), "{line}");
        }
    }

    #[test]
    fn data_is_not_read() {
        assert_eq!(text_of(b"a\0b"), None);
        assert_eq!(text_of(b"\xff"), None);
        assert_eq!(text_of(&vec![b'a'; LONGEST + 1]), None);
    }
}
