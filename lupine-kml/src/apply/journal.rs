//! Writes a plan to a directory so that a crash or power loss at any moment leaves a tree that
//! can be finished or taken back, to the byte.
//!
//! All of it lives in `.lupine/` at the root of the tree:
//!
//! | file | what it is |
//! |---|---|
//! | `lock` | held while we write; two writers exclude one another |
//! | `journal` | every changed file, before and after; there from before the first write until after the last |
//! | `kml.json` | the [`Record`] of what is applied |
//!
//! 1. The journal is written under another name, flushed, renamed: from here on the change is
//!    bound to be finished or reverted.
//! 2. Each file's new content is written beside the journal, flushed, and renamed over the old.
//! 3. The directories are flushed, the record replaced, the journal removed.
//!
//! A file on disk is therefore always wholly old or wholly new, and the journal says which files
//! there are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rayon::prelude::*;
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::diff::{STATE_DIR, TreePath};

use super::digest;
use super::directory::{DirectoryTree, io_error};
use super::plan::Change;
use super::record::Record;
use super::tree::{Entry, EntryKind, FileTree, Node, TreeError};

const MAGIC: &[u8] = b"lupine-journal 1\n";
const LOCK: &str = "lock";
const JOURNAL: &str = "journal";
const RECORD: &str = "kml.json";

/// Why a tree cannot be written, finished or taken back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Reading or writing failed. What the journal holds can be resumed or reverted.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Another process writes to the tree.
    #[error("another process is patching `{}`; wait for it", .0.display())]
    Busy(PathBuf),
    /// A file is neither as it was nor as it shall be.
    #[error(
        "`{path}` was changed by something else since; put back what it held, or remove {STATE_DIR}/{JOURNAL} to leave the tree as it is"
    )]
    Changed {
        /// The file.
        path: TreePath,
    },
    /// The journal is none of ours, or damaged.
    #[error("`{}` is damaged ({problem}); remove it to leave the tree as it is", .path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The record is none of ours, or damaged.
    #[error("`{}` is damaged; remove it to go without a record", .path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Exclusive leave to write to a tree; given back on drop.
#[derive(Debug)]
pub(super) struct Writer<'t> {
    tree: &'t DirectoryTree,
    /// `.lupine/`.
    state: OwnedFd,
    lock: OwnedFd,
}

impl Drop for Writer<'_> {
    /// Closing would not do: where another thread starts a process, that has the lock open as well until it
    /// is another program.
    fn drop(&mut self) {
        // What cannot be unlocked now is so when the last copy is closed.
        let _ = fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

/// The journal's header: what follows it is the content of all `before` and `after`, in order.
#[derive(Serialize, Deserialize)]
struct Header {
    files: Vec<FileHeader>,
    /// The record to be written in the end; none removes it.
    record: Option<Record>,
}

#[derive(Serialize, Deserialize)]
struct FileHeader {
    path: TreePath,
    before: Option<Shape>,
    after: Option<Shape>,
}

#[derive(Serialize, Deserialize)]
struct Shape {
    /// Permission bits; none for a symbolic link.
    mode: Option<u32>,
    /// Bytes of content.
    length: usize,
}

/// What an interrupted application was about.
struct Journal {
    changes: Vec<Change>,
    record: Option<Record>,
}

/// Which way an interrupted application is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Forward,
    Back,
}

/// The record of what is applied to a tree, if any. Follows no symbolic link.
///
/// # Errors
/// [`JournalError::Record`] if it is damaged.
pub(crate) fn record(tree: &DirectoryTree) -> Result<Option<Record>, JournalError> {
    let Some(state) = state_directory(tree, false)? else {
        return Ok(None);
    };
    read_record(tree, state.as_fd())
}

/// Whether an application was interrupted and is neither finished nor reverted.
pub(super) fn is_pending(tree: &DirectoryTree) -> Result<bool, JournalError> {
    let Some(state) = state_directory(tree, false)? else {
        return Ok(false);
    };
    match fs::statat(&state, JOURNAL, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(state_error(tree, "look at the journal in", errno).into()),
    }
}

