//! A configuration specialised to an application: base and needs solved
//! against the tree's own Kconfig, each option with its reason.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use lupine_kconfig::solve::{self, Requirement, SolveError};
use lupine_kconfig::{
    Configuration, Dialect, DirFiles, Environment, Kconfig, LoadError, PropertyKind, SymbolId,
    Tristate,
};
use serde::Serialize;
use thiserror::Error;

use crate::cache::{Cache, Kind};
use crate::digest::DigestBuilder;
use crate::kernel::base;
use crate::kernel::source::KernelSource;
use crate::kernel::syscalls::{Syscalls, SyscallsError};
use crate::kernel::toolchain::Toolchain;
use crate::needs::{Needs, OptionNeed, Strength};
use crate::process::probes::{ProbeError, ProbeMode, with_shell};
use crate::process::{Cancel, Cancelled};
use crate::variant::Variant;

/// A configuration and why it is as it is.
#[derive(Clone, Debug, Serialize)]
pub struct SpecialisedConfig {
    /// The `.config`, as the tree's own conf writes it.
    #[serde(serialize_with = "as_text")]
    pub text: Vec<u8>,
    /// The kind of kernel.
    pub variant: Variant,
    /// Every option that is on or has a value, in the order of the file.
    pub reasons: Vec<Reason>,
    /// Boolean and tristate options that are `y`.
    pub set: usize,
    /// Those of them that a person could turn off: they have a visible prompt.
    pub set_with_prompt: usize,
}

fn as_text<S: serde::Serializer>(text: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(text))
}

/// Why an option has its value.
#[derive(Clone, Debug, Serialize)]
pub struct Reason {
    /// The option, without `CONFIG_`.
    pub symbol: String,
    /// Its value.
    pub value: String,
    /// What kind of reason.
    pub kind: ReasonKind,
    /// The reason in words.
    pub because: String,
}

/// What kind of reason an option's value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// Part of lupine-base.
    Base,
    /// The application needs it.
    Need,
    /// Another option that is wanted depends on it.
    Dependency,
    /// Another option selects it.
    Selected,
    /// Its default; nobody asked.
    Default,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The tree's Kconfig files have errors.
    #[error("the Kconfig files of {tree} cannot be read", tree = tree.display())]
    Kconfig {
        /// The tree.
        tree: PathBuf,
        /// All errors, with file and line.
        source: Box<LoadError>,
    },
    /// An option cannot have the value that is asked for.
    #[error("no configuration of Linux {version} meets base and needs: {source}")]
    Unsolvable {
        /// The kernel.
        version: String,
        /// Which requirements exclude one another, and what stood in the way.
        source: Box<SolveError>,
    },
    /// The version's Kconfig rules are not known.
    #[error(
        "no Kconfig rules are known for Linux {version}; supported are 6.1 and 6.12, and trees between and after follow the nearer"
    )]
    Dialect {
        /// The kernel.
        version: String,
    },
    /// The probes of the compiler cannot be remembered.
    #[error(transparent)]
    Probes(#[from] ProbeError),
    /// What the tree says of its system calls cannot be read.
    #[error(transparent)]
    Syscalls(#[from] SyscallsError),
    /// A place for answers of the tree and the compiler cannot be made.
    #[error("cannot make a place for answers of the kernel tree and the compiler")]
    Directory(#[source] io::Error),
    /// The user cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Solves base and needs against the tree.
///
/// # Errors
/// Every [`ConfigError`]; an option that cannot be had is named with the
/// dependency that is not met.
pub fn specialise(
    source: &KernelSource,
    toolchain: &Toolchain,
    needs: &Needs,
    variant: Variant,
    cache: &Cache,
    cancel: &Cancel,
) -> Result<SpecialisedConfig, ConfigError> {
    cancel.check()?;
    let tree = load(source, toolchain, cache)?;
    cancel.check()?;
    let base = base::options(variant, &source.version);
    let mut needs = needs.clone();
    needs.resolve(&syscalls(source, cache)?);
    let asked = needs.options(Strength::Required);
    let requirements = requirements(&base, &asked);
    let solved = solve::solve(&tree, &requirements);
    let mut solution = solved.map_err(|error| ConfigError::Unsolvable {
        version: source.version.to_string(),
        source: Box::new(error),
    })?;
    let reason_of = |symbol: &str| {
        let base = base.iter().find(|option| option.symbol == symbol);
        let need = asked.iter().find(|option| option.symbol == symbol);
        let added = solution.added.iter().find(|added| added.name == symbol);
        match (base, need, added) {
            (Some(option), _, _) => Some((ReasonKind::Base, option.because.clone())),
            (_, Some(option), _) => Some((ReasonKind::Need, option.because.clone())),
            (_, _, Some(added)) => Some((ReasonKind::Dependency, added.because.to_string())),
            _ => None,
        }
    };
    let known: Vec<Option<(ReasonKind, String)>> = written(&tree, &mut solution.config.clone())
        .iter()
        .map(|(_, name, _)| reason_of(name))
        .collect();
    let config = &mut solution.config;
    let mut reasons = Vec::new();
    let (mut set, mut set_with_prompt) = (0, 0);
    for ((id, symbol, value), known) in written(&tree, config).into_iter().zip(known) {
        if value == "y" {
            set += 1;
            set_with_prompt += usize::from(config.visibility(id) != Tristate::No);
        }
        let (kind, because) = known.unwrap_or_else(|| {
            let (_, reverse, implied) = config.dependencies(id);
            match (reverse, implied) {
                (Tristate::No, Tristate::No) => (ReasonKind::Default, "default".to_owned()),
                (Tristate::No, _) => (ReasonKind::Selected, "implied by another option".to_owned()),
                _ => (ReasonKind::Selected, selectors(&tree, config, id)),
            }
        });
        reasons.push(Reason {
            symbol,
            value,
            kind,
            because,
        });
    }
    Ok(SpecialisedConfig {
        text: config.write(),
        variant,
        reasons,
        set,
        set_with_prompt,
    })
}

impl SpecialisedConfig {
    /// The reasons as a table for people: option, kind, words.
    #[must_use]
    pub fn reasons_text(&self) -> String {
        let mut text = String::new();
        for Reason {
            symbol,
            value,
            kind,
            because,
        } in &self.reasons
        {
            let kind = format!("{kind:?}").to_lowercase();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:40} {kind:11} {because}",
                format!("{symbol}={value}")
            );
        }
        text
    }
}

/// What a tree says of its system calls; the answer is kept.
///
/// # Errors
/// [`ConfigError::Syscalls`].
pub fn syscalls(source: &KernelSource, cache: &Cache) -> Result<Syscalls, ConfigError> {
    let key = DigestBuilder::new("syscalls-2")
        .field("tree", source.digest.as_str().as_bytes())
        .finish();
    let memo = cache.path(Kind::Facts, &key);
    let known = std::fs::read(&memo).ok();
    if let Some(known) = known.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(known);
    }
    let syscalls = Syscalls::read(&source.path)?;
    if let Some(folder) = memo.parent() {
        std::fs::create_dir_all(folder).map_err(ConfigError::Directory)?;
    }
    let text = serde_json::to_vec(&syscalls).unwrap_or_default();
    crate::files::write_atomically(&memo, &text).map_err(ConfigError::Directory)?;
    Ok(syscalls)
}

