//! The root file system of the variant `lupine`: what its program loads is
//! rewritten, and is otherwise what it was. Read back by an ext2 reader that is
//! not ours, judged by the verification that is not the rewriter's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]

use ext4_view::Ext4;
use lupine::Lupine;
use lupine::cache::Cache;
use lupine::guest::init::HELLO;
use lupine::manifest::{ImageSource, Manifest};
use lupine::rootfs::Rootfs;
use lupine::variant::Variant;
use lupine_kml::rewrite::undo_bytes;
use lupine_kml::verify_rewrite::verify;

fn read(rootfs: &Rootfs, path: &str) -> Vec<u8> {
    let image = std::fs::read(rootfs.path()).unwrap();
    let image = Ext4::load(Box::new(image)).unwrap();
    image.read(path).unwrap()
}

#[test]
fn a_static_program_is_rewritten_for_the_variant_only() {
    let temp = tempfile::tempdir().unwrap();
    let lupine = Lupine::new(Cache::at(temp.path()));
    let image = lupine.image(&Manifest::builtin("hello").unwrap()).unwrap();

    let plain = lupine.rootfs(&image, Variant::LupineNokml).unwrap();
    assert_eq!(plain.rewritten(), []);
    assert_eq!(read(&plain, "/hello"), HELLO);

    let rootfs = lupine.rootfs(&image, Variant::Lupine).unwrap();
    let [file] = rootfs.rewritten() else {
        panic!("{:?}", rootfs.rewritten());
    };
    assert_eq!(file.path, "/hello");
    assert!(file.rewritten > 0, "{file:?}");
    let written = read(&rootfs, "/hello");
    assert_eq!(verify(Some(HELLO), &written).unwrap().sites, file.rewritten);

    // Found in the cache, and made again: the same.
    let again = lupine.rootfs(&image, Variant::Lupine).unwrap();
    assert_eq!(again.rewritten(), rootfs.rewritten());
    let other = tempfile::tempdir().unwrap();
    let fresh = Lupine::new(Cache::at(other.path()));
    let fresh = fresh.rootfs(&image, Variant::Lupine).unwrap();
    assert_eq!(
        std::fs::read(fresh.path()).unwrap(),
        std::fs::read(rootfs.path()).unwrap()
    );
}

#[test]
fn a_dynamic_program_is_rewritten_with_its_loader_and_c_library() {
    let root = tempfile::tempdir().unwrap();
    let mut copied = Vec::new();
    for path in [
        "/bin/true",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
    ] {
        let Ok(bytes) = std::fs::read(path) else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no {path}");
            eprintln!("SKIPPED: {path} is not where Debian has it");
            return;
        };
        let target = root.path().join(&path[1..]);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
        copied.push((path, bytes));
    }
    let mut manifest = Manifest::builtin("hello").unwrap();
    manifest.image = ImageSource::Path(root.path().to_owned());
    manifest.run.entrypoint = Some(vec!["/bin/true".to_owned()]);

    let cache = tempfile::tempdir().unwrap();
    let lupine = Lupine::new(Cache::at(cache.path()));
    let image = lupine.image(&manifest).unwrap();
    let rootfs = lupine.rootfs(&image, Variant::Lupine).unwrap();
    assert_eq!(rootfs.rewritten().len(), copied.len());
    for (path, original) in copied {
        let files = rootfs.rewritten();
        let file = files.iter().find(|file| file.path == path).unwrap();
        assert_eq!(file.untouched, None);
        let written = read(&rootfs, path);
        if file.rewritten == 0 {
            assert_eq!(path, "/bin/true", "it leaves its calls to the C library");
            assert_eq!(written, original);
            continue;
        }
        let checked = verify(Some(&original), &written).unwrap();
        assert_eq!(checked.sites, file.rewritten);
        assert_eq!(undo_bytes(&written).unwrap(), original);
        // What is left native is the exception.
        assert!(file.native * 20 < file.rewritten, "{file:?}");
    }
}
