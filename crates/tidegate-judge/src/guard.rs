//! One rollback rule, watched on both releases, and whether live shares the candidate's breach.
//! It must never let a breach of the candidate pass because live was bad at another time.

use std::collections::VecDeque;

use crate::policy::Policy;
use crate::rule::{Measured, Metric, Op, Reading, Rule};
use crate::sentence;
use crate::tick::Tick;
use crate::window::{RatioWindow, RuleState, Tally, Trail, Window};

/// A candidate whose bad share is at most this multiple of live's is not clearly worse.
const WORSE_RATIO: f64 = 1.5;

/// The window is compared in this many pieces, so that one bad moment of live is not a window.
const PIECES: u64 = 60;

#[derive(Clone, Debug)]
enum Watch {
    Run(Window, Trail),
    Ratio(RatioWindow),
}

/// A rollback rule on one release.
#[derive(Clone, Debug)]
struct Side {
    watch: Watch,
    state: RuleState,
    recent: Measured,
}

impl Side {
    fn new(rule: &Rule, policy: &Policy) -> Side {
        let watch = if rule.metric == Metric::ProbeFailures && rule.sustained_ms > 0 {
            Watch::Ratio(RatioWindow::new(rule))
        } else {
            Watch::Run(
                Window::with_tick(rule, policy.tick_ms, policy.gap),
                Trail::new(rule, policy.span_ms, policy.tick_ms),
            )
        };
        Side { watch, state: RuleState::NoData, recent: Measured::Nothing }
    }

    fn observe(&mut self, rule: &Rule, tick: &Tick, measured: Measured) {
        match &mut self.watch {
            Watch::Ratio(window) => {
                self.state = window.observe(tick.from_ms(), tick.at_ms, measured);
                self.recent = window.total();
            }
            Watch::Run(window, trail) => {
                self.recent = trail.push(tick.at_ms, measured);
                self.state = window.observe(tick.at_ms, rule.read(self.recent));
            }
        }
    }
}

fn since(state: RuleState) -> Option<u64> {
    match state {
        RuleState::Breaching { since_ms, .. } | RuleState::Fired { since_ms, .. } => Some(since_ms),
        RuleState::Clear | RuleState::NoData => None,
    }
}

fn fired(state: RuleState) -> bool {
    matches!(state, RuleState::Fired { .. })
}

#[derive(Clone, Debug)]
struct Piece {
    began_ms: u64,
    candidate: Tally,
    live: Tally,
}

/// Both releases over the last window of a rule, whether or not either breached in it.
#[derive(Clone, Debug)]
struct SameWindow {
    length_ms: u64,
    piece_ms: u64,
    pieces: VecDeque<Piece>,
}

impl SameWindow {
    fn new(rule: &Rule, policy: &Policy) -> SameWindow {
        let length_ms = rule.sustained_ms.max(policy.span_ms).max(1);
        let piece_ms = (length_ms / PIECES).max(policy.tick_ms);
        SameWindow { length_ms, piece_ms, pieces: VecDeque::new() }
    }

    fn add(&mut self, at_ms: u64, candidate: Measured, live: Measured) {
        if self.pieces.back().is_some_and(|piece| at_ms < piece.began_ms) {
            self.pieces.clear();
        }
        let piece_ms = self.piece_ms;
        if self.pieces.back().is_none_or(|piece| at_ms - piece.began_ms >= piece_ms) {
            let (candidate, live) = (Tally::default(), Tally::default());
            self.pieces.push_back(Piece { began_ms: at_ms, candidate, live });
        }
        let length_ms = self.length_ms;
        while self.pieces.front().is_some_and(|piece| at_ms - piece.began_ms >= length_ms) {
            self.pieces.pop_front();
        }
        if let Some(piece) = self.pieces.back_mut() {
            piece.candidate.add(candidate);
            piece.live.add(live);
        }
    }

