//! Sustained rules: "> 1 % for 5m" means that every evaluation in the window breaches.
//! It must never fire on an evaluation that is missing, and never take silence for a good one.

use std::collections::VecDeque;

use crate::rule::{Measured, Reading, Rule};

/// Tick length assumed where none is given, in milliseconds: the proxy's own.
pub const TICK_MS_DEFAULT: u64 = 1_000;

/// A sustained time is cut in this many parts: an evaluation looks back over at most one part, so
/// that one bad tick cannot fill the window, and a silence longer than one part ends a run.
const PARTS: u64 = 5;

/// Longest silence that a run survives however long its window, in milliseconds.
const SILENCE_MS_MAX: u64 = 60_000;

/// Ticks that may be missing before telemetry counts as lost.
pub const TICKS_MISSING_MAX: u64 = 3;

/// What an evaluation without data does to a run of breaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gap {
    /// The clock of the run stands still; a silence longer than a fifth of the sustained time
    /// (at least three ticks, at most a minute) ends the run.
    #[default]
    Holds,
    /// The run ends at once.
    Breaks,
}

/// Where a rule stands after an evaluation. Times are those of the ticks, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleState {
    /// The last evaluation was good.
    Clear,
    /// Breaching without a break, but not yet for long enough.
    Breaching {
        /// The first evaluation of the run.
        since_ms: u64,
        /// What is still missing to the sustained time.
        needs_ms: u64,
    },
    /// The sustained time is reached. It stays so while breaches go on and ends with a good one.
    Fired {
        /// The first evaluation of the run.
        since_ms: u64,
        /// The evaluation that reached the sustained time.
        at_ms: u64,
    },
    /// The last evaluation had no data; never a pass.
    NoData,
}

impl RuleState {
    /// How far from harmless, to choose the worst of several rules of one metric.
    pub(crate) fn severity(self) -> u8 {
        match self {
            RuleState::Clear => 0,
            RuleState::NoData => 1,
            RuleState::Breaching { .. } => 2,
            RuleState::Fired { .. } => 3,
        }
    }

    /// True while the number is in the rollback band.
    #[must_use]
    pub fn breaches(self) -> bool {
        self.severity() >= 2
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    since_ms: u64,
    last_ms: u64,
    breached_ms: u64,
    // False after an evaluation without data: the time up to the next breach is not counted.
    unbroken: bool,
    fired_ms: Option<u64>,
}

/// The sustained window of one rule over one arm.
///
/// The run's length is the time from its first breaching evaluation to the latest one:
/// with a sustained time of 5m it fires at 5:00 and not at 4:59.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    sustained_ms: u64,
    silence_ms: u64,
    gap: Gap,
    last_ms: Option<u64>,
    run: Option<Run>,
}

impl Window {
    /// A window for `rule` under one-second ticks.
    #[must_use]
    pub fn new(rule: &Rule) -> Window {
        Window::with_tick(rule, TICK_MS_DEFAULT, Gap::Holds)
    }

    /// A window for `rule` under ticks of `tick_ms` milliseconds.
    #[must_use]
    pub fn with_tick(rule: &Rule, tick_ms: u64, gap: Gap) -> Window {
        let part_ms = (rule.sustained_ms / PARTS).min(SILENCE_MS_MAX);
        Window {
            sustained_ms: rule.sustained_ms,
            silence_ms: part_ms.max(tick_ms.saturating_mul(TICKS_MISSING_MAX)),
            gap,
            last_ms: None,
            run: None,
        }
    }

    /// Takes one evaluation at `at_ms`. A clock that went back ends the run.
    pub fn observe(&mut self, at_ms: u64, reading: Reading) -> RuleState {
        if self.last_ms.is_some_and(|last_ms| at_ms < last_ms) {
            self.run = None;
        }
        self.last_ms = Some(at_ms);
        let silence_ms = self.silence_ms;
        self.run = self.run.filter(|run| at_ms - run.last_ms <= silence_ms);
        match reading {
            Reading::Good => {
                self.run = None;
                RuleState::Clear
            }
            Reading::NoData => {
                match (self.gap, &mut self.run) {
                    (Gap::Holds, Some(run)) => run.unbroken = false,
                    (Gap::Holds, None) | (Gap::Breaks, _) => self.run = None,
                }
                RuleState::NoData
            }
            Reading::Breach => self.breach(at_ms),
        }
    }

    fn breach(&mut self, at_ms: u64) -> RuleState {
        let run = self.run.get_or_insert(Run {
            since_ms: at_ms,
            last_ms: at_ms,
            breached_ms: 0,
            unbroken: true,
            fired_ms: None,
        });
        if run.unbroken {
            run.breached_ms += at_ms - run.last_ms;
        }
        run.last_ms = at_ms;
        run.unbroken = true;
        if run.breached_ms >= self.sustained_ms {
            let fired_ms = *run.fired_ms.get_or_insert(at_ms);
            RuleState::Fired { since_ms: run.since_ms, at_ms: fired_ms }
        } else {
            RuleState::Breaching {
                since_ms: run.since_ms,
                needs_ms: self.sustained_ms - run.breached_ms,
            }
        }
    }
}

/// Probes remembered by one [`RatioWindow`]: six hours at one every five seconds.
const PROBE_TICKS_MAX: usize = 4_320;

/// The window of a probe rule: "> 50 % for 3m" is the share of failed probes over the last three
/// minutes, because probes are few and each evaluation would otherwise be 0 % or 100 %.
///
/// It fires only once the whole window was watched, and only on a tick that brought a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct RatioWindow {
    rule: Rule,
    watched_from_ms: Option<u64>,
    last_ms: u64,
    probes: VecDeque<(u64, u64, u64)>,
    run: Option<(u64, Option<u64>)>,
}

