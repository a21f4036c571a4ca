//! When somebody last looked at the approval sheet of a service, so that the next look can say what
//! changed since. Kept in memory: after a restart everybody looks for the first time.
//! Must never be evidence of anything; what people said is in the journal.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tidegate_core::ids::{DeploymentId, Scope};

/// Looks that follow each other within this are one visit: a page that is loaded again still says
/// what changed since the visit before.
const VISIT: SignedDuration = SignedDuration::from_mins(10);
/// Most that are remembered; the oldest are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// One look at a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// At which deployment.
    pub(crate) deployment: DeploymentId,
    /// When.
    pub(crate) at: Timestamp,
}

#[derive(Debug)]
struct Visit {
    last: Look,
    before: Option<Look>,
}

/// Who looked at what.
#[derive(Debug, Default)]
pub(crate) struct Visits(Mutex<BTreeMap<(String, Scope), Visit>>);

impl Visits {
    /// Notes a look, and says which was the last one of the visit before.
    pub(crate) fn look(&self, who: &str, scope: &Scope, look: Look) -> Option<Look> {
        let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (who.to_owned(), scope.clone());
        let before = match visits.remove(&place) {
            None => None,
            Some(visit) if goes_on(&visit.last, &look) => visit.before,
            Some(visit) => Some(visit.last),
        };
        if visits.len() >= REMEMBERED_MAX {
            let oldest = visits.iter().min_by_key(|(_, visit)| visit.last.at);
            if let Some(oldest) = oldest.map(|(place, _)| place.clone()) {
                visits.remove(&oldest);
            }
        }
        visits.insert(place, Visit { last: look, before: before.clone() });
        before
    }
}

fn goes_on(last: &Look, look: &Look) -> bool {
    last.deployment == look.deployment && look.at.duration_since(last.at) < VISIT
}

#[cfg(test)]
mod tests {
    use tidegate_core::ids::{EnvironmentName, ServiceName};

    use super::*;

    fn scope(service: &str) -> Scope {
        Scope {
            service: ServiceName::new(service).expect("a name"),
            environment: EnvironmentName::new("production").expect("a name"),
        }
    }

    fn look(deployment: &str, minute: i64) -> Look {
        let at = Timestamp::from_second(minute * 60).expect("a time");
        Look { deployment: DeploymentId::new(deployment).expect("an id"), at }
    }

    #[test]
    fn the_last_look_of_the_visit_before_is_told_until_the_visit_ends() {
        let (visits, shop) = (Visits::default(), scope("shop"));
        assert_eq!(visits.look("ana", &shop, look("d-aaaa", 0)), None);
        assert_eq!(visits.look("ana", &shop, look("d-aaaa", 9)), None, "still the first visit");
        let second = visits.look("ana", &shop, look("d-aaaa", 60));
        assert_eq!(second, Some(look("d-aaaa", 9)));
        let again = visits.look("ana", &shop, look("d-aaaa", 61));
        assert_eq!(again, Some(look("d-aaaa", 9)), "a page loaded again says the same");
        let other = visits.look("ana", &shop, look("d-bbbb", 62));
        assert_eq!(other, Some(look("d-aaaa", 61)), "another deployment is another visit");
        assert_eq!(visits.look("ben", &shop, look("d-bbbb", 63)), None, "somebody else");
        assert_eq!(visits.look("ana", &scope("till"), look("d-cccc", 63)), None, "elsewhere");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let visits = Visits::default();
        for n in 0..=REMEMBERED_MAX {
            let minute = i64::try_from(n).expect("small");
            visits.look(&format!("p{n}"), &scope("shop"), look("d-aaaa", minute));
        }
        assert_eq!(visits.0.lock().expect("no panic").len(), REMEMBERED_MAX);
        assert_eq!(visits.look("p0", &scope("shop"), look("d-aaaa", 20_000)), None);
        assert!(visits.look("p10000", &scope("shop"), look("d-aaaa", 20_000)).is_some());
    }
}
