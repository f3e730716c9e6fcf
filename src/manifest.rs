//! What a user says of an application: its image, how to run it, how to tell
//! that it is ready. A TOML file, or a value built in code.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::guest::init::{BENCH, HELLO};
use crate::guest::{Setup, Step};

/// An application, as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The application's name: letters, digits, `-`, `_` and `.`. It names
    /// the output and the guest's host name.
    pub name: String,
    /// Where its files come from.
    pub image: ImageSource,
    /// What replaces or adds to the image's own configuration, as the options
    /// of `docker run` do.
    #[serde(default, skip_serializing_if = "Run::is_empty")]
    pub run: Run,
    /// Needs that no analysis can see, or that it gets wrong.
    #[serde(default, skip_serializing_if = "ExtraNeeds::is_empty")]
    pub needs: ExtraNeeds,
    /// The virtual machine.
    #[serde(default)]
    pub machine: Machine,
    /// How to tell that the application is ready. Without one, it is ready
    /// when its process has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// How to put it under load, for measurements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<Load>,
}

/// A program of the host that puts an application under load, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Load {
    /// ApacheBench: GETs of a path, once with a connection for each and once with connections
    /// kept.
    Http {
        /// Guest port.
        port: u16,
        /// Path, with its leading slash.
        #[serde(default = "default_path")]
        path: String,
        /// Requests of one run.
        requests: u32,
        /// Requests under way at a time.
        connections: u32,
    },
    /// redis-benchmark: SET and GET.
    Redis {
        /// Guest port.
        port: u16,
        /// Requests of one run.
        requests: u32,
        /// Requests under way at a time.
        connections: u32,
    },
    /// pgbench: its transactions, which read and write, and those that only read, in the database
    /// that is named like the user, filled before.
    Postgres {
        /// Guest port.
        port: u16,
        /// User, whom the server admits without a password.
        #[serde(default = "default_database_user")]
        user: String,
        /// Size of the database: 100,000 accounts each.
        scale: u32,
        /// Transactions of one run, of all clients together.
        transactions: u32,
        /// Clients at a time.
        clients: u32,
    },
}

fn default_database_user() -> String {
    "postgres".to_owned()
}

impl Load {
    /// The guest port that it goes to.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Load::Http { port, .. } | Load::Redis { port, .. } | Load::Postgres { port, .. } => {
                *port
            }
        }
    }
}

/// Where an application's files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ImageSource {
    /// Packages of a Debian suite, put into a minimal root by mmdebstrap.
    Debian {
        /// The suite's code name.
        #[serde(default = "default_suite")]
        suite: String,
        /// Package names, without versions.
        packages: Vec<String>,
    },
    /// An OCI layout, docker archive, tar or directory, relative to the
    /// manifest's folder.
    Path(PathBuf),
    /// The static greeter embedded in this library: no image needed.
    Hello,
    /// The static benchmark of kernel operations embedded in this library.
    Bench,
}

impl ImageSource {
    /// The program that is the whole image, with its path in it, where it is embedded.
    #[must_use]
    pub fn embedded(&self) -> Option<(&'static str, &'static [u8])> {
        match self {
            ImageSource::Hello => Some(("/hello", HELLO)),
            ImageSource::Bench => Some(("/bench", BENCH)),
            ImageSource::Debian { .. } | ImageSource::Path(_) => None,
        }
    }
}

fn default_suite() -> String {
    "bookworm".to_owned()
}

/// What replaces the image's configuration; absent fields keep the image's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// Replaces the entry point, and drops the image's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Adds to or replaces the environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Removes from the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
    /// Replaces the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Replaces the user: `name`, `uid`, `name:group` or `uid:gid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Further groups of the user, by name or number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Replaces the host name; the image's, else the application's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Replaces the signal that asks the application to end, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Replaces the time that the application has to end after it was asked to, in seconds; at most
    /// an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout_s: Option<u64>,
    /// Leaves the system call instructions of the image's programs as they are, also where they
    /// run in kernel mode: slower, and nothing of the image is changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub native_calls: bool,
    /// File systems in memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
    /// Archives and directories put on top of the image, in this order, relative to the manifest's
    /// folder; their whiteouts hide what is below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<PathBuf>,
    /// Files written into the image: guest path to content.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Directories made in the image, mode 0755, owned by `user`'s image root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<String>,
}

impl Run {
    fn is_empty(&self) -> bool {
        *self == Run::default()
    }
}

