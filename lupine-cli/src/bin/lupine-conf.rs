//! The `lupine-conf` binary.
fn main() {}
