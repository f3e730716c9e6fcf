//! The paper's evaluation: what specialisation and kernel mode gain, on one's own application and
//! machine.
//!
//! [`compare`](compare()) measures applications on kinds of kernels, [`measure`] one
//! [`Unikernel`]; each kind of measurement is a function of its own ([`boot()`], [`memory()`],
//! ...), for scripts that vary something else. A [`Comparison`] saves as JSON; [`render`] makes
//! tables and a page with plots of it.

mod boot;
mod compare;
mod conditions;
mod load;
mod memory;
mod operations;
mod options;
mod paper;
mod processors;
mod provenance;
pub mod quantity;
pub mod render;
mod report;
mod sample;
mod size;
mod unikernel;

pub use crate::kernel::parts::SizePart;
pub use boot::{boot, boot_instructions, phases};
pub use compare::{Application, compare, measure};
pub use conditions::conditions;
pub use load::{LoadError, load};
pub use memory::memory;
pub use operations::operations;
pub use options::options;
pub use paper::{Paper, PaperError, PaperFigure};
pub use processors::processors;
pub use report::{
    Comparison, Conditions, FORMAT, Figure, Group, Measures, Outcome, Phase, Plan, Subject,
};
pub use sample::{Summary, Unit};
pub use size::size;
pub use unikernel::{KernelFacts, Unikernel};
