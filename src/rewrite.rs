//! The stage that turns the system calls of what an application's processes
//! load into calls of the kernel's gate, for guests that run in kernel mode.

use std::collections::BTreeMap;

use lupine_kml::rewrite::{Gate, Options, rewrite_bytes};
use lupine_rootfs::{Content, FileTree, TreePath};
use serde::{Deserialize, Serialize};

use crate::image::{AppImage, LARGEST_FILE};
use crate::needs::{AnalysisError, FilesError, analyse};

/// What became of a file's system call instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrittenFile {
    /// Its path in the image.
    pub path: String,
    /// Instructions that now lead to the gate.
    pub rewritten: usize,
    /// Instructions left as they are; they work in kernel mode, too, slower.
    pub native: usize,
    /// Why the whole file was left as it is, if it was.
    pub untouched: Option<String>,
}

/// Stands for the rewriting in cache keys; another number where the same input
/// gives another output.
pub(crate) const VERSION: &[u8] = b"3";

/// Rewrites, in `tree`, the files that the image's program loads: itself, its
/// interpreter, its libraries. The files run in user mode as before, so that
/// other programs of the image may share them. Owners, modes and times stay.
///
/// # Errors
/// The image cannot run or cannot be read. A file that cannot be rewritten is
/// no error: it is left as it is, and says why.
pub fn rewrite(image: &AppImage, tree: &mut FileTree) -> Result<Vec<RewrittenFile>, AnalysisError> {
    let unreadable = |error| AnalysisError::Files(FilesError(Box::new(error)));
    let mut inodes = BTreeMap::new();
    for path in analyse::loaded(image, &image.entry())? {
        let place = TreePath::new(&path).ok();
        let inode = place.and_then(|place| tree.resolve(&place).ok());
        if let Some(inode) = inode.filter(|&inode| tree.content(inode).is_some()) {
            inodes.entry(inode).or_insert(path);
        }
    }
    let ids: Vec<_> = inodes.keys().copied().collect();
    let contents = tree.read_files(&ids, LARGEST_FILE).map_err(unreadable)?;
    let options = Options {
        gate: Gate::Runtime,
    };
    let mut files = Vec::new();
    for ((inode, path), bytes) in inodes.into_iter().zip(contents) {
        let mut file = RewrittenFile {
            path,
            rewritten: 0,
            native: 0,
            untouched: None,
        };
        match rewrite_bytes(&bytes, &options) {
            Ok(made) => {
                file.rewritten = made.report.rewritten;
                file.native = made.report.native;
                if made.bytes != bytes {
                    let content = Content::inline(made.bytes);
                    tree.set_content(inode, content).map_err(unreadable)?;
                }
            }
            Err(error) => file.untouched = Some(error.to_string()),
        }
        files.push(file);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
