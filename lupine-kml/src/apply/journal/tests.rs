//! A journal met at every moment of an application.

use super::*;
use crate::apply::{
    MemoryTree, Mode as ApplyMode, Options, Outcome, Series, patch_directory, resume, revert,
};
use std::collections::BTreeMap;
use std::path::Path;

const PATCH: &str = "\
diff --git a/one b/one
--- a/one
+++ b/one
@@ -1 +1 @@
-1
+eins
diff --git a/new/deep/file b/new/deep/file
new file mode 100755
--- /dev/null
+++ b/new/deep/file
@@ -0,0 +1 @@
+n
diff --git a/old/only b/old/only
deleted file mode 100644
--- a/old/only
+++ /dev/null
@@ -1 +0,0 @@
-o
diff --git a/link b/link
new file mode 120000
--- /dev/null
+++ b/link
@@ -0,0 +1 @@
+one
\\ No newline at end of file
";

fn fresh() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("one"), "1\n").unwrap();
    std::fs::create_dir(dir.path().join("old")).unwrap();
    std::fs::write(dir.path().join("old/only"), "o\n").unwrap();
    dir
}

/// Everything but our own directory: kind, mode, content.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt as _;
    let mut seen = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with(STATE_DIR) {
                continue;
            }
            let meta = path.symlink_metadata().unwrap();
            let content = if meta.is_dir() {
                todo.push(path.clone());
                Vec::new()
            } else if meta.is_symlink() {
                std::fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                std::fs::read(&path).unwrap()
            };
            seen.insert(
                path.strip_prefix(root).unwrap().to_owned(),
                (meta.mode(), content),
            );
        }
    }
    seen
}

fn series() -> Series {
    Series::single("p", PATCH.as_bytes().to_vec())
}

fn apply(root: &Path, options: Options) -> Outcome {
    patch_directory(root, &series(), options, ApplyMode::Write)
        .unwrap()
        .outcome
}

fn changes(root: &Path) -> Vec<Change> {
    crate::apply::plan(
        &DirectoryTree::open(root).unwrap(),
        &series(),
        Options::default(),
    )
    .unwrap()
    .changes
}

#[test]
fn on_and_off_again() {
    let dir = fresh();
    let before = snapshot(dir.path());
    let check =
        patch_directory(dir.path(), &series(), Options::default(), ApplyMode::Check).unwrap();
    assert_eq!(check.outcome, Outcome::Applies);
    assert!(
        !dir.path().join(STATE_DIR).exists(),
        "a check leaves no trace"
    );
    assert_eq!(apply(dir.path(), Options::default()), Outcome::Applies);
    let after = snapshot(dir.path());
    assert_eq!(after[Path::new("one")].1, b"eins\n");
    assert_eq!(after[Path::new("new/deep/file")].0 & 0o777, 0o755);
    assert_eq!(after[Path::new("link")].1, b"one");
    assert!(
        !after.contains_key(Path::new("old")),
        "an emptied directory goes"
    );
    assert_eq!(
        apply(dir.path(), Options::default()),
        Outcome::AlreadyApplied
    );
    assert_eq!(snapshot(dir.path()), after);
    assert_eq!(
        apply(
            dir.path(),
            Options {
                reverse: true,
                fuzz: 0
            }
        ),
        Outcome::Applies
    );
    assert_eq!(snapshot(dir.path()), before);
    let tree = DirectoryTree::open(dir.path()).unwrap();
    assert_eq!(record(&tree).unwrap(), None);
    assert!(
        !dir.path().join(STATE_DIR).exists(),
        "taken back, nothing of ours is left"
    );
}

#[test]
fn a_rejection_writes_nothing() {
    let dir = fresh();
    std::fs::write(dir.path().join("old/only"), "other\n").unwrap();
    let before = snapshot(dir.path());
    assert_eq!(apply(dir.path(), Options::default()), Outcome::Rejected);
    assert_eq!(snapshot(dir.path()), before);
}

/// Stops an application after each of its steps, as power loss would, and ends it both ways.
#[test]
fn interrupted_anywhere_it_ends_whole() {
    let done = fresh();
    let before = snapshot(done.path());
    apply(done.path(), Options::default());
    let after = snapshot(done.path());
    let count = changes(fresh().path()).len();
    // Bit n of `moved`: whether change n was carried out when the power went.
    for moved in 0..1u32 << count {
        for way in [Way::Forward, Way::Back] {
            let dir = fresh();
            let changes = changes(dir.path());
            let tree = DirectoryTree::open(dir.path()).unwrap();
            let writer = Writer::lock(&tree).unwrap();
            let journal = Journal {
                changes,
                record: None,
            };
            writer.write_state(JOURNAL, &encode(&journal)).unwrap();
            for (number, change) in journal.changes.iter().enumerate() {
                if moved & (1 << number) == 0 {
                    continue;
                }
                match &change.after {
                    Some(entry) => {
                        writer.stage(number, change, entry).unwrap();
                        writer.put(number, change).unwrap();
                    }
                    None => std::fs::remove_file(
                        dir.path().join(OsStr::from_bytes(change.path.as_bytes())),
                    )
                    .unwrap(),
                }
            }
            // Staged but not in place: a torn file beside the journal.
            std::fs::write(dir.path().join(STATE_DIR).join("staged-0"), "torn").unwrap();
            drop(writer);
            assert!(matches!(
                patch_directory(dir.path(), &series(), Options::default(), ApplyMode::Check),
                Err(crate::apply::ApplyError::Pending { .. })
            ));
            let (ended, expected) = match way {
                Way::Forward => (resume(dir.path()).unwrap(), &after),
                Way::Back => (revert(dir.path()).unwrap(), &before),
            };
            assert!(ended);
            assert_eq!(&snapshot(dir.path()), expected, "{moved:b} {way:?}");
            assert!(!resume(dir.path()).unwrap());
        }
    }
}

