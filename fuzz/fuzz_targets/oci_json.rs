//! The JSON documents of images: index, manifest and configuration of OCI layouts, and the
//! documents of docker archives. The first byte says which one the rest is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lupine_rootfs::ImageConfig;
use lupine_rootfs::source::{Image, OpenOptions};

/// A tar archive of these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((&which, text)) = data.split_first() else {
        return;
    };
    let files: &[(&str, &[u8])] = match which % 4 {
        0 => &[("oci-layout", b"{}"), ("index.json", text)],
        1 => &[("manifest.json", text), ("config.json", b"{}")],
        2 => &[("repositories", text)],
        _ => {
            if let Ok(config) = ImageConfig::from_json(text) {
                let _ = config.argv();
                let _ = config.stop_signal_number();
            }
            return;
        }
    };
    let _ = Image::from_bytes("fuzz.tar", archive(files), &OpenOptions::new());
});
