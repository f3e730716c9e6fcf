//! What plots share: a line of numbers, and lengths as SVG writes them.

/// A range of values on a range of pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    left: f64,
    width: f64,
}

impl Axis {
    /// An axis from `left` on that holds zero and every finite one of `values`.
    pub(super) fn new(values: impl Iterator<Item = f64>, left: f64, width: f64) -> Axis {
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low == high {
            high = 1.0;
        }
        Axis {
            low,
            high,
            left,
            width,
        }
    }

    /// The range of its values.
    pub(super) fn range(self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Where a value stands; a value outside stands at the nearer end.
    pub(super) fn place(self, value: f64) -> f64 {
        // Halves, because the whole difference may be no finite number.
        let part = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        let part = if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.left + part * self.width
    }
}

/// A length in pixels.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_places_between_the_ends() {
        let axis = Axis::new([2.0, 4.0].into_iter(), 100.0, 200.0);
        assert_eq!(
            [0.0, 1.0, 4.0, 9.0, -1.0].map(|v| axis.place(v)),
            [100.0, 150.0, 300.0, 300.0, 100.0]
        );
        let wide = Axis::new([f64::MIN, f64::MAX].into_iter(), 0.0, 100.0);
        assert_eq!((wide.place(0.0), wide.place(f64::MAX)), (50.0, 100.0));
        let nothing = Axis::new([f64::NAN].into_iter(), 0.0, 100.0);
        assert_eq!((nothing.place(0.0), nothing.place(f64::NAN)), (0.0, 0.0));
        assert_eq!(
            (px(2.0), px(2.25), px(0.449)),
            ("2".into(), "2.2".into(), "0.4".into())
        );
    }
}
