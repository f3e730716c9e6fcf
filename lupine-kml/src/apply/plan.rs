//! Works out what a series does to a tree, without writing.

use std::collections::{BTreeMap, BTreeSet};

use crate::diff::{Action, FilePatch, Mode, Name, Patch, PathError, TreePath};

use super::ApplyError;
use super::report::{FileAction, FileProblem, FileReport, Outcome, PatchReport, Report};
use super::series::Series;
use super::splice::splice;
use super::tree::{Entry, EntryKind, FileTree, Node, TreeError};

/// How to apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// The largest number of outer context lines that may be ignored; 0 by default, 2 in GNU
    /// patch. A hunk that needs less gets less.
    pub fuzz: usize,
    /// Take the series back: last patch first, each reversed.
    pub reverse: bool,
}

/// The difference that a series makes to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: TreePath,
    /// Before; `None` if it was not there.
    pub before: Option<Entry>,
    /// After; `None` if it goes.
    pub after: Option<Entry>,
}

/// What is to be done, worked out to the last byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What becomes of each hunk.
    pub report: Report,
    /// The files that change, by path; empty unless the report says [`Outcome::Applies`].
    pub changes: Vec<Change>,
}

/// Plans a series against a tree: every hunk of every patch, each patch seeing what those before
/// it did. Nothing is written. If something is rejected, the reverse is tried without fuzz, to
/// tell a patched tree from a foreign one.
///
/// # Errors
/// [`ApplyError`] if a patch cannot be read, names a path outside the tree, or the tree cannot be
/// read. A hunk that does not fit is no error: the report says so.
///
/// ```
/// use lupine_kml::apply::{self, Entry, MemoryTree, Options, Outcome, Series};
/// use lupine_kml::diff::TreePath;
///
/// let mut tree = MemoryTree::default();
/// tree.files.insert(TreePath::new(b"x")?, Entry::file(*b"one\ntwo\n"));
/// let series = Series::single("x.patch", &b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+zwei\n"[..]);
/// let plan = apply::plan(&tree, &series, Options::default())?;
/// assert_eq!(plan.report.outcome, Outcome::Applies);
/// tree.write(&plan.changes);
/// assert_eq!(apply::plan(&tree, &series, Options::default())?.report.outcome, Outcome::AlreadyApplied);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(tree: &impl FileTree, series: &Series, options: Options) -> Result<Plan, ApplyError> {
    let patches = series.parse()?;
    plan_parsed(tree, series, &patches, options)
}

