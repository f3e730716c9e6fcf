//! The configuration of the guest's init: a value, and the file it reads.
//!
//! The file is a sequence of NUL-terminated fields: a magic word, then directives with a fixed
//! number of fields each, then `end`. Nothing in it can be longer than Linux allows for arguments
//! and environment, and every byte but NUL (which neither can hold) passes unchanged.
//!
//! | directive | fields | |
//! |---|---|---|
//! | `optional` | | the next directive may fail; init notes it on the console and goes on |
//! | `mount` | source target type flags data | flags as in `mount(2)`; the target is created |
//! | `mkdir` | path mode | with the directories above it |
//! | `symlink` | content path | |
//! | `chardev` | path mode major minor | |
//! | `file` | path mode content | also sets values below `/proc/sys` |
//! | `hostname` | name | |
//! | `up` | interface | |
//! | `address` | interface address netmask gateway | IPv4; brings it up; the gateway may be empty |
//! | `rlimit` | resource soft hard | numbers of `getrlimit(2)`; -1 is without limit |
//! | `trace` | | before the first `arg`: the program runs under the tracer |
//! | `deny` | calls | after `trace`: what the tracer lets fail |
//! | `env`, `arg` | one entry | in order |
//! | `cwd` | path | |
//! | `user` | uid gid | |
//! | `group` | gid | one supplementary group |
//! | `stop` | signal | what the program gets when it is asked to end; 15 otherwise |
//! | `kml` | | the program runs in kernel mode, if the kernel knows how |
//! | `interactive` | | the program reads the console |
//! | `end` | | |

use serde::{Deserialize, Serialize};

use super::bytes::ByteString;
use super::fields::{Fields, InitConfigError, decimal, put};
use super::step::{Setup, Step};

const MAGIC: &[u8] = b"lupine-init 1";

/// Mount flags of `mount(2)`, include/uapi/linux/mount.h.
const MS_NOSUID: u64 = 2;
const MS_NODEV: u64 = 4;
const MS_NOEXEC: u64 = 8;

/// Everything that init does before, and for, the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitConfig {
    /// What to set up, in order.
    #[serde(default)]
    pub setup: Vec<Setup>,
    /// The program and its arguments. A program without a slash is looked up in the `PATH` of
    /// [`InitConfig::env`].
    pub args: Vec<ByteString>,
    /// The whole environment, each entry `NAME=VALUE`.
    #[serde(default)]
    pub env: Vec<ByteString>,
    /// The working directory; `/` if absent.
    #[serde(default)]
    pub cwd: Option<ByteString>,
    /// Whom the program runs as; user and group 0 if absent.
    #[serde(default)]
    pub user: Option<User>,
    /// The signal that the program gets when the console or the machine asks it to end.
    #[serde(default = "sigterm")]
    pub stop_signal: u8,
    /// Whether the program runs in kernel mode: init marks it by the `arch_prctl` option
    /// `ARCH_KML_SET_EXEC` of Kernel Mode Linux. A kernel that does not know it leaves the program
    /// in user mode, and init notes it on the console.
    #[serde(default)]
    pub kml: bool,
    /// Whether the program reads the console. Otherwise its standard input is empty, and an
    /// interrupt character (3) on the console asks it to end.
    #[serde(default)]
    pub interactive: bool,
    /// Whether the program runs under [`TRACE`](super::init::TRACE), which says what it asks of
    /// the kernel.
    #[serde(default)]
    pub trace: bool,
    /// Calls that the tracer lets fail as in a kernel that lacks them: `-CALL` by number, or
    /// `-CALL=N` with N as its argument (family of sockets, command).
    #[serde(default)]
    pub deny: Vec<ByteString>,
}

const SIGTERM: u8 = 15;

fn sigterm() -> u8 {
    SIGTERM
}

impl Default for InitConfig {
    fn default() -> InitConfig {
        InitConfig {
            setup: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            user: None,
            stop_signal: SIGTERM,
            kml: false,
            interactive: false,
            trace: false,
            deny: Vec::new(),
        }
    }
}

/// Whom the program runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups.
    #[serde(default)]
    pub groups: Vec<u32>,
}

