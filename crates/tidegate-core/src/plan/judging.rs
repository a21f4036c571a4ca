//! How the rollout is judged beside its rules: evidence, what it may cost, and numbers that other
//! systems measure. Must never name a vendor: a driver's name is a word of the declaration.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::ids::MetricName;

/// Most numbers of other systems in one plan; each is asked for on both sides.
pub const SOURCES_MAX: usize = 16;

/// What judges beside the rules. The default, which older plans have, is nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Judging {
    /// Sequential evidence; `None` leaves the rules alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Failed user requests that the candidate may cost beyond the live side's rate; more roll back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
    /// Numbers that other systems measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

impl Judging {
    /// Whether nothing is declared: such a plan has the bytes that it had before this existed.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the evidence is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Share of requests that may fail whatever the live side does, 0 to 0.5.
    pub objective: f64,
    /// A candidate that fails up to this many times as often as the live side is no worse, 1 up.
    pub worse: f64,
    /// Slowness against the live side that is let pass, as a fraction.
    pub slower: f64,
    /// Time after the candidate's first traffic in which latency and load are not compared.
    pub warm_up: SignedDuration,
    /// Whether a step also needs evidence of safety to pass.
    pub proves_safety: bool,
}

impl Default for Evidence {
    /// 0.1 % of requests, half as often again, 6 % slower, 30 seconds, no proof of safety.
    fn default() -> Self {
        Self {
            objective: 0.001,
            worse: 1.5,
            slower: 0.06,
            warm_up: SignedDuration::from_secs(30),
            proves_safety: false,
        }
    }
}

/// A number that another system measures for each side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// What the rules call it.
    pub name: MetricName,
    /// Printed behind its values; may be empty.
    pub unit: String,
    /// Which driver asks.
    pub driver: String,
    /// Where it asks.
    pub endpoint: String,
    /// What it asks, with `$slot`, `$version`, `$revision`, `$part`, `$service` and `$environment`
    /// standing for the side that is meant.
    pub query: String,
    /// How often.
    pub every: SignedDuration,
    /// An answer later than this is none.
    pub timeout: SignedDuration,
    /// A value that is older than this is missing.
    pub stale_after: SignedDuration,
}
