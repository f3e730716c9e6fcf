//! `lupine config specialise`.

use std::path::Path;

use lupine::kernel::base::Base;
use lupine::kernel::config::Request;
use lupine::needs::Needs;

use super::super::{Failure, Session, manifest_of};
use crate::args::Specialise;

pub(super) fn execute(session: &Session<'_>, args: &Specialise) -> Result<(), Failure> {
    let lupine = session.lupine_for(&args.kernel)?;
    let needs: Needs = match (&args.needs, args.app.as_ref().or(args.image.as_ref())) {
        (Some(path), _) => {
            let bytes = read(path)?;
            serde_json::from_slice(&bytes).map_err(|error| invalid(path, error))?
        }
        (None, Some(name)) => {
            let image = lupine.image(&manifest_of(name)?)?;
            lupine.needs(&image)?
        }
        (None, None) => {
            return Err(Failure::Usage(
                "name an application or its needs".to_owned(),
            ));
        }
    };
    let base = match &args.base {
        Some(path) => {
            let text = String::from_utf8_lossy(&read(path)?).into_owned();
            Some(Base::parse(&text).map_err(|error| invalid(path, error))?)
        }
        None => None,
    };
    let from = args.from.as_deref().map(read).transpose()?;
    let source = lupine.kernel_source(args.kernel.kernel_src.as_deref())?;
    let source = lupine.patch(source, args.kernel.variant)?;
    let request = Request {
        needs: &needs,
        variant: args.kernel.variant,
        vmm: args.kernel.vmm,
        base: base.as_ref(),
        from: from.as_deref(),
    };
    let config = lupine.specialise_as(&source, &request)?;
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

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| invalid(path, error))
}

fn invalid(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Input {
        what: path.display().to_string(),
        source: Box::new(error),
    }
}
