//! Any bytes as a reference of the macro language, with functions and variables to refer to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lupine_kconfig::{Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};

fuzz_target!(|data: &[u8]| {
    let mut text = b"f = [$(1)|$(2)|$(f,$(1))]\ng = $(f,$(2),$(1))\nX := x\nY = $(X)$(Z)\n".to_vec();
    text.extend_from_slice(b"$(info,");
    text.extend_from_slice(data);
    text.extend_from_slice(b")\nV := ");
    text.extend_from_slice(data);
    text.extend_from_slice(b"\nconfig A\n\tstring\n\tdefault \"$(V)\"\n");
    let files = MemoryFiles::from([("Kconfig", text)]);
    let environment = Environment::from([(b"Z".to_vec(), data.to_vec())]);
    drop(Kconfig::load(&files, "Kconfig", &environment, &RefuseShell, Dialect::LINUX_6_12));
});
