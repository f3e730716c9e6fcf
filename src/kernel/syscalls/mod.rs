//! Which options offer a system call, read from the kernel tree itself, so
//! that every version answers for itself: the table of x86-64
//! (`arch/x86/entry/syscalls/syscall_64.tbl`) names each call's function,
//! `kernel/sys_ni.c` (and, for timers, `kernel/time/posix-stubs.c`) those that a
//! kernel may lack, whose calls then fail by `ENOSYS`; the `#if`s around their
//! `SYSCALL_DEFINE` and the Makefiles on the way to its file say when they are
//! there.

mod condition;
mod definition;
mod makefile;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use walkdir::WalkDir;

pub use condition::Condition;
use definition::Held;
use makefile::Makefile;

/// Where system calls are defined, and how deep below.
const FOLDERS: &[(&str, usize)] = &[
    ("arch/x86", 3),
    ("block", 1),
    ("fs", 4),
    ("io_uring", 1),
    ("ipc", 1),
    ("kernel", 4),
    ("mm", 2),
    ("net", 1),
    ("security", 2),
];

const TABLE: &str = "arch/x86/entry/syscalls/syscall_64.tbl";

const STUBS: &str = "kernel/sys_ni.c";
const TIMER_STUBS: &str = "kernel/time/posix-stubs.c";

/// The largest source file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// The system calls of a kernel tree and when each is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syscalls {
    /// By the call's name in the table of x86-64; those that every kernel has
    /// are not listed.
    conditional: BTreeMap<String, Offer>,
}

/// When a kernel offers a system call, and where the tree says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The condition on the configuration.
    pub condition: Condition,
    /// The file that defines it, relative to the tree.
    pub file: String,
    /// The kernel's function, without `sys_`.
    pub function: String,
}

/// Why a tree's system calls cannot be told.
#[derive(Debug, Error)]
pub enum SyscallsError {
    /// A file cannot be read.
    #[error("cannot read {path}; is this a whole kernel tree?", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Syscalls {
    /// Reads a tree.
    ///
    /// # Errors
    /// The table of system calls or a directory's Makefile cannot be read.
    pub fn read(tree: &Path) -> Result<Syscalls, SyscallsError> {
        let table = read(&tree.join(TABLE))?;
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            // number abi name entry; x32 is not x86-64's.
            if let [_, "common" | "64", name, entry, ..] = words.as_slice()
                && let Some(function) = entry.strip_prefix("sys_")
            {
                names
                    .entry(function.to_owned())
                    .or_default()
                    .push((*name).to_owned());
            }
        }
        let mut lacking = stubs(&read(&tree.join(STUBS))?);
        // Newer trees have no stubs of timers.
        lacking.extend(stubs(&read(&tree.join(TIMER_STUBS)).unwrap_or_default()));
        names.retain(|function, _| lacking.contains(function));
        let files = c_files(tree)?;
        let mut makefiles = Makefiles {
            tree,
            known: BTreeMap::new(),
            files: &files,
        };
        let mut conditional: BTreeMap<String, Offer> = BTreeMap::new();
        let mut always: BTreeSet<&str> = BTreeSet::new();
        let defined = files.iter().flat_map(|(file, held)| {
            let calls = held.calls.iter();
            calls.map(move |(function, around)| (file, function, around))
        });
        for (file, function, around) in defined {
            if !names.contains_key(function) {
                continue;
            }
            let condition = makefiles.condition_of(file)?.and(around.clone());
            match condition {
                Condition::Always => {
                    always.insert(function);
                }
                Condition::Never => {}
                condition => {
                    for name in names.get(function).into_iter().flatten() {
                        let offer = conditional.entry(name.clone()).or_insert_with(|| Offer {
                            condition: Condition::Never,
                            file: file.clone(),
                            function: function.clone(),
                        });
                        offer.condition = offer.condition.clone().or(condition.clone());
                    }
                }
            }
        }
        conditional.retain(|_, offer| !always.contains(offer.function.as_str()));
        Ok(Syscalls { conditional })
    }

    /// When a call, by its name in the table of x86-64, is there; nothing where
    /// every kernel has it.
    #[must_use]
    pub fn offer(&self, call: &str) -> Option<&Offer> {
        self.conditional.get(call)
    }

    /// The options, with their values, that offer a call; none where every
    /// kernel has it.
    #[must_use]
    pub fn options(&self, call: &str) -> BTreeMap<String, String> {
        let options = self.offer(call).and_then(|offer| offer.condition.options());
        options.unwrap_or_default()
    }

    /// All calls that a kernel may lack, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Offer)> {
        self.conditional
            .iter()
            .map(|(name, offer)| (name.as_str(), offer))
    }
}

