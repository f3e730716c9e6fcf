//! A machine while it runs.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::attempts::Attempts;
use super::console::{Console, GuestExit, Trouble, find};
use super::error::VmError;
use super::health::{HealthCheck, Probe};
use super::launch::{self, Launch};
use super::machine::{Accel, Machine};
use crate::process::{Cancel, Child, Event, Stream, Task};
use tempfile::TempDir;

/// How often the cancel token and the health check are looked at.
const STEP: Duration = Duration::from_millis(10);

/// How long a machine may live on after its program ended or its kernel panicked: it has writes to
/// finish.
const LINGER: Duration = Duration::from_secs(20);

/// The most seconds that a program has to end after it was asked to.
const LONGEST_STOP: u64 = 3600;

/// How long after a program was ready the init may take to say that it runs.
const SAID: Duration = Duration::from_secs(1);

/// How much of the VMM's own messages is kept, in bytes.
const COMPLAINTS: usize = 4096;

/// The interrupt character of a terminal, which the guest's init takes for a request to end.
const INTERRUPT: &[u8] = b"\x03";

/// When a program was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// From the start of the VMM to the start of the program, if that was seen.
    pub started: Option<Duration>,
    /// From the start of the VMM to the success of the health check.
    pub ready: Duration,
}

/// A running machine. Dropping it ends it.
#[derive(Debug)]
pub struct Vm {
    child: Child,
    cancel: Cancel,
    machine: Machine,
    console: Console,
    complaints: Vec<u8>,
    begin: Instant,
    started: Option<Duration>,
    linger_until: Option<Instant>,
    /// Whether the guest reset itself and its VMM was ended for that.
    reset: bool,
    /// After `child`, so that they go when it has ended.
    _files: Option<TempDir>,
}

impl Vm {
    /// Boots a machine in its VMM.
    ///
    /// # Errors
    /// The VMM is not installed, cannot boot such a machine or cannot be started; a port is in
    /// use; or a file cannot be read.
    pub fn boot(machine: &Machine, accel: Accel, cancel: &Cancel) -> Result<Self, VmError> {
        launch::check(machine, accel)?;
        check_ports(machine)?;
        let mut machine = machine.clone();
        let drives = machine.drives.iter_mut().map(|drive| &mut drive.path);
        for path in drives.chain([&mut machine.kernel]) {
            let absolute = File::open(&*path).and_then(|_| std::path::absolute(&*path));
            *path = absolute.map_err(|source| VmError::File {
                path: path.clone(),
                source,
            })?;
        }
        cancel.check().map_err(crate::process::ProcessError::from)?;
        Self::start(launch::launch(&machine, accel)?, machine, cancel)
    }

    fn start(launch: Launch, machine: Machine, cancel: &Cancel) -> Result<Self, VmError> {
        let begin = Instant::now();
        // The machine is asked to end before it is made to, so its token is not ours.
        let child = Task::new(launch.program)
            .args(launch.args)
            .spawn(&Cancel::new())?;
        Ok(Self {
            child,
            cancel: cancel.clone(),
            machine,
            reset: false,
            _files: launch.files,
            console: Console::new(),
            complaints: Vec::new(),
            begin,
            started: None,
            linger_until: None,
        })
    }

    /// The process id of the VMM.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The console so far.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The time since the VMM was started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Writes to the guest's console.
    pub fn send(&mut self, bytes: &[u8]) {
        self.child.send(bytes);
    }

    /// Where the host reaches this port of the guest.
    #[must_use]
    pub fn host_port(&self, guest: u16) -> Option<SocketAddrV4> {
        self.machine.host_port(guest)
    }

