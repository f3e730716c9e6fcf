//! Needs and configurations against real kernel trees: what a tree says of its
//! system calls is judged by a kernel built from it, tables by the trees'
//! Kconfig files, and configurations by turning off whatever can be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]
#![allow(clippy::disallowed_methods, reason = "asks strace what a program does")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use lupine::Lupine;
use lupine::cache::Cache;
use lupine::host::Purpose;
use lupine::kernel::base::Base;
use lupine::kernel::config::{self, Class, ReasonKind, Request};
use lupine::kernel::source::KernelSource;
use lupine::kernel::toolchain::{Compiler, Toolchain};
use lupine::manifest::Manifest;
use lupine::needs::{Entry, Files, FilesError, Needs, Requirement, Strength, analyse, table};
use lupine::process::Cancel;
use lupine::variant::Variant;
use lupine::vmm::Vmm;
use lupine_kconfig::{Configuration, Kconfig, Tristate};

use common::able;

/// The packaged trees: 6.12, and with the slow tests 6.1, which has to be
/// unpacked first.
fn sources() -> Vec<KernelSource> {
    let lupine = Lupine::of_user().unwrap();
    let mut sources = vec![lupine.kernel_source(None).unwrap()];
    let older = Path::new("/usr/src/linux-source-6.1.tar.xz");
    if std::env::var_os("LUPINE_TEST_ALL").is_some() {
        if older.exists() {
            sources.push(lupine.kernel_source(Some(older)).unwrap());
        } else {
            eprintln!("SKIPPED in part: no {}", older.display());
        }
    }
    sources
}

fn tree_of(source: &KernelSource) -> Kconfig {
    let toolchain = Toolchain::detect(Compiler::Gcc, true, &Cancel::new()).unwrap();
    config::load(source, &toolchain, &Cache::of_user().unwrap()).unwrap()
}

/// Every variant under every VMM.
fn every_kind() -> impl Iterator<Item = (Variant, Vmm)> {
    let with_vmms = |variant| Vmm::ALL.into_iter().map(move |vmm| (variant, vmm));
    Variant::ALL.into_iter().flat_map(with_vmms)
}

fn needs_of(name: &str) -> Needs {
    let lupine = Lupine::of_user().unwrap();
    let image = lupine.image(&Manifest::builtin(name).unwrap()).unwrap();
    lupine.needs(&image).unwrap()
}

/// Whether the tree's Kconfig files declare an option.
fn is_declared(tree: &Kconfig, name: &str) -> bool {
    tree.symbol(name)
        .is_some_and(|id| tree.get(id).is_defined())
}

