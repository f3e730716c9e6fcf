//! What a system call, by number or by name, and the constants among its arguments need.

use syscalls::x86_64::Sysno;

use super::requirement::{Evidence, Needs, Requirement, Strength};
use super::table;

/// Functions of the C library and calls whose arguments say something: see
/// [`add_of_arguments`].
pub(super) fn arguments_matter(name: &str) -> bool {
    matches!(
        name,
        "socket" | "socketpair" | "unshare" | "setns" | "clone" | "fcntl" | "fcntl64"
    )
}

/// A system call by its number, with what its arguments say.
pub(super) fn add_call(
    number: u64,
    arguments: &[Vec<u64>],
    strength: Strength,
    evidence: &dyn Fn() -> Evidence,
    needs: &mut Needs,
) {
    let Some(call) = usize::try_from(number).ok().and_then(Sysno::new) else {
        return;
    };
    let name = call.name();
    add_named(name, strength, evidence(), needs);
    add_of_arguments(name, arguments, strength, evidence, needs);
}

/// A system call by its name: optional where programs are known to go on
/// without it, or this file makes it only where something else failed.
pub(super) fn add_named(name: &str, strength: Strength, evidence: Evidence, needs: &mut Needs) {
    let fallback = |file| table::fallback_because(file, name);
    let without =
        table::optional_because(name).is_some() || evidence.file().and_then(fallback).is_some();
    let own = match without {
        true => Strength::Optional,
        false => strength,
    };
    needs.add(Requirement::Call(name.to_owned()), own, evidence);
}

/// What the constants among a call's arguments say: families of sockets,
/// namespaces, kinds of locks.
pub(super) fn add_of_arguments(
    name: &str,
    arguments: &[Vec<u64>],
    strength: Strength,
    evidence: &dyn Fn() -> Evidence,
    needs: &mut Needs,
) {
    let values = |at: usize| arguments.get(at).map(Vec::as_slice).unwrap_or_default();
    match name {
        "socket" | "socketpair" => {
            for family in values(0) {
                if let Some((name, required)) = table::socket_family(*family) {
                    let own = if required {
                        strength
                    } else {
                        Strength::Optional
                    };
                    needs.add(Requirement::Socket(name.to_owned()), own, evidence());
                }
            }
        }
        "unshare" | "setns" | "clone" => {
            let places: &[usize] = match name {
                "unshare" => &[0],
                "setns" => &[1],
                // The call, and the C library's clone(fn, stack, flags, arg).
                _ => &[0, 2],
            };
            let flags = places.iter().flat_map(|at| values(*at));
            for what in flags.flat_map(|flags| table::namespaces(*flags)) {
                let requirement = Requirement::Behaviour(what.to_owned());
                needs.add(requirement, Strength::Optional, evidence());
            }
        }
        "fcntl" | "fcntl64"
            if values(1)
                .iter()
                .any(|command| table::is_lock_command(*command)) =>
        {
            let requirement = Requirement::Behaviour("file locks".to_owned());
            needs.add(requirement, strength, evidence());
        }
        _ => {}
    }
}
