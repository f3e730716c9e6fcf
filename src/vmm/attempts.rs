//! A health check over the network, in the background.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::health::HealthCheck;

/// How long one step of a health check over the network may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// A health check over the network, tried again and again on a thread of its own.
pub(super) struct Attempts {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    succeeded: AtomicBool,
    abandoned: AtomicBool,
    last: Mutex<String>,
}

impl Attempts {
    pub(super) fn begin(check: &HealthCheck, host: SocketAddrV4) -> Self {
        let shared = Arc::new(Shared::default());
        let (theirs, check) = (Arc::clone(&shared), check.clone());
        let spawned = thread::Builder::new()
            .name("lupine-health".into())
            .spawn(move || {
                while !theirs.abandoned.load(Ordering::Relaxed) {
                    match check.probe.attempt(host, ATTEMPT) {
                        Ok(()) => {
                            theirs.succeeded.store(true, Ordering::Release);
                            return;
                        }
                        Err(why) => {
                            *theirs.last.lock().unwrap_or_else(PoisonError::into_inner) = why;
                        }
                    }
                    thread::sleep(check.interval);
                }
            });
        if let Err(error) = spawned {
            *shared.last.lock().unwrap_or_else(PoisonError::into_inner) =
                format!("was not tried: {error}");
        }
        Self { shared }
    }

    pub(super) fn succeeded(&self) -> bool {
        self.shared.succeeded.load(Ordering::Acquire)
    }

    pub(super) fn last(&self) -> String {
        let last = self
            .shared
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if last.is_empty() {
            "got no answer".to_owned()
        } else {
            last
        }
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
    }
}
