//! `lupine config why-not`.

use lupine_kconfig::explain::{Why, why};
use lupine_kconfig::solve::{Added, Conflict, Requirement, SolveError, least_changes};
use serde::Serialize;

use super::super::{Failure, Session};
use super::{ConfigFailure, load, symbol, write};
use crate::args::WhyNot;

/// What was found out.
#[derive(Serialize)]
struct Answer {
    /// Whether some configuration has the values.
    possible: bool,
    /// What the options are now, where they are something else.
    now: Vec<Why>,
    /// The changes that give them their values: none of them can be left out.
    changes: Vec<Added>,
    /// What excludes it.
    conflict: Option<Conflict>,
}

pub(super) fn execute(session: &Session<'_>, args: &WhyNot) -> Result<(), Failure> {
    let tree = load(&args.source.tree(session)?)?;
    let mut config = args.source.configuration(&tree)?;
    let (mut requirements, mut now) = (Vec::new(), Vec::new());
    for wanted in &args.wanted {
        let (name, value) = wanted.split_once('=').ok_or_else(|| {
            ConfigFailure::Usage(format!("{wanted:?} is not SYMBOL=VALUE, such as NET=y"))
        })?;
        let id = symbol(&tree, name)?;
        let value = unquoted(value);
        if config.value_bytes(id) != value.as_bytes() {
            now.push(why(&mut config, id, 1));
        }
        requirements.push(Requirement::new(super::name(&tree, id), value, ""));
    }
    let mut answer = Answer {
        possible: true,
        now,
        changes: Vec::new(),
        conflict: None,
    };
    match least_changes(&config, &requirements) {
        Ok(mut solution) => {
            answer.changes = std::mem::take(&mut solution.added);
            if let Some(path) = &args.output {
                write(path, &solution.config.write())?;
            }
            session.print(&answer, &text(&answer))
        }
        Err(SolveError::Conflict(conflict)) => {
            answer.possible = false;
            let excluded = conflict.requirements.iter().map(ToString::to_string);
            let excluded = excluded.collect();
            answer.conflict = Some(conflict);
            session.print(&answer, &text(&answer))?;
            Err(ConfigFailure::Excluded(excluded).into())
        }
        Err(error) => Err(ConfigFailure::Unsolved(error).into()),
    }
}

/// A text may stand in quotes, as in `.config`.
fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value)
}

fn text(answer: &Answer) -> String {
    let mut text: String = answer.now.iter().map(ToString::to_string).collect();
    if let Some(conflict) = &answer.conflict {
        text.push_str(&format!("{conflict}\n"));
    } else if answer.now.is_empty() {
        text.push_str("it is so already\n");
    } else if answer.changes.is_empty() {
        text.push_str("nothing has to be changed\n");
    } else {
        text.push_str("change:\n");
    }
    for Added {
        name,
        value,
        because,
        ..
    } in &answer.changes
    {
        text.push_str(&format!("  {name}={value}: {because}\n"));
    }
    text
}
