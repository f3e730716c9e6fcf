//! `lupine doctor`.

use std::path::PathBuf;

use lupine::host::{Distribution, Purpose, TOOLS, Tool};
use lupine::vmm::Vmm;
use serde::Serialize;

use super::{Failure, Session};

#[derive(Serialize)]
struct Report {
    distribution: Distribution,
    tools: Vec<Found>,
    accelerator: String,
    vmms: Vec<Monitor>,
    install: Option<String>,
}

#[derive(Serialize)]
struct Found {
    name: &'static str,
    purpose: Purpose,
    path: Option<PathBuf>,
}

/// A virtual machine monitor; only QEMU's absence is a lack, since it runs every guest.
#[derive(Serialize)]
struct Monitor {
    name: Vmm,
    path: Option<PathBuf>,
    needs_kvm: bool,
    user_network: bool,
    /// Why it cannot run guests here.
    problem: Option<String>,
}

impl Monitor {
    fn find(session: &Session<'_>, vmm: Vmm) -> Result<Monitor, Failure> {
        let usable = session.lupine()?.with_vmm(vmm).check_vmm();
        Ok(Monitor {
            name: vmm,
            path: vmm.find(),
            needs_kvm: vmm.needs_kvm(),
            user_network: vmm.has_user_network(),
            problem: usable.err().map(|error| error.to_string()),
        })
    }

    /// Where it is, and what keeps it from running guests.
    fn state(&self) -> String {
        match (&self.path, &self.problem) {
            (Some(path), None) => path.display().to_string(),
            (Some(path), Some(problem)) => format!("{}: {problem}", path.display()),
            (None, _) => format!("not found: {}", self.name.how_to_install()),
        }
    }
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
    let vmms = Vmm::ALL
        .into_iter()
        .map(|vmm| Monitor::find(session, vmm))
        .collect::<Result<Vec<Monitor>, Failure>>()?;
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
    for vmm in &vmms {
        text.push_str(&format!("{:20} {:13} {}\n", vmm.name, "vmm", vmm.state()));
    }
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
            vmms,
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
