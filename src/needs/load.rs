//! Which files the kernel and the dynamic loader map for an entry point, and
//! what those load by name.

use std::collections::{BTreeMap, BTreeSet};

use super::analyse::{AnalysisError, Entry, Files, FilesError};
use super::elf::ElfFacts;
use super::requirement::{Evidence, Needs, Requirement, Strength};
use super::table;

/// Interpreters that the kernel follows for one exec (`BINPRM_BUF` rules,
/// fs/exec.c: five rewrites of the file).
const MAX_INTERPRETERS: usize = 5;

/// Where the dynamic loaders of glibc (Debian, Fedora) and musl look without
/// being told.
const LIBRARY_FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib/x86_64-linux-gnu",
];

/// How many files that programs load by name are looked at.
const MAX_PLUGINS: usize = 100;

/// A file of the image that the dynamic loader maps.
pub(super) struct Loaded {
    /// Path in the image.
    pub(super) path: String,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Its headers.
    pub(super) facts: ElfFacts,
    /// Whether the application is believed to run without it.
    pub(super) optional: bool,
    /// Whether it is loaded by name at run time.
    pub(super) by_name: bool,
}

fn one(files: &dyn Files, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
    Ok(files.read(&BTreeSet::from([path.to_owned()]))?.remove(path))
}

/// The program that the kernel ends up running for the entry point, after all
/// `#!` lines.
pub(super) fn find_program(
    files: &dyn Files,
    entry: &Entry,
    needs: &mut Needs,
) -> Result<Loaded, AnalysisError> {
    let name = entry
        .argv
        .first()
        .filter(|s| !s.is_empty())
        .ok_or(AnalysisError::NoEntryPoint)?;
    let candidates: Vec<String> = if name.contains('/') {
        vec![if name.starts_with('/') {
            name.clone()
        } else {
            format!("{}/{name}", entry.directory)
        }]
    } else {
        entry
            .path
            .split(':')
            .map(|dir| format!("{}/{name}", dir.trim_end_matches('/')))
            .collect()
    };
    let mut found = files.read(&candidates.iter().cloned().collect())?;
    let first = candidates
        .iter()
        .find_map(|path| Some((path.clone(), found.remove(path)?)));
    let (mut path, mut bytes) = first.ok_or_else(|| AnalysisError::NoSuchProgram {
        program: name.clone(),
        looked: if name.contains('/') {
            name.clone()
        } else {
            entry.path.clone()
        },
    })?;
    for _ in 0..MAX_INTERPRETERS {
        let Some(line) = bytes.strip_prefix(b"#!") else {
            return match ElfFacts::parse(&bytes) {
                Ok(facts) => Ok(Loaded {
                    path,
                    bytes,
                    facts,
                    optional: false,
                    by_name: false,
                }),
                Err(error) => Err(AnalysisError::Elf { file: path, error }),
            };
        };
        let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_whitespace();
        let mut interpreter = words.next().unwrap_or_default().to_owned();
        // `#!/usr/bin/env python3` runs what PATH has under the next word.
        if interpreter.ends_with("/env")
            && let Some(word) = words.find(|word| !word.starts_with('-') && !word.contains('='))
        {
            let dirs = entry.path.split(':').map(|dir| format!("{dir}/{word}"));
            let dirs: BTreeSet<String> = dirs.collect();
            interpreter = files
                .read(&dirs)?
                .into_keys()
                .next()
                .unwrap_or_else(|| word.to_owned());
        }
        let requirement = Requirement::Behaviour("script".to_owned());
        let evidence = Evidence::File {
            file: path.clone(),
            what: format!("a script of {interpreter}"),
        };
        needs.add(requirement, Strength::Required, evidence);
        bytes = one(files, &interpreter)?.ok_or_else(|| AnalysisError::NoSuchInterpreter {
            file: path.clone(),
            interpreter: interpreter.clone(),
        })?;
        path = interpreter;
    }
    Err(AnalysisError::TooManyInterpreters {
        file: path,
        limit: MAX_INTERPRETERS,
    })
}

/// All files that the dynamic loader maps for `program`, breadth first.
pub(super) fn closure(files: &dyn Files, program: Loaded) -> Result<Vec<Loaded>, AnalysisError> {
    if let Some(interpreter) = &program.facts.interpreter
        && one(files, interpreter)?.is_none()
    {
        let interpreter = interpreter.clone();
        return Err(AnalysisError::NoSuchInterpreter {
            file: program.path,
            interpreter,
        });
    }
    let configured = configured_folders(files)?;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut done: Vec<Loaded> = Vec::new();
    let mut round = vec![program];
    while !round.is_empty() {
        // Every place of every library of this round is asked for at once.
        let mut wanted: Vec<(String, String, Vec<String>)> = Vec::new();
        for one in &round {
            for library in &one.facts.needed {
                if seen.insert(library.clone()) {
                    let places = places(library, &one.path, &one.facts, &configured);
                    wanted.push((one.path.clone(), library.clone(), places));
                }
            }
        }
        done.append(&mut round);
        let all = wanted
            .iter()
            .flat_map(|(_, _, places)| places.iter().cloned())
            .collect();
        let mut found = files.read(&all)?;
        for (file, library, places) in wanted {
            // A library of another architecture is passed over, as ld.so does.
            let mut wrong = None;
            let mut right = None;
            for place in &places {
                let Some(bytes) = found.remove(place) else {
                    continue;
                };
                match ElfFacts::parse(&bytes) {
                    Ok(facts) => {
                        right = Some(Loaded {
                            path: place.clone(),
                            bytes,
                            facts,
                            optional: false,
                            by_name: false,
                        });
                        break;
                    }
                    Err(error) => {
                        wrong = Some(AnalysisError::Elf {
                            file: place.clone(),
                            error,
                        });
                    }
                }
            }
            match (right, wrong) {
                (Some(next), _) => round.push(next),
                (None, Some(error)) => return Err(error),
                (None, None) => {
                    let mut looked: Vec<&str> = places
                        .iter()
                        .filter_map(|place| place.rsplit_once('/').map(|(dir, _)| dir))
                        .collect();
                    looked.dedup();
                    let looked = looked.join(", ");
                    return Err(AnalysisError::NoSuchLibrary {
                        file,
                        library,
                        looked,
                    });
                }
            }
        }
    }
    Ok(done)
}

