//! Boots Debian's redis on a Linux specialised to it, stores a value and reads
//! it back.
//!
//!     cargo run --release --example redis [-- --kernel-src DIR|TARBALL --variant VARIANT --count-calls]

#![allow(clippy::print_stdout, reason = "examples print what they did")]

#[path = "common/mod.rs"]
mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lupine::manifest::Manifest;
use lupine::{Error, free_port};

fn main() -> std::process::ExitCode {
    common::main(run)
}

fn run(args: &common::Args) -> Result<(), Error> {
    let lupine = args.lupine()?;

    let mut app = Manifest::builtin("redis")?;
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
    let mut guest = lupine.boot(&kernel, &rootfs, &app, &[(port, 6379)])?;
    guest.wait_ready(|_line| {})?;

    let mut redis = TcpStream::connect(("127.0.0.1", port))?;
    redis.write_all(b"SET unikernel lupine\r\nGET unikernel\r\nQUIT\r\n")?;
    let mut answer = String::new();
    redis.read_to_string(&mut answer)?;

    common::summary(&source, &needs, &config, &kernel, &rootfs);
    println!(
        "redis answered: {}",
        answer.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    guest.stop()?;
    common::calls(&guest);
    Ok(())
}
