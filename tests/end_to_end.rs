//! The whole path on real input: image, needs, configuration, kernel, root
//! file system, boot, health check.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]
#![allow(clippy::disallowed_methods, reason = "asks e2fsck about the image")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use lupine::host::{self, Purpose};
use lupine::kernel::build::Kernel;
use lupine::manifest::Manifest;
use lupine::process::Cancel;
use lupine::rootfs::Rootfs;
use lupine::variant::Variant;
use lupine::vmm::GuestExit;
use lupine::{Guest, Lupine, free_port};

use common::{ALL, able, asked_for_all};

/// Builds a built-in application and boots it.
fn boot(name: &str, variant: Variant, port: Option<u16>) -> (Guest, u16) {
    boot_app(&Manifest::builtin(name).unwrap(), variant, port)
}

/// Builds an application with the user's cache and boots it with one port
/// forwarded.
fn boot_app(app: &Manifest, variant: Variant, port: Option<u16>) -> (Guest, u16) {
    let lupine = Lupine::of_user().unwrap().with_cancel(Cancel::new());
    let kernel = kernel(&lupine, app, variant);
    let image = lupine.image(app).unwrap();
    let rootfs = lupine.rootfs(&image, variant).unwrap();
    check_file_system(&rootfs);
    let host = free_port().unwrap();
    let forwards: Vec<(u16, u16)> = port.map(|guest| (host, guest)).into_iter().collect();
    let guest = lupine.boot(&kernel, &rootfs, app, &forwards).unwrap();
    (guest, host)
}

/// The kernel that is specialised to an application.
fn kernel(lupine: &Lupine, app: &Manifest, variant: Variant) -> Kernel {
    let image = lupine.image(app).unwrap();
    let needs = lupine.needs(&image).unwrap();
    let source = lupine.kernel_source(None).unwrap();
    let source = lupine.patch(source, variant).unwrap();
    let config = lupine.specialise(&source, &needs, variant).unwrap();
    lupine.kernel(&source, &config).unwrap()
}

fn check_file_system(rootfs: &Rootfs) {
    let fsck = host::find_program("e2fsck").expect("e2fsck is part of what the tests require");
    let output = Command::new(fsck)
        .arg("-fn")
        .arg(rootfs.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}

/// The default variant always; the other one is built from another tree, which takes as long
/// again.
fn variants() -> &'static [Variant] {
    if asked_for_all() {
        &[Variant::Lupine, Variant::LupineNokml]
    } else {
        &[Variant::Lupine]
    }
}

/// Whether the guest's init said that the program runs in kernel mode.
fn in_kernel_mode(lines: &[Vec<u8>]) -> bool {
    lines.iter().any(|line| line == b"lupine-init: kernel mode")
}

#[test]
fn nginx_answers_with_its_page() {
    if !able(ALL) {
        return;
    }
    for &variant in variants() {
        let (mut guest, _) = boot("nginx", variant, Some(80));
        let mut lines = Vec::new();
        guest.wait_ready(|line| lines.push(line.to_vec())).unwrap();
        let page = guest.get(80, "/").unwrap();
        assert_eq!(page.status, 200);
        let text = String::from_utf8_lossy(&page.body);
        assert!(text.contains("Welcome to nginx"), "{text}");
        assert_eq!(guest.get(80, "/no-such-page").unwrap().status, 404);
        assert_eq!(
            in_kernel_mode(&lines),
            variant.has_kml(),
            "{}",
            String::from_utf8_lossy(&lines.join(&b'\n'))
        );
        guest.stop().unwrap();
    }
}

#[test]
fn hello_greets_and_ends() {
    if !able(&[Purpose::Kernel, Purpose::Run, Purpose::Test]) {
        return;
    }
    for &variant in variants() {
        let (mut guest, _) = boot("hello", variant, None);
        let mut lines = Vec::new();
        guest.wait_ready(|line| lines.push(line.to_vec())).unwrap();
        assert_eq!(guest.wait(|_| {}).unwrap(), GuestExit::Status(0));
        assert_eq!(in_kernel_mode(&lines), variant.has_kml());
    }
}

