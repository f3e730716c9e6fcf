//! Needs that analysis derived, refined by what a trace saw.
//!
//! A trace shows what one run asked for until it was ready, and how it went.
//! It proves that something is asked for, and that the application does without
//! what failed; that it never needs what it was not seen to ask for, it cannot.

use std::collections::BTreeMap;

use super::requirement::{Disagreement, Evidence, Need, Needs, Origin, Requirement, Strength};
use super::table;
use super::trace::{About, Outcome, Refusal, Seen, Trace};

/// Error numbers of include/uapi/asm-generic/errno-base.h and errno.h.
const ENOENT: i32 = 2;
const ENXIO: i32 = 6;
const EACCES: i32 = 13;
const ENODEV: i32 = 19;
const ENOTDIR: i32 = 20;
const EINVAL: i32 = 22;
const ENOSYS: i32 = 38;
const EAFNOSUPPORT: i32 = 97;

/// `FUTEX_LOCK_PI` and its kin, include/uapi/linux/futex.h.
const PI_OPERATIONS: [u64; 6] = [6, 7, 8, 11, 12, 13];

/// How a requirement fared in a trace.
#[derive(Clone, Debug)]
struct Observed {
    call: String,
    /// Whether the kernel offered it, at least once.
    worked: bool,
    /// The error by which a kernel says that it does not.
    lacking: Option<i32>,
}

impl Needs {
    /// Merges what a trace saw.
    ///
    /// * What was seen to work and analysis did not see is required, unless
    ///   programs are known to go on without; a path under /proc or /sys is
    ///   optional then, because programs read most of those for advice.
    /// * What failed for want of the kernel is optional: the health check passed.
    /// * What analysis requires and was not seen stays required; where only an
    ///   import speaks for it, which no code was found to call, it is optional.
    /// * What analysis holds for optional stays so: being called does not mean
    ///   being needed.
    /// * Where the application was run with something refused, that decides.
    pub fn merge(&mut self, trace: &Trace) {
        let observed = observe(trace);
        for need in &mut self.needs {
            if !observed.contains_key(&need.requirement) && is_visible(&need.requirement) {
                if need.strength == Strength::Required {
                    need.disagreement = Some(Disagreement::NeverSeen);
                }
                if need.evidence.iter().all(is_mere_import) {
                    need.strength = Strength::Optional;
                }
            }
        }
        for (requirement, observed) in observed {
            let evidence = Evidence::Traced {
                call: observed.call.clone(),
                error: observed.lacking.filter(|_| !observed.worked),
            };
            let find = |need: &&mut Need| need.requirement == requirement;
            match self.needs.iter_mut().find(find) {
                Some(need) => {
                    need.evidence.push(evidence);
                    if !observed.worked && need.strength == Strength::Required {
                        need.disagreement = Some(Disagreement::DoneWithout);
                        need.strength = Strength::Optional;
                    }
                }
                None => {
                    let strength = strength_of(&requirement, &observed);
                    self.add(requirement.clone(), strength, evidence);
                    if let Some(need) = self.needs.iter_mut().find(find) {
                        need.disagreement = Some(Disagreement::NotAnalysed);
                    }
                }
            }
        }
        self.refuse(trace);
        self.unknown.extend(trace.unknown.iter().cloned());
    }

    /// What the runs say in which something was refused: they know better than any rule. What
    /// was not asked for was refused to nobody.
    fn refuse(&mut self, trace: &Trace) {
        for need in &mut self.needs {
            if need.origin() == Origin::Analysis {
                continue;
            }
            let about = |refusal: &&Refusal| refusal.refused.contains(&need.requirement);
            let runs: Vec<&Refusal> = trace.refusals.iter().filter(about).collect();
            // Of those that take it away with others, the one that went well decides.
            let decides = |run: &&&Refusal| run.ready;
            let Some(run) = runs.iter().find(decides).or(runs.first()) else {
                continue;
            };
            need.evidence.push(Evidence::Refused {
                option: run.option.clone(),
                ready: run.ready,
            });
            let strength = match run.ready {
                true => Strength::Optional,
                false => Strength::Required,
            };
            if run.ready && need.strength == Strength::Required {
                need.disagreement = Some(match need.disagreement {
                    Some(Disagreement::NotAnalysed) => Disagreement::NotAnalysed,
                    _ => Disagreement::DoneWithout,
                });
            }
            need.strength = strength;
        }
    }
}

