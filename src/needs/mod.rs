//! What an application needs of the kernel, with evidence.

pub mod analyse;
pub mod elf;
pub mod requirement;
pub mod table;

pub use analyse::{AnalysisError, Entry, Files, FilesError, analyse};
pub use requirement::{Evidence, Need, Needs, OptionNeed, Requirement, Strength};
