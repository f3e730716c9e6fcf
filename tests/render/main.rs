//! What `lupine compare` shows: goldens, properties, and what a browser makes of the page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]

mod browser;
mod example;
mod golden;
mod markup;
mod properties;