#[test]
fn tables_name_options_that_the_trees_have() {
    if !able(&[Purpose::Kernel]) {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    for source in sources() {
        let tree = tree_of(&source);
        for option in table::options() {
            assert!(is_declared(&tree, option), "{option} in {}", source.version);
        }
        for (variant, vmm) in every_kind() {
            for option in Base::lupine().options(variant, vmm, &source.version) {
                // The patches bring it.
                if option.symbol != "KERNEL_MODE_LINUX" {
                    let declared = is_declared(&tree, &option.symbol);
                    assert!(declared, "{} in {}", option.symbol, source.version);
                }
            }
        }
        let syscalls = lupine.syscalls(&source).unwrap();
        for (call, offer) in syscalls.iter() {
            let options = offer.condition.options();
            let options = options.unwrap_or_else(|| panic!("{call}: {}", offer.condition));
            for option in options.keys() {
                assert!(
                    is_declared(&tree, option),
                    "{call}: {option} in {}",
                    source.version
                );
            }
        }
        for (call, option) in [
            ("epoll_wait", "EPOLL"),
            ("eventfd2", "EVENTFD"),
            ("signalfd4", "SIGNALFD"),
            ("timerfd_create", "TIMERFD"),
            ("futex", "FUTEX"),
            ("io_setup", "AIO"),
            ("io_uring_setup", "IO_URING"),
            ("madvise", "ADVISE_SYSCALLS"),
            ("fadvise64", "ADVISE_SYSCALLS"),
            ("flock", "FILE_LOCKING"),
            ("inotify_init1", "INOTIFY_USER"),
            ("fanotify_init", "FANOTIFY"),
            ("name_to_handle_at", "FHANDLE"),
            ("shmget", "SYSVIPC"),
            ("semop", "SYSVIPC"),
            ("mq_open", "POSIX_MQUEUE"),
            ("socket", "NET"),
            ("timer_create", "POSIX_TIMERS"),
            ("memfd_create", "MEMFD_CREATE"),
            ("setgroups", "MULTIUSER"),
            ("bpf", "BPF_SYSCALL"),
            ("userfaultfd", "USERFAULTFD"),
            ("kcmp", "KCMP"),
            ("process_vm_readv", "CROSS_MEMORY_ATTACH"),
            ("rseq", "RSEQ"),
            ("mbind", "NUMA"),
            ("swapon", "SWAP"),
            ("acct", "BSD_PROCESS_ACCT"),
            ("quotactl", "QUOTACTL"),
            ("ioprio_set", "BLOCK"),
            ("keyctl", "KEYS"),
            ("seccomp", "SECCOMP"),
            ("init_module", "MODULES"),
            ("kexec_load", "KEXEC"),
            ("syslog", "PRINTK"),
            ("modify_ldt", "MODIFY_LDT_SYSCALL"),
            ("membarrier", "MEMBARRIER"),
        ] {
            let options = syscalls.options(call);
            assert!(
                options.contains_key(option),
                "{call} in {}: {options:?}",
                source.version
            );
        }
        for call in ["read", "mmap", "clone", "openat", "ioperm"] {
            assert!(
                syscalls.offer(call).is_none(),
                "{call} in {}",
                source.version
            );
        }
    }
}

#[test]
fn a_built_kernel_has_the_calls_that_its_tree_promises() {
    if !able(common::ALL) {
        return;
    }
    let kernel = common::kernel_of("nginx");
    let folder = kernel.bzimage().parent().unwrap().to_owned();
    let text = fs::read_to_string(folder.join("config")).unwrap();
    let on: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.strip_suffix("=y"))
        .collect();
    // A call that the kernel lacks is a weak symbol: the stub of sys_ni.c.
    let map = fs::read_to_string(folder.join("System.map")).unwrap();
    let kinds: BTreeMap<&str, &str> = map
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let kind = words.next()?;
            Some((words.next()?.strip_prefix("__x64_sys_")?, kind))
        })
        .collect();
    let lupine = Lupine::of_user().unwrap();
    let syscalls = lupine
        .syscalls(&lupine.kernel_source(None).unwrap())
        .unwrap();
    let mut seen = 0;
    for (call, offer) in syscalls.iter() {
        let expected = offer.condition.holds(&|name| on.contains(&name));
        let found = kinds.get(offer.function.as_str()).copied();
        assert_eq!(
            found,
            Some(if expected { "T" } else { "W" }),
            "{call}: {}",
            offer.condition
        );
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
    // And no other call is missing.
    let missing = kinds
        .iter()
        .filter(|(_, kind)| **kind == "W")
        .map(|(name, _)| *name);
    for function in missing {
        let known = syscalls.iter().any(|(_, offer)| offer.function == function);
        assert!(known || !is_of_x86_64(&lupine, function), "{function}");
    }
}

/// Whether the table of x86-64 leads to a function.
fn is_of_x86_64(lupine: &Lupine, function: &str) -> bool {
    let tree = lupine.kernel_source(None).unwrap().path;
    let table = fs::read_to_string(tree.join("arch/x86/entry/syscalls/syscall_64.tbl")).unwrap();
    let entry = format!("sys_{function}");
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(3) == Some(&entry.as_str()) && words.get(1) != Some(&"x32")
    })
}

