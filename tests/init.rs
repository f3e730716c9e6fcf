//! The guest's init as the first process of a PID namespace of this machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot be prepared fails")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use lupine::guest::{ByteString, InitConfig, Setup, Step, User};
use lupine::process::{Cancel, Event, Output, Task};

const NAMESPACES: [&str; 6] = ["--pid", "--mount", "--uts", "--ipc", "--net", "--fork"];

/// Namespaces, with a user namespace where this user may make no others.
fn unshare() -> Option<Task<'static>> {
    let root = Task::new("id").arg("-u").run(&Cancel::new()).ok()?.stdout == b"0\n";
    let user: &[&str] = if root {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    let task = || {
        Task::new("unshare")
            .args(user.iter().copied())
            .args(NAMESPACES)
    };
    let works = task()
        .arg("true")
        .run(&Cancel::new())
        .is_ok_and(|out| out.status.success());
    assert!(
        works || std::env::var_os("CI").is_none(),
        "no namespaces here"
    );
    works.then(task)
}

fn start(dir: &Path, config: &InitConfig) -> Option<Task<'static>> {
    common::write_root(dir, config);
    Some(
        unshare()?
            // What a shell in the background ignores, a first program does not.
            .args(["env", "--default-signal", "chroot"])
            .arg(dir)
            .arg("/.lupine/init")
            .time_limit(Duration::from_secs(60)),
    )
}

fn run(config: &InitConfig) -> Option<Output> {
    let dir = tempfile::tempdir().unwrap();
    let output = start(dir.path(), config)?.run(&Cancel::new()).unwrap();
    Some(output)
}

/// The output without the count of ticks and with the marker of the start at its end: init writes
/// these two lines while its child runs, so that they may stand anywhere, also within a line.
fn bytes(output: &Output) -> Vec<u8> {
    let (rest, _) = without_line(&output.stdout, b"lupine-init: ticks=");
    let (mut rest, started) = without_line(&rest, b"lupine-init: started\n");
    rest.extend(started);
    rest
}

/// `bytes` less the first text from `start` to the end of its line, and that text.
fn without_line(bytes: &[u8], start: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some(at) = bytes
        .windows(start.len())
        .position(|window| window == start)
    else {
        return (bytes.to_vec(), Vec::new());
    };
    let (before, found) = bytes.split_at(at);
    let end = found.iter().position(|&byte| byte == b'\n');
    let (line, after) = found.split_at(end.map_or(found.len(), |end| end + 1));
    ([before, after].concat(), line.to_vec())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&bytes(output)).into_owned()
}

/// A shell script in an otherwise empty configuration, so that nothing depends on what a
/// container around the test allows.
fn script(script: &str) -> InitConfig {
    InitConfig {
        args: ["/bin/sh", "-c", script].map(ByteString::from).into(),
        env: vec!["PATH=/bin".into()],
        ..InitConfig::default()
    }
}

#[test]
fn a_program_runs_and_its_end_is_reported() {
    let Some(output) = run(&script("echo pid $$; exit 7")) else {
        return;
    };
    let text = text(&output);
    assert!(text.contains("pid 2\n"), "{text}");
    assert!(text.contains("\nlupine-init: exit status=7\n"), "{text}");
    assert!(text.contains("lupine-init: started\n"), "{text}");
}

#[test]
fn a_kernel_without_kernel_mode_programs_runs_them_in_user_mode() {
    let mut config = script("echo runs");
    config.kml = true;
    let Some(output) = run(&config) else { return };
    let text = text(&output);
    assert!(text.contains("runs\n"), "{text}");
    let skipped = "lupine-init: skipped enter kernel mode: ";
    assert!(text.contains(skipped), "{text}");
}

#[test]
fn even_the_shortest_program_has_started() {
    for _ in 0..20 {
        let Some(output) = run(&script("")) else {
            return;
        };
        let text = text(&output);
        assert!(
            text.contains("started\n") && text.contains("status=0\n"),
            "{text}"
        );
    }
}

#[test]
fn a_signal_is_reported() {
    let Some(output) = run(&script("kill -9 $$")) else {
        return;
    };
    assert!(
        text(&output).contains("lupine-init: exit signal=9\n"),
        "{}",
        text(&output)
    );
}

