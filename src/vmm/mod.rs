//! Booting a machine and watching it.
//!
//! A [`Machine`] says what to boot, [`qemu`] turns it into arguments, [`probe`](mod@probe) decides
//! between KVM and TCG by booting something, and a [`Vm`] is the machine while it runs: its
//! console, its [readiness](HealthCheck), its end. Dropping the [`Vm`] ends the machine.

pub mod console;
pub mod error;
pub mod health;
pub mod machine;
pub mod probe;
pub mod qemu;
pub mod run;

pub use console::{CallCounts, Console, GuestExit, Trouble};
pub use error::VmError;
pub use health::{HealthCheck, Probe, Response, http_get};
pub use machine::{Accel, Drive, DriveMode, Forward, Machine};
pub use probe::{Choice, choose_accel};
pub use run::{Readiness, Vm, free_port};
