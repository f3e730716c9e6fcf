//! A token that stops work, set by a signal or by the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit status of a process that a second signal ends at once: the shell's 128 + `SIGINT`.
const SECOND_SIGNAL_STATUS: i32 = 130;

/// The work was stopped on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled{}", signal.map(|s| format!(" by signal {s}")).unwrap_or_default())]
pub struct Cancelled {
    /// The signal that asked for it, if one did. A shell expects the exit status 128 + signal.
    pub signal: Option<i32>,
}

/// A token shared by everything that should stop together. Clones share one state, which never
/// goes back.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    set: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Cancel {
    /// A token that only [`Cancel::cancel`] sets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that `SIGINT`, `SIGTERM` and `SIGHUP` set. A second signal ends this process at
    /// once with status 130, so that a user is never locked out by slow clean-up.
    ///
    /// Call it once, early, in a binary: the handlers stay for the life of the process.
    ///
    /// # Errors
    /// The operating system refuses a signal handler.
    pub fn on_signals() -> io::Result<Self> {
        let token = Self::new();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In order of registration: the first signal finds the flag unset and goes on.
            flag::register_conditional_shutdown(
                signal,
                SECOND_SIGNAL_STATUS,
                Arc::clone(&token.set),
            )?;
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&token.signal), number)?;
            flag::register(signal, Arc::clone(&token.set))?;
        }
        Ok(token)
    }

    /// Asks everything that shares this token to stop.
    pub fn cancel(&self) {
        self.set.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }

    /// For `?` between the steps of long work.
    ///
    /// # Errors
    /// [`Cancelled`] once somebody asked to stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        if !self.is_cancelled() {
            return Ok(());
        }
        let signal = i32::try_from(self.signal.load(Ordering::SeqCst)).unwrap_or_default();
        Err(Cancelled {
            signal: (signal != 0).then_some(signal),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_state() {
        let token = Cancel::new();
        let other = token.clone();
        assert_eq!(other.check(), Ok(()));
        token.cancel();
        assert_eq!(other.check(), Err(Cancelled { signal: None }));
    }

    #[test]
    fn a_signal_sets_the_token_and_is_named() {
        let token = Cancel::on_signals().unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
        let stopped = token.check().unwrap_err();
        assert_eq!(stopped.signal, Some(SIGHUP));
        assert_eq!(stopped.to_string(), "cancelled by signal 1");
    }
}
