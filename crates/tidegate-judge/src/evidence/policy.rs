//! How evidence is used: what counts as worse, how sure it has to be, what is known of the service.
//! It must never hold a number that was found by looking at the rollout it judges.

use crate::policy::PolicyError;

/// How evidence is used. The defaults are the design's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvidencePolicy {
    /// Share of rollouts of an equal release that may be rolled back (0 < alpha < 1).
    pub alpha: f64,
    /// The same for a brake; not below `alpha`.
    pub brake_alpha: f64,
    /// Share of unsafe steps that may be passed by evidence.
    pub beta: f64,
    /// A candidate that fails up to this many times as often as live is no worse.
    pub rho: f64,
    /// Share of requests that may fail whatever live does (0 to 1): the objective.
    pub objective: f64,
    /// Slowness against live that is let pass, as a fraction.
    pub latency_margin: f64,
    /// Time after a candidate's first traffic in which latency and saturation are not compared.
    pub warm_up_ms: u64,
    /// How long the rollout is planned to take, in milliseconds.
    pub horizon_ms: u64,
    /// Changes of the traffic share that are planned.
    pub changes: u32,
    /// Instances of the candidate and of live.
    pub instances: (u32, u32),
    /// Spread of latency between equal instances where it cannot be measured, as a fraction.
    pub spread: f64,
    /// Also ask for evidence of safety before *advance*.
    pub gates_advance: bool,
}

impl Default for EvidencePolicy {
    fn default() -> EvidencePolicy {
        EvidencePolicy {
            alpha: 0.01,
            brake_alpha: 0.05,
            beta: 0.05,
            rho: 1.5,
            objective: 0.001,
            latency_margin: 0.06,
            warm_up_ms: 30_000,
            horizon_ms: 3_600_000,
            changes: 3,
            instances: (2, 2),
            spread: 0.05,
            gates_advance: false,
        }
    }
}

impl EvidencePolicy {
    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// [`PolicyError::Evidence`] with the name of the first one that is not.
    pub fn check(&self) -> Result<(), PolicyError> {
        let share = |value: f64| value > 0.0 && value < 1.0;
        let fields = [
            ("alpha", share(self.alpha)),
            ("brake_alpha", share(self.brake_alpha) && self.brake_alpha >= self.alpha),
            ("beta", share(self.beta)),
            ("rho", (1.0..=100.0).contains(&self.rho)),
            ("objective", self.objective > 0.0 && self.objective <= 0.5),
            ("latency_margin", (0.0..=10.0).contains(&self.latency_margin)),
            ("spread", (0.0..=1.0).contains(&self.spread)),
        ];
        match fields.iter().find(|(_, fits)| !fits) {
            Some((field, _)) => Err(PolicyError::Evidence { field }),
            None => Ok(()),
        }
    }
}