#[test]
fn what_a_configuration_file_asks_for_is_needed() {
    if !able(&[Purpose::DebianImage]) {
        return;
    }
    let needs = needs_of("nginx");
    let ipv6 = Requirement::Socket("INET6".into());
    let need = needs.needs.iter().find(|need| need.requirement == ipv6);
    let need = need.expect("Debian's default site listens on IPv6");
    assert_eq!(need.strength, Strength::Required);
    let evidence = need.evidence.iter().filter_map(|evidence| evidence.file());
    assert!(
        evidence
            .into_iter()
            .any(|file| file.starts_with("/etc/nginx/sites-"))
    );
}

/// The machine's own files.
struct Host;

impl Files for Host {
    fn read(&self, paths: &BTreeSet<String>) -> Result<BTreeMap<String, Vec<u8>>, FilesError> {
        let read = |path: &String| Some((path.clone(), fs::read(path).ok()?));
        Ok(paths.iter().filter_map(read).collect())
    }

    fn below(&self, folder: &str) -> Vec<String> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_file() {
                files.push(entry.path().to_str().unwrap().to_owned());
            }
        }
        files.sort();
        files
    }
}

fn entry_of(argv: &[&str]) -> Entry {
    Entry {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        path: "/usr/bin:/bin".to_owned(),
        directory: "/".to_owned(),
        ..Entry::default()
    }
}

/// Holds the calls that strace sees a program and its threads make against those that its analysis
/// knows.
fn derived_calls_cover(argv: &[&str]) {
    let needs = analyse(&Host, &entry_of(argv)).unwrap();
    let calls = needs
        .needs
        .iter()
        .filter_map(|need| match &need.requirement {
            Requirement::Call(name) => Some(name.as_str()),
            _ => None,
        });
    let derived: BTreeSet<&str> = calls.collect();
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    let strace = strace.args(["-f", "-qq", "-o"]).arg(trace.path());
    let output = strace.args(argv).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{argv:?}: {output:?}");
    let text = fs::read_to_string(trace.path()).unwrap();
    let made: BTreeSet<&str> = text
        .lines()
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' '))
        .filter_map(|line| line.split_once('(').map(|(name, _)| name))
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        // The exec is the tracer's; a signal's return is the kernel's doing; glibc keeps the
        // number of the last call in a register around a loop, and every kernel has it.
        .filter(|name| !["execve", "rt_sigreturn", "exit_group"].contains(name))
        .collect();
    assert!(!made.is_empty(), "{argv:?}");
    let surprising: Vec<&&str> = made.difference(&derived).collect();
    assert!(
        surprising.is_empty(),
        "{argv:?}: {surprising:?}, derived {derived:?}"
    );
}

#[test]
fn every_call_that_a_program_is_seen_to_make_was_derived() {
    if !able(&[Purpose::Test]) {
        return;
    }
    derived_calls_cover(&["/bin/ls", "-l", "/"]);
    derived_calls_cover(&["/bin/bash", "-c", "echo $((6 * 7)); true | true"]);
    derived_calls_cover(&["/bin/busybox", "sh", "-c", "ls / | sort | head -n 1"]);
}

#[test]
fn calls_of_python_and_its_extensions_were_derived() {
    if !able(&[Purpose::Test]) {
        return;
    }
    let program = "import asyncio, socket, mmap, fcntl, threading, multiprocessing.shared_memory\n\
        async def main(): await asyncio.sleep(0.01)\n\
        asyncio.run(main())\n\
        a, b = socket.socketpair()\n\
        threading.Thread(target=lambda: a.send(b'x')).start()\n\
        assert b.recv(1) == b'x'\n\
        mmap.mmap(-1, 4096).close()\n\
        fcntl.flock(open('/dev/null'), fcntl.LOCK_EX)\n";
    derived_calls_cover(&["/usr/bin/python3", "-c", program]);
}

