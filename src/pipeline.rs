//! The stages in their order, with what they share: cache, cancellation,
//! progress, compiler.

use std::path::Path;
use std::time::Duration;

use crate::cache::{Cache, Kind};
use crate::digest::Digest;
use crate::error::Error;
use crate::guest::InitConfig;
use crate::host::{self, Purpose};
use crate::image::AppImage;
use crate::kernel::build::{self, Kernel};
use crate::kernel::conf::ConfTree;
use crate::kernel::config::{self, Request, SpecialisedConfig};
use crate::kernel::patch;
use crate::kernel::source::{self, KernelSource};
use crate::kernel::syscalls::Syscalls;
use crate::kernel::toolchain::{Compiler, Toolchain};
use crate::manifest::{Check, ImageSource, Manifest};
use crate::needs::{self, Needs};
use crate::process::Cancel;
use crate::progress::{Progress, Silent};
use crate::rootfs::Rootfs;
use crate::variant::Variant;
use crate::vmm::{
    self, Accel, CallCounts, GuestExit, HealthCheck, Machine, Probe, Readiness, Response, Vm,
    VmError, Vmm,
};

/// The pipeline: each method is a stage, and takes what the stages before it
/// gave.
pub struct Lupine {
    cache: Cache,
    cancel: Cancel,
    progress: Box<dyn Progress>,
    compiler: Compiler,
    vmm: Vmm,
    tap: Option<String>,
    traces: bool,
}

impl Lupine {
    /// A pipeline that keeps what it makes in `cache`, silent, built by gcc,
    /// booted by QEMU.
    #[must_use]
    pub fn new(cache: Cache) -> Lupine {
        let progress = Box::new(Silent);
        Lupine {
            cache,
            cancel: Cancel::new(),
            progress,
            compiler: Compiler::Gcc,
            vmm: Vmm::default(),
            tap: None,
            traces: false,
        }
    }

    /// A pipeline with the user's cache, see [`Cache::of_user`].
    ///
    /// # Errors
    /// There is no home directory.
    pub fn of_user() -> Result<Lupine, Error> {
        Ok(Lupine::new(Cache::of_user()?))
    }

    /// Reports long work to `progress`.
    #[must_use]
    pub fn with_progress(mut self, progress: Box<dyn Progress>) -> Lupine {
        self.progress = progress;
        self
    }

