//! Shapes of patches, good and bad.

use super::*;

fn parse(text: &str) -> Patch<'_> {
    Patch::parse(text.as_bytes()).unwrap()
}

fn error(text: &str) -> ParseError {
    Patch::parse(text.as_bytes()).unwrap_err()
}

fn show(name: &Name<'_>) -> String {
    Text::from(&*name.bytes).to_string()
}

fn describe(file: &FilePatch<'_>) -> String {
    let action = match &file.action {
        Action::Modify { names } => format!(
            "modify {}",
            names.iter().map(show).collect::<Vec<_>>().join("|")
        ),
        Action::Create { name } => format!("create {}", show(name)),
        Action::Delete { name } => format!("delete {}", show(name)),
        Action::Rename { from, to } => format!("rename {} {}", show(from), show(to)),
        Action::Copy { from, to } => format!("copy {} {}", show(from), show(to)),
    };
    format!(
        "{action} {:?}>{:?} {} hunks",
        file.old_mode,
        file.new_mode,
        file.hunks.len()
    )
}

fn describe_all(text: &str) -> Vec<String> {
    parse(text).files.iter().map(describe).collect()
}

#[test]
fn a_mailed_commit_with_every_header() {
    let text = "\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: A U Thor <a@example.org>
Subject: [PATCH] all of it

--- this is not a header
---
 a | 2 +-
diff --git a/a b/a
index 1111111..2222222 100644
--- a/a
+++ b/a
@@ -1 +1 @@ section
-x
+y
diff --git a/tool b/tool
old mode 100644
new mode 100755
diff --git a/empty b/empty
new file mode 100644
index 0000000..e69de29
diff --git a/gone b/gone
deleted file mode 100755
index 1..0
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git a/from b/to
similarity index 100%
rename from from
rename to to
diff --git a/from b/copy
similarity index 90%
copy from from
copy to copy
--- a/from
+++ b/copy
@@ -1 +1 @@
-x
+y
diff --git \"a/\\303\\274\" \"b/\\303\\274\"
new file mode 120000
--- /dev/null
+++ \"b/\\303\\274\"
@@ -0,0 +1 @@
+target
\\ No newline at end of file
-- 
2.39.1
";
    assert_eq!(
        describe_all(text),
        [
            "modify b/a Some(Regular)>Some(Regular) 1 hunks",
            "modify b/tool Some(Regular)>Some(Executable) 0 hunks",
            "create b/empty None>Some(Regular) 0 hunks",
            "delete a/gone Some(Executable)>None 1 hunks",
            "rename from to None>None 0 hunks",
            "copy from copy None>None 1 hunks",
            "create b/ü None>Some(Symlink) 1 hunks",
        ]
    );
    let steps: Vec<_> = parse(text).files.iter().map(|f| f.starts_step).collect();
    assert_eq!(steps, [true, false, false, false, false, false, false]);
}

#[test]
fn plain_diffs_and_time_stamps() {
    let text = "\
diff -urN old/a new/a
--- old/a\t2024-05-01 10:00:00.000000000 +0200
+++ new/a\t2024-05-01 10:00:01.000000000 +0200
@@ -1 +1 @@
-x
+y
--- old/n 1970-01-01 01:00:00.000000000 +0100
+++ new/n 2024-05-01 10:00:01.000000000 +0200
@@ -0,0 +1 @@
+y
Index: with space/f
===================================================================
--- with space/f.orig\t2024-05-01 10:00:01 +0000
+++ with space/f\t1970-01-01 00:00:00 +0000
@@ -1 +0,0 @@
-y
Index: m
--- m.orig
+++ m
@@ -1 +1 @@
-x

+y
";
    let text = text.replace("-x\n\n+y", "-x\n+y");
    assert_eq!(
        describe_all(&text),
        [
            "modify old/a|new/a None>None 1 hunks",
            "create new/n None>None 1 hunks",
            "delete with space/f.orig None>None 1 hunks",
            "modify m.orig|m None>None 1 hunks",
        ]
    );
}

#[test]
fn crlf_is_noticed_and_kept() {
    let patch = parse("--- a/x\r\n+++ b/x\r\n@@ -1,2 +1 @@\r\n-x\r\n\r\n");
    let file = &patch.files[0];
    assert!(file.crlf);
    assert_eq!(describe(file), "modify a/x|b/x None>None 1 hunks");
    assert_eq!(
        file.hunks[0].lines().map(|l| l.text).collect::<Vec<_>>(),
        [&b"x\r"[..], b"\r"]
    );
    assert!(!parse("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\r\n+y\r\n").files[0].crlf);
}

