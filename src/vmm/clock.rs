//! The clock of an emulated guest.
//!
//! QEMU's translator gives a guest this host's time stamp counter, and nothing to tell its frequency
//! by but an interval timer that the translator also emulates. On a busy host the guest's
//! calibration against that timer fails; Linux then counts timer interrupts instead, which is
//! coarse, and its vDSO makes a system call each time that a program asks for the time. So the
//! guest is told the frequency, measured here (`tsc_early_khz`, arch/x86/kernel/tsc.c).

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use quanta::Clock;

/// How long the counter is watched. A reading is exact to about a microsecond, so the frequency is
/// to about one part in ten thousand, which no guest's time of day notices.
const WATCHED: Duration = Duration::from_millis(20);

/// Of so many readings of both clocks the one that nothing interrupted is taken.
const READINGS: usize = 16;

/// Frequency of this host's time stamp counter in kHz, measured once; nothing where it has none that
/// keeps its pace.
pub(crate) fn tsc_khz() -> Option<u32> {
    static KHZ: OnceLock<Option<u32>> = OnceLock::new();
    *KHZ.get_or_init(measure)
}

fn measure() -> Option<u32> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let clock = Clock::new();
    let (ticks, begin) = reading(&clock);
    std::thread::sleep(WATCHED);
    let (later, end) = reading(&clock);
    let nanoseconds = (end - begin).as_nanos();
    let khz = u128::from(later.checked_sub(ticks)?) * 1_000_000 / nanoseconds.max(1);
    // Without a counter that keeps its pace the clock's ticks are nanoseconds of the system.
    let khz = u32::try_from(khz).ok()?;
    (khz.abs_diff(1_000_000) > 200).then_some(khz)
}

/// Both clocks at the same moment.
fn reading(clock: &Clock) -> (u64, Instant) {
    let one = || {
        let before = Instant::now();
        let ticks = clock.raw();
        (before.elapsed(), ticks, before)
    };
    let readings = std::iter::repeat_with(one).take(READINGS);
    let (_, ticks, at) = readings.min_by_key(|(took, ..)| *took).unwrap_or_else(one);
    (ticks, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree() {
        let [one, other] = [measure(), measure()];
        assert_eq!(one.is_some(), other.is_some());
        if let (Some(one), Some(other)) = (one, other) {
            assert!(one > 100_000, "{one} kHz");
            assert!(one.abs_diff(other) < one / 500, "{one} and {other} kHz");
        }
    }
}
