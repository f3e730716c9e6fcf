//! The tests that come with glibc, with a glibc of its own: as the compiler made it, and with the library, its
//! loader and every program of the tests rewritten.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::archive::Archive;
use crate::cases::that_stay;
use crate::foreign::{TRIES, in_both};
use crate::kernel::{Missing, cache, have, kept, run};
use crate::root::{elf_files, rewrite_all};

const SUITE: &str = "bookworm";
/// The parts of glibc whose tests ask the kernel for more than memory and files: threads and their
/// cancellation, signals, processes, timers, loading. (Those of `time` make locales for many minutes.)
const PARTS: &str = "nptl signal setjmp posix io misc rt socket sysvipc elf";

/// The manual is not in what Debian publishes, and `make` asks for it.
const MANUAL: &str = "subdir := manual\ninclude ../Makeconfig\ninclude ../Rules\n";
/// Less would mean that they could not run at all.
const LEAST: usize = 700;
const CONFIGURE: &str = "../src/configure --prefix=/usr --disable-werror --disable-nscd CFLAGS=-O2";

/// glibc and its tests, built but not run.
fn built() -> Result<PathBuf, Missing> {
    for program in ["gcc", "make", "gawk", "bison", "python3"] {
        have(program)?;
    }
    let made_of = format!("1 {SUITE} {CONFIGURE} {PARTS}");
    Ok(kept("glibc", &Sha256::new_with_prefix(made_of), |fresh| {
        let build = fresh.join("build");
        fs::create_dir_all(&build).unwrap();
        Archive::of(SUITE).source("glibc", &fresh.join("src"), &[]);
        fs::create_dir(fresh.join("src/manual")).unwrap();
        fs::write(fresh.join("src/manual/Makefile"), MANUAL).unwrap();
        let tests = format!("make -s -k -j2 subdirs='{PARTS}' run-built-tests=no check || true");
        for step in [CONFIGURE, "make -s -j2", &tests] {
            run(Command::new("sh").args(["-ec", step]).current_dir(&build));
        }
    }))
}

/// A glibc with the programs of its tests, to be run.
struct Glibc {
    folder: TempDir,
}

impl Glibc {
    /// As the compiler made it, or with the calls of every program and library rewritten.
    fn new(rewritten: bool) -> Result<Self, Missing> {
        let built = built()?;
        let glibc = Glibc {
            folder: tempfile::tempdir_in(cache()).unwrap(),
        };
        symlink(built.join("src"), glibc.folder.path().join("src")).unwrap();
        let build = glibc.folder.path().join("build");
        run(Command::new("cp")
            .arg("-a")
            .arg(built.join("build"))
            .arg(&build));
        if rewritten {
            let mut files = Vec::new();
            elf_files(&build, &mut files);
            // What make has yet to link stays: its times are kept, and what is linked of it is rewritten already.
            files.retain(|(file, _)| fs::metadata(file).unwrap().permissions().mode() & 0o111 != 0);
            rewrite_all(&files, 400);
        }
        Ok(glibc)
    }

    /// Runs tests by a script. In a user namespace, so that none changes this machine's clock.
    fn tests(&self, make: &str) -> Command {
        let say =
            r"find . -name '*.test-result' -exec sed -n 's/^\([A-Z]*\): \(.*\)/case \2 \1/p' {} +";
        let script = format!("({make}) > tests.log 2>&1 || true; {say}; echo 'cases done'");
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--pid", "--mount-proc"])
            .args(["--fork", "--kill-child", "sh", "-c", &script])
            .env("TIMEOUTFACTOR", "5")
            .current_dir(self.folder.path().join("build"));
        command
    }
}

/// Every test ends with the rewritten glibc as it does with the original.
pub(crate) fn tests_end_alike() -> Result<(), Missing> {
    let both = [Glibc::new(false)?, Glibc::new(true)?];
    let tests = |make: &str| in_both(both.each_ref().map(|glibc| glibc.tests(make)));
    let [original, rewritten] = tests(&format!("make -s -k -j2 subdirs='{PARTS}' check"));
    original.enough_pass("", "PASS", LEAST);
    let left = that_stay(original.differences(&rewritten), TRIES, |names| {
        let names = names.join(" ");
        tests(&format!(
            "for test in {names}; do make -s test t=$test; done"
        ))
    });
    assert!(left.is_empty(), "{left:#?}");
    Ok(())
}
