//! Damaged, foreign and unusual files: typed errors with their place, never a panic.

use lupine_kml::rewrite::{Options, RewriteError, rewrite_bytes, undo_bytes};
use lupine_kml::scan::{ElfError, Functions, scan};
use lupine_kml::verify_rewrite::verify;
use proptest::prelude::*;

use crate::support::{BUSYBOX, LIBC, LOADER, have, run, text};

/// Runs everything that reads foreign bytes; what succeeds must be consistent.
fn exercise(data: &[u8]) {
    let _ = scan(data);
    if let Ok(done) = rewrite_bytes(data, &Options::default()) {
        if done.report.rewritten > 0 {
            assert_eq!(undo_bytes(&done.bytes).unwrap(), data);
        } else {
            assert_eq!(done.bytes, data);
        }
    }
}

fn loads(data: &[u8]) -> Vec<usize> {
    let count = usize::from(u16::from_le_bytes([data[56], data[57]]));
    (0..count)
        .map(|i| 64 + i * 56)
        .filter(|at| data[*at] == 1)
        .collect()
}

#[test]
fn damage_is_named_with_its_place() {
    if !have(LOADER) {
        return;
    }
    let good = std::fs::read(LOADER).unwrap();
    let fails = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bad = good.clone();
        change(&mut bad);
        match rewrite_bytes(&bad, &Options::default()) {
            Err(RewriteError::Elf(e)) => e,
            other => panic!("{:?}", other.map(|o| o.report.rewritten)),
        }
    };
    let load = loads(&good);
    assert!(matches!(
        fails(&|f| f.truncate(70)),
        ElfError::Truncated {
            what: "the program header table",
            offset: 64,
            ..
        }
    ));
    assert!(matches!(
        fails(&|f| f.truncate(0x20000)),
        ElfError::Truncated { .. }
    ));
    assert!(matches!(
        fails(&|f| f[4] = 1),
        ElfError::Unsupported {
            what: "EI_CLASS",
            offset: 4,
            ..
        }
    ));
    assert!(matches!(
        fails(&|f| f[18] = 0xb7),
        ElfError::Unsupported {
            what: "e_machine",
            value: 0xb7,
            ..
        }
    ));
    assert!(matches!(
        fails(&|f| f[16] = 1),
        ElfError::Unsupported {
            what: "e_type",
            value: 1,
            ..
        }
    ));
    assert!(matches!(
        fails(&|f| f[load[1] + 4] |= 2),
        ElfError::WritableCode { index: 1, .. }
    ));
    let overlap = fails(&|f| {
        let at = load[2] + 16;
        let second = u64::from_le_bytes(f[at..at + 8].try_into().unwrap()) - 0x2000;
        f[at..at + 8].copy_from_slice(&second.to_le_bytes());
    });
    assert!(
        matches!(
            overlap,
            ElfError::Overlap {
                address: 0x25000,
                ..
            }
        ),
        "{overlap:?}"
    );
    let script = rewrite_bytes(b"#!/bin/sh\n", &Options::default()).unwrap_err();
    assert!(script.to_string().contains("not an ELF file"), "{script}");
}

#[test]
fn files_without_section_headers_are_rewritten() {
    if !have(BUSYBOX) {
        return;
    }
    let mut data = std::fs::read(BUSYBOX).unwrap();
    data[40..48].fill(0);
    data[58..64].fill(0);
    let done = rewrite_bytes(&data, &Options::default()).unwrap();
    assert!(
        done.report.rewritten > 200,
        "{} of {}",
        done.report.rewritten,
        done.report.scan.sites.len()
    );
    assert_eq!(undo_bytes(&done.bytes).unwrap(), data);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("busybox");
    std::fs::write(&file, &done.bytes).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(
        text(&run(&file, ["echo", "without sections"])),
        "without sections\n"
    );
}