    /// Stops when `cancel` is set; every stage cleans up after itself.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Lupine {
        self.cancel = cancel;
        self
    }

    /// Builds kernels by another compiler.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Lupine {
        self.compiler = compiler;
        self
    }

    /// Configures kernels for another virtual machine monitor and boots them by
    /// it. [`check_vmm`](Lupine::check_vmm) says whether it can run here.
    #[must_use]
    pub fn with_vmm(mut self, vmm: Vmm) -> Lupine {
        self.vmm = vmm;
        self
    }

    /// Connects guests to a tap device of this machine instead of user-mode
    /// networking, see [`vmm::Machine::with_tap`].
    #[must_use]
    pub fn with_tap(mut self, name: impl Into<String>) -> Lupine {
        self.tap = Some(name.into());
        self
    }

    /// Merges the traces that are kept into the needs of their applications, see
    /// [`trace`](Lupine::trace). Without this, needs are those of analysis, whatever was run before.
    #[must_use]
    pub fn with_traces(mut self) -> Lupine {
        self.traces = true;
        self
    }

    /// Where it keeps what it makes.
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The token that stops this pipeline.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The virtual machine monitor that kernels are configured for.
    #[must_use]
    pub fn vmm(&self) -> Vmm {
        self.vmm
    }

    /// The listener.
    #[must_use]
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// How guests run on this machine, in words: KVM where a probe boot has
    /// shown that it works, else emulation, with the reason.
    #[must_use]
    pub fn accelerator(&self) -> String {
        match self.choose_accelerator() {
            Ok(choice) => format!("{} ({})", choice.accel.name(), choice.reason),
            Err(error) => format!("none ({error})"),
        }
    }

    /// How guests run on this machine, see [`vmm::choose_accel`]; the answer is kept.
    ///
    /// # Errors
    /// QEMU is not installed or does not run.
    pub fn choose_accelerator(&self) -> Result<vmm::Choice, VmError> {
        let memo = self.cache.path(Kind::Facts, &Digest::of(b"accelerator-1"));
        if let Some(folder) = memo.parent() {
            // Without a place to keep it the probe runs again: no error.
            let _ = std::fs::create_dir_all(folder);
        }
        Ok(vmm::choose_accel_for(self.vmm, Some(&memo), &self.cancel)?)
    }

    /// Whether the virtual machine monitor can run guests on this machine.
    ///
    /// # Errors
    /// It is not installed; or it needs KVM, which does not work here.
    pub fn check_vmm(&self) -> Result<(), Error> {
        let vmm = self.vmm;
        if vmm == Vmm::Qemu {
            return host::require(&[Purpose::Run], &[]).map_err(Error::Missing);
        }
        if vmm.find().is_none() {
            return Err(VmError::NotInstalled { vmm }.into());
        }
        let choice = self.choose_accelerator()?;
        if vmm.needs_kvm() && choice.accel != Accel::Kvm {
            let reason = choice.reason;
            return Err(VmError::NeedsKvm { vmm, reason }.into());
        }
        Ok(())
    }

    /// Whether an application can be run here, to be told before anything is
    /// built; [`boot`](Lupine::boot) asks all the same.
    ///
    /// # Errors
    /// As [`check_vmm`](Lupine::check_vmm); or the application needs a network
    /// that the virtual machine monitor does not give it, or the tap device is
    /// not there.
    pub fn check_run(&self, manifest: &Manifest) -> Result<(), Error> {
        self.check_vmm()?;
        if let Some(tap) = &self.tap {
            vmm::check_tap(tap)?;
        }
        let is_connected = self.tap.is_some() || self.vmm.has_user_network();
        if !manifest.machine.ports.is_empty() && !is_connected {
            return Err(VmError::NoUserNetwork { vmm: self.vmm }.into());
        }
        Ok(())
    }

    /// Asks for the tools of the whole path at once, to be told of a missing
    /// one before minutes have gone into the first stages. Each stage asks for
    /// its own all the same.
    ///
    /// # Errors
    /// Tools are not installed; the error has the line that installs them.
    pub fn require_tools(
        &self,
        manifest: &Manifest,
        kernel_source: Option<&Path>,
    ) -> Result<(), Error> {
        let run = (self.vmm == Vmm::Qemu).then_some(Purpose::Run);
        self.require(manifest, kernel_source, run)
    }

    /// The same for a kernel and a root file system that are built here and run elsewhere.
    ///
    /// # Errors
    /// Tools are not installed; the error has the line that installs them.
    pub fn require_build_tools(
        &self,
        manifest: &Manifest,
        kernel_source: Option<&Path>,
    ) -> Result<(), Error> {
        self.require(manifest, kernel_source, None)
    }

    fn require(
        &self,
        manifest: &Manifest,
        kernel_source: Option<&Path>,
        run: Option<Purpose>,
    ) -> Result<(), Error> {
        let has_source = kernel_source.is_some() || source::packaged().is_ok();
        Toolchain::require(self.compiler, has_source)?;
        let debian = matches!(manifest.image, ImageSource::Debian { .. });
        let image = debian.then_some(Purpose::DebianImage);
        let purposes: Vec<Purpose> = run.into_iter().chain(image).collect();
        host::require(&purposes, &[]).map_err(Error::Missing)
    }

    /// Stage 1: the application's files and configuration.
    ///
    /// # Errors
    /// The image cannot be made or read.
    pub fn image(&self, manifest: &Manifest) -> Result<AppImage, Error> {
        AppImage::open(manifest, &self.cache, &self.cancel, self.progress())
    }

    /// Stage 2: what the application needs of the kernel: by analysis, and by a trace where one is
    /// kept and [asked for](Lupine::with_traces).
    ///
    /// # Errors
    /// The image cannot run: no entry point, a missing program, interpreter or
    /// library, another architecture.
    pub fn needs(&self, image: &AppImage) -> Result<Needs, Error> {
        let mut needs = needs::analyse(image, &image.entry())?;
        if self.traces
            && let Some(trace) = self.kept_trace(image)
        {
            needs.merge(&trace);
        }
        for (symbol, value) in &image.manifest().needs.options {
            needs.state(symbol, value);
        }
        needs.have_processors(image.manifest().machine.processors);
        Ok(needs)
    }

    /// Stage 3: a clean kernel tree; the distribution's package where `path`
    /// is `None`.
    ///
    /// # Errors
    /// There is none, it is not a clean kernel tree, or the tools that build it
    /// are not installed.
    pub fn kernel_source(&self, path: Option<&Path>) -> Result<KernelSource, Error> {
        let packaged;
        let path = match path {
            Some(path) => path,
            None => {
                packaged = source::packaged()?;
                &packaged
            }
        };
        // Unpacking takes long: first see whether anything can be built.
        Toolchain::require(self.compiler, true)?;
        Ok(KernelSource::open(
            path,
            &self.cache,
            &self.cancel,
            self.progress(),
        )?)
    }

    /// Stage 4: the tree that the variant is built from: with the Kernel Mode
    /// Linux patches where its application runs in kernel mode, else as it is.
    ///
    /// # Errors
    /// There are no patches for the tree's version, or they do not fit it.
    pub fn patch(&self, source: KernelSource, variant: Variant) -> Result<KernelSource, Error> {
        if !variant.has_kml() {
            return Ok(source);
        }
        let patched = patch::patched(&source, &self.cache, &self.cancel, self.progress())?;
        Ok(patched)
    }

    /// Stage 5: the smallest configuration that meets base and needs.
    ///
    /// # Errors
    /// An option cannot have the value that it needs; the error names the
    /// unmet dependency.
    pub fn specialise(
        &self,
        source: &KernelSource,
        needs: &Needs,
        variant: Variant,
    ) -> Result<SpecialisedConfig, Error> {
        let mut request = Request::new(needs, variant);
        request.vmm = self.vmm;
        self.specialise_as(source, &request)
    }

    /// Stage 5 with another base, or from an existing configuration.
    ///
    /// # Errors
    /// As [`Lupine::specialise`].
    pub fn specialise_as(
        &self,
        source: &KernelSource,
        request: &Request<'_>,
    ) -> Result<SpecialisedConfig, Error> {
        let toolchain = self.toolchain()?;
        let config = config::specialise(source, &toolchain, request, &self.cache, &self.cancel)?;
        Ok(config)
    }

    /// Which options of a tree offer which system call.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn syscalls(&self, source: &KernelSource) -> Result<Syscalls, Error> {
        Ok(config::syscalls(source, &self.cache)?)
    }

    /// Stage 6: the kernel.
    ///
    /// # Errors
    /// It does not compile, the disk is full, or the tree's own conf would
    /// change the configuration.
    pub fn kernel(
        &self,
        source: &KernelSource,
        config: &SpecialisedConfig,
    ) -> Result<Kernel, Error> {
        self.kernel_of(source, &config.text)
    }

    /// The same from the text of a `.config`.
    ///
    /// # Errors
    /// As [`Lupine::kernel`].
    pub fn kernel_of(&self, source: &KernelSource, config: &[u8]) -> Result<Kernel, Error> {
        let toolchain = self.toolchain()?;
        Ok(build::build(
            source,
            config,
            &toolchain,
            &self.cache,
            &self.cancel,
            self.progress(),
        )?)
    }

    /// Kconfig of a tree for any architecture (make's `ARCH`), by tools whose
    /// names begin with `cross` (make's `CROSS_COMPILE`). A directory may have
    /// been configured or built in; a tarball is unpacked into the cache; the
    /// distribution's package serves where `path` is `None`.
    ///
    /// # Errors
    /// There is no such tree or architecture, or the compiler is missing.
    pub fn conf_tree(
        &self,
        path: Option<&Path>,
        arch: &str,
        cross: &str,
    ) -> Result<ConfTree, Error> {
        let tree = match path {
            Some(directory) if directory.is_dir() => directory.to_owned(),
            other => self.kernel_source(other)?.path,
        };
        let toolchain = self.toolchain()?;
        Ok(ConfTree::open(&tree, arch, cross, &toolchain, &self.cache)?)
    }

    /// The compiler and its companions, as this machine has them.
    ///
    /// # Errors
    /// One is missing.
    pub fn toolchain(&self) -> Result<Toolchain, Error> {
        Ok(Toolchain::detect(self.compiler, true, &self.cancel)?)
    }

    /// Stage 7: the root file system: the image's files, our init and what it
    /// has to do.
    ///
    /// # Errors
    /// The user or group is not in the image, or the disk is full.
    pub fn rootfs(&self, image: &AppImage, variant: Variant) -> Result<Rootfs, Error> {
        let init: InitConfig = image.init(variant);
        Rootfs::build(image, &init, &self.cache, &self.cancel, self.progress())
    }

    /// Stage 8: a running guest. `forwards` pairs host ports with guest ports;
    /// with a tap device there are none, see [`Lupine::with_tap`].
    ///
    /// # Errors
    /// As [`check_vmm`](Lupine::check_vmm), a port is in use, or the virtual
    /// machine monitor cannot boot such a machine.
    pub fn boot(
        &self,
        kernel: &Kernel,
        rootfs: &Rootfs,
        manifest: &Manifest,
        forwards: &[(u16, u16)],
    ) -> Result<Guest, Error> {
        self.check_vmm()?;
        let choice = self.choose_accelerator()?;
        self.progress.message(&format!(
            "booting by {} ({})",
            choice.accel.name(),
            choice.reason
        ));
        let kernel = kernel.file(self.vmm.kernel_file());
        let mut machine = self.machine(&kernel, rootfs.path(), manifest);
        for &(host, guest) in forwards {
            machine = machine.forward(host, guest);
        }
        let vm = Vm::boot(&machine, choice.accel, &self.cancel)?;
        Ok(Guest {
            vm,
            health: health_check(manifest),
        })
    }
}

