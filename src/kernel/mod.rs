//! From kernel source and a configuration to a kernel.

pub mod base;
pub mod build;
pub mod conf;
pub mod config;
pub mod objects;
pub mod parts;
pub mod patch;
pub mod source;
pub mod syscalls;
pub mod toolchain;
pub mod version;
