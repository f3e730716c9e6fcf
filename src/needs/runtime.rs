//! Language runtimes whose system calls no register tells: they take numbers
//! from a stack or a table of their own.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use memchr::memmem;
use syscalls::x86_64::Sysno;

use super::call::add_named;
use super::requirement::{Evidence, Needs, Requirement, Strength};

/// What the Go runtime calls in every program: its scheduler sleeps by futex,
/// its network poller by epoll, woken by an eventfd (go.dev, `src/runtime`:
/// `os_linux.go`, `netpoll_epoll.go`).
const GO: &[&str] = &[
    "futex",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "eventfd2",
    "madvise",
];

/// The start of the record that every Go program holds (`debug/buildinfo`).
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";

/// Go's packages of system calls: a function for each, of the call's name. The
/// linker leaves out what cannot be reached, and the table of functions, which
/// tracebacks need, stays when symbols are stripped (`src/debug/gosym`).
const GO_PACKAGES: [&str; 2] = ["syscall.", "golang.org/x/sys/unix."];

/// Go's function for the locks of `fcntl`, whose command is not a call's name.
const GO_LOCKS: &str = "FcntlFlock";

/// System calls by their names as Go spells them, in small letters:
/// `EpollCreate1` is `epoll_create1`.
static BY_GO_NAME: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
    Sysno::iter()
        .map(|call| (call.name().replace('_', ""), call.name()))
        .collect()
});

/// Adds what the runtime linked into a file needs.
pub(super) fn add_needs(file: &str, bytes: &[u8], needs: &mut Needs) {
    if memmem::find(bytes, GO_MAGIC).is_none() {
        return;
    }
    let evidence = |what| Evidence::File {
        file: file.to_owned(),
        what,
    };
    for call in GO {
        let evidence = evidence("a Go program".to_owned());
        add_named(call, Strength::Required, evidence, needs);
    }
    for package in GO_PACKAGES {
        for function in functions(bytes, package) {
            let what = format!("a Go program that links {package}{function}");
            let name = function.to_ascii_lowercase();
            if let Some(&call) = BY_GO_NAME.get(&name) {
                add_named(call, Strength::Required, evidence(what), needs);
            } else if function == GO_LOCKS {
                let locks = Requirement::Behaviour("file locks".to_owned());
                needs.add(locks, Strength::Required, evidence(what));
            }
        }
    }
}

/// The functions of a package in the table of functions: names that end with a
/// zero, also of a copy in another package's folder.
fn functions<'a>(bytes: &'a [u8], package: &str) -> BTreeSet<&'a str> {
    memmem::find_iter(bytes, package)
        .filter(|&at| at > 0 && matches!(bytes[at - 1], 0 | b'/'))
        .filter_map(|at| {
            let name = &bytes[at + package.len()..];
            let len = name
                .iter()
                .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')?;
            let (name, rest) = name.split_at(len);
            (rest[0] == 0).then(|| str::from_utf8(name).ok()).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(bytes: &[u8]) -> Vec<(Requirement, Strength)> {
        let mut needs = Needs::default();
        add_needs("/program", bytes, &mut needs);
        let needs = needs.needs.into_iter();
        needs
            .map(|need| (need.requirement, need.strength))
            .collect()
    }

    #[test]
    fn calls_that_a_go_program_links_are_needs() {
        let table = b"\0syscall.Flock\0syscall.anyToSockaddr\0golang.org/x/sys/unix.EpollCreate1\0\
            a/vendor/golang.org/x/sys/unix.InotifyInit1\0syscall.FcntlFlock\0\
            mysyscall.Shmget\0syscall.(*Errno).Semget\0syscall.Msgget";
        let program = [GO_MAGIC, table].concat();
        let found = needs(&program);
        let call = |name: &str| Requirement::Call(name.to_owned());
        for (requirement, strength) in [
            (call("futex"), Strength::Required),
            (call("flock"), Strength::Required),
            (call("epoll_create1"), Strength::Required),
            (call("inotify_init1"), Strength::Optional),
            (
                Requirement::Behaviour("file locks".to_owned()),
                Strength::Required,
            ),
        ] {
            assert!(
                found.contains(&(requirement.clone(), strength)),
                "{requirement:?}"
            );
        }
        for name in ["shmget", "semget", "msgget"] {
            assert!(
                found.iter().all(|(found, _)| *found != call(name)),
                "{name}"
            );
        }
        assert!(needs(table).is_empty());
    }
}
