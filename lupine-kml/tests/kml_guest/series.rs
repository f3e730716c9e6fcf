//! The patches as a series: their style, their steps, and what they leave alone.

use std::process::Command;

use crate::figures::IOPERM;
use crate::kernel::{Kernel, Missing, have, run, series};

/// What a person has to say, not a patch: who vouches for it, and who looks after it.
const LEFT_TO_PEOPLE: [&str; 2] = ["Missing Signed-off-by", "MAINTAINERS"];

fn stock(version: &str) -> Kernel<'_> {
    Kernel {
        version,
        patched: false,
        clang: false,
        options: &[IOPERM],
    }
}

/// The kernel's own judge has nothing to say.
pub(crate) fn is_in_kernel_style(version: &str) -> Result<(), Missing> {
    have("perl")?;
    // The other tests have unpacked it already.
    let tree = Kernel {
        patched: true,
        ..stock(version)
    }
    .source()?;
    let mut judge = Command::new("perl");
    judge.arg("scripts/checkpatch.pl").current_dir(&tree);
    judge.args(["--no-tree", "--terse", "--no-summary"]);
    let said = judge.args(series(version)).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    // That it ran at all: the sign-off is always missed.
    assert!(said.contains(LEFT_TO_PEOPLE[0]), "{said}");
    let complaints: Vec<&str> = said
        .lines()
        .filter(|line| !LEFT_TO_PEOPLE.iter().any(|left| line.contains(left)))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

/// After each patch the architecture's code compiles without a word of the tools.
pub(crate) fn every_step_builds(version: &str) -> Result<(), Missing> {
    stock(version).scratch(|build| {
        for patch in series(version) {
            build.apply(&patch);
            let said = build.compile("arch/x86/");
            assert_eq!(said, "", "{}", patch.display());
        }
        Ok(())
    })
}

/// Without the option the patched tree makes the same code.
pub(crate) fn leaves_the_code_alone(version: &str) -> Result<(), Missing> {
    have("objdump")?;
    let before = stock(version);
    let after = Kernel {
        patched: true,
        ..before
    };
    let code = |kernel: Kernel<'_>| -> Result<String, Missing> {
        let out = tempfile::NamedTempFile::new().unwrap();
        run(Command::new("sh")
            .args([
                "-c",
                "objdump -d --no-show-raw-insn \"$0\" | tail -n +4 > \"$1\"",
            ])
            .arg(kernel.vmlinux()?)
            .arg(out.path()));
        Ok(std::fs::read_to_string(out.path()).unwrap())
    };
    let (before, after) = (code(before)?, code(after)?);
    assert!(before.len() > 10_000_000);
    let differing = before.lines().zip(after.lines()).find(|(a, b)| a != b);
    assert_eq!(differing, None);
    assert_eq!(before.len(), after.len());
    Ok(())
}
