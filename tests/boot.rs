//! Machines that boot a real kernel: how they get ready, and every way in which they fail.
//!
//! The kernel is nginx's, or the bzImage that `LUPINE_TEST_KERNEL` names.

#![allow(clippy::unwrap_used, reason = "a test that cannot be prepared fails")]

mod common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use lupine::guest::init::HELLO_GREETING;
use lupine::guest::{ByteString, InitConfig, Step};
use lupine::process::{Cancel, ProcessError, Task};
use lupine::vmm::{
    Accel, Drive, DriveMode, GuestExit, HealthCheck, Machine, Probe, Vm, VmError, free_port,
    http_get,
};
use lupine_rootfs::ext2::{self, BlockSize, Size};
use lupine_rootfs::{OpenOptions, TreePath};

/// A kernel with the base options, INET, a virtio network and MULTIUSER: nginx's, which other
/// tests build, too. `LUPINE_TEST_KERNEL` names another one.
fn kernel() -> Option<PathBuf> {
    static KERNEL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        if let Some(path) = std::env::var_os("LUPINE_TEST_KERNEL") {
            return Some(path.into());
        }
        common::able(common::ALL).then(|| common::kernel_of("nginx").bzimage())
    };
    KERNEL.get_or_init(build).clone()
}

fn config(args: &[&str]) -> InitConfig {
    let args = args.iter().copied().map(ByteString::from).collect();
    let mut config = InitConfig::standard("guest", args, vec!["PATH=/bin".into()]);
    config
        .setup
        .push(Step::Address(Machine::guest_interface()).optional());
    config
}

fn image(dir: &Path, config: &InitConfig) -> PathBuf {
    let (root, image) = (dir.join("root"), dir.join("root.ext2"));
    common::write_root(&root, config);
    Task::new("mke2fs")
        .args(["-q", "-t", "ext2", "-d"])
        .arg(&root)
        .arg(&image)
        .arg("16M")
        .run_checked(&Cancel::new())
        .unwrap();
    image
}

/// A machine that runs `args`, and the directory it lives in.
fn machine(args: &[&str]) -> Option<(Machine, tempfile::TempDir)> {
    let kernel = kernel()?;
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path(), &config(args));
    Some((Machine::new(kernel, image), dir))
}

fn boot(machine: &Machine) -> Vm {
    Vm::boot(machine, Accel::Tcg, &Cancel::new()).unwrap()
}

fn runs(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

#[test]
fn hello_is_ready_by_its_line_and_ends_well() {
    let Some((machine, _dir)) = machine(&["/hello"]) else {
        return;
    };
    let mut vm = boot(&machine);
    let mut lines = Vec::new();
    let check = HealthCheck::new(Probe::Console {
        text: HELLO_GREETING.into(),
    });
    let readiness = vm
        .wait_ready(&check, |line| lines.push(line.to_vec()))
        .unwrap();
    assert!(readiness.ready > Duration::from_millis(10));
    let exit = vm
        .wait(Some(Duration::from_secs(120)), |line| {
            lines.push(line.to_vec());
        })
        .unwrap();
    assert_eq!(exit, GuestExit::Status(0));
    assert!(lines.iter().any(|line| line == HELLO_GREETING.as_bytes()));
    assert!(vm.console().halted());
}

#[test]
fn a_server_answers_over_http_and_ends_when_asked() {
    let Some((machine, dir)) = machine(&["/serve", "80"]) else {
        return;
    };
    let before = fs::read(dir.path().join("root.ext2")).unwrap();
    let machine = machine.forward(free_port().unwrap(), 80);
    let mut vm = boot(&machine);
    let pid = vm.id();
    let readiness = vm
        .wait_ready(&HealthCheck::new(Probe::http(80, "/")), |_| {})
        .unwrap();
    assert!(readiness.started.unwrap() <= readiness.ready);
    let response = http_get(vm.host_port(80).unwrap(), "/", Duration::from_secs(10)).unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.body, format!("{HELLO_GREETING}\n").as_bytes());
    let tcp = HealthCheck::new(Probe::Tcp { port: 80 });
    vm.wait_ready(&tcp, |_| {}).unwrap();
    // Nothing in it handles SIGTERM, so that is how it ends.
    assert_eq!(vm.stop(|_| {}).unwrap(), Some(GuestExit::Signal(15)));
    assert!(!runs(pid));
    assert!(
        fs::read(dir.path().join("root.ext2")).unwrap() == before,
        "the image was changed"
    );
    let leftovers: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(leftovers.len(), 2, "{leftovers:?}");
}

