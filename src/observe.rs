//! Running an application to see what it asks of the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::cache::Kind;
use crate::digest::{Digest, DigestBuilder};
use crate::error::{Blame, Error};
use crate::guest::ByteString;
use crate::guest::init::TRACE;
use crate::image::AppImage;
use crate::kernel::base::Base;
use crate::kernel::build::Kernel;
use crate::kernel::source::KernelSource;
use crate::kernel::syscalls::Syscalls;
use crate::manifest::Manifest;
use crate::needs::trace::Refusal;
use crate::needs::{Needs, Requirement, Trace, table, worked};
use crate::pipeline::{Guest, Lupine};
use crate::rootfs::Rootfs;
use crate::variant::Variant;
use crate::vmm::free_port;
use syscalls::x86_64::Sysno;

/// The user mode of an unpatched tree: in kernel mode calls do not pass where a
/// tracer looks.
const VARIANT: Variant = Variant::LupineNokml;

/// What a kernel with everything takes beside the application, MiB.
const MORE_MEMORY: u32 = 96;

/// How much longer an application may take that is stopped at each call.
const PATIENCE: u32 = 4;

/// The least time for an application to which something is refused.
const SHORTEST: Duration = Duration::from_secs(20);

/// How long an application without a health check is watched.
const WATCHED: Duration = Duration::from_secs(10);

const TRACE_FILE: &str = "trace.json";

impl Lupine {
    /// Runs an application until its health check passes, on a kernel that has whatever a program
    /// can ask for, and keeps what it asked for: made once for an image and its configuration.
    /// `source` is a tree without patches.
    ///
    /// # Errors
    /// A stage on the way to the guest failed, or the application did not get ready.
    pub fn trace(&self, image: &AppImage, source: &KernelSource) -> Result<Trace, Error> {
        let key = key(image);
        let waiting = || {
            let text = "another run is tracing this application; waiting";
            self.progress().message(text);
        };
        let folder = self.cache().get_or_make(
            Kind::Trace,
            &key,
            self.cancel(),
            &mut { waiting },
            |folder| {
                let trace = self.observe(image, source)?;
                let json = serde_json::to_vec_pretty(&trace).map_err(std::io::Error::from)?;
                fs::write(folder.join(TRACE_FILE), json)?;
                Ok::<(), Error>(())
            },
        )?;
        let json = fs::read(folder.join(TRACE_FILE))?;
        Ok(serde_json::from_slice(&json).map_err(std::io::Error::from)?)
    }

    /// The trace of an application that is kept, if one is.
    #[must_use]
    pub fn kept_trace(&self, image: &AppImage) -> Option<Trace> {
        let folder = self.trace_folder(image);
        serde_json::from_slice(&fs::read(folder.join(TRACE_FILE)).ok()?).ok()
    }

    /// Where the trace of an application is or will be kept.
    #[must_use]
    pub fn trace_folder(&self, image: &AppImage) -> PathBuf {
        self.cache().path(Kind::Trace, &key(image))
    }

    fn observe(&self, image: &AppImage, source: &KernelSource) -> Result<Trace, Error> {
        let syscalls = self.syscalls(source)?;
        let mut needs = everything(&syscalls);
        for (symbol, value) in &image.manifest().needs.options {
            needs.state(symbol, value);
        }
        let config = self.specialise(source, &needs, VARIANT)?;
        let kernel = self.kernel(source, &config)?;
        let (mut guest, ready) = self.watch(image, &kernel, Vec::new(), None)?;
        if image.manifest().health.is_none() {
            guest.vm().wait_for(WATCHED, |_| {})?;
        }
        guest.stop()?;
        let lines = guest.vm().console().saw().iter().map(String::as_str);
        let mut trace = Trace::read(&source.version.to_string(), lines);
        drop(guest);
        // Without a check nothing tells whether an application does without.
        if image.manifest().health.is_some() {
            let base = Base::lupine().options(VARIANT, self.vmm(), &source.version);
            let base: BTreeSet<String> = base.into_iter().map(|option| option.symbol).collect();
            for (option, refused) in refusals(&trace, &syscalls, &base) {
                self.progress()
                    .message(&format!("once more, without what CONFIG_{option} offers"));
                let limit = SHORTEST.max(ready.saturating_mul(PATIENCE));
                let deny = deny(&refused);
                let ready = match self.watch(image, &kernel, deny, Some(limit)) {
                    Ok(_) => true,
                    Err(error)
                        if error.blame() == Blame::Guest && !self.cancel().is_cancelled() =>
                    {
                        false
                    }
                    Err(error) => return Err(error),
                };
                trace.refusals.push(Refusal {
                    option,
                    refused,
                    ready,
                });
            }
        }
        Ok(trace)
    }

