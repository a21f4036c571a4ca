//! What can be known, and when: the smallest fault that a sample shows.
//! It must never be taken for a promise: it is what happens on average.

/// Nats that the test spends beside ln(1/alpha): its part of the error budget, its alternatives,
/// its stake. Measured, and rounded up.
const OVERHEAD: f64 = 5.0;

/// Halvings of the searched interval.
const HALVINGS: u32 = 50;

/// Nats that one request gives on average when the share `p` fails and the null says `a`.
///
/// By hand: p = 0.5, a = 0.001: 0.5 * ln 500 + 0.5 * ln(0.5 / 0.999) = 2.761.
#[must_use]
pub fn nats(p: f64, a: f64) -> f64 {
    if p <= a {
        return 0.0;
    }
    p * libm::log(p / a) + (1.0 - p) * libm::log((1.0 - p) / (1.0 - a))
}

/// The smallest failing share (0 to 1) that `requests` of the candidate show on average: against
/// the objective, and against `rho` times `live_rate`. `None` when nothing would be enough.
///
/// By hand: 450 requests, objective 0.1 %, alpha 1 %: 9.6 nats are needed, 0.0213 a request, which
/// 1.3 % gives.
#[must_use]
pub fn min_detectable(requests: u64, objective: f64, null_rate: f64, alpha: f64) -> Option<f64> {
    let a = objective.max(null_rate).clamp(1e-9, 0.98);
    let needed = libm::log(1.0 / alpha) + OVERHEAD;
    let per_request = needed / requests as f64;
    let (mut low, mut high) = (a, 0.99);
    if requests == 0 || nats(high, a) < per_request {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if nats(middle, a) < per_request {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}
