//! `lupine config diff`.

use lupine_kconfig::difference::differences;

use super::super::{Failure, Session};
use super::read;
use crate::args::Diff;

pub(super) fn execute(session: &Session<'_>, args: &Diff) -> Result<(), Failure> {
    let changes = differences(&read(&args.old)?, &read(&args.new)?, "CONFIG_");
    let text: String = changes.iter().map(|change| format!("{change}\n")).collect();
    session.print(&changes, &text)
}
