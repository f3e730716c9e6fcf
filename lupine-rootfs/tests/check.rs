//! `check` beside `e2fsck` on sound and corrupted images; the reader on hostile ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "asks the reference implementation"
)]

mod judge;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use lupine_rootfs::ext2::{
    self, BlockSize, Image, Options, Problem, Problems, Size, write_image, write_seek,
};
use lupine_rootfs::{ExtractOptions, FileTree, Inode, Kind, Metadata, TreePath, Xattrs, extract};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// A tree with one of everything.
fn everything() -> FileTree {
    let mut tree = FileTree::new();
    tree.add_directory("etc", 0o755).unwrap();
    tree.add_file("etc/passwd", *b"root:x:0:0::/root:/bin/sh\n", 0o644)
        .unwrap();
    let big: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    let id = tree.add_file("usr/lib/big", big, 0o755).unwrap();
    tree.hard_link(&TreePath::new("usr/lib/big.1").unwrap(), id)
        .unwrap();
    tree.add_symlink("lib", "usr/lib").unwrap();
    tree.add_symlink("long", "x".repeat(100)).unwrap();
    for number in 0..600 {
        tree.add_file(format!("many/file number {number:04}"), Vec::new(), 0o600)
            .unwrap();
    }
    let xattrs: Xattrs = [(b"security.capability".to_vec(), vec![1; 20])].into();
    for name in ["ping", "arping"] {
        let content = lupine_rootfs::Content::inline(*b"\x7fELF");
        let metadata = Metadata {
            mode: 0o4755,
            uid: 70_000,
            gid: 80_000,
            mtime: 1_700_000_000,
        };
        let inode = Inode::new(Kind::Regular(content), metadata).with_xattrs(xattrs.clone());
        tree.insert(&TreePath::new(format!("bin/{name}")).unwrap(), inode)
            .unwrap();
    }
    let device = Kind::CharDevice { major: 1, minor: 3 };
    let path = TreePath::new("dev/null").unwrap();
    tree.insert(&path, Inode::new(device, Metadata::with_mode(0o666)))
        .unwrap();
    let path = TreePath::new("run/fifo").unwrap();
    tree.insert(&path, Inode::new(Kind::Fifo, Metadata::with_mode(0o600)))
        .unwrap();
    tree
}

/// Our image of everything, and one by mke2fs of the same files.
fn images(directory: &Path) -> Vec<PathBuf> {
    let tree = everything();
    let ours = directory.join("ours");
    let options = Options {
        block_size: Some(BlockSize::K1),
        size: Size::Smallest { free: 1 << 20 },
        sync: false,
        ..Options::default()
    };
    write_image(&tree, &options, &ours, &mut ()).unwrap();
    let files = directory.join("files");
    extract(&tree, &files, ExtractOptions::default(), &mut ()).unwrap();
    let theirs = directory.join("theirs");
    let status = Command::new("mke2fs")
        .args(["-q", "-t", "ext2", "-b", "1024", "-d"])
        .arg(&files)
        .arg(&theirs)
        .arg("4M")
        .status()
        .unwrap();
    assert!(status.success());
    vec![ours, theirs]
}

fn check(path: &Path) -> Problems {
    let image = Image::open(File::open(path).unwrap()).unwrap();
    ext2::check(&image, &mut ()).unwrap()
}

#[test]
fn sound_images_have_no_problems() {
    let directory = tempfile::tempdir().unwrap();
    for image in images(directory.path()) {
        judge::assert_clean(&image);
        assert_eq!(check(&image), Problems::default(), "{}", image.display());
    }
}

#[test]
fn images_of_every_variety_of_mke2fs_are_sound() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    for arguments in [
        &["-t", "ext2", "-b", "4096", "-I", "128"][..],
        &["-t", "ext2", "-b", "2048", "-O", "^resize_inode,^dir_index"],
        &[
            "-t",
            "ext2",
            "-b",
            "1024",
            "-O",
            "^sparse_super,^large_file,^resize_inode",
            "-g",
            "1024",
        ],
        &["-t", "ext3", "-b", "1024"],
        &["-t", "ext2", "-r", "0", "-b", "1024", "-O", "none"],
    ] {
        let made = Command::new("mke2fs")
            .arg("-qF")
            .args(arguments)
            .arg(&image)
            .arg("12M")
            .status();
        assert!(made.unwrap().success(), "{arguments:?}");
        judge::assert_clean(&image);
        assert_eq!(check(&image), Problems::default(), "{arguments:?}");
    }
}

