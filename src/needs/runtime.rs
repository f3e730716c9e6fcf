//! Language runtimes whose system calls no register tells: they take numbers
//! from a stack or a table of their own.

use super::requirement::{Evidence, Needs, Requirement, Strength};

/// What the Go runtime calls in every program: its scheduler sleeps by futex,
/// its network poller by epoll, woken by an eventfd (go.dev, `src/runtime`:
/// `os_linux.go`, `netpoll_epoll.go`).
const GO: &[(&str, Strength)] = &[
    ("futex", Strength::Required),
    ("epoll_create1", Strength::Required),
    ("epoll_ctl", Strength::Required),
    ("epoll_pwait", Strength::Required),
    ("eventfd2", Strength::Required),
    ("madvise", Strength::Optional),
];

/// The start of the record that every Go program holds (`debug/buildinfo`).
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";

/// Adds what the runtime linked into a file needs.
pub(super) fn add_needs(file: &str, bytes: &[u8], needs: &mut Needs) {
    if memchr::memmem::find(bytes, GO_MAGIC).is_none() {
        return;
    }
    for (call, strength) in GO {
        let evidence = Evidence::File {
            file: file.to_owned(),
            what: "a Go program".to_owned(),
        };
        needs.add(Requirement::Call((*call).to_owned()), *strength, evidence);
    }
}
