//! Image documents: choice of platform and name, digests and sizes that do not hold, the layouts
//! of docker archives, overlays and whiteouts.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod outside;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use lupine_rootfs::TreePath;
use lupine_rootfs::source::{Format, Image, OpenOptions, SourceError};
use outside::{chain, everything, have, listed, privileged, run};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tar archive of these files; a name that ends with `/` is a directory, `name -> target` a
/// symbolic link.
fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, name, &b""[..]).unwrap();
        } else if let Some((name, target)) = name.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, name, target).unwrap();
        } else {
            header.set_size(text.len() as u64);
            builder
                .append_data(&mut header, name, text.as_bytes())
                .unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The parts of an image under construction.
#[derive(Debug, Clone, Default)]
struct Parts(BTreeMap<String, Vec<u8>>);

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

impl Parts {
    fn layout() -> Self {
        let mut parts = Self::default();
        parts.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        parts
    }

    fn put(&mut self, name: &str, bytes: &[u8]) {
        self.0.insert(name.to_owned(), bytes.to_vec());
    }

    fn json(&mut self, name: &str, value: &Value) {
        self.put(name, value.to_string().as_bytes());
    }

    /// Adds a blob and gives its descriptor.
    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        self.put(&format!("blobs/sha256/{digest}"), bytes);
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    fn config(&mut self, architecture: &str, layers: &[Vec<u8>], config: &Value) -> Value {
        let diff_ids: Vec<String> = layers
            .iter()
            .map(|layer| format!("sha256:{}", sha256(layer)))
            .collect();
        let text = json!({"architecture": architecture, "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        self.blob(
            "application/vnd.oci.image.config.v1+json",
            text.to_string().as_bytes(),
        )
    }

    /// Adds an image of these layers, every second one compressed; gives its descriptor.
    fn image(&mut self, architecture: &str, layers: &[Vec<u8>]) -> Value {
        let config = self.config(architecture, layers, &json!({"Cmd": [architecture]}));
        let layers: Vec<Value> = layers
            .iter()
            .enumerate()
            .map(|(number, layer)| match number % 2 {
                0 => self.blob(LAYER, layer),
                _ => self.blob(&format!("{LAYER}+gzip"), &gzip(layer)),
            })
            .collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config,
            "layers": layers});
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    fn index(&mut self, manifests: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.blob(INDEX, index.to_string().as_bytes())
    }

    fn top(mut self, manifests: &[Value]) -> Self {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        self.json("index.json", &index);
        self
    }

    fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, &**bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn open(&self, options: &OpenOptions) -> Result<Image, SourceError> {
        Image::from_bytes("image.tar", self.tar(), options)
    }

    /// What goes wrong when it is opened or read.
    fn refusal(&self, options: &OpenOptions) -> String {
        let error = match self.open(options) {
            Err(error) => error,
            Ok(image) => image.read(&mut ()).unwrap_err(),
        };
        chain(&error, Path::new("/no/such/base"))
    }
}

fn with(mut descriptor: Value, key: &str, value: Value) -> Value {
    descriptor[key] = value;
    descriptor
}

fn named(descriptor: Value, name: &str) -> Value {
    let annotation = json!({"org.opencontainers.image.ref.name": name});
    with(descriptor, "annotations", annotation)
}

fn on(descriptor: Value, architecture: &str) -> Value {
    let platform = json!({"os": "linux", "architecture": architecture});
    with(descriptor, "platform", platform)
}

fn options(platform: &str, reference: Option<&str>) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.platform = platform.parse().unwrap();
    options.reference = reference.map(str::to_owned);
    options
}

fn names(image: &Image) -> Vec<String> {
    let (tree, _) = image.read(&mut ()).unwrap();
    listed(&tree)
        .keys()
        .map(|name| name.escape_ascii().to_string())
        .collect()
}