/// What debugfs is told to do, and what kind of problem there must be.
type Corruption = (&'static [&'static str], fn(&Problem) -> bool);

#[test]
fn damage_that_e2fsck_finds_is_found() {
    let corruptions: &[Corruption] = &[
        (&["sif /etc/passwd links_count 7"], |p| {
            matches!(p, Problem::LinkCount { .. })
        }),
        (&["sif /etc/passwd dtime 1000000000"], |p| {
            matches!(p, Problem::DeletionTime { .. })
        }),
        (&["sif /etc/passwd mode 0"], |p| {
            matches!(p, Problem::BadMode { .. })
        }),
        (&["sif /etc/passwd mode 0170644"], |p| {
            matches!(p, Problem::BadMode { .. })
        }),
        (&["sif /etc/passwd flags 0x2000"], |p| {
            matches!(p, Problem::ForeignFlags { .. })
        }),
        (&["sif /etc/passwd blocks 999"], |p| {
            matches!(p, Problem::BlockCount { .. })
        }),
        (&["sif /usr/lib/big size 17"], |p| {
            matches!(p, Problem::Size { .. })
        }),
        (&["sif /etc/passwd block[0] 99999999"], |p| {
            matches!(p, Problem::BadBlock { .. })
        }),
        (&["sif /etc/passwd block[0] 3"], |p| {
            matches!(p, Problem::SharedBlock { .. })
        }),
        (&["sif /usr/lib/big block[IND] 99999999"], |p| {
            matches!(p, Problem::BadBlock { .. })
        }),
        (&["sif /many size 1000"], |p| {
            matches!(p, Problem::Size { .. })
        }),
        (&["clri /etc/passwd"], |p| {
            matches!(p, Problem::UnusedInode { .. })
        }),
        (&["clri /etc"], |p| matches!(p, Problem::UnusedInode { .. })),
        (&["unlink /etc/passwd"], |p| {
            matches!(p, Problem::Unattached { .. })
        }),
        (&["unlink /many"], |p| {
            matches!(p, Problem::Unconnected { .. })
        }),
        (&["unlink /lost+found"], |p| {
            matches!(p, Problem::NoLostAndFound)
        }),
        (&["ln /etc/passwd /etc/other"], |p| {
            matches!(p, Problem::LinkCount { .. })
        }),
        (&["ln /etc /usr/etc"], |p| {
            matches!(p, Problem::DirectoryTwice { .. })
        }),
        (&["ln /usr /usr/loop"], |p| {
            matches!(p, Problem::DirectoryTwice { .. })
        }),
        (&["ln <7> /etc/seven"], |p| {
            matches!(p, Problem::BadInodeNumber { .. })
        }),
        (&["sif /lib size 0"], |p| {
            matches!(p, Problem::BadSymlink { .. })
        }),
        (&["sif /long size 90"], |p| {
            matches!(p, Problem::BadSymlink { .. })
        }),
        (&["sif /run/fifo size 900"], |p| {
            matches!(p, Problem::SpecialWithSize { .. })
        }),
        (&["freeb 150 4"], |p| {
            matches!(p, Problem::BlockBitmap { .. })
        }),
        (&["setb 900 4"], |p| {
            matches!(p, Problem::BlockBitmap { .. })
        }),
        (&["freei <13>"], |p| {
            matches!(p, Problem::InodeBitmap { .. })
        }),
        (&["seti <680>"], |p| {
            matches!(p, Problem::InodeBitmap { .. })
        }),
        (&["ssv free_blocks_count 5"], |p| {
            matches!(p, Problem::Total { .. })
        }),
        (&["ssv free_inodes_count 5"], |p| {
            matches!(p, Problem::Total { .. })
        }),
        (&["ssv state 2"], |p| matches!(p, Problem::NotClean { .. })),
        (&["set_bg 0 free_blocks_count 9"], |p| {
            matches!(p, Problem::GroupTotal { .. })
        }),
        (&["set_bg 0 free_inodes_count 9"], |p| {
            matches!(p, Problem::GroupTotal { .. })
        }),
        (&["set_bg 0 used_dirs_count 99"], |p| {
            matches!(p, Problem::GroupTotal { .. })
        }),
        (&["set_bg 0 inode_bitmap 2"], |p| {
            matches!(p, Problem::MisplacedMetadata { .. })
        }),
        (&["sif /etc/passwd file_acl 99999999"], |p| {
            matches!(p, Problem::BadXattrs { .. })
        }),
        (&["sif /etc/passwd file_acl 600"], |p| {
            matches!(p, Problem::BadXattrs { .. })
        }),
    ];
    let directory = tempfile::tempdir().unwrap();
    let damaged = directory.path().join("damaged");
    for image in images(directory.path()) {
        for (commands, wanted) in corruptions {
            fs::copy(&image, &damaged).unwrap();
            for command in *commands {
                let done = Command::new("debugfs")
                    .args(["-w", "-R", command])
                    .arg(&damaged)
                    .output();
                assert!(done.unwrap().status.success(), "{command}");
            }
            let e2fsck = Command::new("e2fsck")
                .arg("-fn")
                .arg(&damaged)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&e2fsck.stdout);
            let name = image.file_name().unwrap().display();
            // What only the superblock says, it puts right without a word.
            if !commands[0].starts_with("ssv ") {
                assert_ne!(
                    e2fsck.status.code(),
                    Some(0),
                    "{name} {commands:?}: e2fsck is content"
                );
            }
            let problems = check(&damaged);
            assert!(
                problems.first.iter().any(wanted),
                "{name} {commands:?}:\n{:#?}\n{said}",
                problems.first
            );
        }
    }
}

