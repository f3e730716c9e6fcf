//! Needs and configurations as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ImageArgs, KernelArgs};

/// Arguments of `lupine needs`.
#[derive(Debug, Args)]
pub struct Needs {
    /// The application.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Kernel source that says which option offers which system call: a tree or a tarball; the
    /// distribution's linux-source package otherwise
    #[arg(long, visible_alias = "src", value_name = "DIR|TARBALL")]
    pub kernel_src: Option<PathBuf>,
    /// Also the system calls that every kernel has
    #[arg(long)]
    pub all: bool,
}

/// Kernel configurations.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// The smallest configuration for an application, each option with its reason
    Specialise(Specialise),
}

/// Arguments of `lupine config specialise`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["image", "app", "needs"]))]
pub struct Specialise {
    /// A built-in application, a manifest (.toml), or an image
    #[arg(value_name = "IMAGE", conflicts_with_all = ["app", "needs"])]
    pub image: Option<String>,
    /// The same, by name
    #[arg(long, value_name = "NAME", conflicts_with = "needs")]
    pub app: Option<String>,
    /// Needs as `lupine needs --json` prints them
    #[arg(long, value_name = "FILE")]
    pub needs: Option<PathBuf>,
    /// What every kernel has, instead of lupine-base: TOML of the same form
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,
    /// Take options away from this configuration instead of starting from nothing
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Write the configuration here, and the reasons to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
