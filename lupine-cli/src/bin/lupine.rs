//! The `lupine` binary: parses, calls the library, prints the error chain,
//! exits with a documented status.

use std::process::ExitCode;

use clap::Parser as _;
use lupine_cli::{args::Cli, commands};

fn main() -> ExitCode {
    commands::execute(Cli::parse())
}
