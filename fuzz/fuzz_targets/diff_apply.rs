//! Patches on trees: no input panics, a rejection changes nothing, and a report survives JSON.
//!
//! The input is the content of two files and a patch, separated by NUL; the first byte chooses
//! fuzz and direction.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lupine_kml::apply::{self, Entry, MemoryTree, Options, Outcome, Report, Series};
use lupine_kml::diff::TreePath;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    let mut parts = rest.splitn(3, |&byte| byte == 0);
    let (Some(x), Some(y), Some(patch)) = (parts.next(), parts.next(), parts.next()) else { return };
    let mut tree = MemoryTree::default();
    for (name, content) in [(&b"x"[..], x), (b"d/y", y)] {
        if let Ok(path) = TreePath::new(name) {
            tree.files.insert(path, Entry::file(content));
        }
    }
    let options = Options { fuzz: usize::from(choice & 3), reverse: choice & 4 != 0 };
    let series = Series::single("fuzz", patch.to_vec());
    let Ok(plan) = apply::plan(&tree, &series, options) else { return };
    if plan.report.outcome != Outcome::Applies {
        assert!(plan.changes.is_empty());
    }
    if let Ok(json) = serde_json::to_string(&plan.report) {
        assert_eq!(serde_json::from_str::<Report>(&json).ok().as_ref(), Some(&plan.report));
    }
    tree.write(&plan.changes);
});
