//! The kernels of Debian's archive: our series on every revision, and Debian's own series, taken off the
//! packaged source and put on again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lupine_kml::apply::{Mode, Options, Outcome, Series, patch_directory};
use lupine_kml::diff::{Action, Patch};
use lupine_kml::patches::{Fit, patch_kernel};

use crate::archive::Archive;
use crate::reference::{command, has, run, said, take_in};

const SUITE: &str = "bookworm";

/// What takes downloads and minutes.
fn asked_for() -> bool {
    let tools = ["apt-get", "dpkg-deb", "xz", "tar", "patch", "git"];
    if std::env::var_os("LUPINE_TEST_ALL").is_none() {
        eprintln!("SKIPPED: downloads kernel sources; LUPINE_TEST_ALL runs it");
        return false;
    }
    tools.iter().all(|tool| has(tool))
}

/// The patches of our series for a version.
fn ours(version: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("patches")
        .join(version);
    let names = fs::read_to_string(dir.join("series")).unwrap();
    let names = names
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.map(|name| dir.join(name)).collect()
}

/// The files that patches touch, as their headers name them.
fn touched(patches: &[PathBuf]) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for path in patches {
        let bytes = fs::read(path).unwrap();
        for file in Patch::parse(&bytes).unwrap().files {
            let names = match file.action {
                Action::Modify { names } => names,
                Action::Create { name } | Action::Delete { name } => vec![name],
                Action::Rename { from, to } | Action::Copy { from, to } => vec![from, to],
            };
            files.extend(
                names
                    .iter()
                    .filter_map(|name| Some(name.resolve(1).ok()?.to_string())),
            );
        }
    }
    files
}

/// Those of `files` that the kernel of a source package has, in `into`.
fn unpack(archive: &str, version: &str, files: &BTreeSet<String>, into: &Path) {
    fs::create_dir_all(into).unwrap();
    let list = into.with_extension("list");
    let members: String = files
        .iter()
        .map(|file| format!("linux-source-{version}/{file}\n"))
        .collect();
    fs::write(&list, members).unwrap();
    // What a patch adds is not there, about which tar complains.
    let script = format!(
        "{archive} | xz -dc | tar -x --strip-components=1 --no-same-owner -T {} 2> /dev/null; test -e Makefile",
        list.display()
    );
    let out = run(into, "sh", &["-c", &script]);
    assert!(out.status.success(), "{archive}: {}", said(&out));
}

/// What a shell says for the source in a package.
fn tarball(deb: &Path, package: &str) -> String {
    format!(
        "dpkg-deb --fsys-tarfile {} | tar -xO ./usr/src/{package}.tar.xz",
        deb.display()
    )
}

/// On every revision that the archive offers the series lands without an offset's fuzz, as GNU patch and git
/// say as well.
fn fits_every_revision(version: &str) {
    let archive = Archive::of(SUITE);
    let package = format!("linux-source-{version}");
    let patches = ours(version);
    let mut files = touched(&patches);
    files.insert("Makefile".to_owned());
    let revisions = archive.versions(&package);
    assert!(!revisions.is_empty());
    for revision in &revisions {
        let deb = archive.download(&format!("{package}={revision}"));
        let tree = archive.path(format!("tree-{revision}"));
        unpack(&tarball(&deb, &package), version, &files, &tree);
        fs::remove_file(&deb).unwrap();

        let copies =
            ["patch", "git"].map(|tool| (tool, archive.path(format!("{tool}-{revision}"))));
        for (tool, copy) in &copies {
            let done = command("cp")
                .arg("-a")
                .arg(&tree)
                .arg(copy)
                .status()
                .unwrap();
            assert!(done.success());
            for patch in &patches {
                let patch = patch.to_str().unwrap();
                let words: &[&str] = match *tool {
                    "patch" => &["-p1", "-F0", "-s", "--batch", "-i", patch],
                    _ => &["apply", "--whitespace=nowarn", patch],
                };
                let out = run(copy, tool, words);
                assert!(
                    out.status.success(),
                    "{revision}: {tool} {patch}: {}",
                    said(&out)
                );
            }
        }
        let report = patch_kernel(&tree, Fit::Supported, Options::default(), Mode::Write).unwrap();
        assert_eq!(report.outcome, Outcome::Applies, "{revision}: {report}");
        let made = take_in(&tree);
        for (tool, copy) in &copies {
            assert!(
                made == take_in(copy),
                "{revision}: {tool} makes another tree"
            );
        }
        eprintln!("{package} {revision}: the series applies");
    }
}

