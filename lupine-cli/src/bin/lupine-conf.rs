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
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use lupine::probes::{ProbeMode, with_shell};
use lupine_kconfig::{
    Console, Dialect, DirFiles, Environment, FileAction, Mode, Request, WriteKind, run,
};

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
    silent: bool,
    dialect: Option<String>,
    kconfig: Option<OsString>,
}

/// Why the command line cannot be followed.
enum Usage {
    Help,
    Wrong(String),
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

fn arguments(words: impl Iterator<Item = OsString>) -> Result<Arguments, Usage> {
    let mut arguments = Arguments::default();
    let mut words = words.peekable();
    let mut options = true;
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if !options || !bytes.starts_with(b"-") || bytes == b"-" {
            arguments.kconfig.get_or_insert(word);
            continue;
        }
        if bytes == b"--" {
            options = false;
            continue;
        }
        let Some(long) = bytes.strip_prefix(b"--") else {
            for letter in &bytes[1..] {
                match letter {
                    b'h' => return Err(Usage::Help),
                    b's' => arguments.silent = true,
                    other => {
                        let letter = char::from(*other);
                        return Err(Usage::Wrong(format!("invalid option -- '{letter}'")));
                    }
                }
            }
            continue;
        };
        let (name, value) = match long.iter().position(|byte| *byte == b'=') {
            Some(equal) => (
                &long[..equal],
                Some(OsStr::from_bytes(&long[equal + 1..]).to_owned()),
            ),
            None => (long, None),
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let mut value = || {
            value
                .clone()
                .or_else(|| words.next())
                .ok_or_else(|| Usage::Wrong(format!("option '--{name}' requires an argument")))
        };
        match name.as_str() {
            "help" => return Err(Usage::Help),
            "silent" => arguments.silent = true,
            "defconfig" => arguments.mode = Some(Mode::Defconfig(value()?.into_vec())),
            "savedefconfig" => arguments.mode = Some(Mode::SaveDefconfig(value()?.into_vec())),
            "dialect" => {
                arguments.dialect = Some(value()?.to_string_lossy().into_owned());
            }
            other => match mode(other) {
                Some(mode) => arguments.mode = Some(mode),
                None => return Err(Usage::Wrong(format!("unrecognized option '--{other}'"))),
            },
        }
    }
    Ok(arguments)
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

struct Terminal {
    terminal: bool,
    out: io::BufWriter<io::Stdout>,
}

impl Console for Terminal {
    fn print(&mut self, text: &[u8]) {
        // A reader that went away is no reason to leave the files unwritten.
        let _ = self.out.write_all(text);
    }

    fn complain(&mut self, text: &[u8]) {
        let _ = self.out.flush();
        let _ = io::stderr().write_all(text);
    }

    fn read_line(&mut self, limit: usize) -> Option<Vec<u8>> {
        let _ = self.out.flush();
        let mut line = Vec::new();
        let mut input = io::stdin().lock();
        while line.len() < limit && line.last() != Some(&b'\n') {
            let Ok(ready) = input.fill_buf() else { break };
            if ready.is_empty() {
                break;
            }
            let room = ready.len().min(limit - line.len());
            let end = ready[..room].iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(room, |end| end + 1);
            line.extend_from_slice(&ready[..taken]);
            input.consume(taken);
        }
        (!line.is_empty()).then_some(line)
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn apply(action: &FileAction) -> io::Result<()> {
    match action {
        FileAction::Touch(path) => {
            std::fs::File::create(OsStr::from_bytes(path))?;
        }
        FileAction::Write {
            path,
            contents,
            how,
        } => {
            let path = Path::new(OsStr::from_bytes(path));
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            if *how == WriteKind::InPlace {
                return std::fs::write(path, contents);
            }
            let temporary = with_suffix(path, &format!(".{}.tmp", std::process::id()));
            std::fs::write(&temporary, contents)?;
            if *how == WriteKind::KeepOld && path.exists() {
                std::fs::rename(path, with_suffix(path, ".old"))?;
            }
            std::fs::rename(&temporary, path)?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words
        .next()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let usage = || print!("Usage: {program} [options] <kconfig-file>\n\n{USAGE}");
    let arguments = match arguments(words) {
        Ok(arguments) => arguments,
        Err(Usage::Help) => {
            usage();
            return ExitCode::FAILURE;
        }
        Err(Usage::Wrong(message)) => {
            eprintln!("{program}: {message}");
            usage();
            return ExitCode::FAILURE;
        }
    };
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
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut console = Terminal {
        terminal,
        out: io::BufWriter::new(io::stdout()),
    };
    let outcome = with_shell(&probes, &environment, |shell| {
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
        if let Err(error) = apply(action) {
            console.complain(
                format!("\n*** Error during writing of the configuration: {error}.\n\n").as_bytes(),
            );
            return ExitCode::FAILURE;
        }
    }
    let _ = console.out.flush();
    ExitCode::from(outcome.status)
}
