//! Kconfig of a kernel tree, for any of its architectures: read as make would
//! have it read, and every mode of `conf`, without writing to the tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use lupine_kconfig::{
    Console, Dialect, DirFiles, Environment, FileAction, Files, Kconfig, Mode, Request, WriteKind,
};

use crate::cache::{Cache, Kind};
use crate::digest::DigestBuilder;
use crate::host::{GRAPHVIZ, Missing};
use crate::kernel::config::ConfigError;
use crate::kernel::toolchain::Toolchain;
use crate::kernel::version::KernelVersion;
use crate::process::probes::{ProbeMode, with_shell};
use crate::process::{Cancel, ProcessError, Task};

/// The name of the configuration among the files of a run.
const DOT_CONFIG: &[u8] = b".config";

/// A tree's Kconfig files, as make would have them read for one architecture.
#[derive(Clone, Debug)]
pub struct ConfTree {
    /// The tree's top.
    pub path: PathBuf,
    /// The version that its Makefile states.
    pub version: KernelVersion,
    /// The architecture's directory below `arch/`: `SRCARCH`.
    pub source_arch: String,
    environment: Environment,
    dialect: Dialect,
    answers: ProbeMode,
}

/// What a run of `conf` gave, beside what it printed.
#[derive(Clone, Debug)]
pub struct ConfRun {
    /// The exit status of `conf`: 0, or 1 when it complained.
    pub status: u8,
    /// The configuration afterwards, or the file that was saved; `None` where
    /// the mode writes none.
    pub config: Option<Vec<u8>>,
    /// Further files, relative to the place of the configuration: what builds
    /// include.
    pub generated: Vec<FileAction>,
}

impl ConfTree {
    /// The tree at `path`, which may have been configured or built in. `arch`
    /// is spelled as make's `ARCH`. `cross` is the beginning of the tools'
    /// names, as make's `CROSS_COMPILE`. Answers to probes are kept in `cache`.
    ///
    /// # Errors
    /// [`ConfigError::NoArch`], [`ConfigError::NotATree`],
    /// [`ConfigError::Dialect`], [`ConfigError::Directory`].
    pub fn open(
        path: &Path,
        arch: &str,
        cross: &str,
        toolchain: &Toolchain,
        cache: &Cache,
    ) -> Result<ConfTree, ConfigError> {
        let not_a_tree = |source: io::Error| ConfigError::NotATree {
            path: path.to_owned(),
            source,
        };
        let makefile = std::fs::read(path.join("Makefile")).map_err(not_a_tree)?;
        let version = KernelVersion::of_makefile(&makefile).ok_or_else(|| {
            not_a_tree(io::Error::new(
                io::ErrorKind::InvalidData,
                "its Makefile states no VERSION",
            ))
        })?;
        let path = std::fs::canonicalize(path).map_err(not_a_tree)?;
        let source_arch = source_arch(arch);
        if !path
            .join("arch")
            .join(source_arch)
            .join("Kconfig")
            .is_file()
        {
            return Err(ConfigError::NoArch {
                arch: arch.to_owned(),
                known: arches(&path),
            });
        }
        let text = version.to_string();
        let dialect =
            Dialect::for_kernel_version(&text).ok_or(ConfigError::Dialect { version: text })?;
        let mut environment: Environment = toolchain
            .kconfig_environment(&path, &version)
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect();
        let mut set = |name: &str, value: &str| {
            environment.insert(name.into(), value.into());
        };
        set("ARCH", arch);
        set("SRCARCH", source_arch);
        if source_arch == "um" {
            set("SUBARCH", "x86");
            set("HEADER_ARCH", "x86");
        }
        if !cross.is_empty() {
            set("CROSS_COMPILE", cross);
            for tool in ["CC", "LD", "AR", "NM", "OBJCOPY"] {
                if let Some(name) = environment.get_mut(tool.as_bytes()) {
                    name.splice(0..0, cross.bytes());
                }
            }
        }
        if let Some(path) = std::env::var_os("PATH") {
            environment.insert(b"PATH".to_vec(), path.into_vec());
        }
        let key = DigestBuilder::new("probes-2")
            .field("tree", path.as_os_str().as_bytes())
            .field("arch", arch.as_bytes())
            .field("cross", cross.as_bytes())
            .field("toolchain", toolchain.digest().as_str().as_bytes())
            .finish();
        let answers = cache.path(Kind::Facts, &key);
        if let Some(folder) = answers.parent() {
            std::fs::create_dir_all(folder).map_err(ConfigError::Directory)?;
        }
        Ok(ConfTree {
            path,
            version,
            source_arch: source_arch.to_owned(),
            environment,
            dialect,
            answers: ProbeMode::Cache(answers),
        })
    }

