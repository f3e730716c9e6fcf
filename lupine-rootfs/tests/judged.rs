//! Properties of images one by one, judged by debugfs and e2fsck.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod judge;

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use lupine_rootfs::ext2::{
    BlockSize, Diagnostic, Image, Options, Size, WriteError, check, write_image, write_seek,
    write_stream,
};
use lupine_rootfs::{
    Content, ContentSource, DeliverError, Extent, FileTree, Inode, Kind, Metadata, Progress,
    Request, TreePath, Xattrs,
};

fn options() -> Options {
    Options {
        sync: false,
        size: Size::Smallest { free: 0 },
        ..Options::default()
    }
}

fn path(path: impl AsRef<[u8]>) -> TreePath {
    TreePath::new(path).unwrap()
}

#[test]
fn debugfs_sees_what_the_tree_holds() {
    let mut tree = FileTree::new();
    let metadata = Metadata {
        mode: 0o6751,
        uid: 100_000,
        gid: 2_000_000_000,
        mtime: -86_400,
    };
    let xattrs: Xattrs = [
        (b"user.comment".to_vec(), b"hello".to_vec()),
        (b"trusted.empty".to_vec(), Vec::new()),
    ]
    .into();
    let kind = Kind::Regular(Content::inline(*b"0123456789"));
    let id = tree
        .insert(&path("a/f"), Inode::new(kind, metadata).with_xattrs(xattrs))
        .unwrap();
    tree.hard_link(&path("b"), id).unwrap();
    tree.hard_link(&path("a/c"), id).unwrap();
    for (name, kind) in [
        ("old", Kind::CharDevice { major: 5, minor: 1 }),
        (
            "new",
            Kind::BlockDevice {
                major: 259,
                minor: 70_000,
            },
        ),
        ("fifo", Kind::Fifo),
        ("socket", Kind::Socket),
        ("fast", Kind::Symlink(vec![b'x'; 59].into())),
        ("slow", Kind::Symlink(vec![b'x'; 60].into())),
    ] {
        tree.insert(&path(name), Inode::new(kind, Metadata::with_mode(0o640)))
            .unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    write_image(&tree, &options(), &image, &mut ()).unwrap();
    judge::assert_clean(&image);
    let found = judge::read_by_debugfs(&image);
    let is = |path: &str, field: &str, value: &str| {
        assert_eq!(
            found[path].get(field).map(String::as_str),
            Some(value),
            "{path} {field}"
        );
    };
    for name in ["/a/f", "/b", "/a/c"] {
        is(name, "Type", "regular");
        is(name, "Mode", "06751");
        is(name, "User", "100000");
        is(name, "Group", "2000000000");
        is(name, "Links", "3");
        is(name, "Size", "10");
        is(name, "Inode", &found["/b"]["Inode"]);
        is(
            name,
            "Xattrs",
            "user.comment (5) = \"hello\";trusted.empty (0)",
        );
    }
    assert!(
        found["/b"]["mtime"].starts_with("0xfffeae80"),
        "{}",
        found["/b"]["mtime"]
    );
    is("/old", "Device", "05:01");
    is("/new", "Device", "259:70000");
    is("/fifo", "Type", "FIFO");
    is("/socket", "Type", "socket");
    is("/fast", "Size", "59");
    is("/slow", "Size", "60");
    is("/a", "Links", "2");
    is("", "Links", "4");
    is("/lost+found", "Mode", "0700");
    assert_eq!(found.len(), 12);
}

#[test]
fn equal_attributes_share_a_block_up_to_its_limit() {
    let mut tree = FileTree::new();
    let xattrs: Xattrs = [(b"user.a".to_vec(), b"1".to_vec())].into();
    for number in 0..1500 {
        let inode = Inode::new(Kind::Fifo, Metadata::with_mode(0)).with_xattrs(xattrs.clone());
        tree.insert(&path(format!("{number}")), inode).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let report = write_image(&tree, &options(), &image, &mut ()).unwrap();
    judge::assert_clean(&image);
    let opened = Image::open(File::open(&image).unwrap()).unwrap();
    assert!(check(&opened, &mut ()).unwrap().is_clean());
    // Two attribute blocks, the root's, and that of lost+found.
    assert!(report.blocks - report.free_blocks < 400);
}

/// Names of several lengths, so that leaves fill unevenly.
fn huge_directory(entries: u32) -> FileTree {
    let mut tree = FileTree::new();
    let id = tree.add_file("d/first", *b"x", 0o644).unwrap();
    for number in 0..entries - 1 {
        let name = path(format!("d/{:x}-{number}", number.wrapping_mul(0x9e37_79b9)));
        // A link count ends at 65,000: further names are files of their own.
        if number < 60_000 {
            tree.hard_link(&name, id).unwrap();
        } else {
            tree.add_file(name.as_bytes(), Vec::new(), 0o644).unwrap();
        }
    }
    tree
}

fn judge_huge_directory(entries: u32, block_size: BlockSize, indexed: bool) {
    let tree = huge_directory(entries);
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let options = Options {
        block_size: Some(block_size),
        ..options()
    };
    let report = write_image(&tree, &options, &image, &mut ()).unwrap();
    judge::assert_clean(&image);
    let not_indexed = |d: &Diagnostic| matches!(d, Diagnostic::NotIndexed { .. });
    assert_eq!(report.diagnostics.first.iter().any(not_indexed), !indexed);
    let said = &judge::debugfs(&image, &["stat /d".into()])[0];
    let flags = if indexed {
        "Flags: 0x1000"
    } else {
        "Flags: 0x0"
    };
    assert!(said.contains(flags), "{said}");
    // ext4-view finds names by their hash, which e2fsck has found in order.
    let fs = ext4_view::Ext4::load(Box::new(std::fs::read(&image).unwrap())).unwrap();
    assert_eq!(fs.read_dir("/d").unwrap().count(), entries as usize + 2);
    for number in (0..entries - 1).step_by(997) {
        let name = format!("/d/{:x}-{number}", number.wrapping_mul(0x9e37_79b9));
        assert!(fs.exists(name.as_str()).unwrap(), "{name}");
    }
    let opened = Image::open(File::open(&image).unwrap()).unwrap();
    assert!(check(&opened, &mut ()).unwrap().is_clean());
}

#[test]
fn a_hundred_thousand_entries_are_indexed() {
    judge_huge_directory(100_000, BlockSize::K4, true);
    // Two levels.
    judge_huge_directory(100_000, BlockSize::K1, true);
}

#[test]
fn a_million_entries_are_indexed() {
    if judge::all() {
        judge_huge_directory(1_000_000, BlockSize::K4, true);
        judge_huge_directory(1_000_000, BlockSize::K1, false);
    }
}

/// A source of one byte value at the start of every extent.
#[derive(Debug)]
struct Marks(Vec<Extent>);

impl ContentSource for Marks {
    fn deliver(&self, request: &Request<'_>) -> Result<(), DeliverError> {
        for index in request.indices() {
            for extent in &self.0 {
                request.write(index, extent.offset, &vec![0x5a; extent.len as usize])?;
            }
        }
        Ok(())
    }
}

#[test]
fn sparse_files_beyond_four_gigabytes_stay_sparse() {
    let extents = vec![
        Extent {
            offset: 0,
            len: 5000,
        },
        Extent {
            offset: 5 << 30,
            len: 70_000,
        },
        Extent {
            offset: 300 << 30,
            len: 1,
        },
    ];
    let mut tree = FileTree::new();
    let source = tree.add_source(Box::new(Marks(extents.clone())));
    let content = Content::sparse(source, 0, 400 << 30, extents).unwrap();
    let inode = Inode::new(Kind::Regular(content), Metadata::with_mode(0o644));
    tree.insert(&path("sparse"), inode).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let report = write_image(&tree, &options(), &image, &mut ()).unwrap();
    assert_eq!(report.block_size, BlockSize::K4);
    judge::assert_clean(&image);
    let found = judge::read_by_debugfs(&image);
    assert_eq!(found["/sparse"]["Size"], (400_u64 << 30).to_string());
    assert!(report.size < 2 << 20, "{report:?}");
    let image = Image::open(File::open(&image).unwrap()).unwrap();
    let (number, inode) = image.lookup(&path("sparse"), false).unwrap();
    let mut data = 0;
    image
        .read_file::<lupine_rootfs::ext2::ImageError>(number, &inode, |_, bytes| {
            data += bytes.iter().filter(|&&byte| byte == 0x5a).count();
            Ok(())
        })
        .unwrap();
    assert_eq!(data, 75_001);
    let small = Options {
        block_size: Some(BlockSize::K1),
        ..options()
    };
    let refused = write_image(&tree, &small, &directory.path().join("no"), &mut ());
    assert!(
        matches!(refused, Err(WriteError::FileTooLarge { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_image_itself_is_sparse() {
    let mut tree = FileTree::new();
    tree.add_file("f", *b"x", 0o644).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let options = Options {
        size: Size::Exact(20 << 30),
        ..options()
    };
    write_image(&tree, &options, &image, &mut ()).unwrap();
    judge::assert_clean(&image);
    let metadata = image.metadata().unwrap();
    assert_eq!(metadata.len(), 20 << 30);
    assert!(
        metadata.blocks() * 512 < 8 << 20,
        "{} sectors",
        metadata.blocks()
    );
}

#[test]
fn sizes_are_exact_or_refused() {
    let mut tree = FileTree::new();
    tree.add_file("f", vec![1; 1 << 20], 0o644).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let too_small = Options {
        size: Size::Exact(1 << 20),
        ..options()
    };
    let needed = match write_image(&tree, &too_small, &image, &mut ()) {
        Err(WriteError::TooSmall { asked, needed }) => {
            assert_eq!(asked, 1 << 20);
            needed
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let exact = Options {
        size: Size::Exact(needed),
        ..options()
    };
    assert_eq!(
        write_image(&tree, &exact, &image, &mut ()).unwrap().size,
        needed
    );
    judge::assert_clean(&image);
}

#[test]
fn every_block_size_has_every_number_of_groups() {
    let mut tree = FileTree::new();
    tree.add_file("f", vec![1; 100_000], 0o644).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    for block_size in BlockSize::ALL {
        let group = u64::from(block_size.bytes()).pow(2) * 8;
        for groups in [1, 2, 4, 26] {
            for beyond in [0, 1024 * 1024] {
                let size = Size::Exact(group * groups + beyond);
                let options = Options {
                    block_size: Some(block_size),
                    size,
                    ..options()
                };
                write_image(&tree, &options, &image, &mut ()).unwrap();
                judge::assert_clean(&image);
            }
        }
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes_by_every_way() {
    let mut tree = FileTree::new();
    for number in 0..300 {
        tree.add_file(
            format!("d{}/f{number}", number % 7),
            vec![number as u8; 700],
            0o644,
        )
        .unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    write_image(&tree, &options(), &image, &mut ()).unwrap();
    let named = std::fs::read(&image).unwrap();
    let mut sought = Cursor::new(Vec::new());
    write_seek(&tree, &options(), &mut sought, &mut ()).unwrap();
    assert!(sought.into_inner() == named);
    let mut streamed = Vec::new();
    write_stream(&tree, &options(), &mut streamed, directory.path(), &mut ()).unwrap();
    assert!(streamed == named);
    // The bytes themselves, over time and machines: a change of layout is a change of this line.
    assert_eq!(digest(&named), GOLDEN);
}

/// SHA-256 of the image above.
const GOLDEN: &str = "fd08b5f915ee787c2366030fa5f00e3b96b95e4e63f3f48d11fac5ac08b861af";

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn label_uuid_and_time_are_what_was_asked() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let options = Options {
        label: b"lupine-root".to_vec(),
        uuid: *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef",
        time: 1_600_000_000,
        ..options()
    };
    write_image(&FileTree::new(), &options, &image, &mut ()).unwrap();
    judge::assert_clean(&image);
    let said = &judge::debugfs(&image, &["show_super_stats -h".into()])[0];
    for wanted in [
        "lupine-root",
        "01234567-89ab-cdef-0123-456789abcdef",
        "Sun Sep 13 12:26:40 2020",
        "ext_attr dir_index filetype sparse_super large_file",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let long = Options {
        label: vec![b'x'; 17],
        ..options
    };
    let refused = write_image(&FileTree::new(), &long, &image, &mut ());
    assert!(matches!(refused, Err(WriteError::LabelTooLong { len: 17 })));
}

#[test]
fn what_cannot_be_stored_is_said() {
    let mut tree = FileTree::new();
    let metadata = Metadata {
        mtime: 1 << 40,
        ..Metadata::with_mode(0o644)
    };
    let xattrs: Xattrs = [(b"btrfs.compression".to_vec(), b"zstd".to_vec())].into();
    let inode = Inode::new(Kind::Fifo, metadata).with_xattrs(xattrs);
    tree.insert(&path("f"), inode).unwrap();
    let mut image = Cursor::new(Vec::new());
    let report = write_seek(&tree, &options(), &mut image, &mut ()).unwrap();
    assert_eq!(report.diagnostics.total, 2);
    let said: Vec<String> = report
        .diagnostics
        .first
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        [
            "/f: time 1099511627776 is outside what ext2 stores; stored as 2147483647",
            "/f: extended attribute `btrfs.compression` is left out: ext2 has no number for its prefix",
        ]
    );
}

#[test]
fn what_cannot_be_written_is_refused_by_name() {
    let refused = |kind: Kind, name: &str| {
        let mut tree = FileTree::new();
        tree.insert(&path(name), Inode::new(kind, Metadata::with_mode(0)))
            .unwrap();
        write_seek(&tree, &options(), Cursor::new(Vec::new()), &mut ()).unwrap_err()
    };
    for target in [&b""[..], b"a\0b", &[b'x'; 4096]] {
        let error = refused(Kind::Symlink(target.into()), "link");
        assert!(matches!(error, WriteError::BadSymlink { .. }), "{error}");
    }
    let error = refused(
        Kind::CharDevice {
            major: 5000,
            minor: 0,
        },
        "device",
    );
    assert!(
        matches!(error, WriteError::DeviceNumber { major: 5000, .. }),
        "{error}"
    );
    let error = refused(Kind::Fifo, "lost+found");
    assert!(
        matches!(error, WriteError::LostAndFound { found: "fifo" }),
        "{error}"
    );
    let error = refused(Kind::Regular(Content::hole(1 << 42)), "huge");
    assert!(matches!(error, WriteError::FileTooLarge { .. }), "{error}");

    let mut tree = FileTree::new();
    let id = tree.add_file("f", Vec::new(), 0).unwrap();
    for number in 0..65_000 {
        tree.hard_link(&path(format!("{number}")), id).unwrap();
    }
    let error = write_seek(&tree, &options(), Cursor::new(Vec::new()), &mut ()).unwrap_err();
    assert!(
        matches!(error, WriteError::TooManyLinks { links: 65_001, .. }),
        "{error}"
    );
}

/// A source that keeps back the last byte, or claims one more.
#[derive(Debug)]
struct Liar(i64);

impl ContentSource for Liar {
    fn deliver(&self, request: &Request<'_>) -> Result<(), DeliverError> {
        request.write(0, 0, &vec![1; (1000 + self.0) as usize])
    }
}

#[test]
fn sources_that_lie_leave_nothing_behind() {
    for (lie, complete) in [(-1, false), (0, true), (1, false)] {
        let mut tree = FileTree::new();
        let source = tree.add_source(Box::new(Liar(lie)));
        let kind = Kind::Regular(Content::from_source(source, 0, 1000));
        tree.insert(&path("f"), Inode::new(kind, Metadata::with_mode(0)))
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        let written = write_image(&tree, &options(), &image, &mut ());
        assert_eq!(written.is_ok(), complete, "{written:?}");
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, usize::from(complete));
    }
}

/// Stops when data begins.
struct Stop(bool);

impl Progress for Stop {
    fn start(&mut self, stage: lupine_rootfs::Stage, _: u64) {
        self.0 |= stage == lupine_rootfs::Stage::Data;
    }

    fn cancelled(&self) -> bool {
        self.0
    }
}

#[test]
fn cancelled_work_keeps_the_image_that_was_there() {
    let mut tree = FileTree::new();
    tree.add_file("f", vec![1; 1 << 20], 0o644).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    std::fs::write(&image, b"before").unwrap();
    let written = write_image(&tree, &options(), &image, &mut Stop(false));
    assert!(matches!(written, Err(WriteError::Cancelled)), "{written:?}");
    assert_eq!(std::fs::read(&image).unwrap(), b"before");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_full_disk_leaves_nothing() {
    // A device that is always full.
    let full = Path::new("/dev/full");
    if full.exists() {
        let mut tree = FileTree::new();
        tree.add_file("f", vec![1; 1 << 20], 0o644).unwrap();
        let file = File::options().write(true).open(full).unwrap();
        let written = write_seek(&tree, &options(), file, &mut ());
        assert!(matches!(written, Err(WriteError::Output(_))), "{written:?}");
    }
}

#[test]
fn files_follow_one_another_without_gaps() {
    let mut tree = FileTree::new();
    for number in 0..50 {
        tree.add_file(
            format!("d{}/f{number:02}", number / 10),
            vec![1; 200_000],
            0o644,
        )
        .unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    write_image(&tree, &options(), &image, &mut ()).unwrap();
    let mut commands = Vec::new();
    for group in 0..5 {
        commands.push(format!("blocks /d{group}"));
        commands.extend((0..10).map(|i| format!("blocks /d{group}/f{:02}", group * 10 + i)));
    }
    let blocks: Vec<u64> = judge::debugfs(&image, &commands)
        .iter()
        .flat_map(|said| {
            said.split_whitespace()
                .map(|n| n.parse().unwrap())
                .collect::<Vec<u64>>()
        })
        .collect();
    // Data and index blocks in the order of the files, each directly behind the one before.
    assert!(
        blocks.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{blocks:?}"
    );
    let mut file = File::open(&image).unwrap();
    file.seek(SeekFrom::Start(blocks[1] * 4096)).unwrap();
    let mut byte = [0];
    file.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [1]);
}