#[test]
fn kernel_mode_is_for_what_is_trusted_or_marked() {
    if !able(&[Purpose::Kernel, Purpose::Run]) {
        return;
    }
    let app = Manifest::builtin("hello").unwrap();
    for &variant in variants() {
        let lupine = Lupine::of_user().unwrap();
        let kernel = kernel(&lupine, &app, variant);
        let found = lupine
            .privileges(&kernel.file(lupine.vmm().kernel_file()))
            .unwrap();
        let set_apart = if variant.has_kml() { 0 } else { 3 };
        assert_eq!(found.elsewhere, Some(3), "{found}");
        assert_eq!(found.trusted, Some(set_apart), "{found}");
        assert_eq!(found.marked, Some(set_apart), "{found}");
        assert_eq!(found.is_kernel_mode_linux(), variant.has_kml());
    }
}

#[test]
fn redis_keeps_a_value() {
    if !able(ALL) {
        return;
    }
    for &variant in variants() {
        let (mut guest, port) = boot("redis", variant, Some(6379));
        guest.wait_ready(|_| {}).unwrap();
        let mut redis = TcpStream::connect(("127.0.0.1", port)).unwrap();
        redis
            .write_all(b"SET unikernel lupine\r\nGET unikernel\r\nQUIT\r\n")
            .unwrap();
        let mut answer = String::new();
        redis.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "+OK\r\n$6\r\nlupine\r\n+OK\r\n");
        guest.stop().unwrap();
    }
}

/// Real applications as Debian packages them, on kernels of the needs that were derived, in user
/// mode and in kernel mode.
#[test]
fn every_application_passes_its_health_check() {
    if !asked_for_all() || !able(ALL) {
        return;
    }
    // The benchmark of kernel operations has no check, and the others have tests of their own.
    let elsewhere = ["bench", "hello", "nginx", "redis"];
    let mut failures = Vec::new();
    for name in Manifest::builtin_names().filter(|name| !elsewhere.contains(name)) {
        for &variant in variants() {
            eprintln!("{name} on {variant}");
            let app = Manifest::builtin(name).unwrap();
            let port = app.machine.ports.first().copied();
            let (mut guest, _) = boot_app(&app, variant, port);
            let mut lines = Vec::new();
            // Each takes minutes: one that fails does not hide what the others do.
            match guest.wait_ready(|line| lines.push(line.to_vec())) {
                Err(error) => failures.push(format!("{name} on {variant}: {error}")),
                Ok(_) if in_kernel_mode(&lines) != variant.has_kml() => {
                    failures.push(format!("{name} on {variant}: in the wrong mode"));
                }
                Ok(_) => {}
            }
            drop(guest.stop());
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Boots an application in kernel mode on a kernel that counts calls, has `work` done, and holds
/// the share of the gate against 99 %.
fn most_calls_take_the_gate(name: &str, port: u16, work: impl Fn(&Guest, u16)) {
    let mut app = Manifest::builtin(name).unwrap();
    app.count_calls();
    let (mut guest, host) = boot_app(&app, Variant::Lupine, Some(port));
    guest.wait_ready(|_| {}).unwrap();
    work(&guest, host);
    guest.stop().unwrap();
    let calls = guest.calls().expect("the kernel counts calls");
    eprintln!("{name}: {calls:?}");
    assert!(calls.gate > 5_000, "{name} had too little to do: {calls:?}");
    assert!(calls.gate_share().unwrap() >= 0.99, "{name}: {calls:?}");
    // Init alone stays in user mode, and does not grow with the work.
    assert!(calls.ring3 < 200, "{name}: {calls:?}");
}

#[test]
fn most_calls_of_servers_take_the_gate() {
    if !asked_for_all() || !able(ALL) {
        return;
    }
    most_calls_take_the_gate("nginx", 80, |guest, _| {
        for _ in 0..1000 {
            assert_eq!(guest.get(80, "/").unwrap().status, 200);
        }
    });
    most_calls_take_the_gate("redis", 6379, |_, host| {
        let mut redis = TcpStream::connect(("127.0.0.1", host)).unwrap();
        let mut answer = [0; 5];
        for _ in 0..2000 {
            redis.write_all(b"SET a b\r\n").unwrap();
            redis.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"+OK\r\n");
        }
    });
}
