//! Boots Debian's nginx on a Linux specialised to it and fetches its page.
//!
//!     cargo run --release --example nginx [-- --kernel-src DIR|TARBALL --variant VARIANT --count-calls]

#![allow(clippy::print_stdout, reason = "examples print what they did")]

#[path = "common/mod.rs"]
mod common;

use std::time::Instant;

use lupine::manifest::Manifest;
use lupine::{Error, free_port};

fn main() -> std::process::ExitCode {
    common::main(run)
}

fn run(args: &common::Args) -> Result<(), Error> {
    let began = Instant::now();
    let lupine = args.lupine()?;

    let mut app = Manifest::builtin("nginx")?;
    if args.count_calls {
        app.count_calls();
    }
    let image = lupine.image(&app)?;
    let needs = lupine.needs(&image)?;
    let source = lupine.kernel_source(args.kernel_src.as_deref())?;
    let source = lupine.patch(source, args.variant)?;
    let config = lupine.specialise(&source, &needs, args.variant)?;
    let kernel = lupine.kernel(&source, &config)?;
    let rootfs = lupine.rootfs(&image, args.variant)?;

    let port = free_port()?;
    let mut guest = lupine.boot(&kernel, &rootfs, &app, &[(port, 80)])?;
    let readiness = guest.wait_ready(|_line| {})?;
    let page = guest.get(80, "/")?;

    common::summary(&source, &needs, &config, &kernel, &rootfs);
    let ready = readiness.ready.as_secs_f64();
    println!(
        "nginx answered HTTP {} {ready:.2} s after the VMM's start:",
        page.status
    );
    println!("{}", common::title(&page.body));
    println!(
        "({:.1} s in all, builds included)",
        began.elapsed().as_secs_f64()
    );
    guest.stop()?;
    common::calls(&guest);
    Ok(())
}
