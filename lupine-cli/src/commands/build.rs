//! `lupine build`.

use std::path::{Path, PathBuf};

use lupine::kernel::config::reasons_text;
use lupine::measure::Unikernel;
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
    lupine.require_build_tools(&manifest, args.kernel.kernel_src.as_deref())?;
    let source = lupine.kernel_source(args.kernel.kernel_src.as_deref())?;
    let image = lupine.image(&manifest)?;
    let needs = lupine.needs(&image)?;
    let unikernel = Unikernel::of_needs(&lupine, &image, &needs, &source, variant, None)?;

    let output = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(&manifest.name));
    let failed = |source| Failure::Output {
        what: output.display().to_string(),
        source,
    };
    let reasons = reasons_text(&unikernel.reasons);
    unikernel
        .save(&output)
        .and_then(|()| lupine::write_atomically(&output.join("reasons.txt"), reasons.as_bytes()))
        .and_then(|()| {
            let needs = serde_json::to_vec_pretty(&needs)?;
            lupine::write_atomically(&output.join("needs.json"), &needs)
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
        kernel_version: unikernel.kernel.version.clone(),
        bzimage_bytes: size(&unikernel.bzimage),
        rootfs_bytes: size(&unikernel.root),
        options_with_reason: unikernel.reasons.len(),
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
