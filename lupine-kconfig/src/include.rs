//! Inclusion of other files: names, patterns and variables in them.

use crate::grammar::{SourceKind, Token};
use crate::loader::{Loader, Stop};
use crate::property::PropertyKind;

impl Loader<'_> {
    pub(crate) fn source(&mut self, path: &Token, kind: SourceKind) -> Result<(), Stop> {
        let mut path = self.text(path).to_vec();
        if self.tree.dialect.legacy {
            path = self.expand_dollar_names(&path);
        }
        if kind.relative {
            let file = self.tree.file_name(self.file);
            if let Some(slash) = file.iter().rposition(|byte| *byte == b'/') {
                path = [&file[..=slash], &path].concat();
            }
        }
        if self.tree.dialect.globs && path.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            let names = crate::glob::matches(self.files, self.environment, &path);
            if names.is_empty() && !kind.optional && self.tree.dialect.relative_source {
                let message = [b"no file matches \"".as_slice(), &path, b"\""].concat();
                self.error_here(&message);
                return Err(Stop);
            }
            // The last one pushed is read first.
            for name in names.iter().rev() {
                self.include(name)?;
            }
            return Ok(());
        }
        if kind.optional && self.open(&path).is_none() {
            return Ok(());
        }
        self.include(&path)
    }

    /// `$NAME` and `${NAME}` of the old language: a symbol set from the environment, or the
    /// environment itself.
    pub(crate) fn expand_dollar_names(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            out.extend_from_slice(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            let braced = rest.first() == Some(&b'{');
            rest = &rest[usize::from(braced)..];
            let length = rest
                .iter()
                .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(length);
            out.extend_from_slice(&self.symbol_text(name));
            rest = if braced {
                after.strip_prefix(b"}").unwrap_or(after)
            } else {
                after
            };
        }
        out.extend_from_slice(rest);
        out
    }

    pub(crate) fn symbol_text(&mut self, name: &[u8]) -> Vec<u8> {
        if let Some(symbol) = self.tree.symbol(name)
            && let Some(default) = self
                .tree
                .properties_of(symbol, PropertyKind::Default)
                .next()
            && let Some(value) = self.tree.property_symbol(default)
        {
            return self.tree.symbols.name(value).to_vec();
        }
        self.macros.environment(name).unwrap_or_default()
    }
}
