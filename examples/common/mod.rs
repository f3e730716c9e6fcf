//! What the examples share: arguments, bars, the summary.
#![allow(
    dead_code,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "examples print; not each uses all"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use lupine::error::with_causes;
use lupine::kernel::build::Kernel;
use lupine::kernel::config::SpecialisedConfig;
use lupine::kernel::source::KernelSource;
use lupine::needs::{Needs, Strength};
use lupine::process::Cancel;
use lupine::rootfs::Rootfs;
use lupine::variant::Variant;
use lupine::{Error, Guest, Lupine};

/// `--kernel-src DIR|TARBALL`, `--variant VARIANT`, `--count-calls`.
pub(crate) struct Args {
    pub(crate) kernel_src: Option<PathBuf>,
    pub(crate) variant: Variant,
    /// Whether the kernel counts system calls by the way that they come.
    pub(crate) count_calls: bool,
    cancel: Cancel,
}

impl Args {
    /// A pipeline with the user's cache, bars, and Ctrl-C.
    pub(crate) fn lupine(&self) -> Result<Lupine, Error> {
        let progress = lupine_cli::bars::for_stderr(false);
        Ok(Lupine::of_user()?
            .with_progress(progress)
            .with_cancel(self.cancel.clone()))
    }
}

/// Parses the arguments, runs the example, prints the error chain.
pub(crate) fn main(run: impl FnOnce(&Args) -> Result<(), Error>) -> ExitCode {
    let cancel = Cancel::on_signals().unwrap_or_default();
    let mut args = Args {
        kernel_src: None,
        variant: Variant::default(),
        count_calls: false,
        cancel,
    };
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let given = words.len();
    words.retain(|word| word != "--count-calls");
    args.count_calls = words.len() < given;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.next()) {
            ("--kernel-src", Some(path)) => args.kernel_src = Some(path.into()),
            ("--variant", Some(name)) if name.parse::<Variant>().is_ok() => {
                args.variant = name.parse().unwrap_or_default();
            }
            _ => {
                eprintln!(
                    "usage: [--kernel-src DIR|TARBALL] [--variant lupine|lupine-nokml] [--count-calls]"
                );
                return ExitCode::from(2);
            }
        }
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if args.cancel.is_cancelled() => ExitCode::from(130),
        Err(error) => {
            eprintln!("{}", with_causes(&error, "\n  because: "));
            ExitCode::FAILURE
        }
    }
}

/// What was built, and from what.
pub(crate) fn summary(
    source: &KernelSource,
    needs: &Needs,
    config: &SpecialisedConfig,
    kernel: &Kernel,
    rootfs: &Rootfs,
) {
    let size = |path: PathBuf| {
        std::fs::metadata(path)
            .map(|meta| meta.len())
            .unwrap_or_default()
    };
    let count = |strength| {
        needs
            .needs
            .iter()
            .filter(|n| n.strength == strength)
            .count()
    };
    println!();
    println!(
        "kernel       Linux {}, variant {}",
        source.version, config.variant
    );
    println!(
        "needs        {} required, {} optional",
        count(Strength::Required),
        count(Strength::Optional)
    );
    println!(
        "options      {} set, {} of them with a prompt",
        config.set, config.set_with_prompt
    );
    println!("bzImage      {:.2} MB", size(kernel.bzimage()) as f64 / 1e6);
    println!(
        "root         {:.0} MB, ext2",
        size(rootfs.path().to_owned()) as f64 / 1e6
    );
    let rewritten = rootfs.rewritten();
    if !rewritten.is_empty() {
        let sites: usize = rewritten.iter().map(|file| file.rewritten).sum();
        let native: usize = rewritten.iter().map(|file| file.native).sum();
        println!(
            "system calls {sites} sites rewritten in {} files, {native} native",
            rewritten.iter().filter(|file| file.rewritten > 0).count()
        );
    }
    println!("reasons      {}", kernel.directory.display());
    println!();
}

/// How many system calls came which way, where the kernel counted them.
pub(crate) fn calls(guest: &Guest) {
    let Some(calls) = guest.calls() else { return };
    let share = calls.gate_share().unwrap_or_default() * 100.0;
    println!(
        "calls        {} through the gate ({share:.2} % of those in kernel mode), {} by syscall, {} from user mode",
        calls.gate, calls.syscall, calls.ring3
    );
}

/// The title of an HTML page.
pub(crate) fn title(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let title = page
        .split("<title>")
        .nth(1)
        .and_then(|rest| rest.split("</title>").next());
    title.unwrap_or("(no title)").to_owned()
}
