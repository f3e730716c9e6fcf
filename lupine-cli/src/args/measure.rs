//! `lupine measure` and `lupine compare` as typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lupine::measure::Group;
use lupine::variant::Variant;
use lupine::vmm::Vmm;

use super::CompilerArg;

/// What to measure, and how often.
#[derive(Debug, Args)]
pub struct Measures {
    /// What to measure, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = GroupArg::value_variants().to_vec())]
    pub measures: Vec<GroupArg>,
    /// How often to repeat boots and loads
    #[arg(long, default_value_t = 11, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repetitions: u32,
    /// Mark figures whose quartiles are further apart than this part of the median, in percent
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT", value_parser = percent)]
    pub spread_limit: f64,
}

/// Arguments of `lupine measure`.
#[derive(Debug, Args)]
pub struct Measure {
    /// What `lupine build -o DIR` wrote
    pub dir: PathBuf,
    /// Connect guests, which are 10.0.2.15, to this tap device of 10.0.2.2/24, instead of
    /// forwarding ports to them
    #[arg(long, value_name = "DEVICE")]
    pub tap: Option<String>,
    /// What to measure.
    #[command(flatten)]
    pub measures: Measures,
    /// Write comparison.json, .csv, .md and .html into this directory
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Arguments of `lupine compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Applications: built-in (hello, nginx, redis, ...), manifests (.toml) or images
    #[arg(value_name = "IMAGE", required_unless_present = "repeat")]
    pub images: Vec<String>,
    /// The kinds of kernels, separated by commas; others are set in relation to the first
    #[arg(long, value_delimiter = ',', default_values_t = [Variant::Microvm, Variant::LupineNokml, Variant::Lupine])]
    pub variants: Vec<Variant>,
    /// The configuration of the microvm kernel; the tree's own x86_64_defconfig and
    /// kvm_guest.config otherwise
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Kernel source: a tree or a tarball; the distribution's linux-source package otherwise
    #[arg(long, visible_alias = "src", value_name = "DIR|TARBALL")]
    pub kernel_src: Option<PathBuf>,
    /// The compiler
    #[arg(long, value_enum, default_value_t = CompilerArg::Gcc)]
    pub compiler: CompilerArg,
    /// The virtual machine monitor that kernels are for, and that runs them: qemu, firecracker or
    /// cloud-hypervisor
    #[arg(long, default_value_t = Vmm::Qemu, value_name = "NAME")]
    pub vmm: Vmm,
    /// Connect guests, which are 10.0.2.15, to this tap device of 10.0.2.2/24, instead of
    /// forwarding ports to them
    #[arg(long, value_name = "DEVICE")]
    pub tap: Option<String>,
    /// What to measure.
    #[command(flatten)]
    pub measures: Measures,
    /// Write comparison.json, .csv, .md and .html into this directory; an interrupted comparison
    /// goes on where it stopped
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Measure again what this comparison.json measured
    #[arg(long, value_name = "FILE", conflicts_with_all = ["images", "variants", "baseline", "kernel_src", "vmm", "measures", "repetitions", "spread_limit"])]
    pub repeat: Option<PathBuf>,
}

/// A group of figures as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupArg {
    /// Counts of configuration options
    Options,
    /// Sizes of the kernel
    Size,
    /// Boot times and phases
    Boot,
    /// Guest memory and the VMM's
    Memory,
    /// Single operations of the kernel
    Operations,
    /// The application under load
    Application,
    /// What other processes and threads do to the kernel's operations
    Degradation,
}

impl From<GroupArg> for Group {
    fn from(arg: GroupArg) -> Group {
        match arg {
            GroupArg::Options => Group::Options,
            GroupArg::Size => Group::Size,
            GroupArg::Boot => Group::Boot,
            GroupArg::Memory => Group::Memory,
            GroupArg::Operations => Group::Operations,
            GroupArg::Application => Group::Application,
            GroupArg::Degradation => Group::Degradation,
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or(format!("{text:?} is not a number of at least 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_the_library_names() {
        assert_eq!(GroupArg::value_variants().len(), Group::ALL.len());
        for (&arg, group) in GroupArg::value_variants().iter().zip(Group::ALL) {
            assert_eq!(Group::from(arg), group);
            let name = arg.to_possible_value().unwrap();
            assert_eq!(name.get_name(), group.name());
        }
    }
}
