//! Student's t distribution for whole degrees of freedom, in closed form.
//! It must never be used where a sample of two stands for certainty: ask for its quantile.

/// Largest quantile that is looked for; beyond it a sample of two would decide anything.
const T_MAX: f64 = 1e9;

/// Above this many degrees of freedom the series is cut: the normal law is that close.
const FREEDOM_MAX: u32 = 1_000;

/// P(T > t) for t >= 0 and `freedom` >= 1 degrees of freedom.
///
/// By hand: with one degree it is `1/2 - atan(t)/pi`: 1/4 at t = 1.
#[must_use]
pub fn upper_tail(t: f64, freedom: u32) -> f64 {
    let freedom = freedom.clamp(1, FREEDOM_MAX);
    let theta = libm::atan(t / libm::sqrt(f64::from(freedom)));
    let (sine, cosine) = (libm::sin(theta), libm::cos(theta));
    let square = cosine * cosine;
    let inside = if freedom.is_multiple_of(2) {
        let (mut term, mut sum) = (1.0, 1.0);
        for i in (2..freedom).step_by(2) {
            term *= square * f64::from(i - 1) / f64::from(i);
            sum += term;
        }
        sine * sum
    } else {
        let (mut term, mut sum) = (cosine, if freedom == 1 { 0.0 } else { cosine });
        for i in (3..freedom).step_by(2) {
            term *= square * f64::from(i - 1) / f64::from(i);
            sum += term;
        }
        (theta + sine * sum) * std::f64::consts::FRAC_2_PI
    };
    ((1.0 - inside) / 2.0).max(0.0)
}

/// The `t` with P(T > t) = `tail`, 0 < tail < 1/2.
#[must_use]
pub fn quantile(tail: f64, freedom: u32) -> f64 {
    let (mut low, mut high) = (0.0, T_MAX);
    // By the geometric middle first, as quantiles of one degree span many orders of magnitude.
    for _ in 0..200 {
        let middle = libm::sqrt((low + 1e-3) * (high + 1e-3)) - 1e-3;
        if upper_tail(middle, freedom) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}