/// A file system in memory, as `docker run --tmpfs` writes it: `PATH` or `PATH:OPTION,...`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tmpfs {
    /// Where it is mounted: an absolute path.
    pub path: String,
    /// `MS_*` of `mount(2)`.
    flags: u64,
    /// Options of the file system itself, such as `size=64m`.
    data: Vec<String>,
}

/// Words of mount options and their `MS_*` flags, include/uapi/linux/mount.h.
const MOUNT_FLAGS: [(&str, &str, u64); 4] = [
    ("ro", "rw", 1),
    ("nosuid", "suid", 2),
    ("nodev", "dev", 4),
    ("noexec", "exec", 8),
];

/// Flags of a file system in memory that says nothing else: nosuid, nodev, noexec.
const TMPFS_FLAGS: u64 = 2 | 4 | 8;

impl Tmpfs {
    /// The step of the guest's init.
    pub(crate) fn step(&self) -> Setup {
        Step::Mount {
            source: "tmpfs".into(),
            target: self.path.as_str().into(),
            fstype: "tmpfs".into(),
            flags: self.flags,
            data: self.data.join(",").as_str().into(),
        }
        .required()
    }
}

impl std::str::FromStr for Tmpfs {
    type Err = String;

    fn from_str(text: &str) -> Result<Tmpfs, String> {
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(format!("{path:?} is not an absolute path without '..'"));
        }
        let mut tmpfs = Tmpfs {
            path: path.to_owned(),
            flags: TMPFS_FLAGS,
            data: Vec::new(),
        };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let flag = MOUNT_FLAGS
                .iter()
                .find(|(on, off, _)| option == *on || option == *off);
            match flag {
                Some((on, _, bit)) if option == *on => tmpfs.flags |= bit,
                Some((_, _, bit)) => tmpfs.flags &= !bit,
                None => tmpfs.data.push(option.to_owned()),
            }
        }
        Ok(tmpfs)
    }
}

impl TryFrom<String> for Tmpfs {
    type Error = String;

    fn try_from(text: String) -> Result<Tmpfs, String> {
        text.parse()
    }
}

impl From<Tmpfs> for String {
    fn from(tmpfs: Tmpfs) -> String {
        let word = |&(on, off, bit): &(&str, &str, u64)| match tmpfs.flags & bit {
            0 => off.to_owned(),
            _ => on.to_owned(),
        };
        let mut options: Vec<String> = MOUNT_FLAGS.iter().map(word).collect();
        options.extend(tmpfs.data);
        format!("{}:{}", tmpfs.path, options.join(","))
    }
}

/// Needs stated by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtraNeeds {
    /// Kernel options (without `CONFIG_`) to their values, such as
    /// `SYSVIPC = "y"`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Programs of the image that the application starts and no analysis sees, such as those that
    /// scripts name: absolute paths. Their needs are the application's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
}

impl ExtraNeeds {
    fn is_empty(&self) -> bool {
        *self == ExtraNeeds::default()
    }
}

/// The virtual machine that the application runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Machine {
    /// Guest memory, MiB.
    pub memory_mib: u32,
    /// Processors, 1 to 255; more than one make symmetric multi-processing a need.
    #[serde(skip_serializing_if = "is_one")]
    pub processors: u8,
    /// TCP ports that the application listens on; `run -p HOST:GUEST` maps
    /// them, and an example maps the first to a free port.
    pub ports: Vec<u16>,
    /// Free space in the root file system, MiB.
    pub free_mib: u32,
}

fn is_one(processors: &u8) -> bool {
    *processors == 1
}

impl Default for Machine {
    fn default() -> Machine {
        Machine {
            memory_mib: 64,
            processors: 1,
            ports: Vec::new(),
            free_mib: 16,
        }
    }
}

impl Machine {
    /// Adds a TCP port that the application listens on, unless it is known.
    pub fn expose(&mut self, port: u16) {
        if !self.ports.contains(&port) {
            self.ports.push(port);
        }
    }
}

/// How to tell that an application is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// What is asked.
    pub check: Check,
    /// How long the guest has, from the start of the VMM, in seconds.
    #[serde(default = "default_time_limit")]
    pub time_limit_s: u64,
}

fn default_time_limit() -> u64 {
    60
}

impl Health {
    /// The time limit as a duration.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        Duration::from_secs(self.time_limit_s)
    }
}

