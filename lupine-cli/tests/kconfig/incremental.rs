//! Changing one symbol after another gives what computing everything anew gives.

use crate::generate::generate;
use crate::random::Random;
use crate::reference::{Kernel, Version};
use crate::solutions::load;
use lupine_kconfig::{
    Configuration, Dialect, Environment, Kconfig, MemoryFiles, PropertyKind, RefuseShell, SymbolId,
    SymbolType,
};

/// What a user can change: symbols with a prompt.
fn prompted(tree: &Kconfig) -> Vec<SymbolId> {
    let has = |id: &SymbolId, kind| tree.properties_of(*id, kind).next().is_some();
    tree.symbols()
        .filter(|id| !tree.get(*id).is_choice() && tree.get(*id).is_defined())
        .filter(|id| has(id, PropertyKind::Prompt) || has(id, PropertyKind::Menu))
        .collect()
}

fn some_value(tree: &Kconfig, id: SymbolId, random: &mut Random) -> &'static str {
    match tree.get(id).symbol_type() {
        SymbolType::Bool => random.pick(&["y", "n"]),
        SymbolType::Tristate => random.pick(&["y", "m", "n"]),
        SymbolType::Int => random.pick(&["0", "7", "64", "100000"]),
        SymbolType::Hex => random.pick(&["0x0", "0x10", "0xffff0000"]),
        _ => random.pick(&["", "text", "\"quoted\""]),
    }
}

/// `config` computed anew; none where a value depends on which symbol is asked for first. In a
/// circle through a choice it does, in the kernel's own conf as well.
fn anew<'a>(config: &Configuration<'a>, tree: &Kconfig) -> Option<Configuration<'a>> {
    let mut forwards = config.clone();
    forwards.forget_values();
    let mut backwards = forwards.clone();
    let ids: Vec<SymbolId> = tree.symbols().collect();
    for &id in ids.iter().rev() {
        backwards.value_bytes(id);
    }
    let mut pairs = ids.into_iter();
    pairs
        .all(|id| forwards.value_bytes(id) == backwards.value_bytes(id))
        .then_some(forwards)
}

/// Changes symbols one by one; after every change each value, and whether it is written and
/// visible, has to be that of a configuration that is computed anew.
fn compare(tree: &Kconfig, name: &str, start: &[u8], changes: usize, random: &mut Random) {
    let symbols = prompted(tree);
    if symbols.is_empty() {
        return;
    }
    let mut config = Configuration::new(tree);
    config.read(start);
    if anew(&config, tree).is_none() {
        return;
    }
    config.update();
    let mut said: Vec<Vec<u8>> = tree
        .symbols()
        .map(|id| config.value_bytes(id).to_vec())
        .collect();
    for step in 0..changes {
        let id = random.pick(&symbols);
        let value = some_value(tree, id, random);
        let shown = String::from_utf8_lossy(tree.name(id).unwrap()).into_owned();
        if random.chance(15) {
            config.unset(id);
        } else if !config.set_bytes(id, value.as_bytes()) {
            continue;
        }
        let Some(mut anew) = anew(&config, tree) else {
            return;
        };
        let changed = config.update();
        for other in tree.symbols() {
            let about = || {
                let other = String::from_utf8_lossy(tree.name(other).unwrap_or_default());
                format!("{name}, step {step}, {shown}={value}: {other}")
            };
            assert_eq!(
                config.value_bytes(other),
                anew.value_bytes(other),
                "{}",
                about()
            );
            assert_eq!(
                config.is_written(other),
                anew.is_written(other),
                "{}",
                about()
            );
            assert_eq!(
                config.visibility(other),
                anew.visibility(other),
                "{}",
                about()
            );
            let now = config.value_bytes(other).to_vec();
            let before = std::mem::replace(&mut said[other.index()], now);
            assert_eq!(
                changed.binary_search(&other).is_ok(),
                before != said[other.index()],
                "{} is reported when it changes",
                about()
            );
        }
    }
    config.take_warnings();
}

#[test]
fn changes_of_whole_trees() {
    let changes = if std::env::var_os("LUPINE_TEST_ALL").is_some() {
        1500
    } else {
        60
    };
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        let (tree, _) = load(kernel);
        let defconfig = kernel.tree.join("arch/x86/configs/x86_64_defconfig");
        let start = std::fs::read(defconfig).unwrap();
        compare(&tree, &kernel.release, &start, changes, &mut Random::new(7));
    }
}

#[test]
fn changes_of_generated_files() {
    let files = if std::env::var_os("LUPINE_TEST_ALL").is_some() {
        20_000
    } else {
        1000
    };
    let mut loaded = 0;
    for (version, dialect) in [
        (Version::V6_1, Dialect::LINUX_6_1),
        (Version::V6_12, Dialect::LINUX_6_12),
    ] {
        for seed in 0..files {
            let generated = generate(version, seed);
            let files = MemoryFiles::from([("Kconfig", generated.kconfig.as_bytes())]);
            let environment = Environment::new();
            let tree = Kconfig::load(
                &files,
                "Kconfig",
                &environment,
                &RefuseShell,
                dialect.clone(),
            );
            let Ok(tree) = tree else { continue };
            loaded += 1;
            let name = format!("{version:?} generated {seed}");
            compare(&tree, &name, b"", 12, &mut Random::new(seed));
        }
    }
    assert!(loaded * 3 > files, "only {loaded} files are legal");
}