impl InitConfig {
    /// A program in the surroundings that a container gives it: `/dev`, `/proc`, `/sys`, `/tmp`,
    /// `/run`, `/dev/shm`, `/dev/pts`, a host name and `lo`. Each is optional, so that a kernel
    /// without one still runs a program that does not need it.
    #[must_use]
    pub fn standard(hostname: &str, args: Vec<ByteString>, env: Vec<ByteString>) -> Self {
        let mut setup = vec![
            mount("devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755"),
            mount("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
            mount("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
            mount("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777"),
            mount("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"),
            mount("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"),
            mount(
                "devpts",
                "/dev/pts",
                MS_NOSUID | MS_NOEXEC,
                "mode=0620,gid=5,ptmxmode=0666",
            ),
        ];
        // A kernel with devtmpfs has made these nodes; one without it has not.
        for (name, major, minor) in [
            ("null", 1, 3),
            ("zero", 1, 5),
            ("full", 1, 7),
            ("random", 1, 8),
            ("urandom", 1, 9),
            ("tty", 5, 0),
        ] {
            let path = format!("/dev/{name}").into();
            setup.push(
                Step::CharDevice {
                    path,
                    mode: 0o666,
                    major,
                    minor,
                }
                .optional(),
            );
        }
        for (content, name) in [
            ("/proc/self/fd", "fd"),
            ("/proc/self/fd/0", "stdin"),
            ("/proc/self/fd/1", "stdout"),
            ("/proc/self/fd/2", "stderr"),
            ("pts/ptmx", "ptmx"),
        ] {
            let path = format!("/dev/{name}").into();
            setup.push(
                Step::Symlink {
                    content: content.into(),
                    path,
                }
                .optional(),
            );
        }
        setup.push(
            Step::Hostname {
                name: hostname.into(),
            }
            .optional(),
        );
        setup.push(
            Step::Up {
                interface: "lo".into(),
            }
            .optional(),
        );
        Self {
            setup,
            args,
            env,
            ..Self::default()
        }
    }

    /// The file for [`CONFIG_PATH`](super::init::CONFIG_PATH). Equal values give equal bytes.
    ///
    /// # Errors
    /// No program is named, or a value holds a NUL byte.
    pub fn encode(&self) -> Result<Vec<u8>, InitConfigError> {
        if self.args.first().is_none_or(|program| program.0.is_empty()) {
            return Err(InitConfigError::NoProgram);
        }
        let mut out = MAGIC.to_vec();
        out.push(0);
        for setup in &self.setup {
            if setup.optional {
                put(&mut out, "optional", &[])?;
            }
            setup.step.put(&mut out)?;
        }
        for entry in &self.env {
            put(&mut out, "env", &[&entry.0])?;
        }
        if self.trace {
            put(&mut out, "trace", &[])?;
        }
        for denied in &self.deny {
            put(&mut out, "deny", &[&denied.0])?;
        }
        for arg in &self.args {
            put(&mut out, "arg", &[&arg.0])?;
        }
        if let Some(cwd) = &self.cwd {
            put(&mut out, "cwd", &[&cwd.0])?;
        }
        if let Some(user) = &self.user {
            put(&mut out, "user", &[&decimal(user.uid), &decimal(user.gid)])?;
            for group in &user.groups {
                put(&mut out, "group", &[&decimal(*group)])?;
            }
        }
        if self.stop_signal != SIGTERM {
            put(&mut out, "stop", &[&decimal(self.stop_signal.into())])?;
        }
        if self.kml {
            put(&mut out, "kml", &[])?;
        }
        if self.interactive {
            put(&mut out, "interactive", &[])?;
        }
        put(&mut out, "end", &[])?;
        Ok(out)
    }

    /// Reads back what [`InitConfig::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are not such a file.
    pub fn decode(bytes: &[u8]) -> Result<Self, InitConfigError> {
        let mut fields = Fields { bytes, at: 0 };
        if fields.next()? != MAGIC {
            return Err(InitConfigError::Magic);
        }
        let mut config = Self::default();
        let mut optional = false;
        loop {
            let offset = fields.at;
            let word = fields.next()?;
            match word {
                b"end" => break,
                b"optional" => {
                    optional = true;
                    continue;
                }
                b"env" => config.env.push(fields.text()?),
                b"arg" => config.args.push(fields.text()?),
                b"cwd" => config.cwd = Some(fields.text()?),
                b"user" => {
                    let (uid, gid) = (fields.number()?, fields.number()?);
                    config.user = Some(User {
                        uid,
                        gid,
                        groups: Vec::new(),
                    });
                }
                b"group" => {
                    let gid = fields.number()?;
                    let unexpected = InitConfigError::Directive {
                        word: word.into(),
                        offset,
                    };
                    config.user.as_mut().ok_or(unexpected)?.groups.push(gid);
                }
                b"stop" => config.stop_signal = fields.parse("a signal")?,
                b"kml" => config.kml = true,
                b"trace" => config.trace = true,
                b"deny" => config.deny.push(fields.text()?),
                b"interactive" => config.interactive = true,
                _ => {
                    let step = Step::take(word, &mut fields)?.ok_or_else(|| {
                        InitConfigError::Directive {
                            word: word.into(),
                            offset,
                        }
                    })?;
                    config.setup.push(Setup { step, optional });
                }
            }
            optional = false;
        }
        if config.args.is_empty() {
            return Err(InitConfigError::NoProgram);
        }
        Ok(config)
    }
}

fn mount(fstype: &str, target: &str, flags: u64, data: &str) -> Setup {
    Step::Mount {
        source: fstype.into(),
        target: target.into(),
        fstype: fstype.into(),
        flags,
        data: data.into(),
    }
    .optional()
}

#[cfg(test)]
mod tests {
    use super::super::step::Interface;
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn text() -> impl Strategy<Value = ByteString> {
        vec(1u8.., 0..40).prop_map(ByteString)
    }

    fn step() -> impl Strategy<Value = Step> {
        let address = || any::<u32>().prop_map(Ipv4Addr::from);
        prop_oneof![
            (text(), text(), text(), any::<u64>(), text()).prop_map(
                |(source, target, fstype, flags, data)| {
                    Step::Mount {
                        source,
                        target,
                        fstype,
                        flags,
                        data,
                    }
                }
            ),
            (text(), any::<u32>()).prop_map(|(path, mode)| Step::Mkdir { path, mode }),
            (text(), text()).prop_map(|(content, path)| Step::Symlink { content, path }),
            (text(), any::<[u32; 3]>()).prop_map(|(path, [mode, major, minor])| Step::CharDevice {
                path,
                mode,
                major,
                minor
            }),
            (text(), any::<u32>(), text()).prop_map(|(path, mode, content)| Step::File {
                path,
                mode,
                content
            }),
            text().prop_map(|name| Step::Hostname { name }),
            text().prop_map(|interface| Step::Up { interface }),
            (text(), address(), address(), option::of(address())).prop_map(
                |(interface, address, netmask, gateway)| {
                    Step::Address(Interface {
                        interface,
                        address,
                        netmask,
                        gateway,
                    })
                }
            ),
            any::<(u32, Option<u64>, Option<u64>)>().prop_map(|(resource, soft, hard)| {
                Step::Rlimit {
                    resource,
                    soft,
                    hard,
                }
            }),
        ]
    }

    prop_compose! {
        fn config()(
            setup in vec((step(), any::<bool>()), 0..8),
            program in vec(1u8.., 1..40),
            more in vec(text(), 0..8),
            env in vec(text(), 0..8),
            cwd in option::of(text()),
            user in option::of(any::<(u32, u32, Vec<u32>)>()),
            stop_signal: u8,
            kml: bool,
            interactive: bool,
            trace: bool,
            deny in vec(text(), 0..3),
        ) -> InitConfig {
            InitConfig {
                setup: setup.into_iter().map(|(step, optional)| Setup { step, optional }).collect(),
                args: std::iter::once(ByteString(program)).chain(more).collect(),
                env,
                cwd,
                user: user.map(|(uid, gid, groups)| User { uid, gid, groups }),
                stop_signal,
                kml,
                interactive,
                trace,
                deny,
            }
        }
    }

    proptest! {
        #[test]
        fn the_file_loses_nothing(config in config()) {
            let bytes = config.encode().unwrap();
            prop_assert_eq!(InitConfig::decode(&bytes).unwrap(), config);
        }

        #[test]
        fn json_loses_nothing(config in config()) {
            let json = serde_json::to_string(&config).unwrap();
            prop_assert_eq!(serde_json::from_str::<InitConfig>(&json).unwrap(), config);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = InitConfig::decode(&bytes);
            let _ = InitConfig::decode(&[MAGIC, b"\0", &bytes].concat());
        }

        #[test]
        fn every_cut_is_noticed(config in config(), cut: prop::sample::Index) {
            let bytes = config.encode().unwrap();
            prop_assert!(InitConfig::decode(&bytes[..cut.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused() {
        let mut config = InitConfig::default();
        assert_eq!(config.encode(), Err(InitConfigError::NoProgram));
        config.args = vec!["/bin/a\0b".into()];
        let error = config.encode().unwrap_err();
        assert_eq!(
            error,
            InitConfigError::Nul {
                directive: "arg".into(),
                value: "/bin/a\0b".into()
            }
        );
    }
}
