//! What is measured: a kernel, a root file system, and how to run them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;
use crate::files::{copy_atomically, write_atomically};
use crate::image::AppImage;
use crate::kernel::build::PARTS;
use crate::kernel::config::{Reason, Request, SpecialisedConfig};
use crate::kernel::parts::SizePart;
use crate::kernel::source::KernelSource;
use crate::manifest::Manifest;
use crate::needs::Needs;
use crate::pipeline::{Lupine, health_check};
use crate::rootfs::Rootfs;
use crate::variant::Variant;
use crate::vmm::{HealthCheck, KernelFile, Machine, Vmm, free_port};

/// A built application: its kernel, its root file system, and what is known of them.
#[derive(Clone, Debug)]
pub struct Unikernel {
    /// The application, completed by what its image says.
    pub manifest: Manifest,
    /// What the kernel is.
    pub kernel: KernelFacts,
    /// The compressed kernel.
    pub bzimage: PathBuf,
    /// The kernel as an ELF file with symbols.
    pub vmlinux: PathBuf,
    /// The root file system.
    pub root: PathBuf,
    /// The kernel's configuration, its text.
    pub config: Vec<u8>,
    /// Every option with its reason.
    pub reasons: Vec<Reason>,
    /// What the kernel's code and data are made of.
    pub parts: Vec<SizePart>,
}

/// What a built kernel is, as `kernel.json` says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// The kind of kernel.
    pub variant: Variant,
    /// The virtual machine monitor that it is configured for.
    #[serde(default)]
    pub vmm: Vmm,
    /// The version of its source.
    pub version: String,
}

impl Unikernel {
    /// The kernel, as an ELF file.
    const VMLINUX: &str = "vmlinux";
    /// The kernel, compressed.
    const BZIMAGE: &str = "bzImage";
    const CONFIG: &str = "config";
    const MANIFEST: &str = "manifest.json";
    const REASONS: &str = "reasons.json";
    const KERNEL: &str = "kernel.json";

    /// Goes through the pipeline's stages, those of the cache without work. `from` is the
    /// configuration that a kernel is pruned from, or the baseline of [`Variant::Microvm`].
    ///
    /// # Errors
    /// A stage failed.
    pub fn build(
        lupine: &Lupine,
        manifest: &Manifest,
        source: &KernelSource,
        variant: Variant,
        from: Option<&[u8]>,
    ) -> Result<Unikernel, Error> {
        let image = lupine.image(manifest)?;
        let needs = lupine.needs(&image)?;
        Self::of_needs(lupine, &image, &needs, source, variant, from)
    }

    /// The same with needs of one's own, to see what an option costs.
    ///
    /// # Errors
    /// A stage failed.
    pub fn of_needs(
        lupine: &Lupine,
        image: &AppImage,
        needs: &Needs,
        source: &KernelSource,
        variant: Variant,
        from: Option<&[u8]>,
    ) -> Result<Unikernel, Error> {
        let source = lupine.patch(source.clone(), variant)?;
        let request = Request {
            from,
            vmm: lupine.vmm(),
            ..Request::new(needs, variant)
        };
        let SpecialisedConfig { text, reasons, .. } = lupine.specialise_as(&source, &request)?;
        let kernel = lupine.kernel_of(&source, &text)?;
        let rootfs = lupine.rootfs(image, variant)?;
        Ok(Unikernel {
            manifest: image.manifest().clone(),
            kernel: KernelFacts {
                variant,
                vmm: lupine.vmm(),
                version: source.version.to_string(),
            },
            bzimage: kernel.bzimage(),
            vmlinux: kernel.vmlinux(),
            root: rootfs.path().to_owned(),
            config: text,
            reasons,
            parts: kernel.parts()?,
        })
    }

    /// One that [`Unikernel::save`] wrote.
    ///
    /// # Errors
    /// A file is missing or damaged; the error names it.
    pub fn open(directory: &Path) -> Result<Unikernel, Error> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read(&path).map_err(|error| named(error, &path))
        };
        for name in [Self::BZIMAGE, Self::VMLINUX, Rootfs::FILE_NAME] {
            let path = directory.join(name);
            fs::metadata(&path).map_err(|error| named(error, &path))?;
        }
        Ok(Unikernel {
            manifest: json(&read(Self::MANIFEST)?, &directory.join(Self::MANIFEST))?,
            kernel: json(&read(Self::KERNEL)?, &directory.join(Self::KERNEL))?,
            reasons: json(&read(Self::REASONS)?, &directory.join(Self::REASONS))?,
            parts: json(&read(PARTS)?, &directory.join(PARTS))?,
            config: read(Self::CONFIG)?,
            bzimage: directory.join(Self::BZIMAGE),
            vmlinux: directory.join(Self::VMLINUX),
            root: directory.join(Rootfs::FILE_NAME),
        })
    }

    /// Copies it into a directory, which is made: `bzImage`, `vmlinux`, `rootfs.ext2`, `config`
    /// and what is known of them as JSON. Each file is whole or as it was.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        copy_atomically(&self.bzimage, &directory.join(Self::BZIMAGE))?;
        copy_atomically(&self.vmlinux, &directory.join(Self::VMLINUX))?;
        copy_atomically(&self.root, &directory.join(Rootfs::FILE_NAME))?;
        write_atomically(&directory.join(Self::CONFIG), &self.config)?;
        let texts = [
            (Self::MANIFEST, serde_json::to_vec_pretty(&self.manifest)),
            (Self::KERNEL, serde_json::to_vec_pretty(&self.kernel)),
            (Self::REASONS, serde_json::to_vec_pretty(&self.reasons)),
            (PARTS, serde_json::to_vec_pretty(&self.parts)),
        ];
        for (name, text) in texts {
            write_atomically(&directory.join(name), &text?)?;
        }
        Ok(())
    }

    /// The machine that runs it, with a free port of the host for each of the application's, or on
    /// the pipeline's tap device.
    ///
    /// # Errors
    /// No port is free.
    pub fn machine(&self, lupine: &Lupine) -> io::Result<Machine> {
        let kernel = match self.kernel.vmm.kernel_file() {
            KernelFile::BzImage => &self.bzimage,
            KernelFile::Vmlinux => &self.vmlinux,
        };
        let mut machine = lupine.machine(kernel, &self.root, &self.manifest);
        machine.vmm = self.kernel.vmm;
        if !lupine.has_tap() {
            for &port in &self.manifest.machine.ports {
                machine = machine.forward(free_port()?, port);
            }
        }
        Ok(machine)
    }

    /// Whether its kernel has an option, a name without `CONFIG_`, as `y`.
    #[must_use]
    pub fn has_option(&self, symbol: &str) -> bool {
        let mut reasons = self.reasons.iter();
        reasons.any(|reason| reason.symbol == symbol && reason.value == "y")
    }

    /// When its application counts as ready.
    #[must_use]
    pub fn health(&self) -> HealthCheck {
        health_check(&self.manifest)
    }

    /// The SHA-256 of what is measured.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn digests(&self) -> io::Result<[(&'static str, Digest); 3]> {
        Ok([
            ("config", Digest::of(&self.config)),
            ("kernel", Digest::of_file(&self.bzimage)?),
            ("root", Digest::of_file(&self.root)?),
        ])
    }
}

fn json<T: for<'de> Deserialize<'de>>(bytes: &[u8], path: &Path) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| named(error.into(), path).into())
}

/// The same error with the file that it is about.
fn named(error: io::Error, path: &Path) -> io::Error {
    let text = format!(
        "{}: {error}; is this what `lupine build` wrote?",
        path.display()
    );
    io::Error::new(error.kind(), text)
}
