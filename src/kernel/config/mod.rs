//! A configuration specialised to an application: base and needs solved
//! against the tree's own Kconfig, each option with its reason.

mod class;
mod reason;

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use lupine_kconfig::solve::{self, Requirement, SolveError};
use lupine_kconfig::{
    Configuration, Dialect, DirFiles, Environment, Kconfig, LoadError, SymbolId, Tristate, prune,
};
use serde::Serialize;
use thiserror::Error;

use crate::cache::{Cache, Kind};
use crate::digest::DigestBuilder;
use crate::kernel::base::Base;
use crate::kernel::source::KernelSource;
use crate::kernel::syscalls::{Syscalls, SyscallsError};
use crate::kernel::toolchain::Toolchain;
use crate::needs::{Needs, OptionNeed, Strength};
use crate::process::probes::{ProbeError, ProbeMode, with_shell};
use crate::process::{Cancel, Cancelled};
use crate::variant::Variant;
use crate::vmm::Vmm;

pub use class::{Class, class_of};
pub use reason::{Reason, ReasonKind, reasons_text};

use class::file_of;
use reason::Asked;

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
    /// What went from the configuration that was started from, by class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

fn as_text<S: serde::Serializer>(text: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(text))
}

/// An option of the configuration that was started from, which is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOut {
    /// The paper's class.
    pub class: Class,
    /// The option, without `CONFIG_`.
    pub symbol: String,
    /// What it was.
    pub value: String,
}

