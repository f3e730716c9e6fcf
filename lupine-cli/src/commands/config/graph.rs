//! `lupine config graph`.

use std::collections::BTreeSet;

use lupine::kernel::conf::draw;
use lupine_kconfig::graph::{self, Consequence, Excerpt, Relation};
use lupine_kconfig::{Kconfig, SymbolId};
use serde::Serialize;

use super::super::{Failure, Session};
use super::{ConfigFailure, load, name, symbol, write};
use crate::args::{Graph, GraphFormat};
use crate::console::{Channel, Terminal};

#[derive(Serialize)]
struct Step {
    symbol: String,
    /// How it is related to the next one.
    relation: Option<Relation>,
}

#[derive(Serialize)]
struct Effect {
    symbol: String,
    before: String,
    after: String,
    dies: bool,
    becomes_reachable: bool,
}

pub(super) fn execute(session: &Session<'_>, args: &Graph) -> Result<(), Failure> {
    let tree = load(&args.source.tree(session)?)?;
    let id = symbol(&tree, &args.symbol)?;
    if let Some(value) = &args.if_value {
        return effects(session, args, &tree, id, value);
    }
    let graph = graph::Graph::new(&tree);
    if let Some(other) = &args.to {
        let to = symbol(&tree, other)?;
        let path = graph.path(id, to).ok_or_else(|| ConfigFailure::NoWay {
            from: name(&tree, id),
            to: name(&tree, to),
        })?;
        let mut steps: Vec<Step> = path
            .iter()
            .map(|(at, relation)| Step {
                symbol: name(&tree, *at),
                relation: Some(*relation),
            })
            .collect();
        steps.push(Step {
            symbol: name(&tree, to),
            relation: None,
        });
        let text: String = steps
            .iter()
            .map(|step| match step.relation {
                Some(relation) => format!("{} {}\n", step.symbol, relation.as_str()),
                None => format!("{}\n", step.symbol),
            })
            .collect();
        return session.print(&steps, &text);
    }
    let excerpt = if args.circle {
        let circles = graph.circles();
        let circle = circles.into_iter().find(|circle| circle.contains(&id));
        let circle = circle.ok_or_else(|| ConfigFailure::NoCircle(name(&tree, id)))?;
        graph.excerpt(&circle.into_iter().collect::<BTreeSet<SymbolId>>())
    } else {
        graph.around_at_most(&[id], args.steps, args.limit)
    };
    show(session, args, &excerpt)
}

fn show(session: &Session<'_>, args: &Graph, excerpt: &Excerpt) -> Result<(), Failure> {
    let format = if session.common.json {
        GraphFormat::Json
    } else {
        args.format
    };
    let bytes = match format {
        GraphFormat::Dot => excerpt.to_dot().into_bytes(),
        GraphFormat::Svg => {
            draw(&excerpt.to_dot(), &session.cancel).map_err(ConfigFailure::from)?
        }
        GraphFormat::Json => {
            let mut bytes =
                serde_json::to_vec_pretty(excerpt).map_err(|error| Failure::Output {
                    what: "the graph".to_owned(),
                    source: error.into(),
                })?;
            bytes.push(b'\n');
            bytes
        }
    };
    match &args.output {
        Some(path) => write(path, &bytes),
        None => {
            use lupine_kconfig::Console as _;
            let mut console = Terminal::new(Channel::Output);
            console.print(&bytes);
            console.flush();
            Ok(())
        }
    }
}

fn effects(
    session: &Session<'_>,
    args: &Graph,
    tree: &Kconfig,
    id: SymbolId,
    value: &str,
) -> Result<(), Failure> {
    let config = args.source.configuration(tree)?;
    let found = graph::consequences(&config, id, value.as_bytes());
    let found = found.ok_or_else(|| ConfigFailure::Value {
        name: name(tree, id),
        value: value.to_owned(),
        expected: tree.get(id).symbol_type().as_str(),
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let effect = |known: &Consequence| Effect {
        symbol: name(tree, known.symbol),
        before: text(&known.before),
        after: text(&known.after),
        dies: known.dies(),
        becomes_reachable: known.becomes_reachable(),
    };
    let effects: Vec<Effect> = found.iter().map(effect).collect();
    let mut lines = String::new();
    for effect in &effects {
        let what = match (effect.dies, effect.becomes_reachable) {
            (true, _) => ", dies",
            (_, true) => ", becomes reachable",
            _ => "",
        };
        let Effect {
            symbol,
            before,
            after,
            ..
        } = effect;
        let values = if before == after {
            before.clone()
        } else {
            format!("{before} -> {after}")
        };
        lines.push_str(&format!("{symbol} {values}{what}\n"));
    }
    session.print(&effects, &lines)
}
