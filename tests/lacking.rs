//! Kernels that lack one option of nginx: the health check fails, and what is
//! said names the option. Each takes a build and a boot; the options are those
//! of analysis and trace, which knows that nginx goes on without an eventfd.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be prepared fails, and skips loudly"
)]

mod common;

use std::collections::BTreeSet;

use lupine::cache::Cache;
use lupine::kernel::base::Base;
use lupine::kernel::config;
use lupine::manifest::Manifest;
use lupine::needs::{Strength, suspects};
use lupine::variant::Variant;
use lupine::{Lupine, free_port};
use lupine_kconfig::Configuration;

use common::{ALL, able, asked_for_all};

const VARIANT: Variant = Variant::LupineNokml;

/// A test for each option that nginx needs and base does not have.
macro_rules! without {
    ($($test:ident: $option:literal,)*) => {
        const OPTIONS: &[&str] = &[$($option),*];
        $(
            #[test]
            fn $test() {
                if able(ALL) && asked_for_all() {
                    is_named($option);
                }
            }
        )*
    };
}

without! {
    without_epoll: "EPOLL",
    without_inet: "INET",
    without_ipv6: "IPV6",
    without_net: "NET",
    without_net_core: "NET_CORE",
    without_netdevices: "NETDEVICES",
    without_unix: "UNIX",
    without_virtio_net: "VIRTIO_NET",
}

#[test]
fn the_options_are_those_that_nginx_needs() {
    if !able(ALL) || !asked_for_all() {
        return;
    }
    let lupine = Lupine::of_user().unwrap().with_traces();
    let image = lupine.image(&Manifest::builtin("nginx").unwrap()).unwrap();
    let source = lupine.kernel_source(None).unwrap();
    lupine.trace(&image, &source).unwrap();
    let mut needs = lupine.needs(&image).unwrap();
    needs.resolve(&lupine.syscalls(&source).unwrap());
    let base = Base::lupine().options(VARIANT, lupine.vmm(), &source.version);
    let base: BTreeSet<String> = base.into_iter().map(|option| option.symbol).collect();
    let needed = needs.options(Strength::Required).into_iter();
    let needed: BTreeSet<String> = needed.map(|option| option.symbol).collect();
    let tried: BTreeSet<String> = OPTIONS.iter().map(|&option| option.to_owned()).collect();
    assert_eq!(
        needed.difference(&base).cloned().collect::<BTreeSet<_>>(),
        tried
    );
}

/// Boots nginx on its kernel less `option`.
fn is_named(option: &str) {
    let lupine = Lupine::of_user().unwrap();
    let mut app = Manifest::builtin("nginx").unwrap();
    // A server that cannot be reached is waited for until the end.
    app.health.as_mut().unwrap().time_limit_s = 30;
    let image = lupine.image(&app).unwrap();
    let mut needs = lupine.needs(&image).unwrap();
    let source = lupine.kernel_source(None).unwrap();
    let whole = lupine.specialise(&source, &needs, VARIANT).unwrap();
    let toolchain = lupine.toolchain().unwrap();
    let tree = config::load(&source, &toolchain, &Cache::of_user().unwrap()).unwrap();
    let mut fewer = Configuration::new(&tree);
    fewer.read(&whole.text);
    let id = tree.symbol(option).unwrap();
    fewer.set_bytes(id, b"n");
    let text = fewer.write();
    let line = format!("CONFIG_{option}=y");
    assert!(!String::from_utf8_lossy(&text).lines().any(|l| l == line));
    let kernel = lupine.kernel_of(&source, &text).unwrap();
    let rootfs = lupine.rootfs(&image, VARIANT).unwrap();
    let forwards = [(free_port().unwrap(), 80)];
    let mut guest = lupine
        .boot(&kernel, &rootfs, image.manifest(), &forwards)
        .unwrap();
    let error = guest.wait_ready(|_| {}).unwrap_err();
    let said = chain(&error);
    let syscalls = lupine.syscalls(&source).unwrap();
    needs.resolve(&syscalls);
    let named = suspects(&needs, &syscalls, &text, &said);
    let messages: Vec<String> = named.iter().map(ToString::to_string).collect();
    eprintln!("{option}: {}\n{said}", messages.join("\n"));
    let words = format!("does not have CONFIG_{option}=y");
    assert!(messages.iter().any(|m| m.contains(&words)), "{messages:?}");
}

/// An error with its causes, one a line, as `lupine run` says it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join("\n")
}
