//! The shell behind Kconfig's `$(shell ...)`: real, parallel, cached, recorded or refused.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use lupine_kconfig::{Environment, RecordedShell, RecordingShell, Shell, ShellError, ShellOutput};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a file of recorded answers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The file could not be read or written.
    #[error("recorded answers {path}: cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a list of answers.
    #[error("recorded answers {path}: not a list of commands with their output")]
    Format {
        /// The file.
        path: PathBuf,
        /// Where it ends to make sense.
        source: serde_json::Error,
    },
    /// `LUPINE_PROBES` says something else than it can.
    #[error("LUPINE_PROBES={0}: expected record:FILE, replay:FILE, cache:FILE or refuse")]
    Setting(String),
}

/// What is done with commands, as `LUPINE_PROBES` spells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProbeMode {
    /// Run them (the variable is empty or not set).
    #[default]
    Live,
    /// Run them and write down the answers: `record:FILE`.
    Record(PathBuf),
    /// Give the answers of a file: `replay:FILE`.
    Replay(PathBuf),
    /// Run only those a file has no answer for, and add theirs: `cache:FILE`.
    Cache(PathBuf),
    /// Run none: `refuse`.
    Refuse,
}

impl ProbeMode {
    /// Reads the setting.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Setting`] when it is none of the above.
    pub fn parse(setting: &str) -> Result<Self, ProbeError> {
        match setting.split_once(':') {
            None if setting.is_empty() => Ok(Self::Live),
            None if setting == "refuse" => Ok(Self::Refuse),
            Some(("record", file)) if !file.is_empty() => Ok(Self::Record(file.into())),
            Some(("replay", file)) if !file.is_empty() => Ok(Self::Replay(file.into())),
            Some(("cache", file)) if !file.is_empty() => Ok(Self::Cache(file.into())),
            _ => Err(ProbeError::Setting(setting.to_owned())),
        }
    }
}

/// Bytes that are nearly always text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Text::Text(text.to_owned()),
            Err(_) => Text::Bytes(bytes.to_vec()),
        }
    }
}