/// The same work in C and in Rust: threads, a socket, a file and a clock.
#[test]
fn calls_of_compiled_programs_were_derived() {
    if !able(&[Purpose::Test, Purpose::Kernel]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [c, rust] = ["work.c", "work.rs"].map(|name| dir.path().join(name));
    fs::write(&c, WORK_IN_C).unwrap();
    fs::write(&rust, WORK_IN_RUST).unwrap();
    let gcc = ["gcc", "-O2", "-pthread"];
    let rustc = ["rustc", "-O", "--edition=2024"];
    for (name, command, source) in [
        ("dynamic C", [&gcc[..], &["-pie"]].concat(), &c),
        ("static C", [&gcc[..], &["-static"]].concat(), &c),
        (
            "static C at any address",
            [&gcc[..], &["-static-pie"]].concat(),
            &c,
        ),
        ("musl", vec!["musl-gcc", "-O2", "-static"], &c),
        ("dynamic Rust", rustc.to_vec(), &rust),
        (
            "static Rust",
            [&rustc[..], &["-Ctarget-feature=+crt-static"]].concat(),
            &rust,
        ),
    ] {
        let program = dir.path().join(name);
        let mut compile = Command::new(command[0]);
        let compile = compile
            .args(&command[1..])
            .arg("-o")
            .arg(&program)
            .arg(source);
        let output = compile.output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        derived_calls_cover(&[program.to_str().unwrap()]);
    }
}

const WORK_IN_C: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void *answer(void *end) { return (void *)(long)write(*(int *)end, "x", 1); }

int main(void) {
    int ends[2], epoll = epoll_create1(0), wake = eventfd(1, 0);
    struct epoll_event event = {.events = EPOLLIN};
    struct timespec while_ = {.tv_nsec = 1000000};
    pthread_t thread;
    char byte;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event))
        return 1;
    if (epoll_wait(epoll, &event, 1, 1000) != 1 || pthread_create(&thread, 0, answer, ends))
        return 2;
    if (read(ends[1], &byte, 1) != 1 || pthread_join(thread, 0) || nanosleep(&while_, 0))
        return 3;
    return printf("done\n") != 5;
}
"#;

const WORK_IN_RUST: &str = r#"
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
    });
    let mut byte = [0];
    listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
    client.join().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1));
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(std::process::Command::new("/bin/true").status().unwrap().success());
    println!("{}", own.len());
}
"#;

#[test]
fn no_option_of_a_specialised_configuration_can_go() {
    no_option_can_go(Vmm::Qemu);
}

#[test]
fn no_option_for_devices_on_a_pci_bus_can_go() {
    no_option_can_go(Vmm::CloudHypervisor);
}

