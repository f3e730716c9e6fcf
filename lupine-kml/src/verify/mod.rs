//! Tells whether a tree is patched, whether a `.config` allows Kernel Mode Linux, and whether a
//! built kernel has it.

mod config;
mod subject;
mod tree;
mod version;
mod vmlinux;

pub use config::{ConfigFinding, ConfigReport, REQUIREMENTS, Requirement, verify_config};
pub use subject::Subject;
pub use tree::{Evidence, FileState, TouchedFile, TreeReport, TreeState, verify_tree};
pub use version::{KernelVersion, VersionError};
pub use vmlinux::{
    GATE_ADDRESS, GATE_SYMBOL, GateFinding, SYMBOLS, SymbolFinding, VmlinuxError, VmlinuxReport,
    verify_vmlinux,
};
