//! Repeated measurements of one quantity, and what they come to.

use serde::{Deserialize, Serialize};

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unit {
    /// Configuration options.
    Options,
    /// Bytes of a file or of memory.
    Bytes,
    /// Mebibytes of guest memory.
    Mebibytes,
    /// Seconds of the host's clock.
    Seconds,
    /// Nanoseconds of the guest's clock, an operation. Only from a guest that a processor runs.
    Nanoseconds,
    /// Guest instructions, an operation or in all. They are no measure of time: a division and an
    /// addition are one each.
    Instructions,
    /// Operations a second of the host's clock.
    PerSecond,
}

impl Unit {
    /// The unit's short name, as it stands after a number.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Options => "options",
            Unit::Bytes => "B",
            Unit::Mebibytes => "MiB",
            Unit::Seconds => "s",
            Unit::Nanoseconds => "ns",
            Unit::Instructions => "instructions",
            Unit::PerSecond => "/s",
        }
    }

    /// Whether more of it is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        self == Unit::PerSecond
    }

    /// Whether the figure depends on how fast the guest's instructions ran, so that emulation
    /// changes what it means. Sizes and counts are the same everywhere.
    #[must_use]
    pub fn depends_on_speed(self) -> bool {
        matches!(self, Unit::Seconds | Unit::Nanoseconds | Unit::PerSecond)
    }
}

/// Order statistics of samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many samples there are, at least 1.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// The first quartile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The third quartile.
    pub high: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// The statistics of `samples`; `None` where there are none, or one is not finite.
    /// Between two samples, quantiles are interpolated.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Summary> {
        if samples.is_empty() || samples.iter().any(|sample| !sample.is_finite()) {
            return None;
        }
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quantile = |part: f64| {
            let place = part * (sorted.len() - 1) as f64;
            let below = sorted.get(place.floor() as usize).copied()?;
            let above = sorted.get(place.ceil() as usize).copied()?;
            Some(below + (above - below) * place.fract())
        };
        Some(Summary {
            count: sorted.len(),
            min: quantile(0.0)?,
            low: quantile(0.25)?,
            median: quantile(0.5)?,
            high: quantile(0.75)?,
            max: quantile(1.0)?,
        })
    }

    /// The distance between the quartiles as a part of the median, 0 for samples that agree.
    #[must_use]
    pub fn spread(&self) -> f64 {
        if self.high == self.low {
            0.0
        } else {
            (self.high - self.low) / self.median.abs()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(summary.median, 2.5);
        assert_eq!((summary.low, summary.high), (1.75, 3.25));
        assert_eq!((summary.min, summary.max, summary.count), (1.0, 4.0, 4));
        assert_eq!(summary.spread(), 0.6);
        assert_eq!(Summary::of(&[7.0]).unwrap().spread(), 0.0);
        assert_eq!(Summary::of(&[0.0, 0.0]).unwrap().spread(), 0.0);
    }

    #[test]
    fn nothing_and_what_is_no_number_have_no_summary() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }
}
