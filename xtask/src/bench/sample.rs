//! A handful of measurements: their median, their quantiles, how far they lie apart.
//! Must never drop one; what is left out, its caller leaves out and says so.

use std::fmt;

/// A spread above this share of the median is marked: the machine was busy, or the thing is noisy.
const SPREAD_NOTED_PERCENT: f64 = 15.0;

/// Measurements in order of size.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// A sample of these.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that this share of the others does not exceed, 0 to 1. An empty sample has none:
    /// not a number, which holds no aim.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of a list in memory, from a share between 0 and 1"
        )]
        let at = (share.clamp(0.0, 1.0) * self.0.len().saturating_sub(1) as f64).round() as usize;
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The smallest.
    pub(crate) fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    /// The largest.
    pub(crate) fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// From the smallest to the largest, in percent of the median.
    pub(crate) fn spread_percent(&self) -> f64 {
        (self.max() - self.min()) / self.median() * 100.0
    }

    /// The spread as a cell of a table.
    pub(crate) fn spread(&self) -> Spread {
        Spread { min: self.min(), max: self.max(), percent: self.spread_percent() }
    }
}

/// How far measurements lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    min: f64,
    max: f64,
    percent: f64,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max, percent } = *self;
        write!(f, "{} to {}", figure(min), figure(max))?;
        if percent > SPREAD_NOTED_PERCENT {
            write!(f, " (noisy: {percent:.0} %)")?;
        }
        Ok(())
    }
}

/// A number with about three digits that say something.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        let sample = Sample::of([5.0, 1.0, 3.0]);
        let read = [sample.min(), sample.median(), sample.max()].map(figure);
        assert_eq!(read, ["1.00", "3.00", "5.00"]);
        assert_eq!(figure(Sample::of((0..=100).map(f64::from)).quantile(0.99)), "99.0");
    }

    #[test]
    fn nothing_measured_holds_no_aim() {
        assert!(Sample::default().median().is_nan());
    }

    #[test]
    fn a_wide_spread_is_marked() {
        assert_eq!(Sample::of([100.0, 104.0]).spread().to_string(), "100 to 104");
        assert_eq!(Sample::of([1.0, 2.0, 4.0]).spread().to_string(), "1.00 to 4.00 (noisy: 150 %)");
    }
}