/// One question to the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Check {
    /// A GET of `path` from the guest's `port` answers with `status`.
    Http {
        /// Guest port.
        port: u16,
        /// Path, with its leading slash.
        #[serde(default = "default_path")]
        path: String,
        /// The status that means ready.
        #[serde(default = "default_status")]
        status: u16,
    },
    /// The guest's port accepts a connection and keeps it.
    Tcp {
        /// Guest port.
        port: u16,
    },
    /// A line on the console holds this text.
    Console(String),
}

fn default_path() -> String {
    "/".to_owned()
}

fn default_status() -> u16 {
    200
}

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read manifest {path}", path = path.display())]
    Read {
        /// The manifest's file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not a manifest.
    #[error("manifest {origin} is not valid: {source}")]
    Syntax {
        /// The file or built-in name.
        origin: String,
        /// Where and why, with the line.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range.
    #[error("manifest {origin}: {field} {problem}")]
    Value {
        /// The file or built-in name.
        origin: String,
        /// The field, as a path.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// There is no built-in application of that name.
    #[error(
        "no built-in application {name:?}; there are {known}. For an image of your own give its path"
    )]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}

const BUILTIN: &[(&str, &str)] = &[
    ("apache2", include_str!("data/apps/apache2.toml")),
    ("bench", include_str!("data/apps/bench.toml")),
    ("haproxy", include_str!("data/apps/haproxy.toml")),
    ("hello", include_str!("data/apps/hello.toml")),
    ("influxdb", include_str!("data/apps/influxdb.toml")),
    ("mariadb", include_str!("data/apps/mariadb.toml")),
    ("memcached", include_str!("data/apps/memcached.toml")),
    ("nginx", include_str!("data/apps/nginx.toml")),
    (
        "node-exporter",
        include_str!("data/apps/node-exporter.toml"),
    ),
    ("nodejs", include_str!("data/apps/nodejs.toml")),
    ("openjdk", include_str!("data/apps/openjdk.toml")),
    ("php", include_str!("data/apps/php.toml")),
    ("postgres", include_str!("data/apps/postgres.toml")),
    ("python3", include_str!("data/apps/python3.toml")),
    ("rabbitmq", include_str!("data/apps/rabbitmq.toml")),
    ("redis", include_str!("data/apps/redis.toml")),
    ("wordpress", include_str!("data/apps/wordpress.toml")),
];

impl Manifest {
    /// Has the kernel count system calls by the way that they come, which costs
    /// each of them an increment: another kernel than without.
    pub fn count_calls(&mut self) {
        for option in ["KML_STATS", "PROC_FS"] {
            self.needs.options.insert(option.into(), "y".into());
        }
    }

    /// The names of the built-in applications, sorted.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// A built-in application.
    ///
    /// # Errors
    /// [`ManifestError::Unknown`] for a name that is not built in.
    pub fn builtin(name: &str) -> Result<Manifest, ManifestError> {
        let (name, text) = BUILTIN.iter().find(|(n, _)| *n == name).ok_or_else(|| {
            let known: Vec<_> = Manifest::builtin_names().collect();
            ManifestError::Unknown {
                name: name.to_owned(),
                known: known.join(", "),
            }
        })?;
        Manifest::parse(text, name)
    }

    /// Reads a manifest's text; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`] or [`ManifestError::Value`].
    pub fn parse(text: &str, origin: &str) -> Result<Manifest, ManifestError> {
        let manifest: Manifest = toml::from_str(text).map_err(|source| ManifestError::Syntax {
            origin: origin.to_owned(),
            source: Box::new(source),
        })?;
        manifest.check(origin)?;
        Ok(manifest)
    }

    /// Reads a manifest file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`ManifestError::Read`] and those of [`Manifest::parse`].
    pub fn load(path: &Path) -> Result<Manifest, ManifestError> {
        let text = std::fs::read_to_string(path).map_err(|source| ManifestError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut manifest = Manifest::parse(&text, &path.display().to_string())?;
        if let Some(folder) = path.parent() {
            if let ImageSource::Path(image) = &mut manifest.image {
                *image = folder.join(&*image);
            }
            for overlay in &mut manifest.run.overlays {
                *overlay = folder.join(&*overlay);
            }
        }
        Ok(manifest)
    }

    /// A manifest for an image that a user names by path alone: the image's
    /// own configuration says the rest.
    #[must_use]
    pub fn for_image(path: &Path) -> Manifest {
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy())
            .unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let name: String = stem
            .chars()
            .map(|c| if is_name_char(c) { c } else { '-' })
            .collect();
        Manifest {
            name: if name.is_empty() {
                "image".to_owned()
            } else {
                name
            },
            image: ImageSource::Path(path.to_owned()),
            run: Run::default(),
            needs: ExtraNeeds::default(),
            machine: Machine::default(),
            health: None,
            load: Vec::new(),
        }
    }

