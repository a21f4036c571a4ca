//! The binomial distribution, exactly: tails by summation, bounds after Clopper and Pearson.
//! It must never use a normal approximation: limits of 0.1 % live where that one is wrong.

/// Terms of a tail below this share of the sum no longer change it.
const NEGLIGIBLE: f64 = 1e-17;

/// Halvings of an interval of length one: past 60 an `f64` between 0 and 1 does not change.
const HALVINGS: u32 = 60;

/// Requests above which [`needed`] stops looking: a sample nobody will wait for.
pub const NEEDED_MAX: u64 = 1_000_000_000_000;

/// P(X <= k) for X ~ Binomial(n, p). 1 when `k >= n` or `p <= 0`; 0 for `k < n` and `p >= 1`.
///
/// By hand: P(X <= 0) for n = 3, p = 0.5 is 1/8; P(X <= 1) is 4/8.
#[must_use]
pub fn cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 || p.is_nan() {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    // Always sum the tail that shrinks away from k, so that the sum ends after few terms.
    if (k as f64) < n as f64 * p { lower_sum(k, n, p) } else { 1.0 - upper_sum(k + 1, n, p) }
}

fn pmf(k: u64, n: u64, p: f64) -> f64 {
    let (k, n) = (k as f64, n as f64);
    let ways = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    libm::exp(ways + k * libm::log(p) + (n - k) * libm::log1p(-p))
}

fn lower_sum(k: u64, n: u64, p: f64) -> f64 {
    let odds = (1.0 - p) / p;
    let mut term = pmf(k, n, p);
    let mut sum = term;
    for i in (1..=k).rev() {
        term *= i as f64 / (n - i + 1) as f64 * odds;
        sum += term;
        if term <= sum * NEGLIGIBLE {
            break;
        }
    }
    sum.min(1.0)
}

fn upper_sum(k: u64, n: u64, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let mut term = pmf(k, n, p);
    let mut sum = term;
    for i in k..n {
        term *= (n - i) as f64 / (i + 1) as f64 * odds;
        sum += term;
        if term <= sum * NEGLIGIBLE {
            break;
        }
    }
    sum.min(1.0)
}

/// The exact one-sided upper bound of a share after `bad` of `of`, at `confidence` (0 to 1).
/// 1 when nothing was counted. With zero bad it is `1 - (1 - confidence)^(1/of)`.
#[must_use]
pub fn upper_bound(bad: u64, of: u64, confidence: f64) -> f64 {
    if bad >= of {
        return 1.0;
    }
    let doubt = 1.0 - confidence;
    bisect(|p| cdf(bad, of, p) > doubt)
}

/// The exact one-sided lower bound of a share after `bad` of `of`, at `confidence` (0 to 1).
#[must_use]
pub fn lower_bound(bad: u64, of: u64, confidence: f64) -> f64 {
    if bad == 0 || of == 0 {
        return 0.0;
    }
    let doubt = 1.0 - confidence;
    bisect(|p| 1.0 - cdf(bad - 1, of, p) < doubt)
}

// The point where `below` turns from true to false on 0..1.
fn bisect(below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// True when `bad` of `of` shows, at `confidence`, that the true share is below `limit`.
#[must_use]
pub fn shows_below(bad: u64, of: u64, limit: f64, confidence: f64) -> bool {
    of > 0 && cdf(bad, of, limit) < 1.0 - confidence
}

/// Fewest requests that would show a share below `limit` at `confidence` if no more than `bad`
/// ever go wrong; at most [`NEEDED_MAX`].
///
/// By hand, with zero bad: `ln(0.05) / ln(1 - 0.001) = 2994.2`, so 2,995; for 1 % it is 299.
#[must_use]
pub fn needed(bad: u64, limit: f64, confidence: f64) -> u64 {
    let mut high = bad.saturating_add(1);
    while high < NEEDED_MAX && !shows_below(bad, high, limit, confidence) {
        high = high.saturating_mul(2);
    }
    if high >= NEEDED_MAX {
        return NEEDED_MAX;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if shows_below(bad, middle, limit, confidence) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
