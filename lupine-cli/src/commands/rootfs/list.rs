//! `lupine rootfs list`.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};

use jiff::Timestamp;
use lupine_rootfs::config::ByteString;
use lupine_rootfs::{FileTree, InodeId, Kind, TreePath};
use serde::Serialize;

use super::{Failed, read_tree, tree_path};
use crate::args::rootfs::RootfsList;
use crate::commands::{Failure, Session};

/// A name in the image.
#[derive(Serialize)]
struct Entry {
    /// Absolute, inside the image.
    path: ByteString,
    kind: &'static str,
    /// Permission bits in octal, such as `4755`.
    mode: String,
    uid: u32,
    gid: u32,
    /// Seconds since 1970.
    mtime: i64,
    /// Names of the file; of a directory, as ext2 counts them.
    links: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<ByteString>,
    /// Major and minor number.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, ByteString>,
}

pub(super) fn execute(session: &Session<'_>, args: &RootfsList) -> Result<(), Failure> {
    let tree = read_tree(&args.image)?;
    let below = tree_path(args.path.as_deref().unwrap_or_default())?;
    if tree.lookup(&below).is_none() {
        return Err(Failed::NotThere(below).into());
    }
    let mut entries = tree
        .walk()
        .filter(|(path, _)| is_below(path, &below))
        .map(|(path, id)| entry(&tree, &path, id));
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = if session.common.json {
        // One by one: an image may hold millions.
        let mut serializer = serde_json::Serializer::pretty(&mut out);
        serde::Serializer::collect_seq(&mut serializer, entries)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        entries.try_for_each(|entry| writeln!(out, "{}", line(&entry)))
    };
    let flushed = printed.and_then(|()| out.flush());
    flushed.map_err(|source| Failure::Output {
        what: "to standard output".to_owned(),
        source,
    })
}

fn is_below(path: &TreePath, directory: &TreePath) -> bool {
    let rest = path.as_bytes().strip_prefix(directory.as_bytes());
    rest.is_some_and(|rest| directory.is_root() || rest.is_empty() || rest[0] == b'/')
}

fn entry(tree: &FileTree, path: &TreePath, id: InodeId) -> Entry {
    let inode = tree.inode(id);
    let metadata = &inode.metadata;
    let mut entry = Entry {
        path: [b"/", path.as_bytes()].concat().into(),
        kind: inode.kind.noun(),
        mode: format!("{:04o}", metadata.mode),
        uid: metadata.uid,
        gid: metadata.gid,
        mtime: metadata.mtime,
        links: u64::from(tree.link_count(id)),
        size: None,
        target: None,
        device: None,
        xattrs: BTreeMap::new(),
    };
    match &inode.kind {
        Kind::Regular(content) => entry.size = Some(content.len()),
        Kind::Symlink(target) => entry.target = Some(target.to_vec().into()),
        &Kind::CharDevice { major, minor } | &Kind::BlockDevice { major, minor } => {
            entry.device = Some((major, minor));
        }
        Kind::Directory => {
            let directories = tree
                .children(id)
                .filter(|&(_, child)| tree.is_directory(child));
            entry.links = 2 + directories.count() as u64;
        }
        Kind::Fifo | Kind::Socket => {}
    }
    let xattrs = inode.xattrs.iter().flat_map(|xattrs| xattrs.iter());
    entry.xattrs = xattrs
        .map(|(name, value)| (name.escape_ascii().to_string(), value.clone().into()))
        .collect();
    entry
}

/// As `tar -tv` shows it.
fn line(entry: &Entry) -> String {
    let size = match (entry.device, entry.size) {
        (Some((major, minor)), _) => format!("{major},{minor}"),
        (None, size) => size.unwrap_or_default().to_string(),
    };
    let time = match Timestamp::from_second(entry.mtime) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => entry.mtime.to_string(),
    };
    let owner = format!("{}/{}", entry.uid, entry.gid);
    let target = entry.target.as_ref();
    let target = target.map(|target| format!(" -> {}", shown(target)));
    format!(
        "{} {:>3} {owner:>9} {size:>10} {time} {}{}",
        permissions(entry),
        entry.links,
        shown(&entry.path),
        target.unwrap_or_default(),
    )
}

/// As `ls -l` shows them.
fn permissions(entry: &Entry) -> String {
    let mode = u16::from_str_radix(&entry.mode, 8).unwrap_or_default();
    let kind = match entry.kind {
        "directory" => 'd',
        "symbolic link" => 'l',
        "character device" => 'c',
        "block device" => 'b',
        "fifo" => 'p',
        "socket" => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, mark) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => mark,
            (true, false) => mark.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A name on one line: text as it is, control characters and other bytes escaped.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control() || c == '\\') => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}
