//! A Linux specialised to one application.
pub mod guest;
pub mod process;
pub mod progress;
pub mod vmm;
