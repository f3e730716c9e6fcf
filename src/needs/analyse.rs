//! Static analysis: from the entry point through scripts, interpreters and
//! libraries to requirements.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use lupine_kml::rewrite;
use rayon::prelude::*;
use thiserror::Error;

use super::code::Code;
use super::elf::ElfError;
use super::load::{Loaded, add_plugins, closure, find_program};
use super::program::{Mapped, is_c_library};
use super::reach;
use super::requirement::{Evidence, Needs, Requirement, Strength};
use super::runtime;
use super::table;
use super::written;

/// The files of an image, as a process inside would open them.
pub trait Files {
    /// The contents of those of `paths` (absolute) that are regular files,
    /// links followed, with the canonical path of each. Asked for many at
    /// once, because a compressed layer is read from its start each time.
    ///
    /// # Errors
    /// The image cannot be read.
    fn read(&self, paths: &BTreeSet<String>) -> Result<BTreeMap<String, Vec<u8>>, FilesError>;

    /// The files that lie in `folder` and at most two folders deeper, sorted;
    /// none where there is no such folder.
    fn below(&self, folder: &str) -> Vec<String>;
}

/// The image cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the image's files")]
pub struct FilesError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What of an image's configuration matters for its needs.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The program with its arguments, as it will be run.
    pub argv: Vec<String>,
    /// The `PATH` that the program is looked up in.
    pub path: String,
    /// The working directory, which a program named with a slash is relative to.
    pub directory: String,
    /// Whether it runs as a user other than root.
    pub user_is_not_root: bool,
    /// Ports that it listens on.
    pub ports: Vec<u16>,
    /// Other programs that it starts: absolute paths.
    pub programs: Vec<String>,
}

impl Entry {
    /// The entry of each program that runs: the application's own first.
    fn each(&self) -> impl Iterator<Item = Entry> + '_ {
        let others = self.programs.iter().map(|program| Entry {
            argv: vec![program.clone()],
            ..self.clone()
        });
        std::iter::once(self.clone()).chain(others)
    }
}

/// Why an image cannot run.
#[derive(Debug, Error)]
pub enum AnalysisError {
    /// Nothing says what to run.
    #[error(
        "the image has no entry point and no command; say what to run (run.entrypoint in a manifest, or the command after the image)"
    )]
    NoEntryPoint,
    /// What to run is not in the image.
    #[error("the entry point {program} is not in the image (looked in {looked})")]
    NoSuchProgram {
        /// The program, as named.
        program: String,
        /// Where it was looked for.
        looked: String,
    },
    /// A script's or program's interpreter is not in the image.
    #[error("{file} needs the interpreter {interpreter}, which is not in the image")]
    NoSuchInterpreter {
        /// The script or program.
        file: String,
        /// What its first line or header names.
        interpreter: String,
    },
    /// A shared library is not in the image.
    #[error(
        "{file} needs the shared library {library}, which is not in the image (looked in {looked})"
    )]
    NoSuchLibrary {
        /// Who needs it.
        file: String,
        /// The library's name.
        library: String,
        /// Folders that were searched.
        looked: String,
    },
    /// A program or library cannot run in the guest.
    #[error("{file} {error}")]
    Elf {
        /// The file.
        file: String,
        /// What is wrong with it.
        error: ElfError,
    },
    /// Scripts that interpret one another.
    #[error("{file}: more than {limit} interpreters on the way to a program")]
    TooManyInterpreters {
        /// The last script.
        file: String,
        /// How many the kernel follows.
        limit: usize,
    },
    /// The image cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Derives an application's needs.
///
/// # Errors
/// Every [`AnalysisError`]: an image that cannot run is found out here, before
/// a kernel is built for it.
pub fn analyse(files: &dyn Files, entry: &Entry) -> Result<Needs, AnalysisError> {
    let mut needs = Needs::default();
    let mut programs = Vec::new();
    for entry in entry.each() {
        let program = find_program(files, &entry, &mut needs)?;
        written::add_needs(files, &entry, &program.path, &mut needs)?;
        let mut loaded = closure(files, program)?;
        add_plugins(files, &mut loaded, &mut needs)?;
        programs.push(loaded);
    }
    add_code(&programs, &mut needs);
    add_configured(entry, &mut needs);
    let on_network = needs.needs.iter().any(|need| {
        need.strength == Strength::Required && matches!(need.requirement, Requirement::Socket(_))
    });
    if !on_network {
        needs.weaken(|requirement| {
            matches!(requirement, Requirement::Call(name) if table::is_of_network(name))
        });
    }
    Ok(needs)
}

