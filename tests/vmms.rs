//! Machines under VMMs other than QEMU: real runs where they and KVM are there, and elsewhere what
//! of their kernels QEMU can show.
//!
//! They are not in distributions, so that a machine without them is no failure, unless
//! `LUPINE_TEST_VMMS` says that this one has them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]

mod common;

use std::fs;
use std::time::Duration;

use lupine::Lupine;
use lupine::guest::init::HELLO_GREETING;
use lupine::host::Purpose;
use lupine::kernel::build::Kernel;
use lupine::manifest::Manifest;
use lupine::process::{Cancel, Task};
use lupine::rootfs::Rootfs;
use lupine::variant::Variant;
use lupine::vmm::{Console, GuestExit, Vmm};

use common::{able, asked_for_all};

/// The greeter, and a kernel of its own for a VMM.
fn hello(lupine: &Lupine) -> (Manifest, Kernel, Rootfs) {
    let variant = Variant::LupineNokml;
    let image = lupine.image(&Manifest::builtin("hello").unwrap()).unwrap();
    let needs = lupine.needs(&image).unwrap();
    let source = lupine.kernel_source(None).unwrap();
    let config = lupine.specialise(&source, &needs, variant).unwrap();
    let kernel = lupine.kernel(&source, &config).unwrap();
    let rootfs = lupine.rootfs(&image, variant).unwrap();
    (image.manifest().clone(), kernel, rootfs)
}

fn runs_hello(vmm: Vmm) {
    if !able(&[Purpose::Kernel]) {
        return;
    }
    let lupine = Lupine::of_user().unwrap().with_vmm(vmm);
    if let Err(error) = lupine.check_vmm() {
        assert!(std::env::var_os("LUPINE_TEST_VMMS").is_none(), "{error}");
        eprintln!("SKIPPED: {error}");
        return;
    }
    let (manifest, kernel, rootfs) = hello(&lupine);
    let before = fs::read(rootfs.path()).unwrap();
    let mut guest = lupine.boot(&kernel, &rootfs, &manifest, &[]).unwrap();
    let mut text = Vec::new();
    let mut keep = |line: &[u8]| text.extend_from_slice(line);
    guest.wait_ready(&mut keep).unwrap();
    let exit = guest.vm().wait(Some(Duration::from_secs(60)), &mut keep);
    assert_eq!(exit.unwrap(), GuestExit::Status(0));
    assert!(String::from_utf8_lossy(&text).contains(HELLO_GREETING));
    // What the guest wrote went into a copy.
    assert_eq!(fs::read(rootfs.path()).unwrap(), before);
}

#[test]
fn hello_runs_by_firecracker() {
    runs_hello(Vmm::Firecracker);
}

#[test]
fn hello_runs_by_cloud_hypervisor() {
    runs_hello(Vmm::CloudHypervisor);
}

/// Firecracker's and Cloud Hypervisor's way into a kernel, under QEMU: the ELF image, entered by
/// PVH; for the latter with ACPI, and virtio on a PCI bus with MSI, on a machine of QEMU's that
/// has both. What is the VMMs' own, their interrupt controllers and clocks, this does not show.
fn boots_by_qemu(vmm: Vmm, machine: &str, disk: &str) {
    if !asked_for_all() || !able(&[Purpose::Kernel, Purpose::Run]) {
        eprintln!("SKIPPED: builds a kernel; LUPINE_TEST_ALL runs it");
        return;
    }
    let lupine = Lupine::of_user().unwrap().with_vmm(vmm);
    let (_, kernel, rootfs) = hello(&lupine);
    let parameters = "console=ttyS0 root=/dev/vda rw rootfstype=ext2 reboot=t panic=-1 \
                      no_timer_check init=/.lupine/init quiet";
    let output = Task::new(Vmm::Qemu.program())
        .args(["-M", machine, "-no-user-config", "-nodefaults"])
        .args(["-no-reboot", "-display", "none", "-serial", "stdio"])
        .args(["-accel", "tcg", "-cpu", "max", "-m", "128M"])
        .args(["-append", parameters, "-kernel"])
        .arg(kernel.file(vmm.kernel_file()))
        .arg("-drive")
        .arg(format!(
            "id=root,if=none,format=raw,snapshot=on,file={}",
            rootfs.path().display()
        ))
        .args(["-device", disk])
        .time_limit(Duration::from_secs(120))
        .run(&Cancel::new())
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut console = Console::new();
    console.feed(&output.stdout, |_| {});
    assert_eq!(console.exit(), Some(GuestExit::Status(0)), "{text}");
    assert!(text.contains(HELLO_GREETING), "{text}");
    // By this word a VMM that restarts guests is ended in time.
    assert!(console.halted(), "{text}");
}

#[test]
fn a_kernel_for_a_pci_bus_finds_its_root_there() {
    boots_by_qemu(
        Vmm::CloudHypervisor,
        "q35",
        "virtio-blk-pci,drive=root,disable-legacy=on",
    );
}

#[test]
fn an_elf_image_boots_by_its_pvh_entry() {
    boots_by_qemu(
        Vmm::Firecracker,
        "microvm,acpi=off,rtc=on,isa-serial=on,auto-kernel-cmdline=on",
        "virtio-blk-device,drive=root",
    );
}
