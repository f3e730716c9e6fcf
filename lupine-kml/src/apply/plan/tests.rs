//! Decisions of the planner, each with a small tree.

use super::*;
use crate::apply::{HunkResult, MemoryTree};

fn path(name: &str) -> TreePath {
    TreePath::new(name.as_bytes()).unwrap()
}

fn tree(files: &[(&str, &str)]) -> MemoryTree {
    MemoryTree {
        files: files
            .iter()
            .map(|(name, text)| (path(name), Entry::file(*text)))
            .collect(),
    }
}

fn run(tree: &MemoryTree, patch: &str, options: Options) -> Plan {
    let series = Series::single("p", patch.as_bytes().to_vec());
    plan(tree, &series, options).unwrap()
}

fn patched(start: &MemoryTree, patch: &str) -> MemoryTree {
    let plan = run(start, patch, Options::default());
    assert_eq!(plan.report.outcome, Outcome::Applies, "{}", plan.report);
    let mut end = start.clone();
    end.write(&plan.changes);
    // Whatever goes on comes off again, to the byte.
    let back = run(
        &end,
        patch,
        Options {
            reverse: true,
            fuzz: 0,
        },
    );
    assert_eq!(back.report.outcome, Outcome::Applies, "{}", back.report);
    let mut again = end.clone();
    again.write(&back.changes);
    assert_eq!(&again, start);
    end
}

fn problem(tree: &MemoryTree, patch: &str) -> FileProblem {
    let plan = run(tree, patch, Options::default());
    assert_eq!(plan.report.outcome, Outcome::Rejected);
    plan.report.patches[0]
        .files
        .iter()
        .find_map(|f| f.problem.clone())
        .unwrap()
}

#[test]
fn renames_swap_and_copies_see_the_start() {
    let start = tree(&[("a", "A\n"), ("b", "B\n")]);
    let end = patched(
        &start,
        "\
diff --git a/a b/b
rename from a
rename to b
diff --git a/b b/a
rename from b
rename to a
",
    );
    assert_eq!(end, tree(&[("a", "B\n"), ("b", "A\n")]));
    let end = patched(
        &start,
        "\
diff --git a/a b/a
--- a/a
+++ b/a
@@ -1 +1 @@
-A
+X
diff --git a/a b/c
copy from a
copy to c
",
    );
    assert_eq!(end, tree(&[("a", "X\n"), ("b", "B\n"), ("c", "A\n")]));
}

#[test]
fn steps_see_one_another() {
    let start = tree(&[("a", "A\n")]);
    let end = patched(
        &start,
        "\
first
diff --git a/a b/a
--- a/a
+++ b/a
@@ -1 +1 @@
-A
+X
second
diff --git a/a b/c
rename from a
rename to c
",
    );
    assert_eq!(end, tree(&[("c", "X\n")]));
}

#[test]
fn modes() {
    let start = tree(&[("a", "A\n")]);
    let end = patched(
        &start,
        "diff --git a/a b/a\nold mode 100644\nnew mode 100755\n",
    );
    assert_eq!(
        end.files[&path("a")].kind,
        EntryKind::Regular { mode: 0o755 }
    );
    let end = patched(
        &start,
        "diff --git a/n b/n\nnew file mode 100755\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n",
    );
    assert_eq!(
        end.files[&path("n")].kind,
        EntryKind::Regular { mode: 0o755 }
    );
    // A stated mode that does not change leaves the tree's own bits alone.
    let mut odd = start.clone();
    odd.files.get_mut(&path("a")).unwrap().kind = EntryKind::Regular { mode: 0o700 };
    let end = patched(
        &odd,
        "diff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-A\n+B\n",
    );
    assert_eq!(
        end.files[&path("a")].kind,
        EntryKind::Regular { mode: 0o700 }
    );
}

#[test]
fn what_stands_in_the_way() {
    let create = "--- /dev/null\n+++ b/d/x\n@@ -0,0 +1 @@\n+x\n";
    assert_eq!(problem(&tree(&[("d/x", "")]), create), FileProblem::Exists);
    assert_eq!(
        problem(&tree(&[("d", "")]), create),
        FileProblem::BelowFile { file: path("d") }
    );
    assert_eq!(
        problem(&tree(&[("d/x/y", "")]), create),
        FileProblem::Directory
    );
    let modify = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n";
    assert_eq!(problem(&tree(&[]), modify), FileProblem::Missing);
    let delete = "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";
    assert_eq!(
        problem(
            &tree(&[("x", "x\nmore\n")]),
            "--- a/x\n+++ /dev/null\n@@ -2 +0,0 @@\n-more\n"
        ),
        FileProblem::ContentLeft
    );
    patched(&tree(&[("x", "x\n")]), delete);
}

