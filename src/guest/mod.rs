//! What runs inside the machine besides the application: the init and its configuration.

mod bytes;
pub mod config;
mod fields;
pub mod init;
mod step;

pub use bytes::ByteString;
pub use config::{InitConfig, User};
pub use fields::InitConfigError;
pub use step::{Interface, Setup, Step};