/// Adds the needs of what programs load. A file that several load is read once: what it calls is
/// the same, who calls it is not.
fn add_code(programs: &[Vec<Loaded>], needs: &mut Needs) {
    let distinct: BTreeMap<&str, &Loaded> = programs
        .iter()
        .flatten()
        .map(|one| (one.path.as_str(), one))
        .collect();
    let originals: BTreeMap<&str, Cow<'_, [u8]>> = distinct
        .par_iter()
        .map(|(path, one)| (*path, rewrite::original(&one.bytes)))
        .collect();
    let codes: BTreeMap<&str, Code<'_>> = originals
        .par_iter()
        .map(|(path, bytes)| (*path, Code::read(bytes, &distinct[path].facts)))
        .collect();
    for loaded in programs {
        let mapped: Vec<Mapped<'_>> = loaded
            .iter()
            .map(|one| Mapped {
                file: &one.path,
                code: &codes[one.path.as_str()],
                optional: one.optional,
                by_name: one.by_name,
            })
            .collect();
        reach::add_needs(&mapped, needs);
    }
    for (path, one) in distinct {
        add_paths(one, needs);
        runtime::add_needs(path, &one.bytes, needs);
    }
}

/// The files that the kernel and the dynamic loader map for an application:
/// its programs, their interpreters, their libraries.
///
/// # Errors
/// Every [`AnalysisError`].
pub fn loaded(files: &dyn Files, entry: &Entry) -> Result<BTreeSet<String>, AnalysisError> {
    let mut mapped = BTreeSet::new();
    for entry in entry.each() {
        let program = find_program(files, &entry, &mut Needs::default())?;
        mapped.extend(program.facts.interpreter.clone());
        let closure = closure(files, program)?;
        mapped.extend(closure.into_iter().map(|one| one.path));
    }
    Ok(mapped)
}

fn add_configured(entry: &Entry, needs: &mut Needs) {
    if let Some(port) = entry.ports.first() {
        let what = format!("port {port} is exposed");
        for requirement in [
            Requirement::Behaviour("network card".to_owned()),
            Requirement::Socket("INET".to_owned()),
        ] {
            let evidence = Evidence::Configured { what: what.clone() };
            needs.add(requirement, Strength::Required, evidence);
        }
    }
    if entry.user_is_not_root {
        let what = "the application runs as a user other than root".to_owned();
        let requirement = Requirement::Behaviour("several users".to_owned());
        needs.add(
            requirement,
            Strength::Required,
            Evidence::Configured { what },
        );
    }
}

