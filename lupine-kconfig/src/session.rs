//! One run of `conf`: from a mode, files and environment to outputs, files and a status.

use crate::configuration::Configuration;
use crate::diagnostic::LoadError;
use crate::dialect::{Dialect, Rules};
use crate::dotconfig::FileValue;
use crate::files::{self, Files};
use crate::kconfig::Kconfig;
use crate::preprocess::Environment;
use crate::shell::Shell;
use crate::symbol::{SymbolId, SymbolType, Tristate};

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Ask about everything.
    OldAsk,
    /// Ask about what is new.
    Old,
    /// As [`Mode::Old`], and write the generated headers.
    Sync,
    /// Defaults for what is new.
    OldDef,
    /// As many `n` as possible.
    AllNo,
    /// As many `y` as possible.
    AllYes,
    /// As many `m` as possible.
    AllMod,
    /// Every default.
    AllDef,
    /// Random values.
    Random,
    /// A file as written by [`Mode::SaveDefconfig`].
    Defconfig(Vec<u8>),
    /// Write what differs from the defaults to a file.
    SaveDefconfig(Vec<u8>),
    /// Print what is new.
    ListNew,
    /// Print the help of what is new.
    HelpNew,
    /// Turn `y` into `m`.
    YesToMod,
    /// Turn `m` into `y`.
    ModToYes,
    /// Turn `m` into `n`.
    ModToNo,
}

/// A run to do.
#[derive(Clone, Debug)]
pub struct Request {
    /// The first Kconfig file.
    pub kconfig: Vec<u8>,
    /// What to do.
    pub mode: Mode,
    /// No log on standard output (`-s`).
    pub silent: bool,
    /// Seed for [`Mode::Random`] when `KCONFIG_SEED` is not set.
    pub seed: u32,
    /// The language and the rules.
    pub dialect: Dialect,
}

/// Where a run talks to its user.
pub trait Console {
    /// Prints on standard output.
    fn print(&mut self, text: &[u8]);
    /// Prints on standard error.
    fn complain(&mut self, text: &[u8]);
    /// Reads a line of at most `limit` bytes, with its end; `None` at the end of input.
    fn read_line(&mut self, limit: usize) -> Option<Vec<u8>>;
    /// Whether input and output are a terminal, which shows what is typed by itself.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// A console in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryConsole {
    /// What is typed.
    pub input: Vec<u8>,
    /// What was printed.
    pub stdout: Vec<u8>,
    /// What was complained.
    pub stderr: Vec<u8>,
}

impl Console for MemoryConsole {
    fn print(&mut self, text: &[u8]) {
        self.stdout.extend_from_slice(text);
    }

    fn complain(&mut self, text: &[u8]) {
        self.stderr.extend_from_slice(text);
    }

    fn read_line(&mut self, limit: usize) -> Option<Vec<u8>> {
        let end = memchr::memchr(b'\n', &self.input).map_or(self.input.len(), |end| end + 1);
        let rest = self.input.split_off(end.min(limit));
        let line = std::mem::replace(&mut self.input, rest);
        (!line.is_empty()).then_some(line)
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// Into the existing file, if there is one.
    InPlace,
    /// To a temporary file that then takes the name.
    Replace,
    /// As [`WriteKind::Replace`]; the file that was there gets the name with `.old`.
    KeepOld,
}

/// A change to the file system, to be made in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAction {
    /// Write a file, making the directories it is in.
    Write {
        /// Path as configured, relative to the object directory.
        path: Vec<u8>,
        /// The whole contents.
        contents: Vec<u8>,
        /// How it takes the place of an existing file.
        how: WriteKind,
    },
    /// Create an empty file, or empty it.
    Touch(Vec<u8>),
}

/// What a run gave, beside what it printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status.
    pub status: u8,
    /// What to do with files. Nothing was done yet.
    pub files: Vec<FileAction>,
}

/// Ends a run with status 1.
pub(crate) struct Failed;

