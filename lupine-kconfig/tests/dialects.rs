//! What each dialect reads beside the language of today's kernel, and what it does not.
#![allow(
    clippy::unwrap_used,
    reason = "a test helper that fails fails the test"
)]

use lupine_kconfig::{Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};

/// The `.config` that a tree gives with some lines of an old one, without its heading.
fn written(
    dialect: Dialect,
    files: &[(&str, &str)],
    variables: &[(&str, &str)],
    old: &str,
) -> String {
    let mut known = MemoryFiles::new();
    for (name, text) in files {
        known.insert(*name, *text);
    }
    let environment: Environment = variables
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    let tree = Kconfig::load(&known, files[0].0, &environment, &RefuseShell, dialect)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut config = Configuration::new(&tree);
    config.read(old.as_bytes());
    let text = String::from_utf8(config.write()).unwrap();
    let lines = text
        .lines()
        .filter(|line| line.contains('=') || line.ends_with("is not set"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What is wrong with a file, as a user sees it.
fn rejected(dialect: Dialect, text: &str) -> String {
    let files = MemoryFiles::from([("Kconfig", text)]);
    let loaded = Kconfig::load(
        &files,
        "Kconfig",
        &Environment::new(),
        &RefuseShell,
        dialect,
    );
    loaded.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn newer_kernels_rename_options_and_depend_under_a_condition() {
    let text = "config NEW\n\tbool \"new\"\n\tdefault OLD\n\nconfig OLD\n\tbool\n\ttransitional\n\n\
                config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\n\
                config C\n\tbool \"c\"\n\tdepends on A if B\n";
    let files = [("Kconfig", text)];
    // The value under the old name is taken over, and the old name goes.
    let config = written(
        Dialect::LINUX_NEXT,
        &files,
        &[],
        "CONFIG_OLD=y\nCONFIG_C=y\n",
    );
    assert_eq!(
        config,
        "CONFIG_NEW=y\n# CONFIG_A is not set\n# CONFIG_B is not set\nCONFIG_C=y"
    );
    let config = written(Dialect::LINUX_NEXT, &files, &[], "CONFIG_B=y\nCONFIG_C=y\n");
    assert!(
        !config.contains("CONFIG_C"),
        "C needs A where B is on: {config}"
    );
    let config = written(
        Dialect::LINUX_NEXT,
        &files,
        &[],
        "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n",
    );
    assert!(
        config.ends_with("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y"),
        "{config}"
    );
    for line in ["\ttransitional\n", "\tdepends on A if B\n"] {
        let text = format!("config A\n\tbool \"a\"\n{line}");
        let report = rejected(Dialect::LINUX_6_12, &text);
        assert!(report.contains("Kconfig:3:"), "{report}");
    }
}

const OLD: &str = "mainmenu \"Old\"\n\nconfig TARGET\n\tstring\n\toption env=\"TARGET\"\n\n\
    config NAME\n\tstring\n\tdefault \"$TARGET-x\"\n\n\
    config MODULES\n\tbool \"modules\"\n\toption modules\n\n\
    config A\n\tboolean \"a\"\n\tdefault y\n\t---help---\n\t  Text.\n\n\
    source sub/Kconfig\nsource \"$TARGET/Kconfig\"\n";

#[test]
fn old_kernels_and_their_relatives() {
    let files = [
        ("Kconfig", OLD),
        (
            "sub/Kconfig",
            "config SUB\n\ttristate \"sub\"\n\tdefault m\n",
        ),
        ("arm/Kconfig", "config ARM\n\tbool\n\tdefault y\n"),
    ];
    let variables = [("TARGET", "arm")];
    for dialect in [
        Dialect::LINUX_4,
        Dialect::BUSYBOX,
        Dialect::U_BOOT,
        Dialect::COREBOOT,
    ] {
        let name = dialect.name();
        let config = written(dialect, &files, &variables, "CONFIG_MODULES=y\n");
        for line in [
            "CONFIG_MODULES=y",
            "CONFIG_A=y",
            "CONFIG_SUB=m",
            "CONFIG_ARM=y",
        ] {
            assert!(config.contains(line), "{name}: {config}");
        }
    }
    // Buildroot's names have no prefix.
    let config = written(Dialect::BUILDROOT, &files, &variables, "MODULES=y\n");
    assert!(config.contains("\nA=y\nSUB=m\nARM=y"), "{config}");
    assert!(
        rejected(Dialect::LINUX_6_12, OLD).contains("Kconfig:5"),
        "option env= is no more"
    );
}

#[test]
fn old_words_may_have_dots_and_slashes() {
    let text = "config FILE\n\tstring\n\tdefault ubootefi.var\n\n\
                config PATH\n\tstring\n\tdefault ./a/b.c\n";
    let config = written(Dialect::U_BOOT, &[("Kconfig", text)], &[], "");
    assert_eq!(
        config,
        "CONFIG_FILE=\"ubootefi.var\"\nCONFIG_PATH=\"./a/b.c\""
    );
    assert!(rejected(Dialect::LINUX_NEXT, "source a/b\n").contains("Kconfig:1"));
}

/// What the programs of old kernels, U-Boot and busybox do otherwise than 6.1.
#[test]
fn early_programs_evaluate_and_write_differently() {
    let text = "config A\n\tbool \"a\"\n\timply B\n\nconfig B\n\tbool\n\tdepends on C\n\n\
                config C\n\tbool\n\tdefault n\n\n\
                menu \"Menu\"\n\nconfig I\n\tint \"i\"\n\trange 007 9\n\tdefault 1\n\n\
                config S\n\tstring \"s\"\n\nconfig K\n\tbool \"k\"\n\toption allnoconfig_y\n\n\
                endmenu\n";
    let old = "CONFIG_A=y\nCONFIG_S=\"a\\n\"\n";
    let value = |dialect| written(dialect, &[("Kconfig", text)], &[], old);
    let u_boot = value(Dialect::U_BOOT);
    assert_eq!(
        u_boot,
        "CONFIG_A=y\nCONFIG_I=7\nCONFIG_S=\"a\\n\"\n# CONFIG_K is not set"
    );
    let linux = value(Dialect::LINUX_4);
    assert_eq!(
        linux,
        "CONFIG_A=y\n# CONFIG_C is not set\nCONFIG_I=7\nCONFIG_S=\"an\"\n# CONFIG_K is not set"
    );
    let busybox = value(Dialect::BUSYBOX);
    assert!(busybox.contains("# CONFIG_B is not set"), "{busybox}");
    // coreboot follows today's rules: an implied symbol is written, the bound's text stays.
    let coreboot = value(Dialect::COREBOOT);
    assert!(
        coreboot.contains("# CONFIG_B is not set\nCONFIG_I=007"),
        "{coreboot}"
    );
}

#[test]
fn optional_named_and_tristate_choices() {
    let text = "config MODULES\n\tbool \"modules\"\n\tmodules\n\n\
                choice PICK\n\ttristate \"pick\"\n\toptional\n\n\
                config X\n\ttristate \"x\"\n\nconfig Y\n\ttristate \"y\"\n\nendchoice\n";
    let files = [("Kconfig", text)];
    for dialect in [Dialect::LINUX_6_1, Dialect::U_BOOT] {
        let old = "CONFIG_MODULES=y\nCONFIG_X=m\nCONFIG_Y=m\n";
        let config = written(dialect.clone(), &files, &[], old);
        assert_eq!(config, "CONFIG_MODULES=y\nCONFIG_X=m\nCONFIG_Y=m");
        let config = written(dialect, &files, &[], "");
        // Off, the choice hides its members.
        assert_eq!(config, "# CONFIG_MODULES is not set");
    }
    assert!(rejected(Dialect::LINUX_6_12, text).contains("Kconfig:5"));
}

#[test]
fn patterns_in_source() {
    let files = [
        (
            "Kconfig",
            "source \"vendor/*/Kconfig\"\nsource \"none/*/Kconfig\"\n",
        ),
        ("vendor/b/Kconfig", "config B\n\tbool\n\tdefault y\n"),
        ("vendor/a/Kconfig", "config A\n\tbool\n\tdefault y\n"),
        ("vendor/a/other", "config OTHER\n\tbool\n\tdefault y\n"),
    ];
    assert_eq!(
        written(Dialect::COREBOOT, &files, &[], ""),
        "CONFIG_A=y\nCONFIG_B=y"
    );
}

#[test]
fn the_language_of_zephyr() {
    let files = [
        (
            "Kconfig",
            "rsource \"soc/Kconfig\"\nosource \"missing\"\norsource \"missing/*/Kconfig\"\n",
        ),
        (
            "soc/Kconfig",
            "config SIZE\n\tdef_int 64\n\nconfig BASE\n\tdef_hex 0x1000\n\n\
             config BOARD\n\tdef_string \"qemu\"\n\nrsource \"part/Kconfig\"\n",
        ),
        ("soc/part/Kconfig", "config PART\n\tdef_bool y\n"),
    ];
    assert_eq!(
        written(Dialect::ZEPHYR, &files, &[], ""),
        "CONFIG_SIZE=64\nCONFIG_BASE=0x1000\nCONFIG_BOARD=\"qemu\"\nCONFIG_PART=y"
    );
    assert!(rejected(Dialect::ZEPHYR, "rsource \"no/*\"\n").contains("no file matches"));
}

#[test]
fn a_tree_shows_its_dialect() {
    let detect = |files: &[(&str, &str)]| {
        let mut known = MemoryFiles::new();
        for (name, text) in files {
            known.insert(*name, *text);
        }
        Dialect::detect(&known).map(|dialect| dialect.name())
    };
    let linux = "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n";
    let conf = ("scripts/kconfig/conf.c", "");
    assert_eq!(detect(&[("Makefile", linux), conf]), Some("linux-6.12"));
    let old = "VERSION = 6\nPATCHLEVEL = 1\n";
    assert_eq!(detect(&[("Makefile", old), conf]), Some("linux-6.1"));
    let u_boot = "VERSION = 2025\nPATCHLEVEL = 01\nUBOOTVERSION = $(VERSION)\n";
    assert_eq!(detect(&[("Makefile", u_boot), conf]), Some("u-boot"));
    assert_eq!(
        detect(&[("Kconfig.zephyr", ""), ("Kconfig", "")]),
        Some("zephyr")
    );
    assert_eq!(
        detect(&[("Config.in", ""), ("package/Config.in", "")]),
        Some("buildroot")
    );
    assert_eq!(
        detect(&[("Config.in", ""), ("include/applets.src.h", "")]),
        Some("busybox")
    );
    assert_eq!(detect(&[("src/mainboard/Kconfig", "")]), Some("coreboot"));
    assert_eq!(detect(&[("Kconfig", "")]), None);
}