/// Paths under /proc, /sys and /dev among a file's strings. The C library's are
/// its own business.
fn add_paths(one: &Loaded, needs: &mut Needs) {
    if is_c_library(&one.path) {
        return;
    }
    for path in &one.facts.kernel_paths {
        let evidence = Evidence::Text {
            file: one.path.clone(),
            text: path.clone(),
        };
        needs.add(
            Requirement::Path(path.clone()),
            Strength::Optional,
            evidence,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::requirement::Need;
    use super::*;

    /// The machine's own files.
    struct Host;

    impl Files for Host {
        fn read(&self, paths: &BTreeSet<String>) -> Result<BTreeMap<String, Vec<u8>>, FilesError> {
            let read = |path: &String| Some((path.clone(), std::fs::read(path).ok()?));
            Ok(paths.iter().filter_map(read).collect())
        }

        fn below(&self, folder: &str) -> Vec<String> {
            let walk = walkdir::WalkDir::new(folder)
                .max_depth(3)
                .sort_by_file_name();
            let files = walk
                .into_iter()
                .flatten()
                .filter(|e| e.file_type().is_file());
            files
                .map(|e| e.path().to_string_lossy().into_owned())
                .collect()
        }
    }

    /// A few files over the machine's own.
    struct With(BTreeMap<String, Vec<u8>>);

    impl Files for With {
        fn read(&self, paths: &BTreeSet<String>) -> Result<BTreeMap<String, Vec<u8>>, FilesError> {
            let mut found = Host.read(paths)?;
            for (path, bytes) in &self.0 {
                if paths.contains(path) {
                    found.insert(path.clone(), bytes.clone());
                }
            }
            Ok(found)
        }

        fn below(&self, folder: &str) -> Vec<String> {
            Host.below(folder)
        }
    }

    fn entry(argv: &str) -> Entry {
        Entry {
            argv: argv.split(' ').map(str::to_owned).collect(),
            path: "/usr/bin:/bin".to_owned(),
            directory: "/".to_owned(),
            user_is_not_root: false,
            ports: Vec::new(),
            programs: Vec::new(),
        }
    }

    fn with(path: &str, bytes: &[u8]) -> With {
        With(BTreeMap::from([(path.to_owned(), bytes.to_vec())]))
    }

    #[test]
    fn a_shell_is_found_in_path_with_its_needs() {
        let needs = analyse(&Host, &entry("bash -c true")).unwrap();
        assert!(!needs.needs.is_empty());
    }

    #[test]
    fn a_shell_loads_its_libraries_and_their_loader() {
        let loaded = loaded(&Host, &entry("bash -c true")).unwrap();
        for name in ["/bash", "/libc.so.6", "/ld-linux-x86-64.so.2"] {
            let found = loaded.iter().any(|path| path.ends_with(name));
            assert!(found, "{name} in {loaded:?}");
        }
    }

    #[test]
    fn name_services_are_looked_at_and_optional() {
        let needs = analyse(&Host, &entry("perl -e 1")).unwrap().needs;
        let of_services = |one: &Evidence| one.file().is_some_and(|file| file.contains("/libnss_"));
        let only = |need: &&Need| need.evidence.iter().all(of_services);
        assert!(
            needs
                .iter()
                .any(|need| need.evidence.iter().any(of_services))
        );
        let mut optional = needs.iter().filter(only);
        assert!(optional.all(|need| need.strength == Strength::Optional));
        // What the program leads to as well is as strong as without them.
        let call = Requirement::Call("mremap".to_owned());
        let found = needs.iter().find(|need| need.requirement == call);
        assert_eq!(found.unwrap().strength, Strength::Required);
    }

    #[test]
    fn scripts_lead_to_their_interpreters() {
        let files = with("/usr/bin/app", b"#!/usr/bin/env bash\necho hello\n");
        let needs = analyse(&files, &entry("app")).unwrap();
        let script = Requirement::Behaviour("script".to_owned());
        assert!(needs.needs.iter().any(|need| need.requirement == script));
        let looping = with("/a", b"#!/a\n");
        let error = analyse(&looping, &entry("/a")).unwrap_err();
        assert!(
            matches!(error, AnalysisError::TooManyInterpreters { .. }),
            "{error}"
        );
    }

    #[test]
    fn programs_that_scripts_start_have_their_needs_too() {
        let files = with("/app", b"#!/bin/sh\nexec $program\n");
        let alone = entry("/app");
        let both = Entry {
            programs: vec!["/usr/bin/perl".to_owned()],
            ..alone.clone()
        };
        let shares = |entry: &Entry| {
            let needs = analyse(&files, entry).unwrap().needs;
            let call = Requirement::Call("shmget".to_owned());
            let mut required = needs
                .iter()
                .filter(|need| need.strength == Strength::Required);
            required.any(|need| need.requirement == call)
        };
        assert!(!shares(&alone));
        assert!(shares(&both));
        assert!(loaded(&files, &both).unwrap().contains("/usr/bin/perl"));
        let missing = Entry {
            programs: vec!["/no/such".to_owned()],
            ..alone
        };
        let error = analyse(&files, &missing).unwrap_err().to_string();
        assert!(error.contains("/no/such"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = analyse(&Host, &entry("/no/such/program"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/no/such/program"), "{error}");
        let error = analyse(&Host, &Entry::default()).unwrap_err();
        assert!(matches!(error, AnalysisError::NoEntryPoint));
        let script = with("/s", b"#!/no/interpreter\n");
        let error = analyse(&script, &entry("/s")).unwrap_err().to_string();
        assert!(error.contains("/no/interpreter"), "{error}");
    }

    #[test]
    fn a_missing_library_is_named() {
        let bash = std::fs::read("/bin/bash").unwrap();
        let at = bash.windows(9).position(|w| w == b"libtinfo.").unwrap();
        let mut broken = bash;
        broken[at..at + 8].copy_from_slice(b"libnowhe");
        let error = analyse(&with("/b", &broken), &entry("/b"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("libnowhe"), "{error}");
    }

    #[test]
    fn another_architecture_is_named() {
        let mut bytes = std::fs::read("/bin/sh").unwrap();
        bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
        let error = analyse(&with("/b", &bytes), &entry("/b"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("AARCH64"), "{error}");
    }
}
