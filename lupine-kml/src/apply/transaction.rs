//! Patches a directory: plan, journal, write.

use std::path::Path;

use crate::diff::Patch;

use super::ApplyError;
use super::directory::DirectoryTree;
use super::journal::{self, JournalError, Way, Writer};
use super::plan::{Options, Plan, plan_parsed};
use super::record::Record;
use super::report::{Outcome, Report};
use super::series::Series;
use super::tree::{FileTree, Node};

/// Whether to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Patch the tree, if everything lands.
    #[default]
    Write,
    /// Report what would be done and leave no trace.
    Check,
}

/// Applies a series to a directory, or takes it back: wholly, or not at all. Something
/// interrupted earlier is finished first (under [`Mode::Check`] it is an error).
///
/// # Errors
/// [`ApplyError`]. What does not fit, or is applied already, is no error: [`Report::outcome`]
/// says so, and nothing is written.
///
/// ```no_run
/// use lupine_kml::apply::{Mode, Options, Outcome, Series, patch_directory};
/// use std::path::Path;
///
/// let series = Series::read_directory(Path::new("patches/6.12"))?;
/// let report = patch_directory(Path::new("linux-6.12"), &series, Options::default(), Mode::Write)?;
/// print!("{report}");
/// assert_ne!(report.outcome, Outcome::Rejected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn patch_directory(
    root: &Path,
    series: &Series,
    options: Options,
    mode: Mode,
) -> Result<Report, ApplyError> {
    let patches = series.parse()?;
    let tree = DirectoryTree::open(root)?;
    let pending = journal::is_pending(&tree)?;
    if mode == Mode::Check {
        if pending {
            return Err(ApplyError::Pending {
                root: root.to_owned(),
            });
        }
        return Ok(known(&tree, series, &patches, options)?.report);
    }
    let mut resumed = false;
    if pending {
        resumed = Writer::lock(&tree)?.recover(Way::Forward)?;
    }
    let mut plan = known(&tree, series, &patches, options)?;
    plan.report.resumed = resumed;
    if plan.report.outcome == Outcome::Applies && !plan.changes.is_empty() {
        let writer = Writer::lock(&tree)?;
        let record = Record::next(writer.record()?, series, &plan.changes, options.reverse);
        writer.commit(plan.changes, record)?;
    }
    Ok(plan.report)
}

/// Plans, but lets the record have the last word: a series that it says is applied, to files that
/// are unchanged since, is not applied again, though its hunks may land twice.
fn known(
    tree: &DirectoryTree,
    series: &Series,
    patches: &[Patch<'_>],
    options: Options,
) -> Result<Plan, ApplyError> {
    let mut plan = plan_parsed(tree, series, patches, options)?;
    if options.reverse || plan.report.outcome != Outcome::Applies {
        return Ok(plan);
    }
    let Some(record) = journal::record(tree)?.filter(|record| record.is_of(series)) else {
        return Ok(plan);
    };
    for file in &record.files {
        let found = match tree.node(&file.path)? {
            Node::File(entry) => Some(entry.digest()),
            Node::Absent | Node::Directory => None,
        };
        if found != file.after {
            return Ok(plan);
        }
    }
    plan.report.outcome = Outcome::AlreadyApplied;
    plan.report.changed.clear();
    plan.changes.clear();
    Ok(plan)
}

/// Finishes an application that was interrupted. False if none was.
///
/// # Errors
/// [`JournalError`]; the tree is then as it was before the call.
pub fn resume(root: &Path) -> Result<bool, JournalError> {
    recover(root, Way::Forward)
}

/// Takes back an application that was interrupted. False if none was.
///
/// # Errors
/// [`JournalError`]; the tree is then as it was before the call.
pub fn revert(root: &Path) -> Result<bool, JournalError> {
    recover(root, Way::Back)
}

/// Whether an application to this tree was interrupted and waits for [`resume`] or [`revert`].
///
/// # Errors
/// [`JournalError::Tree`] if the tree cannot be read.
pub fn is_interrupted(root: &Path) -> Result<bool, JournalError> {
    journal::is_pending(&DirectoryTree::open(root)?)
}

fn recover(root: &Path, way: Way) -> Result<bool, JournalError> {
    let tree = DirectoryTree::open(root)?;
    if !journal::is_pending(&tree)? {
        return Ok(false);
    }
    Writer::lock(&tree)?.recover(way)
}
