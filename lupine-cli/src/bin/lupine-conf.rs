//! `lupine-conf`: a drop-in for the kernel's `scripts/kconfig/conf`.
//!
//! Beside what `conf` takes: `--dialect NAME`, and the variables `LUPINE_CONF_DIALECT` and
//! `LUPINE_PROBES`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use lupine::kernel::conf::apply;
use lupine::probes::{ProbeMode, with_shell};
use lupine_cli::console::{Channel, Terminal};
use lupine_kconfig::{Console as _, Dialect, DirFiles, Environment, Mode, Request, run};

const USAGE: &str = "\
Generic options:
  -h, --help              Print this message and exit.
  -s, --silent            Do not print log.

Mode options:
  --listnewconfig         List new options
  --helpnewconfig         List new options and help text
  --oldaskconfig          Start a new configuration using a line-oriented program
  --oldconfig             Update a configuration using a provided .config as base
  --syncconfig            Similar to oldconfig but generates configuration in
                          include/{generated/,config/}
  --olddefconfig          Same as oldconfig but sets new symbols to their default value
  --defconfig <file>      New config with default defined in <file>
  --savedefconfig <file>  Save the minimal current configuration to <file>
  --allnoconfig           New config where all options are answered with no
  --allyesconfig          New config where all options are answered with yes
  --allmodconfig          New config where all options are answered with mod
  --alldefconfig          New config with all symbols set to default
  --randconfig            New config with random answer to all options
  --yes2modconfig         Change answers from yes to mod if possible
  --mod2yesconfig         Change answers from mod to yes if possible
  --mod2noconfig          Change answers from mod to no if possible
  (If none of the above is given, --oldaskconfig is the default)
";

/// The command line as typed.
#[derive(Default)]
struct Arguments {
    mode: Option<Mode>,
    help: bool,
    silent: bool,
    dialect: Option<String>,
    kconfig: Option<OsString>,
}

fn mode(name: &str) -> Option<Mode> {
    Some(match name {
        "oldaskconfig" => Mode::OldAsk,
        "syncconfig" => Mode::Sync,
        "oldconfig" => Mode::Old,
        "allnoconfig" => Mode::AllNo,
        "allyesconfig" => Mode::AllYes,
        "allmodconfig" => Mode::AllMod,
        "alldefconfig" => Mode::AllDef,
        "randconfig" => Mode::Random,
        "listnewconfig" => Mode::ListNew,
        "helpnewconfig" => Mode::HelpNew,
        "olddefconfig" => Mode::OldDef,
        "yes2modconfig" => Mode::YesToMod,
        "mod2yesconfig" => Mode::ModToYes,
        "mod2noconfig" => Mode::ModToNo,
        _ => return None,
    })
}

/// Options of the modes, in the order they are listed when a short form fits several.
const OPTIONS: [&str; 19] = [
    "help",
    "silent",
    "oldaskconfig",
    "oldconfig",
    "syncconfig",
    "defconfig",
    "savedefconfig",
    "allnoconfig",
    "allyesconfig",
    "allmodconfig",
    "alldefconfig",
    "randconfig",
    "listnewconfig",
    "helpnewconfig",
    "olddefconfig",
    "yes2modconfig",
    "mod2yesconfig",
    "mod2noconfig",
    "dialect",
];

/// The option a word stands for: its name, or the beginning of no other's.
fn option(name: &str) -> Result<&'static str, String> {
    if let Some(option) = OPTIONS.iter().find(|option| **option == name) {
        return Ok(option);
    }
    // Only `conf`'s own options have short forms.
    let fits = |option: &&&str| option.starts_with(name) && **option != "dialect";
    let possible: Vec<&'static str> = OPTIONS.iter().filter(fits).copied().collect();
    match possible.as_slice() {
        [] => Err(format!("unrecognized option '--{name}'")),
        [option] => Ok(option),
        several => {
            let several: String = several
                .iter()
                .map(|option| format!(" '--{option}'"))
                .collect();
            Err(format!(
                "option '--{name}' is ambiguous; possibilities:{several}"
            ))
        }
    }
}

