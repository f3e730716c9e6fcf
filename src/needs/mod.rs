//! What an application needs of the kernel, with evidence.

pub mod analyse;
mod call;
mod code;
pub mod elf;
mod load;
mod merge;
mod numbered;
mod program;
mod reach;
pub mod requirement;
mod runtime;
pub mod suspect;
pub mod table;
pub mod trace;
mod written;

pub use analyse::{AnalysisError, Entry, Files, FilesError, analyse};
pub(crate) use merge::worked;
pub use requirement::{
    Disagreement, Evidence, Need, Needs, OptionNeed, Origin, Requirement, Strength,
};
pub use suspect::{Suspect, suspects};
pub use trace::Trace;
