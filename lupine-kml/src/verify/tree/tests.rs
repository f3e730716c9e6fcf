//! Trees in every state, with and without a record.

use super::*;
use crate::apply::{Mode, SeriesPatch, patch_directory};

const FIRST: &str =
    "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-y\n+Y\n";
const SECOND: &str = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n 1\n-zwei\n+deux\n 3\ndiff --git a/z b/w\nrename from z\nrename to w\n";

fn series() -> Series {
    let patch = |name: &str, text: &'static str| SeriesPatch {
        name: name.into(),
        bytes: text.as_bytes().into(),
        strip: 1,
        reverse: false,
    };
    Series {
        patches: vec![patch("1", FIRST), patch("2", SECOND)],
    }
}

fn fresh() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("x", "1\n2\n3\n"), ("y", "y\n"), ("z", "z\n")] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn states(report: &TreeReport) -> Vec<(String, FileState)> {
    report
        .files
        .iter()
        .map(|f| (f.path.to_string(), f.state))
        .collect()
}

fn verify(root: &Path) -> (TreeState, Evidence) {
    let report = verify_tree(root, &series()).unwrap();
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<TreeReport>(&json).unwrap(), report);
    (report.state, report.evidence)
}

#[test]
fn clean_applied_changed_by_record() {
    let dir = fresh();
    assert_eq!(verify(dir.path()), (TreeState::Clean, Evidence::Trial));
    patch_directory(dir.path(), &series(), Options::default(), Mode::Write).unwrap();
    assert_eq!(verify(dir.path()), (TreeState::Applied, Evidence::Record));
    // A change far from any hunk, that only the digest sees.
    std::fs::write(dir.path().join("x"), "1\ndeux\n3\n4\n5\n6\n7\n8\n9\n").unwrap();
    assert_eq!(verify(dir.path()), (TreeState::Changed, Evidence::Record));
    std::fs::write(dir.path().join("x"), "1\n2\n3\n").unwrap();
    assert_eq!(verify(dir.path()), (TreeState::Partly, Evidence::Record));
}

#[test]
fn without_a_record() {
    let dir = fresh();
    patch_directory(dir.path(), &series(), Options::default(), Mode::Write).unwrap();
    std::fs::remove_dir_all(dir.path().join(crate::diff::STATE_DIR)).unwrap();
    assert_eq!(verify(dir.path()), (TreeState::Applied, Evidence::Trial));
    std::fs::write(dir.path().join("x"), "1\nzwei\n3\n").unwrap();
    let report = verify_tree(dir.path(), &series()).unwrap();
    assert_eq!(report.state, TreeState::Partly);
    let expected = [
        ("w", FileState::Patched),
        ("x", FileState::Partly { applied: 1, of: 2 }),
        ("y", FileState::Patched),
        ("z", FileState::Patched),
    ];
    assert_eq!(
        states(&report),
        expected.map(|(path, state)| (path.to_owned(), state))
    );
    std::fs::write(dir.path().join("y"), "neither\n").unwrap();
    assert_eq!(verify(dir.path()), (TreeState::Changed, Evidence::Trial));
}