/// What a configuration is made for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What the application needs.
    pub needs: &'a Needs,
    /// The kind of kernel.
    pub variant: Variant,
    /// What boots it: decides which devices it has drivers for.
    pub vmm: Vmm,
    /// What every kernel has, instead of lupine-base.
    pub base: Option<&'a Base>,
    /// A configuration to take options away from, instead of one where
    /// everything is off: the text of a `.config`. [`Variant::Microvm`] keeps
    /// all of it; without one it is the tree's own `x86_64_defconfig` with
    /// `kvm_guest.config`.
    pub from: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// For an application under the default VMM, from lupine-base.
    #[must_use]
    pub fn new(needs: &'a Needs, variant: Variant) -> Request<'a> {
        Request {
            needs,
            variant,
            vmm: Vmm::default(),
            base: None,
            from: None,
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A requirement does not hold in the finished configuration.
    #[error(
        "{symbol}={value} was asked for ({because}), and is {found} in the end; this is a defect of lupine: please report it"
    )]
    Lost {
        /// The option.
        symbol: String,
        /// What it should be.
        value: String,
        /// Why.
        because: String,
        /// What it is.
        found: String,
    },
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
    /// What was named is no kernel tree.
    #[error("{path} is not a Linux source tree", path = path.display())]
    NotATree {
        /// What was named.
        path: PathBuf,
        /// What is missing or cannot be read.
        source: io::Error,
    },
    /// The tree has no such architecture.
    #[error("the tree has no architecture {arch}; it has {}", known.join(", "))]
    NoArch {
        /// What was asked for, as make's `ARCH`.
        arch: String,
        /// The directories below `arch/`.
        known: Vec<String>,
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

/// Solves base and needs against the tree, and turns off what neither of them
/// needs.
///
/// # Errors
/// Every [`ConfigError`]; an option that cannot be had is named with the
/// dependency that is not met.
pub fn specialise(
    source: &KernelSource,
    toolchain: &Toolchain,
    request: &Request<'_>,
    cache: &Cache,
    cancel: &Cancel,
) -> Result<SpecialisedConfig, ConfigError> {
    cancel.check()?;
    let tree = load(source, toolchain, cache)?;
    cancel.check()?;
    let mut needs = request.needs.clone();
    needs.resolve(&syscalls(source, cache)?);
    let asked = needs.options(Strength::Required);
    let mut base = match request.base {
        Some(base) => base.options(request.variant, request.vmm, &source.version),
        None => Base::lupine().options(request.variant, request.vmm, &source.version),
    };
    // Who needs an option knows better than who leaves it out.
    base.retain(|row| {
        asked
            .iter()
            .all(|need| need.symbol != row.symbol || need.value == row.value)
    });
    let requirements = requirements(&base, &asked);
    let unsolvable = |error| ConfigError::Unsolvable {
        version: source.version.to_string(),
        source: Box::new(error),
    };
    let own;
    let from = match request.from {
        None if request.variant == Variant::Microvm => {
            own = microvm(source)?;
            Some(own.as_slice())
        }
        from => from,
    };
    let solution = match from {
        None => solve::solve(&tree, &requirements),
        Some(text) => {
            let mut start = Configuration::new(&tree);
            start.read(text);
            solve::solve_from(&start, &requirements)
        }
    };
    let mut solution = solution.map_err(unsolvable)?;
    let before = written(&tree, &mut solution.config.clone());
    if request.variant != Variant::Microvm {
        // The solver may have turned on one way to a goal and needed another later.
        prune::prune(&mut solution.config, &requirements).map_err(unsolvable)?;
    }
    for requirement in &requirements {
        let found = solution.config.value(&requirement.name).unwrap_or_default();
        if found != requirement.value {
            return Err(ConfigError::Lost {
                symbol: requirement.name.clone(),
                value: requirement.value.clone(),
                because: requirement.reason.clone(),
                found,
            });
        }
    }
    Ok(describe(
        &tree,
        &mut solution.config,
        &Asked {
            base: &base,
            options: &asked,
            needs: &needs,
            added: &solution.added,
            is_baseline: request.variant == Variant::Microvm,
        },
        request,
        &before,
    ))
}

fn describe(
    tree: &Kconfig,
    config: &mut Configuration<'_>,
    asked: &Asked<'_>,
    request: &Request<'_>,
    before: &[(SymbolId, String, String)],
) -> SpecialisedConfig {
    let mut reasons = Vec::new();
    let (mut set, mut set_with_prompt) = (0, 0);
    for (id, symbol, value) in written(tree, config) {
        let reason = asked.reason(tree, config, id, symbol, value);
        if reason.value == "y" {
            set += 1;
            set_with_prompt += usize::from(reason.prompt);
        }
        reasons.push(reason);
    }
    let mut left_out: Vec<LeftOut> = Vec::new();
    if request.from.is_some() {
        for (id, symbol, value) in before {
            let gone = ["y", "m"].contains(&value.as_str()) && config.tristate(*id) == Tristate::No;
            if gone && tree.get(*id).symbol_type().is_logical() {
                left_out.push(LeftOut {
                    class: class_of(symbol, &file_of(tree, *id)),
                    symbol: symbol.clone(),
                    value: value.clone(),
                });
            }
        }
        left_out.sort();
    }
    SpecialisedConfig {
        text: config.write(),
        variant: request.variant,
        reasons,
        set,
        set_with_prompt,
        left_out,
    }
}

impl SpecialisedConfig {
    /// The reasons as a table for people: option, kind, words; then what went
    /// from the configuration that was started from, by class.
    #[must_use]
    pub fn reasons_text(&self) -> String {
        let mut text = reasons_text(&self.reasons);
        for of_class in self.left_out.chunk_by(|a, b| a.class == b.class) {
            let names: Vec<&str> = of_class.iter().map(|gone| gone.symbol.as_str()).collect();
            if let Some(first) = of_class.first() {
                let _ = writeln!(
                    text,
                    "left out, {} ({}): {}",
                    first.class,
                    names.len(),
                    names.join(" ")
                );
            }
        }
        text
    }
}

/// What the tree itself offers for a virtual machine: later lines win.
fn microvm(source: &KernelSource) -> Result<Vec<u8>, ConfigError> {
    let mut text = Vec::new();
    for file in MICROVM {
        let path = source.path.join(file);
        let bytes =
            std::fs::read(&path).map_err(|source| ConfigError::NotATree { path, source })?;
        text.extend_from_slice(&bytes);
        text.push(b'\n');
    }
    Ok(text)
}

/// `make x86_64_defconfig kvm_guest.config`, as files.
const MICROVM: [&str; 2] = [
    "arch/x86/configs/x86_64_defconfig",
    "kernel/configs/kvm_guest.config",
];

/// What a tree says of its system calls; the answer is kept.
///
/// # Errors
/// [`ConfigError::Syscalls`].
pub fn syscalls(source: &KernelSource, cache: &Cache) -> Result<Syscalls, ConfigError> {
    let key = DigestBuilder::new("syscalls-3")
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
