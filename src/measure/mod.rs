//! The paper's evaluation: what specialisation and kernel mode gain, on one's own application and
//! machine.

mod paper;
pub mod quantity;
pub mod render;
mod report;
mod sample;

pub use paper::{Paper, PaperError, PaperFigure};
pub use report::{
    Comparison, Conditions, FORMAT, Figure, Group, Measures, Outcome, Phase, Plan, SizePart,
    Subject,
};
pub use sample::{Summary, Unit};
