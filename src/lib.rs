//! A Linux specialised to one application: its image and a kernel source tree
//! go in, a booted microVM comes out, and every stage between is a value.
//!
//! ```no_run
//! use lupine::{Lupine, free_port, manifest::Manifest, variant::Variant};
//!
//! # fn main() -> Result<(), lupine::Error> {
//! let lupine = Lupine::of_user()?;
//! let app = Manifest::builtin("nginx")?;
//! let image = lupine.image(&app)?;
//! let needs = lupine.needs(&image)?;
//! let source = lupine.kernel_source(None)?;
//! let source = lupine.patch(source, Variant::Lupine)?;
//! let config = lupine.specialise(&source, &needs, Variant::Lupine)?;
//! let kernel = lupine.kernel(&source, &config)?;
//! let rootfs = lupine.rootfs(&image, Variant::Lupine)?;
//! let mut guest = lupine.boot(&kernel, &rootfs, &app, &[(free_port()?, 80)])?;
//! guest.wait_ready(|_line| {})?;
//! assert_eq!(guest.get(80, "/")?.status, 200);
//! # Ok(())
//! # }
//! ```
//!
//! What each stage is made of stands in its module; how they fit together in
//! ARCHITECTURE.md. Long work reports through [`progress::Progress`] and stops
//! when a [`process::Cancel`] is set.

pub mod cache;
pub mod debian;
pub mod digest;
pub mod error;
mod files;
pub mod guest;
pub mod host;
pub mod image;
pub mod kernel;
pub mod manifest;
pub mod measure;
pub mod needs;
mod observe;
pub mod pipeline;
pub mod privilege;
pub mod process;
pub mod progress;
pub mod rewrite;
pub mod rootfs;
pub mod scan;
pub mod variant;
pub mod vmm;

pub use error::Error;
pub use files::{copy_atomically, write_atomically};
pub use pipeline::{Guest, Lupine};
pub use process::probes;
pub use vmm::free_port;
