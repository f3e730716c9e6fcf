//! A Linux specialised to one application.
pub mod process;
pub mod progress;
