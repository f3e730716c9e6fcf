//! The files themselves: coverage, tools that read them, undoing, attributes.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use lupine_kml::rewrite::{
    Gate, Options, Plan, RewriteError, rewrite_bytes, rewrite_file, undo_bytes, undo_file,
};
use lupine_kml::scan::{Arguments, Callee, Functions, Number, Values, scan};
use lupine_kml::verify_rewrite::{Mismatch, verify};

use crate::support::{BUSYBOX, LIBC, LOADER, MUSL, Rewritten, have, run, text};

/// Sites as objdump's linear sweep sees them.
fn disassembled(file: &str) -> Vec<u64> {
    let listing = text(&run("objdump", ["-d", "--no-show-raw-insn", file]));
    let lines = listing
        .lines()
        .filter(|l| l.trim_end().ends_with("\tsyscall"));
    lines
        .map(|l| u64::from_str_radix(l.trim().split(':').next().unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn coverage() {
    for (file, percent) in [(LIBC, 98), (LOADER, 98), (MUSL, 100), (BUSYBOX, 98)] {
        if !have(file) || !have("objdump") {
            continue;
        }
        let seen = disassembled(file);
        let scan = scan(&std::fs::read(file).unwrap()).unwrap();
        let found: Vec<u64> = scan.sites.iter().map(|s| s.address).collect();
        let missed: Vec<_> = seen.iter().filter(|a| !found.contains(a)).collect();
        assert!(
            missed.is_empty(),
            "{file}: objdump sees sites at {missed:x?}"
        );
        let native: Vec<_> = scan
            .sites
            .iter()
            .filter(|s| matches!(s.plan, Plan::Native { .. }))
            .collect();
        println!(
            "{file}: {} sites, {} rewritable, native: {native:?}",
            found.len(),
            scan.rewritable()
        );
        assert!(
            scan.rewritable() * 100 >= found.len() * percent,
            "{file}: {native:?}"
        );
        let known = scan
            .sites
            .iter()
            .filter(|s| matches!(s.number, Number::Known(_)))
            .count();
        assert!(
            known * 100 >= found.len() * 80,
            "{file}: only {known} of {} numbers are known",
            found.len()
        );
    }
}

#[test]
fn numbers_are_the_kernels() {
    if !have(LIBC) {
        return;
    }
    let data = std::fs::read(LIBC).unwrap();
    let file = Functions::read(&data).unwrap();
    let of = |name: &str| {
        let calls = file.values(index_of(&file, name)).system_calls;
        calls.into_iter().map(|c| c.number).collect::<Vec<_>>()
    };
    let known = |n| Number::Known(vec![n]);
    assert_eq!(of("kill"), [known(62)]);
    assert_eq!(of("read"), [known(0), known(0)]);
    assert_eq!(of("getppid"), [known(110)]);
    assert_eq!(of("epoll_create1"), [known(291)]);
    assert_eq!(of("syscall"), [Number::Argument(0)]);
    // Its unwind entry ends before the call.
    let all = (0..file.list().len()).flat_map(|index| file.values(index).system_calls);
    let starts_threads = all.filter(|c| c.number == known(435));
    assert!(starts_threads.count() > 0);
    let openlog = index_of(&file, "openlog");
    assert!(!file.list()[openlog].calls.is_empty());
}

/// The function of a name.
fn index_of(file: &Functions<'_>, name: &str) -> usize {
    let is = |own: &str| own == name;
    let found = file.list().iter().position(|one| {
        one.function.name.as_deref().is_some_and(is) || one.aliases.iter().any(|own| is(own))
    });
    found.unwrap_or_else(|| panic!("{name} is not found"))
}

/// The first call of a function: where it goes, and what it passes.
fn first_call(file: &Functions<'_>, name: &str) -> (Callee, Arguments) {
    let index = index_of(file, name);
    let Values { calls, .. } = file.values(index);
    (file.list()[index].calls[0].callee, calls[0].clone())
}

#[test]
fn imports_of_programs_are_resolved() {
    if !have("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.c");
    std::fs::write(
        &source,
        "#include <sys/socket.h>\nint main(void) { return socket(AF_INET6, SOCK_DGRAM, 0); }\n",
    )
    .unwrap();
    for extra in ["-fplt", "-fno-plt"] {
        let out = folder.path().join("a");
        text(&run(
            "cc",
            [
                source.as_os_str(),
                "-O1".as_ref(),
                extra.as_ref(),
                "-o".as_ref(),
                out.as_os_str(),
            ],
        ));
        let data = std::fs::read(&out).unwrap();
        let file = Functions::read(&data).unwrap();
        let main = index_of(&file, "main");
        let calls = file.list()[main].calls.iter();
        let socket = calls
            .map(|call| call.callee)
            .position(|callee| match callee {
                Callee::Import(at) => file.imports()[at] == "socket",
                Callee::Local(_) => false,
            });
        let passed = &file.values(main).calls[socket.unwrap()];
        let wanted = [vec![10], vec![2], vec![0]];
        assert_eq!(passed.constants[..3], wanted, "{extra}");
    }
}

/// What compilers make of loops, wrappers and tables of addresses.
#[test]
fn numbers_behind_padding_wrappers_and_slots() {
    if !have("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [source, out] = ["a.s", "a"].map(|name| folder.path().join(name));
    std::fs::write(&source, NUMBERS).unwrap();
    let flags = ["-nostdlib", "-static-pie", "-o"].map(std::ffi::OsStr::new);
    text(&run(
        "cc",
        flags
            .into_iter()
            .chain([out.as_os_str(), source.as_os_str()]),
    ));
    let data = std::fs::read(&out).unwrap();
    let file = Functions::read(&data).unwrap();
    let start = |name| Callee::Local(file.list()[index_of(&file, name)].function.start);
    let looping = file.values(index_of(&file, "loop")).system_calls;
    assert_eq!(looping[0].number, Number::Known(vec![20]));
    let (callee, wrapper) = first_call(&file, "wrapper");
    assert_eq!(callee, start("number"));
    assert_eq!(wrapper.passed[..3], [Some(1), None, Some(2)]);
    let (callee, by_slot) = first_call(&file, "by_slot");
    assert_eq!(callee, start("wrapper"));
    assert_eq!(by_slot.constants[1], [332]);
}

const NUMBERS: &str = r#"
    .macro function name
    .type \name, @function
    .globl \name
    \name:
    .cfi_startproc
    .endm
    .macro end name
    .cfi_endproc
    .size \name, . - \name
    .endm
    .text
    function loop
    mov $20, %r12d
    jmp 2f
    .p2align 4
1:  sub $1, %rbx
    js 3f
2:  mov %r12, %rax
    syscall
    test %rax, %rax
    jne 1b
3:  ret
    end loop
    function number
    mov %rdi, %rax
    syscall
    ret
    end number
    function wrapper
    mov %rsi, %rdi
    xor %esi, %esi
    jmp number
    end wrapper
    function by_slot
    mov $332, %esi
    call *slot(%rip)
    ret
    end by_slot
    function _start
    call loop
    call by_slot
    ret
    end _start
    .section .data.rel.ro, "aw"
    .p2align 3
slot: .quad wrapper
    .section .note.GNU-stack, "", @progbits
"#;

#[test]
fn tools_accept_rewritten_files() {
    let rewritten = Rewritten::new();
    for file in [LIBC, LOADER, MUSL, BUSYBOX] {
        if !have(file) {
            continue;
        }
        let new = rewritten.path(file);
        if have("readelf") {
            let said = run("readelf", ["-aW".as_ref(), new.as_os_str()]);
            assert!(
                said.stderr.is_empty(),
                "{file}: {}",
                String::from_utf8_lossy(&said.stderr)
            );
            let notes = text(&run("readelf", ["-nW".as_ref(), new.as_os_str()]));
            for line in text(&run("readelf", ["-nW", file]))
                .lines()
                .filter(|l| l.contains("Build ID"))
            {
                assert!(notes.contains(line), "{file}: {line} is gone");
            }
            let dumped = |f: &std::ffi::OsStr| run("readelf", ["--debug-dump=frames".as_ref(), f]);
            let (before, after) = (dumped(file.as_ref()), dumped(new.as_os_str()));
            assert_eq!(after.stderr, before.stderr, "{file}");
            let count = |o: &[u8]| o.iter().filter(|b| **b == b'\n').count();
            assert_eq!(count(&after.stdout), count(&before.stdout), "{file}");
        }
        if have("eu-elflint") {
            let complaints = |f: &Path| {
                let said = run("eu-elflint", ["--gnu-ld".as_ref(), f.as_os_str()]);
                let all = [said.stdout, said.stderr].concat();
                // A note of an owner that elflint does not know is all that may be new.
                let lines: Vec<String> = String::from_utf8_lossy(&all)
                    .lines()
                    .filter(|l| !l.contains("owner name 'lupine'") && *l != "No errors")
                    .map(str::to_owned)
                    .collect();
                lines
            };
            assert_eq!(complaints(&new), complaints(Path::new(file)), "{file}");
        }
        if have("strip") {
            let stripped = rewritten.folder.path().join("stripped");
            text(&run(
                "strip",
                ["-o".as_ref(), stripped.as_os_str(), new.as_os_str()],
            ));
            if file == BUSYBOX {
                std::fs::rename(&stripped, rewritten.folder.path().join("busybox-stripped"))
                    .unwrap();
                assert_eq!(
                    text(&run(
                        rewritten.folder.path().join("busybox-stripped"),
                        ["busybox", "echo", "hello"]
                    )),
                    "hello\n"
                );
            } else if file != MUSL {
                let library = rewritten.folder.path().join("after-strip");
                std::fs::create_dir_all(&library).unwrap();
                std::fs::rename(
                    &stripped,
                    library.join(Path::new(file).file_name().unwrap()),
                )
                .unwrap();
            }
        }
    }
    let library = rewritten.folder.path().join("after-strip");
    if library.join("ld-linux-x86-64.so.2").exists() && library.join("libc.so.6").exists() {
        let said = run(
            library.join("ld-linux-x86-64.so.2"),
            [
                "--library-path".as_ref(),
                library.as_os_str(),
                "/bin/echo".as_ref(),
                "hello".as_ref(),
            ],
        );
        assert_eq!(text(&said), "hello\n");
    }
}

#[test]
fn rewriting_is_deterministic_idempotent_and_undoable() {
    for file in [LIBC, LOADER, MUSL, BUSYBOX] {
        if !have(file) {
            continue;
        }
        let original = std::fs::read(file).unwrap();
        for gate in [Gate::Runtime, Gate::Always] {
            let options = Options { gate };
            let first = rewrite_bytes(&original, &options).unwrap();
            assert_eq!(
                rewrite_bytes(&original, &options).unwrap().bytes,
                first.bytes,
                "{file}"
            );
            let again = rewrite_bytes(&first.bytes, &options).unwrap();
            assert!(again.report.again);
            assert_eq!(again.bytes, first.bytes, "{file}");
            assert_eq!(undo_bytes(&first.bytes).unwrap(), original, "{file}");
            let checked = verify(None, &first.bytes).unwrap();
            assert_eq!(checked, verify(Some(&original), &first.bytes).unwrap());
            assert_eq!(checked.sites, first.report.rewritten);
            assert_eq!(
                checked.tested,
                if gate == Gate::Runtime {
                    checked.sites
                } else {
                    0
                }
            );
            // The other choice over this one gives the other file.
            let other = Options {
                gate: if gate == Gate::Runtime {
                    Gate::Always
                } else {
                    Gate::Runtime
                },
            };
            assert_eq!(
                rewrite_bytes(&first.bytes, &other).unwrap().bytes,
                rewrite_bytes(&original, &other).unwrap().bytes
            );
            let seen = scan(&first.bytes).unwrap();
            assert!(seen.rewritten);
            assert_eq!(seen.sites, scan(&original).unwrap().sites);
        }
        assert_eq!(undo_bytes(&original), Err(RewriteError::NotRewritten));
    }
}

#[test]
fn verification_sees_every_damage() {
    if !have(LOADER) {
        return;
    }
    let original = std::fs::read(LOADER).unwrap();
    let good = rewrite_bytes(&original, &Options::default()).unwrap();
    assert_eq!(
        verify(Some(&original), &original),
        Err(Mismatch::NotRewritten)
    );
    let mut caught = BTreeMap::new();
    let code = 0x1000..0x26000usize;
    let sections = goblin::elf::Elf::parse(&good.bytes).unwrap();
    let ours = sections
        .section_headers
        .iter()
        .find(|s| sections.shdr_strtab.get_at(s.sh_name) == Some(".text.lupine"))
        .unwrap();
    let ours = ours.sh_offset as usize..(ours.sh_offset + ours.sh_size) as usize;
    for at in code.step_by(1499).chain(ours.clone().step_by(17)) {
        let mut bad = good.bytes.clone();
        bad[at] ^= 0x41;
        match verify(Some(&original), &bad) {
            Ok(found) => panic!("{at:#x}: {found:?}"),
            Err(e) => {
                *caught
                    .entry(format!("{e:?}").split(' ').next().unwrap().to_owned())
                    .or_insert(0) += 1;
            }
        }
    }
    assert!(caught.len() >= 3, "{caught:?}");
    let mut bad = good.bytes.clone();
    bad[0x28000] ^= 1;
    assert!(matches!(verify(None, &bad), Err(Mismatch::Note(_))));
    assert!(matches!(
        verify(Some(&original), &bad),
        Err(Mismatch::Segment { .. })
    ));
}

#[test]
fn files_keep_their_attributes() {
    if !have(LOADER) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loader");
    std::fs::copy(LOADER, &file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4751)).unwrap();
    let attribute = xattr::set(&file, "user.lupine.test", b"kept").is_ok();
    let past = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    std::fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(past)
        .unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("loader", &link).unwrap();

    let done = rewrite_file(&link, &link, &Options::default()).unwrap();
    assert!(done.written && done.report.rewritten > 0);
    let now = std::fs::metadata(&file).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(now.mode() & 0o7777, 0o4751);
    assert_eq!(now.modified().unwrap(), past);
    assert!(
        !attribute || xattr::get(&file, "user.lupine.test").unwrap().as_deref() == Some(b"kept")
    );
    assert!(
        !rewrite_file(&file, &file, &Options::default())
            .unwrap()
            .written
    );
    undo_file(&file, &file).unwrap();
    assert_eq!(
        std::fs::read(&file).unwrap(),
        std::fs::read(LOADER).unwrap()
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "no temporary file stays"
    );

    // What cannot be rewritten is not touched.
    std::fs::write(&file, b"\x7fELF garbage").unwrap();
    assert!(rewrite_file(&file, &file, &Options::default()).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"\x7fELF garbage");
}

/// What follows the last segment of a program interpreter in its page, kernels before 6.7 overwrite.
#[test]
fn the_last_segment_ends_with_its_page() {
    for file in [LOADER, MUSL].into_iter().filter(|file| have(file)) {
        let new = rewrite_bytes(&std::fs::read(file).unwrap(), &Options::default()).unwrap();
        let elf = goblin::elf::Elf::parse(&new.bytes).unwrap();
        let mut loads = elf
            .program_headers
            .iter()
            .filter(|p| p.p_type == goblin::elf::program_header::PT_LOAD);
        let last = loads.next_back().unwrap();
        assert!(
            last.p_filesz == last.p_memsz && last.vm_range().end % 4096 == 0,
            "{last:?}"
        );
        assert!(new.bytes.len() as u64 >= last.p_offset + last.p_filesz);
    }
}

#[test]
fn trampolines_are_short() {
    if !have(LIBC) {
        return;
    }
    let original = std::fs::read(LIBC).unwrap();
    for (gate, limit) in [(Gate::Runtime, 6), (Gate::Always, 4)] {
        let new = rewrite_bytes(&original, &Options { gate }).unwrap();
        let elf = goblin::elf::Elf::parse(&new.bytes).unwrap();
        let ours = elf
            .section_headers
            .iter()
            .find(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(".text.lupine"))
            .unwrap();
        let bytes = &new.bytes[ours.sh_offset as usize..][..ours.sh_size as usize];
        let decoder =
            iced_x86::Decoder::with_ip(64, bytes, ours.sh_addr, iced_x86::DecoderOptions::NONE);
        let count = decoder
            .into_iter()
            .filter(|one| one.code() != iced_x86::Code::Int3)
            .count();
        let moved: usize = new
            .report
            .scan
            .sites
            .iter()
            .map(|s| match &s.plan {
                Plan::Displaced { instructions, .. } | Plan::ShortJump { instructions, .. } => {
                    *instructions
                }
                _ => 0,
            })
            .sum();
        // Blocks that made room add their own few.
        assert!(
            count <= moved + limit * new.report.rewritten + 16,
            "{gate:?}: {count} instructions, {moved} moved"
        );
    }
}
