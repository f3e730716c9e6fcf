//! Kernel Mode Linux: applies and verifies the patch, rewrites system call instructions
