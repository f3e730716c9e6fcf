//! Sources: container images, archives and directories, read into a [`FileTree`].
//!
//! [`Image::open`] finds out what a path is (or is told), reads the image's documents and its
//! configuration; [`Image::read`] merges the layers into a tree of metadata. Nothing is extracted:
//! the contents stay where they are, and the tree fetches them when a file system is written.
//!
//! ```no_run
//! use lupine_rootfs::source::{Image, OpenOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = Image::open("nginx.tar", &OpenOptions::default())?;
//! println!("runs {:?}", image.config().argv());
//! let (tree, report) = image.read(&mut ())?;
//! println!("{} files\n{report}", tree.len());
//! # Ok(())
//! # }
//! ```
//!
//! With a directory on top, and for another machine:
//!
//! ```no_run
//! use lupine_rootfs::source::{Image, OpenOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = OpenOptions::new();
//! options.platform = "linux/arm64".parse()?;
//! options.overlays.push("site".into());
//! let image = Image::open("layout", &options)?;
//! println!("{} by {}", image.name(), image.digest()?);
//! # Ok(())
//! # }
//! ```

mod blob;
mod compression;
mod digest;
mod directory;
mod directory_digest;
mod docker;
mod error;
mod files;
mod layer;
mod limits;
mod oci;
mod platform;
mod records;
mod report;
mod store;
pub(crate) mod stream;
mod walk;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::ImageConfig;
use crate::progress::{Progress, Stage};
use crate::source::blob::Blob;
use crate::source::digest::{Expected, Hasher};
use crate::source::directory::DirectorySource;
use crate::source::layer::{Layer, Reading};
use crate::source::limits::Used;
use crate::source::oci::Choice;
use crate::source::store::Store;
use crate::tree::FileTree;

pub use crate::archive::TarError;
pub use compression::Compression;
pub use error::{PlaceError, SourceError};
pub use limits::{Limit, Limits, RATIO_FLOOR};
pub use platform::{ParsePlatformError, Platform};
pub use report::{Diagnostic, LayerReport, MAX_DIAGNOSTICS, Report};

/// The format of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// An OCI image layout, as a directory or as an archive of one.
    Oci,
    /// What `docker save` writes, or a directory with the same parts.
    Docker,
    /// A tar archive of a file system, compressed or not.
    Tar,
    /// A directory that is the file system.
    Directory,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oci => "OCI image layout",
            Self::Docker => "docker archive",
            Self::Tar => "tar archive",
            Self::Directory => "directory",
        })
    }
}

/// How a source is to be opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Its format; found out by itself where `None`.
    pub format: Option<Format>,
    /// Which image of several: a tag, a full name, or a digest.
    pub reference: Option<String>,
    /// The platform, where an image exists for several.
    pub platform: Platform,
    /// Archives (plain or compressed) and directories put on top, in this order; their whiteouts
    /// hide what is below.
    pub overlays: Vec<PathBuf>,
    /// Whether device nodes are kept; a guest makes its own.
    pub devices: bool,
    /// Owner (user and group id) of all files that come from directories, instead of their own.
    pub owner: Option<(u32, u32)>,
    /// Limits.
    pub limits: Limits,
}

impl OpenOptions {
    /// Options that change nothing: everything found out, no overlays, no devices.
    pub fn new() -> Self {
        Self::default()
    }
}

/// An image: its configuration, and where its layers are.
#[derive(Debug)]
pub struct Image {
    name: String,
    format: Format,
    reference: Option<String>,
    config: ImageConfig,
    sources: Vec<Source>,
    /// The digest that stands for all layers that an image's documents vouch for.
    documents: Option<String>,
    options: OpenOptions,
}

/// Something that is put on top of what was read before.
#[derive(Debug)]
enum Source {
    Layer(Layer),
    Directory(DirectorySource),
}

/// What the documents of an image say.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<Layer>,
    /// A digest that covers the configuration and all layers, if there is one.
    pub(crate) digest: Option<String>,
    pub(crate) reference: Option<String>,
}

/// A name of an image's choice as a message shows it: without control characters, and not long.
pub(crate) fn shown(name: &str) -> String {
    let mut text: String = name
        .chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(200).is_some() {
        text.push_str("...");
    }
    text
}

/// Sees that the image is for the platform asked for.
fn check_platform(
    container: &str,
    wanted: &Platform,
    config: &ImageConfig,
) -> Result<(), SourceError> {
    match &config.platform {
        Some(found) if !wanted.accepts(found) => Err(SourceError::Platform {
            container: container.to_owned(),
            wanted: wanted.to_string(),
            available: vec![shown(&found.to_string())],
        }),
        _ => Ok(()),
    }
}

