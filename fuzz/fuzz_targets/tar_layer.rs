//! Tar archives of any bytes: merged as layers, walked, and their contents read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lupine_rootfs::source::{Format, Image, OpenOptions};

fuzz_target!(|data: &[u8]| {
    let mut options = OpenOptions::new();
    options.format = Some(Format::Tar);
    options.devices = true;
    options.limits.unpacked_bytes = 16 << 20;
    options.limits.metadata_bytes = 1 << 20;
    let Ok(image) = Image::from_bytes("fuzz.tar", data, &options) else {
        return;
    };
    let Ok((tree, report)) = image.read(&mut ()) else {
        return;
    };
    let _ = report.to_string();
    for (_, inode) in tree.walk() {
        if tree
            .content(inode)
            .is_some_and(|content| content.len() <= 1 << 16)
        {
            let _ = tree.read_file(inode, 1 << 16);
        }
    }
});
