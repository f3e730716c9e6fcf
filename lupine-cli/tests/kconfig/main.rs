//! `lupine-conf` beside the kernel's own `conf`, which is built from source and always judges.
//!
//! `LUPINE_CONF` names another program to test; `LUPINE_TEST_ALL=1` adds what takes longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests ask the reference implementation"
)]

mod answers;
mod arches;
mod cases;
mod command;
mod foreign;
mod generate;
mod generated;
mod incremental;
mod perturb;
mod perturbed;
mod random;
mod reference;
mod run;
mod solutions;
mod suites;
mod toolchain;
