//! Argo Rollouts' assessment of a metric: `assessMetricFailureInconclusiveOrError` and
//! `assessMetricStatus` in analysis/analysis.go (argoproj/argo-rollouts, commit 9f8d111, Apache-2.0).
//!
//! Failures are counted over the whole run, and one more than `failureLimit` fails it; so are
//! inconclusive measurements; errors count in a row, and more than four end it. A success condition
//! alone makes every other value a failure, a share of no requests (NaN) included.

use tidegate_judge::Arm;

use super::{Recent, Rival};

/// Phases of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    Successful,
    Failed,
    Inconclusive,
    Error,
}

/// What the specification of a metric says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) failure_limit: u32,
    pub(crate) inconclusive_limit: u32,
    pub(crate) consecutive_error_limit: u32,
    /// Measurements to be taken; `None` goes on for ever when there is an interval.
    pub(crate) count: Option<u32>,
    pub(crate) has_interval: bool,
}

impl Default for Metric {
    fn default() -> Metric {
        Metric {
            failure_limit: 0,
            inconclusive_limit: 0,
            consecutive_error_limit: 4,
            count: None,
            has_interval: true,
        }
    }
}

/// What was measured so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) count: u32,
    pub(crate) failed: u32,
    pub(crate) inconclusive: u32,
    pub(crate) consecutive_error: u32,
    pub(crate) is_measuring: bool,
}

/// `assessMetricStatus`.
pub(crate) fn assess(metric: &Metric, tally: &Tally, terminating: bool) -> Phase {
    let measured = tally.count > 0 || tally.consecutive_error > 0;
    if !measured && !tally.is_measuring {
        return if terminating { Phase::Successful } else { Phase::Pending };
    }
    if tally.is_measuring {
        return Phase::Running;
    }
    if tally.failed > metric.failure_limit {
        return Phase::Failed;
    }
    if tally.inconclusive > metric.inconclusive_limit {
        return Phase::Inconclusive;
    }
    if tally.consecutive_error > metric.consecutive_error_limit {
        return Phase::Error;
    }
    let wanted = metric.count.or(if metric.has_interval { None } else { Some(1) });
    if wanted.is_some_and(|wanted| tally.count >= wanted) || terminating {
        return Phase::Successful;
    }
    Phase::Running
}

#[derive(Debug)]
pub(crate) struct Argo {
    interval: u64,
    success: f64,
    metric: Metric,
    tally: Tally,
    recent: Recent,
}

impl Argo {
    pub(crate) fn new(interval: u64, failure_limit: u32, success: f64) -> Argo {
        let metric = Metric { failure_limit, ..Metric::default() };
        let recent = Recent::new(interval.max(60));
        Argo { interval, success, metric, tally: Tally::default(), recent }
    }
}

impl Rival for Argo {
    fn second(&mut self, second: u64, candidate: &Arm, _live: &Arm) -> bool {
        self.recent.add(candidate);
        // The port starts with `initialDelay` of one interval: at once it would see old numbers.
        if !second.is_multiple_of(self.interval) {
            return false;
        }
        // NaN, the share of no requests, does not meet the condition.
        let succeeds = self.recent.error_rate().is_some_and(|rate| 1.0 - rate >= self.success);
        self.tally.count += 1;
        self.tally.failed += u32::from(!succeeds);
        assess(&self.metric, &self.tally, false) == Phase::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(metric: &Metric, tally: &Tally) -> (Phase, Phase) {
        (assess(metric, tally, false), assess(metric, tally, true))
    }

    // analysis/analysis_test.go, the functions of these names.
    #[test]
    fn assess_metric_status_no_measurements() {
        let none = Tally::default();
        assert_eq!(both(&Metric::default(), &none), (Phase::Pending, Phase::Successful));
    }

    #[test]
    fn assess_metric_status_in_flight_measurement() {
        let tally = Tally { count: 1, is_measuring: true, ..Tally::default() };
        assert_eq!(both(&Metric::default(), &tally), (Phase::Running, Phase::Running));
    }

    #[test]
    fn assess_metric_status_failure_limit() {
        let tally = Tally { count: 3, failed: 3, ..Tally::default() };
        let two = Metric { failure_limit: 2, ..Metric::default() };
        assert_eq!(both(&two, &tally), (Phase::Failed, Phase::Failed));
        let three = Metric { failure_limit: 3, ..Metric::default() };
        assert_eq!(both(&three, &tally), (Phase::Running, Phase::Successful));
    }

    #[test]
    fn assess_metric_status_inconclusive_limit() {
        let tally = Tally { count: 3, inconclusive: 3, ..Tally::default() };
        let two = Metric { inconclusive_limit: 2, ..Metric::default() };
        assert_eq!(both(&two, &tally), (Phase::Inconclusive, Phase::Inconclusive));
        let three = Metric { inconclusive_limit: 3, ..Metric::default() };
        assert_eq!(both(&three, &tally), (Phase::Running, Phase::Successful));
    }

    #[test]
    fn assess_metric_status_consecutive_errors() {
        let errors = |consecutive_error| Tally { count: 5, consecutive_error, ..Tally::default() };
        assert_eq!(both(&Metric::default(), &errors(5)), (Phase::Error, Phase::Error));
        assert_eq!(both(&Metric::default(), &errors(4)), (Phase::Running, Phase::Successful));
    }

    #[test]
    fn assess_metric_status_count_reached() {
        let metric = Metric { count: Some(10), ..Metric::default() };
        let tally = Tally { count: 10, ..Tally::default() };
        assert_eq!(assess(&metric, &tally, false), Phase::Successful);
        let tally = Tally { inconclusive: 5, ..tally };
        assert_eq!(assess(&metric, &tally, false), Phase::Inconclusive);
    }

    #[test]
    fn assess_metric_failure_inconclusive_or_error() {
        let metric = Metric::default();
        let failed = Tally { count: 1, failed: 1, ..Tally::default() };
        assert_eq!(assess(&metric, &failed, true), Phase::Failed, "failed (1) > failureLimit (0)");
        let inconclusive = Tally { count: 1, inconclusive: 1, ..Tally::default() };
        assert_eq!(assess(&metric, &inconclusive, true), Phase::Inconclusive);
        let errors = Tally { consecutive_error: 5, ..Tally::default() };
        assert_eq!(assess(&metric, &errors, true), Phase::Error);
    }

    #[test]
    fn reconcile_analysis_run_initial() {
        let once = Tally { count: 1, ..Tally::default() };
        assert_eq!(assess(&Metric::default(), &once, false), Phase::Running);
        let counted = Metric { count: Some(1), ..Metric::default() };
        assert_eq!(assess(&counted, &once, false), Phase::Successful);
        let neither = Metric { has_interval: false, ..Metric::default() };
        assert_eq!(assess(&neither, &once, false), Phase::Successful);
    }
}
