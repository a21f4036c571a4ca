//! The rules of the process documents, read literally: errors above 1 % or p95 above 500 ms, each
//! for five minutes, unless a setting has other limits. Written apart from the judge's own windows, so that one checks the other.
//!
//! Each second is an evaluation of the ten seconds before it; a window without requests is no
//! evaluation, and silence for a minute ends a breach.

use tidegate_judge::Arm;

use super::{Recent, Rival};

/// Seconds of one evaluation, and of the sustained breach.
const SPAN: u64 = 10;
const SUSTAINED: u64 = 300;

/// Seconds of silence that end a breach.
const SILENCE: u64 = 60;

/// One rule's breach: seconds that it has lasted, and seconds since the last evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Breach {
    lasted: Option<u64>,
    silent: u64,
}

impl Breach {
    /// Takes one evaluation; true when it has lasted for the whole time.
    pub(crate) fn evaluate(&mut self, breaches: Option<bool>) -> bool {
        match breaches {
            None => {
                self.silent += 1;
                if self.silent > SILENCE {
                    self.lasted = None;
                }
                return false;
            }
            Some(false) => self.lasted = None,
            Some(true) => {
                let more = u64::from(self.silent == 0);
                self.lasted = Some(self.lasted.map_or(0, |lasted| lasted + more));
            }
        }
        self.silent = 0;
        self.lasted.is_some_and(|lasted| lasted >= SUSTAINED)
    }
}

#[derive(Debug)]
pub(crate) struct Documents {
    recent: Recent,
    limits: (f64, f64),
    errors: Breach,
    latency: Breach,
}

impl Documents {
    /// Most failures as a share, and most milliseconds of p95.
    pub(crate) fn new(limits: (f64, f64)) -> Documents {
        let (errors, latency) = (Breach::default(), Breach::default());
        Documents { recent: Recent::new(SPAN), limits, errors, latency }
    }
}

impl Rival for Documents {
    fn second(&mut self, _second: u64, candidate: &Arm, _live: &Arm) -> bool {
        self.recent.add(candidate);
        let errors = self.recent.error_rate().map(|rate| rate > self.limits.0);
        // Above 500 ms: the upper edge of the cell that holds the quantile lies past it.
        let latency = self.recent.quantile_ms(0.95).map(|ms| ms > self.limits.1);
        let errors = self.errors.evaluate(errors);
        let latency = self.latency.evaluate(latency);
        errors || latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The documents say "for 5 minutes", "for more than 5 minutes", "sustained over 5 minutes".
    #[test]
    fn a_breach_lasts_from_its_first_evaluation_to_the_last() {
        let run = |evaluations: &[(u64, Option<bool>)]| {
            let mut breach = Breach::default();
            let all = evaluations.iter().flat_map(|(times, e)| (0..*times).map(move |_| *e));
            all.map(|evaluation| breach.evaluate(evaluation)).last().unwrap_or(false)
        };
        let (bad, good, none) = (Some(true), Some(false), None);
        assert!(!run(&[(299, bad)]));
        assert!(!run(&[(300, bad)]), "4:59 have passed");
        assert!(run(&[(301, bad)]), "5:00 have passed");
        assert!(!run(&[(300, good)]));
        assert!(!run(&[(200, bad), (1, good), (200, bad)]), "one good one begins it again");
        assert!(!run(&[(200, bad), (30, none), (100, bad)]), "silence is no breach");
        assert!(run(&[(200, bad), (30, none), (102, bad)]), "nor does it end one");
        assert!(!run(&[(200, bad), (61, none), (102, bad)]), "but a minute of it does");
        assert!(run(&[(400, bad)]), "and it stays");
        assert!(!run(&[(400, bad), (1, good)]), "until a good one");
        assert!(!run(&[(1000, none)]), "nothing is never a breach");
    }
}
