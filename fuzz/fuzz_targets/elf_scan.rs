#![no_main]
//! Any bytes: the scan and the call graph give values or errors.

use libfuzzer_sys::fuzz_target;
use lupine_kml::scan::{Functions, scan};

fuzz_target!(|data: &[u8]| {
    let _ = scan(data);
    if let Ok(file) = Functions::read(data) {
        for index in 0..file.list().len() {
            let _ = file.values(index);
        }
    }
});
