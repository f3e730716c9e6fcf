//! Goals of the search, and the values decided on the way.

use crate::expr::ExprId;
use crate::symbol::{SymbolId, Tristate};
use std::rc::Rc;

/// What is to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// An expression has at least this value.
    AtLeast(ExprId, Tristate),
    /// An expression has at most this value.
    AtMost(ExprId, Tristate),
    /// At most this for the smaller of two expressions, where nothing stands for `y`.
    BothAtMost(Option<ExprId>, Option<ExprId>, Tristate),
    /// A logical symbol has at least this value.
    SymbolAtLeast(SymbolId, Tristate),
    /// A logical symbol has at most this value.
    SymbolAtMost(SymbolId, Tristate),
    /// A number or text has this value.
    Text(SymbolId, Vec<u8>),
    /// The user's value of a symbol is this one.
    Set(SymbolId, Vec<u8>),
}

/// The symbols that led to a goal, the nearest first.
#[derive(Debug)]
pub(super) struct Link {
    symbol: SymbolId,
    outer: Option<Rc<Link>>,
}

/// A goal and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub(super) want: Want,
    /// Index of the requirement it serves.
    pub(super) requirement: usize,
    pub(super) link: Option<Rc<Link>>,
    /// Not to be taken as reached because it was a goal before: evaluation showed otherwise.
    pub(super) again: bool,
}

impl Goal {
    /// A goal of its own.
    pub(super) fn new(want: Want, requirement: usize) -> Self {
        Self {
            want,
            requirement,
            link: None,
            again: false,
        }
    }

    /// A goal that serves the same end.
    pub(super) fn also(&self, want: Want) -> Self {
        Self {
            want,
            requirement: self.requirement,
            link: self.link.clone(),
            again: false,
        }
    }

    /// A goal that this one about `symbol` needs.
    pub(super) fn needed_by(&self, symbol: SymbolId, want: Want) -> Self {
        let link = Some(Rc::new(Link {
            symbol,
            outer: self.link.clone(),
        }));
        Self {
            want,
            requirement: self.requirement,
            link,
            again: false,
        }
    }

    /// The symbols from the requirement to this goal.
    pub(super) fn path(&self) -> Vec<SymbolId> {
        let mut path: Vec<SymbolId> =
            std::iter::successors(self.link.as_deref(), |link| link.outer.as_deref())
                .map(|link| link.symbol)
                .collect();
        path.reverse();
        path.dedup();
        path
    }
}

/// Goals still to be reached: a stack that alternatives share.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda(Option<Rc<Item>>);

#[derive(Debug)]
struct Item {
    goal: Goal,
    rest: Agenda,
}

impl Agenda {
    /// Puts goals in front, the first of them first.
    pub(super) fn with(&self, goals: Vec<Goal>) -> Self {
        goals.into_iter().rev().fold(self.clone(), |rest, goal| {
            Self(Some(Rc::new(Item { goal, rest })))
        })
    }

    /// The first goal, and the others.
    pub(super) fn split(&self) -> Option<(Goal, Self)> {
        self.0
            .as_ref()
            .map(|item| (item.goal.clone(), item.rest.clone()))
    }
}

impl Drop for Agenda {
    /// Without recursion, since an agenda may be long.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(item) = next {
            match Rc::try_unwrap(item) {
                Ok(mut item) => next = item.rest.0.take(),
                Err(_) => break,
            }
        }
    }
}

/// A value that the search decided to set.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) value: Vec<u8>,
    pub(super) goal: Goal,
}
