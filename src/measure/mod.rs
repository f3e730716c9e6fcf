//! The paper's evaluation: what specialisation and kernel mode gain, on one's own application and
//! machine.

mod report;
mod sample;

pub use report::{
    Comparison, Conditions, FORMAT, Figure, Group, Measures, Outcome, Phase, Plan, SizePart,
    Subject,
};
pub use sample::{Summary, Unit};
