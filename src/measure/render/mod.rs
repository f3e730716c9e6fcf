//! A comparison as text: Markdown for a document, CSV for other programs, and one HTML page with
//! plots.
//!
//! All three are pure. What is said of a figure is decided once, in a table that Markdown and HTML
//! share: its median and quartiles, its ratio to the plan's first kind of kernel, whether it is of
//! an emulator or unsteady, its error, and the paper's figure of the same quantity.

mod beside;
mod csv;
mod directories;
mod html;
mod markdown;
mod notes;
mod number;
mod phases;
mod table;
mod text;
mod words;

pub use self::csv::csv;
pub use html::html;
pub use markdown::markdown;
