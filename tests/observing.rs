//! Needs by observation: applications run under the guest's tracer on a kernel
//! that has everything, which takes minutes to build.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]

mod common;

use lupine::Lupine;
use lupine::manifest::Manifest;
use lupine::needs::{Needs, Origin, Requirement, Strength, Trace};

use common::{ALL, able, asked_for_all};

/// The trace of a built-in application and what becomes of its needs.
fn traced(name: &str) -> (Trace, Needs) {
    let lupine = Lupine::of_user().unwrap();
    let image = lupine.image(&Manifest::builtin(name).unwrap()).unwrap();
    let source = lupine.kernel_source(None).unwrap();
    let trace = lupine.trace(&image, &source).unwrap();
    // It is kept, but changes nothing for those who did not ask for it.
    let analysed = lupine.needs(&image).unwrap();
    let is_of_analysis = |need: &lupine::needs::Need| need.origin() == Origin::Analysis;
    assert!(analysed.needs.iter().all(is_of_analysis));
    (trace, lupine.with_traces().needs(&image).unwrap())
}

fn strength(needs: &Needs, requirement: &Requirement) -> Option<(Strength, Origin)> {
    let need = needs.needs.iter().find(|n| n.requirement == *requirement)?;
    Some((need.strength, need.origin()))
}

fn ready_without(trace: &Trace, option: &str) -> Option<bool> {
    let run = trace.refusals.iter().find(|run| run.option == option)?;
    Some(run.ready)
}

#[test]
fn nginx_goes_on_without_an_eventfd_and_not_without_epoll() {
    if !able(ALL) || !asked_for_all() {
        return;
    }
    let (trace, needs) = traced("nginx");
    assert_eq!(trace.unknown, [""; 0]);
    for (option, ready) in [
        ("EPOLL", false),
        ("EVENTFD", true),
        ("INET", false),
        ("IPV6", false),
        ("NET", false),
        ("UNIX", false),
    ] {
        assert_eq!(ready_without(&trace, option), Some(ready), "{option}");
    }
    let call = |name: &str| Requirement::Call(name.to_owned());
    let both = |strength| Some((strength, Origin::Both));
    assert_eq!(
        strength(&needs, &call("eventfd2")),
        both(Strength::Optional)
    );
    assert_eq!(
        strength(&needs, &call("epoll_create")),
        both(Strength::Required)
    );
    let inet6 = Requirement::Socket("INET6".to_owned());
    assert_eq!(strength(&needs, &inet6), both(Strength::Required));
}

#[test]
fn redis_needs_epoll_and_the_network() {
    if !able(ALL) || !asked_for_all() {
        return;
    }
    let (trace, needs) = traced("redis");
    assert_eq!(ready_without(&trace, "EPOLL"), Some(false));
    assert_eq!(ready_without(&trace, "INET"), Some(false));
    let inet = Requirement::Socket("INET".to_owned());
    assert_eq!(
        strength(&needs, &inet),
        Some((Strength::Required, Origin::Both))
    );
}

#[test]
fn hello_asks_for_nothing_that_a_kernel_may_lack() {
    if !able(ALL) || !asked_for_all() {
        return;
    }
    let (trace, needs) = traced("hello");
    assert!(trace.refusals.is_empty(), "{:?}", trace.refusals);
    let write = Requirement::Call("write".to_owned());
    assert_eq!(
        strength(&needs, &write),
        Some((Strength::Required, Origin::Both))
    );
}