/// Bytes of one block written over another.
fn overwrite(image: &Path, offset: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = File::options().write(true).open(image).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

#[test]
fn damaged_records_and_indexes_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let ours = images(directory.path()).remove(0);
    let answers = judge::debugfs(&ours, &["blocks /etc".into(), "blocks /many".into()]);
    let block = |answer: &str, number: usize| -> u64 {
        answer
            .split_whitespace()
            .nth(number)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    };
    let etc = block(&answers[0], 0);
    let many = block(&answers[1], 0);
    let leaf = block(&answers[1], 1);
    let table = {
        let image = Image::open(File::open(&ours).unwrap()).unwrap();
        u64::from(image.groups()[0].inode_table) * 1024
    };
    type Case = (&'static str, u64, &'static [u8], fn(&Problem) -> bool);
    let cases: [Case; 10] = [
        (
            "upper half of a reserved size",
            table + 5 * 128 + 108,
            &[5],
            |p| matches!(p, Problem::ReservedInode { inode: 6 }),
        ),
        (
            "index of a reserved inode",
            table + 4 * 128 + 33,
            &[0x10],
            |p| matches!(p, Problem::ReservedInode { inode: 5 }),
        ),
        ("record length 3", etc + 24 + 4, &[3, 0], |p| {
            matches!(p, Problem::BadRecord { .. })
        }),
        ("`.` elsewhere", etc, &[12, 0, 0, 0], |p| {
            matches!(p, Problem::BadDot { .. })
        }),
        ("`..` elsewhere", etc + 12, &[11, 0, 0, 0], |p| {
            matches!(p, Problem::BadDotDot { .. })
        }),
        ("slash in a name", etc + 24 + 9, b"/", |p| {
            matches!(p, Problem::BadName { .. })
        }),
        ("file type", etc + 24 + 7, &[2], |p| {
            matches!(p, Problem::FileType { .. })
        }),
        ("count of the index", many + 34, &[0xff, 0xff], |p| {
            matches!(p, Problem::BadIndex { .. })
        }),
        ("hash of the index", many + 40, &[0xff; 4], |p| {
            matches!(p, Problem::BadIndex { .. })
        }),
        ("name with another hash", leaf + 9, b"Q", |p| {
            matches!(p, Problem::BadIndex { .. })
        }),
    ];
    let damaged = directory.path().join("damaged");
    for (what, offset, bytes, wanted) in cases {
        fs::copy(&ours, &damaged).unwrap();
        overwrite(&damaged, offset, bytes);
        let e2fsck = Command::new("e2fsck")
            .arg("-fn")
            .arg(&damaged)
            .output()
            .unwrap();
        assert_ne!(e2fsck.status.code(), Some(0), "{what}: e2fsck is content");
        let problems = check(&damaged);
        assert!(
            problems.first.iter().any(wanted),
            "{what}: {:#?}",
            problems.first
        );
    }
}

