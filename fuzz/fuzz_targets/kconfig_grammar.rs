//! Any bytes as a Kconfig file, in every dialect: read, evaluated and written, or rejected.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lupine_kconfig::{Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let dialect = Dialect::ALL[usize::from(*choice) % Dialect::ALL.len()].clone();
    let files = MemoryFiles::from([("Kconfig", text), ("other", text)]);
    if let Ok(tree) = Kconfig::load(&files, "Kconfig", &Environment::new(), &RefuseShell, dialect) {
        let mut config = Configuration::new(&tree);
        config.write();
        config.write_defconfig();
        config.write_auto_conf();
    }
});
