//! `lupine needs` and `lupine config ...` as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{CompilerArg, ImageArgs, KernelArgs};

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
    /// Run the application until its health check passes, on a kernel that has everything, and
    /// refine the needs by what it asks for; the trace is kept, and used from then on
    #[arg(long)]
    pub trace: bool,
    /// Write what was seen here, as JSON
    #[arg(long, short, value_name = "FILE", requires = "trace")]
    pub output: Option<PathBuf>,
    /// Also the system calls that every kernel has
    #[arg(long)]
    pub all: bool,
}

/// Kernel configurations.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// The smallest configuration for an application, each option with its reason
    Specialise(Specialise),
    /// Do what the kernel's conf does, in any of its modes
    Conf(Conf),
    /// Why an option has its value, as a tree with file and line
    Why(Why),
    /// What to change so that an option has another value
    WhyNot(WhyNot),
    /// How an option hangs together with others
    Graph(Graph),
    /// What differs between two configurations
    Diff(Diff),
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

/// Which Kconfig tree is read, and how.
#[derive(Debug, Args)]
pub struct Source {
    /// Kernel source: a tree or a tarball; this directory if it is a kernel tree, else the
    /// distribution's linux-source package
    #[arg(long, value_name = "DIR|TARBALL")]
    pub src: Option<PathBuf>,
    /// The architecture, as make's ARCH
    #[arg(long, value_name = "ARCH", default_value = "x86_64")]
    pub arch: String,
    /// What the tools' names begin with, as make's CROSS_COMPILE
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub cross_compile: String,
    /// The compiler
    #[arg(long, value_enum, default_value_t = CompilerArg::Gcc)]
    pub compiler: CompilerArg,
    /// The .config to start from; the one in this directory if there is one, else every default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `lupine config conf`.
#[derive(Debug, Args)]
#[command(
    after_help = "Variables that conf reads, such as KCONFIG_SEED, KCONFIG_PROBABILITY, \
KCONFIG_ALLCONFIG, KCONFIG_WERROR and KCONFIG_WARN_UNKNOWN_SYMBOLS, have their effect here too. \
--config is the .config to start from; for defconfig, the file of defaults, which may be the name \
of one in the architecture's configs."
)]
pub struct Conf {
    /// What to do
    #[arg(long, value_enum)]
    pub mode: ConfMode,
    /// The tree.
    #[command(flatten)]
    pub source: Source,
    /// Write the configuration here instead of standard output; what syncconfig generates goes to
    /// include/ beside it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The modes of `conf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum ConfMode {
    /// Ask about everything
    OldAskConfig,
    /// Ask about what is new
    OldConfig,
    /// As oldconfig, and write what builds include
    SyncConfig,
    /// Defaults for what is new
    OldDefConfig,
    /// Start from a file of defaults
    DefConfig,
    /// What differs from the defaults
    SaveDefConfig,
    /// As many n as possible
    AllNoConfig,
    /// As many y as possible
    AllYesConfig,
    /// As many m as possible
    AllModConfig,
    /// Every default
    AllDefConfig,
    /// Random values; KCONFIG_SEED, else 0
    RandConfig,
    /// What is new
    ListNewConfig,
    /// What is new, with help
    HelpNewConfig,
    /// y becomes m where possible
    Yes2ModConfig,
    /// m becomes y
    Mod2YesConfig,
    /// m becomes n
    Mod2NoConfig,
}

/// Arguments of `lupine config why`.
#[derive(Debug, Args)]
pub struct Why {
    /// The option, with or without CONFIG_
    #[arg(value_name = "SYMBOL")]
    pub symbol: String,
    /// How far to follow other options
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub depth: usize,
    /// The tree.
    #[command(flatten)]
    pub source: Source,
}

/// Arguments of `lupine config why-not`.
#[derive(Debug, Args)]
pub struct WhyNot {
    /// The options and the values that they should have, such as NET=y
    #[arg(value_name = "SYMBOL=VALUE", required = true)]
    pub wanted: Vec<String>,
    /// Write the changed configuration here
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The tree.
    #[command(flatten)]
    pub source: Source,
}

/// Arguments of `lupine config graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// The option, with or without CONFIG_
    #[arg(value_name = "SYMBOL")]
    pub symbol: String,
    /// The shortest way from it to another option
    #[arg(long, value_name = "SYMBOL", conflicts_with_all = ["if_value", "circle"])]
    pub to: Option<String>,
    /// What would change, die or become reachable if it had this value
    #[arg(long = "if", value_name = "VALUE", conflicts_with = "circle")]
    pub if_value: Option<String>,
    /// The options that it depends on in a circle
    #[arg(long)]
    pub circle: bool,
    /// How many steps to follow
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub steps: usize,
    /// How many options to show
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub limit: usize,
    /// What to print; --json is the same as --format json
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub format: GraphFormat,
    /// Write here instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The tree.
    #[command(flatten)]
    pub source: Source,
}

/// Forms of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// The language of graphviz
    Dot,
    /// For machines
    Json,
    /// A picture, drawn by graphviz
    Svg,
}

/// Arguments of `lupine config diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The first configuration
    #[arg(value_name = "A")]
    pub old: PathBuf,
    /// The second configuration
    #[arg(value_name = "B")]
    pub new: PathBuf,
}