impl<'t> Writer<'t> {
    pub(super) fn lock(tree: &'t DirectoryTree) -> Result<Self, JournalError> {
        let Some(state) = state_directory(tree, true)? else {
            return Err(state_error(tree, "make", Errno::NOENT).into());
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = fs::openat(&state, LOCK, flags, Mode::from_raw_mode(0o644))
            .map_err(|errno| state_error(tree, "open the lock in", errno))?;
        match fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            // A writer that left nothing behind removed its lock: ours is then nobody's.
            Ok(()) if !is_at(&lock, &state) => Err(JournalError::Busy(tree.path().to_owned())),
            Ok(()) => Ok(Self { tree, state, lock }),
            Err(Errno::WOULDBLOCK) => Err(JournalError::Busy(tree.path().to_owned())),
            Err(errno) => Err(state_error(tree, "lock", errno).into()),
        }
    }

    pub(super) fn record(&self) -> Result<Option<Record>, JournalError> {
        read_record(self.tree, self.state.as_fd())
    }

    /// Ends what was interrupted. False if nothing was.
    pub(super) fn recover(&self, way: Way) -> Result<bool, JournalError> {
        let Some(journal) = self.read()? else {
            return Ok(false);
        };
        match way {
            Way::Forward => self.finish(&journal.changes, journal.record.as_ref())?,
            Way::Back => {
                let back: Vec<Change> = journal
                    .changes
                    .into_iter()
                    .map(
                        |Change {
                             path,
                             before,
                             after,
                         }| Change {
                            path,
                            before: after,
                            after: before,
                        },
                    )
                    .collect();
                let record = self.record()?;
                self.finish(&back, record.as_ref())?;
            }
        }
        Ok(true)
    }

    /// Carries out changes to files that must be as `before` says.
    pub(super) fn commit(
        &self,
        changes: Vec<Change>,
        record: Option<Record>,
    ) -> Result<(), JournalError> {
        for change in &changes {
            if self.state_of(&change.path)?.as_ref() != change.before.as_ref() {
                return Err(JournalError::Changed {
                    path: change.path.clone(),
                });
            }
        }
        let journal = Journal { changes, record };
        self.write_state(JOURNAL, &encode(&journal))?;
        self.finish(&journal.changes, journal.record.as_ref())
    }

    fn state_of(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        Ok(match self.tree.node(path)? {
            Node::File(entry) => Some(entry),
            Node::Absent | Node::Directory => None,
        })
    }

