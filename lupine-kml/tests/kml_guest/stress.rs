//! stress-ng in CPL 0, its C library rewritten to call through the gate, beside stress-ng in ring 3.

use std::collections::BTreeMap;
use std::path::Path;

use crate::guest::{boot_with, judge_kernel};
use crate::kernel::{Missing, have};
use crate::programs::archive;

/// What a small kernel without disk and network can be stressed with. Those that try privileged
/// instructions, ports or random code to see them refused are not among them: a program in CPL 0
/// is not refused.
const STRESSORS: &[&str] = &[
    "atomic",
    "brk",
    "bsearch",
    "clock",
    "clone",
    "context",
    "cpu",
    "crypt",
    "daemon",
    "dentry",
    "dir",
    "dup",
    "enosys",
    "eventfd",
    "exec",
    "fault",
    "fcntl",
    "fifo",
    "fork",
    "fp-error",
    "fstat",
    "full",
    "futex",
    "get",
    "getdent",
    "hsearch",
    "itimer",
    "kill",
    "link",
    "longjmp",
    "lsearch",
    "madvise",
    "malloc",
    "matrix",
    "membarrier",
    "memcpy",
    "mmap",
    "mmapfork",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "null",
    "pipe",
    "poll",
    "procfs",
    "pthread",
    "ptrace",
    "qsort",
    "rename",
    "seccomp",
    "seek",
    "sem",
    "sigabrt",
    "sigchld",
    "sigfpe",
    "sigfd",
    "sigpending",
    "sigpipe",
    "sigq",
    "sigrt",
    "sigsuspend",
    "sigtrap",
    "sockpair",
    "splice",
    "stack",
    "switch",
    "sysinval",
    "tee",
    "timer",
    "timerfd",
    "tsc",
    "urandom",
    "utime",
    "vfork",
    "vm",
    "vm-segv",
    "wait",
    "yield",
    "zero",
    "zombie",
];

const INIT: &str = r#"#!/bin/busybox sh
PATH=/applets
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
mkdir /tmp
cd /tmp
for stressor in $(cat /stressors); do
    /usr/bin/stress-ng --$stressor 2 --$stressor-ops 20 --timeout 20 --verify -q > /dev/null 2>&1
    echo "stress $stressor $?"
done
cat /proc/kml
reboot -f
"#;

/// How each stressor ended.
fn results(console: &str) -> BTreeMap<&str, u32> {
    console
        .lines()
        .filter_map(|line| {
            let (name, status) = line.trim().strip_prefix("stress ")?.split_once(' ')?;
            Some((name, status.parse().ok()?))
        })
        .collect()
}

/// Every stressor ends in CPL 0 as it does in ring 3, and the kernel has nothing to report.
pub(crate) fn stressors_end_alike(vmlinux: &Path, extra: &[&str]) -> Result<(), Missing> {
    have("stress-ng")?;
    let list = STRESSORS.join("\n");
    let scripts = [("stressors", list.as_str())];
    let original = archive(&["stress-ng"], INIT, &scripts, false)?;
    let rewritten = archive(&["stress-ng"], INIT, &scripts, true)?;
    let in_ring3 = boot_with(vmlinux, original.path(), "kml=off", extra)?;
    let in_cpl0 = boot_with(vmlinux, rewritten.path(), "kml=all", extra)?;
    judge_kernel(&in_ring3);
    judge_kernel(&in_cpl0);
    let (expected, found) = (results(&in_ring3), results(&in_cpl0));
    assert_eq!(expected.len(), STRESSORS.len(), "{in_ring3}");
    let passed = expected.values().filter(|&&status| status == 0).count();
    eprintln!("{passed} of {} stressors pass in ring 3", expected.len());
    assert!(passed >= 60, "{expected:?}");
    assert_eq!(found, expected, "{in_cpl0}");
    Ok(())
}
