//! Compiles the guest's programs: static, without a C library, and small.

#![allow(
    clippy::disallowed_methods,
    reason = "a build script runs the compiler"
)]

use std::env;
use std::fmt;
use std::path::Path;

/// Everything the programs need is in these flags: no C library, no start files, one segment each
/// of code and data, and nothing that depends on the place of the build.
const FLAGS: [&str; 17] = [
    "-std=gnu11",
    "-Os",
    "-Wall",
    "-Wextra",
    "-static",
    "-nostdlib",
    "-nostartfiles",
    "-ffreestanding",
    "-fno-pie",
    "-no-pie",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
    "-mno-red-zone",
    "-Wl,--build-id=none",
    "-Wl,-z,noexecstack",
    "-s",
];

fn main() -> Result<(), Failure> {
    build().map_err(Failure)
}

/// A message that cargo shows as it is.
struct Failure(String);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn build() -> Result<(), String> {
    let sources = Path::new("src/guest/c");
    println!("cargo::rerun-if-changed={}", sources.display());
    let variable = |name: &str| env::var(name).map_err(|e| format!("{name}: {e}"));
    let target = variable("TARGET")?;
    if !target.starts_with("x86_64-") {
        return Err(format!(
            "the guest is x86-64 Linux; {target} has no compiler for it"
        ));
    }
    let out = variable("OUT_DIR")?;
    // Finds the compiler as every build script does (CC, CROSS_COMPILE, then `cc`).
    let compiler = cc::Build::new()
        .cargo_metadata(false)
        .cargo_warnings(false)
        .no_default_flags(true)
        .opt_level_str("s")
        .target(&target)
        .try_get_compiler()
        .map_err(|e| format!("no C compiler for the guest's programs: {e}"))?;
    for program in ["init", "hello", "serve", "bench", "trace", "privilege"] {
        let mut command = compiler.to_command();
        command
            .args(FLAGS)
            .arg("-o")
            .arg(Path::new(&out).join(program))
            .arg(sources.join(program).with_extension("c"));
        let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
        if !status.success() {
            return Err(format!("{command:?}: {status}"));
        }
    }
    Ok(())
}
