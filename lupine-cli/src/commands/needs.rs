//! `lupine needs`.

use lupine::needs::{Needs, Requirement, Strength};

use super::{Failure, Session};
use crate::args;

pub(super) fn execute(session: &Session<'_>, args: &args::Needs) -> Result<(), Failure> {
    let lupine = session.lupine()?;
    let image = lupine.image(&session.manifest(&args.image)?)?;
    let mut needs = lupine.needs(&image)?;
    let source = lupine.kernel_source(args.kernel_src.as_deref())?;
    needs.resolve(&lupine.syscalls(&source)?);
    session.print(&needs, &text(&needs, args.all))
}

fn text(needs: &Needs, all: bool) -> String {
    let mut text = String::new();
    let of_every_kernel = |need: &&lupine::needs::Need| {
        need.options.is_empty() && matches!(need.requirement, Requirement::Call(_))
    };
    for strength in [Strength::Required, Strength::Optional] {
        let list: Vec<_> = needs
            .needs
            .iter()
            .filter(|need| need.strength == strength && (all || !of_every_kernel(need)))
            .collect();
        if list.is_empty() {
            continue;
        }
        text.push_str(&format!("{strength:?}:\n"));
        for need in list {
            let options: Vec<&str> = need.options.keys().map(String::as_str).collect();
            let options = if options.is_empty() {
                "-".to_owned()
            } else {
                options.join(" ")
            };
            text.push_str(&format!(
                "  {:28} {options}\n",
                need.requirement.to_string()
            ));
            for evidence in &need.evidence {
                text.push_str(&format!("  {:28}   {evidence}\n", ""));
            }
        }
    }
    let hidden = needs.needs.iter().filter(of_every_kernel).count();
    if hidden > 0 && !all {
        text.push_str(&format!(
            "and {hidden} system calls that every kernel has\n"
        ));
    }
    for unknown in &needs.unknown {
        text.push_str(&format!("Unknown: {unknown}\n"));
    }
    text
}
