//! How an image wants to be run: entry point, command, environment, user, and what else its
//! configuration says, with the changes `docker run` can make.
//!
//! ```
//! use lupine_rootfs::config::{ImageConfig, Overrides};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = ImageConfig::from_json(br#"{"config": {
//!     "Entrypoint": ["/entrypoint.sh"], "Cmd": ["nginx"], "Env": ["PATH=/usr/bin"]}}"#)?;
//! let overrides = Overrides {
//!     cmd: Some(vec!["nginx".into(), "-t".into()]),
//!     env: vec!["DEBUG=1".into()],
//!     ..Overrides::default()
//! };
//! let config = image.with(&overrides);
//! assert_eq!(config.argv(), ["/entrypoint.sh", "nginx", "-t"]);
//! assert_eq!(config.env, ["PATH=/usr/bin", "DEBUG=1"]);
//! # Ok(())
//! # }
//! ```

mod document;
mod overrides;
mod process;
mod signal;
mod text;
mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use document::Document;
pub use overrides::Overrides;
pub use process::{DEFAULT_PATH, Process, ProcessError};
pub use signal::signal_number;
pub use text::ByteString;
pub use user::{ResolvedUser, UserError};

use crate::source::Platform;

/// How an image wants to be run. Empty for sources that have no configuration: plain archives and
/// directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ImageConfig {
    /// What is run; the command becomes its arguments. Empty: the command is run itself.
    pub entrypoint: Vec<ByteString>,
    /// The command, or the arguments of the entry point.
    pub cmd: Vec<ByteString>,
    /// Environment: `NAME=value`, each name once, in the order of the image.
    pub env: Vec<ByteString>,
    /// Working directory; empty: `/`.
    pub working_dir: ByteString,
    /// User as `name`, `uid`, `name:group` or `uid:gid` in any mix; empty: root. See
    /// [`ResolvedUser`].
    pub user: ByteString,
    /// Host name; empty: the caller's choice.
    pub hostname: ByteString,
    /// Ports the image listens on.
    pub exposed_ports: BTreeSet<PortRange>,
    /// Directories meant for data that outlives the container.
    pub volumes: BTreeSet<ByteString>,
    /// Signal that stops it, by name or number, see [`signal_number`]; empty: `SIGTERM`.
    pub stop_signal: ByteString,
    /// Seconds between the stop signal and the kill.
    pub stop_timeout: Option<u64>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// How to find out whether it works.
    pub health_check: Option<HealthCheck>,
    /// The platform the image is for; `None` where it does not say.
    pub platform: Option<Platform>,
    /// When the image was made, as RFC 3339 text; empty where it does not say.
    pub created: String,
}

/// How to find out whether the application works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// The test.
    pub test: HealthTest,
    /// Nanoseconds between tests; 0: 30 seconds.
    pub interval: u64,
    /// Nanoseconds until a test counts as failed; 0: 30 seconds.
    pub timeout: u64,
    /// Nanoseconds after the start in which failures do not count.
    pub start_period: u64,
    /// Nanoseconds between tests during the start period; 0: 5 seconds.
    pub start_interval: u64,
    /// Failures in a row that count; 0: 3.
    pub retries: u64,
}

/// The test of a health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthTest {
    /// The test of the image this one was made from.
    #[default]
    Inherit,
    /// Explicitly none.
    None,
    /// A program with its arguments.
    Command(Vec<ByteString>),
    /// A line for the image's shell.
    Shell(ByteString),
}

/// A port, or several in a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port; the first one again if there is only one.
    pub last: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A text that is no port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no port: expected `80`, `80/udp` or `8000-8010/tcp`")]
pub struct ParsePortError(pub String);

impl std::str::FromStr for PortRange {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (ports, protocol) = match text.split_once('/') {
                None => (text, Protocol::Tcp),
                Some((ports, protocol)) => {
                    let protocol = match &*protocol.to_ascii_lowercase() {
                        "tcp" => Protocol::Tcp,
                        "udp" => Protocol::Udp,
                        "sctp" => Protocol::Sctp,
                        _ => return None,
                    };
                    (ports, protocol)
                }
            };
            let number = |text: &str| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.parse::<u16>().ok()).flatten()
            };
            let (first, last) = match ports.split_once('-') {
                None => (number(ports)?, number(ports)?),
                Some((first, last)) => (number(first)?, number(last)?),
            };
            (first <= last).then_some(Self {
                first,
                last,
                protocol,
            })
        };
        parse().ok_or_else(|| ParsePortError(text.to_owned()))
    }
}

impl TryFrom<String> for PortRange {
    type Error = ParsePortError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(port: PortRange) -> Self {
        port.to_string()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        write!(f, "/{}", self.protocol)
    }
}

impl ImageConfig {
    /// What is run: the entry point, then the command. Empty when the image has neither.
    pub fn argv(&self) -> Vec<ByteString> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }

    /// The value of an environment variable.
    pub fn env_value(&self, name: &[u8]) -> Option<&[u8]> {
        self.env
            .iter()
            .find(|variable| variable_name(variable) == name)
            .and_then(|variable| variable.get(name.len() + 1..))
    }

    /// The number of the stop signal: `SIGTERM` where the image has none, `None` where what it has
    /// is no signal.
    pub fn stop_signal_number(&self) -> Option<u8> {
        if self.stop_signal.is_empty() {
            return signal_number(b"TERM");
        }
        signal_number(&self.stop_signal)
    }
}

/// The name of a variable: what stands before the `=`, or all of it.
fn variable_name(variable: &[u8]) -> &[u8] {
    let end = variable.iter().position(|&byte| byte == b'=');
    &variable[..end.unwrap_or(variable.len())]
}

/// Sets a variable given as `NAME=value`, at its place if it is set already.
fn set_variable(env: &mut Vec<ByteString>, variable: ByteString) {
    let name = variable_name(&variable);
    match env.iter_mut().find(|known| variable_name(known) == name) {
        Some(known) => *known = variable,
        None => env.push(variable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        for (text, shown) in [
            ("80", Some("80/tcp")),
            ("53/UDP", Some("53/udp")),
            ("8000-8010/sctp", Some("8000-8010/sctp")),
            ("9-8", None),
            ("70000", None),
            ("+80", None),
            ("80/", None),
            ("80/icmp", None),
            ("", None),
        ] {
            let port = text.parse::<PortRange>().ok();
            assert_eq!(
                port.map(|port| port.to_string()).as_deref(),
                shown,
                "{text}"
            );
        }
    }
}