#[test]
fn what_is_refused() {
    let head = "--- a/x\n+++ b/x\n";
    let cases = [
        ("".to_owned(), "NoDiff { lines: 0 }"),
        ("hello\nworld\n".to_owned(), "NoDiff { lines: 2 }"),
        (
            "diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 1\n".to_owned(),
            "Binary { line: 3, name: Some(`b/x`) }",
        ),
        (
            "Binary files a/x and b/y differ\n".to_owned(),
            "Binary { line: 1, name: Some(`b/y`) }",
        ),
        (
            "*** a/x\n--- b/x\n***************\n".to_owned(),
            "ContextDiff { line: 1 }",
        ),
        ("diff --cc x\n".to_owned(), "CombinedDiff { line: 1 }"),
        (
            "text\n@@ -1 +1 @@\n-x\n+y\n".to_owned(),
            "HunkWithoutFile { line: 2 }",
        ),
        (
            format!("{head}@@ -1 +x @@\n-x\n+y\n"),
            "HunkHeader { line: 3, text: `@@ -1 +x @@` }",
        ),
        (
            format!("{head}@@ -1,2 +1,2 @@\n x\n"),
            "Truncated { hunk: 3, old_left: 1, new_left: 1 }",
        ),
        (
            format!("{head}@@ -1,2 +1,2 @@\n x\n*y\n"),
            "HunkLine { line: 5, hunk: 3, old_left: 1, new_left: 1, text: `*y` }",
        ),
        (
            format!("{head}@@ -1,1 +1,2 @@\n-x\n-y\n"),
            "HunkLine { line: 5, hunk: 3, old_left: 0, new_left: 2, text: `-y` }",
        ),
        (
            format!("{head}@@ -1 +1 @@\n\\ No\n x\n"),
            "HunkLine { line: 4, hunk: 3, old_left: 1, new_left: 1, text: `\\\\ No` }",
        ),
        (format!("{head}@@ -1 +1 @@\n x\n"), "NoChange { line: 3 }"),
        (
            "diff --git a/x b/y\n".to_owned(),
            "Header { line: 1, problem: NoName }",
        ),
        (
            "diff --git a/x b/y\nrename from x\n".to_owned(),
            "Header { line: 1, problem: HalfRename }",
        ),
        (
            "diff --git a/x b/x\nnew file mode 100644\ndeleted file mode 100644\n".to_owned(),
            "Header { line: 1, problem: Contradiction }",
        ),
        (
            "diff --git a/x b/x\nnew file mode 160000\n".to_owned(),
            "Mode { line: 2, text: `160000` }",
        ),
        (
            "--- \"a/x\n+++ b/x\n@@ -1 +1 @@\n".to_owned(),
            "Quoting { line: 1, text: `\"a/x` }",
        ),
        (
            "--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-x\n+y\n".to_owned(),
            "Header { line: 1, problem: BothNull }",
        ),
        (
            "--- /dev/null\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n".to_owned(),
            "Header { line: 1, problem: NewWithOldLines }",
        ),
        (
            "--- a/x\n+++ /dev/null\n@@ -1 +1 @@\n-x\n+y\n".to_owned(),
            "Header { line: 1, problem: DeletedWithNewLines }",
        ),
    ];
    for (text, expected) in cases {
        let error = error(&text);
        assert_eq!(format!("{error:?}"), expected, "{text}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_signature_is_not_a_removed_line() {
    let patch = parse("--- a/x\n+++ b/x\n@@ -1,2 +1,1 @@\n x\n-y\n-- \n2.39\n");
    assert_eq!(patch.files[0].hunks[0].lines().count(), 2);
}

proptest::proptest! {
    #[test]
    fn no_input_panics(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let _ = Patch::parse(&input);
        let _ = parse_series(&input);
    }

    #[test]
    fn no_near_patch_panics(lines in proptest::collection::vec(proptest::sample::select(vec![
        "diff --git a/x b/x", "--- a/x", "+++ b/x", "--- /dev/null", "+++ \"b/\\303\"", "@@ -1,3 +1,2 @@",
        "@@ -0,0 +1 @@", " a", "-b", "+c", "\\ No newline", "", "index 1..2 100644", "new file mode 100644",
        "rename from x", "rename to y", "-- ", "Index: x", "GIT binary patch", "\r", "@@ -1 +1 @@\r",
    ]), 0..30)) {
        let text = lines.join("\n");
        if let Ok(patch) = Patch::parse(text.as_bytes()) {
            for hunk in patch.files.iter().flat_map(|f| &f.hunks) {
                let (mut old, mut new) = (0, 0);
                for line in hunk.lines() {
                    old += u64::from(line.kind != LineKind::Added);
                    new += u64::from(line.kind != LineKind::Removed);
                }
                proptest::prop_assert_eq!((old, new), (hunk.old.count, hunk.new.count));
            }
        }
    }
}