/// The functions of `COND_SYSCALL(function)` and `SYS_NI(function)`.
fn stubs(text: &str) -> BTreeSet<String> {
    let calls = text.lines().filter_map(|line| {
        let line = line.trim();
        let rest = line
            .strip_prefix("COND_SYSCALL(")
            .or_else(|| line.strip_prefix("SYS_NI("))?;
        rest.split(')').next()
    });
    calls.map(|name| name.trim().to_owned()).collect()
}

fn read(path: &Path) -> Result<String, SyscallsError> {
    let bytes = fs::read(path).map_err(|source| SyscallsError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The C files that define system calls or include other C files, by their path
/// in the tree.
fn c_files(tree: &Path) -> Result<BTreeMap<String, Held>, SyscallsError> {
    let mut files: Vec<PathBuf> = Vec::new();
    for (folder, depth) in FOLDERS {
        let walk = WalkDir::new(tree.join(folder)).max_depth(*depth);
        files.extend(
            walk.into_iter()
                .flatten()
                .filter(|entry| entry.path().extension().is_some_and(|e| e == "c"))
                .filter(|entry| entry.metadata().is_ok_and(|meta| meta.len() <= LARGEST))
                .map(walkdir::DirEntry::into_path),
        );
    }
    let read: Result<Vec<Option<(String, Held)>>, SyscallsError> = files
        .par_iter()
        .map(|path| {
            let text = read(path)?;
            if !text.contains("SYSCALL_DEFINE") && !text.contains(".c\"") {
                return Ok(None);
            }
            let relative = path.strip_prefix(tree).unwrap_or(path);
            let relative = relative.to_string_lossy().into_owned();
            Ok(Some((relative, definition::held(&text))))
        })
        .collect();
    Ok(read?.into_iter().flatten().collect())
}

fn name_of(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// The Makefiles of a tree, each read once.
struct Makefiles<'a> {
    tree: &'a Path,
    known: BTreeMap<String, Makefile>,
    files: &'a BTreeMap<String, Held>,
}

impl Makefiles<'_> {
    /// When a C file is compiled into the kernel.
    fn condition_of(&mut self, file: &str) -> Result<Condition, SyscallsError> {
        let (mut folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let object = format!("{}.o", name.trim_end_matches(".c"));
        let mut condition = self.of(folder)?.condition_of(&object);
        if condition == Condition::Never {
            // Compiled as a part of another file of its folder.
            let files = self.files;
            for (other, held) in files.iter().filter(|(other, _)| *other != file) {
                if other.rsplit_once('/').is_some_and(|(at, _)| at == folder)
                    && let Some((_, around)) = held.files.iter().find(|(part, _)| part == name)
                {
                    let whole = format!("{}.o", name_of(other).trim_end_matches(".c"));
                    let entry = self.of(folder)?.condition_of(&whole);
                    condition = condition.or(entry.and(around.clone()));
                }
            }
        }
        // The architecture's folder is always entered.
        while !folder.is_empty() && folder != "arch/x86" {
            let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
            let entry = self.of(above)?.condition_of(&format!("{name}/"));
            condition = condition.and(entry);
            folder = above;
        }
        Ok(condition)
    }

    fn of(&mut self, folder: &str) -> Result<&Makefile, SyscallsError> {
        if !self.known.contains_key(folder) {
            let folder_path = self.tree.join(folder);
            let kbuild = folder_path.join("Kbuild");
            let mut text = if kbuild.exists() {
                read(&kbuild)?
            } else {
                read(&folder_path.join("Makefile"))?
            };
            if folder.is_empty() {
                // Older trees list their folders in the Makefile.
                text.push('\n');
                text.push_str(&read(&folder_path.join("Makefile"))?);
            }
            self.known.insert(folder.to_owned(), Makefile::parse(&text));
        }
        Ok(self.known.entry(folder.to_owned()).or_default())
    }
}
