//! Generated Kconfig files through every mode.

use crate::generate::generate;
use crate::random::Random;
use crate::reference::{Kernel, Version};
use crate::run::{Differences, Setting};

const MODES: [&str; 14] = [
    "--olddefconfig",
    "--allyesconfig",
    "--allmodconfig",
    "--allnoconfig",
    "--alldefconfig",
    "--randconfig",
    "--oldconfig",
    "--oldaskconfig",
    "--syncconfig",
    "--listnewconfig",
    "--helpnewconfig",
    "--yes2modconfig",
    "--mod2yesconfig",
    "--mod2noconfig",
];

/// Generated files of one release. A file that the reference rejects is compared too: what it says
/// about recursion counts.
fn files(version: Version, seeds: std::ops::Range<u64>) {
    let Some(kernel) = Kernel::get(version) else {
        return;
    };
    let mut differences = Differences::default();
    let (first, count) = (seeds.start, (seeds.end - seeds.start) as usize);
    let mut accepted = 0;
    for seed in seeds {
        let generated = generate(version, seed);
        let mut random = Random::new(seed ^ 0x5eed);
        let mut setting = Setting::small(kernel);
        setting.file("Kconfig", generated.kconfig.as_bytes());
        if random.chance(85) {
            setting.file(".config", generated.config(&mut random).as_bytes());
        }
        setting.stdin = generated.answers(&mut random);
        let mode = MODES[(seed - first) as usize % MODES.len()];
        let seed_variable = format!("KCONFIG_SEED={}", seed * 7919);
        let before = differences.count();
        differences.about(format!("generated {seed}"));
        let outcomes = setting.compare_with(
            &kernel.repaired,
            &[
                &[&seed_variable, mode, "Kconfig"],
                &["--savedefconfig=defconfig", "Kconfig"],
                &["--olddefconfig", "Kconfig"],
            ],
            &mut differences,
        );
        // The last run asks nothing, so that its status is about the file.
        accepted += usize::from(outcomes[2].status == 0);
        if differences.count() > before
            && let Some(directory) = std::env::var_os("LUPINE_KEEP_DIFFERENCES")
        {
            let directory = std::path::Path::new(&directory).join(format!("{version:?}-{seed}"));
            std::fs::create_dir_all(&directory).unwrap();
            for (path, content) in &setting.files {
                std::fs::write(directory.join(path), content).unwrap();
            }
            std::fs::write(directory.join("stdin"), &setting.stdin).unwrap();
        }
    }
    assert!(
        accepted * 3 > count,
        "only {accepted} of {count} files are legal"
    );
    differences.finish(count);
}

fn slow_files(version: Version, seeds: std::ops::Range<u64>) {
    if std::env::var_os("LUPINE_TEST_ALL").is_some() {
        files(version, seeds);
    }
}

#[test]
fn generated_files_of_6_1() {
    files(Version::V6_1, 0..140);
}

#[test]
fn generated_files_of_6_12() {
    files(Version::V6_12, 10_000..10_140);
}

/// Each ends with one that differed: 6.12, too, asks by prompts as visible as they were when they
/// were last computed.
#[test]
fn files_whose_prompts_change_while_it_asks() {
    for seed in [206_251, 206_853, 208_589, 209_261] {
        files(Version::V6_12, seed - 7..seed + 1);
    }
}

#[test]
fn many_generated_files_of_6_1() {
    slow_files(Version::V6_1, 100_000..110_000);
}

#[test]
fn many_generated_files_of_6_12() {
    slow_files(Version::V6_12, 200_000..210_000);
}
