//! Booting a machine and watching it.
//!
//! A [`Machine`] says what to boot and by which [`Vmm`]; [`qemu`], [`firecracker`] and
//! [`cloud_hypervisor`] turn it into what that program takes, [`probe`](mod@probe) decides between
//! KVM and TCG by booting something, and a [`Vm`] is the machine while it runs: its console, its
//! [readiness](HealthCheck), its end. Dropping the [`Vm`] ends the machine.

mod attempts;
mod clock;
pub mod cloud_hypervisor;
pub mod console;
pub mod error;
pub mod firecracker;
pub mod health;
mod launch;
pub mod machine;
pub mod monitor;
pub mod probe;
pub mod qemu;
pub mod run;

pub use console::{CallCounts, Console, GuestExit, Trouble};
pub use error::VmError;
pub use health::{HealthCheck, Probe, Response, http_get};
pub use launch::{check_tap, command};
pub use machine::{Accel, Drive, DriveMode, Forward, Machine};
pub use monitor::{KernelFile, UnknownVmm, Vmm};
pub use probe::{Choice, choose_accel, choose_accel_for};
pub use run::{Readiness, Vm, free_port};
