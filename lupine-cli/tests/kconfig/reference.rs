//! The reference implementation: a kernel tree's own `scripts/kconfig/conf`, built from source.
//!
//! The sources are the tarballs of Debian's `linux-source-6.12` and `linux-source-6.1` packages,
//! or what `LUPINE_KERNEL_SRC_6_12` and `LUPINE_KERNEL_SRC_6_1` name (a tarball or a directory,
//! which is only read). What Kconfig needs of a tarball is unpacked once, into a directory of the
//! user's cache whose name is a digest of the tarball.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// What is unpacked of a tarball; change [`LAYOUT`] with it.
const MEMBERS: &[&str] = &[
    "*/Kconfig*",
    "*/Makefile*",
    "*/Kbuild*",
    "*/Platform*",
    "*/scripts/*",
    "*/arch/*/configs/*",
    "*/arch/*/tools/*",
    "*/kernel/configs/*",
    "*/COPYING",
];

/// Raised when [`MEMBERS`] or the way `conf` is built changes, so that caches are not mixed up.
const LAYOUT: &str = "2";

/// A text in a source file of `conf`, and what takes its place.
pub(crate) type Edit<'a> = (&'a str, &'a str, &'a str);

/// 6.12 makes `!A` of a comparison `A != y` whose `A` is a bool, and takes the symbol for an
/// expression when it does: values then come from unrelated memory, differ from run to run, or end
/// the program. The trees of the kernel do not show it: there the unedited program judges.
const MISTAKE: Edit = (
    "expr.c",
    "e = expr_alloc_one(E_NOT, e->left.expr);\n\t\t\tbreak;\n\t\t}\n\t\tbreak;\n\tcase E_NOT:",
    "e = expr_alloc_one(E_NOT, expr_alloc_symbol(e->left.sym));\n\t\t\tbreak;\n\t\t}\n\t\tbreak;\n\tcase E_NOT:",
);

/// A kernel release whose rules the tests know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Linux 6.1: `symbol.c` as it was from 2.6 on.
    V6_1,
    /// Linux 6.12: the choices of 6.11, symbols in menu order.
    V6_12,
}

impl Version {
    /// Every version, in order.
    #[allow(dead_code, reason = "the bench measures one version")]
    pub(crate) const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];

    fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// The tree or tarball that stands for it.
    fn source(self) -> PathBuf {
        match std::env::var_os(self.override_variable()) {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(format!("/usr/src/linux-source-{}.tar.xz", self.name())),
        }
    }

    fn override_variable(self) -> &'static str {
        match self {
            Self::V6_1 => "LUPINE_KERNEL_SRC_6_1",
            Self::V6_12 => "LUPINE_KERNEL_SRC_6_12",
        }
    }
}

/// A kernel tree and its `conf`.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// The tree: only read.
    pub(crate) tree: PathBuf,
    /// The reference implementation, built from this tree.
    pub(crate) conf: PathBuf,
    /// The same; where it reads memory of another type, with that line repaired ([`MISTAKE`]).
    #[allow(dead_code, reason = "the bench measures what is shipped")]
    pub(crate) repaired: PathBuf,
    /// `make kernelversion`.
    pub(crate) release: String,
}

impl Kernel {
    /// The kernel of `version`, or `None` (said on stderr) when its source or a tool is missing.
    ///
    /// # Panics
    /// Where `CI` is `true` a missing part is a failure; a part that does not build always is.
    pub(crate) fn get(version: Version) -> Option<&'static Self> {
        static KERNELS: [OnceLock<Option<Kernel>>; 2] = [OnceLock::new(), OnceLock::new()];
        let index = Version::ALL.iter().position(|v| *v == version)?;
        KERNELS[index]
            .get_or_init(|| match Self::prepare(version) {
                Ok(kernel) => Some(kernel),
                Err(missing) => {
                    skip(&format!("Linux {}: {missing}", version.name()));
                    None
                }
            })
            .as_ref()
    }

    fn prepare(version: Version) -> Result<Self, String> {
        for tool in ["flex", "bison", "gcc", "tar", "xz", "sha256sum"] {
            require(tool)?;
        }
        let source = version.source();
        if !source.exists() {
            return Err(format!(
                "{} does not exist; install linux-source-{} or set {}",
                source.display(),
                version.name(),
                version.override_variable()
            ));
        }
        let tree = if source.is_dir() {
            source
        } else {
            unpack(&source)
        };
        let release = release(&tree);
        let conf = build_conf(&tree, &[], &[]);
        let repaired = match version {
            Version::V6_1 => conf.clone(),
            Version::V6_12 => build_conf(&tree, &[MISTAKE], &[]),
        };
        Ok(Self {
            tree,
            conf,
            repaired,
            release,
        })
    }

    /// The same kernel with all of its tree, which the pipeline unpacks: to be built from.
    #[allow(dead_code, reason = "the bench builds no kernel")]
    pub(crate) fn whole(&self, version: Version) -> Self {
        let lupine = lupine::Lupine::of_user().unwrap();
        let source = lupine.kernel_source(Some(&version.source())).unwrap();
        Self {
            tree: source.path,
            conf: self.conf.clone(),
            repaired: self.repaired.clone(),
            release: self.release.clone(),
        }
    }

    /// The architectures of the tree: the directories of `arch/` that have a `Kconfig`.
    #[allow(dead_code, reason = "the bench measures one architecture")]
    pub(crate) fn arches(&self) -> Vec<String> {
        let mut arches: Vec<String> = fs::read_dir(self.tree.join("arch"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("Kconfig").is_file())
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        arches.sort();
        arches
    }
}

