//! GNU patch judges where hunks land, with what offset and fuzz, forwards and backwards, on
//! generated files, edits and drift.

#![allow(
    clippy::disallowed_methods,
    reason = "asks the reference implementations"
)]

use std::path::Path;

use crate::reference::{cases, command, has, lay_out, run, said, show, take_in};
use lupine_kml::apply::{self, Entry, HunkResult, MemoryTree, Options, Outcome, Report, Series};
use lupine_kml::diff::TreePath;
use proptest::prelude::*;

/// An edit at a place given in thousandths of the file.
#[derive(Debug, Clone)]
enum Edit {
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Replace(usize, Vec<u8>),
}

/// Lines of a small alphabet: many places look alike, which is where searches differ.
fn line() -> impl Strategy<Value = u8> {
    prop_oneof![3 => 0u8..6, 2 => 6u8..60]
}

fn edits(max: usize) -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        (0usize..1000, prop::collection::vec(line(), 1..4))
            .prop_map(|(at, new)| Edit::Insert(at, new)),
        (0usize..1000, 1usize..4).prop_map(|(at, count)| Edit::Remove(at, count)),
        (0usize..1000, prop::collection::vec(line(), 1..3))
            .prop_map(|(at, new)| Edit::Replace(at, new)),
    ];
    prop::collection::vec(edit, 0..=max)
}

fn edited(lines: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut lines = lines.to_vec();
    for edit in edits {
        let place = |at: &usize, len: usize| at * (len + 1) / 1000;
        match edit {
            Edit::Insert(at, new) => {
                let at = place(at, lines.len());
                lines.splice(at..at, new.iter().copied());
            }
            Edit::Remove(at, count) => {
                let at = place(at, lines.len()).min(lines.len());
                lines.drain(at..(at + count).min(lines.len()));
            }
            Edit::Replace(at, new) => {
                let at = place(at, lines.len()).min(lines.len());
                lines.splice(at..(at + new.len()).min(lines.len()), new.iter().copied());
            }
        }
    }
    lines
}

fn text(lines: &[u8], newline: bool, crlf: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        out.extend_from_slice(format!("line {line}").as_bytes());
        // Bytes that are no UTF-8.
        if line % 7 == 3 {
            out.push(0xff);
        }
        out.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
    }
    if !newline {
        out.pop();
    }
    out
}

/// What GNU patch says of each hunk: where, offset, fuzz; none where it failed.
pub(crate) fn landings(output: &str, hunks: usize) -> Vec<Option<(u64, i64, usize)>> {
    let mut all = vec![None; hunks];
    for line in output.lines() {
        let Some(rest) = line.strip_prefix("Hunk #") else {
            continue;
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number: usize = words[0].parse().unwrap();
        if words[1] != "succeeded" {
            continue;
        }
        let word_after = |what: &str| {
            words
                .iter()
                .position(|w| *w == what)
                .map(|at| words[at + 1])
        };
        let at = word_after("at")
            .unwrap()
            .trim_end_matches('.')
            .parse()
            .unwrap();
        let offset = word_after("(offset").map_or(0, |n| n.parse().unwrap());
        let fuzz = word_after("fuzz").map_or(0, |n| n.trim_end_matches('.').parse().unwrap());
        all[number - 1] = Some((at, offset, fuzz));
    }
    all
}

fn ours(report: &Report) -> Vec<Option<(u64, i64, usize)>> {
    let hunks = &report.patches[0].files[0].hunks;
    let landing = |result: &HunkResult| match *result {
        HunkResult::Landed { line, offset, fuzz } => Some((line, offset, fuzz)),
        HunkResult::Rejected { .. } => None,
    };
    hunks.iter().map(|hunk| landing(&hunk.result)).collect()
}

fn file() -> TreePath {
    TreePath::new(b"dir/file").unwrap()
}

fn tree(content: &[u8]) -> MemoryTree {
    MemoryTree {
        files: [(file(), Entry::file(content))].into(),
    }
}

fn unified(dir: &Path, old: &[u8], new: &[u8], context: usize) -> Vec<u8> {
    for (side, content) in [("a", old), ("b", new)] {
        std::fs::create_dir_all(dir.join(side).join("dir")).unwrap();
        std::fs::write(dir.join(side).join("dir/file"), content).unwrap();
    }
    let out = command("diff")
        .arg(format!("-U{context}"))
        .args(["a/dir/file", "b/dir/file"])
        .current_dir(dir)
        .output()
        .unwrap();
    out.stdout
}

/// Whether the results differ in the newline alone that we put, and GNU patch does not, between a
/// last line that had none and what fuzz lets land behind it.
fn joins_the_last_line(target: &[u8], ours: &MemoryTree, theirs: &MemoryTree) -> bool {
    let last = target.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    let Some(entry) = ours.files.get(&file()).filter(|_| !last.is_empty()) else {
        return false;
    };
    let behind_last =
        |&at: &usize| entry.content[at] == b'\n' && entry.content[..at].ends_with(last);
    (0..entry.content.len()).filter(behind_last).any(|at| {
        let mut joined = ours.clone();
        let mut entry = entry.clone();
        entry.content.remove(at);
        joined.files.insert(file(), entry);
        joined == *theirs
    })
}

/// Both on the same tree; true if something was compared.
fn compare(
    patch: &[u8],
    target: &[u8],
    fuzz: usize,
    reverse: bool,
    zero_context: bool,
) -> Result<bool, TestCaseError> {
    let series = Series::single("p", patch.to_vec());
    let options = Options { fuzz, reverse };
    let start = tree(target);
    let plan = apply::plan(&start, &series, options).unwrap();
    let hunks = plan.report.patches[0].files[0].hunks.len();

    let dir = tempfile::tempdir().unwrap();
    lay_out(dir.path(), &start);
    std::fs::write(dir.path().join("p.orig"), patch).unwrap();
    let fuzz_option = format!("-F{fuzz}");
    let mut args = vec![
        "-p1",
        "--force",
        "--verbose",
        "--no-backup-if-mismatch",
        &fuzz_option,
        "-i",
        "p.orig",
    ];
    if reverse {
        args.push("-R");
    }
    let out = run(dir.path(), "patch", &args);
    let theirs = landings(&said(&out), hunks);
    let context = || {
        format!(
            "{}\n--- patch:\n{}\n--- target: {:?}\n--- said:\n{}\n--- ours:\n{}",
            show(&start),
            String::from_utf8_lossy(patch),
            String::from_utf8_lossy(target),
            said(&out),
            plan.report
        )
    };
    // Past the end GNU patch appends an insertion without context; we refuse it.
    if zero_context
        && theirs
            .iter()
            .zip(ours(&plan.report))
            .any(|(t, o)| t.is_some() && o.is_none())
    {
        return Ok(false);
    }
    prop_assert_eq!(&ours(&plan.report), &theirs, "{}", context());
    if theirs.iter().all(Option::is_some) {
        prop_assert!(out.status.success(), "{}", context());
        prop_assert_eq!(plan.report.outcome, Outcome::Applies);
        let mut end = start.clone();
        end.write(&plan.changes);
        let disk = take_in(dir.path());
        if fuzz == 0 || !joins_the_last_line(target, &end, &disk) {
            prop_assert_eq!(&end, &disk, "{}", context());
        }
    } else {
        prop_assert!(!out.status.success(), "{}", context());
        prop_assert!(plan.report.outcome != Outcome::Applies);
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(300), max_shrink_iters: 200, max_global_rejects: u32::MAX, ..ProptestConfig::default() })]

    #[test]
    fn hunks_land_where_gnu_patch_puts_them(
        base in prop::collection::vec(line(), 0..40),
        change in edits(4),
        drift in edits(4),
        context in 0usize..5,
        fuzz in 0usize..4,
        reverse in any::<bool>(),
        newlines in any::<(bool, bool, bool)>(),
        crlf in prop::bool::weighted(0.1),
    ) {
        if !has("patch") || !has("diff") {
            return Ok(());
        }
        let changed = edited(&base, &change);
        let old = text(&base, newlines.0, crlf);
        let new = text(&changed, newlines.1, crlf);
        let start = if reverse { &changed } else { &base };
        let target = text(&edited(start, &drift), newlines.2, crlf);
        let dir = tempfile::tempdir().unwrap();
        let patch = unified(dir.path(), &old, &new, context);
        // A file made or emptied altogether is another matter: see `names.rs`.
        prop_assume!(!patch.is_empty() && !target.is_empty() && !old.is_empty() && !new.is_empty());
        compare(&patch, &target, fuzz, reverse, context == 0)?;
    }
}

