//! `lupine doctor`.

use std::path::PathBuf;

use lupine::host::{Distribution, Purpose, TOOLS, Tool};
use serde::Serialize;

use super::{Failure, Session};

#[derive(Serialize)]
struct Report {
    distribution: Distribution,
    tools: Vec<Found>,
    accelerator: String,
    install: Option<String>,
}

#[derive(Serialize)]
struct Found {
    name: &'static str,
    purpose: Purpose,
    path: Option<PathBuf>,
}

pub(super) fn execute(session: &Session<'_>) -> Result<(), Failure> {
    let distribution = Distribution::detect();
    let found = |tool: &Tool| Found {
        name: tool.name,
        purpose: tool.purpose,
        path: tool.find(),
    };
    let tools: Vec<Found> = TOOLS.iter().map(found).collect();
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| tool.find().is_none()).collect();
    let accelerator = session.lupine()?.accelerator();
    let install = distribution.install_line(&missing);
    let mut text = String::new();
    for tool in &tools {
        let place = tool
            .path
            .as_ref()
            .map_or("MISSING".to_owned(), |p| p.display().to_string());
        let purpose = serde_json::to_value(tool.purpose).unwrap_or_default();
        let purpose = purpose.as_str().unwrap_or_default();
        text.push_str(&format!("{:20} {purpose:13} {place}\n", tool.name));
    }
    text.push_str(&format!(
        "{:20} {:13} {accelerator}\n",
        "accelerator", "run"
    ));
    match &install {
        Some(line) => text.push_str(&format!("\nInstall what is missing:\n    {line}\n")),
        None if missing.is_empty() => text.push_str("\nNothing is missing.\n"),
        None => text.push_str("\nThis distribution has no package of what is missing.\n"),
    }
    let needed = missing
        .iter()
        .any(|tool| !matches!(tool.purpose, Purpose::Test | Purpose::Load));
    session.print(
        &Report {
            distribution,
            tools,
            accelerator,
            install,
        },
        &text,
    )?;
    if needed {
        Err(Failure::Lacking)
    } else {
        Ok(())
    }
}
