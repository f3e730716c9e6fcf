//! C libraries of other releases than this machine's: fetched or built when the slow tests run.

use std::path::Path;

use lupine_kml::rewrite::{Options, Plan, rewrite_bytes, undo_bytes};
use lupine_kml::verify_rewrite::verify;

use crate::archive::Archive;
use crate::support::{have, run, text};

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
    let trixie = Archive::of("trixie");
    let root = trixie.packages(&["libc6", "musl", "busybox-static"]);
    let library = root.join("usr/lib/x86_64-linux-gnu");
    covered(&library.join("libc.so.6"), 98);
    covered(&library.join("ld-linux-x86-64.so.2"), 98);
    covered(&root.join("usr/lib/ld-musl-x86_64.so.1"), 100);
    covered(&root.join("usr/bin/busybox"), 98);

    let build = trixie.path("musl");
    trixie.source("musl", &build, &[]);
    let script =
        "cd \"$0\" && ./configure >/dev/null && make -j2 lib/libc.so lib/libc.a >/dev/null";
    text(&run(
        "sh",
        ["-c".as_ref(), script.as_ref(), build.as_os_str()],
    ));
    covered(&build.join("lib/libc.so"), 100);
}
