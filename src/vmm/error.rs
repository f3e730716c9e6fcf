//! Why a machine did not do what it was booted for.

use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::console::GuestExit;
use super::machine::Machine;
use super::monitor::Vmm;
use crate::process::ProcessError;

/// Why a machine did not boot, did not get ready, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// A port to forward is taken.
    #[error("{address} is in use on this machine; stop what listens there or forward another port")]
    PortInUse {
        /// The port.
        address: SocketAddrV4,
        /// The system's reason.
        source: io::Error,
    },
    /// A port to forward cannot be listened on for another reason, such as its number being below
    /// 1024.
    #[error("cannot listen on {address}")]
    Port {
        /// The port.
        address: SocketAddrV4,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel or an image cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The VMM's program is not in `PATH`.
    #[error("{vmm} is not installed: {}", vmm.how_to_install())]
    NotInstalled {
        /// The VMM.
        vmm: Vmm,
    },
    /// The VMM has no translator, and KVM does not run guests here.
    #[error(
        "{vmm} runs guests by KVM only, which this machine cannot do: {reason}; \
         qemu does without it"
    )]
    NeedsKvm {
        /// The VMM.
        vmm: Vmm,
        /// What is known of KVM here.
        reason: String,
    },
    /// The VMM connects guests to tap devices only, and none was named.
    #[error(
        "{vmm} connects a guest to a tap device only, and none was named by --tap; to make one:{}",
        Tap("tap0")
    )]
    NoUserNetwork {
        /// The VMM.
        vmm: Vmm,
    },
    /// The tap device is not there.
    #[error(
        "this machine has no network device {name:?}; to make it:{}",
        Tap(name)
    )]
    NoTap {
        /// Its name.
        name: String,
    },
    /// Ports were to be forwarded to a guest at a tap device.
    #[error(
        "ports are forwarded by user-mode networking only; through {name} the host reaches \
         every port of the guest at {}: forward none",
        Machine::guest_interface().address
    )]
    TapForwards {
        /// The tap device.
        name: String,
    },
    /// The VMM cannot boot such a machine.
    #[error("{vmm} cannot {what}; change that, or use another virtual machine monitor")]
    Unsupported {
        /// The VMM.
        vmm: Vmm,
        /// What it cannot do.
        what: String,
    },
    /// A drive whose changes are not to be kept could not be copied for a VMM that keeps them.
    #[error(
        "cannot copy {} for a guest that may change it, into the directory that TMPDIR names",
        path.display()
    )]
    Copy {
        /// The drive.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file for the VMM could not be written.
    #[error("cannot {what} in the directory that TMPDIR names")]
    Prepare {
        /// What was being done.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The VMM could not be run, was cancelled, or passed its time limit.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The VMM gave up by itself.
    #[error("the virtual machine monitor failed ({status}){}", Tail(tail))]
    Vmm {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        tail: String,
    },
    /// The guest's kernel panicked.
    #[error("the guest's kernel stopped: {reason}{}", Tail(tail))]
    Panic {
        /// The kernel's words.
        reason: String,
        /// The end of the console.
        tail: String,
    },
    /// The guest ran out of memory.
    #[error(
        "the guest ran out of its {memory_mib} MiB of memory: {reason}; give it more{}",
        Tail(tail)
    )]
    OutOfMemory {
        /// The kernel's words.
        reason: String,
        /// What the machine has, in MiB.
        memory_mib: u32,
        /// The end of the console.
        tail: String,
    },
    /// The init could not set the machine up or start the program.
    #[error("the guest cannot {step}{}", Tail(tail))]
    Init {
        /// The step and the reason.
        step: String,
        /// The end of the console.
        tail: String,
    },
    /// The program ended before it was ready.
    #[error("the program ended with {exit} before it was ready{}", Tail(tail))]
    Exited {
        /// How it ended.
        exit: GuestExit,
        /// The end of the console.
        tail: String,
    },
    /// The machine was reset without a word from the init.
    #[error("the guest reset itself without saying why{}{}", Fit(tail, *memory_mib), Tail(tail))]
    Vanished {
        /// What the machine has, in MiB.
        memory_mib: u32,
        /// The end of the console.
        tail: String,
    },
    /// The program did not end in time.
    #[error("still running after {limit:?}, and ended{}", Tail(tail))]
    StillRunning {
        /// The time that passed.
        limit: Duration,
        /// The end of the console.
        tail: String,
    },
    /// The program did not become ready in time.
    #[error("not ready after {limit:?}: {check} {last}{}", Tail(tail))]
    NotReady {
        /// What was waited for.
        check: String,
        /// How the last attempt failed.
        last: String,
        /// The time that passed.
        limit: Duration,
        /// The end of the console.
        tail: String,
    },
}

/// What silence suggests: a kernel writes its first message once it is unpacked.
struct Fit<'a>(&'a str, u32);

impl fmt::Display for Fit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            write!(f, "; its kernel may not fit into {} MiB of memory", self.1)?;
        }
        Ok(())
    }
}

/// How to make a tap device, on lines of its own after a message.
struct Tap<'a>(&'a str);

impl fmt::Display for Tap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in Machine::tap_commands(self.0) {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// The end of a console, on lines of its own after a message.
struct Tail<'a>(&'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; the console is empty");
        }
        f.write_str("; the end of the console:")?;
        for line in self.0.lines() {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}