#[test]
fn platforms_names_and_nested_indexes() {
    let mut parts = Parts::layout();
    let amd64 = parts.image("amd64", &[layer(&[("amd64", "")]), layer(&[("more", "")])]);
    let arm64 = parts.image("arm64", &[layer(&[("arm64", "")])]);
    let other = parts.image("amd64", &[layer(&[("other", "")])]);
    let attestation = with(
        on(parts.image("unknown", &[]), "unknown"),
        "annotations",
        json!({"vnd.docker.reference.type": "attestation-manifest"}),
    );
    let inner = parts.index(&[on(arm64, "arm64"), on(amd64, "amd64"), attestation]);
    let nested = parts.index(&[inner]);
    let parts = parts.top(&[
        named(nested, "docker.io/library/app:1.0"),
        named(other.clone(), "other"),
        named(other, "same image"),
    ]);
    for (platform, reference, found) in [
        ("linux/amd64", "app:1.0", vec!["", "amd64", "more"]),
        (
            "linux/arm64",
            "docker.io/library/app:1.0",
            vec!["", "arm64"],
        ),
        ("linux/x86_64", "other", vec!["", "other"]),
        ("linux/amd64", "same image", vec!["", "other"]),
    ] {
        let image = parts.open(&options(platform, Some(reference))).unwrap();
        assert_eq!(image.format(), Format::Oci);
        assert_eq!(names(&image), found, "{platform} {reference}");
    }
    let said = [
        parts.refusal(&options("linux/amd64", None)),
        parts.refusal(&options("linux/amd64", Some("missing"))),
        parts.refusal(&options("linux/s390x", Some("app:1.0"))),
        parts.refusal(&options("linux/arm64", Some("other"))),
    ]
    .map(|text| mask(&text));
    insta::assert_snapshot!(said.join("\n"));
}

/// Digests vary with every byte of a document; messages do not need them.
fn mask(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("sha256:") {
        let end = at + 7 + 64;
        out += &rest[..at + 7];
        out += "...";
        rest = rest.get(end..).unwrap_or_default();
    }
    out + rest
}

#[test]
fn documents_that_lie() {
    let good = || {
        let mut parts = Parts::layout();
        let image = parts.image("amd64", &[layer(&[("a", "text")]), layer(&[("b", "text")])]);
        (parts, image)
    };
    let changed = |find: &str, replace: &str| {
        let (parts, image) = good();
        let mut parts = parts.top(&[image]);
        for bytes in parts.0.values_mut() {
            if let Ok(text) = String::from_utf8(bytes.clone()) {
                *bytes = text.replace(find, replace).into_bytes();
            }
        }
        parts.refusal(&OpenOptions::new())
    };
    let manifest = |change: &dyn Fn(&mut Parts, &mut Value)| {
        let (mut parts, image) = good();
        let digest = image["digest"]
            .as_str()
            .unwrap()
            .replace("sha256:", "blobs/sha256/");
        let mut manifest: Value = serde_json::from_slice(&parts.0[&digest]).unwrap();
        change(&mut parts, &mut manifest);
        let image = parts.blob(MANIFEST, manifest.to_string().as_bytes());
        parts.top(&[image]).refusal(&OpenOptions::new())
    };
    let mut loops = Parts::layout();
    let mut index = loops.image("amd64", &[]);
    for _ in 0..9 {
        index = loops.index(&[index]);
    }
    let mut small = OpenOptions::new();
    small.limits.json_bytes = 100;
    let mut few = OpenOptions::new();
    few.limits.layers = 1;
    let (parts, image) = good();
    let good = parts.top(&[image]);
    let mut no_index = good.clone();
    no_index.json("index.json", &json!({"manifests": 3}));
    let empty = Parts::layout().top(&[]);
    let deep = {
        let mut parts = Parts::layout();
        parts.put("index.json", "[".repeat(200_000).as_bytes());
        parts
    };
    let said = [
        // The layer's content, the configuration, and the layer behind gzip.
        changed("text", "TEXT"),
        changed("\"Cmd\":[\"amd64\"]", "\"Cmd\":[\"AMD64\"]"),
        manifest(&|_, manifest| manifest["layers"][0]["size"] = 1.into()),
        manifest(&|_, manifest| manifest["layers"][1]["size"] = 999_999.into()),
        manifest(&|_, manifest| {
            manifest["layers"][0]["digest"] = format!("sha256:{}", "0".repeat(64)).into();
        }),
        manifest(&|_, manifest| {
            manifest["layers"][0]["digest"] = "sha256:../../../etc/passwd".into();
        }),
        manifest(&|_, manifest| {
            manifest["layers"][0]["digest"] = format!("md5:{}", "0".repeat(32)).into();
        }),
        manifest(&|_, manifest| {
            manifest["layers"][0]["mediaType"] = format!("{LAYER}+encrypted").into();
        }),
        manifest(&|_, manifest| {
            manifest["layers"][0]["mediaType"] = "application/vnd.wasm\u{1b}[31m".into();
        }),
        manifest(&|_, manifest| {
            manifest["layers"].as_array_mut().unwrap().pop();
        }),
        // A layer that is right itself, but not the one the configuration means.
        manifest(&|parts, manifest| {
            manifest["layers"][1] = parts.blob(&format!("{LAYER}+gzip"), &gzip(&layer(&[])));
        }),
        loops.top(&[index]).refusal(&OpenOptions::new()),
        good.refusal(&small),
        good.refusal(&few),
        no_index.refusal(&OpenOptions::new()),
        empty.refusal(&OpenOptions::new()),
        deep.refusal(&OpenOptions::new()),
    ]
    .map(|text| mask(&text));
    insta::assert_snapshot!(said.join("\n"));
}

