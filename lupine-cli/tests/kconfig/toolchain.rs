//! Toolchains whose answers do not depend on the machine: a compiler and a linker that claim a
//! version and let every probe pass, or fail.

use crate::reference::cache;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// What probes of the toolchain answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probes {
    /// Every option and instruction is supported.
    Pass,
    /// None is.
    Fail,
}

/// The directory with `cc`, `ld` and `tool` of that behaviour.
pub(crate) fn stub(probes: Probes) -> PathBuf {
    static STUBS: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
    STUBS[probes as usize]
        .get_or_init(|| {
            let directory = cache().join(match probes {
                Probes::Pass => "stub-pass",
                Probes::Fail => "stub-fail",
            });
            fs::create_dir_all(&directory).unwrap();
            let status = u8::from(probes == Probes::Fail);
            let cc = format!(
                "#!/bin/sh\n\
                 case \"$*\" in\n\
                 '-E -P -x c -') echo 'GCC 14 2 0'; exit 0 ;;\n\
                 *-Wa,--version*) echo 'GNU assembler (GNU Binutils) 2.42'; exit 0 ;;\n\
                 --version) echo 'cc (stub) 14.2.0'; exit 0 ;;\n\
                 esac\n\
                 exit {status}\n"
            );
            let ld = format!(
                "#!/bin/sh\n\
                 case \"$*\" in\n\
                 --version) echo 'GNU ld (GNU Binutils) 2.42'; exit 0 ;;\n\
                 esac\n\
                 exit {status}\n"
            );
            let tool = format!("#!/bin/sh\nexit {status}\n");
            for (name, text) in [("cc", cc), ("ld", ld), ("tool", tool)] {
                let target = directory.join(name);
                if fs::read(&target).ok().as_deref() == Some(text.as_bytes()) {
                    continue;
                }
                let scratch = directory.join(format!("{name}.{}", std::process::id()));
                let copy = directory.join(format!("{name}.{}.copy", std::process::id()));
                fs::write(&scratch, text).unwrap();
                // Another test's child may hold a descriptor of ours until its exec, and keep the script
                // busy (`ETXTBSY`): what is run was written by `cp`.
                let copied = Command::new("cp")
                    .arg(&scratch)
                    .arg(&copy)
                    .status()
                    .unwrap();
                assert!(copied.success());
                fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
                fs::rename(&copy, &target).unwrap();
                fs::remove_file(&scratch).unwrap();
            }
            directory
        })
        .clone()
}
