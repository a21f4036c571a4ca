//! The faults that can be rehearsed. Must never be more than one at a time: what was seen is then
//! what was caused.

use jiff::{SignedDuration, Timestamp};

/// One fault of the candidate, or of everything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scenario {
    /// Its word on the command line.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// How long after the candidate's first traffic it begins.
    pub after: SignedDuration,
    /// What it does.
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// This share of the candidate's requests fails.
    Errors(f64),
    /// The same, in the first seconds of every period only: seconds on, seconds in all.
    Flapping(f64, u32, u32),
    /// This share of the candidate's answers takes so many times as long.
    Slow(f64, f64),
    /// The candidate's memory grows by so many percent a minute, from 40 %.
    Leak(f64),
    /// The candidate answers nothing: requests fail and so do probes.
    Crash,
    /// Both sides fail this share of requests, for so many seconds.
    Incident(f64, u32),
    /// Nothing is heard of the candidate.
    Blind,
}

/// Everything that can be rehearsed, by name.
pub const SCENARIOS: [Scenario; 12] = [
    now("good", "a good release: nothing goes wrong", Fault::Nothing),
    now("errors", "5 % of the new version's requests fail", Fault::Errors(0.05)),
    now("outage", "half of the new version's requests fail", Fault::Errors(0.5)),
    now("trickle", "0.5 % of the new version's requests fail", Fault::Errors(0.005)),
    Scenario {
        name: "late",
        about: "5 % of requests fail from ten minutes on",
        after: SignedDuration::from_mins(10),
        fault: Fault::Errors(0.05),
    },
    now("flapping", "5 % of requests fail, 20 seconds of every 40", Fault::Flapping(0.05, 20, 40)),
    now("slow", "every answer of the new version takes half as long again", Fault::Slow(1.0, 1.5)),
    now("tail", "3 % of the new version's answers take 8 times as long", Fault::Slow(0.03, 8.0)),
    now("leak", "the new version's memory grows by 2 % a minute", Fault::Leak(2.0)),
    Scenario {
        name: "crash",
        about: "after two minutes the new version answers nothing",
        after: SignedDuration::from_mins(2),
        fault: Fault::Crash,
    },
    now(
        "incident",
        "5 % of the requests of both fail, for ten minutes",
        Fault::Incident(0.05, 600),
    ),
    Scenario {
        name: "blind",
        about: "after a minute nothing is heard of the new version",
        after: SignedDuration::from_mins(1),
        fault: Fault::Blind,
    },
];

const fn now(name: &'static str, about: &'static str, fault: Fault) -> Scenario {
    Scenario { name, about, after: SignedDuration::ZERO, fault }
}

impl Scenario {
    /// The scenario of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        SCENARIOS.into_iter().find(|scenario| scenario.name == name)
    }

    /// When it begins, if anything does.
    pub(super) fn begins(&self, first_traffic: Timestamp) -> Option<Timestamp> {
        let begins = first_traffic.checked_add(self.after).ok()?;
        (self.fault != Fault::Nothing).then_some(begins)
    }
}
