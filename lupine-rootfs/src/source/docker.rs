//! Docker archives, as `docker save` writes them: with `manifest.json` since version 1.10, with
//! `repositories` alone before.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{Document, ImageConfig};
use crate::source::digest::{Expected, Hasher};
use crate::source::error::SourceError;
use crate::source::layer::Layer;
use crate::source::limits::{Limit, Limits};
use crate::source::oci::{Choice, json};
use crate::source::store::Store;
use crate::source::{Parts, check_platform, pair_layers, shown};

/// An entry of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// `repositories`: repository to tag to the id of its topmost layer.
type Repositories = BTreeMap<String, BTreeMap<String, String>>;

impl Entry {
    fn tags(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    fn label(&self) -> String {
        match self.tags() {
            [] => shown(&self.config),
            tags => shown(&tags.join(" = ")),
        }
    }
}

/// Whether a reference names a tag: in full, without the tag `latest`, or without the registry.
pub(crate) fn is_named(tag: &str, reference: &str) -> bool {
    let full = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let name = if last.contains(':') {
            name.to_owned()
        } else {
            format!("{name}:latest")
        };
        let name = name.strip_prefix("docker.io/").unwrap_or(&name);
        name.strip_prefix("library/").unwrap_or(name).to_owned()
    };
    full(tag) == full(reference)
}

/// The digest of a document, which stands for the image it describes.
fn digest_of(text: &[u8]) -> String {
    let mut hasher = Hasher::sha256();
    hasher.update(text);
    hasher.finish()
}

/// Whether the text is a `manifest.json` of a docker archive; other things are called so, too.
pub(crate) fn is_manifest(text: &[u8]) -> bool {
    serde_json::from_slice::<Vec<Entry>>(text).is_ok_and(|entries| !entries.is_empty())
}

/// Reads the documents of an archive.
pub(crate) fn open(store: &Store, choice: &Choice<'_>) -> Result<Parts, SourceError> {
    if !store.has("manifest.json") {
        return open_repositories(store, choice);
    }
    let limits = choice.limits;
    let text = store.json("manifest.json", Expected::default(), limits)?;
    let entries: Vec<Entry> = json("manifest.json", &text)?;
    let labels = || entries.iter().map(Entry::label).collect();
    let entry = match choice.reference {
        None => match &*entries {
            [one] => one,
            [] => {
                return Err(SourceError::Missing {
                    container: store.name(),
                    part: "image".to_owned(),
                    hint: ": its manifest.json is an empty list",
                });
            }
            _ => {
                return Err(SourceError::Ambiguous {
                    container: store.name(),
                    available: labels(),
                });
            }
        },
        Some(reference) => entries
            .iter()
            .find(|entry| {
                entry.config == reference || entry.tags().iter().any(|tag| is_named(tag, reference))
            })
            .ok_or_else(|| SourceError::NoSuchReference {
                container: store.name(),
                reference: reference.to_owned(),
                available: labels(),
            })?,
    };
    let text = store.json(&entry.config, Expected::default(), limits)?;
    let document: Document = json(&shown(&entry.config), &text)?;
    let diff_ids = document.rootfs.diff_ids.clone();
    let config = ImageConfig::from(document);
    check_platform(&store.name(), choice.platform, &config)?;
    let paths = entry.layers.as_deref().unwrap_or_default();
    let diff_ids = pair_layers(&store.name(), paths.len(), &diff_ids, limits)?;
    let mut layers = Vec::new();
    for (number, (path, diff_id)) in paths.iter().zip(diff_ids).enumerate() {
        layers.push(Layer {
            name: format!("layer {} ({})", number + 1, shown(path)),
            blob: store.part(path)?,
            expected: Expected::default(),
            diff_id,
            whiteouts: true,
        });
    }
    Ok(Parts {
        config,
        layers,
        digest: Some(digest_of(&text)),
        reference: entry.tags().first().cloned(),
    })
}

/// An archive of before 1.10: each layer is a directory with `json` (which names the layer below)
/// and `layer.tar`. Nothing is said about digests there.
fn open_repositories(store: &Store, choice: &Choice<'_>) -> Result<Parts, SourceError> {
    let limits = choice.limits;
    let text = store.json("repositories", Expected::default(), limits)?;
    let repositories: Repositories = json("repositories", &text)?;
    let images: Vec<(String, &String)> = repositories
        .iter()
        .flat_map(|(name, tags)| {
            let image = move |(tag, id)| (format!("{name}:{tag}"), id);
            tags.iter().map(image)
        })
        .collect();
    let labels = || images.iter().map(|(tag, _)| shown(tag)).collect();
    let (tag, id) = match (choice.reference, &*images) {
        (None, [one]) => one,
        (None, []) => {
            return Err(SourceError::Missing {
                container: store.name(),
                part: "image".to_owned(),
                hint: ": its `repositories` names none",
            });
        }
        (None, _) => {
            return Err(SourceError::Ambiguous {
                container: store.name(),
                available: labels(),
            });
        }
        (Some(reference), _) => images
            .iter()
            .find(|(tag, id)| is_named(tag, reference) || *id == reference)
            .ok_or_else(|| SourceError::NoSuchReference {
                container: store.name(),
                reference: reference.to_owned(),
                available: labels(),
            })?,
    };
    let mut config = None;
    let mut layers = Vec::new();
    let mut next = Some((*id).clone());
    while let Some(id) = next {
        // A layer that is its own ancestor would never end.
        if layers.len() as u64 >= limits.layers {
            return Err(too_many_layers(store, limits));
        }
        let text = layer_json(store, &id, limits)?;
        let document: Document = json(&format!("{}/json", shown(&id)), &text)?;
        next = document.parent.clone().filter(|parent| !parent.is_empty());
        config.get_or_insert_with(|| ImageConfig::from(document));
        layers.push(Layer {
            name: shown(&id),
            blob: store.part(&format!("{id}/layer.tar"))?,
            expected: Expected::default(),
            diff_id: Expected::default(),
            whiteouts: true,
        });
    }
    layers.reverse();
    for (number, layer) in layers.iter_mut().enumerate() {
        layer.name = format!("layer {} ({})", number + 1, layer.name);
    }
    let config = config.unwrap_or_default();
    check_platform(&store.name(), choice.platform, &config)?;
    Ok(Parts {
        config,
        layers,
        digest: None,
        reference: Some(tag.clone()),
    })
}

fn layer_json(store: &Store, id: &str, limits: &Limits) -> Result<Vec<u8>, SourceError> {
    store.json(&format!("{id}/json"), Expected::default(), limits)
}

fn too_many_layers(store: &Store, limits: &Limits) -> SourceError {
    SourceError::Limit {
        what: store.name(),
        limit: Limit::Layers,
        allowed: limits.layers,
        hint: "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_may_leave_out_what_is_usual() {
        for (tag, reference, same) in [
            ("nginx:latest", "nginx", true),
            ("docker.io/library/nginx:1.25", "nginx:1.25", true),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest", true),
            ("nginx:1", "nginx:2", false),
            ("a/nginx:1", "nginx:1", false),
        ] {
            assert_eq!(is_named(tag, reference), same, "{tag} {reference}");
        }
    }
}
