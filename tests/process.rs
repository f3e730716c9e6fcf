//! Real programs: what they print, how they end, and that nothing of them is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot be prepared fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test starts itself again, to kill it"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lupine::process::{Cancel, Event, ProcessError, Stream, Task, find_program};

fn sh(script: &str) -> Task<'static> {
    Task::new("sh").args(["-c", script])
}

/// Whether a process with this id runs (a zombie does not).
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn gone_within(pid: &str, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while runs(pid) {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn output_status_directory_and_environment() {
    let output = sh("pwd; echo \"$A|$HOME|$B\"; echo oops >&2; exit 3")
        .dir("/")
        .env_clear()
        .env("A", "a b")
        .env("B", "x")
        .env_remove("B")
        .run(&Cancel::new())
        .unwrap();
    assert_eq!(output.stdout, b"/\na b||\n");
    assert_eq!(output.stderr, b"oops\n");
    assert_eq!(output.status.code(), Some(3));
    let error = output.check().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("`cd / && sh -c"), "{text}");
    assert!(
        text.contains("exit status: 3") && text.ends_with("\n    oops"),
        "{text}"
    );
}

#[test]
fn lines_arrive_as_they_are_printed() {
    let mut lines = Vec::new();
    sh("printf 'one\\ntw'; sleep 0.2; printf 'o\\n\\377\\n'; printf end >&2")
        .on_line(|stream, line| lines.push((stream, line.to_vec())))
        .run_checked(&Cancel::new())
        .unwrap();
    lines.sort_by_key(|(stream, _)| *stream as u8);
    let expected = [
        (Stream::Stdout, b"one".to_vec()),
        (Stream::Stdout, b"two".to_vec()),
        (Stream::Stdout, vec![0xff]),
        (Stream::Stderr, b"end".to_vec()),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn input_larger_than_a_pipe_goes_through() {
    let input: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    let output = Task::new("cat")
        .input(input.clone())
        .run_checked(&Cancel::new())
        .unwrap();
    assert!(output.stdout == input);
}

#[test]
fn a_program_may_leave_its_input_unread() {
    let output = sh("exit 0")
        .input(vec![b'x'; 1 << 20])
        .run_checked(&Cancel::new())
        .unwrap();
    assert_eq!(output.stdout, b"");
}

#[test]
fn endless_output_is_bounded() {
    let output = sh("echo begin; yes | head -c 3000000; echo; echo end")
        .keep_output(1000)
        .run_checked(&Cancel::new())
        .unwrap();
    assert!(output.stdout.len() < 1100);
    assert!(output.stdout.starts_with(b"begin\ny\n") && output.stdout.ends_with(b"\nend\n"));
    assert_eq!(output.left_out, 3_000_000 + 6 + 1 + 4 - 1000);
}

#[test]
fn a_missing_program_is_named() {
    let error = Task::new("no-such-program-here")
        .run(&Cancel::new())
        .unwrap_err();
    assert!(matches!(error, ProcessError::NotFound { .. }));
    assert!(
        error.to_string().contains("`no-such-program-here`"),
        "{error}"
    );
}

#[test]
fn a_missing_directory_is_an_error_of_the_system() {
    let error = sh("true")
        .dir("/nonexistent")
        .run(&Cancel::new())
        .unwrap_err();
    assert!(matches!(error, ProcessError::Spawn { .. }), "{error}");
}

#[test]
fn the_time_limit_ends_the_whole_group() {
    let begin = Instant::now();
    let error = sh("sleep 100 & echo $!; sleep 100")
        .time_limit(Duration::from_millis(300))
        .run(&Cancel::new())
        .unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(10));
    let ProcessError::TimedOut { tail, .. } = error else {
        panic!("{error}")
    };
    assert!(
        gone_within(&tail, Duration::from_secs(2)),
        "{tail} still runs"
    );
}

#[test]
fn children_may_put_their_files_away() {
    let dir = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    // The shell ends at once, what it started does not: as make and the compiler.
    let error = sh("(trap 'sleep 0.5; rm file' TERM; touch file; echo made
                    while [ -e file ]; do sleep 0.05; done) & wait")
    .dir(dir.path())
    .time_limit(Duration::from_secs(1))
    .run(&Cancel::new())
    .unwrap_err();
    let ProcessError::TimedOut { tail, .. } = error else {
        panic!("{error}")
    };
    assert!(tail.starts_with("made"), "{tail}");
    assert!(!dir.path().join("file").exists());
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_ignores_sigterm_is_killed() {
    let begin = Instant::now();
    let error = sh("trap '' TERM; echo $$; while :; do sleep 0.1; done")
        .time_limit(Duration::from_millis(300))
        .run(&Cancel::new())
        .unwrap_err();
    let ProcessError::TimedOut { tail, .. } = error else {
        panic!("{error}")
    };
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(
        gone_within(&tail, Duration::from_secs(2)),
        "{tail} still runs"
    );
}

#[test]
fn a_cancelled_token_ends_the_program_from_another_thread() {
    let cancel = Cancel::new();
    let token = cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        token.cancel();
    });
    let begin = Instant::now();
    let error = sh("sleep 100").run(&cancel).unwrap_err();
    canceller.join().unwrap();
    assert!(matches!(error, ProcessError::Cancelled(_)), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(matches!(
        sh("true").run(&cancel),
        Err(ProcessError::Cancelled(_))
    ));
}

#[test]
fn what_a_finished_program_left_running_is_ended() {
    let output = sh("sleep 100 >&- 2>&- & echo $!")
        .run_checked(&Cancel::new())
        .unwrap();
    let pid = String::from_utf8(output.stdout).unwrap();
    assert!(
        gone_within(&pid, Duration::from_secs(2)),
        "{pid} still runs"
    );
}

#[test]
fn an_inherited_pipe_does_not_keep_us_waiting() {
    let begin = Instant::now();
    let output = sh("sleep 100 & echo done")
        .run_checked(&Cancel::new())
        .unwrap();
    assert_eq!(output.stdout, b"done\n");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_dropped_child_is_ended() {
    let mut child = sh("echo $$; sleep 100").spawn(&Cancel::new()).unwrap();
    let Event::Output(Stream::Stdout, pid) = child.next_event(Duration::from_secs(5)).unwrap()
    else {
        panic!("no output")
    };
    let pid = String::from_utf8(pid).unwrap();
    assert_eq!(pid.trim(), child.id().to_string());
    drop(child);
    assert!(!runs(&pid));
}

#[test]
fn a_child_is_spoken_with() {
    let mut child = Task::new("cat").spawn(&Cancel::new()).unwrap();
    assert_eq!(
        child.next_event(Duration::from_millis(50)).unwrap(),
        Event::Idle
    );
    child.send(b"ping");
    let event = child.next_event(Duration::from_secs(5)).unwrap();
    assert_eq!(event, Event::Output(Stream::Stdout, b"ping".to_vec()));
    child.close_input();
    let Event::Exited(status) = child.next_event(Duration::from_secs(5)).unwrap() else {
        panic!("still running")
    };
    assert!(status.success());
    assert_eq!(
        child.next_event(Duration::ZERO).unwrap(),
        Event::Exited(status)
    );
}

#[test]
fn a_program_outlives_the_thread_that_started_it() {
    let mut child = std::thread::spawn(|| sh("sleep 0.5; echo alive").spawn(&Cancel::new()))
        .join()
        .unwrap()
        .unwrap();
    let event = child.next_event(Duration::from_secs(5)).unwrap();
    assert_eq!(event, Event::Output(Stream::Stdout, b"alive\n".to_vec()));
}

/// Run by the next test in a process of its own, and a test by itself otherwise.
#[test]
fn helper_that_starts_a_sleeper() {
    let Some(report) = std::env::var_os("LUPINE_TEST_SLEEPER").map(PathBuf::from) else {
        return;
    };
    let child = Task::new("sleep").arg("100").spawn(&Cancel::new()).unwrap();
    std::thread::sleep(Duration::from_millis(200)); // until setpriv has become sleep
    std::fs::write(&report, child.id().to_string()).unwrap();
    std::thread::sleep(Duration::from_secs(100));
}

#[test]
fn a_program_dies_with_a_killed_parent() {
    if find_program("setpriv").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("pid");
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_starts_a_sleeper"])
        .env("LUPINE_TEST_SLEEPER", &report)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let pid = loop {
        let pid = std::fs::read_to_string(&report).unwrap_or_default();
        if !pid.is_empty() {
            break pid;
        }
        assert!(Instant::now() < until, "the helper reported nothing");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(runs(&pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(
        gone_within(&pid, Duration::from_secs(5)),
        "{pid} outlived its parent"
    );
}
