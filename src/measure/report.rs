//! What a comparison found: figures of applications on kinds of kernels, with everything that is
//! needed to judge and to repeat them. It saves as JSON and reads back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sample::{Summary, Unit};
use crate::kernel::parts::SizePart;
use crate::vmm::Vmm;

/// The form of the JSON; another number is another form.
pub const FORMAT: u32 = 1;

/// Applications on kinds of kernels, measured on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// What was asked for.
    pub plan: Plan,
    /// Where it was measured, and by what.
    pub conditions: Conditions,
    /// One for each application and kind of kernel, in the order of the plan.
    pub subjects: Vec<Subject>,
}

/// What to measure, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Built-in names, or paths of manifests and images, in the order of the report.
    pub applications: Vec<String>,
    /// Kinds of kernels: the names of [`Variant`](crate::variant::Variant), or `microvm` for the
    /// baseline. The first is what others are set in relation to.
    pub variants: Vec<String>,
    /// What to measure.
    pub groups: Vec<Group>,
    /// How often boots, and benchmarks of applications, are repeated, at least 1.
    pub repetitions: u32,
    /// The part of the median that the quartiles may be apart; beyond it a figure is marked.
    pub spread_limit: f64,
    /// The baseline's configuration file; without one the tree's own `x86_64_defconfig` with
    /// `kvm_guest.config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// What boots the guests; its kernels are configured for it.
    #[serde(default)]
    pub vmm: Vmm,
    /// The kernel source; without one the distribution's package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_source: Option<String>,
}

/// What belongs together in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Counts of configuration options.
    Options,
    /// Sizes of the kernel's files.
    Size,
    /// From the start of the VMM to a ready application.
    Boot,
    /// What guest and VMM need of memory.
    Memory,
    /// Single operations of the kernel, by the guest's benchmark program.
    Operations,
    /// The application under load.
    Application,
    /// What other processes, and more processors, do to it.
    Degradation,
}

impl Group {
    /// Every group, in the order of reports.
    pub const ALL: [Group; 7] = [
        Group::Options,
        Group::Size,
        Group::Boot,
        Group::Memory,
        Group::Operations,
        Group::Application,
        Group::Degradation,
    ];

    /// The heading of its table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Group::Options => "Configuration",
            Group::Size => "Kernel image",
            Group::Boot => "Boot",
            Group::Memory => "Memory",
            Group::Operations => "Kernel operations",
            Group::Application => "Application",
            Group::Degradation => "Degradation",
        }
    }

    /// The name on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Group::Options => "options",
            Group::Size => "size",
            Group::Boot => "boot",
            Group::Memory => "memory",
            Group::Operations => "operations",
            Group::Application => "application",
            Group::Degradation => "degradation",
        }
    }
}

/// The machine, and the programs that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The day, as `2026-11-27`.
    pub date: String,
    /// The version of lupine.
    pub lupine: String,
    /// The processor as its maker names it.
    pub processor: String,
    /// Processors of the machine.
    pub processors: usize,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// The host's kernel, as `uname -sr` gives it.
    pub host: String,
    /// The program that boots guests, with its version.
    pub vmm: String,
    /// What runs the guest's instructions: `kvm` or `tcg`.
    pub accelerator: String,
    /// Whether that is emulation: times are then of the emulator, not of a processor.
    pub emulated: bool,
    /// The version of the guest's kernel.
    pub kernel: String,
    /// The compiler's first line about itself.
    pub compiler: String,
}

/// An application on a kind of kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The application's name.
    pub application: String,
    /// The kind of kernel.
    pub variant: String,
    /// What was found.
    pub outcome: Outcome,
}

/// What became of a subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Figures.
    Measured(Box<Measures>),
    /// It could not be built or does not run; the error with its causes.
    Failed(String),
}

/// The figures of a subject, and where they come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Figures, in the order of reports.
    pub figures: Vec<Figure>,
    /// What the kernel's code and data are made of, largest first.
    pub parts: Vec<SizePart>,
    /// Phases of one instrumented boot, in their order.
    pub phases: Vec<Phase>,
    /// The SHA-256 of what was measured, by what it is: `kernel`, `config`, `root`, and the same
    /// of the kernel for several processors.
    pub digests: BTreeMap<String, String>,
    /// The commands that ran, by what they were for.
    pub commands: BTreeMap<String, Vec<String>>,
    /// The kernel's configuration, its whole text.
    pub config: String,
    /// The configuration of the kernel for several processors, where one was measured beside.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub config_for_several: String,
}

/// One quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The table that it belongs to.
    pub group: Group,
    /// The quantity, the same words for every subject: `options with a prompt`.
    pub name: String,
    /// What the samples count.
    pub unit: Unit,
    /// How it was obtained, one sentence.
    pub method: String,
    /// Every measurement, in the order of time; none where `error` says why.
    pub samples: Vec<f64>,
    /// Why there are no samples, or fewer than asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A phase of a boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// What happens in it.
    pub name: String,
    /// From the start of the VMM to its beginning, seconds of the host's clock.
    pub begin: f64,
    /// Its length, seconds.
    pub length: f64,
}

impl Figure {
    /// A quantity that was measured.
    #[must_use]
    pub fn new(
        group: Group,
        name: &str,
        unit: Unit,
        method: impl Into<String>,
        samples: Vec<f64>,
    ) -> Figure {
        Figure {
            group,
            name: name.to_owned(),
            unit,
            method: method.into(),
            samples,
            error: None,
        }
    }

    /// The statistics of its samples; `None` where there are none.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(&self.samples)
    }
}

impl Subject {
    /// Its figure of a quantity.
    #[must_use]
    pub fn figure(&self, group: Group, name: &str) -> Option<&Figure> {
        let Outcome::Measured(measures) = &self.outcome else {
            return None;
        };
        let mut figures = measures.figures.iter();
        figures.find(|figure| figure.group == group && figure.name == name)
    }
}

impl Comparison {
    /// The names of a group's quantities with their units, each once, in the order in which the
    /// subjects have them.
    #[must_use]
    pub fn quantities(&self, group: Group) -> Vec<(&str, Unit)> {
        let mut names: Vec<(&str, Unit)> = Vec::new();
        for subject in &self.subjects {
            if let Outcome::Measured(measures) = &subject.outcome {
                for figure in measures.figures.iter().filter(|f| f.group == group) {
                    let quantity = (figure.name.as_str(), figure.unit);
                    if !names.contains(&quantity) {
                        names.push(quantity);
                    }
                }
            }
        }
        names
    }

    /// The subject that `subject` is set in relation to: the same application on the plan's first
    /// kind of kernel.
    #[must_use]
    pub fn reference(&self, subject: &Subject) -> Option<&Subject> {
        let first = self.plan.variants.first()?;
        let mut subjects = self.subjects.iter();
        subjects.find(|s| s.application == subject.application && s.variant == *first)
    }

    /// Whether a figure is of an emulator and not of a processor.
    #[must_use]
    pub fn is_emulated(&self, figure: &Figure) -> bool {
        self.conditions.emulated && figure.unit.depends_on_speed()
    }

    /// Whether the samples of a figure are further apart than the plan allows.
    #[must_use]
    pub fn is_unsteady(&self, figure: &Figure) -> bool {
        let limit = self.plan.spread_limit;
        figure
            .summary()
            .is_some_and(|summary| summary.spread() > limit)
    }
}
