//! Real programs, with the original and with the rewritten C library: the same results.

use std::path::{Path, PathBuf};

use lupine_kml::rewrite::{Options, Plan, rewrite_file};
use lupine_kml::scan::{Number, Site};

use crate::support::{BUSYBOX, LIBC, LOADER, MUSL, Rewritten, have, run, text};

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/rewrite/programs")
        .join(name)
}

/// Compiles a program; returns where it is.
fn compile(folder: &Path, compiler: &str, name: &str, flags: &[&str]) -> PathBuf {
    let out = folder.join(format!("{name}{}", flags.concat().replace('/', "_")));
    let file = source(&format!("{name}.c"));
    let mut arguments = vec![
        "-O1",
        "-w",
        "-pthread",
        "-o",
        out.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    arguments.extend(flags);
    text(&run(compiler, arguments));
    out
}

fn lines(path: &Path) -> String {
    text(&run(path, [] as [&str; 0]))
}

#[test]
fn glibc_programs_behave_the_same() {
    if ![LIBC, LOADER, "cc"].iter().all(|t| have(t)) {
        return;
    }
    let rewritten = Rewritten::new();
    for name in ["cancel", "signals", "spawn", "threads", "loading", "unwind"] {
        let before = compile(rewritten.folder.path(), "cc", name, &[]);
        let loader = format!("-Wl,--dynamic-linker={}", rewritten.path(LOADER).display());
        let path = format!("-Wl,-rpath,{}", rewritten.folder.path().display());
        let after = compile(rewritten.folder.path(), "cc", name, &[&loader, &path]);
        assert_eq!(lines(&after), lines(&before), "{name}");
    }
}

#[test]
fn static_glibc_programs_behave_the_same() {
    if !have("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for kind in ["-static", "-static-pie"] {
        for name in ["cancel", "signals", "spawn", "threads"] {
            let before = compile(folder.path(), "cc", name, &[kind]);
            let after = before.with_extension("rewritten");
            let done = rewrite_file(&before, &after, &Options::default()).unwrap();
            assert!(
                done.report.rewritten * 100 >= done.report.scan.sites.len() * 98,
                "{name} {kind}: {} native",
                done.report.native
            );
            assert_eq!(lines(&after), lines(&before), "{name} {kind}");
        }
    }
}

#[test]
fn musl_programs_behave_the_same() {
    if !have(MUSL) || !have("musl-gcc") {
        return;
    }
    let rewritten = Rewritten::new();
    for name in ["cancel", "signals", "spawn", "threads"] {
        let before = compile(rewritten.folder.path(), "musl-gcc", name, &[]);
        let loader = format!("-Wl,--dynamic-linker={}", rewritten.path(MUSL).display());
        let after = compile(rewritten.folder.path(), "musl-gcc", name, &[&loader]);
        assert_eq!(lines(&after), lines(&before), "{name}");

        let before = compile(rewritten.folder.path(), "musl-gcc", name, &["-static"]);
        let after = before.with_extension("rewritten");
        let done = rewrite_file(&before, &after, &Options::default()).unwrap();
        // Without an unwind table, unwinders know the return from a signal by its bytes: that one stays.
        let signal_return = |s: &&Site| s.number == Number::Known(vec![15]);
        let native = done
            .report
            .scan
            .sites
            .iter()
            .filter(|s| matches!(s.plan, Plan::Native { .. }));
        let others: Vec<_> = native.filter(|s| !signal_return(s)).collect();
        assert!(others.is_empty(), "{name}: {others:?}");
        assert_eq!(lines(&after), lines(&before), "{name} static");
    }
}

const SCRIPT: &str = r#"
set -e
d=$(mktemp -d); cd "$d"
i=0; while [ $i -lt 60 ]; do echo "line $i $((i * i))" >> f; i=$((i + 1)); done
sed -n '10,20p' f | awk '{ s += $3 } END { print s }'
sort -k3 -n -r f | head -n 3
grep -c 1 f; tr a-z A-Z < f | tail -n 1; wc f
tar cf t.tar f; gzip -k t.tar; gunzip -c t.tar.gz | cmp - t.tar; mkdir x; tar xf t.tar -C x; cmp f x/f
md5sum f; find . -type f | sort; x=$(echo a; echo b); echo "$x" | xargs echo
(sleep 5 & p=$!; kill $p; wait $p || echo "ended $?")
trap 'echo trapped' USR1; kill -USR1 $$; seq 1 200 | while read n; do echo $n; done | paste -s -d+ | cut -c1-30
cd /; rm -r "$d"
"#;

#[test]
fn busybox_runs_scripts_the_same() {
    if !have(BUSYBOX) {
        return;
    }
    let rewritten = Rewritten::new();
    let folder = tempfile::tempdir().unwrap();
    let results = [Path::new(BUSYBOX).to_path_buf(), rewritten.path(BUSYBOX)].map(|busybox| {
        text(&run(
            "env",
            [
                "-i",
                "PATH=/nonexistent",
                busybox.to_str().unwrap(),
                "sh",
                "-c",
                &format!("alias busybox={}; {SCRIPT}", busybox.display()),
            ],
        ))
    });
    assert_eq!(results[0], results[1]);
    assert!(
        results[0].contains("ended 143") && results[0].contains("trapped"),
        "{}",
        results[0]
    );
    drop(folder);
}

#[test]
fn shells_and_interpreters_behave_the_same() {
    if ![LIBC, LOADER].iter().all(|t| have(t)) || !Rewritten::can_replace() {
        return;
    }
    let rewritten = Rewritten::new();
    let python = r#"
import threading, subprocess, os, signal, socket, multiprocessing, tempfile, select, mmap, time
def work(n): return n * n
out = []
threads = [threading.Thread(target=lambda i=i: out.append(i)) for i in range(200)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(out) == list(range(200)))
with multiprocessing.get_context("fork").Pool(3) as pool: print(pool.map(work, range(10)))
print(subprocess.run(["sh", "-c", "echo $0; exit 3", "x"], capture_output=True))
a, b = socket.socketpair(); a.send(b"hello"); print(select.select([b], [], [])[0] == [b], b.recv(9))
got = []; signal.signal(signal.SIGALRM, lambda *x: got.append(1)); signal.setitimer(signal.ITIMER_REAL, .001, .001)
while len(got) < 6: time.sleep(.01)
signal.setitimer(signal.ITIMER_REAL, 0); print(len(got) > 5)
m = mmap.mmap(-1, 8192); m[:3] = b"abc"; print(m[:3])
with tempfile.TemporaryDirectory() as d: open(d + "/f", "w").write("x" * 100000); print(os.stat(d + "/f").st_size)
pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 9"], {}); print(os.waitpid(pid, 0)[1] >> 8)
"#;
    let perl = r#"my $p = fork; if (!$p) { exit 7 } waitpid $p, 0; print $? >> 8, "\n";
        local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select undef, undef, undef, 9; }; print $@;
        print join(",", sort map { $_ * 2 } 1 .. 20), "\n"; print `echo from the shell`; open my $f, "-|", "printf abc"; print <$f>, "\n";"#;
    let cases: [&[&str]; 5] = [
        &["bash", "-c", SCRIPT],
        &["sh", "-c", SCRIPT],
        &["python3", "-c", python],
        &["perl", "-e", perl],
        &[
            "bash",
            "-c",
            "for i in {1..150}; do x=$(echo $i | { read n; echo $((n + 1)); }); done; echo $x; coproc cat; echo co >&${COPROC[1]}; read l <&${COPROC[0]}; echo $l; ulimit -n; type -t ls",
        ],
    ];
    for case in cases {
        if have(case[0]) {
            let before = text(&run(case[0], &case[1..]));
            assert_eq!(text(&rewritten.replaced(case)), before, "{case:?}");
        }
    }
    // The mount is real: the file in place is the rewritten one.
    let compared = rewritten.replaced(&["cmp", LIBC, rewritten.path(LIBC).to_str().unwrap()]);
    assert!(compared.status.success());
}

