//! Flagger's analysis loop: `advanceCanary` in pkg/controller/scheduler.go and
//! `runBuiltinMetricChecks` in scheduler_metrics.go (fluxcd/flagger, commit 15bd6ad, Apache-2.0).
//!
//! One check an interval; a failed one is counted and never forgotten; at the *next* interval a
//! count that has reached the threshold rolls back. No value is a failed check. The metrics are
//! the two built-in ones over one minute, as its documents set them unless a setting says otherwise:
//! success of at least 99 % and p99 of at most 500 ms.

use tidegate_judge::Arm;

use super::{Recent, Rival};

const WINDOW: u64 = 60;

/// Least success in percent, and most milliseconds of p99.
pub(crate) type Limits = (f64, f64);
pub(crate) const DOCUMENTED: Limits = (99.0, 500.0);

/// What one interval came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Advance,
    Halt,
    Rollback,
}

/// The counter of failed checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Analysis {
    pub(crate) threshold: u32,
    pub(crate) failed_checks: u32,
}

impl Analysis {
    /// `advanceCanary`, reduced to the counter: the threshold is looked at before the checks run.
    pub(crate) fn step(&mut self, checks_pass: bool) -> Step {
        if self.failed_checks >= self.threshold {
            return Step::Rollback;
        }
        if checks_pass {
            return Step::Advance;
        }
        self.failed_checks += 1;
        Step::Halt
    }
}

/// `runBuiltinMetricChecks` for `request-success-rate` with `threshold` or `thresholdRange`.
pub(crate) fn success_passes(percent: Option<f64>, min: Option<f64>, max: Option<f64>) -> bool {
    let Some(percent) = percent else { return false };
    !(min.is_some_and(|min| percent < min) || max.is_some_and(|max| percent > max))
}

/// The same for `request-duration`.
pub(crate) fn duration_passes(ms: Option<f64>, min: Option<f64>, max: Option<f64>) -> bool {
    success_passes(ms, min, max)
}

#[derive(Debug)]
pub(crate) struct Flagger {
    interval: u64,
    analysis: Analysis,
    limits: Limits,
    recent: Recent,
}

impl Flagger {
    pub(crate) fn new(interval: u64, threshold: u32, limits: Limits) -> Flagger {
        let analysis = Analysis { threshold, failed_checks: 0 };
        Flagger { interval, analysis, limits, recent: Recent::new(WINDOW) }
    }
}

impl Rival for Flagger {
    fn second(&mut self, second: u64, candidate: &Arm, _live: &Arm) -> bool {
        self.recent.add(candidate);
        if !second.is_multiple_of(self.interval) {
            return false;
        }
        let success = self.recent.error_rate().map(|rate| 100.0 * (1.0 - rate));
        let passes = success_passes(success, Some(self.limits.0), None)
            && duration_passes(self.recent.quantile_ms(0.99), None, Some(self.limits.1));
        self.analysis.step(passes) == Step::Rollback
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployment_rollback() {
        // scheduler_deployment_test.go, TestScheduler_DeploymentRollback: FailedChecks is 10 with
        // threshold 10, and the next pass of advanceCanary ends in CanaryPhaseFailed.
        let mut analysis = Analysis { threshold: 10, failed_checks: 10 };
        assert_eq!(analysis.step(true), Step::Rollback);
        // The same fixture before its checks failed: it progresses.
        let mut analysis = Analysis { threshold: 10, failed_checks: 0 };
        assert_eq!(analysis.step(true), Step::Advance);
    }

    #[test]
    fn the_documents_walk_through() {
        // docs/gitbook/tutorials/istio-progressive-delivery.md at 128c883, "Automated rollback": the
        // first five of the events "Halt podinfo.test advancement success rate ... < 99%".
        for percent in [69.17, 61.39, 55.06, 47.00, 38.08] {
            assert!(!success_passes(Some(percent), Some(99.0), None), "{percent}");
        }
        // There: "Failed Checks: 10", "Rolling back podinfo.test failed checks threshold reached 10".
        let mut analysis = Analysis { threshold: 10, failed_checks: 0 };
        let steps: Vec<Step> = (0..11).map(|_| analysis.step(false)).collect();
        assert_eq!(steps[..10], [Step::Halt; 10]);
        assert_eq!((steps[10], analysis.failed_checks), (Step::Rollback, 10));
        // docs/gitbook/usage/how-it-works.md at 061c179: `threshold` is the "max number of failed
        // metric checks before rollback": of checks in all, not in a row.
        let mut analysis = Analysis { threshold: 2, failed_checks: 0 };
        let checks = [false, true, true, false, true];
        let steps: Vec<Step> = checks.iter().map(|passes| analysis.step(*passes)).collect();
        let expected = [Step::Halt, Step::Advance, Step::Advance, Step::Halt, Step::Rollback];
        assert_eq!(steps, expected);
    }

    #[test]
    fn built_in_metrics() {
        // scheduler_metrics.go, runBuiltinMetricChecks, branch by branch.
        assert!(!success_passes(None, Some(99.0), None), "no values found halts");
        assert!(success_passes(Some(99.0), Some(99.0), None), "val < min halts, equal passes");
        assert!(!success_passes(Some(98.9), Some(99.0), None));
        assert!(!success_passes(Some(100.0), None, Some(99.0)), "val > max halts");
        assert!(success_passes(Some(100.0), Some(99.0), None));
        assert!(!duration_passes(None, None, Some(500.0)));
        assert!(duration_passes(Some(500.0), None, Some(500.0)), "val > max halts, equal passes");
        assert!(!duration_passes(Some(501.0), None, Some(500.0)));
        // scheduler_deployment_test.go's failing metric: range 0 to 50 and a value of 100.
        assert!(!duration_passes(Some(100.0), Some(0.0), Some(50.0)));
    }
}
