//! Archives that lie, climb, loop and explode: each is refused with an error that says where and
//! why, or is harmless; nothing panics.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod outside;

use std::io::Write;
use std::path::Path;

use lupine_rootfs::source::{Image, OpenOptions, Report, SourceError};
use lupine_rootfs::{FileTree, TreePath};
use outside::{chain, everything, listed};
use proptest::prelude::*;

/// A member by its raw fields.
struct Raw {
    header: tar::Header,
    data: Vec<u8>,
}

fn member(path: &[u8], flag: u8, link: &[u8], data: &[u8]) -> Raw {
    let mut header = tar::Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..path.len()].copy_from_slice(path);
    old.linkname[..link.len()].copy_from_slice(link);
    old.linkflag = [flag];
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    header.set_cksum();
    Raw {
        header,
        data: data.to_vec(),
    }
}

impl Raw {
    fn with(mut self, change: impl FnOnce(&mut tar::Header)) -> Self {
        change(&mut self.header);
        self.header.set_cksum();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.as_bytes().to_vec();
        bytes.extend_from_slice(&self.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

fn file(path: &str, text: &str) -> Raw {
    member(path.as_bytes(), b'0', b"", text.as_bytes())
}

fn directory(path: &str) -> Raw {
    member(path.as_bytes(), b'5', b"", b"")
}

fn symlink(path: &str, target: &str) -> Raw {
    member(path.as_bytes(), b'2', target.as_bytes(), b"")
}

fn hard_link(path: &str, target: &str) -> Raw {
    member(path.as_bytes(), b'1', target.as_bytes(), b"")
}

fn pax(records: &[(&str, &str)]) -> Raw {
    let mut text = String::new();
    for (key, value) in records {
        let body = format!(" {key}={value}\n");
        let mut len = body.len() + 1;
        while len.to_string().len() + body.len() != len {
            len += 1;
        }
        text += &format!("{len}{body}");
    }
    member(b"pax", b'x', b"", text.as_bytes())
}

fn archive(members: &[Raw]) -> Vec<u8> {
    let mut bytes: Vec<u8> = members.iter().flat_map(Raw::bytes).collect();
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

fn read(bytes: Vec<u8>, options: &OpenOptions) -> Result<(FileTree, Report), SourceError> {
    Image::from_bytes("a.tar", bytes, options)?.read(&mut ())
}

/// What goes wrong with this archive.
fn refusal(bytes: Vec<u8>, options: &OpenOptions) -> String {
    match read(bytes, options) {
        Ok((tree, report)) => panic!("{:?}\n{report}", listed(&tree).keys()),
        Err(error) => chain(&error, Path::new("/no/such/base")),
    }
}

/// The names and contents an archive makes, and what is said about it.
fn accepted(members: &[Raw]) -> String {
    let (tree, report) = read(archive(members), &OpenOptions::new()).unwrap();
    let mut text = String::new();
    for (name, facts) in listed(&tree) {
        let name = name.escape_ascii();
        text += &format!("/{name} {}", facts.kind);
        if !facts.bytes.is_empty() {
            text += &format!(" {}", facts.bytes.escape_ascii());
        }
        text.push('\n');
    }
    for diagnostic in &report.diagnostics {
        text += &format!("{diagnostic}\n");
    }
    text
}

#[test]
fn names_that_climb_or_cannot_be() {
    let options = everything();
    let long = "n".repeat(256);
    let deep = "d/".repeat(3000);
    let cases = [
        vec![file("../etc/passwd", "")],
        vec![file("a/../../b", "")],
        vec![hard_link("a", "../../etc/shadow")],
        vec![hard_link("a", "nowhere")],
        vec![directory("d"), hard_link("a", "d")],
        vec![file("f", ""), file("f/below", "")],
        vec![symlink("loop", "loop"), file("loop/file", "")],
        vec![symlink("a", "b/x"), symlink("b", "a/x"), file("a/file", "")],
        vec![pax(&[("path", &long)]), file("x", "")],
        vec![pax(&[("path", &deep)]), file("x", "")],
        vec![pax(&[("path", "a\0b")]), file("x", "")],
        vec![file("./", "root is no file").with(|header| header.as_old_mut().name[..2].fill(b'.'))],
        vec![symlink(".", "/elsewhere")],
    ];
    let said: Vec<String> = cases
        .iter()
        .map(|members| refusal(archive(members), &options))
        .map(|text| {
            text.replace(&long, "n...")
                .replace(&"d/".repeat(2000), "d/...")
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn links_and_absolute_names_stay_inside() {
    insta::assert_snapshot!(accepted(&[
        symlink("etc", "/outside/../../../etc-of-host"),
        file("etc/passwd", "written through a link"),
        symlink("up", "../../../.."),
        file("up/file", "at the root"),
        file("/absolute//./name", "inside"),
        hard_link("also", "/absolute/name"),
        symlink("abs", "/absolute"),
        hard_link("through a link", "abs/name"),
        file("twice", "first"),
        file("twice", "second"),
        directory("changes"),
        file("changes/inside", ""),
        file("changes", "now a file"),
        file("flips", "file"),
        directory("flips"),
    ]));
}

#[test]
fn strange_members_are_left_out_and_said() {
    let mut device = member(b"dev/sda", b'4', b"", b"");
    device = device.with(|header| header.set_device_major(8).unwrap());
    insta::assert_snapshot!(accepted(&[
        device,
        member(b"volume", b'V', b"", b""),
        member(b"strange\x1b[31m", b'?', b"", b"with data that is skipped"),
        member(b"socket", b's', b"", b""),
        file("last", "still found"),
        pax(&[("path", "for all"), ("uid", "7")]).with(|header| {
            header.as_old_mut().linkflag = [b'g'];
        }),
        file("keeps its name", "text"),
    ]));
}

#[test]
fn headers_that_lie() {
    let options = everything();
    let mut huge = OpenOptions::new();
    huge.limits.header_bytes = 4096;
    let set_size = |size: &'static [u8]| {
        move |header: &mut tar::Header| header.as_old_mut().size[..size.len()].copy_from_slice(size)
    };
    let mut cut = archive(&[file("cut", &"x".repeat(2000))]);
    cut.truncate(1024);
    let mut half = archive(&[file("a", "")]);
    half.truncate(700);
    let half_header = [archive(&[file("a", "")])[..512].to_vec(), vec![b'x'; 100]].concat();
    let mut sum = archive(&[file("a", "text"), file("b", "text")]);
    sum[1024 + 3] ^= 1;
    let dangling = archive(&[file("a", ""), pax(&[("path", "b")])]);
    let no_number = member(b"a", b'0', b"", b"").with(|header| {
        header.as_old_mut().uid.copy_from_slice(b"99999999");
    });
    let large_uid = [pax(&[("uid", "4294967296")]), file("a", "")];
    let negative = file("a", "").with(set_size(
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ));
    let exabytes = file("a", "").with(set_size(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"));
    let pax_size = [pax(&[("size", "18446744073709551615")]), file("a", "")];
    let long_name = member(b"long", b'L', b"", &[b'x'; 5000]);
    let volume = member(b"part", b'M', b"", b"");
    let malformed = member(b"pax", b'x', b"", b"99 path=a\n");
    let cases = [
        (cut, &options),
        (half_header, &options),
        (sum, &options),
        (dangling, &options),
        (archive(&[no_number]), &options),
        (archive(&large_uid), &options),
        (archive(&[negative]), &options),
        (archive(&[exabytes]), &options),
        (archive(&pax_size), &options),
        (archive(&[long_name, file("a", "")]), &huge),
        (archive(&[volume]), &options),
        (archive(&[malformed, file("a", "")]), &options),
        (
            b"no tar at all, but long enough for one ".repeat(40),
            &options,
        ),
        (Vec::new(), &options),
        (b"short".to_vec(), &options),
        (
            b"PK\x03\x04 a zip archive, says its start".to_vec(),
            &options,
        ),
    ];
    let said: Vec<String> = cases
        .into_iter()
        .map(|(bytes, options)| refusal(bytes, options))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    // Half a block of zeros at the end is an end.
    assert!(refusal_or_none(half, &options).is_none());
}

fn refusal_or_none(bytes: Vec<u8>, options: &OpenOptions) -> Option<String> {
    read(bytes, options)
        .err()
        .map(|error| chain(&error, Path::new("/no/such/base")))
}

#[test]
fn sparse_maps_that_lie() {
    let options = everything();
    let sparse = |records: &[(&str, &str)], data: &[u8]| {
        archive(&[pax(records), member(b"sparse", b'0', b"", data)])
    };
    let old = |pairs: &[(u64, u64)], real: u64, data: &[u8]| {
        let mut raw = member(b"sparse", b'S', b"", data);
        let bytes = raw.header.as_mut_bytes();
        bytes[257..265].copy_from_slice(b"ustar  \0");
        for (number, (offset, len)) in pairs.iter().enumerate() {
            let at = 386 + 24 * number;
            bytes[at..at + 12].copy_from_slice(format!("{offset:011o}\0").as_bytes());
            bytes[at + 12..at + 24].copy_from_slice(format!("{len:011o}\0").as_bytes());
        }
        bytes[483..495].copy_from_slice(format!("{real:011o}\0").as_bytes());
        raw.header.set_cksum();
        archive(&[raw])
    };
    let zero_one = |map: &str, size: &str, data: &[u8]| {
        sparse(&[("GNU.sparse.size", size), ("GNU.sparse.map", map)], data)
    };
    let one_zero = |text: &str, size: &str| {
        let mut data = text.as_bytes().to_vec();
        data.resize(512, 0);
        let records = [
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.realsize", size),
        ];
        sparse(&records, &data)
    };
    let cases = [
        zero_one("0,4,2,4", "10", b"12345678"),
        zero_one("8,4", "10", b"1234"),
        zero_one("0,4", "10", b"12345"),
        zero_one("18446744073709551615,4", "10", b"1234"),
        zero_one("0,4,9", "10", b"1234"),
        sparse(&[("GNU.sparse.major", "2")], b""),
        one_zero("1\n0\n", "10"),
        one_zero("9999999999\n", "10"),
        one_zero("x\n", "10"),
        one_zero("1\n0\n123456789012345678901\n", "10"),
        old(&[(0, 4), (2, 4)], 10, b"12345678"),
        old(&[(0, 4)], 2, b"1234"),
        old(&[(0, 5)], 10, b"1234"),
    ];
    let said: Vec<String> = cases
        .into_iter()
        .map(|bytes| refusal(bytes, &options))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn sparse_files_of_enormous_length_take_no_memory() {
    let (tree, _) = read(
        archive(&[
            pax(&[
                ("GNU.sparse.size", "9000000000000000000"),
                ("GNU.sparse.map", "8999999999999999996,4"),
            ]),
            member(b"sparse", b'0', b"", b"data"),
        ]),
        &everything(),
    )
    .unwrap();
    let inode = tree.inode(tree.lookup(&TreePath::new("sparse").unwrap()).unwrap());
    let content = inode.content().unwrap();
    assert_eq!(
        (content.len(), content.data_len()),
        (9_000_000_000_000_000_000, 4)
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzip stream of `count` mebibytes of zeros, members joined.
fn bomb(first: &[u8], count: usize) -> Vec<u8> {
    let piece = gzip(&vec![0; 1 << 20]);
    let mut bytes = gzip(first);
    for _ in 0..count {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

#[test]
fn bombs_are_defused() {
    let mut size = OpenOptions::new();
    size.limits.unpacked_bytes = 8 << 20;
    let mut ratio = OpenOptions::new();
    ratio.limits.ratio = 100;
    let mut entries = OpenOptions::new();
    entries.limits.entries = 10;
    let mut metadata = OpenOptions::new();
    metadata.limits.metadata_bytes = 1000;
    let large = file("zeros", "").with(|header| header.set_size(400 << 20));
    let many: Vec<Raw> = (0..20).map(|n| file(&n.to_string(), "")).collect();
    let long: Vec<Raw> = (0..20)
        .map(|n| symlink(&n.to_string(), &"x".repeat(100)))
        .collect();
    let said = [
        refusal(bomb(&large.bytes(), 400), &size),
        refusal(bomb(&large.bytes(), 400), &ratio),
        // Behind the end of the archive, too.
        refusal(bomb(&archive(&[file("small", "")]), 400), &ratio),
        refusal(archive(&many), &entries),
        refusal(archive(&long), &metadata),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_follows_the_end_is_ignored_and_said() {
    let mut bytes = archive(&[file("inside", "text")]);
    bytes.extend(archive(&[file("behind", "hidden")]));
    let (tree, report) = read(bytes, &everything()).unwrap();
    assert!(tree.lookup(&TreePath::new("behind").unwrap()).is_none());
    insta::assert_snapshot!(report, @r"
    a.tar: 1 entries, 4096 bytes
    a.tar: ignored what follows the end of the archive
    ");
}

/// A member whose fields are likely to be interesting together.
fn any_member() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        "[ab/.]{0,12}",
        Just("a/b".to_owned()),
        Just(".wh.a".to_owned()),
        Just("a/.wh..wh..opq".to_owned()),
        Just("a/.wh..".to_owned()),
        Just("../a".to_owned()),
    ];
    let flag = prop::sample::select(b"0123456xgLKSDMV7?".to_vec());
    let link = prop_oneof!["[ab/.]{0,8}", Just("/a".to_owned())];
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"10 path=a\n".to_vec()),
        Just(b"22 GNU.sparse.major=1\n".to_vec()),
        Just(b"1\n0\n4\n".to_vec()),
    ];
    (name, flag, link, data, any::<Option<(u16, u8)>>()).prop_map(
        |(name, flag, link, data, damage)| {
            let mut raw = member(name.as_bytes(), flag, link.as_bytes(), &data);
            if let Some((at, byte)) = damage {
                raw = raw.with(|header| header.as_mut_bytes()[at as usize % 500] = byte);
            }
            raw.bytes()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_archive_panics(
        members in prop::collection::vec(any_member(), 0..12),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = members.concat();
        bytes.extend_from_slice(&[0; 1024]);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [gzip(&bytes), bytes] {
            if let Ok((tree, _)) = read(bytes, &everything()) {
                // Contents are there, or refused; the tree can be walked.
                for (_, id) in tree.walk() {
                    let _ = tree.read_file(id, 1 << 20);
                }
            }
        }
        }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let _ = read(bytes, &everything());
    }
}
