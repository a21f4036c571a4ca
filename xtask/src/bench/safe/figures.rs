//! Figures of a sample of rollouts: means, quantiles, exact limits of shares.
//! Must never hide what did not end: a rollout without a rollback counts with the whole hour.

/// Seconds of a rollout.
pub(crate) const HORIZON: f64 = 3_600.0;

/// One rollout of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct End {
    /// Seconds of the rollout at its rollback.
    pub(crate) rolled_back: Option<f64>,
    /// The same to a brake.
    pub(crate) braked: Option<f64>,
    /// The same to the literal rules.
    pub(crate) literal: Option<f64>,
    /// Seconds from the onset to a hold for lost telemetry.
    pub(crate) held: Option<f64>,
    /// Failed requests of the candidate until the end.
    pub(crate) failed: f64,
    /// Nats that the best test could have had by then.
    pub(crate) nats: f64,
}

impl End {
    /// Whether anything happened in it that is looked for.
    pub(crate) fn is_eventful(&self) -> bool {
        [self.rolled_back, self.braked, self.literal, self.held].iter().any(Option::is_some)
    }
}

/// Seconds from the onset to the rollback of every rollout, in ascending order.
pub(crate) fn times(ends: impl Iterator<Item = Option<f64>>, onset: f64) -> Vec<f64> {
    let time = |end: Option<f64>| end.map_or(HORIZON - onset, |end| (end - onset).max(0.0));
    let mut times: Vec<f64> = ends.map(time).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The mean; NaN of none.
pub(crate) fn mean(values: &[f64]) -> f64 {
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
    values.iter().sum::<f64>() / count
}

/// The smallest value that at least the share `q` of the sorted values do not exceed.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = sorted.iter().enumerate().find(|(at, _)| {
        let (seen, all) = (at + 1, sorted.len());
        let part = f64::from(u32::try_from(seen).unwrap_or(u32::MAX))
            / f64::from(u32::try_from(all).unwrap_or(u32::MAX));
        part >= q - 1e-9
    });
    rank.map_or(f64::NAN, |(_, value)| *value)
}

/// The geometric mean; NaN of none.
pub(crate) fn geometric(values: &[f64]) -> f64 {
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    mean(&logs).exp()
}

/// Exact 95 % limits of a share after Clopper and Pearson: `k` of `n`.
pub(crate) fn limits(k: u64, n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let lower = if k == 0 { 0.0 } else { solve(|p| at_most(k - 1, n, p) < 0.975) };
    let upper = if k >= n { 1.0 } else { solve(|p| at_most(k, n, p) < 0.025) };
    (lower, upper)
}

/// P(X <= k) for a binomial; counts here are small.
fn at_most(k: u64, n: u64, p: f64) -> f64 {
    let real = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let mut term = real(n) * (1.0 - p).ln();
    let mut sum = 0.0;
    for i in 0..=k {
        sum += term.exp();
        term += ((real(n) - real(i)) / (real(i) + 1.0)).ln() + p.ln() - (1.0 - p).ln();
    }
    sum.min(1.0)
}

/// The smallest share at which the condition holds.
fn solve(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (1e-12, 1.0 - 1e-12);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_hand() {
        let (lower, upper) = limits(0, 1_500);
        assert!(lower.abs() < 1e-12);
        assert!((upper - 0.002_456).abs() < 1e-5, "1 - 0.025^(1/1500): {upper}");
        let (lower, upper) = limits(15, 1_500);
        assert!(lower > 0.0055 && lower < 0.0057, "{lower}");
        assert!(upper > 0.0163 && upper < 0.0166, "{upper}");
        assert!(limits(5, 5).1 >= 1.0);
    }

    #[test]
    fn what_never_ended_took_the_whole_hour() {
        let times = times([Some(610.0), None, Some(600.0)].into_iter(), 600.0);
        assert_eq!(times, [0.0, 10.0, 3_000.0]);
        assert!((quantile(&times, 0.5) - 10.0).abs() < 1e-9);
        assert!((quantile(&times, 0.95) - 3_000.0).abs() < 1e-9);
        assert!(mean(&[]).is_nan());
        assert!((geometric(&[1.0, 100.0]) - 10.0).abs() < 1e-9);
    }
}
