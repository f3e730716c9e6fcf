//! Small cases: each file of `cases/` is one, with its Kconfig files, its inputs and its runs.
//!
//! A case is a text of sections. A section begins with a line `== KIND [NAME]`:
//!
//! - `== file NAME`: a file of the working directory, up to the next section
//! - `== escaped NAME`: the same with `\n`, `\r`, `\t`, `\\` and `\xHH`; line ends do not count
//! - `== stdin`: what is typed
//! - `== only 6.1` or `== only 6.12`: for one release only
//! - `== repaired`: judged by a reference whose mistake about `A != y` is repaired
//! - `== run`: one run per line, `NAME=VALUE ... ARGUMENTS`, in the same directory one after another
//!
//! What is expected is not written down: the `conf` of both releases is asked.

use crate::reference::{Kernel, Version};
use crate::run::{Differences, Setting};
use std::fs;
use std::path::{Path, PathBuf};

/// The part of a case that sections describe.
#[derive(Default)]
struct Case {
    files: Vec<(String, Vec<u8>)>,
    stdin: Vec<u8>,
    runs: Vec<Vec<String>>,
    only: Option<Version>,
    repaired: bool,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut case = Self::default();
        for section in text
            .split_inclusive('\n')
            .fold(Vec::<(String, String)>::new(), gather)
        {
            let (head, body) = section;
            let (kind, name) = head.split_once(' ').unwrap_or((&head, ""));
            match kind {
                "file" => case.files.push((name.to_owned(), body.into_bytes())),
                "escaped" => case.files.push((name.to_owned(), unescape(&body))),
                "stdin" => case.stdin = body.into_bytes(),
                "run" => case.runs.extend(
                    body.lines()
                        .filter(|line| !line.is_empty())
                        .map(|line| line.split_whitespace().map(ToOwned::to_owned).collect()),
                ),
                "repaired" => case.repaired = true,
                "only" => {
                    case.only = Some(match name {
                        "6.1" => Version::V6_1,
                        "6.12" => Version::V6_12,
                        _ => panic!("{}: {head}", path.display()),
                    });
                }
                _ => panic!("{}: unknown section {head}", path.display()),
            }
        }
        assert!(!case.runs.is_empty(), "{}: no run", path.display());
        case
    }
}

fn gather(mut sections: Vec<(String, String)>, line: &str) -> Vec<(String, String)> {
    match line.strip_prefix("== ") {
        Some(head) => sections.push((head.trim_end().to_owned(), String::new())),
        None => sections
            .last_mut()
            .expect("a case begins with a section")
            .1
            .push_str(line),
    }
    sections
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().filter(|b| *b != b'\n');
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    bytes
}

#[test]
fn every_case() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kconfig/cases");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut differences = Differences::default();
    let mut expected = 0;
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        for path in &paths {
            let case = Case::read(path);
            if case.only.is_some_and(|only| only != version) {
                continue;
            }
            let mut setting = Setting::small(kernel);
            for (name, content) in &case.files {
                setting.file(name, content);
            }
            setting.stdin.clone_from(&case.stdin);
            let runs: Vec<Vec<&str>> = case
                .runs
                .iter()
                .map(|run| run.iter().map(String::as_str).collect())
                .collect();
            let runs: Vec<&[&str]> = runs.iter().map(Vec::as_slice).collect();
            differences.about(path.file_name().unwrap().to_string_lossy());
            let reference = if case.repaired {
                &kernel.repaired
            } else {
                &kernel.conf
            };
            setting.compare_with(reference, &runs, &mut differences);
            expected += runs.len();
        }
    }
    assert!(paths.len() > 50, "only {} cases", paths.len());
    differences.finish(expected);
}