    /// Sets a variable that `conf` or the tree's Kconfig files read, such as
    /// `KCONFIG_SEED`.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let value = value.as_ref().as_bytes().to_vec();
        self.environment.insert(name.into(), value);
    }

    /// The language and the rules that the tree is read by.
    #[must_use]
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Reads the Kconfig files.
    ///
    /// # Errors
    /// [`ConfigError::Kconfig`], [`ConfigError::Probes`],
    /// [`ConfigError::Directory`].
    pub fn load(&self) -> Result<Kconfig, ConfigError> {
        // Probes leave temporary files where they run.
        let directory = tempfile::tempdir().map_err(ConfigError::Directory)?;
        let files = DirFiles::new(&self.path);
        let loaded = with_shell(
            &self.answers,
            &self.environment,
            Some(directory.path()),
            |shell| {
                let dialect = self.dialect.clone();
                Kconfig::load(&files, "Kconfig", &self.environment, shell, dialect)
            },
        )?;
        loaded.map_err(|error| ConfigError::Kconfig {
            tree: self.path.clone(),
            source: Box::new(error),
        })
    }

    /// Does what `conf` does in that mode. `config` is the `.config` that it
    /// finds; for [`Mode::Defconfig`] and [`Mode::SaveDefconfig`] the name in
    /// the mode is only one for messages. `silent` leaves out the log.
    ///
    /// # Errors
    /// [`ConfigError::Probes`], [`ConfigError::Directory`]; what is wrong with
    /// tree or configuration is said on the console, and in the status.
    pub fn conf(
        &self,
        mode: &Mode,
        config: Option<&[u8]>,
        silent: bool,
        console: &mut dyn Console,
    ) -> Result<ConfRun, ConfigError> {
        let mut files = Overlay {
            tree: DirFiles::new(&self.path),
            given: BTreeMap::new(),
        };
        let name = match mode {
            Mode::Defconfig(name) => name,
            _ => DOT_CONFIG,
        };
        if let Some(config) = config {
            files.given.insert(name.to_vec(), config.to_vec());
        }
        let request = Request {
            kconfig: b"Kconfig".to_vec(),
            mode: mode.clone(),
            silent,
            seed: 0,
            dialect: self.dialect.clone(),
        };
        let directory = tempfile::tempdir().map_err(ConfigError::Directory)?;
        let outcome = with_shell(
            &self.answers,
            &self.environment,
            Some(directory.path()),
            |shell| lupine_kconfig::run(&request, &files, &self.environment, shell, console),
        )?;
        let written = match mode {
            Mode::SaveDefconfig(name) => name,
            _ => DOT_CONFIG,
        };
        let mut run = ConfRun {
            status: outcome.status,
            config: None,
            generated: Vec::new(),
        };
        for action in outcome.files {
            match action {
                FileAction::Write { path, contents, .. } if path == *written => {
                    run.config = Some(contents);
                }
                other => run.generated.push(other),
            }
        }
        if *mode != Mode::Sync {
            run.generated.clear();
        }
        let writes = !matches!(mode, Mode::ListNew | Mode::HelpNew);
        if run.config.is_none() && writes && run.status == 0 {
            // There was no change to it.
            run.config = config.map(<[u8]>::to_vec);
        }
        Ok(run)
    }

    /// The file that `name` means as a defconfig: a path, or a file of the
    /// architecture's `configs` or of `kernel/configs`.
    #[must_use]
    pub fn defconfig(&self, name: &Path) -> PathBuf {
        let configs = self
            .path
            .join("arch")
            .join(&self.source_arch)
            .join("configs");
        let known = [configs, self.path.join("kernel/configs")]
            .map(|folder| folder.join(name))
            .into_iter()
            .find(|file| file.is_file());
        match known {
            Some(file) if !name.is_file() => file,
            _ => name.to_owned(),
        }
    }
}

