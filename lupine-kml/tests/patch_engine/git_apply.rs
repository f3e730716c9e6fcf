//! git judges whole trees: edits, new, deleted, renamed and copied files, modes, symbolic links
//! and odd names, as `git diff` writes them. GNU patch judges the same patches where it takes them.

#![allow(
    clippy::disallowed_methods,
    reason = "asks the reference implementations"
)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::reference::{cases, command, has, lay_out, run, said, show, take_in};
use lupine_kml::apply::{
    self, Entry, EntryKind, MemoryTree, Mode, Options, Outcome, Series, patch_directory,
};
use lupine_kml::diff::TreePath;
use proptest::prelude::*;

const NAMES: [&str; 10] = [
    "a",
    "b.c",
    "dir/c",
    "dir/sub/d",
    "other/e",
    "with space/f g",
    "ünï",
    "tab\there",
    "quote\"back\\slash",
    "dir/c.d",
];

#[derive(Debug, Clone)]
enum Op {
    Edit(usize, usize, bool),
    Create(usize, u32),
    Delete(usize),
    Rename(usize, usize),
    Copy(usize, usize),
    Executable(usize),
    Link(usize),
    LoseNewline(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let file = 0..NAMES.len();
    prop_oneof![
        4 => (file.clone(), 0usize..30, any::<bool>()).prop_map(|(f, at, add)| Op::Edit(f, at, add)),
        1 => (file.clone(), any::<u32>()).prop_map(|(f, seed)| Op::Create(f, seed)),
        1 => file.clone().prop_map(Op::Delete),
        1 => (file.clone(), file.clone()).prop_map(|(f, t)| Op::Rename(f, t)),
        1 => (file.clone(), file.clone()).prop_map(|(f, t)| Op::Copy(f, t)),
        1 => file.clone().prop_map(Op::Executable),
        1 => file.clone().prop_map(Op::Link),
        1 => file.prop_map(Op::LoseNewline),
    ]
}

fn path(file: usize) -> TreePath {
    TreePath::new(NAMES[file].as_bytes()).unwrap()
}

/// Text whose lines are all different, so that a hunk fits in one place only.
fn text(seed: u32) -> Vec<u8> {
    let count = seed % 40;
    (0..count)
        .flat_map(|n| format!("{seed}: line {n}\n").into_bytes())
        .collect()
}

/// Whether a path can be made: nothing there, no file above, nothing below.
fn is_free(tree: &MemoryTree, new: &TreePath) -> bool {
    !tree.files.contains_key(new)
        && tree.files.keys().all(|old| {
            let starts = |a: &TreePath, b: &TreePath| {
                a.as_bytes().starts_with(&[b.as_bytes(), b"/"].concat())
            };
            !starts(old, new) && !starts(new, old)
        })
}

fn perform(tree: &mut MemoryTree, op: &Op) {
    match *op {
        Op::Edit(file, at, add) => {
            if let Some(entry) = tree
                .files
                .get_mut(&path(file))
                .filter(|e| e.kind != EntryKind::Symlink)
            {
                let mut lines: Vec<Vec<u8>> = entry
                    .content
                    .split_inclusive(|&b| b == b'\n')
                    .map(<[u8]>::to_vec)
                    .collect();
                if add {
                    let count = lines.len();
                    lines.insert(
                        at.min(count.saturating_sub(1)),
                        format!("new {at} of {count}\n").into_bytes(),
                    );
                } else if at < lines.len() {
                    lines.remove(at);
                }
                entry.content = lines.concat();
            }
        }
        Op::Create(file, seed) => {
            if is_free(tree, &path(file)) {
                tree.files.insert(path(file), Entry::file(text(seed)));
            }
        }
        Op::Delete(file) => {
            tree.files.remove(&path(file));
        }
        Op::Rename(from, to) => {
            if is_free(tree, &path(to))
                && let Some(entry) = tree.files.remove(&path(from))
            {
                tree.files.insert(path(to), entry);
            }
        }
        Op::Copy(from, to) => {
            if is_free(tree, &path(to))
                && let Some(entry) = tree.files.get(&path(from)).cloned()
            {
                tree.files.insert(path(to), entry);
            }
        }
        Op::Executable(file) => {
            if let Some(Entry {
                kind: EntryKind::Regular { mode },
                ..
            }) = tree.files.get_mut(&path(file))
            {
                *mode ^= 0o111;
            }
        }
        Op::Link(file) => {
            if is_free(tree, &path(file)) {
                tree.files.insert(
                    path(file),
                    Entry {
                        kind: EntryKind::Symlink,
                        content: b"a".to_vec(),
                    },
                );
            }
        }
        Op::LoseNewline(file) => {
            if let Some(entry) = tree
                .files
                .get_mut(&path(file))
                .filter(|e| e.kind != EntryKind::Symlink)
            {
                entry.content.pop();
            }
        }
    }
}

/// The diff between two trees, as git makes it.
fn git_diff(scratch: &Path, old: &MemoryTree, new: &MemoryTree, context: usize) -> Vec<u8> {
    let git = |args: &[&str], dir: &str| {
        let out = command("git")
            .env("GIT_DIR", scratch.join("repo"))
            .env("GIT_WORK_TREE", scratch.join(dir))
            .args(args)
            .current_dir(scratch.join(dir))
            .output()
            .unwrap();
        assert!(out.status.success(), "git {args:?}: {}", said(&out));
        out.stdout
    };
    let mut trees = Vec::new();
    for (dir, tree) in [("old", old), ("new", new)] {
        std::fs::create_dir(scratch.join(dir)).unwrap();
        lay_out(&scratch.join(dir), tree);
        if dir == "old" {
            git(&["init", "-q"], dir);
        }
        git(&["add", "-A", "."], dir);
        trees.push(
            String::from_utf8(git(&["write-tree"], dir))
                .unwrap()
                .trim()
                .to_owned(),
        );
    }
    git(
        &[
            "diff-tree",
            "-p",
            "-M40",
            "-C",
            "--find-copies-harder",
            "--text",
            &format!("-U{context}"),
            &trees[0],
            &trees[1],
        ],
        "new",
    )
}

/// A directory with a tree in it, and a patch beside.
fn work(tree: &MemoryTree, patch: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tree")).unwrap();
    lay_out(&dir.path().join("tree"), tree);
    std::fs::write(dir.path().join("p"), patch).unwrap();
    dir
}

static GNU_AGREED: AtomicUsize = AtomicUsize::new(0);
static DRIFT_AGREED: AtomicUsize = AtomicUsize::new(0);

fn compare(
    seeds: &[Option<u32>],
    ops: &[Op],
    drift: &[Op],
    context: usize,
) -> Result<(), TestCaseError> {
    let mut old = MemoryTree::default();
    for (file, seed) in seeds.iter().enumerate() {
        if let (Some(seed), true) = (seed, is_free(&old, &path(file))) {
            old.files.insert(path(file), Entry::file(text(*seed)));
        }
    }
    let mut new = old.clone();
    ops.iter().for_each(|op| perform(&mut new, op));
    let scratch = tempfile::tempdir().unwrap();
    let patch = git_diff(scratch.path(), &old, &new, context);
    if patch.is_empty() {
        return Ok(());
    }
    let series = Series::single("p", patch.clone());
    for (start, end, reverse) in [(&old, &new, false), (&new, &old, true)] {
        let plan = apply::plan(start, &series, Options { fuzz: 0, reverse }).unwrap();
        let patch = String::from_utf8_lossy(&patch);
        prop_assert_eq!(
            plan.report.outcome,
            Outcome::Applies,
            "{}\n{}",
            plan.report,
            patch
        );
        let mut ours = start.clone();
        ours.write(&plan.changes);
        prop_assert_eq!(show(&ours), show(end), "reverse {}: {}", reverse, patch);
        // On disk, through the journal.
        let dir = work(start, b"");
        let root = dir.path().join("tree");
        patch_directory(&root, &series, Options { fuzz: 0, reverse }, Mode::Write).unwrap();
        prop_assert_eq!(show(&take_in(&root)), show(end));
    }
    // What GNU patch makes of it, where it can.
    let dir = work(&old, &patch);
    let root = dir.path().join("tree");
    let out = run(&root, "patch", &["-p1", "--batch", "-i", "../p"]);
    if out.status.success() && context > 0 {
        prop_assert_eq!(show(&take_in(&root)), show(&new), "{}", said(&out));
        GNU_AGREED.fetch_add(1, Ordering::Relaxed);
    }
    // On a tree that moved on: all lines differ, so what git places we place alike.
    let mut moved = old.clone();
    drift.iter().for_each(|op| perform(&mut moved, op));
    let dir = work(&moved, &patch);
    let root = dir.path().join("tree");
    let out = run(&root, "git", &["apply", "../p"]);
    let plan = apply::plan(&moved, &series, Options::default()).unwrap();
    // Without context git looks at the end only.
    if out.status.success() && context > 0 {
        prop_assert_eq!(
            plan.report.outcome,
            Outcome::Applies,
            "{}\n{}",
            plan.report,
            String::from_utf8_lossy(&patch)
        );
        let mut ours = moved.clone();
        ours.write(&plan.changes);
        prop_assert_eq!(show(&ours), show(&take_in(&root)));
        DRIFT_AGREED.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[test]
fn trees_end_as_git_makes_them() {
    if !has("git") || !has("patch") {
        return;
    }
    let count = cases(60);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: count,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (
        prop::collection::vec(prop::option::weighted(0.7, any::<u32>()), NAMES.len()),
        prop::collection::vec(op(), 1..8),
        prop::collection::vec(op(), 0..4),
        0usize..5,
    );
    runner
        .run(&strategy, |(seeds, ops, drift, context)| {
            compare(&seeds, &ops, &drift, context)
        })
        .unwrap();
    let (gnu, drifted) = (
        GNU_AGREED.load(Ordering::Relaxed),
        DRIFT_AGREED.load(Ordering::Relaxed),
    );
    // Not to pass because the others took nothing.
    assert!(
        gnu * 5 > count as usize,
        "GNU patch took only {gnu} of {count}"
    );
    assert!(
        drifted * 10 > count as usize,
        "git took only {drifted} of {count} moved trees"
    );
}