fn no_option_can_go(vmm: Vmm) {
    if !able(&[Purpose::Kernel, Purpose::DebianImage]) {
        return;
    }
    let lupine = Lupine::of_user().unwrap().with_vmm(vmm);
    let source = lupine.kernel_source(None).unwrap();
    let mut needs = needs_of("nginx");
    let config = lupine
        .specialise(&source, &needs, Variant::LupineNokml)
        .unwrap();
    needs.resolve(&lupine.syscalls(&source).unwrap());
    let mut required: BTreeMap<String, String> = Base::lupine()
        .options(Variant::LupineNokml, vmm, &source.version)
        .into_iter()
        .chain(needs.options(Strength::Required))
        .map(|option| (option.symbol, option.value))
        .collect();
    // Whoever wants the number wants the option that holds it.
    required.retain(|symbol, _| symbol != "CC_VERSION_TEXT");

    let tree = tree_of(&source);
    let mut whole = Configuration::new(&tree);
    whole.read(&config.text);
    for (symbol, value) in &required {
        assert_eq!(
            whole.value(symbol).as_deref(),
            Some(value.as_str()),
            "{symbol}"
        );
    }
    let mut tried = 0;
    for id in tree.symbols() {
        let symbol = tree.get(id);
        let is_switch = symbol.symbol_type().is_logical() && !symbol.is_choice();
        // A choice cannot be off: another member would be on.
        if !is_switch || symbol.choice_node().is_some() {
            continue;
        }
        if whole.tristate(id) == Tristate::No || whole.visibility(id) == Tristate::No {
            continue;
        }
        let mut fewer = whole.clone();
        fewer.set_bytes(id, b"n");
        let name = String::from_utf8_lossy(tree.name(id).unwrap()).into_owned();
        let kept = fewer.tristate(id) != Tristate::No;
        let lost = required
            .iter()
            .any(|(name, value)| fewer.value(name).as_ref() != Some(value));
        assert!(kept || lost, "{name} can go");
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
    // Everything that is on says why.
    for reason in &config.reasons {
        let named = reason.kind != ReasonKind::Need || !reason.evidence.is_empty();
        assert!(named && !reason.because.is_empty(), "{}", reason.symbol);
        let asked = ["base", "need", "dependency"].contains(&reason.kind.as_str());
        assert!(
            asked || reason.because != "default",
            "{} is on for nothing",
            reason.symbol
        );
    }
}

#[test]
fn a_distribution_s_configuration_is_pruned_by_class() {
    if !able(&[Purpose::Kernel]) {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    let source = lupine.kernel_source(None).unwrap();
    let whole = fs::read(source.path.join("arch/x86/configs/x86_64_defconfig")).unwrap();
    let needs = needs_of("hello");
    let request = Request {
        from: Some(&whole),
        ..Request::new(&needs, Variant::LupineNokml)
    };
    let config = lupine.specialise_as(&source, &request).unwrap();
    let fresh = lupine
        .specialise(&source, &needs, Variant::LupineNokml)
        .unwrap();
    for (symbol, class) in [
        ("SMP", Class::MultiProcessing),
        ("CGROUPS", Class::MultiProcessing),
        ("ACPI", Class::HardwareManagement),
        ("USB", Class::HardwareManagement),
        ("EXT4_FS", Class::ApplicationSpecific),
    ] {
        let gone = config.left_out.iter().find(|gone| gone.symbol == symbol);
        assert_eq!(gone.map(|gone| gone.class), Some(class), "{symbol}");
    }
    // Choices stay where the distribution put them; all else goes.
    let text = config.reasons_text();
    assert!(text.contains("left out, multi-processing"), "{text}");
    assert!(
        config.set_with_prompt <= fresh.set_with_prompt + 20,
        "{} against {}",
        config.set_with_prompt,
        fresh.set_with_prompt
    );
}

#[test]
fn general_has_what_the_twenty_need_and_tiny_is_small() {
    if !able(&[Purpose::Kernel]) {
        return;
    }
    let lupine = Lupine::of_user().unwrap();
    let source = lupine.kernel_source(None).unwrap();
    let source = lupine.patch(source, Variant::LupineGeneral).unwrap();
    let needs = needs_of("hello");
    let options = |variant| {
        let config = lupine.specialise(&source, &needs, variant).unwrap();
        let reasons = config.reasons.into_iter();
        let values: BTreeMap<String, String> = reasons.map(|r| (r.symbol, r.value)).collect();
        (values, config.set_with_prompt)
    };
    let (general, general_set) = options(Variant::LupineGeneral);
    for symbol in [
        "NET",
        "INET",
        "NETDEVICES",
        "NET_CORE",
        "VIRTIO",
        "VIRTIO_NET",
        "EPOLL",
        "FUTEX",
        "PROC_FS",
        "PROC_SYSCTL",
        "UNIX",
        "EVENTFD",
        "AIO",
        "FILE_LOCKING",
        "SECCOMP",
        "SYSVIPC",
        "SIGNALFD",
        "ADVISE_SYSCALLS",
        "RT_MUTEXES",
    ] {
        assert_eq!(
            general.get(symbol).map(String::as_str),
            Some("y"),
            "{symbol}"
        );
    }
    let (tiny, tiny_set) = options(Variant::LupineTiny);
    assert_eq!(tiny.get("LOG_BUF_SHIFT").map(String::as_str), Some("12"));
    assert_eq!(tiny.get("BASE_SMALL").map(String::as_str), Some("y"));
    assert_eq!(tiny.get("NET"), None);
    assert!(tiny_set < general_set, "{tiny_set} against {general_set}");
}
