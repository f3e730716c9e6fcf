//! OCI image layouts: from `index.json` over nested indexes to the manifest of one platform, its
//! configuration and its layers.

use std::collections::{HashMap, HashSet};

use oci_spec::image::{Arch, Descriptor, ImageIndex, ImageManifest, MediaType, Os};
use serde::de::DeserializeOwned;

use crate::config::ImageConfig;
use crate::source::digest::{self, Expected};
use crate::source::error::SourceError;
use crate::source::layer::Layer;
use crate::source::limits::Limits;
use crate::source::store::Store;
use crate::source::{Parts, Platform, check_platform, docker, pair_layers, shown};

/// Which image of a layout is meant.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) reference: Option<&'a str>,
    pub(crate) platform: &'a Platform,
    pub(crate) limits: &'a Limits,
}

/// Indexes within indexes.
const MAX_DEPTH: usize = 8;

/// Annotations that name an image: by tag alone, or in full (containerd).
const NAMES: [&str; 2] = [
    "org.opencontainers.image.ref.name",
    "io.containerd.image.name",
];

/// Marks what accompanies an image (attestations, signatures) and is none itself.
const COMPANION: &str = "vnd.docker.reference.type";

const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub(crate) fn json<T: DeserializeOwned>(document: &str, text: &[u8]) -> Result<T, SourceError> {
    serde_json::from_slice(text).map_err(|source| SourceError::Json {
        document: document.to_owned(),
        source,
    })
}

/// The path of a blob in a layout.
fn blob_path(descriptor: &Descriptor) -> Result<String, SourceError> {
    let digest = descriptor.digest();
    digest::parse("a blob", digest.as_ref())?;
    Ok(format!("blobs/{}/{}", digest.algorithm(), digest.digest()))
}

fn expected(descriptor: &Descriptor) -> Expected {
    Expected {
        digest: Some(descriptor.digest().clone()),
        size: Some(descriptor.size()),
    }
}

fn blob(store: &Store, descriptor: &Descriptor, limits: &Limits) -> Result<Vec<u8>, SourceError> {
    store.json(&blob_path(descriptor)?, expected(descriptor), limits)
}

fn is_index(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageIndex || media_type.as_ref() == DOCKER_INDEX
}

fn is_manifest(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageManifest || media_type.as_ref() == DOCKER_MANIFEST
}

fn annotation<'a>(descriptor: &'a Descriptor, name: &str) -> Option<&'a str> {
    let annotations: &HashMap<String, String> = descriptor.annotations().as_ref()?;
    annotations.get(name).map(String::as_str)
}

fn platform(descriptor: &Descriptor) -> Option<Platform> {
    let platform = descriptor.platform().as_ref()?;
    let os: &Os = platform.os();
    let architecture: &Arch = platform.architecture();
    Some(Platform {
        os: os.to_string(),
        architecture: architecture.to_string(),
        variant: platform
            .variant()
            .clone()
            .filter(|variant| !variant.is_empty()),
    })
}

/// How messages name an image: by its reference, else by its digest.
fn label(descriptor: &Descriptor) -> String {
    let name = NAMES.iter().find_map(|name| annotation(descriptor, name));
    let name = shown(name.unwrap_or(descriptor.digest().as_ref()));
    match platform(descriptor) {
        Some(platform) => format!("{name} ({})", shown(&platform.to_string())),
        None => name,
    }
}

fn is_named(descriptor: &Descriptor, reference: &str) -> bool {
    descriptor.digest().as_ref() == reference
        || NAMES
            .iter()
            .filter_map(|name| annotation(descriptor, name))
            .any(|name| name == reference || docker::is_named(name, reference))
}