    /// Brings every file to its `after`, whether it got there before or not, and closes the
    /// journal. Nothing is written before every file is known to be in one of its two states.
    fn finish(&self, changes: &[Change], record: Option<&Record>) -> Result<(), JournalError> {
        let mut left = Vec::with_capacity(changes.len());
        for change in changes {
            let found = digest::of_state(self.state_of(&change.path)?.as_ref());
            if found == digest::of_state(change.after.as_ref()) {
                continue;
            }
            if found != digest::of_state(change.before.as_ref()) {
                return Err(JournalError::Changed {
                    path: change.path.clone(),
                });
            }
            left.push(change);
        }
        // Files first go, then come: one may be in the place of another's directory.
        for change in left.iter().filter(|change| change.after.is_none()) {
            if let Some(directory) = self.tree.parent(&change.path, false)? {
                match fs::unlinkat(
                    &directory,
                    OsStr::from_bytes(change.path.file_name()),
                    AtFlags::empty(),
                ) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(io_error("remove", &change.path, errno.into()).into()),
                }
            }
        }
        for change in changes.iter().filter(|change| change.after.is_none()) {
            self.tree.prune(&change.path)?;
        }
        left.par_iter()
            .enumerate()
            .try_for_each(|(number, change)| match &change.after {
                Some(entry) => self.stage(number, change, entry),
                None => Ok(()),
            })?;
        for (number, change) in left.iter().enumerate() {
            if change.after.is_some() {
                self.put(number, change)?;
            }
        }
        self.flush_directories(changes)?;
        match record {
            Some(record) => self.write_state(RECORD, &record.to_json())?,
            None => self.remove_state(RECORD)?,
        }
        self.remove_state(JOURNAL)?;
        for number in 0..changes.len() {
            let _ = fs::unlinkat(&self.state, staged(number), AtFlags::empty());
        }
        if record.is_none() {
            // Nothing is applied and nothing is left to say: the tree is as it came to us. What
            // cannot be removed harms nobody.
            let _ = fs::unlinkat(&self.state, LOCK, AtFlags::empty());
            let _ = fs::unlinkat(self.tree.root(), STATE_DIR, AtFlags::REMOVEDIR);
        }
        Ok(())
    }

    /// Writes a file's new content beside the journal, with the owner and mode it shall have.
    fn stage(&self, number: usize, change: &Change, entry: &Entry) -> Result<(), TreeError> {
        let fail = |doing| move |errno: Errno| io_error(doing, &change.path, errno.into());
        let name = staged(number);
        match fs::unlinkat(&self.state, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(fail("clear the way for")(errno)),
        }
        let EntryKind::Regular { mode } = entry.kind else {
            return fs::symlinkat(OsStr::from_bytes(&entry.content), &self.state, &name)
                .map_err(fail("link"));
        };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.state, &name, flags, Mode::from_raw_mode(0o600))
            .map_err(fail("write"))?;
        let mut file = std::fs::File::from(file);
        file.write_all(&entry.content)
            .map_err(|e| io_error("write", &change.path, e))?;
        // Whoever is not root cannot give files away, and need not: they are theirs.
        if let Some(directory) = self.tree.parent(&change.path, false)?
            && let Ok(old) = fs::statat(
                &directory,
                OsStr::from_bytes(change.path.file_name()),
                AtFlags::SYMLINK_NOFOLLOW,
            )
        {
            let owner = Some(fs::Uid::from_raw(old.st_uid));
            let group = Some(fs::Gid::from_raw(old.st_gid));
            let _ = fs::fchown(&file, owner, group);
        }
        fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(fail("set the mode of"))?;
        file.sync_all()
            .map_err(|e| io_error("flush", &change.path, e))
    }

    /// Renames a staged file to its place.
    fn put(&self, number: usize, change: &Change) -> Result<(), TreeError> {
        let path = &change.path;
        let missing = || io_error("make the directory of", path, Errno::NOTDIR.into());
        let directory = self.tree.parent(path, true)?.ok_or_else(missing)?;
        fs::renameat(
            &self.state,
            staged(number),
            &directory,
            OsStr::from_bytes(path.file_name()),
        )
        .map_err(|errno| io_error("replace", path, errno.into()))
    }

    /// Flushes every directory that had an entry changed, up to the root, once.
    fn flush_directories(&self, changes: &[Change]) -> Result<(), TreeError> {
        let mut seen = BTreeSet::new();
        for change in changes {
            let mut inside = Some(change.path.clone());
            while let Some(path) = inside {
                let parent = path.parent();
                if !seen.insert(parent.clone()) {
                    break;
                }
                if let Some(directory) = self.tree.parent(&path, false)? {
                    fs::fsync(&directory)
                        .map_err(|errno| io_error("flush the directory of", &path, errno.into()))?;
                }
                inside = parent;
            }
        }
        Ok(())
    }

    /// Replaces a file in `.lupine/` for good.
    fn write_state(&self, name: &str, content: &[u8]) -> Result<(), TreeError> {
        let fail = |errno| state_error(self.tree, "write to", errno);
        let new = format!("{name}.new");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            fs::openat(&self.state, &new, flags, Mode::from_raw_mode(0o644)).map_err(fail)?;
        let mut file = std::fs::File::from(file);
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(|source| TreeError::Root {
                doing: "write to",
                path: self.tree.path().join(STATE_DIR),
                source,
            })?;
        fs::renameat(&self.state, &new, &self.state, name).map_err(fail)?;
        fs::fsync(&self.state).map_err(fail)?;
        // The directory itself may be as new as the file.
        fs::fsync(self.tree.root()).map_err(fail)
    }

    fn remove_state(&self, name: &str) -> Result<(), TreeError> {
        match fs::unlinkat(&self.state, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(state_error(self.tree, "remove the journal from", errno)),
        }
        fs::fsync(&self.state).map_err(|errno| state_error(self.tree, "flush", errno))
    }

    fn read(&self) -> Result<Option<Journal>, JournalError> {
        let Some(bytes) = read_state(self.tree, self.state.as_fd(), JOURNAL)? else {
            return Ok(None);
        };
        decode(&bytes)
            .map(Some)
            .map_err(|problem| JournalError::Damaged {
                path: self.tree.path().join(STATE_DIR).join(JOURNAL),
                problem,
            })
    }
}

