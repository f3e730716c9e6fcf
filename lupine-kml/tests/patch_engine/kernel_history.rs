//! Real history: what became of part of the kernel between two packaged versions, put on and taken
//! off by us, GNU patch and git.
//!
//! The trees come from the packages linux-source-6.1 and linux-source-6.12. With
//! `LUPINE_KERNEL_TREES=OLD:NEW:OTHER` naming three extracted trees, the difference of the first
//! two goes on the third as well, hunk by hunk, with fuzz 2: stable fixes on another branch.

use std::path::{Path, PathBuf};

use lupine_kml::apply::{
    self, DirectoryTree, FileReport, HunkResult, Mode, Options, Outcome, Series, patch_directory,
};
use lupine_kml::diff::Patch;

use crate::reference::{command, has, run, said, take_in};

/// Old, far moved code with many small files and few big ones.
const PARTS: [&str; 3] = ["arch/x86/kernel", "arch/x86/entry", "arch/x86/mm"];
/// All of `PARTS` lies within the first bytes of the archive.
const ENOUGH: u64 = 560_000_000;

/// Extracts the parts of both kernels side by side; none if a package is not installed.
fn trees(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut children = Vec::new();
    let mut roots = Vec::new();
    for version in ["6.1", "6.12"] {
        let archive = format!("/usr/src/linux-source-{version}.tar.xz");
        if !Path::new(&archive).exists() {
            assert!(
                std::env::var_os("CI").is_none(),
                "{archive} is missing; CI must have it"
            );
            eprintln!("SKIPPED: {archive} is not installed, nothing was compared");
            return None;
        }
        let name = format!("linux-source-{version}");
        let members: Vec<_> = PARTS.iter().map(|part| format!("{name}/{part}")).collect();
        // tar is cut off on purpose; that all is there is checked below.
        let script = format!(
            "xz -dc {archive} 2>/dev/null | head -c {ENOUGH} | tar -x {} 2>/dev/null",
            members.join(" ")
        );
        children.push(
            command("sh")
                .args(["-c", &script])
                .current_dir(dir)
                .spawn()
                .unwrap(),
        );
        roots.push(dir.join(name));
    }
    for mut child in children {
        child.wait().unwrap();
    }
    for root in &roots {
        for part in PARTS {
            assert!(root.join(part).is_dir(), "{} lacks {part}", root.display());
        }
    }
    let new = roots.pop()?;
    Some((roots.pop()?, new))
}

/// The difference between two directories of `dir`, as `diff -urN` makes it.
fn difference(dir: &Path, old: &Path, new: &Path, context: usize) -> Vec<u8> {
    let name = |path: &Path| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
    let out = run(
        dir,
        "diff",
        &["-rN", &format!("-U{context}"), &name(old), &name(new)],
    );
    out.stdout
}

fn copy(from: &Path, to: &Path) {
    let out = command("cp").arg("-a").arg(from).arg(to).output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
}

#[test]
fn from_one_kernel_to_another_and_back() {
    if !has("patch") || !has("git") || !has("diff") || !has("xz") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some((old, new)) = trees(dir.path()) else {
        return;
    };
    let patch = difference(dir.path(), &old, &new, 3);
    let path = dir.path().join("the.diff");
    std::fs::write(&path, &patch).unwrap();
    let series = Series::single("6.1 to 6.12", patch.clone());
    let (before, after) = (take_in(&old), take_in(&new));
    let hunks: usize = Patch::parse(&patch)
        .unwrap()
        .files
        .iter()
        .map(|file| file.hunks.len())
        .sum();
    assert!(hunks > 1000, "only {hunks} hunks");

    for tool in ["ours", "patch", "git"] {
        let tree = dir.path().join(tool);
        copy(&old, &tree);
        for reverse in [false, true] {
            let back: &[&str] = if reverse { &["-R"] } else { &[] };
            let words = match tool {
                "ours" => {
                    let options = Options { fuzz: 0, reverse };
                    let report = patch_directory(&tree, &series, options, Mode::Write).unwrap();
                    assert_eq!(report.outcome, Outcome::Applies, "{report}");
                    String::new()
                }
                "patch" => said(&run(
                    &tree,
                    tool,
                    &[&["-p1", "-F0", "--batch", "-s", "-i", "../the.diff"], back].concat(),
                )),
                _ => said(&run(
                    &tree,
                    tool,
                    &[&["apply", "--whitespace=nowarn", "../the.diff"], back].concat(),
                )),
            };
            let expected = if reverse { &before } else { &after };
            // `diff` does not record modes.
            assert!(
                same_content(&take_in(&tree), expected),
                "{tool}, reverse {reverse}: {words}"
            );
        }
    }
}

fn same_content(a: &apply::MemoryTree, b: &apply::MemoryTree) -> bool {
    a.files.len() == b.files.len()
        && a.files
            .iter()
            .zip(&b.files)
            .all(|((p, x), (q, y))| p == q && x.content == y.content)
}