impl Arguments {
    /// Reads the words as the C library's `getopt_long` does: what cannot be understood is
    /// complained about and passed over.
    fn read(words: impl Iterator<Item = OsString>, complain: &dyn Fn(&str)) -> Self {
        let mut arguments = Arguments::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                arguments.kconfig = arguments.kconfig.or_else(|| words.next());
                break;
            }
            if let Some(long) = bytes.strip_prefix(b"--") {
                if let Err(message) = arguments.long(long, &mut words) {
                    complain(&message);
                }
            } else if bytes.len() > 1 && bytes.starts_with(b"-") {
                for letter in &bytes[1..] {
                    match letter {
                        b'h' => arguments.help = true,
                        b's' => arguments.silent = true,
                        other => {
                            complain(&format!("invalid option -- '{}'", char::from(*other)));
                        }
                    }
                }
            } else {
                arguments.kconfig.get_or_insert(word);
            }
            if arguments.help {
                break;
            }
        }
        arguments
    }

    fn long(
        &mut self,
        word: &[u8],
        words: &mut dyn Iterator<Item = OsString>,
    ) -> Result<(), String> {
        let equal = word.iter().position(|byte| *byte == b'=');
        let name = String::from_utf8_lossy(&word[..equal.unwrap_or(word.len())]).into_owned();
        let value = equal.map(|equal| OsStr::from_bytes(&word[equal + 1..]).to_owned());
        let name = option(&name)?;
        if !matches!(name, "defconfig" | "savedefconfig" | "dialect") {
            if value.is_some() {
                return Err(format!("option '--{name}' doesn't allow an argument"));
            }
            match name {
                "help" => self.help = true,
                "silent" => self.silent = true,
                _ => self.mode = mode(name),
            }
            return Ok(());
        }
        let value = value
            .or_else(|| words.next())
            .ok_or_else(|| format!("option '--{name}' requires an argument"))?;
        match name {
            "defconfig" => self.mode = Some(Mode::Defconfig(value.into_vec())),
            "savedefconfig" => self.mode = Some(Mode::SaveDefconfig(value.into_vec())),
            _ => self.dialect = Some(value.to_string_lossy().into_owned()),
        }
        Ok(())
    }
}

/// The dialect asked for, else that of the kernel's version, else the newest.
fn dialect(asked: Option<&str>, environment: &Environment) -> Result<Dialect, String> {
    let variable = |name: &str| {
        environment
            .get(name.as_bytes())
            .map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let asked = asked
        .map(str::to_owned)
        .or_else(|| variable("LUPINE_CONF_DIALECT").filter(|name| !name.is_empty()));
    if let Some(name) = asked {
        return Dialect::by_name(&name).ok_or_else(|| {
            let known: Vec<&str> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
            format!("unknown dialect '{name}'; known are {}", known.join(", "))
        });
    }
    Ok(variable("KERNELVERSION")
        .and_then(|version| Dialect::for_kernel_version(&version))
        .unwrap_or_default())
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words
        .next()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let usage = || print!("Usage: {program} [options] <kconfig-file>\n\n{USAGE}");
    let arguments = Arguments::read(words, &|message| eprintln!("{program}: {message}"));
    if arguments.help {
        usage();
        return ExitCode::FAILURE;
    }
    let Some(kconfig) = arguments.kconfig else {
        eprintln!("{program}: Kconfig file missing");
        usage();
        return ExitCode::FAILURE;
    };
    let environment: Environment = std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect::<BTreeMap<_, _>>();
    let setting = std::env::var("LUPINE_PROBES").unwrap_or_default();
    let prepared = dialect(arguments.dialect.as_deref(), &environment).and_then(|dialect| {
        Ok((
            dialect,
            ProbeMode::parse(&setting).map_err(|e| e.to_string())?,
        ))
    });
    let (dialect, probes) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => {
            eprintln!("{program}: {message}");
            return ExitCode::FAILURE;
        }
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let request = Request {
        kconfig: kconfig.into_vec(),
        mode: arguments.mode.unwrap_or(Mode::OldAsk),
        silent: arguments.silent,
        seed: (now.as_secs() as u32 + 1).wrapping_mul(now.subsec_micros() + 1),
        dialect,
    };
    let mut console = Terminal::new(Channel::Output);
    let outcome = with_shell(&probes, &environment, None, |shell| {
        run(
            &request,
            &DirFiles::new(""),
            &environment,
            shell,
            &mut console,
        )
    });
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("{program}: {error}");
            return ExitCode::FAILURE;
        }
    };
    for action in &outcome.files {
        let saving = matches!(request.mode, Mode::SaveDefconfig(_));
        if let Err(error) = apply(action, Path::new(""), !saving) {
            let text = match &request.mode {
                Mode::SaveDefconfig(path) => {
                    let path = String::from_utf8_lossy(path);
                    format!("n*** Error while saving defconfig to: {path}\n\n")
                }
                _ => format!("\n*** Error during writing of the configuration: {error}.\n\n"),
            };
            console.complain(text.as_bytes());
            return ExitCode::FAILURE;
        }
    }
    console.flush();
    ExitCode::from(outcome.status)
}
