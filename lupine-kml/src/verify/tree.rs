//! Whether a tree is patched: by the record written when it was, or by trial.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::apply::{
    self, ApplyError, DirectoryTree, FileReport, FileTree, Node, Options, Outcome, Record, Series,
    is_interrupted, one_way, record_of,
};
use crate::diff::{FilePatch, Patch, TreePath};

/// What a tree is, with regard to a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeReport {
    /// The whole tree.
    pub state: TreeState,
    /// How it was told.
    pub evidence: Evidence,
    /// Whether an application was interrupted; `resume` or `revert` ends it.
    pub interrupted: bool,
    /// Every file the series touches, by path.
    pub files: Vec<TouchedFile>,
}

/// What a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeState {
    /// No part of the series is there, and all of it would go on.
    Clean,
    /// All of the series is there, unchanged since.
    Applied,
    /// Some of it is there.
    Partly,
    /// A file is neither as before nor as after.
    Changed,
}

/// How a state was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// By the digests recorded when this very series was applied.
    Record,
    /// By trying the series forwards and backwards: lines it does not touch may have changed.
    Trial,
}

/// A file the series touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchedFile {
    /// The file.
    pub path: TreePath,
    /// What it is.
    #[serde(flatten)]
    pub state: FileState,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum FileState {
    /// As before the series.
    Original,
    /// As after it.
    Patched,
    /// As after the first `applied` of the `of` patches that touch it.
    Partly {
        /// Patches applied.
        applied: usize,
        /// Patches that touch the file.
        of: usize,
    },
    /// Neither.
    Changed,
}

/// Tells whether a series is applied to a directory. Writes nothing.
///
/// # Errors
/// As for planning: unreadable patches, paths that leave the tree, a tree that cannot be read.
pub fn verify_tree(root: &Path, series: &Series) -> Result<TreeReport, ApplyError> {
    let tree = DirectoryTree::open(root)?;
    let interrupted = is_interrupted(root)?;
    if let Some(record) = record_of(&tree)?.filter(|record| record.is_of(series)) {
        let files = by_record(&tree, &record)?;
        return Ok(TreeReport {
            state: sum(&files),
            evidence: Evidence::Record,
            interrupted,
            files,
        });
    }
    let files = by_trial(&tree, series)?;
    Ok(TreeReport {
        state: sum(&files),
        evidence: Evidence::Trial,
        interrupted,
        files,
    })
}

fn sum(files: &[TouchedFile]) -> TreeState {
    let all = |state| files.iter().all(|file| file.state == state);
    if files.iter().any(|file| file.state == FileState::Changed) {
        TreeState::Changed
    } else if all(FileState::Original) {
        TreeState::Clean
    } else if all(FileState::Patched) {
        TreeState::Applied
    } else {
        TreeState::Partly
    }
}

fn by_record(tree: &DirectoryTree, record: &Record) -> Result<Vec<TouchedFile>, ApplyError> {
    let state = |file: &apply::RecordedFile| {
        let found = match tree.node(&file.path)? {
            Node::File(entry) => Some(entry.digest()),
            Node::Absent | Node::Directory => None,
        };
        let state = if found == file.after {
            FileState::Patched
        } else if found == file.before {
            FileState::Original
        } else {
            FileState::Changed
        };
        Ok(TouchedFile {
            path: file.path.clone(),
            state,
        })
    };
    record.files.iter().map(state).collect()
}