/// The bytes of an image that are metadata: superblock, descriptors, bitmaps, inodes, directories.
fn metadata(image: &Path) -> Vec<u64> {
    let opened = Image::open(File::open(image).unwrap()).unwrap();
    let group = &opened.groups()[0];
    let inodes = opened.superblock().inodes_count - opened.superblock().free_inodes_count;
    let block = |number: u32| u64::from(number) * 1024;
    let table = block(group.inode_table);
    let mut ranges = vec![
        1024..1024 + 136,
        2048..2048 + 32,
        block(group.block_bitmap)..block(group.block_bitmap) + 1024,
        block(group.inode_bitmap)..block(group.inode_bitmap) + 128,
        // The few inodes that are not empty files count as much as all others.
        table..table + u64::from(inodes) * 128,
        table + 128..table + 20 * 128,
        table + 10 * 128..table + 20 * 128,
    ];
    let commands = ["/", "/etc", "/usr", "/many"].map(|path| format!("blocks {path}"));
    for answer in judge::debugfs(image, &commands) {
        for number in answer.split_whitespace() {
            let start = block(number.parse().unwrap());
            ranges.push(start..start + 1024);
        }
    }
    ranges.into_iter().flatten().collect()
}

#[test]
fn what_e2fsck_finds_in_images_with_a_changed_byte_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let ours = images(directory.path()).remove(0);
    let places = metadata(&ours);
    let damaged = directory.path().join("damaged");
    let sound = fs::read(&ours).unwrap();
    let changes = (any::<prop::sample::Index>(), 1_u8..);
    let config = ProptestConfig {
        cases: judge::cases(100),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // The same bytes in every run: what it finds today, it finds tomorrow.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let run = runner.run(&changes, |(place, flip)| {
        let at = places[place.index(places.len())] as usize;
        let mut bytes = sound.clone();
        bytes[at] ^= flip;
        fs::write(&damaged, &bytes).unwrap();
        let e2fsck = Command::new("e2fsck")
            .arg("-fn")
            .arg(&damaged)
            .output()
            .unwrap();
        let clean = match Image::open(bytes) {
            Ok(image) => ext2::check(&image, &mut ()).unwrap().is_clean(),
            Err(_) => false,
        };
        let said = String::from_utf8_lossy(&e2fsck.stdout);
        prop_assert!(
            !clean || e2fsck.status.success(),
            "byte {at} ^ {flip:#x}: {said}"
        );
        Ok(())
    });
    run.unwrap();
}

#[test]
fn an_image_read_back_and_written_again_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let ours = images(directory.path()).remove(0);
    let image = Image::open(File::open(&ours).unwrap()).unwrap();
    let mut tree = ext2::read_tree(image).unwrap();
    // Found in the image, and made again by the writer.
    assert!(tree.remove(&TreePath::new("lost+found").unwrap()).unwrap());
    let options = Options {
        block_size: Some(BlockSize::K1),
        size: Size::Smallest { free: 1 << 20 },
        ..Options::default()
    };
    let mut again = std::io::Cursor::new(Vec::new());
    write_seek(&tree, &options, &mut again, &mut ()).unwrap();
    assert!(again.into_inner() == fs::read(&ours).unwrap());
}

#[test]
fn files_are_read_through_symbolic_links() {
    let directory = tempfile::tempdir().unwrap();
    for path in images(directory.path()) {
        let image = Image::open(File::open(&path).unwrap()).unwrap();
        let (number, inode) = image
            .lookup(&TreePath::new("lib/big.1").unwrap(), true)
            .unwrap();
        let content = image.content(number, &inode, 1 << 20).unwrap();
        assert_eq!(content.len(), 300_000);
        assert!(
            content
                .iter()
                .enumerate()
                .all(|(i, &byte)| byte == (i % 251) as u8)
        );
        assert!(
            image
                .lookup(&TreePath::new("lib/none").unwrap(), true)
                .is_err()
        );
        assert!(image.content(number, &inode, 1000).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: judge::cases(150),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Flipped bytes, most of them in metadata: no panic, no endless walk, and no file outside.
    #[test]
    fn hostile_images_are_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<u8>()), 1..40),
    ) {
        static IMAGE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let options = Options {
                block_size: Some(BlockSize::K1),
                size: Size::Smallest { free: 0 },
                ..Options::default()
            };
            let mut image = std::io::Cursor::new(Vec::new());
            write_seek(&everything(), &options, &mut image, &mut ()).unwrap();
            image.into_inner()
        });
        let mut image = IMAGE.clone();
        for (index, early, byte) in changes {
            let range = if early { 4096 } else { image.len() };
            let at = 1024 + index.index(range - 1024);
            image[at] = byte;
        }
        if let Ok(opened) = Image::open(image.clone()) {
            let _ = ext2::check(&opened, &mut ());
            if let Ok(tree) = ext2::read_tree(opened) {
                let _ = tree.read_files(&tree.walk().map(|(_, id)| id).take(5).collect::<Vec<_>>(), 1 << 20);
            }
        }
    }
}
