//! What a check finds.

use std::fmt;

/// One thing that is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields are what the variants' descriptions name"
)]
pub enum Problem {
    /// The file system was not unmounted, or has known errors.
    NotClean { state: u16 },
    /// A bitmap or a part of the inode table is outside its group, or on another's blocks.
    MisplacedMetadata {
        group: u32,
        what: &'static str,
        block: u32,
    },
    /// An inode names a block outside the file system.
    BadBlock { inode: u32, block: u32 },
    /// A block belongs to several files, or to a file and to the file system itself.
    SharedBlock { inode: u32, block: u32 },
    /// The count of blocks of an inode is wrong.
    BlockCount {
        inode: u32,
        stored: u32,
        counted: u64,
    },
    /// The size of an inode does not go with its blocks.
    Size { inode: u32, size: u64 },
    /// An inode in use has a time of deletion.
    DeletionTime { inode: u32 },
    /// An inode without names has a mode but no time of deletion.
    NotDeleted { inode: u32 },
    /// A field of an inode is set that has to be zero.
    NotZero { inode: u32, field: &'static str },
    /// An inode has flags of later file systems, or of another kind of file.
    ForeignFlags { inode: u32, flags: u32 },
    /// A reserved inode that is not in use holds something.
    ReservedInode { inode: u32 },
    /// The mode names no kind of file.
    BadMode { inode: u32, mode: u16 },
    /// A device, fifo or socket has a size.
    SpecialWithSize { inode: u32 },
    /// A symbolic link's target is empty, too long or cut.
    BadSymlink { inode: u32 },
    /// The root is no directory, or not in use.
    BadRoot { mode: u16 },
    /// An attribute block is damaged.
    BadXattrs { inode: u32, block: u32 },
    /// The reference count of an attribute block is wrong.
    XattrReferences {
        block: u32,
        stored: u32,
        counted: u32,
    },
    /// A directory has a hole.
    DirectoryHole { inode: u32, block: u64 },
    /// A directory record is damaged.
    BadRecord { directory: u32, offset: u64 },
    /// `.` is missing or leads elsewhere.
    BadDot { directory: u32 },
    /// `..` is missing or leads elsewhere than to the parent.
    BadDotDot { directory: u32 },
    /// A name holds `/` or a zero byte, or is `.` or `..` out of place.
    BadName { directory: u32, name: Vec<u8> },
    /// Two records of one name.
    DuplicateName { directory: u32, name: Vec<u8> },
    /// A record names an inode that cannot be named.
    BadInodeNumber {
        directory: u32,
        name: Vec<u8>,
        inode: u32,
    },
    /// A record names an inode that is not in use.
    UnusedInode {
        directory: u32,
        name: Vec<u8>,
        inode: u32,
    },
    /// The file type of a record is not that of the inode.
    FileType {
        directory: u32,
        name: Vec<u8>,
        stored: u8,
        wanted: u8,
    },
    /// A directory has a second name.
    DirectoryTwice {
        directory: u32,
        name: Vec<u8>,
        inode: u32,
    },
    /// The index of a directory is damaged.
    BadIndex { directory: u32, what: &'static str },
    /// A directory that no way from the root leads to.
    Unconnected { directory: u32 },
    /// The root has no directory `lost+found`.
    NoLostAndFound,
    /// An inode in use without a name.
    Unattached { inode: u32 },
    /// The link count of an inode is wrong.
    LinkCount {
        inode: u32,
        stored: u16,
        counted: u32,
    },
    /// Bits of a group's block bitmap are wrong.
    BlockBitmap {
        group: u32,
        wrongly_used: u32,
        wrongly_free: u32,
    },
    /// Bits of a group's inode bitmap are wrong.
    InodeBitmap {
        group: u32,
        wrongly_used: u32,
        wrongly_free: u32,
    },
    /// Bits of a bitmap behind its end are not set.
    BitmapPadding { group: u32, what: &'static str },
    /// A total of a group is wrong.
    GroupTotal {
        group: u32,
        what: &'static str,
        stored: u32,
        counted: u32,
    },
    /// A total of the superblock is wrong (`e2fsck` corrects it from the groups, silently).
    Total {
        what: &'static str,
        stored: u32,
        counted: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClean { state } => {
                write!(
                    f,
                    "the file system was not cleanly unmounted (state {state:#x})"
                )
            }
            Self::MisplacedMetadata { group, what, block } => {
                write!(f, "group {group}: {what} at block {block} is out of place")
            }
            Self::BadBlock { inode, block } => {
                write!(f, "inode {inode}: block {block} is outside the file system")
            }
            Self::SharedBlock { inode, block } => {
                write!(
                    f,
                    "inode {inode}: block {block} belongs to something else, too"
                )
            }
            Self::BlockCount {
                inode,
                stored,
                counted,
            } => {
                write!(
                    f,
                    "inode {inode}: i_blocks is {stored}, should be {counted}"
                )
            }
            Self::Size { inode, size } => {
                write!(f, "inode {inode}: size {size} does not go with its blocks")
            }
            Self::DeletionTime { inode } => {
                write!(f, "inode {inode} is in use, but has a time of deletion")
            }
            Self::NotDeleted { inode } => {
                write!(f, "inode {inode} is deleted, but has no time of deletion")
            }
            Self::NotZero { inode, field } => {
                write!(f, "inode {inode}: {field} is not zero")
            }
            Self::ForeignFlags { inode, flags } => {
                write!(
                    f,
                    "inode {inode}: flags {flags:#x} are of later file systems or other files"
                )
            }
            Self::ReservedInode { inode } => {
                write!(
                    f,
                    "inode {inode} is reserved, not in use, and holds something"
                )
            }
            Self::BadMode { inode, mode } => {
                write!(f, "inode {inode}: mode {mode:#o} is no kind of file")
            }
            Self::SpecialWithSize { inode } => {
                write!(f, "inode {inode}: a device, fifo or socket has a size")
            }
            Self::BadSymlink { inode } => {
                write!(
                    f,
                    "inode {inode}: the target of the symbolic link is damaged"
                )
            }
            Self::BadRoot { mode } => {
                write!(f, "the root is no directory (mode {mode:#o})")
            }
            Self::BadXattrs { inode, block } => {
                write!(
                    f,
                    "inode {inode}: extended attribute block {block} is damaged"
                )
            }
            Self::XattrReferences {
                block,
                stored,
                counted,
            } => write!(
                f,
                "extended attribute block {block}: reference count is {stored}, should be {counted}"
            ),
            Self::DirectoryHole { inode, block } => {
                write!(f, "directory {inode}: block {block} of it is missing")
            }
            Self::BadRecord { directory, offset } => {
                write!(
                    f,
                    "directory {directory}: the record at byte {offset} is damaged"
                )
            }
            Self::BadDot { directory } => write!(f, "directory {directory}: `.` is wrong"),
            Self::BadDotDot { directory } => write!(f, "directory {directory}: `..` is wrong"),
            Self::BadName { directory, name } => {
                write!(
                    f,
                    "directory {directory}: `{}` is no name",
                    name.escape_ascii()
                )
            }
            Self::DuplicateName { directory, name } => {
                write!(
                    f,
                    "directory {directory}: `{}` is there twice",
                    name.escape_ascii()
                )
            }
            Self::BadInodeNumber {
                directory,
                name,
                inode,
            } => write!(
                f,
                "directory {directory}: `{}` names inode {inode}, which cannot be named",
                name.escape_ascii()
            ),
            Self::UnusedInode {
                directory,
                name,
                inode,
            } => write!(
                f,
                "directory {directory}: `{}` names inode {inode}, which is not in use",
                name.escape_ascii()
            ),
            Self::FileType {
                directory,
                name,
                stored,
                wanted,
            } => write!(
                f,
                "directory {directory}: `{}` has file type {stored}, should be {wanted}",
                name.escape_ascii()
            ),
            Self::DirectoryTwice {
                directory,
                name,
                inode,
            } => write!(
                f,
                "directory {directory}: `{}` is a second name of directory {inode}",
                name.escape_ascii()
            ),
            Self::BadIndex { directory, what } => {
                write!(f, "directory {directory}: the index is damaged: {what}")
            }
            Self::Unconnected { directory } => {
                write!(f, "directory {directory} cannot be reached from the root")
            }
            Self::NoLostAndFound => write!(f, "there is no directory /lost+found"),
            Self::Unattached { inode } => write!(f, "inode {inode} is in use and has no name"),
            Self::LinkCount {
                inode,
                stored,
                counted,
            } => {
                write!(
                    f,
                    "inode {inode}: link count is {stored}, should be {counted}"
                )
            }
            Self::BlockBitmap {
                group,
                wrongly_used,
                wrongly_free,
            } => write!(
                f,
                "group {group}: block bitmap: {wrongly_used} free blocks marked used, {wrongly_free} used blocks marked free"
            ),
            Self::InodeBitmap {
                group,
                wrongly_used,
                wrongly_free,
            } => write!(
                f,
                "group {group}: inode bitmap: {wrongly_used} free inodes marked used, {wrongly_free} used inodes marked free"
            ),
            Self::BitmapPadding { group, what } => {
                write!(
                    f,
                    "group {group}: bits behind the end of the {what} bitmap are not set"
                )
            }
            Self::GroupTotal {
                group,
                what,
                stored,
                counted,
            } => {
                write!(f, "group {group}: {what} is {stored}, should be {counted}")
            }
            Self::Total {
                what,
                stored,
                counted,
            } => {
                write!(f, "superblock: {what} is {stored}, should be {counted}")
            }
        }
    }
}

/// Problems kept in full; beyond, they are counted.
const KEPT: usize = 10_000;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    /// The first ten thousand.
    pub first: Vec<Problem>,
    /// How many there are in all.
    pub total: u64,
}

impl Problems {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.total == 0
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.total += 1;
        if self.first.len() < KEPT {
            self.first.push(problem);
        }
    }
}
