//! `lupine config why`.

use lupine_kconfig::explain::why;

use super::super::{Failure, Session};
use super::{load, symbol};
use crate::args::Why;

pub(super) fn execute(session: &Session<'_>, args: &Why) -> Result<(), Failure> {
    let tree = load(&args.source.tree(session)?)?;
    let mut config = args.source.configuration(&tree)?;
    let id = symbol(&tree, &args.symbol)?;
    let answer = why(&mut config, id, args.depth);
    session.print(&answer, &answer.to_string())
}
