//! The boundaries of ARCHITECTURE.md, held by a machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "asks cargo for the dependency graph"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARIES: [&str; 3] = ["lupine-kconfig", "lupine-kml", "lupine-rootfs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Dependencies among the crates of this workspace, development ones left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let own = package["dependencies"].as_array().unwrap().iter();
            let own = own
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .map(|d| text(&d["name"]));
            (
                text(&package["name"]),
                own.filter(|name| name.starts_with("lupine")).collect(),
            )
        })
        .collect()
}

#[test]
fn crates_know_only_what_is_below_them() {
    let dependencies = dependencies();
    let of = |name: &str| {
        dependencies[name]
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
    };
    for library in LIBRARIES {
        assert_eq!(
            of(library),
            [""; 0],
            "{library} must not know another crate of lupine"
        );
    }
    assert_eq!(
        of("lupine"),
        LIBRARIES,
        "the pipeline knows the libraries and nothing above it"
    );
    assert!(of("lupine-cli").contains(&"lupine"));
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Non-test lines of a source file that hold one of `words`, comments left out.
fn offenders(path: &Path, words: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let lines = code.lines().filter(is_code);
    let hits = lines.filter(|line| words.iter().any(|word| line.contains(word)));
    hits.map(|line| format!("{}: {}", path.display(), line.trim()))
        .collect()
}

#[test]
fn libraries_start_no_process_read_no_environment_and_print_nothing() {
    let words = [
        "process::Command",
        "std::env",
        "env::var",
        "println!",
        "print!(",
        "stdout()",
    ];
    let mut files = Vec::new();
    for library in LIBRARIES {
        sources(&root().join(library).join("src"), &mut files);
    }
    assert!(files.len() >= LIBRARIES.len());
    let found: Vec<String> = files
        .iter()
        .flat_map(|path| offenders(path, &words))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn one_module_starts_processes() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("lupine-cli/src"), &mut files);
    let module = root().join("src/process");
    assert!(module.is_dir());
    let outside = files.iter().filter(|path| !path.starts_with(&module));
    let words = ["process::Command", "Command::new(\""];
    let found: Vec<String> = outside.flat_map(|path| offenders(path, &words)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_patch_series_carry_their_licence() {
    let patches = root().join("lupine-kml/patches");
    let licence = std::fs::read_to_string(patches.join("COPYING")).unwrap();
    assert!(licence.contains("GNU GENERAL PUBLIC LICENSE"));
}
