//! At which privilege level of the processor a kernel runs programs, found out by booting it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use lupine_rootfs::FileTree;
use lupine_rootfs::ext2::{self, Options};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::guest::InitConfig;
use crate::guest::init::{CONFIG_PATH, INIT, INIT_PATH, PRIVILEGE};
use crate::image::{Listener, put};
use crate::pipeline::Lupine;
use crate::rootfs::RootfsError;
use crate::vmm::{Machine, Vm};

/// How long the guest has. It does nothing but start four programs.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the guest has its program.
const PATHS: [&str; 2] = ["/privilege", "/trusted/privilege"];

/// The privilege level (CPL) of a program, 0 to 3: 0 is the kernel's, 3 that of an ordinary program.
/// Nothing where the program did not say.
pub type Level = Option<u8>;

/// At which levels a kernel runs programs. See Documentation/arch/x86/kml.rst of the patched kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// One that nothing sets apart.
    pub elsewhere: Level,
    /// One whose file lies below `/trusted`.
    pub trusted: Level,
    /// One that was marked by `arch_prctl(ARCH_KML_SET_EXEC)` before its exec.
    pub marked: Level,
}

impl Privileges {
    /// Whether this kernel has Kernel Mode Linux and its policy is the one without parameters: what is
    /// trusted or marked runs in kernel mode, and nothing else.
    #[must_use]
    pub fn is_kernel_mode_linux(&self) -> bool {
        (self.elsewhere, self.trusted, self.marked) == (Some(3), Some(0), Some(0))
    }

    /// Takes what a line of the console says, if it says something.
    fn take(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some("privilege") {
            return;
        }
        let place = match words.next() {
            Some("elsewhere") => &mut self.elsewhere,
            Some("trusted") => &mut self.trusted,
            Some("marked") => &mut self.marked,
            _ => return,
        };
        *place = words.next().and_then(|level| level.parse().ok());
    }
}

impl fmt::Display for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, level) in [
            ("below /trusted", self.trusted),
            ("marked for its exec", self.marked),
            ("elsewhere", self.elsewhere),
        ] {
            match level {
                Some(level) => writeln!(f, "a program {name} runs in CPL {level}")?,
                None => writeln!(f, "a program {name} did not run")?,
            }
        }
        Ok(())
    }
}

impl Lupine {
    /// Boots a kernel, a `vmlinux` or a `bzImage`, with a program that says its level. The kernel needs what
    /// this pipeline's have: a serial console, a virtio disk as the VMM offers it, ext2.
    ///
    /// # Errors
    /// As [`boot`](Lupine::boot); the guest did not start its program within a minute.
    pub fn privileges(&self, kernel: &Path) -> Result<Privileges, Error> {
        self.check_vmm()?;
        let folder = tempfile::Builder::new().prefix("lupine-").tempdir()?;
        let root = folder.path().join("root.ext2");
        let init = InitConfig {
            args: vec![PATHS[0].into()],
            ..InitConfig::default()
        };
        let mut tree = FileTree::new();
        put(&mut tree, INIT_PATH, 0o755, INIT)?;
        let conf = init.encode().map_err(RootfsError::from)?;
        put(&mut tree, CONFIG_PATH, 0o600, &conf)?;
        for path in PATHS {
            put(&mut tree, path, 0o755, PRIVILEGE)?;
        }
        let mut listener = Listener::new(self.progress(), self.cancel());
        ext2::write_image(&tree, &Options::default(), &root, &mut listener)
            .map_err(RootfsError::from)?;

        let mut machine = Machine::new(kernel, root);
        machine.vmm = self.vmm();
        let accel = self.choose_accelerator()?.accel;
        let mut found = Privileges::default();
        let mut vm = Vm::boot(&machine, accel, self.cancel())?;
        vm.wait(Some(LIMIT), |line| found.take(line))?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_console_are_read() {
        let mut found = Privileges::default();
        for line in [
            "privilege",
            "privilege of 3",
            "privilege elsewhere 3",
            "x",
            "privilege trusted 0",
        ] {
            found.take(line.as_bytes());
        }
        assert_eq!(
            (found.elsewhere, found.trusted, found.marked),
            (Some(3), Some(0), None)
        );
        assert!(!found.is_kernel_mode_linux());
        found.take(b"privilege marked 0");
        assert!(found.is_kernel_mode_linux());
        insta::assert_snapshot!(found, @r"
        a program below /trusted runs in CPL 0
        a program marked for its exec runs in CPL 0
        a program elsewhere runs in CPL 3
        ");
    }
}
