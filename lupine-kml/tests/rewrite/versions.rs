//! C libraries of other releases than this machine's: fetched or built when the slow tests run.

use std::path::{Path, PathBuf};

use lupine_kml::rewrite::{Options, Plan, rewrite_bytes, undo_bytes};
use lupine_kml::verify_rewrite::verify;

use crate::support::{have, run, text};

/// The mirror of Debian's archive that this machine's apt uses.
fn mirror() -> String {
    let targets = text(&run("apt-get", ["indextargets", "--format", "$(REPO_URI)"]));
    let mut mirrors = targets.lines().filter(|uri| uri.ends_with("/debian/"));
    mirrors.next().unwrap().to_owned()
}

/// Debian 13's packages, asked for by an apt that knows no other release and leaves this machine's alone.
struct Trixie {
    folder: tempfile::TempDir,
}

impl Trixie {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["lists/partial", "cache/archives/partial", "root"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let archive = format!(
            "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} trixie main",
            mirror()
        );
        let sources = format!("deb {archive}\ndeb-src {archive}\n");
        std::fs::write(folder.path().join("sources.list"), sources).unwrap();
        std::fs::write(folder.path().join("status"), "").unwrap();
        Trixie { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs apt-get in the folder.
    fn apt(&self, arguments: &[&str]) -> std::process::Output {
        let at = self.folder.path().display();
        let options = [
            format!("Dir::Etc::sourcelist={at}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={at}/lists"),
            format!("Dir::State::status={at}/status"),
            format!("Dir::Cache={at}/cache"),
            "APT::Sandbox::User=root".to_owned(),
        ];
        let mut all = vec!["-C".to_owned(), at.to_string(), "apt-get".to_owned()];
        for option in options {
            all.extend(["-o".to_owned(), option]);
        }
        all.extend(arguments.iter().map(|a| (*a).to_owned()));
        run("env", all)
    }
}

/// Rewrites a file, proves it, and holds its coverage against a percentage.
fn covered(file: &Path, percent: usize) {
    let original = std::fs::read(file).unwrap();
    let done = rewrite_bytes(&original, &Options::default()).unwrap();
    let (report, sites) = (&done.report, done.report.scan.sites.len());
    let native: Vec<_> = report
        .scan
        .sites
        .iter()
        .filter(|s| matches!(s.plan, Plan::Native { .. }))
        .map(|s| {
            (
                s.address,
                s.function.as_ref().and_then(|f| f.name.as_deref()),
                &s.plan,
            )
        })
        .collect();
    println!(
        "{}: {sites} sites, {} rewritten, native: {native:x?}; unreached: {:x?}",
        file.display(),
        report.rewritten,
        report.scan.unreached
    );
    assert!(sites > 0, "{}", file.display());
    assert!(
        report.rewritten * 100 >= sites * percent,
        "{}: {native:?}",
        file.display()
    );
    let checked = verify(Some(&original), &done.bytes).unwrap();
    assert_eq!(checked.sites, report.rewritten);
    assert_eq!(undo_bytes(&done.bytes).unwrap(), original);
}

#[test]
fn debian_13_and_musl_from_source_are_covered() {
    if std::env::var_os("LUPINE_TEST_ALL").is_none() {
        println!("skipped: downloads packages and builds a C library (LUPINE_TEST_ALL)");
        return;
    }
    if !["apt-get", "dpkg", "cc", "make"].iter().all(|t| have(t)) {
        return;
    }
    let trixie = Trixie::new();
    text(&trixie.apt(&["-q", "update"]));
    let packages = ["libc6", "musl", "busybox-static"];
    text(&trixie.apt(&[&["download"], &packages[..]].concat()));
    text(&trixie.apt(&["source", "--download-only", "musl"]));
    let named = |end: &str| -> Vec<PathBuf> {
        let all = std::fs::read_dir(trixie.folder.path()).unwrap();
        all.map(|e| e.unwrap().path())
            .filter(|p| p.to_str().unwrap().ends_with(end))
            .collect()
    };
    let root = trixie.path("root");
    for package in named(".deb") {
        text(&run(
            "dpkg",
            ["-x".as_ref(), package.as_os_str(), root.as_os_str()],
        ));
    }
    let library = root.join("usr/lib/x86_64-linux-gnu");
    covered(&library.join("libc.so.6"), 98);
    covered(&library.join("ld-linux-x86-64.so.2"), 98);
    covered(&root.join("usr/lib/ld-musl-x86_64.so.1"), 100);
    covered(&root.join("usr/bin/busybox"), 98);

    let [archive] = &named(".orig.tar.gz")[..] else {
        panic!("no source of musl");
    };
    let build = trixie.path("musl");
    std::fs::create_dir(&build).unwrap();
    let unpack = [
        "xzf",
        archive.to_str().unwrap(),
        "--strip-components=1",
        "-C",
    ];
    text(&run(
        "tar",
        unpack
            .iter()
            .map(std::ffi::OsStr::new)
            .chain([build.as_os_str()]),
    ));
    let script =
        "cd \"$0\" && ./configure >/dev/null && make -j2 lib/libc.so lib/libc.a >/dev/null";
    text(&run(
        "sh",
        ["-c".as_ref(), script.as_ref(), build.as_os_str()],
    ));
    covered(&build.join("lib/libc.so"), 100);
}