#[test]
fn preloaded_libraries_find_the_same() {
    if ![LIBC, LOADER, "cc", "python3"].iter().all(|t| have(t)) || !Rewritten::can_replace() {
        return;
    }
    let rewritten = Rewritten::new();
    let library = compile(
        rewritten.folder.path(),
        "cc",
        "interpose",
        &["-shared", "-fPIC"],
    );
    let preload = format!("LD_PRELOAD={}", library.display());
    let script = "id -u; seq 3 | sort -r; python3 -c 'import os; os.write(1, b\"written\\n\")'";
    let command = ["env", &preload, "bash", "-c", script];
    let [before, after] = [run(command[0], &command[1..]), rewritten.replaced(&command)];
    let counted = |out: &std::process::Output| {
        // The processes of a pipe end in any order.
        let mut lines: Vec<String> = String::from_utf8_lossy(&out.stderr)
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let said = text(&before);
    assert!(said.starts_with("4242\n"), "{said}");
    assert_eq!(text(&after), said);
    assert!(
        counted(&before).iter().any(|line| line == "1 writes"),
        "{before:?}"
    );
    assert_eq!(counted(&after), counted(&before));
}

#[test]
fn tracers_see_the_same() {
    if ![LIBC, LOADER, "strace", "cc"].iter().all(|t| have(t)) || !Rewritten::can_replace() {
        return;
    }
    let rewritten = Rewritten::new();
    let calls = |output: &std::process::Output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let names: Vec<String> = said
            .lines()
            .filter_map(|l| l.split_once('('))
            .map(|(name, _)| name.to_owned())
            .collect();
        assert!(names.len() > 10, "{said}");
        names
    };
    let command = [
        "strace",
        "-e",
        "trace=!mmap,munmap,mprotect,brk",
        "cat",
        "/etc/hostname",
        "/dev/null",
    ];
    assert_eq!(
        calls(&rewritten.replaced(&command)),
        calls(&run(command[0], &command[1..]))
    );
    if have("gdb") {
        let program = compile(rewritten.folder.path(), "cc", "spawn", &["-g"]);
        let gdb = [
            "gdb",
            "-q",
            "-batch",
            "-ex",
            "set debuginfod enabled off",
            "-ex",
            "set breakpoint pending on",
            "-ex",
            "break posix_spawn",
            "-ex",
            "run",
            "-ex",
            "bt",
            "-ex",
            "finish",
            program.to_str().unwrap(),
        ];
        let said = rewritten.replaced(&gdb);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(
            said.contains("posix_spawn") && said.contains("in main ()")
                || said.contains("main () at"),
            "{said}"
        );
    }
    let linked = text(&rewritten.replaced(&["ldd", "/bin/cat"]));
    assert!(linked.contains("libc.so.6 =>"), "{linked}");
}
