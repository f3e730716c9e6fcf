//! Digests of blobs, checked while the bytes pass by.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::source::error::SourceError;

/// A running hash of one of the algorithms of the image specification.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Hasher {
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    pub(crate) fn new(algorithm: &DigestAlgorithm) -> Option<Self> {
        Some(match algorithm {
            DigestAlgorithm::Sha256 => Self::sha256(),
            DigestAlgorithm::Sha384 => Self::Sha384(Sha384::new()),
            DigestAlgorithm::Sha512 => Self::Sha512(Sha512::new()),
            _ => return None,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha384(_) => "sha384",
            Self::Sha512(_) => "sha512",
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// `algorithm:hex`
    pub(crate) fn finish(self) -> String {
        let name = self.name();
        let bytes: Vec<u8> = match self {
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha384(hash) => hash.finalize().to_vec(),
            Self::Sha512(hash) => hash.finalize().to_vec(),
        };
        let mut text = String::with_capacity(name.len() + 1 + 2 * bytes.len());
        text.push_str(name);
        text.push(':');
        for byte in bytes {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        text
    }
}

/// Parses a digest and sees that its algorithm can be checked.
pub(crate) fn parse(what: &str, text: &str) -> Result<Digest, SourceError> {
    let unsupported = || SourceError::UnsupportedDigest {
        what: what.to_owned(),
        digest: text.to_owned(),
    };
    let digest = Digest::from_str(text).map_err(|_| unsupported())?;
    Hasher::new(digest.algorithm()).ok_or_else(unsupported)?;
    Ok(digest)
}

/// What a run of bytes must be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    pub(crate) digest: Option<Digest>,
    pub(crate) size: Option<u64>,
}

impl Expected {
    pub(crate) fn is_nothing(&self) -> bool {
        self.digest.is_none() && self.size.is_none()
    }
}

/// Passes bytes on, and fails at their end (or as soon as there are too many) unless they are the
/// expected ones. The error is a [`SourceError`] inside the `io::Error`.
#[derive(Debug)]
pub(crate) struct Verify<R> {
    inner: R,
    what: String,
    hasher: Option<Hasher>,
    expected: Expected,
    seen: u64,
}

impl<R: Read> Verify<R> {
    pub(crate) fn new(inner: R, what: &str, expected: Expected) -> Self {
        let hasher = expected
            .digest
            .as_ref()
            .and_then(|digest| Hasher::new(digest.algorithm()));
        Self {
            inner,
            what: what.to_owned(),
            hasher,
            expected,
            seen: 0,
        }
    }

    /// Reads to the end, which checks what was expected.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    /// Bytes that passed.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    fn size_mismatch(&self, expected: u64) -> io::Error {
        SourceError::SizeMismatch {
            what: self.what.clone(),
            expected,
            actual: self.seen,
        }
        .into()
    }
}

impl<R: Read> Read for Verify<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        self.seen += read as u64;
        if let Some(size) = self.expected.size
            && (self.seen > size || read == 0 && self.seen < size)
        {
            return Err(self.size_mismatch(size));
        }
        if read > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..read]);
            }
            return Ok(read);
        }
        if let (Some(hasher), Some(expected)) = (self.hasher.take(), &self.expected.digest) {
            let actual = hasher.finish();
            if actual != expected.as_ref() {
                return Err(SourceError::DigestMismatch {
                    what: self.what.clone(),
                    expected: expected.to_string(),
                    actual,
                }
                .into());
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(digest: &str, size: u64) -> Expected {
        Expected {
            digest: Some(parse("it", digest).unwrap()),
            size: Some(size),
        }
    }

    /// The digest of `abc` from FIPS 180.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn right_bytes_pass() {
        let mut text = Vec::new();
        Verify::new(&b"abc"[..], "it", expected(ABC, 3))
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text, b"abc");
    }

    #[test]
    fn wrong_bytes_and_wrong_sizes_do_not() {
        for (bytes, size, wanted) in [
            (&b"abd"[..], 3, "damaged or was changed"),
            (b"ab", 3, "has 2 bytes, not 3"),
            (b"abc", 2, "has 3 bytes, not 2"),
        ] {
            let error = Verify::new(bytes, "it", expected(ABC, size))
                .drain()
                .unwrap_err();
            let error = SourceError::lift(error).unwrap();
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }

    #[test]
    fn digests_that_cannot_be_checked_are_refused() {
        for text in [
            "",
            "sha256",
            "sha256:zz",
            "md5:00",
            "sha256:../../etc/passwd",
        ] {
            assert!(parse("it", text).is_err(), "{text}");
        }
    }
}
