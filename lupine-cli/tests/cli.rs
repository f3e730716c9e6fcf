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