    /// The guest port that the health check connects to.
    #[must_use]
    pub fn health_port(&self) -> Option<u16> {
        match self.health.as_ref()?.check {
            Check::Http { port, .. } | Check::Tcp { port } => Some(port),
            Check::Console(_) => None,
        }
    }

    fn check(&self, origin: &str) -> Result<(), ManifestError> {
        let error = |field, problem: String| {
            Err(ManifestError::Value {
                origin: origin.to_owned(),
                field,
                problem,
            })
        };
        if self.name.is_empty() || self.name.len() > 63 || !self.name.chars().all(is_name_char) {
            let problem = format!(
                "{:?} is not 1 to 63 letters, digits, '-', '_', '.'",
                self.name
            );
            return error("name", problem);
        }
        if let ImageSource::Debian { suite, packages } = &self.image {
            if packages.is_empty() {
                return error(
                    "image.debian.packages",
                    "is empty; name a package".to_owned(),
                );
            }
            let bad = packages.iter().chain([suite]).find(|p| {
                p.is_empty()
                    || !p.starts_with(|c: char| c.is_ascii_alphanumeric())
                    || !p
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c))
            });
            if let Some(bad) = bad {
                return error(
                    "image.debian",
                    format!("{bad:?} is not a package or suite name"),
                );
            }
        }
        if !(8..=1 << 20).contains(&self.machine.memory_mib) {
            let problem = format!("{} is not 8 to 1048576 MiB", self.machine.memory_mib);
            return error("machine.memory_mib", problem);
        }
        if self.machine.processors == 0 {
            return error("machine.processors", "0 is not 1 to 255".to_owned());
        }
        if let Some(file) = self
            .run
            .files
            .keys()
            .chain(&self.run.directories)
            .find(|path| {
                !path.starts_with('/') || path.split('/').any(|part| part == ".." || part == ".")
            })
        {
            return error(
                "run.files",
                format!("{file:?} is not an absolute path without '..'"),
            );
        }
        Ok(())
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Check::Http { port, path, status } => {
                write!(f, "HTTP {status} from port {port}, path {path}")
            }
            Check::Tcp { port } => write!(f, "a TCP connection to port {port}"),
            Check::Console(text) => write!(f, "{text:?} on the console"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_manifests_are_valid_and_round_trip() {
        for name in Manifest::builtin_names() {
            let manifest = Manifest::builtin(name).unwrap();
            assert_eq!(manifest.name, name);
            let text = toml::to_string(&manifest).unwrap();
            assert_eq!(Manifest::parse(&text, name).unwrap(), manifest);
        }
    }

    #[test]
    fn the_manifests_of_container_images_are_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/manifests");
        let mut found = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let manifest = Manifest::load(&path).unwrap();
            assert_eq!(path.file_stem().unwrap(), &*manifest.name);
            assert!(manifest.health.is_some());
            found += 1;
        }
        assert_eq!(found, 4);
    }

    #[test]
    fn file_systems_in_memory_are_written_as_docker_does() {
        let written = |text: &str| text.parse::<Tmpfs>().map(String::from);
        assert_eq!(
            written("/cache").as_deref(),
            Ok("/cache:rw,nosuid,nodev,noexec")
        );
        assert_eq!(
            written("/run/a:size=64m,exec,ro,mode=1770").as_deref(),
            Ok("/run/a:ro,nosuid,nodev,exec,size=64m,mode=1770")
        );
        for bad in ["", "cache", "/a/../b"] {
            assert!(written(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_name_the_field() {
        let text = "name = \"a b\"\nimage = \"hello\"";
        let error = Manifest::parse(text, "m.toml").unwrap_err().to_string();
        assert!(
            error.contains("m.toml") && error.contains("name"),
            "{error}"
        );
        let text = "name = \"a\"\nimage = \"hello\"\nmemory = 3";
        let error = Manifest::parse(text, "m.toml").unwrap_err().to_string();
        assert!(error.contains("memory"), "{error}");
        let text = "name = \"a\"\nimage = { debian = { packages = [\"--x\"] } }";
        assert!(matches!(
            Manifest::parse(text, "m"),
            Err(ManifestError::Value { .. })
        ));
    }
}