/// Tries the series on each group of files that renames and copies tie together.
fn by_trial(tree: &impl FileTree, series: &Series) -> Result<Vec<TouchedFile>, ApplyError> {
    let patches = series.parse()?;
    let forward = one_way(tree, series, &patches, Options::default())?;
    // Forwards, reports and file patches are in the same order.
    let reports = forward
        .report
        .patches
        .iter()
        .map(|patch| patch.files.as_slice());
    let touched: Vec<(&[FileReport], &Patch<'_>)> = reports.zip(&patches).collect();
    let mut files = Vec::new();
    for group in groups(&touched) {
        let part: Vec<Patch<'_>> = touched
            .iter()
            .map(|(reports, patch)| {
                // A series may take single patches back; their reports are in reverse order.
                Patch {
                    files: matching(reports, patch)
                        .filter(|(report, _)| group.contains(&report.path))
                        .map(|(_, file)| file.clone())
                        .collect(),
                }
            })
            .collect();
        let state = trial(tree, series, &part)?;
        files.extend(group.into_iter().map(|path| TouchedFile { path, state }));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Pairs reports with the file patches they are of, by line.
fn matching<'r, 'p, 'a>(
    reports: &'r [FileReport],
    patch: &'p Patch<'a>,
) -> impl Iterator<Item = (&'r FileReport, &'p FilePatch<'a>)> {
    patch.files.iter().filter_map(|file| {
        reports
            .iter()
            .find(|report| report.patch_line == file.line)
            .map(|report| (report, file))
    })
}

fn groups(touched: &[(&[FileReport], &Patch<'_>)]) -> Vec<BTreeSet<TreePath>> {
    let mut groups: Vec<BTreeSet<TreePath>> = Vec::new();
    let mut group_of: BTreeMap<TreePath, usize> = BTreeMap::new();
    for report in touched.iter().flat_map(|(reports, _)| *reports) {
        let mut paths = vec![report.path.clone()];
        paths.extend(report.from.clone());
        let mut old: Vec<usize> = paths
            .iter()
            .filter_map(|path| group_of.get(path).copied())
            .collect();
        old.sort_unstable();
        old.dedup();
        let home = old.first().copied().unwrap_or(groups.len());
        if home == groups.len() {
            groups.push(BTreeSet::new());
        }
        for other in old.into_iter().skip(1) {
            paths.extend(std::mem::take(&mut groups[other]));
        }
        for path in paths {
            group_of.insert(path.clone(), home);
            groups[home].insert(path);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn trial(
    tree: &impl FileTree,
    series: &Series,
    part: &[Patch<'_>],
) -> Result<FileState, ApplyError> {
    let goes = |patches: &[Patch<'_>], reverse: bool| -> Result<bool, ApplyError> {
        let plan = one_way(tree, series, patches, Options { fuzz: 0, reverse })?;
        Ok(plan.report.outcome == Outcome::Applies)
    };
    if goes(part, true)? {
        return Ok(FileState::Patched);
    }
    if goes(part, false)? {
        return Ok(FileState::Original);
    }
    let touching: Vec<usize> = (0..part.len())
        .filter(|&at| !part[at].files.is_empty())
        .collect();
    let nothing = Patch { files: Vec::new() };
    for applied in (1..touching.len()).rev() {
        let cut = touching[applied];
        let only = |keep: &dyn Fn(usize) -> bool| -> Vec<Patch<'_>> {
            part.iter()
                .enumerate()
                .map(|(at, p)| if keep(at) { p.clone() } else { nothing.clone() })
                .collect()
        };
        if goes(&only(&|at| at < cut), true)? && goes(&only(&|at| at >= cut), false)? {
            return Ok(FileState::Partly {
                applied,
                of: touching.len(),
            });
        }
    }
    Ok(FileState::Changed)
}

impl fmt::Display for TreeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            TreeState::Clean => "clean: the series is not applied",
            TreeState::Applied => "applied",
            TreeState::Partly => "partly applied",
            TreeState::Changed => "changed: some files are neither as before nor as after",
        };
        let evidence = match self.evidence {
            Evidence::Record => "by the record of its application",
            Evidence::Trial => "by trial; no record of this series",
        };
        writeln!(f, "{state} ({evidence})")?;
        if self.interrupted {
            writeln!(f, "an application was interrupted: resume or revert it")?;
        }
        for file in &self.files {
            match file.state {
                FileState::Original => writeln!(f, "  original  {}", file.path)?,
                FileState::Patched => writeln!(f, "  patched   {}", file.path)?,
                FileState::Partly { applied, of } => {
                    writeln!(f, "  {applied} of {of} patches  {}", file.path)?;
                }
                FileState::Changed => writeln!(f, "  changed   {}", file.path)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
