//! What tests of the guest share: tools, kernels, small root directories.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]
#![allow(dead_code, reason = "not each test file uses all")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lupine::Lupine;
use lupine::guest::InitConfig;
use lupine::guest::init::{CONFIG_PATH, HELLO, INIT, INIT_PATH, SERVE};
use lupine::host::{self, Missing, Purpose};
use lupine::kernel::build::Kernel;
use lupine::manifest::Manifest;
use lupine::process::{Cancel, Task, find_program};
use lupine::variant::Variant;

/// Writes a root with the init, the embedded programs and a shell with what it needs.
pub(crate) fn write_root(dir: &Path, config: &InitConfig) {
    for sub in ["dev", "proc", "sys", "tmp", "run", "etc", ".lupine"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    for (path, bytes) in [(INIT_PATH, INIT), ("/hello", HELLO), ("/serve", SERVE)] {
        write_program(&below(dir, Path::new(path)), bytes);
    }
    fs::write(below(dir, Path::new(CONFIG_PATH)), config.encode().unwrap()).unwrap();
    for program in ["sh", "id", "sleep", "cat"] {
        copy_program(dir, program);
    }
}

/// Writes a program that can be run at once.
///
/// `cp` writes the file that is run: a descriptor of ours could live on in another test's child until its
/// exec, and keep the program busy (`ETXTBSY`).
fn write_program(path: &Path, bytes: &[u8]) {
    let scratch = path.with_extension("bytes");
    fs::write(&scratch, bytes).unwrap();
    copy(&scratch, path);
    fs::remove_file(&scratch).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    Task::new("cp")
        .arg(from)
        .arg(to)
        .run(&Cancel::new())
        .unwrap();
}

/// Copies a program of this machine, its ELF interpreter and its libraries.
pub(crate) fn copy_program(dir: &Path, name: &str) {
    let program = find_program(name).unwrap();
    let listing = Task::new("ldd")
        .arg(&program)
        .run(&Cancel::new())
        .unwrap()
        .stdout;
    let listing = String::from_utf8(listing).unwrap();
    let libraries = listing
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for path in libraries
        .map(PathBuf::from)
        .chain([PathBuf::from(format!("/bin/{name}"))])
    {
        let target = below(dir, &path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        copy(if path.exists() { &path } else { &program }, &target);
    }
}

fn below(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path.strip_prefix("/").unwrap())
}

/// What a test of the whole path needs of the machine.
pub(crate) const ALL: &[Purpose] = &[
    Purpose::Kernel,
    Purpose::DebianImage,
    Purpose::Run,
    Purpose::Test,
];

/// Whether the machine has what a test needs: a loud skip at home, an error in CI.
pub(crate) fn able(purposes: &[Purpose]) -> bool {
    not_missing(host::require(purposes, &[]))
}

/// The same for single programs.
pub(crate) fn has_programs(names: &[&str]) -> bool {
    not_missing(host::require_programs(names))
}

fn not_missing(missing: Result<(), Missing>) -> bool {
    if let Err(missing) = &missing {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("SKIPPED: {missing}");
    }
    missing.is_ok()
}

/// Whether the slow tests were asked for, too.
pub(crate) fn asked_for_all() -> bool {
    std::env::var_os("LUPINE_TEST_ALL").is_some()
}

/// The kernel of a built-in application, of the default variant, from the user's cache.
pub(crate) fn kernel_of(name: &str) -> Kernel {
    let lupine = Lupine::of_user().unwrap();
    let image = lupine.image(&Manifest::builtin(name).unwrap()).unwrap();
    let needs = lupine.needs(&image).unwrap();
    let variant = Variant::default();
    let source = lupine.kernel_source(None).unwrap();
    let source = lupine.patch(source, variant).unwrap();
    let config = lupine.specialise(&source, &needs, variant).unwrap();
    lupine.kernel(&source, &config).unwrap()
}
