//! What the binaries `lupine` and `lupine-conf` share: progress for people.
//!
//! The commands themselves are thin: they parse, call the library, print and
//! exit with a documented status.

pub mod args;
pub mod bars;
pub mod commands;
pub mod console;