#[test]
fn classic_segments_get_a_moved_table() {
    if !have("cc") {
        return;
    }
    // One segment for headers, code and constants, and no property note: nowhere to put a program header in place.
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.c");
    std::fs::write(&source, "#include <stdio.h>\n#include <unistd.h>\nchar big[3 << 20];\nint main(void) { big[9] = 1; printf(\"%d\\n\", getppid() > 0 && !big[8]); return 0; }\n").unwrap();
    for kind in ["-static", "-static-pie", "-no-pie", "-pie"] {
        let (before, after) = (
            folder.path().join("before"),
            folder.path().join(format!("after{kind}")),
        );
        let flags = [
            "-O1",
            kind,
            "-Wl,-z,noseparate-code",
            "-Wl,-z,nognustack",
            "-Wl,--strip-all",
        ];
        let flags = flags.iter().filter(|f| !f.contains("nognustack"));
        let arguments = flags.map(std::ffi::OsStr::new).chain([
            std::ffi::OsStr::new("-o"),
            before.as_os_str(),
            source.as_os_str(),
        ]);
        text(&run("cc", arguments));
        let mut data = std::fs::read(&before).unwrap();
        // A property segment would give a slot.
        let count = usize::from(u16::from_le_bytes([data[56], data[57]]));
        for at in (0..count).map(|i| 64 + i * 56) {
            if data[at..at + 4] == 0x6474_e553u32.to_le_bytes() {
                data[at..at + 4].copy_from_slice(&0x6000_0001u32.to_le_bytes());
            }
        }
        let done = rewrite_bytes(&data, &Options::default()).unwrap();
        if done.report.rewritten == 0 {
            continue;
        }
        assert!(done.report.moved_headers, "{kind}");
        assert_eq!(undo_bytes(&done.bytes).unwrap(), data);
        std::fs::write(&after, &done.bytes).unwrap();
        std::fs::set_permissions(&after, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        assert_eq!(text(&run(&after, [] as [&str; 0])), "1\n", "{kind}");
        let said = run("readelf", ["-aW".as_ref(), after.as_os_str()]);
        assert!(
            said.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
}

/// How long it takes to read a file in every way.
fn time(data: &[u8]) -> std::time::Duration {
    let start = std::time::Instant::now();
    exercise(data);
    every_value(data);
    start.elapsed()
}

/// Reads a file's functions, and what each of them passes on.
fn every_value(data: &[u8]) {
    if let Ok(file) = Functions::read(data) {
        for index in 0..file.list().len() {
            let _ = file.values(index);
        }
    }
}

#[test]
fn functions_without_end_cost_no_more_than_others() {
    if !have(LIBC) {
        return;
    }
    let good = std::fs::read(LIBC).unwrap();
    let usual = time(&good);
    let elf = goblin::elf::Elf::parse(&good).unwrap();
    let section = |name| {
        let found = elf.section_headers.iter();
        let mut found = found.filter(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(name));
        let found = found.next().unwrap();
        found.sh_offset as usize..(found.sh_offset + found.sh_size) as usize
    };
    let mut symbols = good.clone();
    for at in section(".dynsym").step_by(24) {
        symbols[at + 16..at + 24].copy_from_slice(&(u64::MAX >> 1).to_le_bytes());
    }
    let mut frames = good.clone();
    let mut at = section(".eh_frame").start;
    let word = |at: usize| u32::from_le_bytes(good[at..at + 4].try_into().unwrap()) as usize;
    while word(at) != 0 {
        if word(at + 4) != 0 {
            // The length of what the entry covers.
            frames[at + 12..at + 16].copy_from_slice(&i32::MAX.to_le_bytes());
        }
        at += 4 + word(at);
    }
    for (what, bad) in [("symbols", symbols), ("unwind entries", frames)] {
        let took = time(&bad);
        assert!(took < usual * 20, "{what}: {took:?}, usually {usual:?}");
    }
}

/// Offsets worth damaging: headers, dynamic section, unwind table, relocations.
fn interesting(len: usize, place: usize, at: usize) -> usize {
    let ranges = [
        (0, 0x300),
        (len - 0x700, len),
        (0x2d000, 0x2e000),
        (0x32d00, 0x33000),
        (0x300, 0xd58),
        (0x1000, 0x26000),
        (0, len),
    ];
    let (from, to) = ranges[place % ranges.len()];
    let to = to.min(len);
    from.min(to - 1) + at % (to - from.min(to - 1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("LUPINE_TEST_ALL").is_some() { 300 } else { 60 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(changes in prop::collection::vec((any::<usize>(), any::<usize>(), prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), 0u64..0x40000]), 1..12), width in 1usize..9) {
        if have(LOADER) {
            let mut data = std::fs::read(LOADER).unwrap();
            for (place, at, value) in changes {
                let at = interesting(data.len(), place, at);
                let width = width.min(data.len() - at);
                data[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            exercise(&data);
        }
    }

    #[test]
    fn truncated_files_never_panic(len in 0usize..220_000) {
        if have(LOADER) {
            let data = std::fs::read(LOADER).unwrap();
            exercise(&data[..len.min(data.len())]);
        }
    }

    #[test]
    fn damaged_rewritten_files_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), headers in any::<bool>()) {
        if have(LOADER) {
            let mut data = rewrite_bytes(&std::fs::read(LOADER).unwrap(), &Options::default()).unwrap().bytes;
            for (at, value) in changes {
                let range = if headers { 0x300 } else { data.len() };
                let at = at.index(range);
                data[at] = value;
            }
            let _ = verify(None, &data);
            let _ = undo_bytes(&data);
            let _ = rewrite_bytes(&data, &Options::default()).map(|d| d.bytes.len());
            every_value(&data);
        }
    }
}