fn places(library: &str, file: &str, facts: &ElfFacts, configured: &[String]) -> Vec<String> {
    if library.contains('/') {
        return vec![library.to_owned()];
    }
    let origin = file.rsplit_once('/').map_or("", |(dir, _)| dir);
    let own = facts
        .runpath
        .iter()
        .map(|dir| dir.replace("${ORIGIN}", origin).replace("$ORIGIN", origin));
    own.chain(configured.iter().cloned())
        .chain(LIBRARY_FOLDERS.iter().map(|&dir| dir.to_owned()))
        .map(|dir| format!("{}/{library}", dir.trim_end_matches('/')))
        .collect()
}

/// Folders of the image's /etc/ld.so.conf and musl's path file. Debian's
/// `ld.so.conf` includes a folder whose files name what `LIBRARY_FOLDERS` has.
fn configured_folders(files: &dyn Files) -> Result<Vec<String>, FilesError> {
    let names = ["/etc/ld.so.conf", "/etc/ld-musl-x86_64.path"];
    let found = files.read(&names.into_iter().map(str::to_owned).collect())?;
    let text = found
        .values()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let lines = text.collect::<Vec<_>>().join("\n");
    let words = lines.split(['\n', ':', ' ', ',']).map(str::trim);
    Ok(words
        .filter(|word| word.starts_with('/') && !word.contains('*'))
        .map(str::to_owned)
        .collect())
}

/// Adds what the files load by name at run time, and the libraries of that.
pub(super) fn add_plugins(
    files: &dyn Files,
    loaded: &mut Vec<Loaded>,
    needs: &mut Needs,
) -> Result<(), AnalysisError> {
    let mut wanted: BTreeMap<String, bool> = BTreeMap::new();
    for one in loaded.iter() {
        let own_folder = one.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for plugin in table::plugins_of(&one.path) {
            let folder = match plugin.folder.starts_with('/') {
                true => plugin.folder.clone(),
                false => format!("{own_folder}/{}", plugin.folder),
            };
            for path in files.below(&folder) {
                let name = path.rsplit('/').next().unwrap_or(&path);
                if name.starts_with(&plugin.prefix) && name.ends_with(&plugin.suffix) {
                    *wanted.entry(path.clone()).or_default() |= plugin.required;
                }
            }
        }
    }
    wanted.retain(|path, _| loaded.iter().all(|one| one.path != *path));
    if wanted.len() > MAX_PLUGINS {
        let text = format!(
            "of {} files that are loaded by name, {MAX_PLUGINS} were looked at",
            wanted.len()
        );
        needs.unknown.push(text);
    }
    let wanted: BTreeMap<String, bool> = wanted.into_iter().take(MAX_PLUGINS).collect();
    for (path, bytes) in files.read(&wanted.keys().cloned().collect())? {
        if let Ok(facts) = ElfFacts::parse(&bytes) {
            let optional = !wanted.get(&path).copied().unwrap_or_default();
            loaded.push(Loaded {
                path,
                bytes,
                facts,
                optional,
                by_name: true,
            });
        }
    }
    // A plugin whose libraries are missing is not loaded: no error.
    let configured = configured_folders(files)?;
    let mut seen: BTreeSet<String> = loaded.iter().map(|one| name_of(&one.path)).collect();
    let mut at = 0;
    while let Some(one) = loaded.get(at) {
        at += 1;
        let fresh: Vec<&String> = one
            .facts
            .needed
            .iter()
            .filter(|name| !seen.contains(*name))
            .collect();
        let places: Vec<Vec<String>> = fresh
            .iter()
            .map(|library| places(library, &one.path, &one.facts, &configured))
            .collect();
        let mut found = files.read(&places.iter().flatten().cloned().collect())?;
        let optional = one.optional;
        seen.extend(fresh.into_iter().cloned());
        for list in places {
            let first = list.into_iter().find(|place| found.contains_key(place));
            if let Some(path) = first
                && let Some(bytes) = found.remove(&path)
                && let Ok(facts) = ElfFacts::parse(&bytes)
            {
                loaded.push(Loaded {
                    path,
                    bytes,
                    facts,
                    optional,
                    by_name: false,
                });
            }
        }
    }
    Ok(())
}

fn name_of(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
