//! The form of the init's file: NUL-terminated fields, and what can be wrong with them.

use super::bytes::ByteString;

/// Why a configuration cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitConfigError {
    /// No program is named.
    #[error("the guest has no program to run: neither an entry point nor a command is set")]
    NoProgram,
    /// A value holds a NUL byte, which Linux has no way to pass on.
    #[error("a NUL byte in the `{directive}` value `{value}`, which Linux cannot hold")]
    Nul {
        /// The directive that the value is for.
        directive: String,
        /// The value.
        value: ByteString,
    },
    /// The file does not begin as version 1 does.
    #[error("not an init configuration of version 1")]
    Magic,
    /// The file ends within a directive or without `end`.
    #[error("the init configuration ends in the middle, at byte {offset}")]
    CutShort {
        /// Where the incomplete field begins.
        offset: usize,
    },
    /// A directive of no known name.
    #[error("unknown directive `{word}` at byte {offset}")]
    Directive {
        /// Its name.
        word: ByteString,
        /// Where it begins.
        offset: usize,
    },
    /// A field is not of the form that its directive needs.
    #[error("the field `{value}` before byte {offset} is not {expected}")]
    Field {
        /// What the file has.
        value: ByteString,
        /// Where the field ends.
        offset: usize,
        /// What it should be.
        expected: &'static str,
    },
}

pub(super) fn decimal(number: u32) -> Vec<u8> {
    number.to_string().into_bytes()
}

pub(super) fn octal(mode: u32) -> Vec<u8> {
    format!("0{mode:o}").into_bytes()
}

pub(super) fn put(
    out: &mut Vec<u8>,
    directive: &str,
    fields: &[&[u8]],
) -> Result<(), InitConfigError> {
    out.extend_from_slice(directive.as_bytes());
    out.push(0);
    for field in fields {
        if field.contains(&0) {
            let directive = directive.to_owned();
            return Err(InitConfigError::Nul {
                directive,
                value: (*field).into(),
            });
        }
        out.extend_from_slice(field);
        out.push(0);
    }
    Ok(())
}

/// The NUL-terminated fields of a file.
pub(super) struct Fields<'a> {
    pub(super) bytes: &'a [u8],
    /// Where the next field begins.
    pub(super) at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn peek(&self) -> Result<&'a [u8], InitConfigError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&b| b == 0);
        end.map(|end| &rest[..end])
            .ok_or(InitConfigError::CutShort { offset: self.at })
    }

    pub(super) fn next(&mut self) -> Result<&'a [u8], InitConfigError> {
        let field = self.peek()?;
        self.at += field.len() + 1;
        Ok(field)
    }

    pub(super) fn text(&mut self) -> Result<ByteString, InitConfigError> {
        self.next().map(Into::into)
    }

    pub(super) fn parse<T: std::str::FromStr>(
        &mut self,
        expected: &'static str,
    ) -> Result<T, InitConfigError> {
        let field = self.next()?;
        str::from_utf8(field)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| InitConfigError::Field {
                value: field.into(),
                offset: self.at,
                expected,
            })
    }

    pub(super) fn number(&mut self) -> Result<u32, InitConfigError> {
        self.parse("a number of 32 bits")
    }

    pub(super) fn mode(&mut self) -> Result<u32, InitConfigError> {
        let field = self.next()?;
        str::from_utf8(field)
            .ok()
            .and_then(|text| u32::from_str_radix(text, 8).ok())
            .ok_or(InitConfigError::Field {
                value: field.into(),
                offset: self.at,
                expected: "octal permissions",
            })
    }

    pub(super) fn limit(&mut self) -> Result<Option<u64>, InitConfigError> {
        if self.peek()? == b"-1" {
            return self.next().map(|_| None);
        }
        self.parse("a limit: a number of 64 bits, or -1").map(Some)
    }
}
