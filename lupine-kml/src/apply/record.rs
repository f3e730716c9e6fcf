//! What is applied to a tree, written when it was.

use serde::{Deserialize, Serialize};

use crate::diff::{Text, TreePath};

use super::digest;
use super::plan::Change;
use super::series::Series;

/// The record of applied patches, `.lupine/kml.json` in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form: 1.
    pub version: u32,
    /// The patches applied, in order.
    pub patches: Vec<RecordedPatch>,
    /// Every file they touch, by path.
    pub files: Vec<RecordedFile>,
}

/// One applied patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPatch {
    /// Its name.
    pub name: Text,
    /// SHA-256 of the patch file, in hexadecimal.
    pub digest: String,
}

/// One touched file. A state is `-:`, `x:` (executable) or `l:` (symbolic link) and the SHA-256
/// of the content in hexadecimal; none if the file is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// The file.
    pub path: TreePath,
    /// Its state before all patches.
    pub before: Option<String>,
    /// Its state after them.
    pub after: Option<String>,
}

impl Record {
    /// What the record says once `changes` are made: `earlier` with the series added, or taken
    /// away where `reverse`. `None` once nothing is applied.
    pub(super) fn next(
        earlier: Option<Self>,
        series: &Series,
        changes: &[Change],
        reverse: bool,
    ) -> Option<Self> {
        let mut record = earlier.unwrap_or(Self {
            version: 1,
            patches: Vec::new(),
            files: Vec::new(),
        });
        let named = series.patches.iter().map(|patch| RecordedPatch {
            name: patch.name.clone(),
            digest: digest::hex(&patch.bytes),
        });
        if reverse {
            let gone: Vec<String> = named.map(|patch| patch.digest).collect();
            record.patches.retain(|patch| !gone.contains(&patch.digest));
        } else {
            record.patches.extend(named);
        }
        for change in changes {
            let after = digest::of_state(change.after.as_ref());
            match record
                .files
                .iter_mut()
                .find(|file| file.path == change.path)
            {
                Some(file) => file.after = after,
                None => record.files.push(RecordedFile {
                    path: change.path.clone(),
                    before: digest::of_state(change.before.as_ref()),
                    after,
                }),
            }
        }
        record.files.retain(|file| file.before != file.after);
        record.files.sort_by(|a, b| a.path.cmp(&b.path));
        (!record.patches.is_empty()).then_some(record)
    }

    /// Whether the record says that just this series is applied.
    pub(crate) fn is_of(&self, series: &Series) -> bool {
        self.patches.len() == series.patches.len()
            && self
                .patches
                .iter()
                .zip(&series.patches)
                .all(|(r, p)| r.digest == digest::hex(&p.bytes))
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        #[allow(
            clippy::expect_used,
            reason = "strings, numbers and lists always have a JSON form"
        )]
        let mut json = serde_json::to_vec_pretty(self).expect("a record is plain data");
        json.push(b'\n');
        json
    }
}
