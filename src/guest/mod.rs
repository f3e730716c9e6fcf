//! What runs inside the machine besides the application: the init and its configuration.

mod bytes;
pub mod config;
mod fields;
pub mod init;
mod step;

/// The `prctl` option of the Kernel Mode Linux patch by which init asks that its
/// next program runs in kernel mode: the bytes `KML`.
pub const PR_SET_KML: u32 = 0x4b_4d_4c;

pub use bytes::ByteString;
pub use config::{InitConfig, User};
pub use fields::InitConfigError;
pub use step::{Interface, Setup, Step};
