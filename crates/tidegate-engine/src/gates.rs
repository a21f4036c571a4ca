//! What the world says to the gates of a plan: reports and repository by their driver, other
//! environments by the journal. Must never weigh an answer.

use std::sync::Arc;

use tidegate_core::effect::Question;
use tidegate_core::fact::{Course, Fact, Soak};
use tidegate_core::gate::{Demand, Found, Gate, Missing};
use tidegate_core::ids::{EnvironmentName, Scope};

use crate::ports::{Evidence, Journal, Ports};

/// Deployments of another environment that are looked at; a release that ran longer ago than so
/// many others is not waiting for its soak.
const COURSES: u32 = 50;

/// Looks up what every gate of a question asks for.
pub async fn look_up(ports: &Ports, question: &Question) -> Vec<Found> {
    let evidence: &Arc<dyn Evidence> = &ports.evidence;
    let mut found = evidence.gather(question).await;
    for gate in &question.plan.gates {
        let Demand::Soak { environment, .. } = &gate.demand else { continue };
        if found.iter().any(|known| known.gate == gate.name) {
            continue;
        }
        found.push(soak(ports.journal.as_ref(), question, gate, environment).await);
    }
    found
}

async fn soak(journal: &dyn Journal, question: &Question, gate: &Gate, environment: &str) -> Found {
    let answer =
        |facts| Found { gate: gate.name.clone(), not_needed: None, facts, evidence: Vec::new() };
    let service = question.plan.scope.service.clone();
    let Ok(place) = EnvironmentName::new(environment) else {
        return answer(Err(Missing {
            what: format!("{environment} is no environment"),
            help: "`tidegate check`".to_owned(),
        }));
    };
    let scope = Scope { service, environment: place };
    match journal.deployments(Some(&scope), None, COURSES).await {
        Ok(rows) => {
            let courses = rows.into_iter().map(|row| Course {
                version: row.version,
                ended_at: row.ended_at,
                ending: row.ending,
            });
            let courses: Vec<Course> = courses.collect();
            answer(Ok(vec![Fact::Soak(Soak::of(&question.versions.version, &courses))]))
        }
        Err(error) => answer(Err(Missing {
            what: format!("the deployments of {scope} cannot be read: {error}"),
            help: "`tidegate doctor`".to_owned(),
        })),
    }
}
