//! Rewritten files against the reference implementations: the loaders, the kernel, binutils, elfutils, gdb, and
//! real programs that must behave as with the originals.
#![allow(
    clippy::disallowed_methods,
    reason = "asks readelf, strip, the C compiler and the rewritten programs themselves"
)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail the test, and say what they skip"
)]

#[path = "../common/archive.rs"]
#[allow(dead_code, reason = "some of it is for the tests of the patch engine")]
mod archive;
mod files;
mod hostile;
mod programs;
mod property;
mod support;
mod versions;
