//! What a guest's root file system has beside the image's own files.
#![allow(clippy::unwrap_used, reason = "a test that cannot be prepared fails")]

use std::path::Path;

use ext4_view::Ext4;
use lupine::Lupine;
use lupine::cache::Cache;
use lupine::manifest::{ImageSource, Manifest};
use lupine::variant::Variant;

/// The root file system of a directory, and of files in it.
fn read(root: &Path, path: &str) -> String {
    let cache = tempfile::tempdir().unwrap();
    let mut manifest = Manifest::builtin("hello").unwrap();
    manifest.image = ImageSource::Path(root.to_owned());
    manifest.run.entrypoint = Some(vec!["/program".to_owned()]);
    manifest.run.hostname = Some("wolf".to_owned());
    let lupine = Lupine::new(Cache::at(cache.path()));
    let image = lupine.image(&manifest).unwrap();
    let rootfs = lupine.rootfs(&image, Variant::LupineNokml).unwrap();
    let bytes = std::fs::read(rootfs.path()).unwrap();
    Ext4::load(Box::new(bytes))
        .unwrap()
        .read_to_string(path)
        .unwrap()
}

#[test]
fn names_are_found_as_in_a_container() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("etc")).unwrap();
    let hosts = root.path().join("etc/hosts");
    // Missing, or empty as the engine that built the image left it.
    for _ in 0..2 {
        let names = read(root.path(), "/etc/hosts");
        assert_eq!(names, "127.0.0.1\tlocalhost\n127.0.1.1\twolf\n");
        std::fs::write(&hosts, "").unwrap();
    }
    assert!(read(root.path(), "/etc/resolv.conf").starts_with("nameserver 10."));
    // The image's own file stays.
    std::fs::write(&hosts, "10.0.0.1 den\n").unwrap();
    assert_eq!(read(root.path(), "/etc/hosts"), "10.0.0.1 den\n");
}
