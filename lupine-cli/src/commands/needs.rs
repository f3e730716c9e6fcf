//! `lupine needs`.

use lupine::needs::{Need, Needs, Origin, Requirement, Strength};

use super::{Failure, Session};
use crate::args;

pub(super) fn execute(session: &Session<'_>, args: &args::Needs) -> Result<(), Failure> {
    if args.trace && session.common.no_trace {
        let text = "--trace and --no-trace exclude one another";
        return Err(Failure::Usage(text.to_owned()));
    }
    let lupine = session.lupine()?;
    let manifest = session.manifest(&args.image)?;
    if args.trace {
        lupine.require_tools(&manifest, args.kernel_src.as_deref())?;
    }
    let image = lupine.image(&manifest)?;
    // An image that cannot run is found out before anything is built.
    let mut needs = lupine.needs(&image)?;
    let source = lupine.kernel_source(args.kernel_src.as_deref())?;
    if args.trace {
        let trace = lupine.trace(&image, &source)?;
        if let Some(path) = &args.output {
            let json = serde_json::to_vec_pretty(&trace).map_err(std::io::Error::from);
            json.and_then(|json| lupine::write_atomically(path, &json))
                .map_err(|source| Failure::Output {
                    what: path.display().to_string(),
                    source,
                })?;
        }
        needs = lupine.needs(&image)?;
    }
    needs.resolve(&lupine.syscalls(&source)?);
    session.print(&needs, &text(&needs, args.all))
}

/// A system call that no option takes away.
fn is_of_every_kernel(need: &Need) -> bool {
    need.options.is_empty() && matches!(need.requirement, Requirement::Call(_))
}

fn text(needs: &Needs, all: bool) -> String {
    let mut text = String::new();
    let is_traced = needs.needs.iter().any(|n| n.origin() != Origin::Analysis);
    for strength in [Strength::Required, Strength::Optional] {
        let list: Vec<_> = needs
            .needs
            .iter()
            .filter(|need| need.strength == strength && (all || !is_of_every_kernel(need)))
            .collect();
        if list.is_empty() {
            continue;
        }
        text.push_str(&format!("{strength:?}:\n"));
        for need in list {
            text.push_str(&lines_of(need, is_traced));
        }
    }
    let hidden = needs.needs.iter().filter(|n| is_of_every_kernel(n)).count();
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

/// A need, its options, and what speaks for it, a line each; who saw it, where
/// there is a trace.
fn lines_of(need: &Need, is_traced: bool) -> String {
    let options: Vec<&str> = need.options.keys().map(String::as_str).collect();
    let options = match options.is_empty() {
        true => "-".to_owned(),
        false => options.join(" "),
    };
    let origin = match (is_traced, need.origin()) {
        (false, _) => "",
        (true, Origin::Analysis) => " (analysis)",
        (true, Origin::Trace) => " (trace)",
        (true, Origin::Both) => " (analysis and trace)",
    };
    let name = need.requirement.to_string();
    let mut text = format!("  {name:28} {options}{origin}\n");
    if let Some(disagreement) = need.disagreement {
        text.push_str(&format!("  {:28} ! {disagreement}\n", ""));
    }
    for evidence in &need.evidence {
        text.push_str(&format!("  {:28}   {evidence}\n", ""));
    }
    text
}