    /// Boots the application under the tracer, and waits until it is ready: the guest, and how long
    /// that took.
    fn watch(
        &self,
        image: &AppImage,
        kernel: &Kernel,
        deny: Vec<ByteString>,
        limit: Option<Duration>,
    ) -> Result<(Guest, Duration), Error> {
        let mut init = image.init(VARIANT);
        init.trace = true;
        init.deny = deny;
        let rootfs = Rootfs::build(image, &init, self.cache(), self.cancel(), self.progress())?;
        let manifest = patient(image.manifest(), limit);
        let mut forwards = Vec::new();
        if let Some(port) = manifest.health_port()
            && self.vmm().has_user_network()
        {
            forwards.push((free_port()?, port));
        }
        let mut guest = self.boot(kernel, &rootfs, &manifest, &forwards)?;
        let readiness = guest.wait_ready(|_| {})?;
        Ok((guest, readiness.ready))
    }
}

/// What a trace depends on: files and configuration of the image, what is
/// asked of the application, and the tracer. Not the kernel: the trace is the
/// application's.
fn key(image: &AppImage) -> Digest {
    let manifest = image.manifest();
    let asked = serde_json::to_vec(&(&manifest.health, &manifest.machine.ports));
    DigestBuilder::new("trace-1")
        .field("image", image.key().as_str().as_bytes())
        .field("asked", &asked.unwrap_or_default())
        .field("tracer", TRACE)
        .finish()
}

/// With memory for a larger kernel, and time for an application that is stopped at each call.
fn patient(manifest: &Manifest, limit: Option<Duration>) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.machine.memory_mib = manifest.machine.memory_mib.saturating_add(MORE_MEMORY);
    if let Some(health) = &mut manifest.health {
        let patient = health.time_limit_s.saturating_mul(PATIENCE.into());
        health.time_limit_s = limit.map_or(patient, |limit| limit.as_secs());
    }
    manifest
}

/// A need of every option that offers something to programs: of each call that
/// a kernel may lack, and of what the table of arguments, paths and behaviour
/// names.
fn everything(syscalls: &Syscalls) -> Needs {
    let mut needs = Needs::default();
    let of_calls = syscalls.iter().flat_map(|(call, _)| syscalls.options(call));
    let of_table = table::options().into_iter();
    let of_table = of_table.map(|option| (option.to_owned(), "y".to_owned()));
    for (symbol, value) in of_table.chain(of_calls) {
        needs.state(&symbol, &value);
    }
    needs
}

/// Options beside base that offer something of what a trace saw, each with all
/// calls and families that a kernel without it would refuse.
fn refusals(
    trace: &Trace,
    syscalls: &Syscalls,
    base: &BTreeSet<String>,
) -> BTreeMap<String, BTreeSet<Requirement>> {
    let options = worked(trace).flat_map(|requirement| match &requirement {
        Requirement::Call(call) => syscalls.options(call),
        other => table::options_of(other),
    });
    let mut refusals = BTreeMap::new();
    for (option, _) in options.filter(|(option, _)| !base.contains(option)) {
        let calls = syscalls.iter().map(|(call, _)| call);
        let calls = calls.filter(|call| syscalls.options(call).contains_key(&option));
        let calls = calls.map(|call| Requirement::Call(call.to_owned()));
        let families = table::families_of(&option)
            .filter_map(table::socket_family)
            .map(|(name, _)| Requirement::Socket(name.to_owned()));
        let locks =
            (option == "FILE_LOCKING").then(|| Requirement::Behaviour("file locks".to_owned()));
        let refused: BTreeSet<Requirement> = calls.chain(families).chain(locks).collect();
        // Paths and network cards are nothing that a tracer could refuse.
        if !refused.is_empty() {
            refusals.insert(option, refused);
        }
    }
    refusals
}

/// What the tracer is told to refuse.
fn deny(refused: &BTreeSet<Requirement>) -> Vec<ByteString> {
    let mut words = Vec::new();
    for requirement in refused {
        match requirement {
            Requirement::Call(name) => {
                let number = Sysno::iter().find(|call| call.name() == name);
                words.extend(number.map(|call| format!("-{}", call.id())));
            }
            Requirement::Socket(name) => {
                if let Some(family) = table::number_of_family(name) {
                    for call in [Sysno::socket, Sysno::socketpair] {
                        words.push(format!("-{}={family}", call.id()));
                    }
                }
            }
            _ => {
                let commands = table::LOCK_COMMANDS.iter();
                words.extend(commands.map(|n| format!("-{}={n}", Sysno::fcntl.id())));
            }
        }
    }
    words.into_iter().map(|word| word.as_str().into()).collect()
}