/// An archive as `docker save` made it from 1.10 to 24, and as it was before.
fn docker(layers: &[(&str, Vec<u8>)]) -> (Parts, Parts) {
    let (mut modern, mut old) = (Parts::default(), Parts::default());
    let contents: Vec<Vec<u8>> = layers.iter().map(|(_, layer)| layer.clone()).collect();
    let diff_ids: Vec<String> = contents
        .iter()
        .map(|layer| format!("sha256:{}", sha256(layer)))
        .collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["run"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    modern.json(&format!("{}.json", "c".repeat(64)), &config);
    let mut paths = Vec::new();
    let mut parent = None;
    for (name, layer) in layers {
        let id = sha256(name.as_bytes());
        for parts in [&mut modern, &mut old] {
            parts.put(&format!("{id}/VERSION"), b"1.0");
            parts.put(&format!("{id}/layer.tar"), layer);
            let json = json!({"id": id, "parent": parent, "os": "linux",
                "architecture": "amd64", "config": {"Cmd": [name]}});
            parts.json(&format!("{id}/json"), &json);
        }
        paths.push(format!("{id}/layer.tar"));
        parent = Some(id);
    }
    modern.json(
        "manifest.json",
        &json!([{"Config": format!("{}.json", "c".repeat(64)),
        "RepoTags": ["app:latest", "registry.example/app:2"], "Layers": paths}]),
    );
    for parts in [&mut modern, &mut old] {
        parts.json("repositories", &json!({"app": {"latest": parent}}));
    }
    (modern, old)
}

#[test]
fn docker_archives_of_every_age() {
    let (modern, old) = docker(&[
        (
            "base",
            layer(&[("etc/", ""), ("etc/a", "1"), ("etc/b", "2")]),
        ),
        ("top", layer(&[("etc/.wh.a", ""), ("etc/c", "3")])),
    ]);
    for (parts, cmd) in [(&modern, "run"), (&old, "top")] {
        for reference in [None, Some("app"), Some("docker.io/library/app:latest")] {
            let image = parts.open(&options("linux/amd64", reference)).unwrap();
            assert_eq!(image.format(), Format::Docker);
            assert_eq!(image.config().argv(), [cmd]);
            assert_eq!(names(&image), ["", "etc", "etc/b", "etc/c"]);
            assert!(image.digest().unwrap().starts_with("sha256:"));
        }
    }
    // From version 25 on it is an OCI layout, too, which then counts.
    let mut both = modern.clone();
    let image = both.image("amd64", &[layer(&[("oci", "")])]);
    let annotation = json!({"io.containerd.image.name": "docker.io/library/app:latest"});
    both.put("oci-layout", b"{}");
    let both = both.top(&[with(image, "annotations", annotation)]);
    let image = both.open(&options("linux/amd64", Some("app"))).unwrap();
    assert_eq!(
        (image.format(), names(&image)),
        (Format::Oci, vec![String::new(), "oci".into()])
    );
    let mut meant = options("linux/amd64", Some("app"));
    meant.format = Some(Format::Docker);
    assert_eq!(both.open(&meant).unwrap().format(), Format::Docker);

    let mut missing = modern.clone();
    missing.0.retain(|name, _| !name.ends_with("layer.tar"));
    let mut climbing = modern.clone();
    climbing.json(
        "manifest.json",
        &json!([{"Config": "../../etc/passwd", "Layers": []}]),
    );
    let mut damaged = modern.clone();
    for (name, bytes) in &mut damaged.0 {
        if name.ends_with("layer.tar") {
            bytes[520] ^= 1;
        }
    }
    let mut looping = old.clone();
    let id = sha256(b"base");
    looping.json(&format!("{id}/json"), &json!({"parent": sha256(b"top")}));
    let said = [
        missing.refusal(&OpenOptions::new()),
        climbing.refusal(&OpenOptions::new()),
        damaged.refusal(&OpenOptions::new()),
        looping.refusal(&OpenOptions::new()),
        modern.refusal(&options("linux/amd64", Some("other"))),
        old.refusal(&options("linux/arm64", None)),
    ]
    .map(|text| mask(&text));
    insta::assert_snapshot!(said.join("\n"));
}

/// The tree of an image of these layers, as names with contents.
fn merged(layers: &[Vec<u8>]) -> String {
    let mut parts = Parts::layout();
    let image = parts.image("amd64", layers);
    let image = parts.top(&[image]).open(&OpenOptions::new()).unwrap();
    let (tree, _) = image.read(&mut ()).unwrap();
    let mut text = String::new();
    for (name, facts) in listed(&tree) {
        text += &format!("/{} {}\n", name.escape_ascii(), facts.bytes.escape_ascii());
    }
    text
}

#[test]
fn whiteouts_hide_what_is_below_and_only_that() {
    let below = layer(&[
        ("dir/", ""),
        ("dir/old", "1"),
        ("dir/sub/", ""),
        ("dir/sub/old", "1"),
        ("gone/", ""),
        ("gone/deep/", ""),
        ("gone/deep/file", "1"),
        ("kept", "1"),
        ("replaced/", ""),
        ("replaced/file", "1"),
        ("lib -> usr/lib", ""),
        ("usr/lib/", ""),
        ("usr/lib/one", "1"),
        ("usr/lib/two", "1"),
    ]);
    let above = layer(&[
        // The marker comes after what it must not hide.
        ("dir/new", "2"),
        ("dir/sub/", ""),
        ("dir/sub/new", "2"),
        ("dir/.wh..wh..opq", ""),
        (".wh.gone", ""),
        (".wh.never was", ""),
        ("nowhere/.wh.file", ""),
        (".wh.replaced", ""),
        ("replaced", "now a file"),
        ("lib/.wh.one", ""),
        (".wh..wh.plnk/", ""),
        (".wh..wh.aufs", "bookkeeping"),
    ]);
    insta::assert_snapshot!(merged(&[below.clone(), above]));
    // A whiteout of the root's content, and files in the same layer.
    insta::assert_snapshot!(merged(&[below, layer(&[(".wh..wh..opq", ""), ("only", "2")])]), @r"
    / 
    /only 2
    ");
}

#[test]
fn whiteouts_that_name_nothing_are_refused() {
    for name in [".wh.", "a/.wh..", "a/.wh..."] {
        let mut parts = Parts::layout();
        let image = parts.image("amd64", &[layer(&[(name, "")])]);
        let said = parts.top(&[image]).refusal(&OpenOptions::new());
        assert!(
            said.ends_with("it is a whiteout that names no entry"),
            "{name}: {said}"
        );
    }
    // In a plain archive there is nothing below, and the name is a name.
    let image = Image::from_bytes("a.tar", layer(&[(".wh.file", "")]), &OpenOptions::new());
    assert_eq!(names(&image.unwrap()), ["", ".wh.file"]);
}

#[test]
fn overlays_are_put_on_top() {
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path();
    fs::write(
        base.join("base.tar"),
        layer(&[("a/", ""), ("a/1", "base"), ("b", "base")]),
    )
    .unwrap();
    fs::write(
        base.join("over.tar.gz"),
        gzip(&layer(&[("a/2", "tar"), (".wh.b", "")])),
    )
    .unwrap();
    fs::create_dir_all(base.join("over/a")).unwrap();
    fs::write(base.join("over/a/.wh.1"), "").unwrap();
    fs::write(base.join("over/a/3"), "directory").unwrap();
    let mut options = OpenOptions::new();
    options.overlays = vec![base.join("over.tar.gz"), base.join("over")];
    options.owner = Some((11, 12));
    let image = Image::open(base.join("base.tar"), &options).unwrap();
    assert_eq!(names(&image), ["", "a", "a/2", "a/3"]);
    let (tree, report) = image.read(&mut ()).unwrap();
    let facts = listed(&tree);
    assert_eq!((facts[&b"a/3"[..]].uid, facts[&b"a/3"[..]].gid), (11, 12));
    assert_eq!(
        report
            .layers
            .iter()
            .map(|layer| layer.whiteouts)
            .sum::<u64>(),
        2
    );
    let before = image.digest().unwrap();
    options.overlays.pop();
    let fewer = Image::open(base.join("base.tar"), &options).unwrap();
    assert_ne!(fewer.digest().unwrap(), before);
}

#[test]
fn whiteouts_of_overlayfs() {
    if !privileged() || !have(&["mknod"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path();
    for path in ["lower/dir", "upper/dir"] {
        fs::create_dir_all(base.join(path)).unwrap();
    }
    for path in ["lower/gone", "lower/dir/old", "upper/dir/new"] {
        fs::write(base.join(path), "").unwrap();
    }
    run(&base.join("upper"), "mknod", &["gone", "c", "0", "0"]);
    xattr::set(base.join("upper/dir"), "trusted.overlay.opaque", b"y").unwrap();
    let mut options = everything();
    options.overlays = vec![base.join("upper")];
    let image = Image::open(base.join("lower"), &options).unwrap();
    assert_eq!(names(&image), ["", "dir", "dir/new"]);
    let (tree, _) = image.read(&mut ()).unwrap();
    let directory = tree.lookup(&TreePath::new("dir").unwrap()).unwrap();
    assert_eq!(tree.inode(directory).xattrs, None);
}

#[test]
fn a_source_that_changes_is_noticed() {
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path();
    fs::create_dir(base.join("tree")).unwrap();
    fs::write(base.join("tree/file"), "before").unwrap();
    fs::write(base.join("a.tar"), layer(&[("file", "before")])).unwrap();
    for source in ["tree", "a.tar"] {
        let image = Image::open(base.join(source), &OpenOptions::new()).unwrap();
        let (tree, _) = image.read(&mut ()).unwrap();
        fs::write(base.join("tree/file"), "after!").unwrap();
        fs::write(base.join("a.tar"), layer(&[("file", "after!")])).unwrap();
        let file = tree.lookup(&TreePath::new("file").unwrap()).unwrap();
        let error = tree.read_file(file, 100).unwrap_err();
        let said = chain(&error, base);
        assert!(
            said.ends_with("changed while it was read"),
            "{source}: {said}"
        );
    }
}

#[test]
fn what_is_there_is_said_when_it_is_no_image() {
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path();
    fs::write(base.join("text"), "not an image ".repeat(100)).unwrap();
    fs::write(base.join("empty"), "").unwrap();
    fs::write(base.join("json"), "[1, 2]".repeat(200)).unwrap();
    fs::write(base.join("gz"), gzip(b"short")).unwrap();
    fs::write(
        base.join("cut.gz"),
        &gzip(&layer(&[("a", &"b".repeat(5000))]))[..40],
    )
    .unwrap();
    let mut ext2 = vec![0; 4096];
    ext2[1080..1082].copy_from_slice(&[0x53, 0xef]);
    fs::write(base.join("ext2"), ext2).unwrap();
    let said: Vec<String> = ["missing", "text", "empty", "json", "gz", "cut.gz", "ext2"]
        .into_iter()
        .map(|name| {
            let read = outside::read(base.join(name), &OpenOptions::new());
            let error = read.map(|_| ()).expect_err(name);
            chain(&error, base)
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    for (format, name) in [
        (Format::Oci, "text"),
        (Format::Tar, "."),
        (Format::Directory, "text"),
    ] {
        let mut options = OpenOptions::new();
        options.format = Some(format);
        assert!(
            Image::open(base.join(name), &options).is_err(),
            "{format} {name}"
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/:.0-9]{0,12}".prop_map(Value::from),
        Just(json!(MANIFEST)),
        Just(json!(format!("sha256:{}", "0".repeat(64)))),
        Just(json!("blobs/sha256/x")),
    ];
    let key = prop::sample::select(vec![
        "manifests",
        "mediaType",
        "digest",
        "size",
        "config",
        "layers",
        "annotations",
        "platform",
        "Config",
        "Layers",
        "RepoTags",
        "schemaVersion",
        "rootfs",
        "diff_ids",
        "parent",
        "Env",
        "ExposedPorts",
        "Healthcheck",
        "Test",
        "os",
        "architecture",
        "Entrypoint",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6).prop_map(|map| {
                let map = map.into_iter().map(|(key, value)| (key.to_owned(), value));
                Value::Object(map.collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_document_panics(index in any_json(), manifest in any_json(), config in any_json()) {
        let _ = lupine_rootfs::ImageConfig::from_json(config.to_string().as_bytes());
        let mut parts = Parts::layout();
        let image = parts.blob(MANIFEST, manifest.to_string().as_bytes());
        let _ = parts.clone().top(&[image]).open(&OpenOptions::new());
        parts.json("index.json", &index);
        let _ = parts.open(&OpenOptions::new());
        let mut parts = Parts::default();
        parts.json("manifest.json", &manifest);
        parts.json("repositories", &index);
        parts.json("blobs/sha256/x", &config);
        let _ = parts.open(&OpenOptions::new());
    }
}
