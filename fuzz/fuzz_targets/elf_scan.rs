#![no_main]
//! Any bytes: the scan and the call graph give values or errors.

use libfuzzer_sys::fuzz_target;
use lupine_kml::scan::{functions, scan};

fuzz_target!(|data: &[u8]| {
    let _ = scan(data);
    let _ = functions(data);
});
