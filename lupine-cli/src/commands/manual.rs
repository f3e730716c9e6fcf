//! `lupine completions` and `lupine man`.

use std::path::Path;

use clap::CommandFactory as _;

use super::Failure;
use crate::args::Cli;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    clap_complete::generate(shell, &mut Cli::command(), "lupine", &mut std::io::stdout());
    Ok(())
}

pub(super) fn pages(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(|source| Failure::Output {
            what: format!("man pages to {}", dir.display()),
            source,
        })
}