impl From<Text> for Vec<u8> {
    fn from(text: Text) -> Self {
        match text {
            Text::Text(text) => text.into_bytes(),
            Text::Bytes(bytes) => bytes,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Answer {
    command: Text,
    stdout: Text,
    #[serde(default = "empty")]
    stderr: Text,
}

fn empty() -> Text {
    Text::Text(String::new())
}

/// Reads a file of answers.
///
/// # Errors
///
/// When the file cannot be read or is of another form.
pub fn read_answers(path: &Path) -> Result<BTreeMap<Vec<u8>, ShellOutput>, ProbeError> {
    let bytes = std::fs::read(path).map_err(|source| ProbeError::Io {
        path: path.into(),
        source,
    })?;
    let answers: Vec<Answer> =
        serde_json::from_slice(&bytes).map_err(|source| ProbeError::Format {
            path: path.into(),
            source,
        })?;
    Ok(answers
        .into_iter()
        .map(|answer| {
            let output = ShellOutput {
                stdout: answer.stdout.into(),
                stderr: answer.stderr.into(),
            };
            (answer.command.into(), output)
        })
        .collect())
}

/// Writes a file of answers, sorted by command.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_answers(
    path: &Path,
    answers: &BTreeMap<Vec<u8>, ShellOutput>,
) -> Result<(), ProbeError> {
    let answers: Vec<Answer> = answers
        .iter()
        .map(|(command, output)| Answer {
            command: command.as_slice().into(),
            stdout: output.stdout.as_slice().into(),
            stderr: output.stderr.as_slice().into(),
        })
        .collect();
    let mut bytes = serde_json::to_vec_pretty(&answers).map_err(|source| ProbeError::Format {
        path: path.into(),
        source,
    })?;
    bytes.push(b'\n');
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        io::Write::write_all(&mut file, &bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| ProbeError::Io {
        path: path.into(),
        source,
    })
}

/// Calls `use_shell` with the shell of a mode; afterwards, answers to keep are written. Commands
/// see `environment` and run in `directory`, where they make temporary files, or in that of this
/// process.
///
/// # Errors
///
/// When a file of answers cannot be read or written.
pub fn with_shell<T>(
    mode: &ProbeMode,
    environment: &Environment,
    directory: Option<&Path>,
    use_shell: impl FnOnce(&dyn Shell) -> T,
) -> Result<T, ProbeError> {
    match mode {
        ProbeMode::Live => Ok(use_shell(&ParallelShell::new(environment, directory))),
        ProbeMode::Refuse => Ok(use_shell(&lupine_kconfig::RefuseShell)),
        ProbeMode::Replay(path) => {
            let mut shell = RecordedShell::new();
            for (command, output) in read_answers(path)? {
                shell.insert(command, output);
            }
            Ok(use_shell(&shell))
        }
        ProbeMode::Record(path) => {
            let shell = RecordingShell::new(ParallelShell::new(environment, directory));
            let result = use_shell(&shell);
            write_answers(path, &shell.into_answers())?;
            Ok(result)
        }
        ProbeMode::Cache(path) => {
            let known = match read_answers(path) {
                Ok(known) => known,
                Err(ProbeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    BTreeMap::new()
                }
                Err(error) => return Err(error),
            };
            let before = known.len();
            let shell = CachedShell {
                identity: identity(environment),
                known: Mutex::new(known),
                inner: ParallelShell::new(environment, directory),
            };
            let result = use_shell(&shell);
            let known = shell
                .known
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            if known.len() != before {
                write_answers(path, &known)?;
            }
            Ok(result)
        }
    }
}

/// Keeps answers under the identity of the tools and the command.
struct CachedShell {
    identity: Vec<u8>,
    known: Mutex<BTreeMap<Vec<u8>, ShellOutput>>,
    inner: ParallelShell,
}

impl CachedShell {
    /// The command, under the tools' identity and that of the scripts it names.
    fn key(&self, command: &[u8]) -> Vec<u8> {
        let mut key = self.identity.clone();
        for word in command.split(|byte| byte.is_ascii_whitespace() || b"();{}".contains(byte)) {
            if word.contains(&b'/') {
                key.extend_from_slice(stamp(Path::new(OsStr::from_bytes(word))).as_bytes());
            }
        }
        key.push(b'\n');
        key.extend_from_slice(command);
        key
    }
}

impl Shell for CachedShell {
    fn run(&self, command: &[u8]) -> Result<ShellOutput, ShellError> {
        let key = self.key(command);
        if let Some(known) = lock(&self.known).get(&key) {
            return Ok(known.clone());
        }
        let output = self.inner.run(command)?;
        lock(&self.known).insert(key, output.clone());
        Ok(output)
    }

    fn prefetches(&self) -> bool {
        // A cache that has answers has them for the whole tree, most likely.
        lock(&self.known).is_empty() && self.inner.prefetches()
    }

    fn prefetch(&self, command: &[u8]) {
        if !lock(&self.known).contains_key(&self.key(command)) {
            self.inner.prefetch(command);
        }
    }
}

/// Size and time of a file, nothing when there is none.
fn stamp(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(path) {
        Ok(data) if data.is_file() => {
            format!(" {}:{}.{}", data.size(), data.mtime(), data.mtime_nsec())
        }
        _ => String::new(),
    }
}

/// What the answers of commands depend on beside the commands: the variables tools are named by,
/// and the tools themselves.
fn identity(environment: &Environment) -> Vec<u8> {
    let mut hash = Sha256::new();
    let names = [
        "ARCH",
        "SRCARCH",
        "srctree",
        "CC",
        "LD",
        "AR",
        "NM",
        "OBJCOPY",
        "STRIP",
        "PYTHON3",
        "RUSTC",
        "BINDGEN",
        "PAHOLE",
        "CLANG_FLAGS",
        "CC_VERSION_TEXT",
        "RUSTC_VERSION_TEXT",
        "PATH",
        "CROSS_COMPILE",
    ];
    let path = environment
        .get(b"PATH".as_slice())
        .cloned()
        .unwrap_or_default();
    for name in names {
        let value = environment
            .get(name.as_bytes())
            .map(Vec::as_slice)
            .unwrap_or_default();
        hash.update(name);
        hash.update([0]);
        hash.update(value);
        let tool = value
            .split(u8::is_ascii_whitespace)
            .next()
            .unwrap_or_default();
        if !tool.is_empty() && value.len() < 4096 {
            for directory in std::env::split_paths(OsStr::from_bytes(&path)) {
                hash.update(stamp(&directory.join(OsStr::from_bytes(tool))));
            }
        }
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into_bytes()
}

#[derive(Default)]
struct Work {
    queue: std::collections::VecDeque<Vec<u8>>,
    answers: HashMap<Vec<u8>, Option<Result<ShellOutput, io::ErrorKind>>>,
    closed: bool,
}

/// Runs announced commands on one thread per processor, others when asked.
struct ParallelShell {
    work: Arc<(Mutex<Work>, Condvar)>,
    place: Arc<Place>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl ParallelShell {
    fn new(environment: &Environment, directory: Option<&Path>) -> Self {
        let place = Place {
            environment: environment.clone(),
            directory: directory.map(Into::into),
        };
        Self {
            work: Arc::default(),
            place: Arc::new(place),
            threads: Mutex::default(),
        }
    }

    fn start_threads(&self) {
        let mut threads = lock(&self.threads);
        if !threads.is_empty() {
            return;
        }
        let count = thread::available_parallelism()
            .map_or(2, std::num::NonZero::get)
            .min(16);
        for _ in 0..count {
            let work = Arc::clone(&self.work);
            let place = Arc::clone(&self.place);
            threads.push(thread::spawn(move || serve(&work, &place)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve((work, changed): &(Mutex<Work>, Condvar), place: &Place) {
    loop {
        let command = {
            let mut work = lock(work);
            loop {
                if let Some(command) = work.queue.pop_front() {
                    break command;
                }
                if work.closed {
                    return;
                }
                work = changed.wait(work).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let output = place.execute(&command).map_err(|error| error.kind());
        lock(work).answers.insert(command, Some(output));
        changed.notify_all();
    }
}

impl Shell for ParallelShell {
    fn run(&self, command: &[u8]) -> Result<ShellOutput, ShellError> {
        let (work, changed) = &*self.work;
        let mut guard = lock(work);
        // Still waiting for a thread: do it here.
        if let Some(at) = guard.queue.iter().position(|queued| queued == command) {
            guard.queue.remove(at);
            guard.answers.remove(command);
        }
        while let Some(answer) = guard.answers.get(command) {
            match answer {
                Some(Ok(output)) => return Ok(output.clone()),
                Some(Err(kind)) => return Err(io::Error::from(*kind).into()),
                None => guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
            }
        }
        drop(guard);
        let output = self.place.execute(command)?;
        // The walk ahead and the real one ask the same; nothing has changed between them.
        if !lock(&self.threads).is_empty() {
            lock(work)
                .answers
                .insert(command.to_vec(), Some(Ok(output.clone())));
        }
        Ok(output)
    }

    fn prefetches(&self) -> bool {
        self.start_threads();
        true
    }

    fn prefetch(&self, command: &[u8]) {
        let (work, changed) = &*self.work;
        let mut work = lock(work);
        if work.answers.contains_key(command) {
            return;
        }
        work.answers.insert(command.to_vec(), None);
        work.queue.push_back(command.to_vec());
        changed.notify_one();
    }
}

impl Drop for ParallelShell {
    fn drop(&mut self) {
        let (work, changed) = &*self.work;
        {
            let mut work = lock(work);
            work.closed = true;
            work.queue.clear();
        }
        changed.notify_all();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "Kconfig's shell commands are started here and nowhere else"
)]
impl Place {
    fn execute(&self, command: &[u8]) -> io::Result<ShellOutput> {
        let mut shell = Command::new("/bin/sh");
        let pairs = self.environment.iter();
        shell.envs(pairs.map(|(n, v)| (OsStr::from_bytes(n), OsStr::from_bytes(v))));
        if let Some(directory) = &self.directory {
            shell.current_dir(directory);
        }
        shell
            .arg("-c")
            .arg(OsStr::from_bytes(command))
            .stdin(Stdio::inherit());
        let output = shell.output()?;
        Ok(ShellOutput {
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

/// What commands see around them.
struct Place {
    environment: Environment,
    directory: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_commands_give_the_answers_of_commands() {
        let shell = ParallelShell::new(&Environment::new(), None);
        assert!(shell.prefetches());
        for number in 0..20 {
            shell.prefetch(format!("echo {number}").as_bytes());
        }
        for number in (0..25).rev() {
            let output = shell.run(format!("echo {number}").as_bytes()).unwrap();
            assert_eq!(output.stdout, format!("{number}\n").into_bytes());
        }
    }

    #[test]
    fn an_empty_cache_runs_what_is_announced_on_threads() {
        let shell = CachedShell {
            identity: Vec::new(),
            known: Mutex::default(),
            inner: ParallelShell::new(&Environment::new(), None),
        };
        assert!(shell.prefetches());
        assert!(!lock(&shell.inner.threads).is_empty());
        shell.prefetch(b"echo 1");
        assert_eq!(shell.run(b"echo 1").unwrap().stdout, b"1\n");
        assert!(!shell.prefetches());
    }

    #[test]
    fn recordings_are_replayed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("answers.json");
        let environment = Environment::new();
        let ask = |shell: &dyn Shell| shell.run(b"printf 'a\\377'; echo b >&2");
        let live = with_shell(&ProbeMode::Record(file.clone()), &environment, None, ask);
        let replayed = with_shell(&ProbeMode::Replay(file.clone()), &environment, None, ask);
        let (live, replayed) = (live.unwrap().unwrap(), replayed.unwrap().unwrap());
        assert_eq!(live, replayed);
        assert_eq!(live.stdout, b"a\xff");
        let other = with_shell(&ProbeMode::Replay(file), &environment, None, |shell| {
            shell.run(b"true").map(|_| ())
        });
        assert!(matches!(other.unwrap(), Err(ShellError::NotRecorded)));
    }

    #[test]
    fn settings() {
        assert_eq!(ProbeMode::parse("").unwrap(), ProbeMode::Live);
        assert_eq!(
            ProbeMode::parse("replay:x").unwrap(),
            ProbeMode::Replay("x".into())
        );
        assert!(ProbeMode::parse("replay:").is_err());
        assert!(ProbeMode::parse("maybe").is_err());
    }
}
