//! The command line as typed.

mod config;
pub mod kml;
pub mod measure;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lupine::kernel::toolchain::Compiler;
use lupine::manifest::{Manifest, Tmpfs};
use lupine::variant::Variant;
use lupine::vmm::Vmm;

pub use config::{
    Conf, ConfMode, Config, Diff, Graph, GraphFormat, Needs, Source, Specialise, Why, WhyNot,
};
pub mod rootfs;

/// A Linux specialised to one application, in unikernel clothing.
#[derive(Debug, Parser)]
#[command(name = "lupine", version, propagate_version = true, after_help = EXIT_STATUSES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What all commands share.
    #[command(flatten)]
    pub common: Common,
}

const EXIT_STATUSES: &str = "Exit status:
  0    done; for run, the application ended with status 0
  1    the application or its guest failed, or the answer is no: a check found problems
  2    the command line is wrong
  3    the input is wrong: image, manifest, kernel source, configuration
  4    this machine lacks something: a tool, a virtual machine monitor or KVM for it, disk space,
       a free port
  130  cancelled";

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Common {
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress, only results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Needs by analysis alone, also where a trace of the application is kept
    #[arg(long, global = true)]
    pub no_trace: bool,
    /// Keep trees, kernels and images here instead of the user's cache directory
    #[arg(long, global = true, value_name = "DIR", env = "LUPINE_CACHE")]
    pub cache: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What this machine has and lacks, with the line that installs it
    Doctor,
    /// Build the kernel and root file system of an application
    Build(Build),
    /// Build if needed, boot, forward ports, show the console; Ctrl-C stops it
    Run(Run),
    /// What an application needs of the kernel, with evidence
    Needs(Needs),
    /// Kernel configurations
    #[command(subcommand)]
    Config(Config),
    /// Root file systems: ext2 images of container images, archives and directories
    #[command(subcommand)]
    Rootfs(rootfs::Rootfs),
    /// Kernel Mode Linux: patch and check kernels, rewrite system calls
    #[command(subcommand)]
    Kml(kml::Kml),
    /// Measure a built application: options, size, boot, memory, load
    Measure(measure::Measure),
    /// Measure applications on kinds of kernels, side by side
    Compare(measure::Compare),
    /// Shell completions on standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory
    Man {
        /// The directory
        dir: PathBuf,
    },
}

/// What an image can be named by.
fn image_help() -> String {
    let names: Vec<&str> = Manifest::builtin_names().collect();
    format!(
        "A built-in application ({}), a manifest (.toml), or an image: OCI layout, docker archive, \
         tar or directory",
        names.join(", ")
    )
}

/// The application.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// What runs, as the user names it.
    #[arg(value_name = "IMAGE", help = image_help())]
    pub image: String,
    /// Replace the image's entry point
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Set a variable of the environment; NAME alone passes on this machine's, or removes it
    #[arg(long, short = 'e', value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Set variables from a file of NAME=VALUE lines; --env has precedence
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Run in this directory of the image
    #[arg(long, short = 'w', value_name = "DIR")]
    pub workdir: Option<String>,
    /// Run as this user: name, uid, name:group or uid:gid
    #[arg(long, short = 'u', value_name = "USER")]
    pub user: Option<String>,
    /// Add a group of the image, by name or number, to the user's
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Replace the host name
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Replace the signal that asks the application to end
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Replace the time in seconds that the application has to end
    #[arg(long, value_name = "SECONDS")]
    pub stop_timeout: Option<u64>,
    /// Say that the application listens on a TCP port
    #[arg(long, value_name = "PORT")]
    pub expose: Vec<u16>,
    /// Mount a file system in memory, such as /cache:size=16m
    #[arg(long, value_name = "PATH[:OPTION,...]")]
    pub tmpfs: Vec<Tmpfs>,
    /// Put an archive or directory on top of the image; its whiteouts hide what is below
    #[arg(long, value_name = "PATH")]
    pub overlay: Vec<PathBuf>,
    /// Replace the image's command
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<String>,
}

/// The kernel.
#[derive(Debug, Args)]
pub struct KernelArgs {
    /// Kernel source: a tree or a tarball; the distribution's linux-source package otherwise
    #[arg(long, visible_alias = "src", value_name = "DIR|TARBALL")]
    pub kernel_src: Option<PathBuf>,
    /// The kind of kernel
    #[arg(long, default_value = DEFAULT_VARIANT)]
    pub variant: Variant,
    /// The compiler
    #[arg(long, value_enum, default_value_t = CompilerArg::Gcc)]
    pub compiler: CompilerArg,
    /// The virtual machine monitor that the kernel is for, and that runs it: qemu, firecracker or
    /// cloud-hypervisor
    #[arg(long, default_value_t = Vmm::Qemu, value_name = "NAME")]
    pub vmm: Vmm,
}

const DEFAULT_VARIANT: &str = "lupine";

/// The compiler as typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CompilerArg {
    /// gcc and binutils
    Gcc,
    /// clang and LLVM's tools
    Clang,
}

impl From<CompilerArg> for Compiler {
    fn from(arg: CompilerArg) -> Compiler {
        match arg {
            CompilerArg::Gcc => Compiler::Gcc,
            CompilerArg::Clang => Compiler::Clang,
        }
    }
}

/// Arguments of `lupine build`.
#[derive(Debug, Args)]
pub struct Build {
    /// The application.
    #[command(flatten)]
    pub image: ImageArgs,
    /// The kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Where to put bzImage, vmlinux, config, reasons, rootfs.ext2 and manifest
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Arguments of `lupine run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Forward a TCP port of this machine to one of the guest
    #[arg(long = "publish", short, value_name = "HOST:GUEST", value_parser = parse_ports)]
    pub publish: Vec<(u16, u16)>,
    /// Connect the guest, which is 10.0.2.15, to this tap device of 10.0.2.2/24, instead of
    /// forwarding ports to it
    #[arg(long, value_name = "DEVICE", conflicts_with = "publish")]
    pub tap: Option<String>,
    /// Guest memory in MiB
    #[arg(long, short, value_name = "MIB")]
    pub memory: Option<u32>,
    /// Processors of the guest; more than one are another kernel, with SMP
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub cpus: Option<u8>,
    /// Stop the guest as soon as its health check has passed
    #[arg(long)]
    pub check: bool,
    /// The application.
    #[command(flatten)]
    pub image: ImageArgs,
}

fn parse_ports(text: &str) -> Result<(u16, u16), String> {
    let (host, guest) = text
        .split_once(':')
        .ok_or("write HOST:GUEST, such as 8080:80")?;
    let port = |word: &str| {
        let number = word.parse::<u16>().ok().filter(|&port| port != 0);
        number.ok_or(format!("{word:?} is not a port, 1 to 65535"))
    };
    Ok((port(host)?, port(guest)?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ports_are_checked() {
        assert_eq!(parse_ports("8080:80"), Ok((8080, 80)));
        for bad in ["80", "80:", ":80", "0:80", "70000:80", "a:b"] {
            assert!(parse_ports(bad).is_err(), "{bad}");
        }
    }
}
