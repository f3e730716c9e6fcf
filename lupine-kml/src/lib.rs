//! Kernel Mode Linux: applies and verifies the patch, rewrites system call instructions
//!
//! # Rewriting
//!
//! ```no_run
//! use lupine_kml::rewrite::{Options, rewrite_bytes, undo_bytes};
//! use lupine_kml::verify_rewrite::verify;
//!
//! let original = std::fs::read("/lib/x86_64-linux-gnu/libc.so.6")?;
//! let new = rewrite_bytes(&original, &Options::default())?;
//! for site in &new.report.scan.sites {
//!     assert!(site.address > 0, "{:?}: {:?}", site.number, site.plan);
//! }
//! assert_eq!(verify(Some(&original), &new.bytes)?.sites, new.report.rewritten);
//! assert_eq!(undo_bytes(&new.bytes)?, original);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
pub mod rewrite;
pub mod scan;
pub mod verify_rewrite;
