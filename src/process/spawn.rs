//! Finding programs and starting them so that they die with us.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock};
use std::thread;

/// Where a program is: `name` itself when it contains a slash, else the first executable file of
/// that name in `PATH`.
#[must_use]
pub fn find_program(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    find_in(name.as_ref(), &env::var_os("PATH")?)
}

/// [`find_program`] with an explicit search path.
pub(super) fn find_in(name: &OsStr, search: &OsStr) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(|path| is_executable(path));
    }
    env::split_paths(search)
        .map(|dir| dir.join(name))
        .find(|path| is_executable(path))
}

/// A command for the program at `path` in a process group of its own; with `tied`, the kernel
/// kills it when this process dies, if `setpriv` can arrange that.
pub(super) fn command(path: &Path, args: &[OsString], tied: bool) -> process::Command {
    let mut command = match setpriv().filter(|_| tied) {
        Some(setpriv) => {
            let mut command = new_command(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(path);
            command
        }
        None => new_command(path),
    };
    command.args(args).process_group(0);
    command
}

/// Starts `command` from a thread that lives as long as this process.
///
/// The kernel sends the parent-death signal when the *thread* that forked ends, so a program must
/// not be started from a thread that may end before it.
pub(super) fn spawn(command: process::Command) -> io::Result<process::Child> {
    type Request = (process::Command, Sender<io::Result<process::Child>>);
    static SPAWNER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();

    let gone = |_| io::Error::other("the thread that starts programs has ended");
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        // Where no thread can be had, the channel closes and every request reports so.
        let _ = thread::Builder::new()
            .name("lupine-spawn".into())
            .spawn(move || {
                for (mut command, reply) in requests {
                    if let Err(mpsc::SendError(Ok(mut child))) = reply.send(command.spawn()) {
                        let _ = child.kill();
                        let _ = child.wait();
                    }
                }
            });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    let sender = spawner
        .lock()
        .map(|s| s.clone())
        .unwrap_or_else(|e| e.into_inner().clone());
    sender
        .send((command, reply))
        .map_err(|_| gone(mpsc::RecvError))?;
    answer.recv().map_err(gone)?
}

/// `setpriv` of util-linux, if it knows `--pdeathsig` (that of busybox does not).
fn setpriv() -> Option<&'static Path> {
    static SETPRIV: OnceLock<Option<PathBuf>> = OnceLock::new();
    SETPRIV
        .get_or_init(|| {
            let path = find_program("setpriv")?;
            let help = new_command(&path).arg("--help").output().ok()?;
            let known = help.stdout.windows(9).any(|word| word == b"pdeathsig");
            known.then_some(path)
        })
        .as_deref()
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the module that starts processes"
)]
fn new_command(program: &Path) -> process::Command {
    process::Command::new(program)
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_search_path_only() {
        let search = OsStr::new("/nonexistent:/usr/bin:/bin");
        assert!(find_in(OsStr::new("sh"), search).is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find_in(OsStr::new("sh"), OsStr::new("/nonexistent")), None);
        assert_eq!(find_in(OsStr::new("/etc/passwd"), search), None);
        assert_eq!(
            find_in(OsStr::new("/bin/sh"), OsStr::new("")),
            Some("/bin/sh".into())
        );
    }
}
