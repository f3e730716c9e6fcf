//! Any bytes as a `.config`: what is written after reading them is read back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lupine_kconfig::{Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};

const TREE: &str = "config MODULES\n\tbool \"m\"\n\tmodules\n\nconfig A\n\tbool \"a\"\n\n\
    config B\n\ttristate \"b\"\n\tselect A\n\nconfig I\n\tint \"i\"\n\trange 1 9\n\n\
    config H\n\thex \"h\"\n\nconfig S\n\tstring \"s\"\n\nchoice\n\tprompt \"c\"\n\n\
    config X\n\tbool \"x\"\n\nconfig Y\n\tbool \"y\"\n\nendchoice\n";

fuzz_target!(|data: &[u8]| {
    for dialect in [Dialect::LINUX_6_12, Dialect::LINUX_6_1] {
        let files = MemoryFiles::from([("Kconfig", TREE)]);
        let environment = Environment::new();
        let Ok(tree) = Kconfig::load(&files, "Kconfig", &environment, &RefuseShell, dialect) else {
            panic!("the tree is legal");
        };
        let mut config = Configuration::new(&tree);
        config.read(data);
        let first = config.write();
        let mut again = Configuration::new(&tree);
        again.read(&first);
        assert_eq!(again.write(), first);
    }
});
