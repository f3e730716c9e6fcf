//! The `lupine` binary.
fn main() {}
