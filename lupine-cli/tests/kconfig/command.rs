//! `lupine config ...` as a user meets it, on real trees with the machine's compiler.

use crate::reference::{Kernel, Version, require, run, skip};
use lupine::kernel::toolchain::{Compiler, Toolchain};
use lupine::kernel::version::KernelVersion;
use lupine::process::Cancel;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Probes of the compiler are run once for all tests.
fn cache() -> &'static Path {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

fn lupine(kernel: &Kernel, directory: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lupine"));
    command.arg("config").args(args);
    if args[0] != "diff" {
        command.arg("--src").arg(&kernel.tree);
    }
    command
        .current_dir(directory)
        .env("LUPINE_CACHE", cache())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command that must succeed prints.
fn printed(kernel: &Kernel, directory: &Path, args: &[&str]) -> String {
    let output = lupine(kernel, directory, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn failed(kernel: &Kernel, directory: &Path, args: &[&str], status: i32) -> String {
    let output = lupine(kernel, directory, args);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {message}");
    message
}

fn json(kernel: &Kernel, directory: &Path, args: &[&str]) -> Value {
    let mut args = args.to_vec();
    args.push("--json");
    serde_json::from_str(&printed(kernel, directory, &args)).unwrap()
}

/// The reference, in a directory of its own with this machine's compiler.
fn conf(kernel: &Kernel, arch: &str, config: &[u8], args: &[&str], result: &str) -> Vec<u8> {
    let toolchain = Toolchain::detect(Compiler::Gcc, true, &Cancel::new()).unwrap();
    let makefile = fs::read(kernel.tree.join("Makefile")).unwrap();
    let version = KernelVersion::of_makefile(&makefile).unwrap();
    let mut variables = toolchain.kconfig_environment(&kernel.tree, &version);
    variables.insert("ARCH".to_owned(), arch.to_owned());
    let source = if arch == "x86_64" { "x86" } else { arch };
    variables.insert("SRCARCH".to_owned(), source.to_owned());
    let directory = tempfile::tempdir().unwrap();
    let generated = directory.path().join("include/config");
    fs::create_dir_all(&generated).unwrap();
    fs::write(generated.join("auto.conf"), b"").unwrap();
    fs::write(directory.path().join(".config"), config).unwrap();
    let output = Command::new(&kernel.conf)
        .args(args)
        .current_dir(directory.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(variables)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::read(directory.path().join(result)).unwrap()
}

#[test]
fn modes_give_what_the_tree_s_conf_gives() {
    let Some(kernel) = Kernel::get(Version::V6_12) else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path();
    let arguments = [
        "conf",
        "--mode",
        "defconfig",
        "--config",
        "x86_64_defconfig",
        "-o",
        "x86",
    ];
    assert_eq!(printed(kernel, directory, &arguments), "");
    let x86 = fs::read(directory.join("x86")).unwrap();
    let file = "--defconfig=arch/x86/configs/x86_64_defconfig";
    assert!(x86 == conf(kernel, "x86_64", b"", &[file, "Kconfig"], ".config"));

    let saved = printed(
        kernel,
        directory,
        &["conf", "--mode=savedefconfig", "--config=x86"],
    );
    let expected = conf(
        kernel,
        "x86_64",
        &x86,
        &["--savedefconfig=saved", "Kconfig"],
        "saved",
    );
    assert!(saved.as_bytes() == expected);

    let arguments = ["conf", "--mode=allmodconfig", "--arch=arm64"];
    let expected = conf(
        kernel,
        "arm64",
        b"",
        &["--allmodconfig", "Kconfig"],
        ".config",
    );
    assert!(printed(kernel, directory, &arguments).as_bytes() == expected);

    let answer = json(
        kernel,
        directory,
        &["conf", "--mode=olddefconfig", "--config=x86"],
    );
    assert_eq!(answer["status"], 0);
    assert!(
        answer["config"].as_str().unwrap().as_bytes() == x86,
        "nothing changes"
    );
    let listed = printed(
        kernel,
        directory,
        &["conf", "--mode=listnewconfig", "--config=x86"],
    );
    assert_eq!(listed, "");
}

#[test]
fn what_a_build_includes_is_written_beside_the_configuration() {
    let Some(kernel) = Kernel::get(Version::V6_12) else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path();
    printed(
        kernel,
        directory,
        &["conf", "--mode=allnoconfig", "-o", "small"],
    );
    let sync = [
        "conf",
        "--mode=syncconfig",
        "--config=small",
        "-o",
        "out/.config",
    ];
    fs::create_dir(directory.join("out")).unwrap();
    printed(kernel, directory, &sync);
    for file in ["include/config/auto.conf", "include/generated/autoconf.h"] {
        assert!(
            fs::metadata(directory.join("out").join(file))
                .unwrap()
                .len()
                > 1000,
            "{file}"
        );
    }
    let message = failed(kernel, directory, &["conf", "--mode=oldconfig"], 2);
    assert!(message.contains("-o"), "{message}");
    let message = failed(
        kernel,
        directory,
        &["conf", "--mode=allnoconfig", "--arch=vax"],
        3,
    );
    assert!(
        message.contains("x86") && message.contains("riscv"),
        "{message}"
    );
    let message = failed(
        kernel,
        directory,
        &["conf", "--mode=olddefconfig", "--config=none"],
        3,
    );
    assert!(message.contains("none"), "{message}");
}

#[test]
fn why_and_why_not() {
    let Some(kernel) = Kernel::get(Version::V6_12) else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path();
    printed(
        kernel,
        directory,
        &["conf", "--mode=allnoconfig", "-o", ".config"],
    );
    let why = printed(kernel, directory, &["why", "CONFIG_INET"]);
    assert!(why.starts_with("INET=n (net/Kconfig:"), "{why}");
    assert!(why.contains("  NET=n (net/Kconfig:"), "{why}");
    let answer = json(kernel, directory, &["why", "GENERIC_CLOCKEVENTS"]);
    assert_eq!(answer["value"], "y");
    let answer = json(kernel, directory, &["why-not", "INET=y", "-o", "changed"]);
    assert_eq!(answer["possible"], true);
    let changes: Vec<&str> = answer["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["name"].as_str().unwrap())
        .collect();
    assert_eq!(changes, ["NET", "INET"]);
    // The judge: the reference leaves the changed configuration as it is.
    let changed = fs::read(directory.join("changed")).unwrap();
    assert!(text(&changed).contains("\nCONFIG_INET=y\n"));
    assert!(
        conf(
            kernel,
            "x86_64",
            &changed,
            &["--olddefconfig", "Kconfig"],
            ".config"
        ) == changed
    );
    // Each of the changes is needed.
    for left_out in &changes {
        let line = format!("CONFIG_{left_out}=y");
        let fewer: String = text(&changed)
            .lines()
            .filter(|known| *known != line)
            .map(|line| format!("{line}\n"))
            .collect();
        let after = conf(
            kernel,
            "x86_64",
            fewer.as_bytes(),
            &["--olddefconfig", "Kconfig"],
            ".config",
        );
        assert!(
            !text(&after).contains("\nCONFIG_INET=y\n"),
            "without {left_out}"
        );
    }
    let message = failed(kernel, directory, &["why-not", "NET=n", "INET=y"], 1);
    assert!(
        message.contains("NET=n") && message.contains("INET=y"),
        "{message}"
    );
    assert_eq!(
        printed(kernel, directory, &["why-not", "INET=n"]),
        "it is so already\n"
    );
    let message = failed(kernel, directory, &["why", "EXT4"], 3);
    assert!(message.contains("EXT4_FS"), "{message}");
    failed(kernel, directory, &["why-not", "INET"], 2);
}

#[test]
fn graphs_are_small_enough_to_read() {
    let Some(kernel) = Kernel::get(Version::V6_12) else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path();
    let dot = printed(kernel, directory, &["graph", "EXT4_FS"]);
    assert!(dot.starts_with("digraph kconfig {"), "{dot}");
    assert!(
        dot.contains("\"EXT4_FS\" -> \"BLOCK\" [label=\"depends"),
        "{dot}"
    );
    assert!(
        dot.contains("\"EXT4_FS\" -> \"JBD2\" [label=\"selects"),
        "{dot}"
    );
    let answer = json(kernel, directory, &["graph", "NET", "--limit", "20"]);
    assert_eq!(answer["symbols"].as_array().unwrap().len(), 20);
    assert!(answer["left_out"].as_u64().unwrap() > 100);
    let path = printed(kernel, directory, &["graph", "XFRM_USER", "--to", "NET"]);
    let lines: Vec<&str> = path.lines().collect();
    assert_eq!(
        (lines[0], lines[lines.len() - 1]),
        ("XFRM_USER depends", "NET"),
        "{path}"
    );
    failed(kernel, directory, &["graph", "NET", "--to", "XFRM_USER"], 1);
    printed(
        kernel,
        directory,
        &["conf", "--mode=alldefconfig", "-o", ".config"],
    );
    let effects = printed(kernel, directory, &["graph", "NET", "--if", "y"]);
    assert!(effects.contains("NET n -> y\n"), "{effects}");
    assert!(
        effects.contains("\nINET n, becomes reachable\n"),
        "{effects}"
    );
    match require("dot") {
        Err(missing) => {
            let message = failed(kernel, directory, &["graph", "NET", "--format=svg"], 4);
            assert!(message.contains("graphviz"), "{message}");
            skip(&missing);
        }
        Ok(_) => {
            let svg = printed(kernel, directory, &["graph", "EXT4_FS", "--format=svg"]);
            assert!(svg.contains("<svg") && svg.contains("JBD2"), "{svg}");
        }
    }
}

#[test]
fn differences_are_those_of_the_kernel_s_own_script() {
    let Some(kernel) = Kernel::get(Version::V6_12) else {
        return;
    };
    if let Err(missing) = require("python3") {
        return skip(&missing);
    }
    let configs = kernel.tree.join("arch/x86/configs");
    let files = ["x86_64_defconfig", "i386_defconfig"].map(|name| configs.join(name));
    let [a, b] = files.each_ref().map(|file| file.to_str().unwrap());
    let script = kernel.tree.join("scripts/diffconfig");
    let expected = run(
        "python3",
        &[script.to_str().unwrap(), a, b],
        Path::new("/"),
        b"",
    );
    let got = printed(kernel, Path::new("/"), &["diff", a, b]);
    assert_eq!(got, text(&expected));
    assert!(got.len() > 100);
    let answer = json(kernel, Path::new("/"), &["diff", a, b]);
    assert_eq!(answer.as_array().unwrap().len(), got.lines().count());
}
