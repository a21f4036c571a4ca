//! The families of the benchmark: what goes wrong with the candidate, or only seems to.
//! Must never be changed to reach a target: families are part of what is promised.

use std::sync::LazyLock;

/// What happens to the candidate. Rates are shares of its requests, times are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Nothing: any rollback is a false one.
    None,
    /// This share fails, from `from` on.
    Errors { rate: f64, from: f64 },
    /// The failing share grows to `rate` within `over`.
    ErrorRamp { rate: f64, over: f64 },
    /// The share fails for `on`, then not for `off`.
    Flapping { rate: f64, on: f64, off: f64 },
    /// Answers take `factor` times as long from `from` on.
    Slower { factor: f64, from: f64 },
    /// A share of the answers takes `factor` times as long.
    Tail { share: f64, factor: f64 },
    /// Answers get slower up to `factor` within `over`.
    SlowRamp { factor: f64, over: f64 },
    /// Memory grows by so many percent a minute.
    Leak { percent: f64 },
    /// Stops answering at `from`.
    Crash { from: f64 },
    /// Answers early and wrongly, with status 200.
    ReturnsEarly,
    /// Its counts are not heard of from `from` on.
    Silence { from: f64 },
}

/// What happens to both, or to their machines and users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Noise {
    /// Requests are independent of each other.
    None,
    /// Each failure is the first of a burst of retries, geometric with mean 5.
    Bursts,
    /// Every instance wanders: 5 % in latency, 30 % in error rate, with a memory of 30 s.
    Wander,
    /// A day in an hour: load and errors by half, latency by a fifth, up and down.
    Diurnal,
    /// From 600 s to 1,200 s errors are 40 times as frequent and answers take 1.8 times as long.
    Incident,
    /// Load and latency of each second differ by 10 % for both.
    Ticks,
    /// Every instance stands still for one second a minute.
    Pauses,
    /// Instances differ in latency by this much, for ever.
    Spread(f64),
    /// The candidate's answers take 3 times as long at first and as long as live's after 60 s.
    ColdStart,
    /// Half of the candidate's requests are for the slow route, of live's three tenths.
    Routes,
    /// Failures come from unlucky users: 30 requests within a minute, all of which fail.
    Sessions,
}

/// One family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Family {
    /// Number in seeds; never reused.
    pub(crate) number: u64,
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    pub(crate) noise: Noise,
    /// Instances of either release.
    pub(crate) instances: u32,
    /// The law of latencies has a heavy tail.
    pub(crate) heavy: bool,
}

/// Error rate of a good release where faults are looked for.
pub(crate) const ERRORS_OF_LIVE: f64 = 0.000_5;

/// The same where nothing is wrong: above the objective, so that it protects nobody.
pub(crate) const ERRORS_WHEN_QUIET: f64 = 0.002;

impl Family {
    pub(crate) fn is_quiet(&self) -> bool {
        self.fault == Fault::None
    }

    /// The error rate of live.
    pub(crate) fn base_errors(&self) -> f64 {
        if self.is_quiet() { ERRORS_WHEN_QUIET } else { ERRORS_OF_LIVE }
    }

    /// When the fault begins, in seconds of the rollout.
    pub(crate) fn onset(&self) -> f64 {
        match self.fault {
            Fault::Errors { from, .. }
            | Fault::Slower { from, .. }
            | Fault::Crash { from }
            | Fault::Silence { from } => from,
            Fault::None
            | Fault::ErrorRamp { .. }
            | Fault::Flapping { .. }
            | Fault::Tail { .. }
            | Fault::SlowRamp { .. }
            | Fault::Leak { .. }
            | Fault::ReturnsEarly => 0.0,
        }
    }
}

const INSTANCES: u32 = 6;

fn faulty(number: u64, name: &'static str, fault: Fault) -> Family {
    Family { number, name, fault, noise: Noise::None, instances: INSTANCES, heavy: false }
}

fn quiet(number: u64, name: &'static str, noise: Noise) -> Family {
    Family { number, name, fault: Fault::None, noise, instances: INSTANCES, heavy: false }
}

