//! What this machine has and lacks: the tools that the stages use, and how to
//! install the missing ones.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::process;

/// What a tool is used for; a stage names what it needs by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Building a kernel.
    Kernel,
    /// Making an image of Debian packages.
    DebianImage,
    /// Running a guest.
    Run,
    /// Putting an application under load, to measure it.
    Load,
    /// Tests only.
    Test,
}

/// How a tool's presence is seen.
#[derive(Clone, Copy, Debug)]
enum Presence {
    /// A program of this name on `PATH` (or in the system folders).
    Program(&'static str),
    /// One of these files exists.
    File(&'static [&'static str]),
}

/// A tool that a stage uses.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The name that a person knows it by.
    pub name: &'static str,
    /// The stage that needs it.
    pub purpose: Purpose,
    presence: Presence,
    /// Package names for Debian, Fedora, Arch, Alpine; empty where the
    /// distribution does not package it.
    packages: [&'static str; 4],
}

const fn program(name: &'static str, purpose: Purpose, packages: [&'static str; 4]) -> Tool {
    Tool {
        name,
        purpose,
        presence: Presence::Program(name),
        packages,
    }
}

const LIBELF: &[&str] = &["/usr/include/libelf.h", "/usr/include/libelf/libelf.h"];
const KERNEL_SOURCE: &[&str] = &[
    "/usr/src/linux-source-6.12.tar.xz",
    "/usr/src/linux-source-6.1.tar.xz",
];

/// Draws graphs; nothing else needs it.
pub const GRAPHVIZ: Tool = program("dot", Purpose::Test, ["graphviz"; 4]);

/// Every tool, in the order of the stages.
pub const TOOLS: &[Tool] = &[
    program("make", Purpose::Kernel, ["make", "make", "make", "make"]),
    program(
        "gcc",
        Purpose::Kernel,
        ["gcc", "gcc", "gcc", "gcc musl-dev"],
    ),
    program(
        "ld",
        Purpose::Kernel,
        ["binutils", "binutils", "binutils", "binutils"],
    ),
    program("flex", Purpose::Kernel, ["flex", "flex", "flex", "flex"]),
    program(
        "bison",
        Purpose::Kernel,
        ["bison", "bison", "bison", "bison"],
    ),
    program("bc", Purpose::Kernel, ["bc", "bc", "bc", "bc"]),
    program("perl", Purpose::Kernel, ["perl", "perl", "perl", "perl"]),
    program("xz", Purpose::Kernel, ["xz-utils", "xz", "xz", "xz"]),
    Tool {
        name: "libelf headers",
        purpose: Purpose::Kernel,
        presence: Presence::File(LIBELF),
        packages: [
            "libelf-dev",
            "elfutils-libelf-devel",
            "libelf",
            "elfutils-dev",
        ],
    },
    Tool {
        name: "kernel source",
        purpose: Purpose::Kernel,
        presence: Presence::File(KERNEL_SOURCE),
        packages: ["linux-source-6.12", "", "", ""],
    },
    program(
        "mmdebstrap",
        Purpose::DebianImage,
        ["mmdebstrap", "mmdebstrap", "mmdebstrap", ""],
    ),
    program(
        "qemu-system-x86_64",
        Purpose::Run,
        [
            "qemu-system-x86",
            "qemu-system-x86-core",
            "qemu-system-x86",
            "qemu-system-x86_64",
        ],
    ),
    program(
        "ab",
        Purpose::Load,
        ["apache2-utils", "httpd-tools", "apache", "apache2-utils"],
    ),
    program(
        "redis-benchmark",
        Purpose::Load,
        ["redis-tools", "redis", "redis", "redis"],
    ),
    program(
        "pgbench",
        Purpose::Load,
        [
            "postgresql",
            "postgresql-contrib",
            "postgresql",
            "postgresql-contrib",
        ],
    ),
    program(
        "e2fsck",
        Purpose::Test,
        ["e2fsprogs", "e2fsprogs", "e2fsprogs", "e2fsprogs"],
    ),
    program(
        "busybox",
        Purpose::Test,
        ["busybox-static", "busybox", "busybox", "busybox"],
    ),
    program(
        "debugfs",
        Purpose::Test,
        ["e2fsprogs", "e2fsprogs", "e2fsprogs", "e2fsprogs-extra"],
    ),
];

/// A family of distributions, which decides the names of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Debian, Ubuntu and their like.
    Debian,
    /// Fedora, RHEL and their like.
    Fedora,
    /// Arch.
    Arch,
    /// Alpine.
    Alpine,
}

impl Distribution {
    /// Reads the text of `/etc/os-release`; Debian where it says nothing that
    /// is known.
    #[must_use]
    pub fn of_os_release(text: &str) -> Distribution {
        let ids = text.lines().filter_map(|line| {
            line.strip_prefix("ID=")
                .or_else(|| line.strip_prefix("ID_LIKE="))
        });
        ids.flat_map(|value| value.trim_matches('"').split(' '))
            .find_map(|id| match id {
                "debian" | "ubuntu" => Some(Distribution::Debian),
                "fedora" | "rhel" | "centos" => Some(Distribution::Fedora),
                "arch" => Some(Distribution::Arch),
                "alpine" => Some(Distribution::Alpine),
                _ => None,
            })
            .unwrap_or(Distribution::Debian)
    }