#[test]
fn links_stay_inside() {
    let link = |target: &str| {
        format!(
            "diff --git a/d/l b/d/l\nnew file mode 120000\n--- /dev/null\n+++ b/d/l\n@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n"
        )
    };
    let start = tree(&[]);
    let end = patched(&start, &link("../x/y"));
    assert_eq!(
        end.files[&path("d/l")],
        Entry {
            kind: EntryKind::Symlink,
            content: b"../x/y".to_vec()
        }
    );
    for target in ["../../x", "/etc/passwd", "x/../../../y"] {
        assert!(
            matches!(
                problem(&start, &link(target)),
                FileProblem::LinkLeavesTree { .. }
            ),
            "{target}"
        );
    }
    // A text patch does not write through a link, nor below one.
    let modify = "--- a/d/l\n+++ b/d/l\n@@ -1 +1 @@\n-x\n+y\n";
    assert_eq!(problem(&end, modify), FileProblem::OtherKind);
    let below = Series::single("p", &b"--- /dev/null\n+++ b/d/l/z\n@@ -0,0 +1 @@\n+y\n"[..]);
    assert!(matches!(
        plan(&end, &below, Options::default()),
        Err(ApplyError::Tree(TreeError::SymlinkInPath { .. }))
    ));
}

#[test]
fn paths_stay_inside() {
    for name in [
        "../x",
        "/etc/x",
        "b/../../x",
        "b/.git/config",
        "b/.lupine/journal",
    ] {
        let patch = format!("--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+y\n");
        for strip in [0, 1] {
            let mut series = Series::single("p", patch.clone().into_bytes());
            series.patches[0].strip = strip;
            let result = plan(&MemoryTree::default(), &series, Options::default());
            let inside = matches!(
                (name, strip),
                ("../x" | "/etc/x", 1) | ("b/.lupine/journal", 0)
            );
            assert_eq!(result.is_ok(), inside, "{name} -p{strip}");
        }
    }
}

#[test]
fn a_rejected_hunk_says_what_it_wants_and_finds() {
    let start = tree(&[("x", "1\n2\n3\n4\nfünf\n6\n7\n")]);
    let patch = "--- a/x\n+++ b/x\n@@ -3,3 +3,3 @@\n 3\n-4\n+vier\n 5\n";
    let plan = run(&start, patch, Options::default());
    let HunkResult::Rejected {
        line,
        expected,
        found,
        first_difference,
        applied_at,
    } = &plan.report.patches[0].files[0].hunks[0].result
    else {
        panic!("{}", plan.report)
    };
    let show =
        |lines: &[crate::diff::Text]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((*line, *first_difference, *applied_at), (3, 2, None));
    assert_eq!(show(expected), ["3", "4", "5"]);
    assert_eq!(show(found), ["3", "4", "fünf"]);
    let json = serde_json::to_string(&plan.report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), plan.report);
    let fuzzy = run(
        &start,
        patch,
        Options {
            fuzz: 1,
            reverse: false,
        },
    );
    assert_eq!(fuzzy.report.outcome, Outcome::Applies);
    assert_eq!(
        fuzzy.changes[0].after.as_ref().unwrap().content,
        "1\n2\n3\nvier\nfünf\n6\n7\n".as_bytes()
    );
}

#[test]
fn line_ends_of_the_file_decide() {
    let patch = "--- a/x\r\n+++ b/x\r\n@@ -1,2 +1,2 @@\r\n 1\r\n-2\r\n+zwei\r\n";
    assert_eq!(
        patched(&tree(&[("x", "1\n2\n")]), patch),
        tree(&[("x", "1\nzwei\n")])
    );
    assert_eq!(
        patched(&tree(&[("x", "1\r\n2\r\n")]), patch),
        tree(&[("x", "1\r\nzwei\r\n")])
    );
}

#[test]
fn an_insertion_past_the_end_is_refused() {
    let start = tree(&[("x", "1\n2\n")]);
    assert_eq!(
        run(
            &start,
            "--- a/x\n+++ b/x\n@@ -3,0 +4 @@\n+y\n",
            Options::default()
        )
        .report
        .outcome,
        Outcome::Rejected
    );
    patched(&start, "--- a/x\n+++ b/x\n@@ -2,0 +3 @@\n+y\n");
}

#[test]
fn the_best_name_is_the_one_that_exists() {
    let start = tree(&[("dir/x", "1\n")]);
    let patch = "Index: src/dir/x\n--- src/dir/x.orig\n+++ src/dir/x\n@@ -1 +1 @@\n-1\n+2\n";
    assert_eq!(patched(&start, patch), tree(&[("dir/x", "2\n")]));
}

proptest::proptest! {
    #[test]
    fn no_plan_panics(
        lines in proptest::collection::vec(proptest::sample::select(vec![
            "diff --git a/x b/x", "diff --git a/x b/y", "--- a/x", "+++ b/x", "--- /dev/null", "+++ b/d/y", "@@ -1,3 +1,2 @@",
            "@@ -0,0 +1 @@", "@@ -1 +1 @@", "@@ -9223372036854775807,1 +1 @@", "@@ -4611686018427387900,1 +1 @@", " a", "-a", "+c", "\\ No newline", "", "new file mode 100644",
            "deleted file mode 100644", "rename from x", "rename to y", "copy from x", "copy to x/z", "text",
        ]), 0..24),
        fuzz in 0usize..4,
        reverse in proptest::bool::ANY,
    ) {
        let start = tree(&[("x", "a\nb\na\n"), ("y", "a")]);
        let series = Series::single("p", lines.join("\n").into_bytes());
        if let Ok(plan) = plan(&start, &series, Options { fuzz, reverse }) {
            proptest::prop_assert_eq!(plan.report.outcome == Outcome::Applies || plan.changes.is_empty(), true);
            let _ = plan.report.to_string();
        }
    }
}