/// All families in the order of the report.
pub(crate) static ALL: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let errors = |rate, from| Fault::Errors { rate, from };
    let slower = |factor, from| Fault::Slower { factor, from };
    let mut all = vec![
        faulty(101, "F1 errors 0.2 %", errors(0.002, 0.0)),
        faulty(102, "F1 errors 0.5 %", errors(0.005, 0.0)),
        faulty(103, "F1 errors 1 %", errors(0.01, 0.0)),
        faulty(104, "F1 errors 5 %", errors(0.05, 0.0)),
        faulty(105, "F1 errors 50 %", errors(0.5, 0.0)),
        faulty(106, "F2 errors 1 % at 600 s", errors(0.01, 600.0)),
        faulty(107, "F2 errors 5 % at 600 s", errors(0.05, 600.0)),
        faulty(108, "F3 errors ramp to 1 %", Fault::ErrorRamp { rate: 0.01, over: 600.0 }),
        faulty(109, "F4 flapping 5 % 20/40 s", flapping(20.0, 40.0)),
        faulty(110, "F4 flapping 5 % 60/120 s", flapping(60.0, 120.0)),
        faulty(111, "F5 latency x1.1", slower(1.1, 0.0)),
        faulty(112, "F5 latency x1.5", slower(1.5, 0.0)),
        faulty(113, "F5 latency x2", slower(2.0, 0.0)),
        faulty(114, "F6 3 % of answers x8", Fault::Tail { share: 0.03, factor: 8.0 }),
        Family { heavy: true, ..faulty(115, "F7 heavy tail x1.5", slower(1.5, 0.0)) },
        faulty(116, "F8 latency ramp to x2", Fault::SlowRamp { factor: 2.0, over: 600.0 }),
        faulty(117, "F9 latency x1.5 at 600 s", slower(1.5, 600.0)),
        faulty(118, "F10 memory 0.25 %/min", Fault::Leak { percent: 0.25 }),
        faulty(119, "F10 memory 1 %/min", Fault::Leak { percent: 1.0 }),
        faulty(120, "F11 crash at 60 s", Fault::Crash { from: 60.0 }),
        faulty(121, "F12 early, wrong, 200", Fault::ReturnsEarly),
        faulty(122, "F13 silence at 60 s", Fault::Silence { from: 60.0 }),
        Family { noise: Noise::Pauses, ..faulty(123, "F5 latency x1.5, pauses", slower(1.5, 0.0)) },
        Family { instances: 1, ..faulty(124, "F1 errors 5 %, 1 instance", errors(0.05, 0.0)) },
        Family { instances: 2, ..faulty(125, "F1 errors 5 %, 2 instances", errors(0.05, 0.0)) },
        Family { instances: 1, ..faulty(126, "F5 latency x2, 1 instance", slower(2.0, 0.0)) },
        Family { instances: 2, ..faulty(127, "F5 latency x2, 2 instances", slower(2.0, 0.0)) },
    ];
    all.extend([
        quiet(201, "N1 independent", Noise::None),
        quiet(202, "N2 bursts of 5", Noise::Bursts),
        quiet(203, "N3 instances wander", Noise::Wander),
        quiet(204, "N4 a day in an hour", Noise::Diurnal),
        quiet(205, "N5 shared incident", Noise::Incident),
        quiet(206, "N6 noisy seconds", Noise::Ticks),
        quiet(207, "N7 pauses", Noise::Pauses),
        quiet(208, "N8 spread 5 %", Noise::Spread(0.05)),
        quiet(209, "N8 spread 10 %", Noise::Spread(0.1)),
        quiet(210, "N9 cold start", Noise::ColdStart),
        quiet(211, "N10 route mix", Noise::Routes),
        quiet(212, "N11 sticky users", Noise::Sessions),
        Family { instances: 1, ..quiet(213, "N12 1 instance, 10 %", Noise::Spread(0.1)) },
        Family { instances: 2, ..quiet(214, "N12 2 instances, 10 %", Noise::Spread(0.1)) },
    ]);
    all
});

fn flapping(on: f64, off: f64) -> Fault {
    Fault::Flapping { rate: 0.05, on, off }
}
