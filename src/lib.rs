//! A Linux specialised to one application.
pub mod cache;
pub mod debian;
pub mod digest;
pub mod guest;
pub mod host;
pub mod kernel;
pub mod manifest;
pub mod needs;
pub mod process;
pub mod progress;
pub mod variant;
pub mod vmm;
