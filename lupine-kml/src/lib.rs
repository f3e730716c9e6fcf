//! Kernel Mode Linux: applies and verifies the patch, rewrites system call instructions
//!
//! # The patch
//!
//! A kernel tree is patched wholly or not at all, and can be asked later what it is:
//!
//! ```no_run
//! use lupine_kml::apply::{Mode, Options, Outcome};
//! use lupine_kml::patches::{Fit, patch_kernel, series_for};
//! use lupine_kml::verify::{KernelVersion, TreeState, verify_config, verify_tree};
//! use std::path::Path;
//!
//! let tree = Path::new("linux-6.12");
//! let report = patch_kernel(tree, Fit::Supported, Options::default(), Mode::Write)?;
//! print!("{report}");
//! assert_ne!(report.outcome, Outcome::Rejected);
//!
//! let series = series_for(&KernelVersion::of_tree(tree)?, Fit::Supported)?;
//! assert_eq!(verify_tree(tree, &series)?.state, TreeState::Applied);
//! print!("{}", verify_config(&std::fs::read(tree.join(".config"))?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`diff`] reads patches, [`apply`] puts them on trees, [`patches`] holds those for the kernel,
//! [`verify`] tells what a tree, a configuration or a built kernel is.
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
//!
//! [`scan`] finds system call instructions, [`rewrite`] turns them into jumps,
//! [`verify_rewrite`] checks a rewritten file by a reader of its own.

pub mod apply;
pub mod diff;
pub mod patches;
pub mod rewrite;
pub mod scan;
pub mod verify;
pub mod verify_rewrite;
