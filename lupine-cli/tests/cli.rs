//! The binary as a user meets it: exit statuses, messages, help.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]
#![allow(clippy::disallowed_methods, reason = "runs the binary under test")]

use std::path::Path;
use std::process::{Command, Output};

use lupine::vmm::Vmm;

fn lupine(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lupine"));
    command
        .args(args)
        .current_dir(dir)
        .env("LUPINE_CACHE", dir.join("cache"));
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The status and the messages of a command that must fail without data.
fn failure(dir: &Path, args: &[&str]) -> (i32, String) {
    let output = lupine(dir, args);
    assert_eq!(text(&output.stdout), "", "{args:?}");
    (output.status.code().unwrap(), text(&output.stderr))
}

#[test]
fn wrong_command_lines_end_with_2() {
    let temp = tempfile::tempdir().unwrap();
    for args in [
        &["no-such-command"][..],
        &["run"],
        &["run", "-p", "80", "hello"],
        &["run", "--vmm", "xen", "hello"],
        &["run", "--tap", "tap0", "-p", "8080:80", "nginx"],
    ] {
        let (status, message) = failure(temp.path(), args);
        assert_eq!(status, 2, "{message}");
    }
    let (status, message) = failure(temp.path(), &["needs", "--tmpfs", "cache", "hello"]);
    assert_eq!(
        (status, message.contains("absolute path")),
        (2, true),
        "{message}"
    );
}

#[test]
fn wrong_input_ends_with_3_and_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let (status, message) = failure(temp.path(), &["needs", "no-such-image"]);
    assert_eq!(status, 3, "{message}");
    assert!(
        message.contains("no-such-image") && message.contains("nginx"),
        "{message}"
    );
    std::fs::write(temp.path().join("bad.toml"), "name = 3\n").unwrap();
    let (status, message) = failure(temp.path(), &["needs", "bad.toml"]);
    assert_eq!(
        (status, message.contains("bad.toml")),
        (3, true),
        "{message}"
    );
    let args = ["build", "hello", "--kernel-src", "/no/such/tree", "-q"];
    let (status, message) = failure(temp.path(), &args);
    assert_eq!(
        (status, message.contains("/no/such/tree")),
        (3, true),
        "{message}"
    );
}

#[test]
fn needs_are_printed_for_people_and_machines() {
    let temp = tempfile::tempdir().unwrap();
    let output = lupine(temp.path(), &["needs", "hello", "--json", "-q"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let needs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(needs["needs"].is_array());
}

#[test]
fn doctor_lists_every_tool() {
    let temp = tempfile::tempdir().unwrap();
    let output = lupine(temp.path(), &["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["tools"].as_array().unwrap().len(),
        lupine::host::TOOLS.len()
    );
    let vmms = report["vmms"].as_array().unwrap();
    for (vmm, entry) in Vmm::ALL.into_iter().zip(vmms) {
        assert_eq!(entry["name"], vmm.name());
        assert_eq!(entry["path"].is_null(), vmm.find().is_none(), "{vmm}");
        // What is not there cannot be used; what is may still lack KVM.
        assert!(!entry["path"].is_null() || entry["problem"].is_string());
    }
    assert_eq!(vmms.len(), Vmm::ALL.len());
    let lacking = report["tools"]
        .as_array()
        .unwrap()
        .iter()
        .any(|tool| tool["path"].is_null() && tool["purpose"].as_str() != Some("test"));
    assert_eq!(output.status.code(), Some(if lacking { 4 } else { 0 }));
}

#[test]
fn manual_and_completions_are_made_of_the_command_line() {
    let temp = tempfile::tempdir().unwrap();
    let output = lupine(temp.path(), &["completions", "bash"]);
    assert!(output.status.success() && text(&output.stdout).contains("_lupine"));
    assert!(lupine(temp.path(), &["man", "pages"]).status.success());
    let page = std::fs::read_to_string(temp.path().join("pages/lupine-run.1")).unwrap();
    assert!(page.contains("publish"));
}

/// `lupine run` where `PATH` is this directory alone.
fn run_with_path(dir: &Path, path: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lupine"))
        .arg("run")
        .args(args)
        .current_dir(dir)
        .env("LUPINE_CACHE", dir.join("cache"))
        .env("PATH", path)
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "", "{args:?}");
    (output.status.code().unwrap(), text(&output.stderr))
}

#[test]
fn a_missing_vmm_ends_with_4_and_says_where_to_get_it() {
    let temp = tempfile::tempdir().unwrap();
    for vmm in [Vmm::Firecracker, Vmm::CloudHypervisor] {
        // The administrator's folders count, too.
        if vmm
            .find()
            .is_some_and(|path| path.starts_with("/usr/local/sbin"))
        {
            continue;
        }
        let args = ["hello", "--vmm", vmm.name()];
        let args = [&args[1..], &args[..1]].concat();
        let (status, message) = run_with_path(temp.path(), temp.path(), &args);
        assert_eq!(status, 4, "{message}");
        let expected = format!("lupine: {vmm} is not installed: ");
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.contains("/releases"), "{message}");
        assert!(!message.contains("because"), "{message}");
    }
    // Nothing was unpacked or built before that.
    assert!(!temp.path().join("cache/trees").exists());
}

#[test]
fn a_vmm_without_kvm_ends_with_4_and_names_the_reason() {
    let temp = tempfile::tempdir().unwrap();
    let found = lupine::Lupine::new(lupine::cache::Cache::at(temp.path().join("cache")));
    let accelerator = found.accelerator();
    if !accelerator.starts_with("tcg") {
        eprintln!("SKIPPED: guests run here by {accelerator}");
        return;
    }
    // Nobody gets to start it, so that its name is enough.
    let bin = temp.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let path =
        std::env::join_paths(std::iter::once(bin.clone()).chain(std::env::split_paths(&path)));
    for vmm in [Vmm::Firecracker, Vmm::CloudHypervisor] {
        let program = bin.join(vmm.program());
        std::fs::write(&program, "#!/bin/sh\nexit 70\n").unwrap();
        std::fs::set_permissions(
            &program,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let path = path.as_ref().unwrap();
        let args = ["--vmm", vmm.name(), "hello"];
        let (status, message) = run_with_path(temp.path(), Path::new(path), &args);
        assert_eq!(status, 4, "{message}");
        let expected = format!("lupine: {vmm} runs guests by KVM only");
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.contains("/dev/kvm"), "{message}");
    }
}

#[test]
fn a_network_that_a_vmm_does_not_have_is_explained() {
    let temp = tempfile::tempdir().unwrap();
    let args = ["--tap", "no-such-tap", "nginx"];
    let lupine = lupine::Lupine::new(lupine::cache::Cache::at(temp.path().join("cache")));
    if lupine.check_vmm().is_err() {
        eprintln!("SKIPPED: QEMU is not installed");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_lupine"))
        .arg("run")
        .args(args)
        .current_dir(temp.path())
        .env("LUPINE_CACHE", temp.path().join("cache"))
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{message}");
    for words in ["no-such-tap", "ip tuntap add no-such-tap", "10.0.2.2/24"] {
        assert!(message.contains(words), "{message}");
    }
    assert!(!temp.path().join("cache/trees").exists());
}