#[test]
fn writes_stay_where_they_should() {
    let script = "echo kept >/kept; cat /dev/vdb | { read -r line; echo \"drive: $line\"; }";
    let Some((mut machine, dir)) = machine(&["/bin/sh", "-c", script]) else {
        return;
    };
    let data = dir.path().join("data, and a comma");
    fs::write(&data, "second\n".to_owned() + &" ".repeat(1 << 16)).unwrap();
    machine.drives[0].mode = DriveMode::Persistent;
    machine.drives.push(Drive {
        path: data,
        mode: DriveMode::ReadOnly,
    });
    let mut vm = boot(&machine);
    assert_eq!(
        vm.wait(Some(Duration::from_secs(120)), |_| {}).unwrap(),
        GuestExit::Status(0)
    );
    let tail = vm.console().tail();
    assert!(
        tail.contains("drive: second") || tail.contains("/dev/vdb"),
        "{tail}"
    );
    let image = &machine.drives[0].path;
    let kept = Task::new("debugfs")
        .args(["-R", "cat /kept"])
        .arg(image)
        .run(&Cancel::new());
    assert_eq!(kept.unwrap().stdout, b"kept\n");
    Task::new("e2fsck")
        .args(["-fn"])
        .arg(image)
        .run_checked(&Cancel::new())
        .unwrap();
}

/// What a guest does to a file system: makes and removes names in an indexed directory, writes
/// through index blocks, cuts, links, moves.
const WRITES: &str = r#"
work() {
    busybox mkdir $1/new
    i=0
    while [ $i -lt 300 ]; do echo $i >$1/many/added-$i; i=$((i+1)); done
    busybox rm $1/many/entry-00*
    busybox dd if=/dev/zero of=$1/large bs=4096 count=400
    busybox dd if=/dev/zero of=$1/data/sparse bs=1024 seek=300 count=1 conv=notrunc
    : >$1/data/cut
    busybox ln $1/data/kept $1/new/link
    busybox ln -s ../data $1/new/symlink
    busybox mv $1/new $1/moved
    echo more >>$1/data/kept
}
set -e
for drive in b c; do
    busybox mkdir /mnt-$drive
    busybox mount -t ext2 /dev/vd$drive /mnt-$drive
    work /mnt-$drive
    busybox umount /mnt-$drive
done
work ""
"#;