#[test]
fn the_series_fits_every_revision_of_6_12() {
    if asked_for() {
        fits_every_revision("6.12");
    }
}

#[test]
fn the_series_fits_every_revision_of_6_1() {
    if asked_for() {
        fits_every_revision("6.1");
    }
}

/// The packaged source has Debian's whole series in it: off it comes, patch by patch from the last, and on it
/// goes, by us as by GNU patch. Of the newest revision of which the archive has both.
fn comes_off_and_goes_on(version: &str, suite: &str) {
    let package = format!("linux-source-{version}");
    let archive = Archive::of(suite);
    let mut revisions = archive.versions(&package).into_iter().rev();
    let found = revisions.find_map(|revision| {
        let folder = archive.debian_patches(&format!("linux={revision}"))?;
        Some((revision, folder))
    });
    let (revision, folder) = found.unwrap();
    let names = fs::read_to_string(folder.join("series")).unwrap();
    let names = names
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    let patches: Vec<PathBuf> = names
        .filter(|name| !name.is_empty())
        .map(|name| folder.join(name))
        .collect();
    assert!(patches.len() > 50, "{patches:?}");
    let mut files = touched(&patches);
    files.insert("Makefile".to_owned());
    let [ours, theirs] = ["ours", "theirs"].map(|name| archive.path(name));
    let deb = archive.download(&format!("{package}={revision}"));
    unpack(&tarball(&deb, &package), version, &files, &ours);
    let done = command("cp")
        .arg("-a")
        .arg(&ours)
        .arg(&theirs)
        .status()
        .unwrap();
    assert!(done.success());
    let packaged = take_in(&ours);

    let step = |patch: &Path, reverse: bool| {
        let series = Series::read_patch(patch).unwrap();
        let report =
            patch_directory(&ours, &series, Options { fuzz: 0, reverse }, Mode::Write).unwrap();
        let path = patch.to_str().unwrap();
        let mut words = vec!["-p1", "-F0", "-s", "--batch", "-i", path];
        words.extend(reverse.then_some("-R"));
        let out = run(&theirs, "patch", &words);
        let applies = report.outcome == Outcome::Applies;
        assert_eq!(
            applies,
            out.status.success(),
            "{path}: {report}{}",
            said(&out)
        );
        applies
    };
    let mut off = Vec::new();
    for patch in patches.iter().rev() {
        if !step(patch, true) {
            break;
        }
        off.push(patch);
    }
    eprintln!(
        "{package} {revision}: {} of {} patches come off",
        off.len(),
        patches.len()
    );
    assert_eq!(
        off.len(),
        patches.len(),
        "{:?}",
        patches[patches.len() - off.len() - 1]
    );
    assert!(take_in(&ours) == take_in(&theirs), "without the series");
    assert!(take_in(&ours) != packaged);
    for patch in off.iter().rev() {
        assert!(step(patch, false), "{}", patch.display());
    }
    assert!(take_in(&ours) == packaged && take_in(&theirs) == packaged);
}

#[test]
fn debians_series_of_6_12_comes_off_and_goes_on() {
    if asked_for() {
        comes_off_and_goes_on("6.12", "trixie");
    }
}

#[test]
fn debians_series_of_6_1_comes_off_and_goes_on() {
    if asked_for() {
        comes_off_and_goes_on("6.1", SUITE);
    }
}