#[test]
fn arguments_and_environment_pass_unchanged() {
    let odd: Vec<u8> = (1..=255).collect();
    let long = vec![b'x'; 120_000];
    let mut config = script(r#"printf '%s\n' "$ODD" "$1" "$#" ${#LONG1} ${#LONG7} "$2""#);
    config.args.extend([
        ByteString::from("sh"),
        odd.clone().into(),
        "".into(),
        "last".into(),
    ]);
    config.env.push([b"ODD=".as_slice(), &odd].concat().into());
    for n in 1..8 {
        config
            .env
            .push([format!("LONG{n}=").as_bytes(), &long].concat().into());
    }
    let Some(output) = run(&config) else { return };
    let expected = [&odd[..], b"\n", &odd, b"\n3\n120000\n120000\n\n"].concat();
    let found = bytes(&output)
        .windows(expected.len())
        .any(|window| window == expected);
    assert!(found, "{}", output.stdout.escape_ascii());
}

#[test]
fn directory_user_groups_and_limits_are_set() {
    let mut config = script("pwd; id -u; id -g; ulimit -n; ulimit -c");
    config.cwd = Some("/tmp".into());
    config.setup = [(7, Some(99), Some(100)), (4, None, None)]
        .map(|(resource, soft, hard)| {
            Step::Rlimit {
                resource,
                soft,
                hard,
            }
            .optional()
        })
        .into();
    config.user = Some(User {
        uid: 0,
        gid: 0,
        groups: vec![],
    });
    let Some(output) = run(&config) else { return };
    assert!(
        text(&output).contains("/tmp\n0\n0\n99\nunlimited\n"),
        "{}",
        text(&output)
    );
}

#[test]
fn another_user_is_taken_with_its_groups() {
    let mut config = script("id -u; id -g; id -G");
    config.user = Some(User {
        uid: 33,
        gid: 34,
        groups: vec![35, 36],
    });
    let Some(output) = run(&config) else { return };
    let text = text(&output);
    // In a user namespace with one user there is no other to become.
    let one_user = text.contains("lupine-init: error change user and groups: ");
    assert!(text.contains("33\n34\n34 35 36\n") || one_user, "{text}");
}

#[test]
fn files_links_names_and_interfaces_are_set_up() {
    let mut config =
        script("cat /etc/sub/conf; cat /etc/link; cat /proc/sys/kernel/hostname; : >/dev/sub/x");
    config.setup = vec![
        Step::Mkdir {
            path: "/etc/sub".into(),
            mode: 0o755,
        }
        .required(),
        Step::File {
            path: "/etc/sub/conf".into(),
            mode: 0o644,
            content: "one\n".into(),
        }
        .required(),
        Step::Symlink {
            content: "sub/conf".into(),
            path: "/etc/link".into(),
        }
        .required(),
        Step::Hostname {
            name: "guesthost".into(),
        }
        .required(),
        Step::Up {
            interface: "lo".into(),
        }
        .required(),
        mount("proc", "/proc", false),
        mount("tmpfs", "/dev/sub", false),
        mount("nosuchfs", "/nosuch", true),
    ];
    let Some(output) = run(&config) else { return };
    let text = text(&output);
    assert!(text.contains("one\none\nguesthost\n"), "{text}");
    assert!(
        text.contains("lupine-init: skipped mount /nosuch: "),
        "{text}"
    );
    assert!(text.contains("lupine-init: exit status=0\n"), "{text}");
}

fn mount(fstype: &str, target: &str, optional: bool) -> Setup {
    let step = Step::Mount {
        source: fstype.into(),
        target: target.into(),
        fstype: fstype.into(),
        flags: 0,
        data: "".into(),
    };
    Setup { step, optional }
}

#[test]
fn a_required_step_that_fails_ends_the_machine_with_its_name() {
    let mut config = script("echo unreachable");
    config.setup = vec![mount("nosuchfs", "/nosuch", false)];
    let Some(output) = run(&config) else { return };
    let text = text(&output);
    assert!(
        text.contains("lupine-init: error mount /nosuch: no such device"),
        "{text}"
    );
    assert!(
        !text.contains("unreachable") && !text.contains("started"),
        "{text}"
    );
}

#[test]
fn programs_are_looked_up_in_the_path_of_their_environment() {
    let mut config = script("echo found");
    config.args[0] = "sh".into();
    config.env = vec!["PATH=/nowhere::/bin".into()];
    let Some(output) = run(&config) else { return };
    assert!(text(&output).contains("found\n"), "{}", text(&output));
    config.env = vec!["PATH=/nowhere".into()];
    let output = run(&config).unwrap();
    let text = text(&output);
    assert!(
        text.contains("lupine-init: error run sh: no such file (errno 2); is it"),
        "{text}"
    );
    assert!(
        text.contains("lupine-init: exit status=127\n") && !text.contains("started"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_executed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = script("");
    config.args = vec!["/etc/data".into()];
    let Some(task) = start(dir.path(), &config) else {
        return;
    };
    fs::write(dir.path().join("etc/data"), "no program\n").unwrap();
    fs::set_permissions(
        dir.path().join("etc/data"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let output = task.run(&Cancel::new()).unwrap();
    assert!(
        text(&output).contains("error run /etc/data: not an executable"),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains("lupine-init: exit status=126\n"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_cut_configuration_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = script("echo unreachable");
    let Some(task) = start(dir.path(), &config) else {
        return;
    };
    let bytes = config.encode().unwrap();
    fs::write(
        dir.path().join(".lupine/init.conf"),
        &bytes[..bytes.len() - 4],
    )
    .unwrap();
    let text = text(&task.run(&Cancel::new()).unwrap());
    assert!(
        text.contains("it is cut short") && !text.contains("unreachable"),
        "{text}"
    );
}

#[test]
fn an_empty_environment_is_one() {
    let mut config = script("echo \"[$HOME]\"");
    config.env.clear();
    let Some(output) = run(&config) else { return };
    assert!(text(&output).contains("[]\n"), "{}", text(&output));
}

#[test]
fn orphans_are_reaped_and_ended_with_the_machine() {
    // The grandchild outlives its parent and becomes a child of init; the last lists processes.
    let mut config = script(
        "(sleep 0.1 & :); sleep 0.5; sleep 100 & \
         for p in /proc/[0-9]*; do read -r line <$p/stat && echo \"state $line\"; done; true",
    );
    config.setup = vec![mount("proc", "/proc", false)];
    let Some(output) = run(&config) else { return };
    let text = text(&output);
    let states: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("state "))
        .collect();
    assert!(states.iter().any(|line| line.contains("(init)")), "{text}");
    assert!(!states.iter().any(|line| line.contains(") Z ")), "{text}");
    assert!(text.contains("exit status=0"), "{text}");
}

/// What a program, that says `waiting`, and its init print when init gets a signal then.
fn asked_to_end(config: &InitConfig, signal: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let task = start(dir.path(), config)?;
    let mut child = task.spawn(&Cancel::new()).unwrap();
    let (mut seen, mut asked) = (Vec::new(), false);
    loop {
        match child.next_event(Duration::from_secs(20)).unwrap() {
            Event::Output(_, bytes) => seen.extend(bytes),
            Event::Exited(_) => break,
            Event::Idle => panic!("{}", String::from_utf8_lossy(&seen)),
        }
        if !asked && seen.windows(7).any(|window| window == b"waiting") {
            // The init is the only child of `unshare`, which is the child.
            let children = format!("/proc/{0}/task/{0}/children", child.id());
            let init = fs::read_to_string(children).unwrap();
            Task::new("kill")
                .args([signal, init.trim()])
                .run_checked(&Cancel::new())
                .unwrap();
            asked = true;
        }
    }
    Some(String::from_utf8(seen).unwrap())
}

#[test]
fn a_request_to_end_reaches_the_program() {
    let script = |signal: &str| {
        script(&format!(
            "trap 'echo asked; exit 5' {signal}; echo waiting; while :; do sleep 0.1; done"
        ))
    };
    let mut quits = script("QUIT");
    quits.stop_signal = 3;
    for (config, signal) in [
        (script("TERM"), "-TERM"),
        (script("TERM"), "-PWR"),
        (quits, "-PWR"),
    ] {
        let Some(text) = asked_to_end(&config, signal) else {
            return;
        };
        assert!(
            text.contains("asked\n") && text.contains("lupine-init: exit status=5\n"),
            "{signal}: {text}"
        );
    }
}
