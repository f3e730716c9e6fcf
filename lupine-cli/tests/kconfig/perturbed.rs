//! Random configurations of whole trees, perturbed, through every mode that reads a `.config`.

use crate::answers::replaying;
use crate::perturb::perturb;
use crate::random::Random;
use crate::reference::{Kernel, Version};
use crate::run::{Differences, Setting};
use crate::toolchain::Probes;
use std::path::Path;

const ARCHES: [&str; 6] = ["x86", "arm64", "riscv", "powerpc", "mips", "s390"];

/// What follows `olddefconfig`, one of them for each seed.
const MODES: [&[&str]; 8] = [
    &["--olddefconfig", "Kconfig"],
    &["--savedefconfig=defconfig", "Kconfig"],
    &["--listnewconfig", "Kconfig"],
    &["--yes2modconfig", "Kconfig"],
    &["--mod2yesconfig", "Kconfig"],
    &["--mod2noconfig", "Kconfig"],
    &["--helpnewconfig", "Kconfig"],
    &["-s", "--olddefconfig", "Kconfig"],
];

fn seeds(version: Version, seeds: impl Iterator<Item = usize>) {
    let Some(kernel) = Kernel::get(version) else {
        return;
    };
    let mut differences = Differences::default();
    let mut count = 0;
    for seed in seeds {
        count += 1;
        let mut random = Random::new(seed as u64);
        let arch = ARCHES[seed % ARCHES.len()];
        let probes = if random.chance(50) {
            Probes::Pass
        } else {
            Probes::Fail
        };
        let (setting, reference) = replaying(kernel, arch, probes);
        differences.about(format!("{arch}, probes {probes:?}, seed {seed}"));
        let variable = format!("KCONFIG_SEED={seed}");
        let probability = random.pick(&["", "10", "40:20", "10:30:20"]);
        let probability = format!("KCONFIG_PROBABILITY={probability}");
        let mut run = vec![variable.as_str(), "--randconfig", "Kconfig"];
        if seed % 2 == 1 {
            run.insert(0, &probability);
        }
        let before = differences.count();
        let outcome = setting.compare_with(&reference, &[&run], &mut differences);
        if differences.count() > before {
            continue;
        }
        let config = &outcome[0].files[Path::new(".config")];
        let percent = random.pick(&[1, 5, 25]);
        let config = perturb(config, percent, &mut random);
        let setting = setting.with_config(&config);
        let mode = MODES[seed / ARCHES.len() % MODES.len()];
        setting.compare_with(&reference, &[mode], &mut differences);
        if mode != MODES[0] {
            setting.compare_with(&reference, &[MODES[0]], &mut differences);
        }
    }
    differences.finish(count);
}

#[test]
fn thirty_seeds_of_6_1() {
    seeds(Version::V6_1, 1..31);
}

#[test]
fn fifteen_seeds_of_6_12() {
    seeds(Version::V6_12, 1..16);
}

#[test]
fn fifteen_more_seeds_of_6_12() {
    seeds(Version::V6_12, 16..31);
}

/// A number beyond its range is forgotten after what depends on it was computed.
#[test]
fn seeds_that_once_differed() {
    seeds(Version::V6_1, [1193, 1407].into_iter());
}

fn five_hundred_seeds(version: Version) {
    if std::env::var_os("LUPINE_TEST_ALL").is_some() {
        seeds(version, 1000..1500);
    }
}

#[test]
fn five_hundred_seeds_of_6_1() {
    five_hundred_seeds(Version::V6_1);
}

#[test]
fn five_hundred_seeds_of_6_12() {
    five_hundred_seeds(Version::V6_12);
}

/// The questions of `oldconfig`, `oldaskconfig` and `syncconfig` on a whole tree, answered with
/// what people type.
#[test]
fn questions() {
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        let mut differences = Differences::default();
        for seed in 0..4_u64 {
            let mut random = Random::new(seed ^ 0xabcd);
            let mut setting = Setting::tree(kernel, "x86", Probes::Pass);
            let mode = random.pick(&["--oldconfig", "--oldaskconfig"]);
            let lines = if seed == 3 { 200 } else { 20_000 };
            for _ in 0..lines {
                let answer = random.pick(&[
                    "", "", "", "y", "n", "m", "?", "1", "2", "Y", "N", "0x10", "512", "text",
                    " y ", "1?",
                ]);
                setting.stdin.extend(answer.as_bytes());
                setting.stdin.push(b'\n');
            }
            differences.about(format!("answers {seed}"));
            setting.compare(kernel, &[&[mode, "Kconfig"]], &mut differences);
        }
        differences.finish(4);
    }
}

/// What a build reads: `auto.conf`, `autoconf.h`, `rustc_cfg`, `auto.conf.cmd` and one file per
/// symbol; and what a change of the configuration touches.
#[test]
fn files_of_a_build() {
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        let mut differences = Differences::default();
        for arch in ["x86", "arm64"] {
            differences.about(format!("{arch} syncconfig"));
            let setting = Setting::tree(kernel, arch, Probes::Fail).syncing();
            let name = if arch == "x86" {
                "x86_64_defconfig"
            } else {
                "defconfig"
            };
            let outcome = setting.compare(
                kernel,
                &[
                    &[
                        &format!("--defconfig=arch/{arch}/configs/{name}"),
                        "Kconfig",
                    ],
                    &["--syncconfig", "Kconfig"],
                    &["--mod2noconfig", "Kconfig"],
                    &["--syncconfig", "Kconfig"],
                ],
                &mut differences,
            );
            let written = &outcome[3].files;
            for file in ["include/config/auto.conf", "include/generated/autoconf.h"] {
                assert!(written[Path::new(file)].len() > 10_000, "{file}");
            }
        }
        differences.finish(8);
    }
}

/// Fragments through `KCONFIG_ALLCONFIG`, as `make tinyconfig` uses it.
#[test]
fn allconfig_fragments() {
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        let mut differences = Differences::default();
        let setting = Setting::tree(kernel, "x86", Probes::Pass);
        let fragment = kernel.tree.join("kernel/configs/tiny-base.config");
        let variable = format!("KCONFIG_ALLCONFIG={}", fragment.display());
        for mode in [
            "--allnoconfig",
            "--allyesconfig",
            "--allmodconfig",
            "--alldefconfig",
        ] {
            setting.compare(kernel, &[&[&variable, mode, "Kconfig"]], &mut differences);
        }
        let mut setting = setting;
        setting.file(
            "all.config",
            b"CONFIG_64BIT=y\nCONFIG_EXPERT=y\n# CONFIG_NET is not set\n",
        );
        setting.file(
            "allno.config",
            b"CONFIG_NET=y\nCONFIG_HZ_100=y\nCONFIG_NR_CPUS=3\n",
        );
        setting.compare(
            kernel,
            &[
                &["KCONFIG_ALLCONFIG=1", "--allnoconfig", "Kconfig"],
                &["KCONFIG_ALLCONFIG=", "--allyesconfig", "Kconfig"],
                &["KCONFIG_ALLCONFIG=missing", "--allyesconfig", "Kconfig"],
                &[
                    "KCONFIG_ALLCONFIG=1",
                    "KCONFIG_SEED=5",
                    "--randconfig",
                    "Kconfig",
                ],
            ],
            &mut differences,
        );
        differences.finish(8);
    }
}
