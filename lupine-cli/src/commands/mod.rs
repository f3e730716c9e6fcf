//! One file a command: from what was typed to a call of the library and its
//! result in print.

mod build;
mod config;
mod doctor;
mod kml;
mod manual;
mod measure;
mod needs;
mod overrides;
mod rootfs;
mod run;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use lupine::cache::Cache;
use lupine::error::{Blame, with_causes};
use lupine::manifest::Manifest;
use lupine::process::Cancel;
use lupine::{Error, Lupine};
use serde::Serialize;
use thiserror::Error as ThisError;

use crate::args::{Cli, Command, Common, ImageArgs, KernelArgs};
use crate::bars;

/// Why a command failed.
#[derive(Debug, ThisError)]
enum Failure {
    #[error(transparent)]
    Pipeline(#[from] Error),
    #[error(transparent)]
    Config(#[from] config::ConfigFailure),
    #[error("cannot write {what}")]
    Output {
        what: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    Kml(#[from] kml::KmlFailure),
    #[error("{0}")]
    Usage(String),
    #[error("{what}: {source}")]
    Input {
        what: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot handle signals")]
    Signals(#[source] std::io::Error),
    /// The application ended with this status; said by the command already.
    #[error("the application ended with status {0}")]
    Application(u8),
    /// This machine lacks something; said by the command already.
    #[error("this machine lacks what is named above")]
    Lacking,
    #[error(transparent)]
    Rootfs(#[from] rootfs::Failed),
}

impl Failure {
    fn status(&self) -> u8 {
        match self {
            Failure::Pipeline(error) => match error.blame() {
                Blame::Guest => 1,
                Blame::Input => 3,
                Blame::Host => 4,
            },
            Failure::Config(error) => error.status(),
            Failure::Rootfs(error) => error.status(),
            Failure::Kml(error) => error.status(),
            Failure::Application(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Input { .. } => 3,
            Failure::Output { .. } | Failure::Signals(_) | Failure::Lacking => 4,
        }
    }
}

/// Runs a command and gives the status that the process ends with.
#[must_use]
pub fn execute(cli: Cli) -> ExitCode {
    let cancel = match Cancel::on_signals().map_err(Failure::Signals) {
        Ok(cancel) => cancel,
        Err(error) => return report(&error, false),
    };
    let session = Session {
        common: &cli.common,
        cancel: cancel.clone(),
    };
    let result = match cli.command {
        Command::Doctor => doctor::execute(&session),
        Command::Build(args) => build::execute(&session, &args),
        Command::Run(args) => run::execute(&session, &args),
        Command::Needs(args) => needs::execute(&session, &args),
        Command::Config(args) => config::execute(&session, &args),
        Command::Rootfs(args) => rootfs::execute(&session, &args),
        Command::Kml(args) => kml::execute(&session, &args),
        Command::Measure(args) => measure::one(&session, &args),
        Command::Compare(args) => measure::several(&session, &args),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { dir } => manual::pages(&dir),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error, cancel.is_cancelled()),
    }
}

const FULL_DISK: &str = "
The disk is full. A kernel's source and objects take about 3 GB: free some space, or name a
directory on another disk by --cache or LUPINE_CACHE.";

fn report(failure: &Failure, cancelled: bool) -> ExitCode {
    if cancelled {
        complain("cancelled");
        return ExitCode::from(130);
    }
    let mut text = format!("lupine: {}", with_causes(failure, "\n  because: "));
    if let Failure::Pipeline(error) = failure
        && error.disk_is_full()
    {
        text.push_str(FULL_DISK);
    }
    complain(&text);
    ExitCode::from(failure.status())
}

/// A closed standard error is no reason for another status.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What all commands share.
struct Session<'a> {
    common: &'a Common,
    cancel: Cancel,
}

impl Session<'_> {
    fn lupine(&self) -> Result<Lupine, Failure> {
        let cache = match &self.common.cache {
            Some(root) => Cache::at(root),
            None => Cache::of_user().map_err(Error::from)?,
        };
        let progress = bars::for_stderr(self.common.quiet);
        let lupine = Lupine::new(cache)
            .with_cancel(self.cancel.clone())
            .with_progress(progress);
        Ok(match self.common.no_trace {
            true => lupine,
            false => lupine.with_traces(),
        })
    }

    /// With the compiler and the virtual machine monitor that the user chose.
    fn lupine_for(&self, kernel: &KernelArgs) -> Result<Lupine, Failure> {
        let lupine = self.lupine()?.with_compiler(kernel.compiler.into());
        Ok(lupine.with_vmm(kernel.vmm))
    }

    /// The same, with guests on a tap device where one is named.
    fn on_tap(lupine: Lupine, tap: Option<&str>) -> Lupine {
        match tap {
            Some(tap) => lupine.with_tap(tap),
            None => lupine,
        }
    }

    fn manifest(&self, args: &ImageArgs) -> Result<Manifest, Failure> {
        manifest(args)
    }

    /// Prints a value as JSON, or its text.
    fn print(&self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        let output = |source| Failure::Output {
            what: "to standard output".to_owned(),
            source,
        };
        let mut out = std::io::stdout().lock();
        if self.common.json {
            serde_json::to_writer_pretty(&mut out, value).map_err(|e| output(e.into()))?;
            writeln!(out).map_err(output)
        } else {
            out.write_all(text.as_bytes()).map_err(output)
        }
    }
}

/// The manifest of a built-in application, a file, or an image.
fn manifest_of(name: &str) -> Result<Manifest, Failure> {
    let path = Path::new(name);
    if Manifest::builtin_names().any(|builtin| builtin == name) {
        Ok(Manifest::builtin(name).map_err(Error::from)?)
    } else if path.extension().is_some_and(|e| e == "toml") {
        Ok(Manifest::load(path).map_err(Error::from)?)
    } else if path.exists() {
        Ok(Manifest::for_image(path))
    } else {
        // Says which built-in names there are.
        Ok(Manifest::builtin(name).map_err(Error::from)?)
    }
}

/// The manifest that the arguments of a command describe.
fn manifest(args: &ImageArgs) -> Result<Manifest, Failure> {
    let mut manifest = manifest_of(&args.image)?;
    overrides::apply(args, &mut manifest.run)?;
    for port in &args.expose {
        manifest.machine.expose(*port);
    }
    Ok(manifest)
}
