//! What a user sees of what is wrong: the place, the line, and the part of it underlined.

use lupine_kconfig::{
    Configuration, Diagnostic, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell,
};

fn findings(text: &[u8]) -> Vec<Diagnostic> {
    let files = MemoryFiles::from([("Kconfig", text)]);
    let dialect = Dialect::LINUX_6_12;
    match Kconfig::load(
        &files,
        "Kconfig",
        &Environment::new(),
        &RefuseShell,
        dialect,
    ) {
        Ok(tree) => tree.diagnostics().to_vec(),
        Err(error) => error.diagnostics().to_vec(),
    }
}

fn shown(text: &str) -> String {
    let lines: Vec<String> = findings(text.as_bytes())
        .iter()
        .map(ToString::to_string)
        .collect();
    lines.join("\n")
}

#[test]
fn errors_are_underlined_as_many_as_there_are() {
    let text = "config A\n\tbool \"a\" nonsense\n\nconfig B\n\tbool \"b\"\n\tdepends on A &&\n\n\
                frobnicate\n";
    let report = shown(text);
    assert!(report.contains("Kconfig:2:11: error"), "{report}");
    assert!(
        report.contains("     bool \"a\" nonsense\n              ^^^^^^^^"),
        "{report}"
    );
    assert!(report.contains("Kconfig:6:"), "{report}");
    assert!(
        report.contains("unknown statement \"frobnicate\""),
        "{report}"
    );
}

#[test]
fn recursion_is_shown_with_the_whole_circle() {
    let report = shown(
        "config A\n\tbool \"a\"\n\tdepends on B\n\nconfig B\n\tbool \"b\"\n\tdepends on C\n\n\
         config C\n\tbool \"c\"\n\tdepends on A\n",
    );
    for name in ["symbol A", "symbol B", "symbol C"] {
        assert!(report.contains(name), "{report}");
    }
}

#[test]
fn oddities_are_warnings_with_a_place() {
    let report = shown("config A\n\tbool \"a\"\n\tint\n\tprompt \" b\"\n");
    assert!(
        report.contains("Kconfig:1: warning: ignoring type redefinition"),
        "{report}"
    );
    assert!(
        report.contains("warning: leading whitespace ignored"),
        "{report}"
    );
}

#[test]
fn inclusion_without_end_is_an_error() {
    let report = shown("source \"Kconfig\"\n");
    assert!(
        report.contains("recursive") || report.contains("inclu"),
        "{report}"
    );
}

#[test]
fn inclusion_without_end_is_found_where_no_line_end_follows() {
    let files = MemoryFiles::from([
        ("Kconfig", "source \"a\"\nsource \"a\"\n"),
        ("a", "source \"b\""),
        ("b", "config B\n\tbool\n"),
        ("loop", "source \"other\"\n"),
        ("other", "source \"third\""),
        ("third", "config T\n\tbool\n\nsource \"other\""),
    ]);
    for dialect in Dialect::ALL {
        let load = |top: &str| {
            let environment = Environment::new();
            Kconfig::load(&files, top, &environment, &RefuseShell, dialect.clone())
        };
        assert!(load("Kconfig").is_ok(), "a file may be included twice");
        let error = load("loop").map(|_| ()).expect_err("a circle");
        assert!(error.to_string().contains("Recursive inclusion"), "{error}");
    }
}

#[test]
fn deep_nesting_is_an_error_or_works() {
    for depth in [100, 5_000, 200_000] {
        let nested = format!(
            "config A\n\tbool \"a\"\n\tdepends on {}A{}\n",
            "(".repeat(depth),
            ")".repeat(depth)
        );
        findings(nested.as_bytes());
        let negated = format!(
            "config A\n\tbool \"a\"\n\tdepends on {}A\n",
            "!".repeat(depth)
        );
        findings(negated.as_bytes());
        findings("if A\n".repeat(depth).as_bytes());
        findings(format!("V := {}\n", "$(".repeat(depth)).as_bytes());
        let ands = format!(
            "config A\n\tbool \"a\"\n\tdepends on {}A\n",
            "B && ".repeat(depth)
        );
        findings(ands.as_bytes());
    }
}

/// Symbols `S0`, `S1`, ...: the first as `first` says, each other one as `next` of the one before.
fn chain(length: usize, first: &str, next: impl Fn(usize) -> String) -> String {
    let mut text = format!("config S0\n\t{first}\n\n");
    for number in 1..length {
        text.push_str(&format!("config S{number}\n\t{}\n\n", next(number - 1)));
    }
    text
}

#[test]
fn long_chains_of_symbols_are_evaluated_or_rejected() {
    for (length, accepted) in [(1_400, true), (20_000, false)] {
        let text = chain(length, "bool \"s\"\n\tdefault y", |before| {
            format!("bool\n\tdefault S{before}")
        });
        let files = MemoryFiles::from([("Kconfig", text)]);
        let (environment, dialect) = (Environment::new(), Dialect::LINUX_6_12);
        let loaded = Kconfig::load(&files, "Kconfig", &environment, &RefuseShell, dialect);
        assert_eq!(loaded.is_ok(), accepted, "{length}");
        if let Ok(tree) = loaded {
            let last = format!("S{}", length - 1);
            let mut config = Configuration::new(&tree);
            assert_eq!(config.value(&last).as_deref(), Some("y"));
            config.set("S0", "n");
            assert_eq!(config.value(&last).as_deref(), Some("n"));
            assert_eq!(config.update(), [], "asking has brought all up to date");
            assert!(
                lupine_kconfig::graph::Graph::new(&tree)
                    .circles()
                    .is_empty()
            );
        }
    }
}

#[test]
fn long_chains_of_submenus_are_rejected() {
    for (length, accepted) in [(400, true), (60_000, false)] {
        let text = chain(length, "bool \"s\"", |before| {
            format!("bool \"s\"\n\tdepends on S{before}")
        });
        let found = findings(text.as_bytes());
        assert_eq!(found.is_empty(), accepted, "{length}: {:?}", found.first());
    }
}

#[test]
fn a_symbol_may_be_declared_a_hundred_thousand_times() {
    let text = "config A\n\tbool \"a\"\n\n".repeat(100_000);
    assert!(findings(text.as_bytes()).is_empty());
}

#[test]
fn chains_of_ranges_do_not_end_the_program() {
    let text = chain(20_000, "int \"s\"", |before| {
        format!("int\n\trange S{before} 9")
    });
    let files = MemoryFiles::from([("Kconfig", text)]);
    let (environment, dialect) = (Environment::new(), Dialect::LINUX_6_12);
    let tree = Kconfig::load(&files, "Kconfig", &environment, &RefuseShell, dialect).unwrap();
    let mut config = Configuration::new(&tree);
    config.value("S19999");
    let warnings = String::from_utf8(config.take_warnings()).unwrap();
    assert!(warnings.contains("depend on one another"), "{warnings}");
}

#[test]
fn garbage_ends_in_a_diagnostic() {
    // As long as the default run allows; 100 MB with the slow tests.
    let size = if std::env::var_os("LUPINE_TEST_ALL").is_some() {
        100 << 20
    } else {
        1 << 20
    };
    let mut state = 0x9e37_79b9_u32;
    let mut noise = Vec::with_capacity(size);
    while noise.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend_from_slice(&state.to_le_bytes());
    }
    assert!(!findings(&noise).is_empty());
    for byte in [b'(', b'"', b'\\', b'$', b' ', b'\t', 0, 0xff] {
        findings(&vec![byte; size / 8]);
    }
}
