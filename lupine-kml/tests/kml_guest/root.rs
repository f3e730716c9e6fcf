//! A Debian root full of programs to run, as it is and with every ELF file rewritten; as a folder to change
//! root to, and as a disk for a guest.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lupine_kml::rewrite::{self, rewrite_files};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::archive::Archive;
use crate::kernel::{Missing, cache, have, here, kept, run};

const SUITE: &str = "bookworm";
/// Programs, and the tests that come with them.
const PACKAGES: &str = "bash,busybox-static,fio,libpython3.11-testsuite,nginx-light,nodejs,\
    openjdk-17-jdk-headless,openssl,perl,postgresql-15,procps,python3,redis-server,redis-tools,sqlite3,stress-ng";
/// The JVM's packages put links where no page of a manual is.
const BEFORE: &str = "--setup-hook=mkdir -p \"$1/usr/share/man/man1\"";
/// Of perl's sources: its tests. The modules that they use are the installed ones.
const PERL_TESTS: &[&str] = &["perl-*/t", "perl-*/lib"];
const PERL_MODULES: [&str; 2] = [
    "usr/share/perl/5.36/.",
    "usr/lib/x86_64-linux-gnu/perl/5.36/.",
];

/// Bytes of a disk; what is not used takes no place.
const DISK: u64 = 3 << 30;

/// The root as Debian makes it.
fn original() -> Result<PathBuf, Missing> {
    if !rustix::process::geteuid().is_root() {
        let why = "a root of its own, with the owners of its files, takes the rights of root";
        return Err(Missing(why.to_owned()));
    }
    for program in ["mmdebstrap", "mke2fs"] {
        have(program)?;
    }
    let made_of = format!("1 {SUITE} {PACKAGES} {BEFORE} {PERL_TESTS:?}");
    Ok(kept("root", &Sha256::new_with_prefix(made_of), |fresh| {
        run(Command::new("mmdebstrap")
            .args(["--variant=essential", "--mode=root", "--format=directory"])
            .arg(format!("--include={PACKAGES}"))
            .arg(BEFORE)
            .args(
                ["doc", "man", "locale"]
                    .map(|of| format!("--dpkgopt=path-exclude=/usr/share/{of}/*")),
            )
            .arg(SUITE)
            .arg(fresh));
        let perl = fresh.join("perl");
        Archive::of(SUITE).source("perl", &perl, PERL_TESTS);
        for modules in PERL_MODULES {
            run(Command::new("cp")
                .arg("-a")
                .arg(fresh.join(modules))
                .arg(perl.join("lib")));
        }
        std::os::unix::fs::symlink("/usr/bin/perl", perl.join("t/perl")).unwrap();
    }))
}

/// A copy of the root, with the scripts that drive its programs in `/foreign`.
pub(crate) struct Root {
    folder: TempDir,
}

impl Root {
    /// The programs as they are, or with the calls of all of them and of their libraries rewritten.
    pub(crate) fn new(rewritten: bool) -> Result<Self, Missing> {
        let original = original()?;
        let root = Root {
            folder: tempfile::tempdir_in(cache()).unwrap(),
        };
        run(Command::new("cp")
            .arg("-a")
            .arg(original.join("."))
            .arg(root.path()));
        run(Command::new("cp")
            .arg("-r")
            .arg(here().join("tests/kml_guest/foreign"))
            .arg(root.path().join("foreign")));
        if rewritten {
            root.rewrite();
        }
        Ok(root)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn rewrite(&self) {
        let mut files = Vec::new();
        elf_files(self.path(), &mut files);
        rewrite_all(&files, 900);
    }

    /// The root as a disk with an ext2 file system.
    pub(crate) fn disk(&self) -> tempfile::NamedTempFile {
        let disk = tempfile::NamedTempFile::new_in(cache()).unwrap();
        disk.as_file().set_len(DISK).unwrap();
        run(Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext2", "-d"])
            .arg(self.path())
            .arg(disk.path()));
        disk
    }

    /// Runs a script with this root as its own: other processes, networks and mounts are out of its sight.
    pub(crate) fn command(&self, script: &str) -> Command {
        const ENTER: &str = r#"mount --make-rprivate / && mount --bind "$0" "$0" && cd "$0" &&
            mount -t proc proc proc && mount -t tmpfs tmpfs tmp && mount --rbind /dev dev &&
            chroot . busybox ip link set lo up && exec chroot . bash -c "$1""#;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork"])
            .args(["--kill-child", "sh", "-c", ENTER])
            .arg(self.path())
            .arg(script);
        command
    }
}

/// Rewrites files in place: at least so many calls, and all but one of a hundred.
pub(crate) fn rewrite_all(files: &[(PathBuf, PathBuf)], least: usize) {
    let options = rewrite::Options::default();
    let (mut sites, mut native) = (0, 0);
    for ((file, _), done) in files.iter().zip(rewrite_files(files, &options)) {
        match done {
            Ok(done) => {
                sites += done.report.rewritten;
                native += done.report.native;
            }
            // What is no program of this machine cannot call its kernel either.
            Err(why) => eprintln!("{}: {why}", file.display()),
        }
    }
    eprintln!("{sites} calls rewritten, {native} native");
    assert!(sites > least && native * 100 <= sites, "{sites} {native}");
}

/// The ELF files below a folder, each with itself as its rewritten form; links are not followed.
pub(crate) fn elf_files(folder: &Path, out: &mut Vec<(PathBuf, PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (kind, path) = (entry.file_type().unwrap(), entry.path());
        let mut magic = [0; 4];
        if kind.is_dir() {
            elf_files(&path, out);
        } else if kind.is_file()
            && fs::File::open(&path)
                .and_then(|file| file.read_exact_at(&mut magic, 0))
                .is_ok_and(|()| magic == *b"\x7fELF")
        {
            out.push((path.clone(), path));
        }
    }
}
