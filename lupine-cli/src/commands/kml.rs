//! `lupine kml ...`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use lupine::scan::{ScannedFile, scan_image};
use lupine_kml::apply::{self, ApplyError, Mode, Outcome, Series, patch_directory};
use lupine_kml::patches::{Fit, PatchError, patch_kernel, verify_kernel};
use lupine_kml::rewrite::{
    Caution, FileReport, Options, Plan, Report, RewriteError, rewrite_bytes, rewrite_file,
    undo_bytes, undo_file,
};
use lupine_kml::scan::{Number, Scan, Site};
use lupine_kml::verify::{
    Subject, TreeState, VmlinuxError, verify_config, verify_tree, verify_vmlinux,
};
use lupine_kml::verify_rewrite::{Mismatch, verify};
use serde::Serialize;
use thiserror::Error as ThisError;

use super::{Failure, Session, complain};
use crate::args::kml::{self as args, Kml};
use crate::bars;

/// Why `lupine kml` failed.
#[derive(Debug, ThisError)]
pub(super) enum KmlFailure {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Patch(#[from] PatchError),
    #[error("{}", path.display())]
    Vmlinux { path: PathBuf, source: VmlinuxError },
    #[error("{}: {source}", path.display())]
    Rewrite { path: PathBuf, source: RewriteError },
    #[error("{}: {source}", path.display())]
    Mismatch { path: PathBuf, source: Mismatch },
    /// Said by the command already.
    #[error("the patches do not fit this tree: nothing was changed")]
    Rejected,
    /// Said by the command already.
    #[error("{} is not what Kernel Mode Linux needs, see above", path.display())]
    Unfit { path: PathBuf },
}

impl KmlFailure {
    pub(super) fn status(&self) -> u8 {
        match self {
            KmlFailure::Rejected | KmlFailure::Unfit { .. } => 1,
            KmlFailure::Mismatch { source, .. } => match source {
                Mismatch::Elf(_) | Mismatch::NotRewritten => 3,
                _ => 1,
            },
            KmlFailure::Rewrite {
                source: RewriteError::Io { .. },
                ..
            }
            | KmlFailure::Patch(PatchError::Apply(ApplyError::Journal(_))) => 4,
            _ => 3,
        }
    }
}

pub(super) fn execute(session: &Session<'_>, args: &Kml) -> Result<(), Failure> {
    match args {
        Kml::Patch(args) => patch(session, args),
        Kml::Verify(args) => verify_path(session, args),
        Kml::Scan(args) => scan_path(session, args),
        Kml::Rewrite(args) => rewrite(session, args),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KmlFailure> {
    std::fs::read(path).map_err(|source| KmlFailure::Read {
        path: path.to_owned(),
        source,
    })
}

/// The series that was named, if one was.
fn named_series(
    patch: Option<&PathBuf>,
    series: Option<&PathBuf>,
) -> Result<Option<Series>, KmlFailure> {
    let read = match (patch, series) {
        (Some(file), _) => Some(Series::read_patch(file)),
        (None, Some(directory)) => Some(Series::read_directory(directory)),
        (None, None) => None,
    };
    let failed = |e| KmlFailure::Patch(ApplyError::from(e).into());
    read.transpose().map_err(failed)
}

fn fit(force: bool) -> Fit {
    match force {
        true => Fit::Nearest,
        false => Fit::Supported,
    }
}

fn patch(session: &Session<'_>, args: &args::Patch) -> Result<(), Failure> {
    let options = apply::Options {
        fuzz: args.fuzz,
        reverse: args.reverse,
    };
    let mode = match args.check {
        true => Mode::Check,
        false => Mode::Write,
    };
    let report = match named_series(args.patch.as_ref(), args.series.as_ref())? {
        Some(series) => {
            patch_directory(&args.src, &series, options, mode).map_err(PatchError::from)
        }
        None => patch_kernel(&args.src, fit(args.force), options, mode),
    };
    let report = report.map_err(KmlFailure::from)?;
    session.print(&report, &report.to_string())?;
    match report.outcome {
        Outcome::Rejected => Err(KmlFailure::Rejected.into()),
        Outcome::Applies | Outcome::AlreadyApplied => Ok(()),
    }
}

fn verify_path(session: &Session<'_>, args: &args::Verify) -> Result<(), Failure> {
    let path = args.path.clone();
    if args.boot {
        let found = session.lupine()?.privileges(&path)?;
        session.print(&found, &found.to_string())?;
        return match found.is_kernel_mode_linux() {
            true => Ok(()),
            false => Err(KmlFailure::Unfit { path }.into()),
        };
    }
    let (subject, bytes) = Subject::read(&path).map_err(|source| KmlFailure::Read {
        path: path.clone(),
        source,
    })?;
    let good = match subject {
        Subject::Tree => {
            let report = match named_series(None, args.series.as_ref())? {
                Some(series) => verify_tree(&path, &series).map_err(PatchError::from),
                None => verify_kernel(&path, fit(args.force)),
            };
            let report = report.map_err(KmlFailure::from)?;
            session.print(&report, &report.to_string())?;
            report.state == TreeState::Applied && !report.interrupted
        }
        Subject::Config => {
            let report = verify_config(&bytes);
            session.print(&report, &report.to_string())?;
            report.enabled
        }
        Subject::Vmlinux => {
            let report = verify_vmlinux(&bytes).map_err(|source| KmlFailure::Vmlinux {
                path: path.clone(),
                source,
            })?;
            session.print(&report, &report.to_string())?;
            report.good
        }
        _ => {
            let original = args.original.as_deref().map(read).transpose()?;
            let checked =
                verify(original.as_deref(), &bytes).map_err(|source| KmlFailure::Mismatch {
                    path: path.clone(),
                    source,
                })?;
            let text = format!(
                "{} sites lead to the gate ({} where the process is in kernel mode), and do what the original does; {} bytes of code changed, each explained\n",
                checked.sites, checked.tested, checked.changed
            );
            session.print(&checked, &text)?;
            true
        }
    };
    match good {
        true => Ok(()),
        false => Err(KmlFailure::Unfit { path }.into()),
    }
}

fn scan_path(session: &Session<'_>, args: &args::Scan) -> Result<(), Failure> {
    if is_elf(&args.path)? {
        let scan =
            lupine_kml::scan::scan(&read(&args.path)?).map_err(|source| KmlFailure::Rewrite {
                path: args.path.clone(),
                source: source.into(),
            })?;
        let mut text = summary(&args.path.display().to_string(), &scan);
        sites(&scan, &mut text);
        return session.print(&scan, &text);
    }
    let progress = bars::for_stderr(session.common.quiet);
    let files = scan_image(&args.path, &session.cancel, &*progress)?;
    let mut text = String::new();
    let (mut found, mut rewritable, mut with) = (0, 0, 0);
    for ScannedFile { path, scan, error } in &files {
        if let Some(scan) = scan.as_ref().filter(|s| !s.sites.is_empty()) {
            (found, rewritable) = (found + scan.sites.len(), rewritable + scan.rewritable());
            with += 1;
            text.push_str(&summary(path, scan));
            if args.sites {
                sites(scan, &mut text);
            }
        }
        if let Some(error) = error {
            let _ = writeln!(text, "{path}: {error}");
        }
    }
    let _ = writeln!(
        text,
        "{} ELF files, {with} with system calls: {found} sites, {rewritable} can be rewritten, {} stay native",
        files.len(),
        found - rewritable
    );
    session.print(&files, &text)
}

fn is_elf(path: &Path) -> Result<bool, KmlFailure> {
    let failed = |source| KmlFailure::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(false);
    }
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(4).read_to_end(&mut start).map_err(failed)?;
    Ok(start == b"\x7fELF")
}

/// One line about a file.
fn summary(name: &str, scan: &Scan) -> String {
    let (all, rewritable) = (scan.sites.len(), scan.rewritable());
    let mut text = format!(
        "{name}: {all} sites, {rewritable} can be rewritten, {} stay native",
        all - rewritable
    );
    if !scan.unreached.is_empty() {
        let _ = write!(
            text,
            "; {} byte pairs that look like one are not known to be code",
            scan.unreached.len()
        );
    }
    if scan.rewritten {
        text.push_str("; the file has been rewritten");
    }
    text.push('\n');
    text
}

/// A line per site: offset, address, number, how or why not, function.
fn sites(scan: &Scan, text: &mut String) {
    for site in &scan.sites {
        let _ = writeln!(
            text,
            "  {:>8x} {:>8x}  {:<14} {:<34} {:<28} {}",
            site.offset,
            site.address,
            number(&site.number),
            plan(&site.plan),
            function(site),
            evidence(site)
        );
    }
}

fn number(number: &Number) -> String {
    match number {
        Number::Known(all) => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            all.join(" or ")
        }
        Number::Argument(at) => format!("argument {at}"),
        Number::Unknown => "unknown".to_owned(),
    }
}

fn plan(plan: &Plan) -> String {
    match plan {
        Plan::Displaced { instructions, .. } => format!("moves {instructions} in front of it"),
        Plan::ShortJump { instructions, .. } => {
            format!("moves {instructions}, jumps by way of padding")
        }
        Plan::Retargeted { branches } => format!("leads {} branches away", branches.len()),
        Plan::Window { .. } => "moves with its cancellation window".to_owned(),
        Plan::Native { reason } => format!("native: {}", words(reason)),
        _ => "-".to_owned(),
    }
}

/// A value of the library as its JSON has it, in a line.
fn words(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    let Some(fields) = value.as_object() else {
        return value.as_str().unwrap_or_default().replace('_', " ");
    };
    let mut all: Vec<String> = Vec::new();
    for (name, field) in fields {
        match (name.as_str(), field.as_u64(), field.as_str()) {
            ("why" | "by", _, Some(word)) => all.insert(0, word.replace('_', " ")),
            ("bytes", Some(count), _) => all.push(format!("{count} bytes")),
            (_, Some(address), _) => all.push(format!("{address:#x}")),
            _ => {}
        }
    }
    all.join(" ")
}

fn function(site: &Site) -> String {
    let Some(function) = &site.function else {
        return "-".to_owned();
    };
    let within = site.address - function.start;
    match &function.name {
        Some(name) => format!("{name}+{within:#x}"),
        None => format!("{:#x}+{within:#x}", function.start),
    }
}

fn evidence(site: &Site) -> String {
    format!("code by {}", words(&site.evidence))
}

/// What was done to one file, for machines.
#[derive(Serialize)]
struct Done {
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    rewritten: Option<FileReport>,
    undone: bool,
}

fn rewrite(session: &Session<'_>, args: &args::Rewrite) -> Result<(), Failure> {
    if args.output.is_none() && !args.in_place && !args.check {
        let text = "name an --output, or say --in-place, or --check";
        return Err(Failure::Usage(text.to_owned()));
    }
    if args.output.is_some() && args.files.len() != 1 {
        let text = "--output takes one file; several are rewritten --in-place";
        return Err(Failure::Usage(text.to_owned()));
    }
    let mut all = Vec::new();
    let mut text = String::new();
    for file in &args.files {
        let done = one(args, file).map_err(|source| KmlFailure::Rewrite {
            path: file.clone(),
            source,
        })?;
        tell(&done, &mut text);
        all.push(done);
    }
    session.print(&all, &text)
}

fn one(args: &args::Rewrite, file: &Path) -> Result<Done, RewriteError> {
    let options = Options {
        gate: args.gate.into(),
    };
    let to = args.output.as_deref().unwrap_or(file);
    let load = || {
        std::fs::read(file).map_err(|e| RewriteError::Io {
            action: "read",
            path: file.display().to_string(),
            message: e.to_string(),
        })
    };
    let rewritten = match (args.undo, args.check) {
        (true, true) => {
            undo_bytes(&load()?)?;
            None
        }
        (true, false) => {
            undo_file(file, to)?;
            None
        }
        (false, true) => Some(FileReport {
            report: rewrite_bytes(&load()?, &options)?.report,
            written: false,
            cautions: Vec::new(),
        }),
        (false, false) => Some(rewrite_file(file, to, &options)?),
    };
    Ok(Done {
        path: file.to_owned(),
        undone: args.undo,
        rewritten,
    })
}

/// What was done to one file, for people; what they must know goes to standard
/// error.
fn tell(done: &Done, text: &mut String) {
    let path = done.path.display();
    let Some(FileReport {
        report,
        written,
        cautions,
    }) = &done.rewritten
    else {
        let _ = writeln!(text, "{path}: the original, to the byte");
        return;
    };
    let _ = writeln!(
        text,
        "{path}: {} sites rewritten, {} native; {} bytes longer{}",
        report.rewritten,
        report.native,
        report.growth,
        if *written {
            ""
        } else {
            "; nothing was written"
        }
    );
    for (reason, count) in reasons(report) {
        let _ = writeln!(text, "  {count} native: {reason}");
    }
    if report.moved_headers {
        complain(&format!(
            "{path}: the program headers had to move; do not strip the file afterwards"
        ));
    }
    for caution in cautions {
        complain(&format!("{path}: {}", warning(caution)));
    }
}

fn reasons(report: &Report) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for site in &report.scan.sites {
        if let Plan::Native { reason } = &site.plan {
            let text = format!("{} at {}", words(reason), function(site));
            *all.entry(text).or_default() += 1;
        }
    }
    all
}

fn warning(caution: &Caution) -> String {
    match caution {
        Caution::Signature { attribute } => {
            format!("the signature in {attribute} is that of the original")
        }
        Caution::Checksum { path } => format!("the checksum in {path} is that of the original"),
        Caution::HardLinks { count } => {
            format!("it had {count} names; the others keep the original")
        }
        _ => "see the report".to_owned(),
    }
}
