//! Any bytes as an ext2 image: opened, checked, read as a tree, some contents read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lupine_rootfs::ext2;

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = ext2::Image::open(bytes.to_vec()) else {
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