pub(crate) struct Session<'a> {
    pub(crate) config: Configuration<'a>,
    pub(crate) console: &'a mut dyn Console,
    pub(crate) mode: Mode,
    files: &'a dyn Files,
    environment: &'a Environment,
    silent: bool,
    actions: Vec<FileAction>,
    pub(crate) indent: usize,
    pub(crate) asked: u32,
    pub(crate) root: crate::menu::NodeId,
    pub(crate) line: Vec<u8>,
    pub(crate) input_ended: bool,
}

/// Does what `conf` does, on values: files are read through `files`, changes are given back.
///
/// ```
/// use lupine_kconfig::{
///     Dialect, Environment, FileAction, MemoryConsole, MemoryFiles, Mode, RefuseShell, Request, run,
/// };
/// let files = MemoryFiles::from([("Kconfig", "config A\n\tbool \"a\"\n")]);
/// let request = Request {
///     kconfig: b"Kconfig".to_vec(),
///     mode: Mode::AllYes,
///     silent: false,
///     seed: 1,
///     dialect: Dialect::LINUX_6_12,
/// };
/// let mut console = MemoryConsole::default();
/// let outcome = run(&request, &files, &Environment::new(), &RefuseShell, &mut console);
/// assert_eq!(outcome.status, 0);
/// let FileAction::Write { contents, .. } = &outcome.files[0] else { panic!() };
/// assert!(contents.ends_with(b"CONFIG_A=y\n"));
/// ```
pub fn run(
    request: &Request,
    files: &dyn Files,
    environment: &Environment,
    shell: &dyn Shell,
    console: &mut dyn Console,
) -> Outcome {
    let failed = Outcome {
        status: 1,
        files: Vec::new(),
    };
    let mut seed = None;
    if request.mode == Mode::Random {
        let chosen = seed_of(environment, request.seed);
        let line = format!("KCONFIG_SEED=0x{chosen:X}\n");
        if request.dialect.is_early() {
            console.complain(line.as_bytes());
        } else {
            console.print(line.as_bytes());
        }
        seed = Some(chosen);
    }
    let loaded = crate::loader::load(
        files,
        &request.kconfig,
        environment,
        shell,
        request.dialect.clone(),
    );
    let tree = match loaded {
        Ok(tree) => tree,
        Err(LoadError { stdout, stderr, .. }) => {
            console.print(&stdout);
            console.complain(&stderr);
            return failed;
        }
    };
    console.print(&tree.stdout);
    console.complain(&tree.stderr);
    let mut config = Configuration::new(&tree);
    config.warn_unknown = environment.contains_key(b"KCONFIG_WARN_UNKNOWN_SYMBOLS".as_slice());
    let mut session = Session {
        config,
        console,
        mode: request.mode.clone(),
        files,
        environment,
        silent: request.silent || request.mode == Mode::Sync,
        actions: Vec::new(),
        indent: 1,
        asked: 0,
        root: crate::menu::NodeId::ROOT,
        line: Vec::new(),
        input_ended: false,
    };
    let result = session.run(seed);
    session.flush();
    match result {
        Ok(()) => Outcome {
            status: 0,
            files: session.actions,
        },
        Err(Failed) => Outcome {
            status: 1,
            files: session.actions,
        },
    }
}

fn seed_of(environment: &Environment, otherwise: u32) -> u32 {
    let Some(text) = environment
        .get(b"KCONFIG_SEED".as_slice())
        .filter(|text| !text.is_empty())
    else {
        return otherwise;
    };
    let parsed = crate::value::parse(text, 0);
    if parsed.length == text.len() {
        crate::value::signed(text, 0) as u32
    } else {
        otherwise
    }
}

