//! Kernel Mode Linux: applies and verifies the patch, rewrites system call instructions

pub mod apply;
pub mod diff;
pub mod rewrite;
pub mod scan;
pub mod verify_rewrite;