impl Lupine {
    /// The machine of an application, by this pipeline's virtual machine monitor, on its tap
    /// device if it has one and the application is on the network.
    pub(crate) fn machine(&self, kernel: &Path, root: &Path, manifest: &Manifest) -> Machine {
        let mut machine = Machine::new(kernel, root);
        machine.vmm = self.vmm;
        machine.memory_mib = manifest.machine.memory_mib;
        machine.cpus = manifest.machine.processors;
        machine.network = !manifest.machine.ports.is_empty();
        if let Some(seconds) = manifest.run.stop_timeout_s {
            machine.stop_timeout_s = seconds;
        }
        match &self.tap {
            Some(tap) if machine.network => machine.with_tap(tap),
            _ => machine,
        }
    }

    /// Whether guests are on a tap device, where the host reaches every port.
    pub(crate) fn has_tap(&self) -> bool {
        self.tap.is_some()
    }
}

/// The manifest's health check as the virtual machine's.
pub(crate) fn health_check(manifest: &Manifest) -> HealthCheck {
    let Some(health) = &manifest.health else {
        return HealthCheck::new(Probe::Started);
    };
    let probe = match health.check.clone() {
        Check::Http { port, path, status } => Probe::Http { port, path, status },
        Check::Tcp { port } => Probe::Tcp { port },
        Check::Console(text) => Probe::Console { text },
    };
    HealthCheck::new(probe).within(health.time_limit())
}