/// What a trace saw that a kernel offered.
pub(crate) fn worked(trace: &Trace) -> impl Iterator<Item = Requirement> {
    let observed = observe(trace).into_iter();
    observed.filter_map(|(requirement, one)| one.worked.then_some(requirement))
}

fn observe(trace: &Trace) -> BTreeMap<Requirement, Observed> {
    let mut observed: BTreeMap<Requirement, Observed> = BTreeMap::new();
    for seen in &trace.seen {
        for (requirement, lacking) in requirements(seen) {
            let error = match seen.result {
                Outcome::Failed(error) if lacking.contains(&error) => Some(error),
                _ => None,
            };
            let one = observed.entry(requirement).or_insert_with(|| Observed {
                call: seen.call.clone(),
                worked: false,
                lacking: None,
            });
            one.lacking = one.lacking.or(error);
            one.worked |= error.is_none() && seen.result != Outcome::Begun;
        }
    }
    // A call that has no result has not failed: a server waits in it.
    for one in observed.values_mut() {
        one.worked |= one.lacking.is_none();
    }
    observed
}

/// What a call stands for, each with the errors of a kernel that lacks it.
fn requirements(seen: &Seen) -> Vec<(Requirement, &'static [i32])> {
    let call = Requirement::Call(seen.call.clone());
    let mut found: Vec<(Requirement, &'static [i32])> = vec![(call, &[ENOSYS])];
    match (&seen.about, seen.call.as_str()) {
        (Some(About::Path(path)), _) => {
            let path = Requirement::Path(path.clone());
            found.push((path, &[ENOENT, ENXIO, EACCES, ENODEV, ENOTDIR]));
        }
        (Some(About::Argument(family)), "socket" | "socketpair") => {
            let family = table::socket_family(*family);
            let socket = family.map(|(name, _)| Requirement::Socket(name.to_owned()));
            found.extend(socket.map(|socket| (socket, &[ENOSYS, EAFNOSUPPORT][..])));
        }
        (Some(About::Argument(command)), "fcntl") if table::is_lock_command(*command) => {
            let locks = Requirement::Behaviour("file locks".to_owned());
            found.push((locks, &[EINVAL]));
        }
        (Some(About::Argument(operation)), "futex") if PI_OPERATIONS.contains(operation) => {
            let inheritance = Requirement::Behaviour("priority inheritance".to_owned());
            found.push((inheritance, &[ENOSYS]));
        }
        (Some(About::Argument(flags)), "clone" | "clone3" | "unshare" | "setns") => {
            let spaces = table::namespaces(*flags).map(str::to_owned);
            found.extend(spaces.map(|name| (Requirement::Behaviour(name), &[EINVAL, ENOSYS][..])));
        }
        _ => {}
    }
    found
}

/// Whether a trace would show it.
fn is_visible(requirement: &Requirement) -> bool {
    match requirement {
        Requirement::Call(_) | Requirement::Socket(_) | Requirement::Path(_) => true,
        Requirement::Behaviour(what) => {
            what.ends_with(" namespaces") || what == "file locks" || what == "priority inheritance"
        }
        Requirement::Option(_) => false,
    }
}

fn is_mere_import(evidence: &Evidence) -> bool {
    matches!(evidence, Evidence::Import { address: None, .. })
}

/// The strength of what only the trace saw.
fn strength_of(requirement: &Requirement, observed: &Observed) -> Strength {
    let advice = match requirement {
        Requirement::Call(name) => table::optional_because(name).is_some(),
        Requirement::Path(path) => !path.starts_with("/dev"),
        _ => false,
    };
    match observed.worked && !advice {
        true => Strength::Required,
        false => Strength::Optional,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> Requirement {
        Requirement::Call(name.to_owned())
    }

    fn import(address: Option<u64>) -> Evidence {
        Evidence::Import {
            file: "/bin/x".to_owned(),
            symbol: "f".to_owned(),
            address,
        }
    }

    fn merged(mut needs: Needs, lines: &[&str]) -> Needs {
        needs.merge(&Trace::read("6.12", lines.iter().copied()));
        needs
    }

    fn of<'a>(needs: &'a Needs, requirement: &Requirement) -> &'a Need {
        let found = needs.needs.iter().find(|n| n.requirement == *requirement);
        found.unwrap_or_else(|| panic!("{requirement} in {needs:?}"))
    }

    #[test]
    fn a_merged_list_shows_every_case() {
        let mut needs = Needs::default();
        for (name, strength, address) in [
            ("epoll_create", Strength::Required, Some(1)), // never seen, code calls it
            ("eventfd2", Strength::Required, None),        // never seen, a mere import
            ("socket", Strength::Required, Some(2)),       // seen by both
            ("timer_create", Strength::Required, Some(3)), // failed, done without
            ("memfd_create", Strength::Optional, Some(4)), // seen, known to be optional
        ] {
            needs.add(call(name), strength, import(address));
        }
        let lines = [
            "41 begun",
            "41 0",
            "41 0 argument 1",
            "41 97 argument 10",
            "222 begun",
            "222 38",
            "319 begun",
            "319 0",
            "284 begun",
            "232 begun",
            "28 0",
            "257 0 path /proc/sys/vm/overcommit_memory",
            "257 2 path /sys/fs/cgroup",
            "257 0 path /dev/ptmx",
            "72 0 argument 6",
            "56 22 argument 1073741824",
        ];
        let text: Vec<String> = merged(needs, &lines)
            .needs
            .iter()
            .map(|need| {
                let said = need.disagreement.map(|d| format!(" [{d}]"));
                let last = need.evidence.last().map(ToString::to_string);
                format!(
                    "{:?} {}{}: {}",
                    need.strength,
                    need.requirement,
                    said.unwrap_or_default(),
                    last.unwrap_or_default()
                )
            })
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn evidence_of_a_trace_is_added_where_there_is_much_already() {
        let mut needs = Needs::default();
        for address in 0..20 {
            needs.add(call("socket"), Strength::Required, import(Some(address)));
        }
        let needs = merged(needs, &["41 0"]);
        let last = of(&needs, &call("socket")).evidence.last();
        assert!(matches!(last, Some(Evidence::Traced { .. })), "{last:?}");
    }

    #[test]
    fn a_refusal_decides_over_what_was_asked_for() {
        let mut needs = Needs::default();
        for name in ["eventfd2", "epoll_ctl", "socket"] {
            needs.add(call(name), Strength::Required, import(Some(1)));
        }
        needs.add(call("epoll_create1"), Strength::Optional, import(Some(2)));
        let mut trace = Trace::read("6.12", ["290 0", "291 0", "233 0"]);
        for (option, calls, ready) in [
            ("NET", &["socket"][..], true),
            ("EPOLL", &["epoll_ctl", "epoll_create1"][..], false),
            ("EVENTFD", &["eventfd2"][..], true),
        ] {
            let option = option.to_owned();
            let refused = calls.iter().map(|name| call(name)).collect();
            trace.refusals.push(Refusal {
                option,
                refused,
                ready,
            });
        }
        needs.merge(&trace);
        let strength = |name: &str| of(&needs, &call(name)).strength;
        assert_eq!(strength("eventfd2"), Strength::Optional);
        assert_eq!(strength("epoll_ctl"), Strength::Required);
        assert_eq!(strength("epoll_create1"), Strength::Required);
        // Nobody asked, so nobody was refused.
        assert_eq!(strength("socket"), Strength::Required);
        let said = of(&needs, &call("eventfd2")).disagreement;
        assert_eq!(said, Some(Disagreement::DoneWithout));
    }

    #[test]
    fn what_a_trace_cannot_see_is_left_alone() {
        let mut needs = Needs::default();
        needs.state("SYSVIPC", "y");
        let card = Requirement::Behaviour("network card".to_owned());
        needs.add(card, Strength::Required, import(None));
        assert_eq!(merged(needs.clone(), &[]), needs);
    }
}
