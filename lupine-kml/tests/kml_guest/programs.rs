//! Programs of the distribution, as they are and rewritten: what they print, and how they call.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lupine_kml::rewrite::{self, rewrite_file};
use tempfile::NamedTempFile;

use crate::guest::{boot_with, calls, judge_kernel};
use crate::kernel::{Missing, have, need, run};

/// What the guest's shells do, in the words that all of them know.
const WORK: &str = r#"cd /tmp
i=0
while [ $i -lt 30 ]; do
    printf 'line %d\n' $i | sed s/line/row/ >> rows
    last=$(tail -n 1 rows)
    i=$((i + 1))
done
echo "$last"
sort -rn -k2 rows | md5sum
gzip -c rows > rows.gz
gzip -dc rows.gz | cmp - rows && echo same
mkdir -p a/b
cp rows a/b/copy
ln -s copy a/b/link
tar cf all.tar a
mv a moved
tar xf all.tar
ls -R a moved
find . -type f | sort
trap 'echo caught' USR1
kill -USR1 $$
(exit 3)
echo $?
(kill -KILL $(exec sh -c 'echo $PPID')) 2> /dev/null
echo killed $?
sleep 1 &
wait $!
echo waited $?
cat /no/such/file
head -c 100000 /dev/zero | wc -c
"#;

/// Mounts, then runs [`WORK`] by the static and by the dynamic shell, with the kernel's counters
/// before and after.
const PROGRAMS_INIT: &str = r#"#!/bin/busybox sh
PATH=/applets
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
run() {
    rm -rf /tmp
    mkdir /tmp
    echo "[$1"
    cat /proc/kml
    echo "[work"
    PATH=$2 $3 /work.sh
    echo "[after"
    cat /proc/kml
    echo "[end"
}
run static /applets "/bin/busybox sh"
run dynamic /usr/bin /usr/bin/sh
reboot -f
"#;

const BUSYBOX: &str = "/bin/busybox";
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const TOOLS: &[&str] = &[
    "sh", "sed", "tail", "sort", "md5sum", "gzip", "cmp", "mkdir", "cp", "ln", "tar", "mv", "ls",
    "find", "sleep", "cat", "head", "wc", "rm", "mount", "reboot",
];

/// An initramfs with the distribution's busybox as `/applets`, with the dynamically linked programs of
/// `/usr/bin`, and with [`PROGRAMS_INIT`] and [`WORK`]. Where `rewritten`, the calls of busybox, of the
/// C library and of its loader go through the gate.
fn programs(rewritten: bool) -> Result<NamedTempFile, Missing> {
    for file in [BUSYBOX, LIBC, LOADER] {
        need(Path::new(file))?;
    }
    have("cpio")?;
    let root = tempfile::tempdir().unwrap();
    let place = |file: &Path| {
        let to = root.path().join(file.strip_prefix("/").unwrap());
        if to.exists() {
            return;
        }
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if rewritten && [BUSYBOX, LIBC, LOADER].iter().any(|f| file == Path::new(f)) {
            let done = rewrite_file(file, &to, &rewrite::Options::default()).unwrap();
            assert_eq!(done.report.native, 0, "{}", file.display());
        } else {
            fs::copy(file, &to).unwrap();
        }
    };
    place(Path::new(BUSYBOX));
    for dir in ["applets", "proc", "dev"] {
        fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    for tool in TOOLS {
        std::os::unix::fs::symlink(BUSYBOX, root.path().join("applets").join(tool)).unwrap();
        let file = PathBuf::from(format!("/usr/bin/{tool}"));
        if !file.exists() || *tool == "mount" {
            continue;
        }
        place(&file);
        let libraries = Command::new("ldd").arg(&file).output().unwrap();
        for word in String::from_utf8(libraries.stdout)
            .unwrap()
            .split_whitespace()
        {
            if word.starts_with('/') {
                place(Path::new(word));
            }
        }
    }
    for (name, text) in [("init", PROGRAMS_INIT), ("work.sh", WORK)] {
        let file = root.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let archive = NamedTempFile::new().unwrap();
    run(Command::new("sh")
        .args([
            "-c",
            "find . | LC_ALL=C sort | cpio --quiet -o -H newc > \"$0\"",
        ])
        .arg(archive.path())
        .current_dir(root.path()));
    Ok(archive)
}

/// What one shell did: its output, and how many calls came through the gate, by `syscall` in
/// CPL 0, and from ring 3.
#[derive(Debug)]
struct Work {
    output: String,
    calls: [u64; 3],
}

/// The part of the console about one of the shells.
fn work(console: &str, name: &str) -> Work {
    let console = console.replace('\r', "");
    let part = |from: &str, to: &str, text: &str| -> String {
        let (_, rest) = text
            .split_once(from)
            .unwrap_or_else(|| panic!("no {from:?}:\n{console}"));
        let (part, _) = rest
            .split_once(to)
            .unwrap_or_else(|| panic!("no {to:?}:\n{console}"));
        part.to_owned()
    };
    let all = part(&format!("[{name}\n"), "[end\n", &format!("{console}\n"));
    let (before, rest) = all.split_once("[work\n").unwrap();
    let (output, after) = rest.split_once("[after\n").unwrap();
    let (before, after) = (calls(before), calls(after));
    Work {
        output: output.to_owned(),
        calls: [0, 1, 2].map(|i| after[i] - before[i]),
    }
}

/// Rewritten programs in CPL 0 do what the originals do in ring 3, through the gate.
pub(crate) fn judge_programs(vmlinux: &Path, extra: &[&str]) -> Result<(), Missing> {
    let [original, rewritten] = [programs(false)?, programs(true)?];
    let in_ring3 = boot_with(vmlinux, original.path(), "kml=off", extra)?;
    let in_cpl0 = boot_with(vmlinux, rewritten.path(), "kml=all", extra)?;
    let both = boot_with(vmlinux, rewritten.path(), "kml=off", extra)?;
    for console in [&in_ring3, &in_cpl0, &both] {
        judge_kernel(console);
    }
    for name in ["static", "dynamic"] {
        let expected = work(&in_ring3, name);
        assert!(
            expected.output.contains("waited 0") && expected.output.contains("killed 137"),
            "{expected:?}"
        );
        let [gate, syscall, ring3] = expected.calls;
        assert!(gate + syscall == 0 && ring3 > 1000, "{expected:?}");

        let found = work(&in_cpl0, name);
        assert_eq!(found.output, expected.output, "{name}");
        let [gate, syscall, ring3] = found.calls;
        eprintln!(
            "{name}: {gate} calls through the gate, {syscall} by syscall, {ring3} from ring 3"
        );
        assert!(gate > 1000, "{found:?}");
        assert!(gate * 100 >= (gate + syscall + ring3) * 99, "{found:?}");

        assert_eq!(work(&both, name).output, expected.output, "{name}");
    }
    Ok(())
}
