//! What the guest's init sets up before the program: one step, one directive of its file.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::bytes::ByteString;
use super::fields::{Fields, InitConfigError, decimal, octal, put};

/// One step, and whether the machine is of use without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// What to do.
    #[serde(flatten)]
    pub step: Step,
    /// Whether to go on where it fails: a kernel without `sysfs` serves most programs.
    #[serde(default)]
    pub optional: bool,
}

/// Something that init sets up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
#[non_exhaustive]
pub enum Step {
    /// Mounts a file system; creates the mount point if it is missing.
    Mount {
        /// The device, or any word for file systems without one.
        source: ByteString,
        /// The mount point.
        target: ByteString,
        /// Its type, as /proc/filesystems names it.
        fstype: ByteString,
        /// `MS_*` of `mount(2)`.
        flags: u64,
        /// Options of the file system, separated by commas.
        data: ByteString,
    },
    /// Makes a directory, and those above it.
    Mkdir {
        /// Its path.
        path: ByteString,
        /// Its permissions.
        mode: u32,
    },
    /// Makes a symbolic link; what exists at the path stays.
    Symlink {
        /// Where it points.
        content: ByteString,
        /// Where it is.
        path: ByteString,
    },
    /// Makes a character device; what exists at the path stays.
    CharDevice {
        /// Its path.
        path: ByteString,
        /// Its permissions.
        mode: u32,
        /// Its major number, Documentation/admin-guide/devices.txt.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// Writes a file, or a value below /proc/sys.
    File {
        /// Its path.
        path: ByteString,
        /// Its permissions, where it is new.
        mode: u32,
        /// What it holds.
        content: ByteString,
    },
    /// Sets the host name.
    Hostname {
        /// At most 64 bytes.
        name: ByteString,
    },
    /// Brings up a network interface that needs no address of ours, such as `lo`.
    Up {
        /// Its name, at most 15 bytes.
        interface: ByteString,
    },
    /// Gives a network interface its address and brings it up.
    Address(Interface),
    /// Sets a resource limit.
    Rlimit {
        /// `RLIMIT_*`, include/uapi/asm-generic/resource.h.
        resource: u32,
        /// The soft limit; `None` is without limit.
        soft: Option<u64>,
        /// The hard limit; `None` is without limit.
        hard: Option<u64>,
    },
}

/// A network interface with a fixed IPv4 address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name, at most 15 bytes.
    pub interface: ByteString,
    /// Its address.
    pub address: Ipv4Addr,
    /// Which part of the address is the network's.
    pub netmask: Ipv4Addr,
    /// Where everything beyond that network goes, if anywhere.
    pub gateway: Option<Ipv4Addr>,
}

impl Step {
    /// The step, tolerated where it fails.
    #[must_use]
    pub fn optional(self) -> Setup {
        Setup {
            step: self,
            optional: true,
        }
    }

    /// The step, without which the machine is of no use.
    #[must_use]
    pub fn required(self) -> Setup {
        Setup {
            step: self,
            optional: false,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), InitConfigError> {
        match self {
            Self::Mount {
                source,
                target,
                fstype,
                flags,
                data,
            } => {
                let flags = flags.to_string();
                put(
                    out,
                    "mount",
                    &[&source.0, &target.0, &fstype.0, flags.as_bytes(), &data.0],
                )
            }
            Self::Mkdir { path, mode } => put(out, "mkdir", &[&path.0, &octal(*mode)]),
            Self::Symlink { content, path } => put(out, "symlink", &[&content.0, &path.0]),
            Self::CharDevice {
                path,
                mode,
                major,
                minor,
            } => {
                let fields = [octal(*mode), decimal(*major), decimal(*minor)];
                put(
                    out,
                    "chardev",
                    &[&path.0, &fields[0], &fields[1], &fields[2]],
                )
            }
            Self::File {
                path,
                mode,
                content,
            } => put(out, "file", &[&path.0, &octal(*mode), &content.0]),
            Self::Hostname { name } => put(out, "hostname", &[&name.0]),
            Self::Up { interface } => put(out, "up", &[&interface.0]),
            Self::Address(Interface {
                interface,
                address,
                netmask,
                gateway,
            }) => {
                let gateway = gateway.map(|g| g.to_string()).unwrap_or_default();
                let [address, netmask] = [address.to_string(), netmask.to_string()];
                let fields = [address.as_bytes(), netmask.as_bytes(), gateway.as_bytes()];
                put(
                    out,
                    "address",
                    &[&interface.0, fields[0], fields[1], fields[2]],
                )
            }
            Self::Rlimit {
                resource,
                soft,
                hard,
            } => {
                let limit = |l: &Option<u64>| l.map_or("-1".into(), |l| l.to_string());
                let [soft, hard] = [limit(soft), limit(hard)];
                put(
                    out,
                    "rlimit",
                    &[&decimal(*resource), soft.as_bytes(), hard.as_bytes()],
                )
            }
        }
    }

    pub(super) fn take(
        word: &[u8],
        fields: &mut Fields<'_>,
    ) -> Result<Option<Self>, InitConfigError> {
        Ok(Some(match word {
            b"mount" => Self::Mount {
                source: fields.text()?,
                target: fields.text()?,
                fstype: fields.text()?,
                flags: fields.parse("a number")?,
                data: fields.text()?,
            },
            b"mkdir" => Self::Mkdir {
                path: fields.text()?,
                mode: fields.mode()?,
            },
            b"symlink" => Self::Symlink {
                content: fields.text()?,
                path: fields.text()?,
            },
            b"chardev" => Self::CharDevice {
                path: fields.text()?,
                mode: fields.mode()?,
                major: fields.number()?,
                minor: fields.number()?,
            },
            b"file" => Self::File {
                path: fields.text()?,
                mode: fields.mode()?,
                content: fields.text()?,
            },
            b"hostname" => Self::Hostname {
                name: fields.text()?,
            },
            b"up" => Self::Up {
                interface: fields.text()?,
            },
            b"address" => Self::Address(Interface {
                interface: fields.text()?,
                address: fields.parse("an IPv4 address")?,
                netmask: fields.parse("an IPv4 netmask")?,
                gateway: match fields.peek()? {
                    b"" => fields.next().map(|_| None)?,
                    _ => Some(fields.parse("an IPv4 address")?),
                },
            }),
            b"rlimit" => Self::Rlimit {
                resource: fields.number()?,
                soft: fields.limit()?,
                hard: fields.limit()?,
            },
            _ => return Ok(None),
        }))
    }
}