/// A running guest. Dropping it ends it.
#[derive(Debug)]
pub struct Guest {
    vm: Vm,
    health: HealthCheck,
}

impl Guest {
    /// Waits until the application's health check passes.
    ///
    /// # Errors
    /// The guest panicked, ended, ran out of memory, or was not ready in time;
    /// the error holds the console's end.
    pub fn wait_ready(&mut self, on_line: impl FnMut(&[u8])) -> Result<Readiness, Error> {
        Ok(self.vm.wait_ready(&self.health, on_line)?)
    }

    /// A GET of `path` from a forwarded port of the guest.
    ///
    /// # Errors
    /// The port is not forwarded or does not answer.
    pub fn get(&self, port: u16, path: &str) -> std::io::Result<Response> {
        let missing = || {
            let text = format!("guest port {port} is not forwarded");
            std::io::Error::new(std::io::ErrorKind::NotConnected, text)
        };
        let host = self.vm.host_port(port).ok_or_else(missing)?;
        vmm::http_get(host, path, Duration::from_secs(10))
    }

    /// Waits until the application ends by itself.
    ///
    /// # Errors
    /// The guest panicked or ran out of memory, or the user cancelled.
    pub fn wait(&mut self, on_line: impl FnMut(&[u8])) -> Result<GuestExit, Error> {
        Ok(self.vm.wait(None, on_line)?)
    }

    /// Asks the application to end, and ends the guest if it does not.
    ///
    /// # Errors
    /// The virtual machine's pipes failed.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.vm.stop(|_| {})?;
        Ok(())
    }

    /// How many system calls came which way, once the application has ended: a
    /// kernel with `KML_STATS=y` counts them (see
    /// [`count_calls`](Manifest::count_calls)).
    #[must_use]
    pub fn calls(&self) -> Option<CallCounts> {
        self.vm.console().calls()
    }

    /// The virtual machine.
    pub fn vm(&mut self) -> &mut Vm {
        &mut self.vm
    }
}
