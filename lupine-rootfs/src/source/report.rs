//! What was found while an image was read into a tree.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::source::compression::Compression;

/// What was read, layer by layer, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The layers, lowest first.
    pub layers: Vec<LayerReport>,
    /// What the reader of the image should know, in the order found.
    pub diagnostics: Vec<Diagnostic>,
    /// Diagnostics beyond [`MAX_DIAGNOSTICS`], which are counted only.
    pub suppressed: u64,
}

/// Diagnostics kept: 1,000.
pub const MAX_DIAGNOSTICS: usize = 1_000;

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LayerReport {
    /// The layer's number and where it comes from.
    pub name: String,
    /// Its compression; `None` for directories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Bytes as stored; for a directory, of its files.
    pub stored_bytes: u64,
    /// Bytes decompressed; for a directory, of its files.
    pub unpacked_bytes: u64,
    /// Members or entries, whiteouts included.
    pub entries: u64,
    /// Whiteouts and opaque markers.
    pub whiteouts: u64,
}

/// Something the reader of an image should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Diagnostic {
    /// A device node was left out, as devices are unless asked for.
    DeviceSkipped {
        /// The layer.
        layer: String,
        /// The name as the layer has it.
        #[serde(serialize_with = "escaped")]
        path: Vec<u8>,
    },
    /// An archive member of a type that is no file was left out.
    MemberSkipped {
        /// The layer.
        layer: String,
        /// The name as the layer has it.
        #[serde(serialize_with = "escaped")]
        path: Vec<u8>,
        /// The type flag of its header.
        flag: u8,
    },
    /// Bytes other than zeros follow the end of the archive; they were ignored.
    TrailingData {
        /// The layer.
        layer: String,
    },
}

impl Report {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        } else {
            self.suppressed += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for layer in &self.layers {
            writeln!(f, "{layer}")?;
        }
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        if self.suppressed > 0 {
            writeln!(f, "and {} more messages", self.suppressed)?;
        }
        Ok(())
    }
}

impl fmt::Display for LayerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} entries", self.name, self.entries)?;
        if self.whiteouts > 0 {
            write!(f, " ({} whiteouts)", self.whiteouts)?;
        }
        write!(f, ", {} bytes", self.unpacked_bytes)?;
        match self.compression {
            None | Some(Compression::None) => Ok(()),
            Some(format) => write!(f, " from {} bytes of {format}", self.stored_bytes),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceSkipped { layer, path } => {
                let path = path.escape_ascii();
                write!(f, "{layer}: left out the device node `{path}`")
            }
            Self::MemberSkipped { layer, path, flag } => {
                let (path, flag) = (path.escape_ascii(), flag.escape_ascii());
                write!(
                    f,
                    "{layer}: left out `{path}`, whose type `{flag}` is no file"
                )
            }
            Self::TrailingData { layer } => {
                write!(f, "{layer}: ignored what follows the end of the archive")
            }
        }
    }
}

fn escaped<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&bytes.escape_ascii())
}
