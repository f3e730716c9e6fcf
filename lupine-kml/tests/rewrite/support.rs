//! Tools, files of this machine, and how to run a program with rewritten libraries.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lupine_kml::rewrite::{Options, rewrite_file};

pub(crate) const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
pub(crate) const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
pub(crate) const MUSL: &str = "/lib/ld-musl-x86_64.so.1";
pub(crate) const BUSYBOX: &str = "/bin/busybox";

/// Whether a program or file is there. Where it must be (`CI=true`), its absence fails.
pub(crate) fn have(what: &str) -> bool {
    let found = if what.starts_with('/') {
        Path::new(what).exists()
    } else {
        Command::new("sh")
            .args(["-c", &format!("command -v {what}")])
            .output()
            .is_ok_and(|o| o.status.success())
    };
    assert!(
        found || std::env::var("CI").as_deref() != Ok("true"),
        "{what} is missing"
    );
    if !found {
        println!("skipped: {what} is missing");
    }
    found
}

/// Runs a command and returns all that it said.
///
/// Another test's child, between its fork and its exec, may still hold a file that was just written here:
/// such a program is busy for that moment (`ETXTBSY`), and tried again.
pub(crate) fn run<I: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = I>,
) -> Output {
    let program = program.as_ref();
    let mut command = Command::new(program);
    command.args(arguments);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match command.output() {
            Err(e) if e.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done.unwrap_or_else(|e| panic!("{}: {e}", program.display())),
        }
    }
}

/// Standard output of a command that must succeed.
pub(crate) fn text(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// A folder with rewritten copies of the C library, the loader, musl and busybox, as far as they are installed.
pub(crate) struct Rewritten {
    pub(crate) folder: tempfile::TempDir,
}

impl Rewritten {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in [LIBC, LOADER, MUSL, BUSYBOX] {
            if Path::new(file).exists() {
                rewrite_file(
                    Path::new(file),
                    &folder.path().join(Path::new(file).file_name().unwrap()),
                    &Options::default(),
                )
                .unwrap();
            }
        }
        Rewritten { folder }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder
            .path()
            .join(Path::new(file).file_name().unwrap())
    }

    /// Whether a mount namespace can be had, in which the rewritten files take the places of the originals.
    pub(crate) fn can_replace() -> bool {
        let can = have("unshare") && run("unshare", ["-rm", "true"]).status.success();
        if !can {
            println!("skipped: no mount namespace");
        }
        can
    }

    /// Runs a program in which, and in whose children, the rewritten C library and loader are in place.
    pub(crate) fn replaced(&self, arguments: &[&str]) -> Output {
        let script = r#"mount --bind "$0/libc.so.6" "$(readlink -f /lib/x86_64-linux-gnu/libc.so.6)" &&
            mount --bind "$0/ld-linux-x86-64.so.2" "$(readlink -f /lib64/ld-linux-x86-64.so.2)" && exec "$@""#;
        let mut all: Vec<&OsStr> = ["-rm", "sh", "-c", script].map(OsStr::new).to_vec();
        all.push(self.folder.path().as_os_str());
        all.extend(arguments.iter().map(OsStr::new));
        run("unshare", all)
    }
}