/// What the decompressed layers must be. Configurations that list no layers leave it open.
fn pair_layers(
    container: &str,
    layers: usize,
    diff_ids: &[String],
    limits: &Limits,
) -> Result<Vec<Expected>, SourceError> {
    if layers as u64 > limits.layers {
        return Err(SourceError::Limit {
            what: container.to_owned(),
            limit: Limit::Layers,
            allowed: limits.layers,
            hint: "",
        });
    }
    if diff_ids.is_empty() {
        return Ok(vec![Expected::default(); layers]);
    }
    if diff_ids.len() != layers {
        return Err(SourceError::LayerCount {
            container: container.to_owned(),
            layers,
            diff_ids: diff_ids.len(),
        });
    }
    let expect = |(number, text): (usize, &String)| {
        let what = format!("the decompressed data of layer {}", number + 1);
        Ok(Expected {
            digest: Some(digest::parse(&what, text)?),
            size: None,
        })
    };
    diff_ids.iter().enumerate().map(expect).collect()
}

impl Image {
    /// Opens a source: finds out its format, reads its documents, opens its overlays.
    ///
    /// # Errors
    /// [`SourceError`]; layers are not read yet, so what is wrong with them is found by
    /// [`read`](Self::read).
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let stat = std::fs::metadata(path).map_err(SourceError::io(path, "open"))?;
        let mut image = if stat.is_dir() {
            Self::from_directory(path, options)?
        } else {
            Self::from_blob(Blob::open(path)?, options)?
        };
        for overlay in &options.overlays {
            let source = image.overlay(overlay)?;
            image.sources.push(source);
        }
        Ok(image)
    }

    /// Opens an archive that is in memory; overlays are not used.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(
        name: &str,
        bytes: impl Into<Arc<[u8]>>,
        options: &OpenOptions,
    ) -> Result<Self, SourceError> {
        Self::from_blob(Blob::memory(name, bytes.into()), options)
    }

    fn from_directory(path: &Path, options: &OpenOptions) -> Result<Self, SourceError> {
        let store = Store::Directory(path.to_owned());
        let format = match options.format {
            Some(format) => format,
            None => detect(&store, &options.limits)?.unwrap_or(Format::Directory),
        };
        match format {
            Format::Oci | Format::Docker => Self::from_store(&store, format, options),
            Format::Directory => {
                let source = Source::Directory(DirectorySource {
                    path: path.to_owned(),
                    name: path.display().to_string(),
                    whiteouts: false,
                    owner: options.owner,
                });
                Ok(Self::plain(
                    path.display().to_string(),
                    format,
                    source,
                    options,
                ))
            }
            Format::Tar => Err(SourceError::Unrecognised {
                name: path.display().to_string(),
                found: "a directory, not a tar archive",
            }),
        }
    }

    fn from_blob(blob: Blob, options: &OpenOptions) -> Result<Self, SourceError> {
        let unrecognised = |found| SourceError::Unrecognised {
            name: blob.name().to_owned(),
            found,
        };
        if options.format == Some(Format::Directory) {
            return Err(unrecognised("a file, not a directory"));
        }
        if let Some(found) = other_format(&blob, &options.limits)? {
            return Err(unrecognised(found));
        }
        if options.format != Some(Format::Tar) {
            if let Some(store) = Store::scan(&blob, options.format.is_some(), &options.limits)? {
                let format = match options.format {
                    Some(format) => Some(format),
                    None => detect(&store, &options.limits)?,
                };
                if let Some(format) = format {
                    return Self::from_store(&store, format, options);
                }
            } else if options.format.is_some() {
                return Err(unrecognised("an archive of something else"));
            }
        }
        let name = blob.name().to_owned();
        let source = Source::Layer(Layer {
            name: name.clone(),
            blob,
            expected: Expected::default(),
            diff_id: Expected::default(),
            whiteouts: false,
        });
        Ok(Self::plain(name, Format::Tar, source, options))
    }

    fn from_store(
        store: &Store,
        format: Format,
        options: &OpenOptions,
    ) -> Result<Self, SourceError> {
        let choice = Choice {
            reference: options.reference.as_deref(),
            platform: &options.platform,
            limits: &options.limits,
        };
        let parts = if format == Format::Oci {
            oci::open(store, &choice)?
        } else {
            docker::open(store, &choice)?
        };
        Ok(Self {
            name: store.name(),
            format,
            reference: parts.reference,
            config: parts.config,
            sources: parts.layers.into_iter().map(Source::Layer).collect(),
            documents: parts.digest,
            options: options.clone(),
        })
    }

    fn plain(name: String, format: Format, source: Source, options: &OpenOptions) -> Self {
        Self {
            name,
            format,
            reference: None,
            config: ImageConfig::default(),
            sources: vec![source],
            documents: None,
            options: options.clone(),
        }
    }

    fn overlay(&self, path: &Path) -> Result<Source, SourceError> {
        let stat = std::fs::metadata(path).map_err(SourceError::io(path, "open"))?;
        let name = format!("overlay {}", path.display());
        if stat.is_dir() {
            return Ok(Source::Directory(DirectorySource {
                path: path.to_owned(),
                name,
                whiteouts: true,
                owner: self.options.owner,
            }));
        }
        Ok(Source::Layer(Layer {
            name,
            blob: Blob::open(path)?,
            expected: Expected::default(),
            diff_id: Expected::default(),
            whiteouts: true,
        }))
    }

    /// The path or name it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The name the image has in its container, if it has one.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// How the image wants to be run. Empty for plain archives and directories.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// The names of layers and overlays, lowest first.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| match source {
            Source::Layer(layer) => &*layer.name,
            Source::Directory(directory) => &*directory.name,
        })
    }

    /// Reads the metadata of all layers and overlays and merges them into a tree; digests and
    /// sizes are checked on the way. The tree fetches contents from where the image is, which
    /// therefore has to stay.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn read(&self, progress: &mut dyn Progress) -> Result<(FileTree, Report), SourceError> {
        let stored = |source: &Source| match source {
            Source::Layer(layer) => layer.blob.len(),
            Source::Directory(_) => 0,
        };
        progress.start(Stage::Reading, self.sources.iter().map(stored).sum());
        let mut tree = FileTree::new();
        let mut report = Report::default();
        let mut reading = Reading {
            tree: &mut tree,
            report: &mut report,
            progress,
            limits: &self.options.limits,
            used: Used::default(),
            devices: self.options.devices,
        };
        for source in &self.sources {
            match source {
                Source::Layer(layer) => layer.read(&mut reading)?,
                Source::Directory(directory) => directory.read(&mut reading)?,
            }
        }
        Ok((tree, report))
    }

    /// A digest (`sha256:...`) of everything that makes up tree and configuration: equal digests
    /// mean equal results, so it can key a cache. Images with digests of their own are not read
    /// again; plain archives and directories are, in parallel where there are many files.
    ///
    /// # Errors
    /// [`SourceError`] when something cannot be read.
    pub fn digest(&self) -> Result<String, SourceError> {
        let mut hasher = Hasher::sha256();
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(b"lupine-rootfs 1");
        field(format!("{:?} {:?}", self.options.devices, self.options.owner).as_bytes());
        field(self.documents.as_deref().unwrap_or_default().as_bytes());
        field(format!("{:?}", self.config).as_bytes());
        for source in &self.sources {
            let digest = match source {
                Source::Layer(layer) => match &layer.expected.digest {
                    Some(digest) => digest.to_string(),
                    None => match &layer.diff_id.digest {
                        Some(digest) => digest.to_string(),
                        None => self.digest_of(&layer.blob)?,
                    },
                },
                Source::Directory(source) => {
                    directory_digest::digest(&source.path, &self.options.limits)?
                }
            };
            field(digest.as_bytes());
        }
        Ok(hasher.finish())
    }

    fn digest_of(&self, blob: &Blob) -> Result<String, SourceError> {
        let read = || {
            let mut reader = blob.reader(&self.options.limits)?;
            let mut hasher = Hasher::sha256();
            let mut buffer = vec![0; 256 * 1024];
            loop {
                match reader.read(&mut buffer)? {
                    0 => return Ok(hasher.finish()),
                    count => hasher.update(&buffer[..count]),
                }
            }
        };
        read().map_err(SourceError::io(blob.name(), "read"))
    }
}

