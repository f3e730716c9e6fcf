//! `lupine needs`.

use lupine::needs::{Needs, Strength};

use super::{Failure, Session};
use crate::args::ImageArgs;

pub(super) fn execute(session: &Session<'_>, args: &ImageArgs) -> Result<(), Failure> {
    let lupine = session.lupine()?;
    let image = lupine.image(&session.manifest(args)?)?;
    let needs = lupine.needs(&image)?;
    session.print(&needs, &text(&needs))
}

fn text(needs: &Needs) -> String {
    let mut text = String::new();
    for strength in [Strength::Required, Strength::Optional] {
        let list: Vec<_> = needs
            .needs
            .iter()
            .filter(|need| need.strength == strength)
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
    for unknown in &needs.unknown {
        text.push_str(&format!("Unknown: {unknown}\n"));
    }
    text
}