    /// The distribution of this machine.
    #[must_use]
    pub fn detect() -> Distribution {
        Distribution::of_os_release(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn install(self) -> &'static str {
        match self {
            Distribution::Debian => "apt-get install -y --no-install-recommends",
            Distribution::Fedora => "dnf install -y",
            Distribution::Arch => "pacman -S --needed",
            Distribution::Alpine => "apk add",
        }
    }

    /// One line that installs `tools`; `None` where there is nothing to
    /// install. Without root's rights it starts with `sudo`.
    #[must_use]
    pub fn install_line(self, tools: &[&Tool]) -> Option<String> {
        let mut packages: Vec<&str> = tools
            .iter()
            .flat_map(|tool| tool.package(self).split(' '))
            .collect();
        packages.retain(|package| !package.is_empty());
        packages.sort_unstable();
        packages.dedup();
        let sudo = if rustix::process::geteuid().is_root() {
            ""
        } else {
            "sudo "
        };
        (!packages.is_empty()).then(|| format!("{sudo}{} {}", self.install(), packages.join(" ")))
    }
}

impl Tool {
    /// The package that has it; empty where the distribution has none.
    #[must_use]
    pub fn package(&self, distribution: Distribution) -> &'static str {
        let [debian, fedora, arch, alpine] = self.packages;
        match distribution {
            Distribution::Debian => debian,
            Distribution::Fedora => fedora,
            Distribution::Arch => arch,
            Distribution::Alpine => alpine,
        }
    }

    /// Where it is on this machine.
    #[must_use]
    pub fn find(&self) -> Option<PathBuf> {
        match self.presence {
            Presence::Program(name) => find_program(name),
            Presence::File(paths) => paths
                .iter()
                .map(Path::new)
                .find(|path| path.exists())
                .map(Path::to_owned),
        }
    }
}

/// The program of that name on `PATH`, else in the administrator's folders,
/// which a user's `PATH` may lack (e2fsck is there).
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
    let in_system = || {
        system
            .iter()
            .find_map(|dir| process::find_program(format!("{dir}/{name}")))
    };
    process::find_program(name).or_else(in_system)
}

/// Tools that a stage lacks, with the line that installs them.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// Names, as a person knows them.
    pub tools: Vec<&'static str>,
    /// The line that installs them, where the distribution has them.
    pub install: Option<String>,
}

impl Missing {
    /// That these are missing.
    #[must_use]
    pub fn of(tools: &[&Tool]) -> Missing {
        Missing {
            tools: tools.iter().map(|tool| tool.name).collect(),
            install: Distribution::detect().install_line(tools),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this machine lacks {}", self.tools.join(", "))?;
        match &self.install {
            Some(line) => write!(f, "; install with: {line}"),
            None => write!(f, "; this distribution has no package that is known here"),
        }
    }
}

/// What of the tools for `purposes` is missing; `Ok` where nothing is. A tool
/// in `except` (by name) is taken as there: a kernel source that the user
/// names needs no package.
///
/// # Errors
/// [`Missing`], with everything that lacks at once.
pub fn require(purposes: &[Purpose], except: &[&str]) -> Result<(), Missing> {
    missing_of(|tool| purposes.contains(&tool.purpose) && !except.contains(&tool.name))
}

/// The same for tools by name; a name that is none of [`TOOLS`] is not asked for.
///
/// # Errors
/// [`Missing`], with everything that lacks at once.
pub fn require_programs(names: &[&str]) -> Result<(), Missing> {
    missing_of(|tool| names.contains(&tool.name))
}

fn missing_of(is_asked: impl Fn(&Tool) -> bool) -> Result<(), Missing> {
    let missing: Vec<&Tool> = TOOLS
        .iter()
        .filter(|tool| is_asked(tool) && tool.find().is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Missing::of(&missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_recognised() {
        let cases = [
            ("ID=debian\n", Distribution::Debian),
            (
                "NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                Distribution::Debian,
            ),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                Distribution::Fedora,
            ),
            ("ID=arch\n", Distribution::Arch),
            ("ID=alpine\n", Distribution::Alpine),
        ];
        for (text, expected) in cases {
            assert_eq!(Distribution::of_os_release(text), expected, "{text}");
        }
    }

    #[test]
    fn install_line_names_each_package_once() {
        let tools: Vec<&Tool> = TOOLS
            .iter()
            .filter(|t| t.purpose == Purpose::Test)
            .collect();
        let line = Distribution::Debian.install_line(&tools).unwrap();
        assert!(line.ends_with(" e2fsprogs"), "{line}");
        assert!(Distribution::Debian.install_line(&[]).is_none());
    }

    #[test]
    fn programs_are_found() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-here").is_none());
    }
}
