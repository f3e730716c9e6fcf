//! `lupine config ...`.

mod conf;
mod diff;
mod graph;
mod specialise;
mod why;
mod why_not;

use std::path::{Path, PathBuf};

use lupine::Error;
use lupine::kernel::conf::{ConfTree, DrawError};
use lupine_kconfig::solve::SolveError;
use lupine_kconfig::{Configuration, Kconfig, SymbolId};
use thiserror::Error as ThisError;

use super::{Failure, Session};
use crate::args::{Config, Source};

/// Why a command about configurations failed.
#[derive(Debug, ThisError)]
pub(super) enum ConfigFailure {
    #[error("cannot read {path}", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the tree has no option {name}{near}")]
    UnknownSymbol { name: String, near: String },
    #[error("{value:?} is no value of {name}, which is of type {expected}")]
    Value {
        name: String,
        value: String,
        expected: &'static str,
    },
    #[error("{0}")]
    Usage(String),
    #[error("conf ended with status {0}; what it said stands above")]
    Conf(u8),
    #[error("no configuration has {}; why stands above", .0.join(" and "))]
    Excluded(Vec<String>),
    #[error("whether a configuration has these values was not found out: {0}")]
    Unsolved(SolveError),
    #[error("nothing leads from {from} to {to}")]
    NoWay { from: String, to: String },
    #[error("{0} is in no circle of dependencies")]
    NoCircle(String),
    #[error("cannot draw the graph")]
    Draw(#[from] DrawError),
}

impl ConfigFailure {
    pub(super) fn status(&self) -> u8 {
        match self {
            ConfigFailure::Excluded(_)
            | ConfigFailure::NoWay { .. }
            | ConfigFailure::NoCircle(_) => 1,
            ConfigFailure::Usage(_) => 2,
            ConfigFailure::Draw(_) => 4,
            ConfigFailure::Read { .. }
            | ConfigFailure::UnknownSymbol { .. }
            | ConfigFailure::Value { .. }
            | ConfigFailure::Unsolved(_)
            | ConfigFailure::Conf(_) => 3,
        }
    }
}

pub(super) fn execute(session: &Session<'_>, args: &Config) -> Result<(), Failure> {
    match args {
        Config::Specialise(args) => specialise::execute(session, args),
        Config::Conf(args) => conf::execute(session, args),
        Config::Why(args) => why::execute(session, args),
        Config::WhyNot(args) => why_not::execute(session, args),
        Config::Graph(args) => graph::execute(session, args),
        Config::Diff(args) => diff::execute(session, args),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigFailure> {
    std::fs::read(path).map_err(|source| ConfigFailure::Read {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    lupine::write_atomically(path, bytes).map_err(|source| Failure::Output {
        what: path.display().to_string(),
        source,
    })
}

impl Source {
    /// The tree that was named, or the one that the user stands in.
    fn tree(&self, session: &Session<'_>) -> Result<ConfTree, Failure> {
        let lupine = session.lupine()?.with_compiler(self.compiler.into());
        let here = Path::new(".");
        let stands_in_a_tree = || {
            ["Kconfig", "scripts/kconfig/conf.c"]
                .iter()
                .all(|f| here.join(f).is_file())
        };
        let path = match &self.src {
            Some(path) => Some(path.as_path()),
            None => stands_in_a_tree().then_some(here),
        };
        Ok(lupine.conf_tree(path, &self.arch, &self.cross_compile)?)
    }

    /// The `.config` to start from.
    fn config(&self) -> Result<Option<Vec<u8>>, ConfigFailure> {
        match &self.config {
            Some(path) => read(path).map(Some),
            None if Path::new(".config").is_file() => read(Path::new(".config")).map(Some),
            None => Ok(None),
        }
    }

    /// The configuration that a question is about.
    fn configuration<'t>(&self, tree: &'t Kconfig) -> Result<Configuration<'t>, ConfigFailure> {
        let mut config = Configuration::new(tree);
        if let Some(text) = self.config()? {
            config.read(&text);
        }
        Ok(config)
    }
}

/// Reads the Kconfig files of a tree.
fn load(tree: &ConfTree) -> Result<Kconfig, Failure> {
    Ok(tree.load().map_err(Error::from)?)
}

/// The declared symbol of that name, which may begin with `CONFIG_`.
fn symbol(tree: &Kconfig, name: &str) -> Result<SymbolId, ConfigFailure> {
    let name = name.strip_prefix("CONFIG_").unwrap_or(name);
    let known = tree.symbol(name).filter(|id| {
        let symbol = tree.get(*id);
        symbol.is_defined() && !symbol.is_constant()
    });
    known.ok_or_else(|| {
        let wanted = name.to_ascii_uppercase();
        let mut near: Vec<String> = tree
            .symbols()
            .filter(|id| tree.get(*id).is_defined())
            .filter_map(|id| Some(String::from_utf8_lossy(tree.name(id)?).into_owned()))
            .filter(|known| known.contains(&wanted))
            .collect();
        near.sort_by_key(|known| (known.len(), known.clone()));
        near.dedup();
        near.truncate(5);
        let near = if near.is_empty() {
            String::new()
        } else {
            format!("; it has {}", near.join(", "))
        };
        ConfigFailure::UnknownSymbol {
            name: name.to_owned(),
            near,
        }
    })
}

fn name(tree: &Kconfig, id: SymbolId) -> String {
    String::from_utf8_lossy(tree.name(id).unwrap_or(b"<choice>")).into_owned()
}
