//! Damaged ext2 images: opened, checked, read as a tree, some contents read.
//!
//! Bytes that are not close to an image fail at its first field. So the input is a list of changes
//! to a sound image: two bytes say where, the next one is put there. Input that starts with a zero
//! is taken as an image itself.
#![no_main]

use std::io::Cursor;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use lupine_rootfs::ext2::{self, BlockSize, Options, Size};
use lupine_rootfs::{FileTree, Kind, Metadata, TreePath, Xattrs};

/// An image of 64 KiB at most with some of everything: an indexed directory, links of both kinds,
/// attributes, a device, a file with an index block.
fn sound() -> Vec<u8> {
    let mut tree = FileTree::new();
    let file = tree
        .add_file("etc/passwd", *b"root:x:0:0\n", 0o644)
        .unwrap();
    let xattrs = Xattrs::from([(b"user.comment".to_vec(), b"fuzz".to_vec())]);
    tree.set_xattrs(file, xattrs);
    tree.hard_link(&TreePath::new("etc/passwd-").unwrap(), file)
        .unwrap();
    tree.add_file("large", vec![1; 14 << 10], 0o644).unwrap();
    tree.add_symlink("fast", "etc/passwd").unwrap();
    tree.add_symlink("slow", "x".repeat(90)).unwrap();
    let device = Kind::CharDevice { major: 1, minor: 3 };
    let null = lupine_rootfs::Inode::new(device, Metadata::with_mode(0o666));
    tree.insert(&TreePath::new("null").unwrap(), null).unwrap();
    for number in 0..60 {
        let name = format!("many/{number:030}");
        tree.add_file(name, Vec::new(), 0o600).unwrap();
    }
    let options = Options {
        block_size: Some(BlockSize::K1),
        size: Size::Smallest { free: 0 },
        free_inodes: Some(0),
        ..Options::default()
    };
    let mut image = Cursor::new(Vec::new());
    ext2::write_seek(&tree, &options, &mut image, &mut ()).unwrap();
    image.into_inner()
}

fuzz_target!(|data: &[u8]| {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = match data.split_first() {
        Some((0, image)) => image.to_vec(),
        _ => {
            let mut image = SOUND.get_or_init(sound).clone();
            for change in data.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
                // The first KiB is nobody's.
                let at = 1024 + at % (image.len() - 1024);
                image[at] = change[2];
            }
            image
        }
    };
    let Ok(image) = ext2::Image::open(bytes) else {
        return;
    };
    let _ = ext2::check(&image, &mut ());
    let Ok(tree) = ext2::read_tree(image) else {
        return;
    };
    for (_, id) in tree.walk().take(100) {
        let _ = tree.read_file(id, 1 << 20);
    }
});