/// Whether the open lock is still the one in the directory.
fn is_at(lock: &OwnedFd, state: &OwnedFd) -> bool {
    match (
        fs::fstat(lock),
        fs::statat(state, LOCK, AtFlags::SYMLINK_NOFOLLOW),
    ) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

fn staged(number: usize) -> String {
    format!("staged-{number}")
}

fn state_error(tree: &DirectoryTree, doing: &'static str, errno: Errno) -> TreeError {
    TreeError::Root {
        doing,
        path: tree.path().join(STATE_DIR),
        source: errno.into(),
    }
}

fn state_directory(tree: &DirectoryTree, create: bool) -> Result<Option<OwnedFd>, TreeError> {
    if create {
        match fs::mkdirat(tree.root(), STATE_DIR, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(state_error(tree, "make", errno)),
        }
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match fs::openat(tree.root(), STATE_DIR, flags, Mode::empty()) {
        Ok(state) => Ok(Some(state)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(state_error(tree, "open", errno)),
    }
}

fn read_state(
    tree: &DirectoryTree,
    state: BorrowedFd<'_>,
    name: &str,
) -> Result<Option<Vec<u8>>, TreeError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match fs::openat(state, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(state_error(tree, "read from", errno)),
    };
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(file), &mut bytes).map_err(|source| {
        TreeError::Root {
            doing: "read from",
            path: tree.path().join(STATE_DIR),
            source,
        }
    })?;
    Ok(Some(bytes))
}

fn read_record(
    tree: &DirectoryTree,
    state: BorrowedFd<'_>,
) -> Result<Option<Record>, JournalError> {
    let Some(bytes) = read_state(tree, state, RECORD)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| JournalError::Record {
            path: tree.path().join(STATE_DIR).join(RECORD),
            source,
        })
}

/// Magic, SHA-256 of the rest in hexadecimal and a newline, the header as one line of JSON, the
/// contents.
fn encode(journal: &Journal) -> Vec<u8> {
    let shape = |entry: &Option<Entry>| {
        entry.as_ref().map(|entry| Shape {
            mode: match entry.kind {
                EntryKind::Regular { mode } => Some(mode),
                EntryKind::Symlink => None,
            },
            length: entry.content.len(),
        })
    };
    let files = journal.changes.iter().map(|change| FileHeader {
        path: change.path.clone(),
        before: shape(&change.before),
        after: shape(&change.after),
    });
    let header = Header {
        files: files.collect(),
        record: journal.record.clone(),
    };
    #[allow(
        clippy::expect_used,
        reason = "strings, numbers and lists always have a JSON form"
    )]
    let mut body = serde_json::to_vec(&header).expect("a header is plain data");
    body.push(b'\n');
    for entry in journal
        .changes
        .iter()
        .flat_map(|c| [&c.before, &c.after])
        .flatten()
    {
        body.extend_from_slice(&entry.content);
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(digest::hex(&body).as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Journal, &'static str> {
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("no journal, or of another version")?;
    let (sum, rest) = rest.split_at_checked(64).ok_or("cut short")?;
    let body = rest.strip_prefix(b"\n").ok_or("no digest")?;
    if digest::hex(body).as_bytes() != sum {
        return Err("its digest differs");
    }
    let end = memchr::memchr(b'\n', body).ok_or("no header")?;
    let header: Header = serde_json::from_slice(&body[..end]).map_err(|_| "malformed header")?;
    let mut contents = &body[end + 1..];
    let mut entry = |shape: Option<Shape>| -> Result<Option<Entry>, &'static str> {
        let Some(shape) = shape else { return Ok(None) };
        let (content, rest) = contents.split_at_checked(shape.length).ok_or("cut short")?;
        contents = rest;
        let kind = match shape.mode {
            Some(mode) => EntryKind::Regular {
                mode: mode & 0o7777,
            },
            None => EntryKind::Symlink,
        };
        Ok(Some(Entry {
            kind,
            content: content.to_vec(),
        }))
    };
    let mut changes = Vec::with_capacity(header.files.len());
    for file in header.files {
        changes.push(Change {
            path: file.path,
            before: entry(file.before)?,
            after: entry(file.after)?,
        });
    }
    Ok(Journal {
        changes,
        record: header.record,
    })
}

#[cfg(test)]
mod tests;