    /// Waits until `check` succeeds. `on_line` gets every line of the console.
    ///
    /// A program that ends with status 0 after what the check looks for appeared on the console
    /// was ready, too.
    ///
    /// # Errors
    /// The time is over, the guest ended, panicked or ran out of memory, or the token was set; the
    /// machine has then been ended.
    pub fn wait_ready(
        &mut self,
        check: &HealthCheck,
        mut on_line: impl FnMut(&[u8]),
    ) -> Result<Readiness, VmError> {
        let mut attempts: Option<Attempts> = None;
        let mut seen = false;
        let mut ready_at = None;
        loop {
            let ended = self.step(&mut |line| {
                if let Probe::Console { text } = &check.probe {
                    seen |= find(line, text.as_bytes()).is_some();
                }
                on_line(line);
            })?;
            let ready = match &check.probe {
                Probe::Console { .. } => seen,
                Probe::Started => self.console.started(),
                Probe::Http { .. } | Probe::Tcp { .. } => {
                    attempts.as_ref().is_some_and(Attempts::succeeded)
                }
            };
            if ready && ready_at.is_none() {
                ready_at = Some(self.age());
            }
            // A program may be ready before the init has said that it runs.
            if let Some(ready) = ready_at
                && (self.started.is_some() || ended.is_some() || self.age() > ready + SAID)
            {
                return Ok(Readiness {
                    started: self.started,
                    ready,
                });
            }
            if let Some(status) = ended {
                let exit = self.verdict(status)?;
                return Err(VmError::Exited {
                    exit,
                    tail: self.console.tail(),
                });
            }
            // Before the program runs, the guest's network may swallow a connection silently.
            if self.console.started()
                && attempts.is_none()
                && let Some(host) = check.probe.port().and_then(|port| self.host_port(port))
            {
                attempts = Some(Attempts::begin(check, host));
            }
            if self.age() >= check.limit {
                self.child.terminate();
                let last = match (&attempts, check.probe.port()) {
                    (Some(attempts), _) => attempts.last(),
                    (None, Some(port)) if self.host_port(port).is_none() => {
                        "was not tried: no port of this machine leads there".to_owned()
                    }
                    (None, Some(_)) => "was not tried: the program did not start".to_owned(),
                    (None, None) => "was not seen".to_owned(),
                };
                return Err(VmError::NotReady {
                    check: check.probe.to_string(),
                    last,
                    limit: check.limit,
                    tail: self.console.tail(),
                });
            }
        }
    }

    /// Waits until the program ends, and the machine with it, at most for `limit`.
    ///
    /// # Errors
    /// The guest panicked, ran out of memory or could not start its program; the time is over; or
    /// the token was set. The machine has then been ended.
    pub fn wait(
        &mut self,
        limit: Option<Duration>,
        mut on_line: impl FnMut(&[u8]),
    ) -> Result<GuestExit, VmError> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.step(&mut on_line)? {
                return self.verdict(status);
            }
            if let Some(limit) = limit.filter(|&limit| begin.elapsed() >= limit) {
                self.child.terminate();
                return Err(VmError::StillRunning {
                    limit,
                    tail: self.console.tail(),
                });
            }
        }
    }

    /// Waits for the program's end at most for `limit`; `None` where it still runs then.
    ///
    /// # Errors
    /// As [`Vm::wait`], but for the limit.
    pub fn wait_for(
        &mut self,
        limit: Duration,
        mut on_line: impl FnMut(&[u8]),
    ) -> Result<Option<GuestExit>, VmError> {
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if let Some(status) = self.step(&mut on_line)? {
                return self.verdict(status).map(Some);
            }
        }
        Ok(None)
    }

    /// Asks the program to end, and ends the machine if it does not within
    /// [`Machine::stop_timeout_s`]. `None` says that it had to be ended.
    ///
    /// # Errors
    /// The VMM's pipes failed.
    pub fn stop(&mut self, mut on_line: impl FnMut(&[u8])) -> Result<Option<GuestExit>, VmError> {
        let grace = self.machine.stop_timeout_s.min(LONGEST_STOP);
        let until = Instant::now() + Duration::from_secs(grace);
        // Before the init listens, nobody could take the request.
        if self.console.started() {
            self.child.send(INTERRUPT);
            while Instant::now() < until {
                if self.receive(&mut on_line)?.is_some() {
                    return Ok(self.console.exit());
                }
            }
        }
        self.child.terminate();
        Ok(None)
    }

    /// One event of the machine; its status once it has ended.
    fn step(&mut self, on_line: &mut dyn FnMut(&[u8])) -> Result<Option<ExitStatus>, VmError> {
        if let Err(cancelled) = self.cancel.check() {
            self.stop(on_line)?;
            return Err(crate::process::ProcessError::from(cancelled).into());
        }
        self.receive(on_line)
    }

    fn receive(&mut self, on_line: &mut dyn FnMut(&[u8])) -> Result<Option<ExitStatus>, VmError> {
        match self.child.next_event(STEP)? {
            Event::Output(Stream::Stdout, bytes) => self.console.feed(&bytes, on_line),
            Event::Output(Stream::Stderr, bytes) => {
                let room = COMPLAINTS.saturating_sub(self.complaints.len());
                self.complaints.extend(bytes.into_iter().take(room));
            }
            Event::Exited(status) => return Ok(Some(status)),
            Event::Idle => {}
        }
        if self.started.is_none() && self.console.started() {
            self.started = Some(self.age());
        }
        if self.console.halted() && self.machine.vmm.restarts_guests() {
            self.reset = true;
            self.child.terminate();
            return Ok(None);
        }
        let over = self.console.exit().is_some()
            || matches!(
                self.console.trouble(),
                Some(Trouble::Panic(_) | Trouble::Init(_))
            );
        if over {
            let until = *self
                .linger_until
                .get_or_insert_with(|| Instant::now() + LINGER);
            if Instant::now() >= until {
                self.child.terminate();
            }
        }
        Ok(None)
    }

    /// What the end of the VMM means.
    fn verdict(&self, status: ExitStatus) -> Result<GuestExit, VmError> {
        let exit = self.console.exit();
        let tail = self.console.tail();
        let failed = !exit.is_some_and(GuestExit::success);
        match self.console.trouble() {
            Some(Trouble::Init(step)) => {
                return Err(VmError::Init {
                    step: step.clone(),
                    tail,
                });
            }
            Some(Trouble::OutOfMemory(reason)) if failed => {
                let (reason, memory_mib) = (reason.clone(), self.machine.memory_mib);
                return Err(VmError::OutOfMemory {
                    reason,
                    memory_mib,
                    tail,
                });
            }
            Some(Trouble::Panic(reason) | Trouble::Oops(reason)) if exit.is_none() => {
                return Err(VmError::Panic {
                    reason: reason.clone(),
                    tail,
                });
            }
            _ => {}
        }
        match exit {
            Some(exit) => Ok(exit),
            None if status.success() || self.reset => Err(VmError::Vanished {
                memory_mib: self.machine.memory_mib,
                tail,
            }),
            None => {
                let said = String::from_utf8_lossy(&self.complaints).trim().to_owned();
                // Some VMMs log to where the console is.
                let tail = if said.is_empty() { tail } else { said };
                Err(VmError::Vmm { status, tail })
            }
        }
    }
}

