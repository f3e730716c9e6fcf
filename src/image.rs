//! An application's image: its files and what it runs, from whatever source
//! the manifest names.

mod health;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lupine_rootfs::config::{ByteString, ImageConfig, Overrides, Process, Protocol};
use lupine_rootfs::source::{Image, OpenOptions};
use lupine_rootfs::{Content, FileTree, Inode, Kind, Metadata, PathError, TreeError, TreePath};
use thiserror::Error;

use crate::cache::Cache;
use crate::debian;
use crate::digest::{Digest, DigestBuilder};
use crate::error::Error;
use crate::guest::{self, InitConfig, Step, User};
use crate::manifest::{ImageSource, Manifest, Tmpfs};
use crate::needs::{AnalysisError, Entry, Files, FilesError};
use crate::process::Cancel;
use crate::progress::{Progress, Unit};
use crate::variant::Variant;
use crate::vmm::Machine;

/// Why an image cannot be used.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The image cannot be read.
    #[error(transparent)]
    Source(#[from] lupine_rootfs::source::SourceError),
    /// What it runs cannot be made out of its configuration.
    #[error(transparent)]
    Process(#[from] lupine_rootfs::config::ProcessError),
    /// A file that the manifest adds has no place in the image.
    #[error("the manifest's file {path} has no place in the image: {source}")]
    Place {
        /// The file.
        path: String,
        /// Why.
        source: TreeError,
    },
    /// A file that the manifest adds, or a volume of the image, has an impossible name.
    #[error("a file of the manifest or a volume of the image has an impossible name: {0}")]
    Path(#[from] PathError),
}

/// An opened image with all overrides applied.
#[derive(Debug)]
pub struct AppImage {
    manifest: Manifest,
    source: Option<Image>,
    tree: FileTree,
    process: Option<Process>,
    key: Digest,
}

/// The largest file that analysis reads; a program or library beyond it is
/// none that we could say anything about.
pub(crate) const LARGEST_FILE: u64 = 1 << 30;

impl AppImage {
    /// Opens the image that the manifest names, making it first where it is
    /// made of packages.
    ///
    /// # Errors
    /// It cannot be made or read, or its configuration does not fit its files.
    pub fn open(
        manifest: &Manifest,
        cache: &Cache,
        cancel: &Cancel,
        progress: &dyn Progress,
    ) -> Result<AppImage, Error> {
        let packaged;
        let path: Option<&Path> = match &manifest.image {
            ImageSource::Hello | ImageSource::Bench => None,
            ImageSource::Path(path) => Some(path),
            ImageSource::Debian { suite, packages } => {
                packaged = debian::image(suite, packages, cache, cancel, progress)?;
                Some(&packaged)
            }
        };
        let mut options = OpenOptions::new();
        options.overlays.clone_from(&manifest.run.overlays);
        let source = path
            .map(|path| Image::open(path, &options))
            .transpose()
            .map_err(ImageError::from)?;
        let tree = tree(manifest, source.as_ref(), cancel, progress)?;
        let config = config(manifest, source.as_ref());
        let groups: Vec<ByteString> = manifest
            .run
            .groups
            .iter()
            .map(|g| g.as_str().into())
            .collect();
        let process = match config.argv().is_empty() {
            true => None,
            false => Some(config.process(&tree, &groups).map_err(ImageError::from)?),
        };
        let mut manifest = manifest.clone();
        complete(&mut manifest, &config);
        let content = match &source {
            Some(image) => image.digest().map_err(ImageError::from)?,
            None => {
                let (_, program) = manifest.image.embedded().unwrap_or_default();
                Digest::of(program).as_str().to_owned()
            }
        };
        let written = serde_json::to_vec(&(&manifest.run, &manifest.name)).unwrap_or_default();
        let key = DigestBuilder::new("image-1")
            .field("content", content.as_bytes())
            .field("run", &written)
            .finish();
        Ok(AppImage {
            manifest,
            source,
            tree,
            process,
            key,
        })
    }

    /// The manifest that it was opened by, completed by what the image's own configuration says:
    /// the TCP ports it exposes, and a health check where the manifest has none.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Stands for files and overrides in cache keys.
    #[must_use]
    pub fn key(&self) -> &Digest {
        &self.key
    }

    /// The image's files.
    #[must_use]
    pub fn tree(&self) -> &FileTree {
        &self.tree
    }

    /// What runs, for analysis.
    #[must_use]
    pub fn entry(&self) -> Entry {
        let Some(process) = &self.process else {
            return Entry::default();
        };
        let text = |bytes: &ByteString| String::from_utf8_lossy(bytes).into_owned();
        let path = process
            .env
            .iter()
            .find_map(|entry| entry.strip_prefix(b"PATH="));
        Entry {
            argv: process.argv.iter().map(text).collect(),
            path: path
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .unwrap_or_default(),
            directory: text(&process.working_dir),
            user_is_not_root: process.user.uid != 0 || process.user.gid != 0,
            ports: self.manifest.machine.ports.clone(),
            programs: self.manifest.needs.programs.clone(),
        }
    }

    /// The guest's name: the one that the image's configuration or the manifest states, else the
    /// application's.
    #[must_use]
    pub fn hostname(&self) -> String {
        let process = self.process.as_ref();
        let stated = process.map(|process| String::from_utf8_lossy(&process.hostname));
        let stated = stated.filter(|name| !name.is_empty());
        stated.map_or_else(|| self.manifest.name.clone(), Into::into)
    }

    /// What the guest's init has to do, in kernel mode where the variant says.
    #[must_use]
    pub fn init(&self, variant: Variant) -> InitConfig {
        let Some(process) = &self.process else {
            return InitConfig::default();
        };
        let bytes = |list: &[ByteString]| -> Vec<guest::ByteString> {
            list.iter()
                .map(|text| guest::ByteString(text.to_vec()))
                .collect()
        };
        let mut init =
            InitConfig::standard(&self.hostname(), bytes(&process.argv), bytes(&process.env));
        if !self.manifest.machine.ports.is_empty() {
            init.setup
                .push(Step::Address(Machine::guest_interface()).required());
        }
        init.cwd = Some(guest::ByteString(process.working_dir.to_vec()));
        if process.user.uid != 0 || process.user.gid != 0 || !process.user.groups.is_empty() {
            let groups = process.user.groups.clone();
            init.user = Some(User {
                uid: process.user.uid,
                gid: process.user.gid,
                groups,
            });
        }
        init.setup
            .extend(self.manifest.run.tmpfs.iter().map(Tmpfs::step));
        init.stop_signal = process.stop_signal;
        init.kml = variant.has_kml();
        init
    }

    /// The files once more, to be changed and written.
    ///
    /// # Errors
    /// The image cannot be read any longer.
    pub fn fresh_tree(&self, cancel: &Cancel, progress: &dyn Progress) -> Result<FileTree, Error> {
        tree(&self.manifest, self.source.as_ref(), cancel, progress)
    }
}

/// What the image's configuration says about the machine.
fn complete(manifest: &mut Manifest, config: &ImageConfig) {
    let exposed = config
        .exposed_ports
        .iter()
        .filter(|range| range.protocol == Protocol::Tcp)
        .map(|range| range.first);
    for port in exposed {
        manifest.machine.expose(port);
    }
    manifest.run.stop_timeout_s = config.stop_timeout;
    if manifest.health.is_none() {
        manifest.health = health::of_image(config, &manifest.machine.ports);
    }
    if let Some(port) = manifest.health_port() {
        manifest.machine.expose(port);
    }
}

/// The image's configuration with the manifest's overrides.
fn config(manifest: &Manifest, source: Option<&Image>) -> ImageConfig {
    let run = &manifest.run;
    let list = |words: &Vec<String>| words.iter().map(|word| word.as_str().into()).collect();
    let overrides = Overrides {
        entrypoint: run.entrypoint.as_ref().map(list),
        cmd: run.command.as_ref().map(list),
        env: run
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}").into())
            .chain(run.unset.iter().map(|name| name.as_str().into()))
            .collect(),
        working_dir: run.workdir.as_deref().map(Into::into),
        user: run.user.as_deref().map(Into::into),
        hostname: run.hostname.as_deref().map(Into::into),
        stop_signal: run.stop_signal.as_deref().map(Into::into),
        stop_timeout: run.stop_timeout_s,
        ..Overrides::default()
    };
    let mut base = source
        .map(|image| image.config().clone())
        .unwrap_or_default();
    if let Some((path, _)) = manifest.image.embedded() {
        base.entrypoint = vec![path.into()];
    }
    base.with(&overrides)
}

/// The image's files with those that the manifest adds.
fn tree(
    manifest: &Manifest,
    source: Option<&Image>,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<FileTree, Error> {
    let mut tree = match source {
        Some(image) => {
            let mut listener = Listener::new(progress, cancel);
            image.read(&mut listener).map_err(ImageError::from)?.0
        }
        None => {
            let mut tree = FileTree::new();
            if let Some((path, program)) = manifest.image.embedded() {
                put(&mut tree, path, 0o755, program)?;
            }
            tree
        }
    };
    // Data of an image's volumes begins as what the image has there, or empty.
    for volume in source.iter().flat_map(|image| &image.config().volumes) {
        let place = TreePath::new(volume).map_err(ImageError::from)?;
        if tree.resolve(&place).is_err() {
            let inode = Inode::new(Kind::Directory, Metadata::with_mode(0o755));
            let volume = volume.to_string();
            insert(&mut tree, &volume, inode)?;
        }
    }
    for directory in &manifest.run.directories {
        let inode = Inode::new(Kind::Directory, Metadata::with_mode(0o755));
        insert(&mut tree, directory, inode)?;
    }
    for (path, content) in &manifest.run.files {
        put(&mut tree, path, 0o644, content.as_bytes())?;
    }
    Ok(tree)
}

/// Puts a file of ours into a tree.
pub(crate) fn put(
    tree: &mut FileTree,
    path: &str,
    mode: u16,
    bytes: &[u8],
) -> Result<(), ImageError> {
    let inode = Inode::new(
        Kind::Regular(Content::inline(bytes)),
        Metadata::with_mode(mode),
    );
    insert(tree, path, inode)
}

fn insert(tree: &mut FileTree, path: &str, inode: Inode) -> Result<(), ImageError> {
    let place = |source| ImageError::Place {
        path: path.to_owned(),
        source,
    };
    tree.insert(&TreePath::new(path)?, inode)
        .map(drop)
        .map_err(place)
}

impl Files for AppImage {
    fn read(&self, paths: &BTreeSet<String>) -> Result<BTreeMap<String, Vec<u8>>, FilesError> {
        let mut names = Vec::new();
        let mut inodes = Vec::new();
        for path in paths {
            let found = TreePath::new(path)
                .ok()
                .and_then(|place| self.tree.resolve(&place).ok());
            if let Some(inode) = found
                && self.tree.content(inode).is_some()
            {
                names.push(path.clone());
                inodes.push(inode);
            }
        }
        let contents = self.tree.read_files(&inodes, LARGEST_FILE);
        let contents = contents.map_err(|error| FilesError(Box::new(error)))?;
        Ok(names.into_iter().zip(contents).collect())
    }

    fn below(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![(folder.trim_end_matches('/').to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let place = TreePath::new(&folder).ok();
            let Some(id) = place.and_then(|place| self.tree.resolve(&place).ok()) else {
                continue;
            };
            for (name, _) in self.tree.children(id) {
                let path = format!("{folder}/{}", String::from_utf8_lossy(name));
                let place = TreePath::new(&path).ok();
                let Some(child) = place.and_then(|place| self.tree.resolve(&place).ok()) else {
                    continue;
                };
                match self.tree.inode(child).kind {
                    Kind::Regular(_) => found.push(path),
                    Kind::Directory if depth < 2 => folders.push((path, depth + 1)),
                    _ => {}
                }
            }
        }
        found.sort_unstable();
        found
    }
}

/// Hands the progress of `lupine-rootfs` on to a listener of this crate, and stops its work when
/// the user cancels.
pub struct Listener<'a> {
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

impl<'a> Listener<'a> {
    /// Tells `progress`, and stops when `cancel` is set.
    #[must_use]
    pub fn new(progress: &'a dyn Progress, cancel: &'a Cancel) -> Listener<'a> {
        Listener { progress, cancel }
    }
}

impl lupine_rootfs::Progress for Listener<'_> {
    fn start(&mut self, stage: lupine_rootfs::Stage, total: u64) {
        use lupine_rootfs::Stage;
        let (name, unit) = match stage {
            Stage::Reading => ("reading the image", Unit::Bytes),
            Stage::Data => ("writing the root file system", Unit::Bytes),
            Stage::Sync => ("flushing it to the disk", Unit::Bytes),
            Stage::Checking => ("going through the image", Unit::Files),
            _ => return,
        };
        self.progress
            .stage(name, (total > 0).then_some(total), unit);
    }

    fn advance(&mut self, amount: u64) {
        self.progress.advance(amount);
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

impl From<ImageError> for AnalysisError {
    fn from(error: ImageError) -> AnalysisError {
        AnalysisError::Files(FilesError(Box::new(error)))
    }
}
