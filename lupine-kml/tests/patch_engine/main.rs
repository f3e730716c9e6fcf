//! The patch engine judged by GNU patch and git.

#![allow(
    clippy::disallowed_methods,
    reason = "asks the reference implementations"
)]

mod decisions;
mod git_apply;
mod gnu_patch;
mod kernel_history;
mod reference;