#[test]
fn the_next_application_finishes_the_last() {
    let dir = fresh();
    let changes = changes(dir.path());
    let tree = DirectoryTree::open(dir.path()).unwrap();
    let writer = Writer::lock(&tree).unwrap();
    writer
        .write_state(
            JOURNAL,
            &encode(&Journal {
                changes,
                record: None,
            }),
        )
        .unwrap();
    drop(writer);
    let report =
        patch_directory(dir.path(), &series(), Options::default(), ApplyMode::Write).unwrap();
    assert!(report.resumed);
    assert_eq!(report.outcome, Outcome::AlreadyApplied);
}

#[test]
fn foreign_changes_stop_a_recovery() {
    let dir = fresh();
    let changes = changes(dir.path());
    let tree = DirectoryTree::open(dir.path()).unwrap();
    let writer = Writer::lock(&tree).unwrap();
    writer
        .write_state(
            JOURNAL,
            &encode(&Journal {
                changes,
                record: None,
            }),
        )
        .unwrap();
    drop(writer);
    std::fs::write(dir.path().join("one"), "mine\n").unwrap();
    let before = snapshot(dir.path());
    assert!(
        matches!(resume(dir.path()), Err(JournalError::Changed { path }) if path.as_bytes() == b"one")
    );
    assert!(matches!(
        revert(dir.path()),
        Err(JournalError::Changed { .. })
    ));
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn a_damaged_journal_is_refused() {
    let dir = fresh();
    let changes = changes(dir.path());
    let good = encode(&Journal {
        changes,
        record: None,
    });
    assert!(decode(&good).is_ok());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(decode(&bad).is_err(), "byte {at}");
        assert!(decode(&good[..at]).is_err(), "length {at}");
    }
}

#[test]
fn two_writers_exclude_one_another() {
    let dir = fresh();
    let tree = DirectoryTree::open(dir.path()).unwrap();
    let _writer = Writer::lock(&tree).unwrap();
    let result = patch_directory(dir.path(), &series(), Options::default(), ApplyMode::Write);
    assert!(matches!(
        result,
        Err(crate::apply::ApplyError::Journal(JournalError::Busy(_)))
    ));
}

#[test]
fn a_copy_of_the_lock_in_a_new_process_holds_nobody_up() {
    let dir = fresh();
    let tree = DirectoryTree::open(dir.path()).unwrap();
    let writer = Writer::lock(&tree).unwrap();
    let copy = rustix::io::dup(&writer.lock).unwrap();
    drop(writer);
    assert!(Writer::lock(&tree).is_ok());
    drop(copy);
}

#[test]
fn no_write_goes_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let dir = fresh();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("new")).unwrap();
    let result = patch_directory(dir.path(), &series(), Options::default(), ApplyMode::Write);
    assert!(matches!(
        result,
        Err(crate::apply::ApplyError::Tree(
            TreeError::SymlinkInPath { .. }
        ))
    ));
    std::fs::remove_file(dir.path().join("new")).unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join(STATE_DIR)).unwrap();
    let result = patch_directory(dir.path(), &series(), Options::default(), ApplyMode::Write);
    assert!(result.is_err());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn owner_bits_and_memory_agree() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = fresh();
    std::fs::set_permissions(
        dir.path().join("one"),
        std::fs::Permissions::from_mode(0o4750),
    )
    .unwrap();
    let mut memory = MemoryTree::default();
    let tree = DirectoryTree::open(dir.path()).unwrap();
    let changes = changes(dir.path());
    memory.write(&changes);
    apply(dir.path(), Options::default());
    for change in changes {
        let found = match tree.node(&change.path).unwrap() {
            Node::File(entry) => Some(entry),
            _ => None,
        };
        assert_eq!(found.as_ref(), memory.files.get(&change.path));
    }
    assert_eq!(snapshot(dir.path())[Path::new("one")].0 & 0o7777, 0o4750);
}

/// An insertion without context lands as often as it is tried; the record knows better.
#[test]
fn the_record_keeps_a_series_from_going_on_twice() {
    let dir = fresh();
    let series = Series::single("p", &b"--- a/one\n+++ b/one\n@@ -1,0 +2 @@\n+x\n"[..]);
    let apply = |mode| {
        patch_directory(dir.path(), &series, Options::default(), mode)
            .unwrap()
            .outcome
    };
    assert_eq!(apply(ApplyMode::Write), Outcome::Applies);
    assert_eq!(apply(ApplyMode::Check), Outcome::AlreadyApplied);
    assert_eq!(apply(ApplyMode::Write), Outcome::AlreadyApplied);
    assert_eq!(std::fs::read(dir.path().join("one")).unwrap(), b"1\nx\n");
}
