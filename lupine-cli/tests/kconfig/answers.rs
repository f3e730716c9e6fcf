//! Probes are run once per tree, architecture and toolchain, and their answers heard by the program
//! under test and by the reference: what is compared then is what both make of them.

use crate::reference::{Kernel, build_replaying, write_plain_answers};
use crate::run::Setting;
use crate::toolchain::Probes;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// What [`Setting::tree`] gives, and the reference that goes with it, both without a shell.
pub(crate) fn replaying(kernel: &Kernel, arch: &str, probes: Probes) -> (Setting, PathBuf) {
    static RECORDED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut setting = Setting::tree(kernel, arch, probes);
    let name = format!("{}-{arch}-{probes:?}", kernel.release);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("answers");
    let recorded = directory.join(format!("{name}.json"));
    let plain = directory.join(format!("{name}.plain"));
    let mut known = RECORDED.lock().unwrap_or_else(PoisonError::into_inner);
    if known.insert(name) {
        std::fs::create_dir_all(&directory).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_lupine-conf"))
            .args(["-s", "--allnoconfig", "Kconfig"])
            .current_dir(scratch.path())
            .env_clear()
            .envs(&setting.environment)
            .env("LUPINE_PROBES", prefixed("record:", &recorded))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        write_plain_answers(&recorded, &plain);
    }
    drop(known);
    setting.set("LUPINE_PROBES", prefixed("replay:", &recorded));
    setting.set("CONF_ANSWERS", plain);
    (setting, build_replaying(&kernel.tree, &[]))
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}