impl Session<'_> {
    pub(crate) fn variable(&self, name: &str) -> Option<&[u8]> {
        self.environment.get(name.as_bytes()).map(Vec::as_slice)
    }

    /// Passes warnings of evaluation on, before anything else is printed.
    pub(crate) fn flush(&mut self) {
        let warnings = self.config.take_warnings();
        if !warnings.is_empty() {
            self.console.complain(&warnings);
        }
    }

    pub(crate) fn print(&mut self, text: &[u8]) {
        self.flush();
        self.console.print(text);
    }

    pub(crate) fn complain(&mut self, text: &[u8]) {
        self.flush();
        self.console.complain(text);
    }

    fn run(&mut self, seed: Option<u32>) -> Result<(), Failed> {
        self.read()?;
        let strict = self.variable("KCONFIG_WERROR").is_some();
        if self.config.read_warnings > 0 && strict {
            return Err(Failed);
        }
        let mut write = true;
        if self.mode == Mode::Sync
            && self
                .variable("KCONFIG_NOSILENTUPDATE")
                .is_some_and(|value| !value.is_empty())
        {
            if self.config.changed {
                self.complain(b"\n*** The configuration requires explicit update.\n\n");
                return Err(Failed);
            }
            write = false;
        }
        self.change(seed)?;
        if self.config.unmet > 0 && strict {
            return Err(Failed);
        }
        match self.mode.clone() {
            Mode::SaveDefconfig(path) => {
                let contents = self.config.write_defconfig();
                self.actions.push(FileAction::Write {
                    path,
                    contents,
                    how: WriteKind::InPlace,
                });
            }
            Mode::ListNew | Mode::HelpNew => {}
            _ => {
                if write {
                    self.write_config()?;
                }
                self.write_generated();
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Failed> {
        match self.mode.clone() {
            Mode::Defconfig(path) => {
                self.config.changed = false;
                let Some(bytes) = self.open(&path) else {
                    let text = [
                        b"***\n*** Can't find default configuration \"".as_slice(),
                        &path,
                        b"\"!\n***\n",
                    ];
                    self.complain(&text.concat());
                    return Err(Failed);
                };
                self.config.read_named(&path, &bytes);
            }
            Mode::AllNo => self.read_all(b"allno.config")?,
            Mode::AllYes => self.read_all(b"allyes.config")?,
            Mode::AllMod => self.read_all(b"allmod.config")?,
            Mode::AllDef => self.read_all(b"alldef.config")?,
            Mode::Random => self.read_all(b"allrandom.config")?,
            _ => self.read_present(),
        }
        Ok(())
    }

    fn open(&self, name: &[u8]) -> Option<Vec<u8>> {
        files::search(self.files, self.environment, name)
    }

    fn config_name(&self) -> Vec<u8> {
        self.variable("KCONFIG_CONFIG")
            .unwrap_or(b".config")
            .to_vec()
    }

    fn read_present(&mut self) {
        let name = self.config_name();
        self.config.changed = false;
        if let Some(bytes) = self.open(&name) {
            self.config.read_named(&name, &bytes);
            return;
        }
        self.config.changed = true;
        let list = self
            .variable("KCONFIG_DEFCONFIG_LIST")
            .unwrap_or_default()
            .to_vec();
        for name in list
            .split(u8::is_ascii_whitespace)
            .filter(|name| !name.is_empty())
        {
            if let Some(bytes) = self.open(name) {
                self.message(&[b"using defaults found in ".as_slice(), name].concat());
                self.config.read_user(name, &bytes);
                self.config.settle_read();
                return;
            }
        }
        self.config.calculate(self.config.tree.modules);
    }

    fn read_all(&mut self, special: &[u8]) -> Result<(), Failed> {
        let Some(name) = self.variable("KCONFIG_ALLCONFIG").map(<[u8]>::to_vec) else {
            return Ok(());
        };
        if !name.is_empty() && name != b"1" {
            let Some(bytes) = self.open(&name) else {
                let text = [
                    b"*** Can't read seed configuration \"".as_slice(),
                    &name,
                    b"\"!\n",
                ];
                self.complain(&text.concat());
                return Err(Failed);
            };
            self.config.read_user(&name, &bytes);
            return Ok(());
        }
        for name in [special, b"all.config"] {
            if let Some(bytes) = self.open(name) {
                self.config.read_user(name, &bytes);
                return Ok(());
            }
        }
        let text = [
            b"*** KCONFIG_ALLCONFIG set, but no \"".as_slice(),
            special,
            b"\" or \"all.config\" file found\n",
        ];
        self.complain(&text.concat());
        Err(Failed)
    }

    fn change(&mut self, seed: Option<u32>) -> Result<(), Failed> {
        match self.mode {
            Mode::AllNo => self.config.set_all_new(Some(Tristate::No)),
            Mode::AllYes => self.config.set_all_new(Some(Tristate::Yes)),
            Mode::AllMod => self.config.set_all_new(Some(Tristate::Mod)),
            Mode::AllDef | Mode::Defconfig(_) => self.config.set_all_new(None),
            Mode::Random => {
                let text = self.variable("KCONFIG_PROBABILITY").map(<[u8]>::to_vec);
                let Some(odds) = crate::bulk::Odds::parse(text.as_deref()) else {
                    let text = b"KCONFIG_PROBABILITY: Numerical result out of range\n";
                    self.complain(text);
                    return Err(Failed);
                };
                self.config.set_random(seed.unwrap_or(0), &odds);
            }
            Mode::YesToMod => self.rewrite(Tristate::Yes, Tristate::Mod),
            Mode::ModToYes => self.rewrite(Tristate::Mod, Tristate::Yes),
            Mode::ModToNo => self.rewrite(Tristate::Mod, Tristate::No),
            Mode::OldAsk => {
                self.ask_all()?;
                self.mode = Mode::Old;
                self.ask_new()?;
            }
            Mode::Old | Mode::Sync | Mode::ListNew | Mode::HelpNew => self.ask_new()?,
            Mode::OldDef | Mode::SaveDefconfig(_) => {}
        }
        Ok(())
    }

    fn rewrite(&mut self, from: Tristate, to: Tristate) {
        for index in 0..self.config.states.len() {
            let tristate = self.config.effective_type(SymbolId(index as u32));
            let state = &mut self.config.states[index];
            if tristate == SymbolType::Tristate && state.user_tri == from {
                state.user_tri = to;
            }
        }
        self.config.invalidate();
    }

    /// A framed line of the log.
    fn message(&mut self, text: &[u8]) {
        if !self.silent {
            self.print(&[b"#\n# ", text, b"\n#\n"].concat());
        }
    }

    fn write_config(&mut self) -> Result<(), Failed> {
        let name = self.config_name();
        let problem = if name.is_empty() {
            Some(b"config name is empty\n".to_vec())
        } else if self.files.is_directory(&name) {
            Some([name.as_slice(), b": Is a directory\n"].concat())
        } else {
            None
        };
        if let Some(problem) = problem {
            self.complain(&problem);
            self.complain(b"\n*** Error during writing of the configuration.\n\n");
            return Err(Failed);
        }
        if !self.config.changed {
            self.config.invalidate();
        }
        let contents = self.config.dot_config();
        let overwrite = self
            .variable("KCONFIG_OVERWRITECONFIG")
            .is_some_and(|value| !value.is_empty());
        if !overwrite
            && self
                .files
                .read(&name)
                .is_ok_and(|present| present == contents)
        {
            self.message(&[b"No change to ".as_slice(), &name].concat());
        } else {
            let path = name.clone();
            let how = if overwrite {
                WriteKind::InPlace
            } else {
                WriteKind::KeepOld
            };
            self.actions.push(FileAction::Write {
                path,
                contents,
                how,
            });
            self.message(&[b"configuration written to ".as_slice(), &name].concat());
        }
        self.config.changed = false;
        Ok(())
    }

    fn write_generated(&mut self) {
        let or =
            |name, otherwise: &str| self.variable(name).unwrap_or(otherwise.as_bytes()).to_vec();
        let auto = or("KCONFIG_AUTOCONFIG", "include/config/auto.conf");
        let header = or("KCONFIG_AUTOHEADER", "include/generated/autoconf.h");
        let rust = or("KCONFIG_RUSTCCFG", "include/generated/rustc_cfg");
        if self.mode != Mode::Sync && self.config.tree.dialect.is_early() {
            return;
        }
        let present = self.files.read(&auto).ok();
        if self.mode != Mode::Sync && (present.is_some() || self.files.is_directory(&auto)) {
            return;
        }
        let write = |actions: &mut Vec<FileAction>, path, contents| {
            actions.push(FileAction::Write {
                path,
                contents,
                how: WriteKind::Replace,
            });
        };
        let commands = self.config.tree.dependency_file(&auto);
        write(
            &mut self.actions,
            [auto.as_slice(), b".cmd"].concat(),
            commands,
        );
        let tree = self.config.tree;
        for id in &tree.hash_order {
            self.config.calculate(*id);
        }
        self.touch_dependencies(&auto);
        let contents = self.config.write_autoconf_h();
        write(&mut self.actions, header, contents);
        let contents = self.config.write_rustc_cfg();
        write(&mut self.actions, rust, contents);
        let contents = self.config.write_auto_conf();
        write(&mut self.actions, auto, contents);
    }

    /// Touches the file of every symbol whose value differs from the last generated one.
    fn touch_dependencies(&mut self, auto: &[u8]) {
        let directory = auto
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        let directory = &auto[..directory];
        let generated = match self.open(auto) {
            Some(bytes) => self.config.read_generated(auto, &bytes),
            None => crate::dotconfig::Generated::default(),
        };
        let touch = |name: &[u8]| FileAction::Touch([directory, name].concat());
        self.actions
            .extend(generated.gone.iter().map(|name| touch(name)));
        let tree = self.config.tree;
        for id in &tree.hash_order {
            let symbol = tree.get(*id);
            if symbol.choice || !symbol.named || symbol.no_write {
                continue;
            }
            let state = &self.config.states[id.index()];
            let same = match (state.write, generated.values.get(id)) {
                (false, known) => known.is_none(),
                (true, Some(FileValue::Logical(value))) => *value == state.tri,
                (true, Some(FileValue::Text(text))) => self.config.string_value(*id) == &**text,
                (true, None) => symbol.type_.is_logical() && state.tri == Tristate::No,
            };
            if !same {
                self.actions.push(touch(tree.symbols.name(*id)));
            }
        }
    }
}

impl Kconfig {
    /// The makefile fragment that has `auto.conf` made again when a Kconfig file or a variable
    /// of the environment changed.
    pub fn dependency_file(&self, auto: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        match self.rules() {
            Rules::Linux6_12 => {
                put(&[b"autoconfig := ", auto, b"\n\ndeps_config := \\\n"]);
                for file in &self.files {
                    put(&[b"\t", &file.name, b" \\\n"]);
                }
                put(&[b"\n$(autoconfig): $(deps_config)\n$(deps_config): ;\n"]);
                for (name, value) in &self.used_environment {
                    put(&[b"\nifneq \"$(", name, b")\" \"", value, b"\"\n"]);
                    put(&[b"$(autoconfig): FORCE\nendif\n"]);
                }
            }
            Rules::Linux6_1 => {
                put(&[b"deps_config := \\\n"]);
                for file in self.files.iter().rev() {
                    put(&[b"\t", &file.name, b" \\\n"]);
                }
                put(&[b"\n", auto, b": $(deps_config)\n\n"]);
                for (name, value) in &self.used_environment {
                    put(&[b"ifneq \"$(", name, b")\" \"", value, b"\"\n"]);
                    put(&[auto, b": FORCE\nendif\n"]);
                }
                put(&[b"\n$(deps_config): ;\n"]);
            }
        }
        out
    }
}
