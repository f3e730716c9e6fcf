//! The one module that starts processes.
//!
//! Every program that the pipeline runs (`make`, the VMM, `sh` for Kconfig) goes through a
//! [`Task`]: its arguments, working directory, environment and time limit are explicit, its output
//! is captured within bounds, and its whole process group ends when the time limit passes, when
//! the [`Cancel`] token is set, when its handle is dropped, or (where `setpriv --pdeathsig` is
//! installed) when this process is killed.
//!
//! ```
//! use lupine::process::{Cancel, Task};
//! use std::time::Duration;
//!
//! let output = Task::new("sh")
//!     .args(["-c", "echo hello"])
//!     .time_limit(Duration::from_secs(10))
//!     .run_checked(&Cancel::new())?;
//! assert_eq!(output.stdout, b"hello\n");
//! # Ok::<(), lupine::process::ProcessError>(())
//! ```

mod cancel;
mod capture;
mod child;
mod error;
pub mod probes;
mod spawn;
mod task;

pub use cancel::{Cancel, Cancelled};
pub use child::{Child, Event};
pub use error::{CommandLine, ProcessError};
pub use spawn::find_program;
pub use task::{Output, Stream, Task};
