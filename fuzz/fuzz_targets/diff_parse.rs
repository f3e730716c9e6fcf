//! Patches and series files: no input panics, and every hunk holds the lines its header counts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lupine_kml::diff::{LineKind, Patch, parse_series};

fuzz_target!(|input: &[u8]| {
    let _ = parse_series(input);
    let Ok(patch) = Patch::parse(input) else { return };
    for hunk in patch.files.iter().flat_map(|file| &file.hunks) {
        let (mut old, mut new) = (0, 0);
        for line in hunk.lines() {
            old += u64::from(line.kind != LineKind::Added);
            new += u64::from(line.kind != LineKind::Removed);
        }
        assert_eq!((old, new), (hunk.old.count, hunk.new.count));
    }
});
