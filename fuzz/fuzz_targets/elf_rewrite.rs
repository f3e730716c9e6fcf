#![no_main]
//! Any bytes: what can be rewritten is verified and can be undone; everything else is an error.

use libfuzzer_sys::fuzz_target;
use lupine_kml::rewrite::{Options, rewrite_bytes, undo_bytes};
use lupine_kml::verify_rewrite::verify;

fuzz_target!(|data: &[u8]| {
    let _ = verify(None, data);
    let _ = undo_bytes(data);
    if let Ok(done) = rewrite_bytes(data, &Options::default()) {
        if done.report.rewritten > 0 {
            verify(Some(&undo_bytes(&done.bytes).expect("what we wrote can be undone")), &done.bytes).expect("verified");
        }
    }
});