/// Says that something is not tested here; with `CI=true` that is a failure.
pub(crate) fn skip(what: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|v| v != "true"),
        "required in CI: {what}"
    );
    eprintln!("SKIPPED: {what}");
}

/// Whether `tool` can be found along `PATH`, as an error that names it.
pub(crate) fn require(tool: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(tool))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{tool} is not installed"))
}

/// `lupine-kconfig-tests` in the user's cache directory.
pub(crate) fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache")
        });
    let directory = base.join("lupine-kconfig-tests");
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Fills `name` of the cache by `fill`, unless it is there; never leaves it half filled.
pub(crate) fn cached(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    static FILLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = FILLING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let target = cache().join(name);
    if !target.exists() {
        let scratch = cache().join(format!("{name}.{}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).unwrap();
        fill(&scratch);
        if fs::rename(&scratch, &target).is_err() {
            // Another process was faster.
            fs::remove_dir_all(&scratch).unwrap();
        }
    }
    target
}

/// Runs `program` and returns its output; panics, with its stderr, when it fails.
pub(crate) fn run<S: AsRef<OsStr>>(
    program: &str,
    args: &[S],
    directory: &Path,
    stdin: &[u8],
) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    io::Write::write_all(&mut child.stdin.take().unwrap(), stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{program} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn digest(bytes: &[u8]) -> String {
    let sum = run::<&str>("sha256sum", &[], Path::new("/"), bytes);
    String::from_utf8_lossy(&sum[..16]).into_owned()
}

fn unpack(tarball: &Path) -> PathBuf {
    let sum = run("sha256sum", &[tarball], Path::new("/"), b"");
    let name = format!("tree-{LAYOUT}-{}", String::from_utf8_lossy(&sum[..16]));
    cached(&name, |directory| {
        let mut args: Vec<&OsStr> = ["-x", "--strip-components=1", "--wildcards", "-f"]
            .map(OsStr::new)
            .to_vec();
        args.push(tarball.as_os_str());
        args.extend(MEMBERS.iter().map(OsStr::new));
        run("tar", &args, directory, b"");
    })
}

fn release(tree: &Path) -> String {
    let makefile = String::from_utf8_lossy(&fs::read(tree.join("Makefile")).unwrap()).into_owned();
    let value = |name: &str| {
        makefile
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let (version, patch, sub) = (value("VERSION"), value("PATCHLEVEL"), value("SUBLEVEL"));
    format!("{version}.{patch}.{sub}{}", value("EXTRAVERSION"))
}

/// The `conf` of `tree` with answers of a file in place of a shell; see `benches/kconfig/replay.c`.
pub(crate) fn build_replaying(tree: &Path, edits: &[Edit]) -> PathBuf {
    let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/kconfig/replay.c");
    let further = [
        OsStr::new("-Dpopen=replay_popen"),
        OsStr::new("-Dpclose=replay_pclose"),
        shim.as_os_str(),
    ];
    build_conf(tree, edits, &further)
}

/// Writes recorded answers as that program reads them.
pub(crate) fn write_plain_answers(recorded: &Path, plain: &Path) {
    let mut text = Vec::new();
    for (command, output) in lupine::probes::read_answers(recorded).unwrap() {
        for part in [&command, &output.stdout, &output.stderr] {
            text.extend_from_slice(part);
            text.push(0);
        }
    }
    fs::write(plain, text).unwrap();
}

/// Builds the `conf` of `tree`, its sources edited, with further arguments for gcc (sources,
/// options).
///
/// # Panics
/// When an edit does not find its text.
pub(crate) fn build_conf(tree: &Path, edits: &[Edit], further: &[&OsStr]) -> PathBuf {
    let mut paths: Vec<PathBuf> = fs::read_dir(tree.join("scripts/kconfig"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let extension = path.extension().and_then(OsStr::to_str);
            extension.is_some_and(|e| ["c", "h", "l", "y"].contains(&e))
        })
        .collect();
    paths.sort();
    let inputs: Vec<(&OsStr, Vec<u8>)> = paths
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap();
            let mut text = fs::read(path).unwrap();
            for (_, from, to) in edits.iter().filter(|(file, ..)| name == *file) {
                let old = String::from_utf8(text).unwrap();
                assert!(old.contains(from), "{} lacks {from}", path.display());
                text = old.replace(from, to).into_bytes();
            }
            (name, text)
        })
        .collect();
    let mut text = Vec::new();
    for (_, input) in &inputs {
        text.extend(input);
    }
    for argument in further {
        text.extend(argument.as_encoded_bytes());
        text.push(0);
        text.extend(fs::read(argument).unwrap_or_default());
    }
    let directory = cached(&format!("conf-{LAYOUT}-{}", digest(&text)), |directory| {
        for (name, input) in &inputs {
            fs::write(directory.join(name), input).unwrap();
        }
        run("flex", &["-olexer.lex.c", "-L", "lexer.l"], directory, b"");
        run(
            "bison",
            &[
                "-oparser.tab.c",
                "--defines=parser.tab.h",
                "-t",
                "-l",
                "parser.y",
            ],
            directory,
            b"",
        );
        let include = tree.join("scripts/include");
        let mut args: Vec<&OsStr> = ["-O2", "-D_GNU_SOURCE", "-w", "-I.", "-o", "conf", "-I"]
            .map(OsStr::new)
            .to_vec();
        args.push(include.as_os_str());
        for source in [
            "conf.c",
            "confdata.c",
            "expr.c",
            "lexer.lex.c",
            "menu.c",
            "parser.tab.c",
            "preprocess.c",
            "symbol.c",
            "util.c",
        ] {
            args.push(OsStr::new(source));
        }
        args.extend(further);
        run("gcc", &args, directory, b"");
    });
    directory.join("conf")
}
