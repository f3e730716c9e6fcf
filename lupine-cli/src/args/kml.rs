//! `lupine kml ...` as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use lupine_kml::rewrite::Gate;

/// Kernel Mode Linux: the kernel's patches, and the system calls of programs.
#[derive(Debug, Subcommand)]
pub enum Kml {
    /// Patch a kernel tree, wholly or not at all
    Patch(Patch),
    /// Check a kernel tree, a configuration, a vmlinux or a rewritten file, by what it is
    Verify(Verify),
    /// List the system call instructions of a file, a directory or an image, and what rewriting
    /// would make of each
    Scan(Scan),
    /// Turn the system call instructions of a file into jumps to the kernel's gate, or back
    Rewrite(Rewrite),
}

/// Arguments of `lupine kml patch`.
#[derive(Debug, Args)]
pub struct Patch {
    /// The kernel tree
    #[arg(long, value_name = "TREE")]
    pub src: PathBuf,
    /// Apply this patch instead of the built-in series
    #[arg(long, value_name = "FILE", conflicts_with = "series")]
    pub patch: Option<PathBuf>,
    /// Apply the series in this directory instead (its file `series` names the patches)
    #[arg(long, value_name = "DIR")]
    pub series: Option<PathBuf>,
    /// Say what would be done, change nothing
    #[arg(long)]
    pub check: bool,
    /// Take the patches back
    #[arg(long)]
    pub reverse: bool,
    /// Try the nearest built-in series on a kernel version that has none
    #[arg(long)]
    pub force: bool,
    /// Ignore up to this many outer context lines of a hunk
    #[arg(long, value_name = "LINES", default_value_t = 0)]
    pub fuzz: usize,
}

/// Arguments of `lupine kml verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A kernel tree, a .config, a vmlinux, or a rewritten ELF file
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Boot this kernel, a vmlinux or a bzImage, and say at which privilege level programs run
    #[arg(long, conflicts_with_all = ["original", "series", "force"])]
    pub boot: bool,
    /// Compare a rewritten file with this original instead of the one that its note restores
    #[arg(long, value_name = "FILE")]
    pub original: Option<PathBuf>,
    /// Check a tree against the series in this directory instead of the built-in one
    #[arg(long, value_name = "DIR")]
    pub series: Option<PathBuf>,
    /// Take the nearest built-in series for a kernel version that has none
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `lupine kml scan`.
#[derive(Debug, Args)]
pub struct Scan {
    /// An ELF file, a directory, or an image: OCI layout, docker archive, tar
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// List every site of a directory or image, too, not only the files
    #[arg(long)]
    pub sites: bool,
}

/// Arguments of `lupine kml rewrite`.
#[derive(Debug, Args)]
pub struct Rewrite {
    /// The ELF files; one, if --output is given
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Write the rewritten file here
    #[arg(long, short, value_name = "FILE", conflicts_with = "in_place")]
    pub output: Option<PathBuf>,
    /// Replace the files themselves; modes, owners, times and extended attributes stay
    #[arg(long)]
    pub in_place: bool,
    /// Restore the originals, to the byte
    #[arg(long, conflicts_with = "gate")]
    pub undo: bool,
    /// Say what would be done, change nothing
    #[arg(long, conflicts_with_all = ["output", "in_place"])]
    pub check: bool,
    /// When system calls take the gate
    #[arg(long, value_enum, default_value_t = GateArg::Runtime)]
    pub gate: GateArg,
}

/// When trampolines take the gate, as typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum GateArg {
    /// Where the process runs in kernel mode; the file works everywhere
    Runtime,
    /// Always; the file works only in kernel mode
    Always,
}

impl From<GateArg> for Gate {
    fn from(arg: GateArg) -> Gate {
        match arg {
            GateArg::Runtime => Gate::Runtime,
            GateArg::Always => Gate::Always,
        }
    }
}
