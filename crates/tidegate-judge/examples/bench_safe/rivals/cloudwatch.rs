//! CloudWatch alarms that stop a CodeDeploy deployment: "Configuring how CloudWatch alarms treat
//! missing data" and "Evaluating an alarm" of the Amazon CloudWatch User Guide.
//!
//! M of the last N datapoints breach. Datapoints that are missing are looked for further back in
//! the evaluation range (N and two more); what is still missing is filled as the alarm is set.
//! Where missing datapoints are not filled, breaching ones alone raise the alarm once the oldest is
//! M periods old. CodeDeploy stops and rolls back when any of its alarms is in ALARM. The alarms are
//! errors above 1 % and p95 above 500 ms unless a setting says otherwise, missing datapoints as by
//! default.

use std::collections::VecDeque;

use tidegate_judge::Arm;

use super::{Recent, Rival};

/// Datapoints that are retrieved beyond N.
const FURTHER: usize = 2;

/// How missing datapoints are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "the settings use the default alone"))]
pub(crate) enum Missing {
    Skipped,
    Ignore,
    Breaching,
    NotBreaching,
}

/// State of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    Alarm,
    InsufficientData,
    /// What it was before.
    Retained,
}

/// Evaluates `points` (oldest first, `None` is missing) for `m` of `n`.
pub(crate) fn evaluate(points: &[Option<bool>], m: usize, n: usize, missing: Missing) -> State {
    let real: Vec<bool> = points.iter().rev().flatten().copied().take(n).collect();
    let breaching = real.iter().filter(|point| **point).count();
    let lacking = n.saturating_sub(real.len());
    let decide = |alarm: bool| if alarm { State::Alarm } else { State::Ok };
    if lacking == 0 {
        return decide(breaching >= m);
    }
    match missing {
        Missing::Breaching => decide(breaching + lacking >= m),
        Missing::NotBreaching => decide(breaching >= m),
        Missing::Skipped if real.is_empty() => State::InsufficientData,
        Missing::Ignore if real.is_empty() => State::Retained,
        // Enough breach already, or everything that is there breaches: not waited for more.
        Missing::Skipped | Missing::Ignore if breaching >= m => State::Alarm,
        // The oldest breach is M periods old, and nothing but breaches is there.
        Missing::Skipped if breaching == real.len() => {
            let age = points.iter().position(Option::is_some).map_or(0, |at| points.len() - at);
            if age >= m { State::Alarm } else { State::InsufficientData }
        }
        Missing::Skipped => State::Ok,
        Missing::Ignore if breaching == real.len() => State::Retained,
        Missing::Ignore => State::Ok,
    }
}

/// Most failures as a share, and most milliseconds of p95.
pub(crate) type Limits = (f64, f64);
pub(crate) const USUAL: Limits = (0.01, 500.0);

#[derive(Debug)]
pub(crate) struct CloudWatch {
    period: u64,
    m: usize,
    n: usize,
    limits: Limits,
    recent: Recent,
    points: [VecDeque<Option<bool>>; 2],
}

impl CloudWatch {
    pub(crate) fn new(period: u64, m: usize, n: usize, limits: Limits) -> CloudWatch {
        let points = [VecDeque::new(), VecDeque::new()];
        CloudWatch { period, m, n, limits, recent: Recent::new(period), points }
    }
}

impl Rival for CloudWatch {
    fn second(&mut self, second: u64, candidate: &Arm, _live: &Arm) -> bool {
        self.recent.add(candidate);
        if !second.is_multiple_of(self.period) {
            return false;
        }
        let errors = self.recent.error_rate().map(|rate| rate > self.limits.0);
        let latency = self.recent.quantile_ms(0.95).map(|ms| ms > self.limits.1);
        let (m, n) = (self.m, self.n);
        let mut alarms = false;
        for (points, point) in self.points.iter_mut().zip([errors, latency]) {
            if points.len() == n + FURTHER {
                points.pop_front();
            }
            points.push_back(point);
            // An alarm that has not seen N periods yet does not guess the ones before it existed.
            let seen = points.make_contiguous();
            alarms |= seen.len() >= n && evaluate(seen, m, n, Missing::Skipped) == State::Alarm;
        }
        alarms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Vec<Option<bool>> {
        let point = |word: &str| match word {
            "X" => Some(true),
            "0" => Some(false),
            _ => None,
        };
        text.split(' ').map(point).collect()
    }

    // The two tables of the user guide, doc_source/AlarmThatSendsEmail.md of
    // awsdocs/amazon-cloudwatch-user-guide at 05fd32f: points, then missing, ignore, breaching, not
    // breaching.
    #[test]
    fn tables_of_the_user_guide() {
        use State::{Alarm, InsufficientData, Ok, Retained};
        let three_of_three = [
            ("0 - X - X", [Ok, Ok, Ok, Ok]),
            ("0 - - - -", [Ok, Ok, Ok, Ok]),
            ("- - - - -", [InsufficientData, Retained, Alarm, Ok]),
            ("0 X X - X", [Alarm, Alarm, Alarm, Alarm]),
            ("- - - - X", [InsufficientData, Retained, Alarm, Ok]),
            ("X - - - -", [Alarm, Retained, Alarm, Ok]),
        ];
        let two_of_three = [
            ("0 - X - X", [Alarm, Alarm, Alarm, Alarm]),
            ("0 0 X 0 X", [Alarm, Alarm, Alarm, Alarm]),
            ("0 - X - -", [Ok, Ok, Alarm, Ok]),
            ("- - - - 0", [Ok, Ok, Alarm, Ok]),
            ("- - - - X", [InsufficientData, Retained, Alarm, Ok]),
        ];
        let treatments =
            [Missing::Skipped, Missing::Ignore, Missing::Breaching, Missing::NotBreaching];
        for (m, table) in [(3, &three_of_three[..]), (2, &two_of_three[..])] {
            for (text, states) in table {
                for (missing, state) in treatments.into_iter().zip(*states) {
                    let found = evaluate(&points(text), m, 3, missing);
                    assert_eq!(found, state, "{text} {m} of 3, {missing:?}");
                }
            }
        }
    }
}