/// Every other hunk goes on first; the rest then lands at real offsets.
#[test]
fn the_other_half_lands_at_an_offset() {
    if !has("patch") || !has("diff") || !has("xz") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some((old, new)) = trees(dir.path()) else {
        return;
    };
    for context in [3, 1] {
        let patch = difference(dir.path(), &old, &new, context);
        let halves = [half(&patch, 0), half(&patch, 1)];
        let tree = dir.path().join(format!("half{context}"));
        copy(&old, &tree);
        let options = Options::default();
        let first = Series::single("first", halves[0].clone());
        let report = patch_directory(&tree, &first, options, Mode::Write).unwrap();
        assert_eq!(report.outcome, Outcome::Applies, "{report}");
        let moved = hunk_by_hunk(dir.path(), &tree, &halves[1], 0);
        assert!(moved > 200, "only {moved} hunks moved");
    }
}

/// A patch with every other hunk of each modified file, headers as they are.
fn half(patch: &[u8], which: usize) -> Vec<u8> {
    let lines: Vec<&[u8]> = patch.split_inclusive(|&b| b == b'\n').collect();
    let mut out = Vec::new();
    for file in &Patch::parse(patch).unwrap().files {
        if !matches!(file.action, lupine_kml::diff::Action::Modify { .. }) {
            continue;
        }
        let kept: Vec<_> = file.hunks.iter().skip(which).step_by(2).collect();
        if !kept.is_empty() {
            out.extend_from_slice(&lines[file.line - 1..file.line + 1].concat());
        }
        for hunk in kept {
            out.extend_from_slice(lines[hunk.line - 1]);
            out.extend_from_slice(hunk.body());
        }
    }
    out
}

/// Compares every hunk's landing with GNU patch's, file by file; gives the number that moved.
fn hunk_by_hunk(dir: &Path, tree: &Path, patch: &[u8], fuzz: usize) -> usize {
    std::fs::write(dir.join("rest"), patch).unwrap();
    let out = run(
        tree,
        "patch",
        &[
            "-p1",
            &format!("-F{fuzz}"),
            "--force",
            "--verbose",
            "--dry-run",
            "-i",
            &dir.join("rest").to_string_lossy(),
        ],
    );
    let words = said(&out);
    let series = Series::single("rest", patch.to_vec());
    let disk = DirectoryTree::open(tree).unwrap();
    let plan = apply::plan(
        &disk,
        &series,
        Options {
            fuzz,
            reverse: false,
        },
    )
    .unwrap();
    let files = &plan.report.patches[0].files;
    let sections: Vec<&str> = words.split("\nchecking file ").skip(1).collect();
    let present: Vec<&FileReport> = files.iter().filter(|file| file.problem.is_none()).collect();
    assert_eq!(sections.len(), present.len(), "{words}");
    let mut moved = 0;
    for (file, section) in present.iter().zip(sections) {
        let theirs = crate::gnu_patch::landings(section, file.hunks.len());
        for (hunk, theirs) in file.hunks.iter().zip(theirs) {
            let ours = match hunk.result {
                HunkResult::Landed { line, offset, fuzz } => Some((line, offset, fuzz)),
                HunkResult::Rejected { .. } => None,
            };
            assert_eq!(
                ours, theirs,
                "{} hunk {}: {section}",
                file.path, hunk.number
            );
            moved += usize::from(ours.is_some_and(|(_, offset, fuzz)| offset != 0 || fuzz != 0));
        }
    }
    moved
}

/// Only with `LUPINE_KERNEL_TREES`.
#[test]
fn stable_fixes_on_another_branch() {
    let Some(trees) = std::env::var_os("LUPINE_KERNEL_TREES") else {
        eprintln!("SKIPPED: LUPINE_KERNEL_TREES=OLD:NEW:OTHER is not set");
        return;
    };
    let trees: Vec<PathBuf> = std::env::split_paths(&trees).collect();
    let [old, new, other] = &trees[..] else {
        panic!("LUPINE_KERNEL_TREES names three trees")
    };
    let dir = tempfile::tempdir().unwrap();
    for (name, target) in [("old", old), ("new", new)] {
        std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
    }
    let out = run(
        dir.path(),
        "diff",
        &["-urN", "--no-dereference", "old/", "new/"],
    );
    // `old//x` strips as `old/x` does.
    let patch = out.stdout;
    let all = Patch::parse(&patch).unwrap();
    eprintln!(
        "{} files, {} hunks",
        all.files.len(),
        all.files.iter().map(|f| f.hunks.len()).sum::<usize>()
    );
    let series = Series::single("stable", patch.clone());
    let plan = apply::plan(
        &DirectoryTree::open(old).unwrap(),
        &series,
        Options::default(),
    )
    .unwrap();
    assert_eq!(plan.report.outcome, Outcome::Applies);
    for change in &plan.changes {
        let there = std::fs::read(new.join(change.path.to_string())).ok();
        assert_eq!(
            there,
            change.after.as_ref().map(|e| e.content.clone()),
            "{}",
            change.path
        );
    }
    let modified = [half(&patch, 0), half(&patch, 1)];
    for (half, fuzz) in [(0, 2), (1, 2), (0, 0)] {
        let moved = hunk_by_hunk(dir.path(), other, &modified[half], fuzz);
        eprintln!("fuzz {fuzz}, half {half}: {moved} hunks moved");
    }
}