/// The same patch twice: GNU patch says so of its first hunk, we of the whole.
#[test]
fn already_applied() {
    if !has("patch") {
        return;
    }
    let old = text(&(0..30).collect::<Vec<_>>(), true, false);
    let new = text(
        &edited(
            &(0..30).collect::<Vec<_>>(),
            &[Edit::Insert(100, vec![40]), Edit::Remove(700, 2)],
        ),
        true,
        false,
    );
    let dir = tempfile::tempdir().unwrap();
    let patch = unified(dir.path(), &old, &new, 3);
    for (target, reverse) in [(&new, false), (&old, true)] {
        let work = tempfile::tempdir().unwrap();
        lay_out(work.path(), &tree(target));
        std::fs::write(work.path().join("p.orig"), &patch).unwrap();
        let mut args = vec!["-p1", "--batch", "--dry-run", "-i", "p.orig"];
        if reverse {
            args.push("-R");
        }
        let out = run(work.path(), "patch", &args);
        let phrase = if reverse {
            "Unreversed patch detected"
        } else {
            "previously applied"
        };
        assert!(said(&out).contains(phrase), "{}", said(&out));
        let series = Series::single("p", patch.clone());
        let plan = apply::plan(&tree(target), &series, Options { reverse, fuzz: 0 }).unwrap();
        assert_eq!(plan.report.outcome, Outcome::AlreadyApplied);
        assert!(plan.changes.is_empty());
    }
}

/// The one difference of placement: past the end GNU patch appends what has no context.
#[test]
fn insertion_past_the_end() {
    if !has("patch") {
        return;
    }
    let patch = b"--- a/dir/file\n+++ b/dir/file\n@@ -9,0 +10 @@\n+x\n";
    let dir = tempfile::tempdir().unwrap();
    lay_out(dir.path(), &tree(b"1\n"));
    std::fs::write(dir.path().join("p.orig"), patch).unwrap();
    let out = run(dir.path(), "patch", &["-p1", "--force", "-i", "p.orig"]);
    assert!(out.status.success(), "{}", said(&out));
    assert_eq!(take_in(dir.path()), tree(b"1\nx\n"));
    let plan = apply::plan(
        &tree(b"1\n"),
        &Series::single("p", &patch[..]),
        Options::default(),
    )
    .unwrap();
    assert_eq!(plan.report.outcome, Outcome::Rejected);
}