/// The directory below `arch/` that make uses for an `ARCH`.
fn source_arch(arch: &str) -> &str {
    match arch {
        "x86_64" | "i386" => "x86",
        "sparc32" | "sparc64" => "sparc",
        "parisc64" => "parisc",
        other => other,
    }
}

/// The architectures of a tree.
fn arches(tree: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(tree.join("arch"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("Kconfig").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The tree, with the files of a run in front of it and nothing of what a
/// build in the tree has left.
struct Overlay {
    tree: DirFiles,
    given: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Overlay {
    fn is_hidden(path: &[u8]) -> bool {
        path == DOT_CONFIG || path.starts_with(b"include/config/")
    }
}

impl Files for Overlay {
    fn read(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        match self.given.get(path) {
            Some(bytes) => Ok(bytes.clone()),
            None if Self::is_hidden(path) => Err(io::ErrorKind::NotFound.into()),
            None => self.tree.read(path),
        }
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        !Self::is_hidden(path) && self.tree.is_directory(path)
    }

    fn list(&self, path: &[u8]) -> Vec<Vec<u8>> {
        self.tree.list(path)
    }
}

/// Makes a change that a run of `conf` asks for, in `directory`. Directories
/// of what is written are made where `make_directories` is set.
///
/// # Errors
/// What the system said.
pub fn apply(action: &FileAction, directory: &Path, make_directories: bool) -> io::Result<()> {
    let place = |path: &[u8]| directory.join(OsStr::from_bytes(path));
    match action {
        FileAction::Touch(path) => {
            std::fs::File::create(place(path))?;
        }
        FileAction::Write {
            path,
            contents,
            how,
        } => {
            let path = place(path);
            if let Some(parent) = path.parent().filter(|_| make_directories) {
                std::fs::create_dir_all(parent)?;
            }
            if *how == WriteKind::InPlace {
                return std::fs::write(path, contents);
            }
            let temporary = with_suffix(&path, &format!(".{}.tmp", std::process::id()));
            std::fs::write(&temporary, contents)?;
            if *how == WriteKind::KeepOld && path.exists() {
                std::fs::rename(&path, with_suffix(&path, ".old"))?;
            }
            std::fs::rename(&temporary, path)?;
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Why there is no picture of a graph.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// graphviz is not installed.
    #[error("{0}; or ask for the graph as dot")]
    Missing(Missing),
    /// It does not run, or does not understand the graph.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// A graph in graphviz's language as a picture in SVG, drawn by `dot`.
///
/// # Errors
/// Every [`DrawError`].
pub fn draw(dot: &str, cancel: &Cancel) -> Result<Vec<u8>, DrawError> {
    if GRAPHVIZ.find().is_none() {
        return Err(DrawError::Missing(Missing::of(&[&GRAPHVIZ])));
    }
    let task = Task::new("dot").arg("-Tsvg").input(dot);
    // A picture of some thousand symbols.
    let output = task.keep_output(256 << 20).run_checked(cancel)?;
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_in_the_tree_is_not_seen() {
        let temp = tempfile::tempdir().unwrap();
        for name in [".config", "Kconfig"] {
            std::fs::write(temp.path().join(name), name).unwrap();
        }
        let mut files = Overlay {
            tree: DirFiles::new(temp.path()),
            given: BTreeMap::new(),
        };
        assert_eq!(files.read(b"Kconfig").unwrap(), b"Kconfig");
        assert!(files.read(b".config").is_err());
        files.given.insert(b".config".to_vec(), b"given".to_vec());
        assert_eq!(files.read(b".config").unwrap(), b"given");
    }

    #[test]
    fn files_are_changed_below_the_directory() {
        let temp = tempfile::tempdir().unwrap();
        let write = |contents: &[u8], how| FileAction::Write {
            path: b"include/x".to_vec(),
            contents: contents.to_vec(),
            how,
        };
        assert!(apply(&write(b"1", WriteKind::Replace), temp.path(), false).is_err());
        apply(&write(b"1", WriteKind::Replace), temp.path(), true).unwrap();
        apply(&write(b"2", WriteKind::KeepOld), temp.path(), true).unwrap();
        let read = |name| std::fs::read(temp.path().join(name)).unwrap();
        assert_eq!(read("include/x"), b"2");
        assert_eq!(read("include/x.old"), b"1");
        apply(&FileAction::Touch(b"include/x".to_vec()), temp.path(), true).unwrap();
        assert_eq!(read("include/x"), b"");
    }
}
