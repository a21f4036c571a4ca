//! How many times as often the candidate fails: an estimate with a range that holds at any time.
//! It must never feed a verdict: it is for reading only.

use super::process::ladder;
use super::relative::{chance, gains};

/// Ratios that are tried.
const GRID: u32 = 60;
const GRID_FIRST: f64 = 0.01;
const GRID_LAST: f64 = 1_000.0;

/// Alternatives to each tried ratio, upwards and downwards.
const SIDES: u32 = 8;
const FARTHEST: f64 = 100.0;

/// A ratio is out of the range once evidence against it reaches this: 1 chance in 100.
const OUT: f64 = 100.0;

/// Changes of the share that are kept apart; further ones are added to the last.
const SEGMENTS_MAX: usize = 64;

/// Errors at one share of the traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    share: f64,
    candidate: f64,
    live: f64,
}

/// The ratio of error rates, candidate over live.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The most likely ratio of those tried (60 from 0.01 to 1,000).
    pub estimate: f64,
    /// The lowest ratio that is not ruled out at 99 %.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

/// Errors of the whole rollout, for the interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratios {
    segments: Vec<Segment>,
}

impl Ratios {
    /// Adds the errors `(candidate, live)` of one tick, divided by the dispersion.
    pub fn add(&mut self, share: f64, errors: (u64, u64), phi: f64) {
        if share <= 0.0 || share >= 1.0 {
            return;
        }
        let (candidate, live) = (errors.0 as f64 / phi, errors.1 as f64 / phi);
        let full = self.segments.len() >= SEGMENTS_MAX;
        match self.segments.last_mut() {
            Some(last) if full || (last.share - share).abs() <= 0.0 => {
                last.candidate += candidate;
                last.live += live;
            }
            Some(_) | None => self.segments.push(Segment { share, candidate, live }),
        }
    }

    /// The interval; `None` before the first error.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        let errors: f64 =
            self.segments.iter().map(|segment| segment.candidate + segment.live).sum();
        if errors <= 0.0 {
            return None;
        }
        let grid = ladder(GRID_FIRST, GRID_LAST, GRID);
        let fit = |ratio: &f64| self.likelihood(*ratio);
        let estimate = grid.iter().copied().max_by(|a, b| fit(a).total_cmp(&fit(b)))?;
        let mut inside = grid.iter().copied().filter(|ratio| self.against(*ratio) < OUT);
        let low = inside.next().unwrap_or(estimate);
        let high = inside.next_back().unwrap_or(low);
        Some(Interval { estimate, low, high })
    }

    fn likelihood(&self, ratio: f64) -> f64 {
        let of = |segment: &Segment| {
            let th = chance(segment.share, ratio);
            segment.candidate * libm::log(th) + segment.live * libm::log(1.0 - th)
        };
        self.segments.iter().map(of).sum()
    }

    fn against(&self, null: f64) -> f64 {
        let steps = ladder(1.25, FARTHEST, SIDES);
        let sides = steps.iter().flat_map(|step| [null * step, null / step]);
        let evidence = sides.map(|ratio| {
            let of = |segment: &Segment| {
                let (candidate, live) = gains(segment.share, null, ratio);
                segment.candidate * candidate + segment.live * live
            };
            libm::exp(self.segments.iter().map(of).sum::<f64>().min(500.0))
        });
        evidence.sum::<f64>() / f64::from(2 * SIDES)
    }
}
