//! `lupine config specialise`.

use super::super::{Failure, Session};
use crate::args::Specialise;

pub(super) fn execute(session: &Session<'_>, args: &Specialise) -> Result<(), Failure> {
    let lupine = session.lupine_for(&args.kernel)?;
    let image = lupine.image(&session.manifest(&args.image)?)?;
    let needs = lupine.needs(&image)?;
    let source = lupine.kernel_source(args.kernel.kernel_src.as_deref())?;
    let config = lupine.specialise(&source, &needs, args.kernel.variant)?;
    let text = String::from_utf8_lossy(&config.text);
    match &args.output {
        None => session.print(&config, &text),
        Some(path) => {
            lupine::write_atomically(path, &config.text).map_err(|source| Failure::Output {
                what: format!("{}", path.display()),
                source,
            })?;
            session.print(&config, &config.reasons_text())
        }
    }
}
