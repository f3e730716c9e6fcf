//! Numbers that read well: three digits, and units of a sensible size.

use crate::measure::Unit;

/// From here on a number is written with its power of ten.
const LARGE: f64 = 1e15;
/// Below this, too.
const SMALL: f64 = 1e-4;

/// A unit of a size that suits some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// Its name.
    pub(super) unit: &'static str,
    factor: f64,
}

impl Scale {
    /// The scale in which all `values` of a unit read well: the largest that leaves the smallest
    /// of them at 1 or more, and a larger one where the largest would have five digits.
    pub(super) fn of(unit: Unit, values: impl Iterator<Item = f64>) -> Scale {
        let (mut smallest, mut largest) = (f64::INFINITY, 0.0_f64);
        for value in values.map(f64::abs).filter(|v| v.is_finite() && *v > 0.0) {
            smallest = smallest.min(value);
            largest = largest.max(value);
        }
        let (mut chosen, larger) = steps(unit);
        for step in larger.iter().copied() {
            let whole = smallest >= step.factor && smallest.is_finite();
            let long = largest >= chosen.factor * 1e4 && smallest >= step.factor * 0.1;
            if whole || long {
                chosen = step;
            }
        }
        chosen
    }

    /// A value in this scale, with three digits or as a whole number.
    pub(super) fn number(self, value: f64) -> String {
        self.like(value, value)
    }

    /// A value in this scale, with as many decimals as `model` has.
    pub(super) fn like(self, value: f64, model: f64) -> String {
        let whole = self.factor == 1.0 && value.fract() == 0.0 && model.fract() == 0.0;
        let decimals = if whole {
            0
        } else {
            decimals(model / self.factor)
        };
        fixed(value / self.factor, decimals)
    }
}

impl Scale {
    /// Some round values from `low` to `high`, each with its text, for an axis.
    pub(super) fn ticks(self, low: f64, high: f64) -> Vec<(f64, String)> {
        let (low, high) = (low / self.factor, high / self.factor);
        let raw = (high - low) / 4.0;
        if !raw.is_finite() || raw < SMALL || high.abs().max(low.abs()) >= LARGE {
            return Vec::new();
        }
        let power = 10.0_f64.powf(raw.log10().floor());
        // The decimals are those that the step needs.
        let steps = [(1.0, 0), (2.0, 0), (2.5, 1), (5.0, 0), (10.0, 0)];
        let step = steps.into_iter().find(|(step, _)| step * power >= raw);
        let (step, more) = step.map_or((raw, 0), |(step, more)| (step * power, more));
        let decimals = (more - step.log10().floor() as i32).max(0) as usize;
        let numbers = (low / step).ceil() as i64..=(high / step).floor() as i64;
        let values = numbers.map(|number| number as f64 * step);
        values
            .map(|value| (value * self.factor, fixed(value, decimals)))
            .collect()
    }
}

const fn step(unit: &'static str, factor: f64) -> Scale {
    Scale { unit, factor }
}

/// The scales of a unit: the smallest, and larger ones in their order.
fn steps(unit: Unit) -> (Scale, &'static [Scale]) {
    const BYTES: &[Scale] = &[
        step("KiB", 1024.0),
        step("MiB", 1_048_576.0),
        step("GiB", 1_073_741_824.0),
    ];
    const SECONDS: &[Scale] = &[step("µs", 1e-6), step("ms", 1e-3), step("s", 1.0)];
    const NANOSECONDS: &[Scale] = &[step("µs", 1e3), step("ms", 1e6), step("s", 1e9)];
    const INSTRUCTIONS: &[Scale] = &[
        step("million instructions", 1e6),
        step("billion instructions", 1e9),
    ];
    match unit {
        Unit::Bytes => (step("B", 1.0), BYTES),
        Unit::Seconds => (step("ns", 1e-9), SECONDS),
        Unit::Nanoseconds => (step("ns", 1.0), NANOSECONDS),
        Unit::Instructions => (step("instructions", 1.0), INSTRUCTIONS),
        _ => (step(unit.symbol(), 1.0), &[]),
    }
}

/// Decimals that make three digits.
fn decimals(value: f64) -> usize {
    match value.abs() {
        v if v >= 99.95 || v == 0.0 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.1 => 3,
        _ => 4,
    }
}