impl RatioWindow {
    /// A window as long as the sustained time of `rule`.
    #[must_use]
    pub fn new(rule: &Rule) -> RatioWindow {
        RatioWindow {
            rule: *rule,
            watched_from_ms: None,
            last_ms: 0,
            probes: VecDeque::new(),
            run: None,
        }
    }

    /// Takes the probes of one tick from `from_ms` to `at_ms`.
    pub fn observe(&mut self, from_ms: u64, at_ms: u64, measured: Measured) -> RuleState {
        if at_ms < self.last_ms {
            *self = RatioWindow::new(&self.rule);
        }
        self.last_ms = at_ms;
        let watched_ms = at_ms - *self.watched_from_ms.get_or_insert_with(|| from_ms.min(at_ms));
        let fresh = match measured {
            Measured::Share { bad, of } if of > 0 => {
                self.remember(at_ms, bad, of);
                true
            }
            Measured::Share { .. } | Measured::Nothing | Measured::Level(_) => false,
        };
        let edge_ms = at_ms.saturating_sub(self.rule.sustained_ms);
        while self
            .probes
            .front()
            .is_some_and(|(probe_ms, _, _)| *probe_ms <= edge_ms && edge_ms > 0)
        {
            self.probes.pop_front();
        }
        match self.rule.read(self.total()) {
            Reading::NoData => RuleState::NoData,
            Reading::Good => {
                self.run = None;
                RuleState::Clear
            }
            Reading::Breach => self.breach(at_ms, watched_ms, fresh),
        }
    }

    /// Failed probes and all probes in the window.
    #[must_use]
    pub fn total(&self) -> Measured {
        let add = |(bad, of): (u64, u64), probe: &(u64, u64, u64)| {
            (bad.saturating_add(probe.1), of.saturating_add(probe.2))
        };
        let (bad, of) = self.probes.iter().fold((0, 0), add);
        Measured::Share { bad, of }
    }

    fn remember(&mut self, at_ms: u64, bad: u64, of: u64) {
        if self.probes.len() == PROBE_TICKS_MAX {
            self.probes.pop_front();
        }
        self.probes.push_back((at_ms, bad, of));
    }

    fn breach(&mut self, at_ms: u64, watched_ms: u64, fresh: bool) -> RuleState {
        let (since_ms, fired_ms) = self.run.get_or_insert((at_ms, None));
        if watched_ms >= self.rule.sustained_ms && fresh {
            fired_ms.get_or_insert(at_ms);
        }
        match fired_ms {
            Some(fired_ms) => RuleState::Fired { since_ms: *since_ms, at_ms: *fired_ms },
            None => RuleState::Breaching {
                since_ms: *since_ms,
                needs_ms: self.rule.sustained_ms.saturating_sub(watched_ms),
            },
        }
    }
}

/// Evaluations kept by one [`Trail`]; ticks shorter than the proxy's second are merged by age.
const TRAIL_MAX: usize = 600;

/// The measurements of the last few seconds: one evaluation looks at all of them together, so that
/// a single second without requests in thin traffic is not a missing evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Trail {
    span_ms: u64,
    entries: VecDeque<(u64, Measured)>,
}

impl Trail {
    /// A trail for `rule`: `span_ms`, but at most a fifth of the rule's sustained time, and never
    /// less than one tick of `tick_ms` milliseconds.
    #[must_use]
    pub fn new(rule: &Rule, span_ms: u64, tick_ms: u64) -> Trail {
        let part_ms = match rule.sustained_ms {
            0 => span_ms,
            sustained_ms => sustained_ms / PARTS,
        };
        Trail { span_ms: span_ms.min(part_ms).max(tick_ms).max(1), entries: VecDeque::new() }
    }

    /// Adds the measurement of the tick that ended at `at_ms` and answers with the sum of shares,
    /// or the mean of levels, over the span. A tick that measured nothing answers `Nothing`.
    pub fn push(&mut self, at_ms: u64, measured: Measured) -> Measured {
        if self.entries.back().is_some_and(|(last_ms, _)| at_ms < *last_ms) {
            self.entries.clear();
        }
        if self.entries.len() == TRAIL_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((at_ms, measured));
        let span_ms = self.span_ms;
        while self.entries.front().is_some_and(|(old_ms, _)| at_ms - *old_ms >= span_ms) {
            self.entries.pop_front();
        }
        match measured {
            Measured::Nothing => Measured::Nothing,
            Measured::Share { .. } | Measured::Level(_) => {
                let mut tally = Tally::default();
                for (_, entry) in &self.entries {
                    tally.add(*entry);
                }
                tally.measured()
            }
        }
    }
}

/// A sum of shares or a mean of levels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    bad: u64,
    of: u64,
    level: f64,
    levels: u32,
}

impl Tally {
    pub(crate) fn of(measured: Measured) -> Tally {
        let mut tally = Tally::default();
        tally.add(measured);
        tally
    }

    pub(crate) fn add(&mut self, measured: Measured) {
        match measured {
            Measured::Nothing => {}
            Measured::Share { bad, of } => {
                self.bad = self.bad.saturating_add(bad);
                self.of = self.of.saturating_add(of);
            }
            Measured::Level(level) => {
                self.level += level;
                self.levels = self.levels.saturating_add(1);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        self.bad = self.bad.saturating_add(other.bad);
        self.of = self.of.saturating_add(other.of);
        self.level += other.level;
        self.levels = self.levels.saturating_add(other.levels);
    }

    pub(crate) fn measured(&self) -> Measured {
        if self.levels > 0 {
            Measured::Level(self.level / f64::from(self.levels))
        } else {
            Measured::Share { bad: self.bad, of: self.of }
        }
    }
}
