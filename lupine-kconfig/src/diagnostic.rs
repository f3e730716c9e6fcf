//! What is wrong, or odd, in the user's input, with the place and the text.

use std::fmt;

use crate::shell::ShellError;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The tree or configuration cannot be used.
    Error,
    /// It can be used, but something is ignored or unusual.
    Warning,
}

/// One finding about the user's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) file: Vec<u8>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
    pub(crate) message: Vec<u8>,
    pub(crate) text: Vec<u8>,
    pub(crate) conf: Vec<u8>,
}

impl Diagnostic {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The file it is about; empty when it is about the whole.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The line, from 1; 0 when there is none.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column in bytes, from 1; 0 when it is about the whole line.
    pub fn column(&self) -> u32 {
        self.column
    }

    /// What is wrong, without place.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The line of input it is about.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Exactly what the kernel's `conf` prints on standard error for it, with the line end;
    /// empty for findings `conf` does not report.
    pub fn as_conf(&self) -> &[u8] {
        &self.conf
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: severity: message`, the line, and the place underlined.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}:", String::from_utf8_lossy(&self.file), self.line)?;
            if self.column > 0 {
                write!(f, "{}:", self.column)?;
            }
            f.write_str(" ")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", String::from_utf8_lossy(&self.message))?;
        if !self.text.is_empty() {
            write!(
                f,
                "\n    {}",
                String::from_utf8_lossy(&self.text).replace('\t', " ")
            )?;
            if self.column > 0 {
                let mark = "^".repeat(self.length.max(1) as usize);
                write!(
                    f,
                    "\n    {:width$}{mark}",
                    "",
                    width = self.column as usize - 1
                )?;
            }
        }
        Ok(())
    }
}

/// Why a tree could not be loaded: at least one diagnostic is an error.
#[derive(Debug, thiserror::Error)]
#[error("{}", summary(.diagnostics, .shell))]
pub struct LoadError {
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    #[source]
    pub(crate) shell: Option<ShellError>,
}

impl LoadError {
    /// Everything found, in order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// What `conf` prints on standard output up to here.
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// What `conf` prints on standard error.
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }
}

fn summary(diagnostics: &[Diagnostic], _: &Option<ShellError>) -> String {
    let errors: Vec<String> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    if errors.is_empty() {
        "the tree could not be loaded".to_owned()
    } else {
        errors.join("\n")
    }
}
