//! `lupine run`.

use std::io::Write as _;
use std::time::Duration;

use lupine::error::with_causes;
use lupine::vmm::{GuestExit, Vmm};
use serde::Serialize;

use super::{Failure, Session, complain};
use crate::args::Run;

#[derive(Serialize)]
struct Ran {
    ready_ms: u128,
    started_ms: Option<u128>,
    exit: Option<GuestExit>,
}

pub(super) fn execute(session: &Session<'_>, args: &Run) -> Result<(), Failure> {
    let lupine = session.lupine_for(&args.kernel)?;
    let lupine = Session::on_tap(lupine, args.tap.as_deref());
    let mut manifest = session.manifest(&args.image)?;
    if let Some(memory) = args.memory {
        manifest.machine.memory_mib = memory;
    }
    if let Some(processors) = args.cpus {
        manifest.machine.processors = processors;
    }
    for (_, guest) in &args.publish {
        if !manifest.machine.ports.contains(guest) {
            manifest.machine.ports.push(*guest);
        }
    }
    // QEMU is among the tools, and named with all that is missing.
    if args.kernel.vmm != Vmm::Qemu || args.tap.is_some() {
        lupine.check_run(&manifest)?;
    }
    lupine.require_tools(&manifest, args.kernel.kernel_src.as_deref())?;
    let image = lupine.image(&manifest)?;
    // Completed by what the image itself says.
    let manifest = image.manifest();
    let needs = lupine.needs(&image)?;
    let source = lupine.kernel_source(args.kernel.kernel_src.as_deref())?;
    let source = lupine.patch(source, args.kernel.variant)?;
    let config = lupine.specialise(&source, &needs, args.kernel.variant)?;
    let kernel = lupine.kernel(&source, &config)?;
    let rootfs = lupine.rootfs(&image, args.kernel.variant)?;
    let mut forwards = args.publish.clone();
    if let Some(port) = manifest.health_port()
        && args.tap.is_none()
        && !forwards.iter().any(|(_, guest)| *guest == port)
    {
        forwards.push((lupine::free_port().map_err(lupine::Error::from)?, port));
    }
    let mut guest = lupine.boot(&kernel, &rootfs, manifest, &forwards)?;
    let json = session.common.json;
    // The console is the application's output: data, unless machines listen.
    let mut console = move |line: &[u8]| {
        let mut out = std::io::stdout().lock();
        if !json
            && out
                .write_all(line)
                .and_then(|()| out.write_all(b"\n"))
                .is_ok()
        {
            let _ = out.flush();
        }
    };
    // Says which options the console's end points to.
    let explain = |console: &str| -> Result<(), Failure> {
        let mut needs = needs.clone();
        let syscalls = lupine.syscalls(&source)?;
        needs.resolve(&syscalls);
        for suspect in lupine::needs::suspects(&needs, &syscalls, &config.text, console) {
            complain(&suspect.to_string());
        }
        Ok(())
    };
    let readiness = match guest.wait_ready(&mut console) {
        Ok(readiness) => readiness,
        Err(error) => {
            // The error ends with the console's end.
            explain(&with_causes(&error, "\n"))?;
            return Err(error.into());
        }
    };
    if !session.common.quiet {
        let ready = readiness.ready.as_secs_f64();
        complain(&format!(
            "ready {ready:.2} s after the start of the virtual machine"
        ));
        for (host, port) in &forwards {
            complain(&format!(
                "127.0.0.1:{host} leads to the guest's port {port}"
            ));
        }
        for address in manifest.machine.ports.iter().filter_map(|&port| {
            let address = guest.vm().host_port(port);
            address.filter(|_| args.tap.is_some())
        }) {
            complain(&format!("the guest answers at {address}"));
        }
    }
    let exit = if args.check {
        // One that has only been started may yet fail.
        let limit = match manifest.health {
            Some(_) => Duration::ZERO,
            None => SETTLED,
        };
        match guest.vm().wait_for(limit, &mut console) {
            Ok(None) => {
                guest.vm().stop(&mut console).map_err(lupine::Error::from)?;
                None
            }
            Ok(exit) => exit,
            Err(error) => return Err(lupine::Error::from(error).into()),
        }
    } else {
        match guest.vm().wait(None, &mut console) {
            Ok(exit) => Some(exit),
            Err(error) => {
                // Ctrl-C is how a user ends a server: asked to, it ends.
                if session.cancel.is_cancelled() {
                    guest.vm().stop(&mut console).map_err(lupine::Error::from)?;
                }
                return Err(lupine::Error::from(error).into());
            }
        }
    };
    let ran = Ran {
        ready_ms: readiness.ready.as_millis(),
        started_ms: readiness.started.map(|started| started.as_millis()),
        exit,
    };
    session.print(&ran, "")?;
    match exit {
        Some(exit) if !exit.success() => {
            explain(&guest.vm().console().tail())?;
            Err(Failure::Application(
                u8::try_from(exit.shell_status()).unwrap_or(255),
            ))
        }
        _ => Ok(()),
    }
}

/// How long a program without a health check has to live to pass `--check`, unless it ends well.
const SETTLED: Duration = Duration::from_secs(2);
