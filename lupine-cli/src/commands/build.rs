//! `lupine build`.

use std::path::{Path, PathBuf};

use lupine::rootfs::Rootfs;
use serde::Serialize;

use super::{Failure, Session};
use crate::args::Build;

#[derive(Serialize)]
struct Built {
    name: String,
    variant: lupine::variant::Variant,
    kernel_version: String,
    output: PathBuf,
    bzimage_bytes: u64,
    rootfs_bytes: u64,
    options_with_reason: usize,
}

pub(super) fn execute(session: &Session<'_>, args: &Build) -> Result<(), Failure> {
    let lupine = session.lupine_for(&args.kernel)?;
    let manifest = session.manifest(&args.image)?;
    let variant = args.kernel.variant;
    lupine.require_tools(&manifest, args.kernel.kernel_src.as_deref())?;
    let image = lupine.image(&manifest)?;
    let needs = lupine.needs(&image)?;
    let source = lupine.kernel_source(args.kernel.kernel_src.as_deref())?;
    let source = lupine.patch(source, variant)?;
    let config = lupine.specialise(&source, &needs, variant)?;
    let kernel = lupine.kernel(&source, &config)?;
    let rootfs = lupine.rootfs(&image, variant)?;

    let output = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(&manifest.name));
    let failed = |source| Failure::Output {
        what: output.display().to_string(),
        source,
    };
    std::fs::create_dir_all(&output).map_err(failed)?;
    let copy = |from: &Path, name: &str| lupine::copy_atomically(from, &output.join(name));
    let json = |value: serde_json::Result<Vec<u8>>| value.map_err(std::io::Error::from);
    let write = |name: &str, bytes: &[u8]| lupine::write_atomically(&output.join(name), bytes);
    copy(&kernel.bzimage(), "bzImage")
        .and_then(|()| copy(&kernel.vmlinux(), "vmlinux"))
        .and_then(|()| copy(rootfs.path(), Rootfs::FILE_NAME))
        .and_then(|()| write("config", &config.text))
        .and_then(|()| write("reasons.txt", config.reasons_text().as_bytes()))
        .and_then(|()| {
            write(
                "reasons.json",
                &json(serde_json::to_vec_pretty(&config.reasons))?,
            )
        })
        .and_then(|()| write("needs.json", &json(serde_json::to_vec_pretty(&needs))?))
        .and_then(|()| {
            write(
                "manifest.json",
                &json(serde_json::to_vec_pretty(&manifest))?,
            )
        })
        .map_err(failed)?;

    let size = |path: &Path| {
        std::fs::metadata(path)
            .map(|meta| meta.len())
            .unwrap_or_default()
    };
    let built = Built {
        name: manifest.name,
        variant,
        kernel_version: source.version.to_string(),
        bzimage_bytes: size(&kernel.bzimage()),
        rootfs_bytes: size(rootfs.path()),
        options_with_reason: config.reasons.len(),
        output,
    };
    let text = format!(
        "{} ({variant}, Linux {}) in {}: kernel {:.2} MB, root file system {:.0} MB\n",
        built.name,
        built.kernel_version,
        built.output.display(),
        built.bzimage_bytes as f64 / 1e6,
        built.rootfs_bytes as f64 / 1e6,
    );
    session.print(&built, &text)
}