/// [`plan`] with the patches already read, as [`Series::parse`] gives them.
///
/// # Errors
/// As [`plan`], but for unreadable patches.
pub fn plan_parsed(
    tree: &impl FileTree,
    series: &Series,
    patches: &[Patch<'_>],
    options: Options,
) -> Result<Plan, ApplyError> {
    let plan = one_way(tree, series, patches, options)?;
    if plan.report.outcome == Outcome::Applies {
        return Ok(plan);
    }
    let other_way = Options {
        fuzz: 0,
        reverse: !options.reverse,
    };
    let mut report = plan.report;
    if one_way(tree, series, patches, other_way)?.report.outcome == Outcome::Applies {
        report.outcome = Outcome::AlreadyApplied;
    }
    Ok(Plan {
        report,
        changes: Vec::new(),
    })
}

/// Plans without asking, on rejection, whether the opposite fits.
pub(crate) fn one_way(
    tree: &impl FileTree,
    series: &Series,
    patches: &[Patch<'_>],
    options: Options,
) -> Result<Plan, ApplyError> {
    let mut planner = Planner {
        tree,
        options,
        original: BTreeMap::new(),
        now: BTreeMap::new(),
        step: BTreeMap::new(),
        written: BTreeSet::new(),
        leaving: BTreeSet::new(),
    };
    let mut pairs: Vec<_> = series.patches.iter().zip(patches).collect();
    if options.reverse {
        pairs.reverse();
    }
    let mut reports = Vec::with_capacity(pairs.len());
    for (entry, patch) in pairs {
        let name = &entry.name;
        let mut run = Run {
            strip: entry.strip,
            reverse: entry.reverse != options.reverse,
            planner: &mut planner,
        };
        let files = run.patch(patch).map_err(|failure| match failure {
            Failure::Path(line, source) => ApplyError::Path {
                patch: name.clone(),
                line,
                source,
            },
            Failure::Tree(source) => ApplyError::Tree(source),
        })?;
        reports.push(PatchReport {
            name: name.clone(),
            files,
        });
    }
    let applies = reports.iter().all(PatchReport::is_clean);
    let changes = if applies {
        planner.changes()
    } else {
        Vec::new()
    };
    let report = Report {
        outcome: if applies {
            Outcome::Applies
        } else {
            Outcome::Rejected
        },
        reverse: options.reverse,
        resumed: false,
        patches: reports,
        changed: changes.iter().map(|change| change.path.clone()).collect(),
    };
    Ok(Plan { report, changes })
}

/// The tree with what the patches so far did to it.
struct Planner<'t, T> {
    tree: &'t T,
    options: Options,
    /// What the tree held, for every path looked at.
    original: BTreeMap<TreePath, Node>,
    /// What differs from it now.
    now: BTreeMap<TreePath, Node>,
    /// What the paths changed in the current step held at its start.
    step: BTreeMap<TreePath, Node>,
    /// Paths that renames and copies of this step made.
    written: BTreeSet<TreePath>,
    /// Paths that renames of this step leave, sooner or later.
    leaving: BTreeSet<TreePath>,
}

impl<T: FileTree> Planner<'_, T> {
    fn node(&mut self, path: &TreePath) -> Result<Node, TreeError> {
        if let Some(node) = self.now.get(path) {
            return Ok(node.clone());
        }
        if let Some(node) = self.original.get(path) {
            return Ok(node.clone());
        }
        let node = self.tree.node(path)?;
        self.original.insert(path.clone(), node.clone());
        Ok(node)
    }

    fn set(&mut self, path: &TreePath, node: Node) -> Result<(), TreeError> {
        let before = self.node(path)?;
        self.step.entry(path.clone()).or_insert(before);
        self.now.insert(path.clone(), node);
        Ok(())
    }

    /// What a rename or copy reads: the file as it was when the step began.
    fn source(&mut self, path: &TreePath) -> Result<Node, TreeError> {
        match self.step.get(path) {
            Some(node) => Ok(node.clone()),
            None => self.node(path),
        }
    }

    /// Why nothing can be created at a path, if so.
    fn obstacle(&mut self, path: &TreePath) -> Result<Option<FileProblem>, TreeError> {
        let mut ancestor = path.parent();
        while let Some(file) = ancestor {
            if let Some(Node::File(_)) = self.now.get(&file) {
                return Ok(Some(FileProblem::BelowFile { file }));
            }
            if !self.now.contains_key(&file) && matches!(self.node(&file)?, Node::File(_)) {
                return Ok(Some(FileProblem::BelowFile { file }));
            }
            ancestor = file.parent();
        }
        Ok(match self.node(path)? {
            Node::File(_) if self.leaving.contains(path) && !self.written.contains(path) => None,
            Node::File(_) => Some(FileProblem::Exists),
            Node::Directory => Some(FileProblem::Directory),
            Node::Absent => None,
        })
    }

    fn changes(self) -> Vec<Change> {
        let entry = |node: Node| match node {
            Node::File(entry) => Some(entry),
            Node::Directory | Node::Absent => None,
        };
        let mut original = self.original;
        self.now
            .into_iter()
            .map(|(path, node)| {
                let before = original.remove(&path).and_then(entry);
                Change {
                    path,
                    before,
                    after: entry(node),
                }
            })
            .filter(|change| change.before != change.after)
            .collect()
    }
}

/// Errors of one patch, before they know its name.
enum Failure {
    Path(usize, PathError),
    Tree(TreeError),
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

/// One patch on its way through the planner.
struct Run<'p, 't, T> {
    strip: usize,
    reverse: bool,
    planner: &'p mut Planner<'t, T>,
}

/// A file's change in the direction of application, with paths inside the tree.
struct Target {
    action: FileAction,
    path: TreePath,
    from: Option<TreePath>,
}

impl<T: FileTree> Run<'_, '_, T> {
    fn patch(&mut self, patch: &Patch<'_>) -> Result<Vec<FileReport>, Failure> {
        let mut steps: Vec<Vec<&FilePatch<'_>>> = Vec::new();
        for file in &patch.files {
            match steps.last_mut() {
                Some(step) if !file.starts_step => step.push(file),
                _ => steps.push(vec![file]),
            }
        }
        if self.reverse {
            steps.reverse();
            for step in &mut steps {
                step.reverse();
                // A copy is compared with its source as the source was before the step.
                step.sort_by_key(|file| matches!(file.action, Action::Copy { .. }));
            }
        }
        let mut reports = Vec::with_capacity(patch.files.len());
        for step in steps {
            self.begin_step(&step)?;
            for file in step {
                reports.push(self.file(file)?);
            }
        }
        Ok(reports)
    }

