//! Where GNU patch and git apply differ, and what we do: every row of the table in `apply`, each
//! tool asked.

#![allow(
    clippy::disallowed_methods,
    reason = "asks the reference implementations"
)]

use crate::reference::{has, lay_out, run, said, show, take_in};
use lupine_kml::apply::{self, Entry, EntryKind, MemoryTree, Options, Outcome, Series};
use lupine_kml::diff::TreePath;

type Files = &'static [(&'static str, &'static str)];

struct Row {
    what: &'static str,
    tree: Files,
    patch: &'static str,
    reverse: bool,
    fuzz: usize,
    /// What each makes of the tree; none if it refuses. A refusal of GNU patch may leave changes.
    gnu: Option<Files>,
    git: Option<Files>,
    ours: Option<Files>,
}

const PLAIN: Row = Row {
    what: "",
    tree: &[],
    patch: "",
    reverse: false,
    fuzz: 0,
    gnu: None,
    git: None,
    ours: None,
};

const TEN: Files = &[("x", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n")];

const ROWS: &[Row] = &[
    Row {
        what: "a hunk that claims line 1 may move",
        tree: &[("x", "0\n1\n2\n3\n")],
        patch: "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n",
        gnu: Some(&[("x", "0\n1\nzwei\n3\n")]),
        ours: Some(&[("x", "0\n1\nzwei\n3\n")]),
        ..PLAIN
    },
    Row {
        what: "hunks share context lines",
        tree: TEN,
        patch: "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n@@ -3,3 +3,3 @@\n 3\n-4\n+vier\n 5\n",
        gnu: Some(&[("x", "1\nzwei\n3\nvier\n5\n6\n7\n8\n9\n10\n")]),
        ours: Some(&[("x", "1\nzwei\n3\nvier\n5\n6\n7\n8\n9\n10\n")]),
        ..PLAIN
    },
    Row {
        what: "hunks out of order",
        tree: TEN,
        patch: "--- a/x\n+++ b/x\n@@ -7,3 +7,3 @@\n 7\n-8\n+acht\n 9\n@@ -2,3 +2,3 @@\n 2\n-3\n+drei\n 4\n",
        git: Some(&[("x", "1\n2\ndrei\n4\n5\n6\n7\nacht\n9\n10\n")]),
        ..PLAIN
    },
    Row {
        what: "fuzz only on request",
        tree: &[("x", "1\n2\n3\n4\nfünf\n6\n")],
        patch: "--- a/x\n+++ b/x\n@@ -1,5 +1,5 @@\n 1\n 2\n-3\n+drei\n 4\n 5\n",
        fuzz: 2,
        gnu: Some(&[("x", "1\n2\ndrei\n4\nfünf\n6\n")]),
        ours: Some(&[("x", "1\n2\ndrei\n4\nfünf\n6\n")]),
        ..PLAIN
    },
    Row {
        what: "no fuzz",
        tree: &[("x", "1\n2\n3\n4\nfünf\n6\n")],
        patch: "--- a/x\n+++ b/x\n@@ -1,5 +1,5 @@\n 1\n 2\n-3\n+drei\n 4\n 5\n",
        ..PLAIN
    },
    Row {
        what: "fuzz behind a last line without newline",
        tree: &[("x", "1\n2\n3")],
        patch: "--- a/x\n+++ b/x\n@@ -3,2 +3,3 @@\n 3\n+vier\n 5\n",
        fuzz: 1,
        gnu: Some(&[("x", "1\n2\n3vier\n")]),
        ours: Some(&[("x", "1\n2\n3\nvier\n")]),
        ..PLAIN
    },
    Row {
        what: "no context at all",
        tree: TEN,
        patch: "--- a/x\n+++ b/x\n@@ -5 +5 @@\n-5\n+fünf\n",
        gnu: Some(&[("x", "1\n2\n3\n4\nfünf\n6\n7\n8\n9\n10\n")]),
        ours: Some(&[("x", "1\n2\n3\n4\nfünf\n6\n7\n8\n9\n10\n")]),
        ..PLAIN
    },
    Row {
        what: "an insertion without context past the end",
        tree: &[("x", "1\n")],
        patch: "--- a/x\n+++ b/x\n@@ -9,0 +10 @@\n+z\n",
        gnu: Some(&[("x", "1\nz\n")]),
        git: Some(&[("x", "1\nz\n")]),
        ..PLAIN
    },
    Row {
        what: "the second hunk is sought where the first one's offset points",
        tree: &[(
            "x",
            "0\n0\n0\n0\n0\n0\na\nb\nc\nd\ne\nf\np\nq\nr\ns\nt\nu\nx\ny\nz\nv\nv\nv\nx\ny\nz\nw\n",
        )],
        // Stated at 14; the first hunk is off by 6, so GNU patch looks at 20 first, git at 14.
        patch: "--- a/x\n+++ b/x\n@@ -2,3 +2,3 @@\n b\n-c\n+C\n d\n@@ -17,3 +17,3 @@\n x\n-y\n+Y\n z\n",
        gnu: Some(&[(
            "x",
            "0\n0\n0\n0\n0\n0\na\nb\nC\nd\ne\nf\np\nq\nr\ns\nt\nu\nx\ny\nz\nv\nv\nv\nx\nY\nz\nw\n",
        )]),
        git: Some(&[(
            "x",
            "0\n0\n0\n0\n0\n0\na\nb\nC\nd\ne\nf\np\nq\nr\ns\nt\nu\nx\nY\nz\nv\nv\nv\nx\ny\nz\nw\n",
        )]),
        ours: Some(&[(
            "x",
            "0\n0\n0\n0\n0\n0\na\nb\nC\nd\ne\nf\np\nq\nr\ns\nt\nu\nx\ny\nz\nv\nv\nv\nx\nY\nz\nw\n",
        )]),
        ..PLAIN
    },
    Row {
        what: "the created file exists and is empty",
        tree: &[("x", "")],
        patch: "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+1\n",
        gnu: Some(&[("x", "1\n")]),
        ..PLAIN
    },
    Row {
        what: "the created file exists",
        tree: &[("x", "0\n")],
        patch: "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+1\n",
        ..PLAIN
    },
    Row {
        what: "the deleted file has more content",
        tree: &[("x", "1\n2\n")],
        patch: "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n",
        ..PLAIN
    },
    Row {
        what: "line ends changed on the way, the file has its own",
        tree: &[("x", "1\n2\n3\n")],
        patch: "--- a/x\r\n+++ b/x\r\n@@ -1,3 +1,3 @@\r\n 1\r\n-2\r\n+zwei\r\n 3\r\n",
        gnu: Some(&[("x", "1\nzwei\n3\n")]),
        ours: Some(&[("x", "1\nzwei\n3\n")]),
        ..PLAIN
    },
    Row {
        what: "line ends changed on the way, as the file's",
        tree: &[("x", "1\r\n2\r\n3\r\n")],
        patch: "--- a/x\r\n+++ b/x\r\n@@ -1,3 +1,3 @@\r\n 1\r\n-2\r\n+zwei\r\n 3\r\n",
        git: Some(&[("x", "1\r\nzwei\r\n3\r\n")]),
        ours: Some(&[("x", "1\r\nzwei\r\n3\r\n")]),
        ..PLAIN
    },
    Row {
        what: "steps are taken back last first",
        tree: &[("x", "3\n")],
        patch: "one\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\ntwo\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-2\n+3\n",
        reverse: true,
        git: Some(&[("x", "1\n")]),
        ours: Some(&[("x", "1\n")]),
        ..PLAIN
    },
    Row {
        what: "a copy is taken back by deleting it",
        tree: &[("x", "1\n"), ("y", "1\n")],
        patch: "diff --git a/x b/y\nsimilarity index 100%\ncopy from x\ncopy to y\n",
        reverse: true,
        gnu: Some(&[("x", "1\n"), ("y", "1\n")]),
        ours: Some(&[("x", "1\n")]),
        ..PLAIN
    },
    Row {
        what: "a path with ..",
        tree: &[("x", "1\n")],
        patch: "--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-1\n+2\n",
        ..PLAIN
    },
    Row {
        what: "a path in .git",
        tree: &[(".git-not/x", "1\n")],
        patch: "--- /dev/null\n+++ b/.git/config\n@@ -0,0 +1 @@\n+2\n",
        gnu: Some(&[(".git-not/x", "1\n")]),
        ..PLAIN
    },
    Row {
        what: "a symbolic link out of the tree",
        tree: &[("x", "1\n")],
        patch: "diff --git a/l b/l\nnew file mode 120000\nindex 0000000..1111111\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+../../etc\n\\ No newline at end of file\n",
        gnu: Some(&[("l", "@../../etc"), ("x", "1\n")]),
        git: Some(&[("l", "@../../etc"), ("x", "1\n")]),
        ..PLAIN
    },
    Row {
        what: "a path below a symbolic link",
        tree: &[("d/x", "1\n"), ("l", "@d")],
        patch: "--- a/l/x\n+++ b/l/x\n@@ -1 +1 @@\n-1\n+2\n",
        gnu: Some(&[("d/x", "2\n"), ("l", "@d")]),
        ..PLAIN
    },
    Row {
        what: "the patch's last line has no newline",
        tree: &[("x", "1\n2\n")],
        patch: "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-1\n+eins\n 2",
        ..PLAIN
    },
    Row {
        what: "blank lines at the end of the patch were lost",
        tree: &[("x", "1\n2\n\n")],
        patch: "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n-1\n+eins\n 2\n",
        gnu: Some(&[("x", "eins\n2\n\n")]),
        ..PLAIN
    },
    Row {
        what: "an empty line is an empty context line",
        tree: &[("x", "1\n\n3\n")],
        patch: "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n-1\n+eins\n\n 3\n",
        gnu: Some(&[("x", "eins\n\n3\n")]),
        git: Some(&[("x", "eins\n\n3\n")]),
        ours: Some(&[("x", "eins\n\n3\n")]),
        ..PLAIN
    },
    Row {
        what: "git's binary patch",
        tree: &[("x", "1\n")],
        // As git writes it for the new content `2\n`.
        patch: "diff --git a/x b/x\nindex d00491fd7e5bb6fa28c517a0bb32b8b506539d4d..0cfbf08886fcaf1acc8a24c09e6c4dfb52ccbcbe 100644\nGIT binary patch\nliteral 2\nJcmXr7&*1<78vp?-\n\nliteral 2\nJcmXr7@#1<78vp?-\n\n",
        ..PLAIN
    },
    Row {
        what: "a hunk without file headers",
        tree: &[("x", "1\n")],
        patch: "@@ -1 +1 @@\n-1\n+2\n",
        ..PLAIN
    },
];

fn tree(files: Files) -> MemoryTree {
    let entry = |content: &str| match content.strip_prefix('@') {
        Some(target) => Entry {
            kind: EntryKind::Symlink,
            content: target.into(),
        },
        None => Entry::file(content),
    };
    MemoryTree {
        files: files
            .iter()
            .map(|(name, content)| (TreePath::new(name.as_bytes()).unwrap(), entry(content)))
            .collect(),
    }
}

fn ours(row: &Row) -> Option<MemoryTree> {
    let mut end = tree(row.tree);
    let series = Series::single("p", row.patch.as_bytes());
    let plan = apply::plan(
        &end,
        &series,
        Options {
            fuzz: row.fuzz,
            reverse: row.reverse,
        },
    )
    .ok()?;
    (plan.report.outcome == Outcome::Applies).then(|| {
        end.write(&plan.changes);
        end
    })
}

fn theirs(row: &Row, tool: &str, args: &[&str]) -> (Option<MemoryTree>, MemoryTree, String) {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("tree");
    std::fs::create_dir(&dir).unwrap();
    lay_out(&dir, &tree(row.tree));
    std::fs::write(outer.path().join("p"), row.patch).unwrap();
    let mut args = args.to_vec();
    if row.reverse {
        args.push("-R");
    }
    let fuzz = format!("-F{}", row.fuzz);
    match tool {
        "patch" => args.extend([&fuzz, "-i", "../p"]),
        _ => args.push("../p"),
    }
    let out = run(&dir, tool, &args);
    let left = take_in(&dir);
    (out.status.success().then(|| left.clone()), left, said(&out))
}

/// A line if somebody does not do what the row says.
fn check(
    row: &Row,
    who: &str,
    found: Option<&MemoryTree>,
    expected: Option<Files>,
    said: &str,
) -> Option<String> {
    let show = |tree: Option<&MemoryTree>| tree.map_or("refused".to_owned(), show);
    let (found, expected) = (show(found), show(expected.map(tree).as_ref()));
    (found != expected).then(|| format!("{}: {who}: {found}, not {expected}: {said}\n", row.what))
}

#[test]
fn every_row() {
    let (patch, git) = (has("patch"), has("git"));
    let mut wrong = Vec::new();
    for row in ROWS {
        wrong.extend(check(row, "ours", ours(row).as_ref(), row.ours, ""));
        if patch {
            let (found, _, said) =
                theirs(row, "patch", &["-p1", "--force", "--no-backup-if-mismatch"]);
            wrong.extend(check(row, "GNU patch", found.as_ref(), row.gnu, &said));
        }
        if git {
            let (found, left, said) = theirs(row, "git", &["apply"]);
            wrong.extend(check(row, "git apply", found.as_ref(), row.git, &said));
            assert!(
                found.is_some() || left == tree(row.tree),
                "{}: git left changes",
                row.what
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

/// GNU patch writes the files it can; git and we write none.
#[test]
fn one_file_is_rejected() {
    let row = Row {
        what: "all or nothing",
        tree: &[("x", "1\n"), ("y", "other\n")],
        patch: "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-1\n+2\n",
        ..PLAIN
    };
    assert!(ours(&row).is_none());
    if has("patch") {
        let (_, left, _) = theirs(&row, "patch", &["-p1", "--force"]);
        assert_eq!(show(&left), show(&tree(&[("x", "2\n"), ("y", "other\n")])));
    }
    if has("git") {
        let (_, left, _) = theirs(&row, "git", &["apply"]);
        assert_eq!(show(&left), show(&tree(row.tree)));
    }
}
