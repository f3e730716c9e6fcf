//! The patch engine judged by GNU patch and git.

#![allow(
    clippy::disallowed_methods,
    reason = "asks the reference implementations"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests may stop, and skip loudly"
)]

#[path = "../common/archive.rs"]
#[allow(dead_code, reason = "some of it is for the tests of rewriting")]
mod archive;
mod debian;
mod decisions;
mod git_apply;
mod gnu_patch;
mod kernel_history;
mod reference;
