//! The smallest complete run: a static program of ours on a Linux specialised
//! to it. It needs no package beyond those of a kernel build and QEMU.
//!
//!     cargo run --release --example hello [-- --kernel-src DIR|TARBALL --variant VARIANT]

#![allow(clippy::print_stdout, reason = "examples print what they did")]

#[path = "common/mod.rs"]
mod common;

use lupine::Error;
use lupine::manifest::Manifest;

fn main() -> std::process::ExitCode {
    common::main(run)
}

fn run(args: &common::Args) -> Result<(), Error> {
    let lupine = args.lupine()?;

    let app = Manifest::builtin("hello")?;
    let image = lupine.image(&app)?;
    let needs = lupine.needs(&image)?;
    let source = lupine.kernel_source(args.kernel_src.as_deref())?;
    let source = lupine.patch(source, args.variant)?;
    let config = lupine.specialise(&source, &needs, args.variant)?;
    let kernel = lupine.kernel(&source, &config)?;
    let rootfs = lupine.rootfs(&image, args.variant)?;

    let mut guest = lupine.boot(&kernel, &rootfs, &app, &[])?;
    let print = |line: &[u8]| println!("{}", String::from_utf8_lossy(line));
    let readiness = guest.wait_ready(print)?;
    let exit = guest.wait(print)?;

    common::summary(&source, &needs, &config, &kernel, &rootfs);
    println!(
        "hello ended with {exit}, {:.2} s after the VMM's start",
        readiness.ready.as_secs_f64()
    );
    Ok(())
}
