//! What an application needs of the kernel, with evidence.

pub mod analyse;
pub mod elf;
mod reach;
pub mod requirement;
mod runtime;
pub mod suspect;
pub mod table;
mod written;

pub use analyse::{AnalysisError, Entry, Files, FilesError, analyse};
pub use requirement::{Evidence, Need, Needs, OptionNeed, Requirement, Strength};
pub use suspect::{Suspect, suspects};
