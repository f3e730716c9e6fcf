//! The root file system of a guest: the image's files, our init, and what it
//! has to do.

use std::path::{Path, PathBuf};

use lupine_rootfs::TreePath;
use lupine_rootfs::ext2::{self, Options, Size, WriteError};
use thiserror::Error;

use crate::cache::{Cache, CacheError, Kind};
use crate::digest::DigestBuilder;
use crate::error::Error;
use crate::guest::init::{CONFIG_PATH, INIT, INIT_PATH, TRACE, TRACE_PATH};
use crate::guest::{InitConfig, InitConfigError};
use crate::image::{AppImage, Listener, put};
use crate::process::Cancel;
use crate::progress::Progress;
use crate::rewrite::{self, RewrittenFile};
use crate::vmm::Machine;

/// Why there is no root file system.
#[derive(Debug, Error)]
pub enum RootfsError {
    /// What init has to do cannot be written down.
    #[error(transparent)]
    Init(#[from] InitConfigError),
    /// The image cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A finished root file system in the cache. Guests never write to it.
#[derive(Clone, Debug)]
pub struct Rootfs {
    path: PathBuf,
    rewritten: Vec<RewrittenFile>,
}

impl Rootfs {
    /// The name of the file.
    pub const FILE_NAME: &str = "rootfs.ext2";

    /// What was rewritten in it, beside it in the cache.
    const REWRITTEN_NAME: &str = "rewritten.json";

    /// The ext2 image.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that were to be rewritten for kernel mode, by path; none where
    /// the application runs in user mode.
    #[must_use]
    pub fn rewritten(&self) -> &[RewrittenFile] {
        &self.rewritten
    }

    /// Writes the image's files with init and its configuration, or finds them
    /// written.
    ///
    /// # Errors
    /// The image cannot be read, the disk is full, or the user cancelled.
    pub fn build(
        image: &AppImage,
        init: &InitConfig,
        cache: &Cache,
        cancel: &Cancel,
        progress: &dyn Progress,
    ) -> Result<Rootfs, Error> {
        let conf = init.encode().map_err(RootfsError::from)?;
        let is_rewritten = init.kml && !image.manifest().run.native_calls;
        let free = u64::from(image.manifest().machine.free_mib) << 20;
        let tracer = if init.trace { TRACE } else { b"" };
        let key = DigestBuilder::new("rootfs-3")
            .field("image", image.key().as_str().as_bytes())
            .field("init", INIT)
            .field("conf", &conf)
            .field("tracer", tracer)
            .field("free", &free.to_le_bytes())
            .field(
                "rewriting",
                if is_rewritten { rewrite::VERSION } else { b"" },
            )
            .finish();
        let waiting = || progress.message("another run is writing this root file system; waiting");
        let folder = cache.get_or_make(Kind::Rootfs, &key, cancel, &mut { waiting }, |dir| {
            let mut tree = image.fresh_tree(cancel, progress)?;
            let rewritten = match is_rewritten {
                true => rewrite::rewrite(image, &mut tree)?,
                false => Vec::new(),
            };
            let record = serde_json::to_vec_pretty(&rewritten).map_err(std::io::Error::from)?;
            std::fs::write(dir.join(Rootfs::REWRITTEN_NAME), record)?;
            put(&mut tree, INIT_PATH, 0o755, INIT)?;
            if init.trace {
                put(&mut tree, TRACE_PATH, 0o755, TRACE)?;
            }
            put(&mut tree, CONFIG_PATH, 0o600, &conf)?;
            for (path, content) in names(&image.hostname()) {
                let place = tree.lookup(&TreePath::new(path).unwrap_or_default());
                let empty = |id| tree.content(id).is_some_and(|content| content.is_empty());
                if place.is_none_or(empty) {
                    put(&mut tree, path, 0o644, content.as_bytes())?;
                }
            }
            let options = Options {
                size: Size::Smallest { free },
                ..Options::default()
            };
            let mut listener = Listener::new(progress, cancel);
            let report =
                ext2::write_image(&tree, &options, &dir.join(Rootfs::FILE_NAME), &mut listener)
                    .map_err(RootfsError::from)?;
            progress.finish();
            for diagnostic in &report.diagnostics.first {
                progress.message(&diagnostic.to_string());
            }
            Ok::<(), Error>(())
        })?;
        let record = std::fs::read(folder.join(Rootfs::REWRITTEN_NAME))?;
        let rewritten = serde_json::from_slice(&record).map_err(std::io::Error::from)?;
        Ok(Rootfs {
            rewritten,
            path: folder.join(Rootfs::FILE_NAME),
        })
    }
}

/// Where C libraries look names up, which a container's engine supplies when it starts an image:
/// the name server, and the machine's own names.
fn names(hostname: &str) -> [(&'static str, String); 2] {
    let server = format!("nameserver {}\n", Machine::guest_name_server());
    let own = format!("127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n");
    [("/etc/resolv.conf", server), ("/etc/hosts", own)]
}