#[test]
fn file_systems_of_ours_are_sound_after_a_guest_wrote_to_them() {
    let Some(kernel) = kernel() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    common::write_root(&root, &config(&["/bin/sh", "-c", WRITES]));
    common::copy_program(&root, "busybox");
    for file in 0..500 {
        let many = root.join("many");
        fs::create_dir_all(&many).unwrap();
        fs::write(many.join(format!("entry-{file:03} of many")), b"").unwrap();
    }
    fs::create_dir_all(root.join("data")).unwrap();
    fs::write(root.join("data/kept"), b"kept\n").unwrap();
    fs::write(root.join("data/cut"), vec![1; 300_000]).unwrap();
    fs::File::create(root.join("data/sparse"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    // One boot serves all block sizes.
    let images: Vec<PathBuf> = BlockSize::ALL
        .into_iter()
        .rev()
        .map(|block_size| {
            let image = dir.path().join(format!("{block_size:?}.ext2"));
            let options = ext2::Options {
                block_size: Some(block_size),
                size: Size::Smallest { free: 16 << 20 },
                ..ext2::Options::default()
            };
            let source = lupine_rootfs::Image::open(&root, &OpenOptions::new()).unwrap();
            let (tree, _) = source.read(&mut ()).unwrap();
            ext2::write_image(&tree, &options, &image, &mut ()).unwrap();
            image
        })
        .collect();
    let mut machine = Machine::new(kernel, images[0].clone());
    machine.drives[0].mode = DriveMode::Persistent;
    machine.drives.extend(images[1..].iter().map(|path| Drive {
        path: path.clone(),
        mode: DriveMode::Persistent,
    }));
    let mut vm = boot(&machine);
    let exit = vm.wait(Some(Duration::from_secs(120)), |_| {}).unwrap();
    let tail = vm.console().tail();
    assert_eq!(exit, GuestExit::Status(0), "{tail}");
    for path in &images {
        Task::new("e2fsck")
            .args(["-fn"])
            .arg(path)
            .run_checked(&Cancel::new())
            .unwrap();
        let image = ext2::Image::open(fs::File::open(path).unwrap()).unwrap();
        let problems = ext2::check(&image, &mut ()).unwrap();
        assert!(problems.is_clean(), "{problems:?}");
        let (number, inode) = image
            .lookup(&TreePath::new("moved/symlink/kept").unwrap(), true)
            .unwrap();
        assert_eq!(inode.links_count, 2);
        let kept = image.content(number, &inode, 100).unwrap();
        assert_eq!(kept, b"kept\nmore\n");
    }
}

#[test]
fn a_status_other_than_zero_is_reported() {
    let Some((machine, _dir)) = machine(&["/serve", "no port"]) else {
        return;
    };
    let exit = boot(&machine)
        .wait(Some(Duration::from_secs(120)), |_| {})
        .unwrap();
    assert_eq!(exit, GuestExit::Status(1));
    let never = HealthCheck::new(Probe::Console {
        text: "never printed".into(),
    });
    let error = boot(&machine).wait_ready(&never, |_| {}).unwrap_err();
    assert!(
        matches!(
            error,
            VmError::Exited {
                exit: GuestExit::Status(1),
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("serve: cannot read the port"),
        "{error}"
    );
}

#[test]
fn the_end_of_a_program_is_awaited_only_so_long() {
    let Some((machine, _dir)) = machine(&["/bin/sh", "-c", "sleep 4; exit 3"]) else {
        return;
    };
    let mut vm = boot(&machine);
    vm.wait_ready(&HealthCheck::new(Probe::Started), |_| {})
        .unwrap();
    let waited = vm.wait_for(Duration::from_millis(100), |_| {}).unwrap();
    assert_eq!(waited, None);
    let waited = vm.wait_for(Duration::from_secs(120), |_| {}).unwrap();
    assert_eq!(waited, Some(GuestExit::Status(3)));
}

#[test]
fn a_missing_program_is_named() {
    let Some((machine, _dir)) = machine(&["/usr/bin/absent"]) else {
        return;
    };
    let error = boot(&machine)
        .wait(Some(Duration::from_secs(120)), |_| {})
        .unwrap_err();
    let VmError::Init { step, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        step.starts_with("run /usr/bin/absent: no such file (errno 2)"),
        "{step}"
    );
}

#[test]
fn a_panic_is_reported_in_the_kernels_words() {
    let Some((mut machine, dir)) = machine(&["/hello"]) else {
        return;
    };
    let empty = dir.path().join("empty.ext2");
    Task::new("mke2fs")
        .args(["-q", "-t", "ext2"])
        .arg(&empty)
        .arg("1M")
        .run(&Cancel::new())
        .unwrap();
    machine.drives[0].path = empty;
    let error = boot(&machine)
        .wait(Some(Duration::from_secs(120)), |_| {})
        .unwrap_err();
    let VmError::Panic { reason, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        reason.contains("Requested init /.lupine/init failed (error -2)"),
        "{reason}"
    );
}

#[test]
fn a_kernel_that_does_not_fit_is_suspected() {
    let Some((mut machine, _dir)) = machine(&["/hello"]) else {
        return;
    };
    machine.memory_mib = 4;
    let error = boot(&machine)
        .wait(Some(Duration::from_secs(120)), |_| {})
        .unwrap_err();
    assert!(
        matches!(error, VmError::Vanished { memory_mib: 4, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("may not fit into 4 MiB"),
        "{error}"
    );
}

#[test]
fn a_lack_of_memory_is_reported_as_such() {
    let script = "a=0123456789abcdef; while :; do a=$a$a; done";
    let Some((mut machine, _dir)) = machine(&["/bin/sh", "-c", script]) else {
        return;
    };
    machine.memory_mib = 64;
    let error = boot(&machine)
        .wait(Some(Duration::from_secs(120)), |_| {})
        .unwrap_err();
    assert!(
        matches!(error, VmError::OutOfMemory { memory_mib: 64, .. }),
        "{error}"
    );
}

#[test]
fn a_program_that_hangs_is_ended_at_its_limit() {
    let Some((machine, _dir)) = machine(&["/serve", "81"]) else {
        return;
    };
    let machine = machine.forward(free_port().unwrap(), 80);
    for probe in [
        Probe::http(80, "/"),
        Probe::Tcp { port: 80 },
        Probe::http(8080, "/"),
    ] {
        let mut vm = boot(&machine);
        let pid = vm.id();
        let greeting = HealthCheck::new(Probe::Console {
            text: HELLO_GREETING.into(),
        });
        vm.wait_ready(&greeting, |_| {}).unwrap();
        let limit = vm.age() + Duration::from_secs(3);
        let check = HealthCheck::new(probe.clone()).within(limit);
        let error = vm.wait_ready(&check, |_| {}).unwrap_err();
        let VmError::NotReady { last, tail, .. } = &error else {
            panic!("{error}")
        };
        assert!(tail.contains(HELLO_GREETING), "{error}");
        let untried = probe.port() == Some(8080);
        assert_eq!(
            last.starts_with("was not tried: no port"),
            untried,
            "{error}"
        );
        assert!(!runs(pid));
    }
}

#[test]
fn a_cancelled_machine_ends() {
    let Some((machine, _dir)) = machine(&["/serve", "80"]) else {
        return;
    };
    let cancel = Cancel::new();
    let mut vm = Vm::boot(&machine, Accel::Tcg, &cancel).unwrap();
    let pid = vm.id();
    let token = cancel.clone();
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1500));
        token.cancel();
    });
    let begin = Instant::now();
    let error = vm.wait(None, |_| {}).unwrap_err();
    canceller.join().unwrap();
    assert!(
        matches!(error, VmError::Process(ProcessError::Cancelled(_))),
        "{error}"
    );
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert!(!runs(pid));
}

#[test]
fn a_program_that_does_not_want_to_end_is_made_to() {
    let script = "trap '' TERM INT; echo deaf; while :; do sleep 1; done";
    let Some((mut machine, _dir)) = machine(&["/bin/sh", "-c", script]) else {
        return;
    };
    machine.stop_timeout_s = 2;
    let mut vm = boot(&machine);
    let pid = vm.id();
    let check = HealthCheck::new(Probe::Console {
        text: "deaf".into(),
    });
    vm.wait_ready(&check, |_| {}).unwrap();
    let begin = Instant::now();
    assert_eq!(vm.stop(|_| {}).unwrap(), None);
    let waited = begin.elapsed();
    let (least, most) = (Duration::from_secs(2), Duration::from_secs(5));
    assert!(least <= waited && waited < most, "{waited:?}");
    assert!(!runs(pid));
}

#[test]
fn an_interactive_program_reads_the_console() {
    let Some(kernel) = kernel() else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'exit 9' INT; echo ready; read -r a; read -r b; echo \"<$a><$b>\"; \
                  while :; do sleep 0.1; done";
    let mut config = config(&["/bin/sh", "-c", script]);
    config.interactive = true;
    let machine = Machine::new(kernel, image(dir.path(), &config));
    let mut vm = boot(&machine);
    let line = |text: &str| HealthCheck::new(Probe::Console { text: text.into() });
    vm.wait_ready(&line("ready"), |_| {}).unwrap();
    vm.send(b"one\ntwo words\n");
    vm.wait_ready(&line("<one><two words>"), |_| {}).unwrap();
    vm.send(b"\x03");
    let exit = vm.wait(Some(Duration::from_secs(120)), |_| {}).unwrap();
    assert_eq!(exit, GuestExit::Status(9));
}

#[test]
fn a_dropped_machine_ends() {
    let Some((machine, _dir)) = machine(&["/serve", "80"]) else {
        return;
    };
    let vm = boot(&machine);
    let pid = vm.id();
    assert!(runs(pid));
    drop(vm);
    assert!(!runs(pid));
}

#[test]
fn a_taken_port_is_named_before_anything_boots() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = taken.local_addr().unwrap() else {
        unreachable!()
    };
    let machine = Machine::new("/nonexistent", "/nonexistent").forward(address.port(), 80);
    let error = Vm::boot(&machine, Accel::Tcg, &Cancel::new()).unwrap_err();
    let VmError::PortInUse { address: named, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        named,
        &SocketAddrV4::new(Ipv4Addr::LOCALHOST, address.port())
    );
}

#[test]
fn a_missing_kernel_is_named() {
    let machine = Machine::new("/nonexistent/bzImage", "/dev/null");
    let error = Vm::boot(&machine, Accel::Tcg, &Cancel::new()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nonexistent/bzImage");
}

#[test]
fn what_is_no_kernel_is_the_vmms_to_say() {
    let Some((mut machine, dir)) = machine(&["/hello"]) else {
        return;
    };
    machine.kernel = dir.path().join("text");
    fs::write(&machine.kernel, "not a kernel\n").unwrap();
    let error = boot(&machine)
        .wait(Some(Duration::from_secs(120)), |_| {})
        .unwrap_err();
    assert!(matches!(error, VmError::Vmm { .. }), "{error}");
}