    fn begin_step(&mut self, files: &[&FilePatch<'_>]) -> Result<(), Failure> {
        self.planner.step.clear();
        self.planner.written.clear();
        self.planner.leaving.clear();
        for file in files {
            if let Action::Rename { from, to } = &file.action {
                let source = self.resolve(file.line, if self.reverse { to } else { from })?;
                self.planner.leaving.insert(source);
            }
        }
        Ok(())
    }

    fn resolve(&self, line: usize, name: &Name<'_>) -> Result<TreePath, Failure> {
        name.resolve(self.strip)
            .map_err(|error| Failure::Path(line, error))
    }

    fn target(&mut self, file: &FilePatch<'_>) -> Result<Target, Failure> {
        let line = file.line;
        let (action, name, from) = match (&file.action, self.reverse) {
            (Action::Modify { names }, _) => {
                let path = self.best_name(line, names)?;
                return Ok(Target {
                    action: FileAction::Modify,
                    path,
                    from: None,
                });
            }
            (Action::Create { name }, false) | (Action::Delete { name }, true) => {
                (FileAction::Create, name, None)
            }
            (Action::Delete { name }, false) | (Action::Create { name }, true) => {
                (FileAction::Delete, name, None)
            }
            (Action::Rename { from, to }, false)
            | (Action::Rename { from: to, to: from }, true) => (FileAction::Rename, to, Some(from)),
            (Action::Copy { from, to }, false) => (FileAction::Copy, to, Some(from)),
            (Action::Copy { from, to }, true) => (FileAction::Uncopy, to, Some(from)),
        };
        let path = self.resolve(line, name)?;
        let from = from.map(|name| self.resolve(line, name)).transpose()?;
        Ok(Target { action, path, from })
    }

    /// Of several names the one that exists; of several that exist the one with the fewest
    /// components, then the shortest last component, then the shortest, then the first.
    fn best_name(&mut self, line: usize, names: &[Name<'_>]) -> Result<TreePath, Failure> {
        let mut candidates = Vec::with_capacity(names.len());
        let mut too_short = None;
        for name in names {
            match name.resolve(self.strip) {
                Ok(path) => candidates.push(path),
                Err(error @ PathError::Empty { .. }) => too_short = Some(error),
                Err(error) => return Err(Failure::Path(line, error)),
            }
        }
        let mut best = None;
        for path in candidates {
            let absent = !matches!(self.planner.node(&path)?, Node::File(_));
            let (depth, last) = (path.components().count(), path.file_name().len());
            let key = (absent, depth, last, path.as_bytes().len());
            if best.as_ref().is_none_or(|(best, _)| key < *best) {
                best = Some((key, path));
            }
        }
        match (best, too_short) {
            (Some((_, path)), _) => Ok(path),
            (None, Some(error)) => Err(Failure::Path(line, error)),
            (None, None) => Err(Failure::Path(
                line,
                PathError::Empty {
                    name: "".into(),
                    strip: self.strip,
                },
            )),
        }
    }

    fn file(&mut self, file: &FilePatch<'_>) -> Result<FileReport, Failure> {
        let target = self.target(file)?;
        let mut report = FileReport {
            path: target.path.clone(),
            from: target.from.clone(),
            action: target.action,
            patch_line: file.line,
            problem: None,
            hunks: Vec::new(),
        };
        if let Err(problem) = self.change(file, target, &mut report)? {
            report.problem = Some(problem);
        }
        Ok(report)
    }

    /// Carries out one file's change on the planner's view.
    fn change(
        &mut self,
        file: &FilePatch<'_>,
        target: Target,
        report: &mut FileReport,
    ) -> Result<Result<(), FileProblem>, Failure> {
        let Target {
            mut action,
            path,
            from,
        } = target;
        let (old_mode, new_mode) = if self.reverse {
            (file.new_mode, file.old_mode)
        } else {
            (file.old_mode, file.new_mode)
        };
        let here = self.planner.node(&path)?;
        // A plain diff whose only hunk has no old lines may create its file.
        let from_nothing = file.hunks.first().is_some_and(|hunk| {
            let old = if self.reverse { hunk.new } else { hunk.old };
            old.start == 0 && old.count == 0
        });
        if action == FileAction::Modify && here == Node::Absent && from_nothing {
            action = FileAction::Create;
            report.action = action;
        }
        let source = match action {
            FileAction::Create => None,
            FileAction::Modify | FileAction::Delete | FileAction::Uncopy => Some(here),
            FileAction::Rename | FileAction::Copy => match &from {
                Some(from) => Some(self.planner.source(from)?),
                None => None,
            },
        };
        let before = match source {
            None => Entry {
                kind: kind_of_new(new_mode),
                content: Vec::new(),
            },
            Some(Node::File(entry)) => entry,
            Some(Node::Directory) => return Ok(Err(FileProblem::Directory)),
            Some(Node::Absent) => return Ok(Err(FileProblem::Missing)),
        };
        let expects_link = if action == FileAction::Create {
            new_mode
        } else {
            old_mode
        } == Some(Mode::Symlink);
        if expects_link != (before.kind == EntryKind::Symlink) {
            return Ok(Err(FileProblem::OtherKind));
        }
        let moves =
            matches!(action, FileAction::Rename | FileAction::Copy) && from.as_ref() != Some(&path);
        if (moves || action == FileAction::Create)
            && let Some(obstacle) = self.planner.obstacle(&path)?
        {
            return Ok(Err(obstacle));
        }
        let spliced = splice(
            &before.content,
            file,
            self.reverse,
            self.planner.options.fuzz,
        );
        report.hunks = spliced.hunks;
        let after = Entry {
            kind: change_mode(before.kind, old_mode, new_mode),
            content: spliced.content,
        };
        let stays = !matches!(action, FileAction::Delete | FileAction::Uncopy);
        if stays
            && after.kind == EntryKind::Symlink
            && report.is_clean()
            && !stays_inside(&path, &after.content)
        {
            let target = after.content.as_slice().into();
            return Ok(Err(FileProblem::LinkLeavesTree { target }));
        }
        match action {
            FileAction::Delete => {
                if report.is_clean() && !after.content.is_empty() {
                    return Ok(Err(FileProblem::ContentLeft));
                }
                self.planner.set(&path, Node::Absent)?;
            }
            FileAction::Uncopy => {
                let original = match &from {
                    Some(from) => self.planner.node(from)?,
                    None => Node::Absent,
                };
                if report.is_clean()
                    && !matches!(original, Node::File(e) if e.content == after.content)
                {
                    return Ok(Err(FileProblem::ContentLeft));
                }
                self.planner.set(&path, Node::Absent)?;
            }
            FileAction::Create | FileAction::Modify => {
                self.planner.set(&path, Node::File(after))?;
            }
            FileAction::Rename | FileAction::Copy => {
                self.planner.set(&path, Node::File(after))?;
                self.planner.written.insert(path);
                if let (FileAction::Rename, Some(from)) = (action, from)
                    && !self.planner.written.contains(&from)
                {
                    self.planner.set(&from, Node::Absent)?;
                }
            }
        }
        Ok(Ok(()))
    }
}

fn kind_of_new(mode: Option<Mode>) -> EntryKind {
    match mode {
        Some(Mode::Symlink) => EntryKind::Symlink,
        Some(Mode::Executable) => EntryKind::Regular { mode: 0o755 },
        Some(Mode::Regular) | None => EntryKind::Regular { mode: 0o644 },
    }
}

/// As git records no more than whether a file is executable, no more is changed: whoever may read
/// may execute, or nobody.
fn change_mode(kind: EntryKind, old: Option<Mode>, new: Option<Mode>) -> EntryKind {
    match (kind, new) {
        (EntryKind::Regular { mode }, Some(Mode::Executable)) if old != new => EntryKind::Regular {
            mode: mode | ((mode & 0o444) >> 2),
        },
        (EntryKind::Regular { mode }, Some(Mode::Regular)) if old != new => EntryKind::Regular {
            mode: mode & !0o111,
        },
        (kind, _) => kind,
    }
}

/// Whether a symbolic link at `path` leads to a place inside the tree, as far as its text says.
fn stays_inside(path: &TreePath, target: &[u8]) -> bool {
    if target.is_empty() || target[0] == b'/' || target.contains(&0) {
        return false;
    }
    let mut depth = path.components().count() - 1;
    for part in target.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests;