/// A TCP port of 127.0.0.1 on which nobody listens at the moment.
///
/// # Errors
/// There is none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Finds a taken port before the machine boots, because the VMM's message would come late and
/// name no way out.
fn check_ports(machine: &Machine) -> Result<(), VmError> {
    let mut held = Vec::new();
    for forward in &machine.forwards {
        let address = forward.host;
        held.push(
            TcpListener::bind(address).map_err(|source| match source.kind() {
                ErrorKind::AddrInUse => VmError::PortInUse { address, source },
                _ => VmError::Port { address, source },
            })?,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::monitor::Vmm;
    use super::*;

    /// A machine whose VMM is this line of a shell: what a [`Vm`] makes of its words and its end.
    fn spoken(vmm: Vmm, script: &str) -> Vm {
        let mut machine = Machine::new("/k", "/r");
        machine.vmm = vmm;
        let launch = Launch {
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            files: None,
        };
        Vm::start(launch, machine, &Cancel::new()).unwrap()
    }

    fn end(vmm: Vmm, script: &str) -> Result<GuestExit, VmError> {
        spoken(vmm, script).wait(Some(Duration::from_secs(60)), |_| {})
    }

    #[test]
    fn a_vmm_that_fails_is_quoted() {
        for script in [
            "echo 'bad drive' >&2; exit 152",
            "echo 'bad drive'; exit 152",
        ] {
            let error = end(Vmm::Firecracker, script).unwrap_err();
            let VmError::Vmm { status, tail } = &error else {
                panic!("{error}");
            };
            assert_eq!((status.code(), tail.as_str()), (Some(152), "bad drive"));
        }
    }

    #[test]
    fn a_vmm_that_restarts_its_guest_is_ended_with_the_guest() {
        let restarts = |log: &str| format!("printf '{log}\\n'; exec sleep 600");
        let begin = Instant::now();
        let log = "lupine-init: exit status=3\\nreboot: Restarting system";
        let exit = end(Vmm::CloudHypervisor, &restarts(log));
        assert_eq!(exit.unwrap(), GuestExit::Status(3));
        let error = end(Vmm::CloudHypervisor, &restarts("reboot: Restarting system"));
        assert!(matches!(error, Err(VmError::Vanished { .. })), "{error:?}");
        let log = "Kernel panic - not syncing: no root\\n---[ end Kernel panic - not syncing: no";
        let error = end(Vmm::CloudHypervisor, &restarts(log));
        assert!(matches!(error, Err(VmError::Panic { .. })), "{error:?}");
        assert!(begin.elapsed() < LINGER);
    }
}