    // Percent of both over the window; live's only if it breaches over the whole of it and in at
    // least half of its pieces. Live's state at this moment would be too strict: it may clear a
    // second before the candidate does, and with little traffic it clears by chance.
    fn both_breach(&self, rule: &Rule) -> Option<(f64, f64)> {
        let (mut candidate, mut live) = (Tally::default(), Tally::default());
        let (mut breaching, mut counted) = (0_u64, 0_u64);
        for piece in &self.pieces {
            candidate.merge(&piece.candidate);
            live.merge(&piece.live);
            match rule.read(piece.live.measured()) {
                Reading::Breach => {
                    breaching += 1;
                    counted += 1;
                }
                Reading::Good => counted += 1,
                Reading::NoData => {}
            }
        }
        let shared = breaching * 2 >= counted && rule.read(live.measured()) == Reading::Breach;
        let both = candidate.measured().percent().zip(live.measured().percent());
        both.filter(|_| shared)
    }
}

/// One rollback rule, watched on both releases.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) rule: Rule,
    candidate: Side,
    live: Side,
    same_window: SameWindow,
    // What both counted since the candidate's breach began, to compare like with like.
    candidate_run: Tally,
    live_run: Tally,
    run_since_ms: Option<u64>,
}

impl Guard {
    pub(crate) fn new(rule: &Rule, policy: &Policy) -> Guard {
        Guard {
            rule: *rule,
            candidate: Side::new(rule, policy),
            live: Side::new(rule, policy),
            same_window: SameWindow::new(rule, policy),
            candidate_run: Tally::default(),
            live_run: Tally::default(),
            run_since_ms: None,
        }
    }

    pub(crate) fn observe(&mut self, tick: &Tick, candidate: Measured, live: Measured) {
        self.candidate.observe(&self.rule, tick, candidate);
        self.live.observe(&self.rule, tick, live);
        self.same_window.add(tick.at_ms, candidate, live);
        let since_ms = since(self.candidate.state);
        match (&self.candidate.watch, self.candidate.state) {
            // A gap neither lengthens the run nor ends it.
            (Watch::Run(..), RuleState::NoData) => return,
            (Watch::Run(..), _) if since_ms.is_some() && since_ms == self.run_since_ms => {
                self.candidate_run.add(candidate);
                self.live_run.add(live);
            }
            (Watch::Run(..) | Watch::Ratio(_), _) => {
                self.candidate_run = Tally::of(self.candidate.recent);
                self.live_run = Tally::of(self.live.recent);
            }
        }
        self.run_since_ms = since_ms;
    }

    /// The state of the rule on the candidate.
    pub(crate) fn state(&self) -> RuleState {
        self.candidate.state
    }

    /// True when the rule has fired on the candidate.
    pub(crate) fn fired(&self) -> bool {
        fired(self.candidate.state)
    }

    /// What the candidate and live counted since the breach began, or lately without one.
    pub(crate) fn runs(&self) -> (Measured, Measured) {
        (self.candidate_run.measured(), self.live_run.measured())
    }

    /// What the candidate and live counted in the last few seconds.
    pub(crate) fn recent(&self) -> (Measured, Measured) {
        (self.candidate.recent, self.live.recent)
    }

    pub(crate) fn breach(&self) -> sentence::Breach<'_> {
        let (candidate, live) = self.runs();
        sentence::Breach { rule: &self.rule, state: self.candidate.state, candidate, live }
    }

    /// True when live breaches the same rule in the same window and the candidate is not clearly
    /// worse: by the evidence (`relative` below 1) where there is any, else by the shares.
    pub(crate) fn spares_candidate(&self, relative: Option<f64>) -> bool {
        let Some((candidate, live)) = self.same_window.both_breach(&self.rule) else {
            return false;
        };
        match (self.rule.metric, relative) {
            (Metric::ErrorRate, Some(relative)) => relative < 1.0,
            (Metric::Gauge(_), _) if matches!(self.rule.op, Op::Below | Op::AtMost) => {
                live <= WORSE_RATIO * candidate
            }
            (
                Metric::ErrorRate
                | Metric::LatencyMs(_)
                | Metric::Cpu
                | Metric::Memory
                | Metric::ProbeFailures
                | Metric::Gauge(_),
                _,
            ) => candidate <= WORSE_RATIO * live,
        }
    }

    /// A machine that is full on live only says nothing of the candidate. Errors and latency on
    /// live only are different: the candidate may be the mending, and must not be kept out.
    pub(crate) fn live_alone_is_full(&self) -> bool {
        matches!(self.rule.metric, Metric::Cpu | Metric::Memory)
            && fired(self.live.state)
            && !self.candidate.state.breaches()
    }
}