/// Reads the tree's Kconfig files, with this toolchain's answers to their
/// probes; answers are kept.
///
/// # Errors
/// [`ConfigError::Kconfig`], [`ConfigError::Dialect`], [`ConfigError::Probes`].
pub fn load(
    source: &KernelSource,
    toolchain: &Toolchain,
    cache: &Cache,
) -> Result<Kconfig, ConfigError> {
    let version = source.version.to_string();
    let dialect = Dialect::for_kernel_version(&version).ok_or_else(|| ConfigError::Dialect {
        version: version.clone(),
    })?;
    let mut environment: Environment = toolchain
        .kconfig_environment(&source.path, &source.version)
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
        .collect();
    if let Some(path) = std::env::var_os("PATH") {
        use std::os::unix::ffi::OsStringExt as _;
        environment.insert(b"PATH".to_vec(), path.into_vec());
    }
    let key = DigestBuilder::new("probes-1")
        .field("tree", source.digest.as_str().as_bytes())
        .field("toolchain", toolchain.digest().as_str().as_bytes())
        .finish();
    let answers = cache.path(Kind::Facts, &key);
    if let Some(folder) = answers.parent() {
        std::fs::create_dir_all(folder).map_err(ConfigError::Directory)?;
    }
    // Probes leave temporary files where they run.
    let directory = tempfile::tempdir().map_err(ConfigError::Directory)?;
    let files = DirFiles::new(&source.path);
    let loaded = with_shell(
        &ProbeMode::Cache(answers),
        &environment,
        Some(directory.path()),
        |shell| Kconfig::load(&files, "Kconfig", &environment, shell, dialect),
    )?;
    loaded.map_err(|error| ConfigError::Kconfig {
        tree: source.path.clone(),
        source: Box::new(error),
    })
}

/// Base and needs; what base says of a symbol comes before what a need says.
fn requirements(base: &[OptionNeed], needs: &[OptionNeed]) -> Vec<Requirement> {
    let fresh = needs
        .iter()
        .filter(|need| base.iter().all(|option| option.symbol != need.symbol));
    base.iter()
        .chain(fresh)
        .map(|option| Requirement::new(&option.symbol, &option.value, &option.because))
        .collect()
}

/// Options that the `.config` holds with a value other than `n`.
fn written(tree: &Kconfig, config: &mut Configuration<'_>) -> Vec<(SymbolId, String, String)> {
    let mut symbols: Vec<SymbolId> = tree.symbols().collect();
    symbols.retain(|&id| config.is_written(id) && tree.name(id).is_some());
    symbols.sort_by_key(|&id| tree.get(id).nodes().first().copied());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut options = Vec::new();
    for id in symbols {
        let value = text(config.value_bytes(id));
        if value != "n"
            && let Some(name) = tree.name(id)
        {
            options.push((id, text(name), value));
        }
    }
    options
}

/// The options that select `id` in this configuration.
fn selectors(tree: &Kconfig, config: &mut Configuration<'_>, id: SymbolId) -> String {
    let mut names = Vec::new();
    for other in tree.symbols() {
        let mut selects = tree.properties_of(other, PropertyKind::Select);
        let selects = selects.any(|property| tree.property_symbol(property) == Some(id));
        if selects && config.tristate(other) != Tristate::No {
            names.extend(
                tree.name(other)
                    .map(|name| String::from_utf8_lossy(name).into_owned()),
            );
        }
    }
    names.truncate(4);
    format!("selected by {}", names.join(", "))
}
