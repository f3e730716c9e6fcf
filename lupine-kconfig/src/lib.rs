//! Kconfig, evaluated exactly as the kernel's own conf does
