//! Cancellation windows: a range of code that ends behind a `syscall` and that a signal handler compares with the
//! address it interrupted (`__cp_begin` .. `__cp_end` of musl, `__syscall_cancel_arch_start` .. `_end` of glibc).
//!
//! Were only its last instructions displaced, a signal that comes while they run in the trampoline would see an
//! address outside the range: the handler would let the call go on, and the cancellation would be lost. So the
//! whole range moves, and the handler's two references to its ends follow.

use iced_x86::{Code as Op, FlowControl, Instruction};

use super::plan::{Entry, Job, NEAR, can_move};
use crate::scan::code::{Code, is_near_branch};

/// Longest range that is moved, in bytes.
const LIMIT: u64 = 256;

/// Plans to move the window that ends behind `site`, if all that refers to it is known.
pub(crate) fn plan(code: &Code<'_>, site: u64) -> Option<Job> {
    let references = code.references(site + 2)?;
    let mut moved: Vec<Instruction> = Vec::new();
    let mut at = site;
    loop {
        let before = code.previous(at)?;
        if !can_move(&before) || site - before.ip() > LIMIT {
            return None;
        }
        at = before.ip();
        moved.insert(0, before);
        if code.is_taken(at) {
            break;
        }
        if code.is_target(at) {
            return None;
        }
    }
    let begins = code.references(at)?;
    let inner = moved
        .iter()
        .any(|one| is_near_branch(one) && (at..site + 2).contains(&one.near_branch_target()));
    let straight = moved.iter().all(|one| {
        matches!(
            one.flow_control(),
            FlowControl::Next | FlowControl::ConditionalBranch
        )
    });
    if inner || !straight || site - at < NEAR || begins.is_empty() || references.is_empty() {
        return None;
    }
    let tagged = begins
        .into_iter()
        .map(|o| (o, false))
        .chain(references.into_iter().map(|o| (o, true)));
    let mut all: Vec<(Instruction, bool)> = tagged.collect();
    if all
        .iter()
        .any(|(one, _)| one.code() != Op::Lea_r64_m || (at..site + 2).contains(&one.ip()))
    {
        return None;
    }
    all.sort_by_key(|r| r.0.ip());
    Some(Job {
        site,
        start: at,
        moved,
        entry: Entry::Window(all),
        signal: false,
    })
}
