//! `lupine config conf`.

use std::path::Path;

use lupine::Error;
use lupine::kernel::conf::{ConfRun, ConfTree, apply};
use lupine_kconfig::{Console, MemoryConsole, Mode};
use serde::Serialize;

use super::super::{Failure, Session};
use super::{ConfigFailure, read, write};
use crate::args::{Conf, ConfMode};
use crate::console::{Channel, Terminal};

#[derive(Serialize)]
struct Ran {
    mode: String,
    arch: String,
    kernel_version: String,
    dialect: &'static str,
    status: u8,
    config: Option<String>,
    printed: String,
    complained: String,
}

/// Variables of this process that the tree's `conf` would read too. Names of
/// outputs are not among them: those are arguments here.
const VARIABLES: [&str; 7] = [
    "KCONFIG_SEED",
    "KCONFIG_PROBABILITY",
    "KCONFIG_ALLCONFIG",
    "KCONFIG_WERROR",
    "KCONFIG_WARN_UNKNOWN_SYMBOLS",
    "KCONFIG_NOSILENTUPDATE",
    "KERNELVERSION",
];

pub(super) fn execute(session: &Session<'_>, args: &Conf) -> Result<(), Failure> {
    let asks = matches!(
        args.mode,
        ConfMode::OldAskConfig | ConfMode::OldConfig | ConfMode::SyncConfig
    );
    let lists = matches!(args.mode, ConfMode::ListNewConfig | ConfMode::HelpNewConfig);
    if asks && (args.output.is_none() || session.common.json) {
        let text = "this mode asks on standard output: name a file with -o, and leave out --json";
        return Err(ConfigFailure::Usage(text.to_owned()).into());
    }
    let mut tree = args.source.tree(session)?;
    for name in VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            // Names of files are looked up in the tree, the user's are not there.
            match std::fs::canonicalize(&value) {
                Ok(path) if name == "KCONFIG_ALLCONFIG" && !value.is_empty() => {
                    tree.set(name, path);
                }
                _ => tree.set(name, value),
            }
        }
    }
    let (mode, config) = input(args, &tree)?;
    if session.common.json {
        let mut console = MemoryConsole::default();
        let run = tree.conf(&mode, config.as_deref(), true, &mut console);
        let run = run.map_err(Error::from)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ran = Ran {
            mode: word(args.mode),
            arch: args.source.arch.clone(),
            kernel_version: tree.version.to_string(),
            dialect: tree.dialect().name(),
            status: run.status,
            config: run.config.as_deref().map(text),
            printed: text(&console.stdout),
            complained: text(&console.stderr),
        };
        keep(args, &run)?;
        session.print(&ran, "")?;
        return verdict(&run);
    }
    // What conf prints is data only where there is no other.
    let channel = if asks || lists {
        Channel::Output
    } else {
        Channel::Messages
    };
    let mut console = Terminal::new(channel);
    let run = tree.conf(&mode, config.as_deref(), !asks, &mut console);
    console.flush();
    let run = run.map_err(Error::from)?;
    keep(args, &run)?;
    if let (None, Some(config)) = (&args.output, &run.config) {
        let mut console = Terminal::new(Channel::Output);
        console.print(config);
        console.flush();
    }
    verdict(&run)
}

fn word(mode: ConfMode) -> String {
    clap::ValueEnum::to_possible_value(&mode)
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// The mode of the library, and the file that it begins with.
fn input(args: &Conf, tree: &ConfTree) -> Result<(Mode, Option<Vec<u8>>), ConfigFailure> {
    use std::os::unix::ffi::OsStrExt as _;
    let mode = match args.mode {
        ConfMode::DefConfig => {
            let Some(name) = &args.source.config else {
                let text = "defconfig needs --config FILE, the file of defaults: a path, or the \
                            name of one in the architecture's configs";
                return Err(ConfigFailure::Usage(text.to_owned()));
            };
            let text = read(&tree.defconfig(name))?;
            return Ok((
                Mode::Defconfig(name.as_os_str().as_bytes().to_vec()),
                Some(text),
            ));
        }
        ConfMode::SaveDefConfig => Mode::SaveDefconfig(b"defconfig".to_vec()),
        ConfMode::OldAskConfig => Mode::OldAsk,
        ConfMode::OldConfig => Mode::Old,
        ConfMode::SyncConfig => Mode::Sync,
        ConfMode::OldDefConfig => Mode::OldDef,
        ConfMode::AllNoConfig => Mode::AllNo,
        ConfMode::AllYesConfig => Mode::AllYes,
        ConfMode::AllModConfig => Mode::AllMod,
        ConfMode::AllDefConfig => Mode::AllDef,
        ConfMode::RandConfig => Mode::Random,
        ConfMode::ListNewConfig => Mode::ListNew,
        ConfMode::HelpNewConfig => Mode::HelpNew,
        ConfMode::Yes2ModConfig => Mode::YesToMod,
        ConfMode::Mod2YesConfig => Mode::ModToYes,
        ConfMode::Mod2NoConfig => Mode::ModToNo,
    };
    Ok((mode, args.source.config()?))
}

/// Writes what is to be kept in files.
fn keep(args: &Conf, run: &ConfRun) -> Result<(), Failure> {
    let (Some(path), Some(config), 0) = (&args.output, &run.config, run.status) else {
        return Ok(());
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    for action in &run.generated {
        apply(action, folder, true).map_err(|source| Failure::Output {
            what: folder.join("include").display().to_string(),
            source,
        })?;
    }
    write(path, config)
}

fn verdict(run: &ConfRun) -> Result<(), Failure> {
    match run.status {
        0 => Ok(()),
        status => Err(ConfigFailure::Conf(status).into()),
    }
}