/// A number with a comma at each thousand.
fn fixed(value: f64, decimals: usize) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "no number".to_owned();
    }
    if size >= LARGE || (size < SMALL && size > 0.0) {
        return format!("{value:.2e}");
    }
    let plain = format!("{size:.decimals$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut text = String::new();
    if value < 0.0 {
        text.push('−');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// A ratio, as it stands behind its sign of multiplication.
pub(super) fn ratio(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 99.5 => 0,
        v if v >= 9.95 => 1,
        v if v >= 0.0995 => 2,
        _ => 3,
    };
    format!("× {}", fixed(value, decimals))
}

/// A part of something, in percent.
pub(super) fn percent(part: f64) -> String {
    format!("{} %", fixed(part * 100.0, usize::from(part < 0.0995)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(unit: Unit, values: &[f64]) -> Vec<String> {
        let scale = Scale::of(unit, values.iter().copied());
        let numbers = values.iter().map(|v| scale.number(*v));
        numbers.chain([scale.unit.to_owned()]).collect()
    }

    #[test]
    fn units_have_a_size_that_suits_all_values() {
        assert_eq!(shown(Unit::Bytes, &[13e6, 3.2e6]), ["12.4", "3.05", "MiB"]);
        assert_eq!(shown(Unit::Bytes, &[9e5, 15e6]), ["0.858", "14.3", "MiB"]);
        assert_eq!(shown(Unit::Bytes, &[312.0]), ["312", "B"]);
        assert_eq!(
            shown(Unit::Seconds, &[0.056, 0.023]),
            ["56.0", "23.0", "ms"]
        );
        assert_eq!(shown(Unit::Seconds, &[1.25]), ["1.25", "s"]);
        assert_eq!(
            shown(Unit::Nanoseconds, &[38.5, 1200.0]),
            ["38.5", "1,200", "ns"]
        );
        assert_eq!(
            shown(Unit::Instructions, &[2.5e8]),
            ["250", "million instructions"]
        );
        assert_eq!(shown(Unit::Instructions, &[312.0]), ["312", "instructions"]);
        assert_eq!(
            shown(Unit::Options, &[1290.0, 283.0]),
            ["1,290", "283", "options"]
        );
        assert_eq!(shown(Unit::Mebibytes, &[21.0]), ["21", "MiB"]);
        assert_eq!(shown(Unit::PerSecond, &[0.0]), ["0", "/s"]);
    }

    #[test]
    fn quartiles_have_the_decimals_of_their_median() {
        let scale = Scale::of(Unit::Seconds, [0.0231].into_iter());
        assert_eq!(scale.like(0.02299, 0.0231), "23.0");
        assert_eq!(scale.like(0.1, 0.0231), "100.0");
    }

    #[test]
    fn no_number_is_too_large_or_too_small() {
        assert_eq!(shown(Unit::PerSecond, &[f64::MAX])[0], "1.80e308");
        assert_eq!(shown(Unit::PerSecond, &[-1234.6])[0], "−1,235");
        assert_eq!(shown(Unit::PerSecond, &[1e-7])[0], "1.00e-7");
        assert_eq!(fixed(f64::NAN, 2), "no number");
        assert_eq!(fixed(-0.0, 0), "0");
    }

    #[test]
    fn axes_have_few_round_ticks() {
        let ticks = |unit, low, high: f64| {
            let ticks = Scale::of(unit, [high].into_iter())
                .ticks(low, high)
                .into_iter();
            ticks.map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(ticks(Unit::Seconds, 0.0, 0.056), ["0", "20", "40"]);
        assert_eq!(ticks(Unit::Seconds, 0.0, 0.9), ["0", "250", "500", "750"]);
        assert_eq!(
            ticks(Unit::PerSecond, 0.0, 9.0),
            ["0.0", "2.5", "5.0", "7.5"]
        );
        assert_eq!(
            ticks(Unit::PerSecond, 0.0, 1.0),
            ["0.00", "0.25", "0.50", "0.75", "1.00"]
        );
        assert_eq!(ticks(Unit::Options, -300.0, 900.0), ["0", "500"]);
        assert_eq!(ticks(Unit::Options, 0.0, f64::MAX), [""; 0]);
        assert_eq!(ticks(Unit::Options, f64::MIN, f64::MAX), [""; 0]);
    }

    #[test]
    fn ratios_and_parts() {
        assert_eq!(
            ["0.27", "1.00", "12.3"].map(|r| ratio(r.parse().unwrap())),
            ["× 0.27", "× 1.00", "× 12.3"]
        );
        assert_eq!(ratio(0.004), "× 0.004");
        assert_eq!(
            (percent(0.1), percent(0.054)),
            ("10 %".to_owned(), "5.4 %".to_owned())
        );
    }
}