/// Tells an image by the documents it has.
fn detect(store: &Store, limits: &Limits) -> Result<Option<Format>, SourceError> {
    let oci = store.has("index.json") && (store.has("oci-layout") || store.has_directory("blobs"));
    if oci {
        return Ok(Some(Format::Oci));
    }
    if store.has("manifest.json") {
        let text = store.json("manifest.json", Expected::default(), limits)?;
        if docker::is_manifest(&text) {
            return Ok(Some(Format::Docker));
        }
    } else if store.has("repositories") {
        return Ok(Some(Format::Docker));
    }
    Ok(None)
}

/// Names what a file is if it is clearly something else.
fn other_format(blob: &Blob, limits: &Limits) -> Result<Option<&'static str>, SourceError> {
    if blob.len() == 0 {
        return Ok(Some("empty"));
    }
    let mut start = Vec::new();
    blob.reader(limits)
        .and_then(|reader| reader.take(1100).read_to_end(&mut start))
        .map_err(SourceError::io(blob.name(), "read"))?;
    let ext2 = start.get(1080..1082) == Some(&[0x53, 0xef]);
    let tar = matches!(start.get(257..262), Some(b"ustar"));
    Ok(match &*start {
        _ if ext2 && !tar => Some("an ext2, ext3 or ext4 file system"),
        [b'P', b'K', 3, 4, ..] => Some("a zip archive"),
        [b'h', b's', b'q', b's', ..] => Some("a squashfs file system"),
        [b'B', b'Z', b'h', ..] => Some("compressed with bzip2; gzip, zstd and xz are supported"),
        [0x7f, b'E', b'L', b'F', ..] => Some("an ELF file"),
        [b'{' | b'[', ..] => Some("a JSON document"),
        _ if start.len() < 512 && Compression::detect(&start) == Compression::None => {
            Some("too short for a tar archive")
        }
        _ => None,
    })
}
