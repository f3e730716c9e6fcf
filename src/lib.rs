//! A Linux specialised to one application.

pub mod probes;
