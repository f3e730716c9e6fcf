//! Bad input: a clear message, and nothing left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]

use std::fs;
use std::path::Path;

use lupine::cache::Cache;
use lupine::kernel::source::SourceError;
use lupine::manifest::{ImageSource, Manifest};
use lupine::process::Cancel;
use lupine::{Error, Lupine};

fn pipeline(dir: &Path) -> Lupine {
    Lupine::new(Cache::at(dir.join("cache")))
}

/// Every file below `dir` that is not a lock.
fn left(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|e| e != "lock") {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_tree_that_is_not_a_kernel_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let tree = temp.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("Makefile"), "all:\n").unwrap();
    let error = pipeline(temp.path())
        .kernel_source(Some(&tree))
        .unwrap_err();
    assert!(
        matches!(error, Error::Source(SourceError::NotAKernel { .. })),
        "{error:?}"
    );
    let missing = pipeline(temp.path()).kernel_source(Some(Path::new("/no/such/tree")));
    assert!(missing.unwrap_err().to_string().contains("/no/such/tree"));
}

/// A small archive with a kernel's landmarks, as xz.
fn tarball(dir: &Path) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("linux-6.12.1/{name}"), bytes)
            .unwrap();
    };
    add(
        "Makefile",
        b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\nEXTRAVERSION =\n",
    );
    for name in [
        "Kbuild",
        "Kconfig",
        "scripts/kconfig/conf.c",
        "arch/x86/Makefile",
    ] {
        add(name, b"x");
    }
    let noise: Vec<u8> = (0..200_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    add("noise", &noise);
    let bytes = tar.into_inner().unwrap();
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    std::io::Write::write_all(&mut encoder, &bytes).unwrap();
    let bytes = encoder.finish().unwrap();
    fs::write(dir.join("linux.tar.xz"), &bytes).unwrap();
    bytes
}

#[test]
fn a_truncated_tarball_is_named_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let bytes = tarball(temp.path());
    let path = temp.path().join("linux.tar.xz");
    let source = pipeline(temp.path()).kernel_source(Some(&path)).unwrap();
    assert_eq!(source.version.to_string(), "6.12.1");

    let cut = temp.path().join("cut.tar.xz");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let other = temp.path().join("other");
    let error = pipeline(&other).kernel_source(Some(&cut)).unwrap_err();
    assert!(
        matches!(error, Error::Source(SourceError::Damaged { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("cut.tar.xz"), "{error}");
    let trees = left(&other.join("cache/trees"));
    assert!(trees.is_empty(), "{trees:?}");
}

#[test]
fn a_cancelled_unpacking_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    tarball(temp.path());
    let cancel = Cancel::new();
    cancel.cancel();
    let lupine = pipeline(temp.path()).with_cancel(cancel);
    let error = lupine
        .kernel_source(Some(&temp.path().join("linux.tar.xz")))
        .unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
    assert!(left(&temp.path().join("cache/trees")).is_empty());
}

fn image_of(dir: &Path, program: &str, bytes: &[u8]) -> Manifest {
    let root = dir.join("root");
    let place = root.join(program.trim_start_matches('/'));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, bytes).unwrap();
    let mut manifest = Manifest::for_image(&root);
    manifest.run.entrypoint = Some(vec![program.to_owned()]);
    manifest
}

fn refusal(dir: &Path, manifest: &Manifest) -> String {
    let lupine = pipeline(dir);
    let image = lupine.image(manifest).unwrap();
    lupine.needs(&image).unwrap_err().to_string()
}

#[test]
fn an_image_that_cannot_run_is_refused_before_anything_is_built() {
    let temp = tempfile::tempdir().unwrap();
    let shell = fs::read("/bin/sh").unwrap();

    let mut manifest = image_of(temp.path(), "/bin/app", b"#!/bin/none\n");
    assert!(refusal(temp.path(), &manifest).contains("/bin/none"));

    manifest.run.entrypoint = Some(vec!["/bin/absent".to_owned()]);
    assert!(refusal(temp.path(), &manifest).contains("/bin/absent"));

    manifest.run.entrypoint = None;
    assert!(refusal(temp.path(), &manifest).contains("entry point"));

    let mut foreign = shell.clone();
    foreign[18..20].copy_from_slice(&183u16.to_le_bytes());
    let manifest = image_of(temp.path(), "/bin/foreign", &foreign);
    assert!(refusal(temp.path(), &manifest).contains("AARCH64"));

    let manifest = image_of(temp.path(), "/bin/sh", &shell);
    let message = refusal(temp.path(), &manifest);
    assert!(message.contains("ld-linux-x86-64.so.2"), "{message}");

    let loader = "/lib64/ld-linux-x86-64.so.2";
    let manifest = {
        image_of(temp.path(), loader, &fs::read(loader).unwrap());
        image_of(temp.path(), "/bin/sh", &shell)
    };
    let message = refusal(temp.path(), &manifest);
    assert!(message.contains("libc.so.6"), "{message}");
}

#[test]
fn an_image_that_is_none_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("image.tar");
    fs::write(&file, b"not an archive of any kind").unwrap();
    let manifest = Manifest::for_image(&file);
    assert!(matches!(manifest.image, ImageSource::Path(_)));
    let error = pipeline(temp.path())
        .image(&manifest)
        .unwrap_err()
        .to_string();
    assert!(error.contains("image.tar"), "{error}");
}
