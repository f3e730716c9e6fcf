//! Why an image cannot be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::archive::TarError;
use crate::content::ContentError;
use crate::path::{PathError, TreePath};
use crate::source::limits::Limit;
use crate::tree::TreeError;

/// Why an image cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file or directory of the source cannot be read.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `open`, `read`, ...
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is in no format we read.
    #[error(
        "`{name}` is {found}: expected an OCI layout, a docker archive, a tar archive or a directory"
    )]
    Unrecognised {
        /// The file.
        name: String,
        /// What it looks like.
        found: &'static str,
    },
    /// A part the image refers to is not there.
    #[error("`{container}` holds no `{part}`{hint}")]
    Missing {
        /// The image.
        container: String,
        /// The path of the part inside it.
        part: String,
        /// What that means, starting with `:`; or nothing.
        hint: &'static str,
    },
    /// A JSON document is malformed or lacks what it must have.
    #[error("`{document}` is not the JSON expected")]
    Json {
        /// Which document.
        document: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A digest has a form or an algorithm we cannot check.
    #[error("cannot check digest `{digest}` of {what}: supported are sha256, sha384 and sha512")]
    UnsupportedDigest {
        /// Of what.
        what: String,
        /// The digest.
        digest: String,
    },
    /// The bytes are not those the digest promises.
    #[error("{what} is damaged or was changed: its digest is {actual}, not {expected}")]
    DigestMismatch {
        /// Of what.
        what: String,
        /// The digest promised.
        expected: String,
        /// The digest of the bytes.
        actual: String,
    },
    /// There are more or fewer bytes than promised.
    #[error("{what} has {actual} bytes, not {expected} as its descriptor says")]
    SizeMismatch {
        /// Of what.
        what: String,
        /// Bytes promised.
        expected: u64,
        /// Bytes there; when more than promised, reading stopped there.
        actual: u64,
    },
    /// A part of the image is of a type that is no part of a container image.
    #[error("{what} has media type `{media_type}`, which is not {expected}")]
    MediaType {
        /// Which part.
        what: String,
        /// Its media type.
        media_type: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The layer is encrypted.
    #[error("{what} is encrypted (`{media_type}`): decrypt the image first")]
    Encrypted {
        /// Which layer.
        what: String,
        /// Its media type.
        media_type: String,
    },
    /// No image has the reference asked for.
    #[error("`{container}` holds no image `{reference}`; it has: {}", list(.available))]
    NoSuchReference {
        /// The image file.
        container: String,
        /// What was asked for.
        reference: String,
        /// What there is.
        available: Vec<String>,
    },
    /// Several images, and nothing says which.
    #[error("`{container}` holds several images; name one of: {}", list(.available))]
    Ambiguous {
        /// The image file.
        container: String,
        /// What there is.
        available: Vec<String>,
    },
    /// No image for the platform.
    #[error("`{container}` has no image for {wanted}; it has: {}", list(.available))]
    Platform {
        /// The image file.
        container: String,
        /// The platform asked for.
        wanted: String,
        /// The platforms there are.
        available: Vec<String>,
    },
    /// Indexes that hold indexes that hold indexes.
    #[error("`{container}` nests image indexes deeper than {limit}")]
    IndexTooDeep {
        /// The image file.
        container: String,
        /// How deep is accepted.
        limit: usize,
    },
    /// The configuration and the manifest disagree.
    #[error("`{container}` has {layers} layers, but its configuration lists {diff_ids}")]
    LayerCount {
        /// The image file.
        container: String,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        diff_ids: usize,
    },
    /// A layer is no sound tar archive.
    #[error("{layer} is not a sound tar archive")]
    Tar {
        /// Which layer.
        layer: String,
        /// Where and why.
        #[source]
        source: TarError,
    },
    /// An entry cannot be put into the tree.
    #[error("{layer}: cannot place entry `{}`", brief(.path))]
    Place {
        /// Which layer.
        layer: String,
        /// The name of the entry, as the layer has it.
        path: Vec<u8>,
        /// Why not.
        #[source]
        source: PlaceError,
    },
    /// The image asks for more than the limits allow.
    #[error(
        "{what} exceeds the limit `{limit}` of {allowed}{hint}; raise the limit if this is meant"
    )]
    Limit {
        /// What asks for it.
        what: String,
        /// Which limit.
        limit: Limit,
        /// Its value.
        allowed: u64,
        /// What makes it suspicious, or nothing.
        hint: &'static str,
    },
    /// The decompressor found damage, or needs more memory than allowed.
    #[error("cannot decompress {what} ({format})")]
    Decompress {
        /// What.
        what: String,
        /// The compression format.
        format: &'static str,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// The decompressor needs more memory than allowed.
    #[error(
        "{what} needs more than {allowed} bytes of memory to be decompressed ({format}): raise the limit `decoder_bytes`, or compress it with a smaller window"
    )]
    DecoderMemory {
        /// What.
        what: String,
        /// The compression format.
        format: &'static str,
        /// The limit.
        allowed: u64,
    },
    /// The source is not what it was when the tree was built.
    #[error("`{name}` changed while it was read")]
    Changed {
        /// Which file.
        name: String,
    },
    /// The caller stopped the work.
    #[error("cancelled")]
    Cancelled,
}

/// Why an entry cannot be put into the tree.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The name is no place inside the root.
    #[error(transparent)]
    Path(#[from] PathError),
    /// What stands in the tree is in the way.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A hard link to nothing.
    #[error("it is a hard link to `{target}`, which does not exist in this layer or below")]
    LinkTarget {
        /// The name linked to.
        target: TreePath,
    },
    /// A whiteout that names no entry: `.wh.` followed by nothing, `.` or `..`.
    #[error("it is a whiteout that names no entry")]
    Whiteout,
    /// The sparse map contradicts itself.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// A path of an image's choice as a message shows it.
fn brief(path: &[u8]) -> String {
    match path.get(..200) {
        Some(start) if path.len() > 200 => format!("{}...", start.escape_ascii()),
        _ => path.escape_ascii().to_string(),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = names
        .iter()
        .take(20)
        .map(|name| format!("`{name}`"))
        .collect();
    let rest = names.len() - shown.len();
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    shown.join(", ") + &more
}

impl SourceError {
    pub(crate) fn io(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            Self::lift(source).unwrap_or_else(|source| Self::Io {
                path,
                action,
                source,
            })
        }
    }

    /// Takes back an error of ours that travelled through `io::Error`.
    pub(crate) fn lift(error: io::Error) -> Result<Self, io::Error> {
        error.downcast()
    }

    /// Wraps a tar error of `layer`, taking back an error of ours inside it.
    pub(crate) fn tar(layer: &str, error: TarError) -> Self {
        let wrap = |source| Self::Tar {
            layer: layer.to_owned(),
            source,
        };
        match error {
            TarError::Read { offset, source } => {
                Self::lift(source).unwrap_or_else(|source| wrap(TarError::Read { offset, source }))
            }
            other => wrap(other),
        }
    }
}

impl From<SourceError> for io::Error {
    fn from(error: SourceError) -> Self {
        io::Error::other(error)
    }
}
