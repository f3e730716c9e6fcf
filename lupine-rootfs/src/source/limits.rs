//! How much an image may ask of us before we stop reading it.
//!
//! An image is foreign input: a few kilobytes of it can claim to hold exabytes, millions of files,
//! or one file with a name of a gigabyte. Every limit is a parameter with a default that ordinary
//! images do not come near, and the error names the limit to raise.

use serde::{Deserialize, Serialize};

/// Limits on what is read from an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of all layers together, decompressed. Default: 64 GiB.
    pub unpacked_bytes: u64,
    /// Archive members and directory entries of all layers together. Default: 4 million.
    pub entries: u64,
    /// Decompressed bytes per compressed byte of one layer, once it has passed
    /// [`RATIO_FLOOR`]. Default: 250.
    pub ratio: u64,
    /// Bytes of one extended header (PAX records, GNU long name) or of one sparse map.
    /// Default: 1 MiB.
    pub header_bytes: u64,
    /// Bytes of names, link targets, extended attributes and sparse maps of all layers together,
    /// which stay in memory. Default: 64 MiB.
    pub metadata_bytes: u64,
    /// Bytes of one JSON document (index, manifest, configuration). Default: 4 MiB, what
    /// registries accept.
    pub json_bytes: u64,
    /// Bytes of memory a decompressor may use (the window of zstd, the dictionary of xz).
    /// Default: 40 MiB, which is enough for all but `xz -9` and `zstd --ultra`/`--long`.
    pub decoder_bytes: u64,
    /// Layers of an image. Default: 512 (Docker makes at most 127).
    pub layers: u64,
}

/// Decompressed bytes of a layer from which on its compression ratio counts: 256 MiB.
pub const RATIO_FLOOR: u64 = 256 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 64 << 30,
            entries: 4_000_000,
            ratio: 250,
            header_bytes: 1 << 20,
            metadata_bytes: 64 << 20,
            json_bytes: 4 << 20,
            decoder_bytes: 40 << 20,
            layers: 512,
        }
    }
}

/// A limit, by the name of its field, as errors mention it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::unpacked_bytes`]
    UnpackedBytes,
    /// [`Limits::entries`]
    Entries,
    /// [`Limits::ratio`]
    Ratio,
    /// [`Limits::metadata_bytes`]
    MetadataBytes,
    /// [`Limits::json_bytes`]
    JsonBytes,
    /// [`Limits::layers`]
    Layers,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnpackedBytes => "unpacked_bytes",
            Self::Entries => "entries",
            Self::Ratio => "ratio",
            Self::MetadataBytes => "metadata_bytes",
            Self::JsonBytes => "json_bytes",
            Self::Layers => "layers",
        })
    }
}

/// What was used of the limits that hold for all layers together.
#[derive(Debug, Default)]
pub(crate) struct Used {
    pub(crate) unpacked: u64,
    pub(crate) entries: u64,
    pub(crate) metadata: u64,
}
