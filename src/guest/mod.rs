//! What runs inside the machine besides the application: the init and its configuration.

mod bytes;
pub mod config;
pub mod init;

pub use bytes::ByteString;
pub use config::{InitConfig, InitConfigError, Interface, Setup, Step, User};