/// Descends from an index to one manifest.
fn choose(
    store: &Store,
    index: &ImageIndex,
    choice: &Choice<'_>,
) -> Result<(Descriptor, ImageManifest), SourceError> {
    let mut reference = choice.reference;
    let mut index = index.clone();
    for _ in 0..MAX_DEPTH {
        let images: Vec<&Descriptor> = index
            .manifests()
            .iter()
            .filter(|found| annotation(found, COMPANION).is_none())
            .filter(|found| is_index(found.media_type()) || is_manifest(found.media_type()))
            .collect();
        let labels = |images: &[&Descriptor]| images.iter().map(|found| label(found)).collect();
        // The name is looked for in the outermost index; what it names has no names inside.
        let named: Vec<&Descriptor> = match reference.take() {
            None => images.clone(),
            Some(reference) => {
                let named: Vec<&Descriptor> = images
                    .iter()
                    .copied()
                    .filter(|found| is_named(found, reference))
                    .collect();
                if named.is_empty() {
                    return Err(SourceError::NoSuchReference {
                        container: store.name(),
                        reference: reference.to_owned(),
                        available: labels(&images),
                    });
                }
                named
            }
        };
        let fitting: Vec<&Descriptor> = named
            .iter()
            .copied()
            .filter(|found| platform(found).is_none_or(|found| choice.platform.accepts(&found)))
            .collect();
        // The same image may have several names.
        let mut seen = HashSet::new();
        let mut distinct = fitting;
        distinct.retain(|found| seen.insert(found.digest()));
        let found = match *distinct {
            [one] => one.clone(),
            [] if named.is_empty() => {
                return Err(SourceError::Missing {
                    container: store.name(),
                    part: "image manifest".to_owned(),
                    hint: ": its index lists no image",
                });
            }
            [] => {
                return Err(SourceError::Platform {
                    container: store.name(),
                    wanted: choice.platform.to_string(),
                    available: labels(&named),
                });
            }
            _ => {
                // Of several variants of one architecture the first is meant, as container
                // tools do it; different images need a name.
                let platforms: Vec<Option<Platform>> =
                    distinct.iter().map(|found| platform(found)).collect();
                let apart = platforms.iter().all(Option::is_some)
                    && platforms.windows(2).all(|pair| pair[0] != pair[1]);
                if !apart {
                    return Err(SourceError::Ambiguous {
                        container: store.name(),
                        available: labels(&distinct),
                    });
                }
                distinct[0].clone()
            }
        };
        let text = blob(store, &found, choice.limits)?;
        let name = found.digest().as_ref();
        if is_manifest(found.media_type()) {
            let manifest = json(name, &text)?;
            return Ok((found, manifest));
        }
        index = json(name, &text)?;
    }
    Err(SourceError::IndexTooDeep {
        container: store.name(),
        limit: MAX_DEPTH,
    })
}

/// Sees that a layer is a tar archive that can be read.
fn check_layer_type(what: &str, media_type: &MediaType) -> Result<(), SourceError> {
    let name = media_type.as_ref();
    if name.ends_with("+encrypted") {
        return Err(SourceError::Encrypted {
            what: what.to_owned(),
            media_type: shown(name),
        });
    }
    let known = name.starts_with("application/vnd.oci.image.layer.")
        || name.starts_with("application/vnd.docker.image.rootfs.")
        || name == "application/x-tar";
    if known {
        return Ok(());
    }
    Err(SourceError::MediaType {
        what: what.to_owned(),
        media_type: shown(name),
        expected: "a file system layer",
    })
}

/// Reads the documents of a layout.
pub(crate) fn open(store: &Store, choice: &Choice<'_>) -> Result<Parts, SourceError> {
    let text = store.json("index.json", Expected::default(), choice.limits)?;
    let index: ImageIndex = json("index.json", &text)?;
    let (descriptor, manifest) = choose(store, &index, choice)?;
    let text = blob(store, manifest.config(), choice.limits)?;
    let document: crate::config::Document = json(manifest.config().digest().as_ref(), &text)?;
    let diff_ids = document.rootfs.diff_ids.clone();
    let config = ImageConfig::from(document);
    check_platform(&store.name(), choice.platform, &config)?;
    let diff_ids = pair_layers(
        &store.name(),
        manifest.layers().len(),
        &diff_ids,
        choice.limits,
    )?;
    let mut layers = Vec::new();
    for (number, (layer, diff_id)) in manifest.layers().iter().zip(diff_ids).enumerate() {
        let name = format!("layer {} ({})", number + 1, layer.digest());
        check_layer_type(&name, layer.media_type())?;
        layers.push(Layer {
            blob: store.part(&blob_path(layer)?)?,
            expected: expected(layer),
            // The same bytes need not be hashed twice.
            diff_id: if diff_id.digest.as_ref() == Some(layer.digest()) {
                Expected::default()
            } else {
                diff_id
            },
            whiteouts: true,
            name,
        });
    }
    Ok(Parts {
        config,
        layers,
        digest: Some(descriptor.digest().to_string()),
        reference: NAMES
            .iter()
            .find_map(|name| annotation(&descriptor, name))
            .map(str::to_owned),
    })
}
