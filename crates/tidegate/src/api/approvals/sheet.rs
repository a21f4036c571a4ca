//! The sheet of a decision and the lines of the inbox, made of the state alone.
//! Must never show less than what the quorum sees.

use jiff::Timestamp;
use tidegate_core::approval::{gate, past};
use tidegate_core::checklist;
use tidegate_core::plan::Plan;
use tidegate_core::state::{Deployment, HoldCause, Phase, State};

use super::items_to_vouch;
use crate::api::plans::declared;
use crate::view::approval::{Approval, Attestation, Change, Item, Owned, Review, Rule, Sheet};

/// The sheet of the deployment in flight.
pub(super) fn of(state: &State, now: Timestamp) -> Option<Sheet> {
    let current = state.current.as_ref()?;
    let standing = gate::standing(state, current, now);
    let open = current.phase == Phase::Approvals && current.going_back.is_none();
    let until = gate::within(state, current)
        .filter(|_| open)
        .and_then(|within| current.phase_since.checked_add(within).ok());
    let why = |name: &str| {
        let barred = standing.barred.iter().find(|(who, _)| who == name);
        barred.map(|(_, bar)| bar.words())
    };
    let plan = &current.plan;
    Some(Sheet {
        deployment: current.id.to_string(),
        service: plan.scope.service.to_string(),
        environment: plan.scope.environment.to_string(),
        version: plan.release.version.clone(),
        started_by: current.started_by.to_string(),
        binding: current.binding.as_ref().map(ToString::to_string),
        open,
        sentence: sentence(current, &standing.missing, until, now),
        missing: standing.missing.clone(),
        until,
        rules: standing.rules.iter().map(rule).collect(),
        approvals: current
            .votes
            .iter()
            .map(|vote| approval(vote, why(&vote.by.to_string())))
            .collect(),
        attestations: attestations(state, current),
        change: plan.change.as_ref().map(change),
        voided: past::voided(state).map(|voided| voided.sentence()),
        review: past::open_review(state).map(|open| review(open, plan)),
        stakes: None,
    })
}

/// What was said, what is missing, and when it starts.
fn sentence(
    current: &Deployment,
    missing: &[String],
    until: Option<Timestamp>,
    now: Timestamp,
) -> String {
    if current.phase < Phase::Approvals {
        return format!("people are asked after {}", current.phase.word());
    }
    let Some(until) = until else {
        return "people have decided".to_owned();
    };
    let said = match current.votes.len() {
        0 => "nobody has approved yet".to_owned(),
        1 => "1 approval is recorded".to_owned(),
        count => format!("{count} approvals are recorded"),
    };
    if missing.is_empty() {
        return format!(
            "{said}, nothing is missing: it starts as soon as the directory confirms it"
        );
    }
    let left = tidegate_core::waiting::left(now, until);
    format!(
        "{said}; missing: {}; it starts when that is there, and is stopped in {left}",
        missing.join("; ")
    )
}

fn rule(standing: &tidegate_core::approval::quorum::RuleStanding) -> Rule {
    Rule {
        name: standing.name.clone(),
        need: standing.need,
        by: standing.by.clone(),
        round: standing.round,
        open: standing.open,
    }
}

fn approval(vote: &tidegate_core::approval::Vote, barred: Option<String>) -> Approval {
    Approval {
        by: vote.by.to_string(),
        at: vote.at,
        expires: vote.expires,
        factor: vote.credential.factor.clone(),
        barred,
        hold_at_bp: vote.condition.map(tidegate_core::weight::Weight::bp),
        comment: vote.note.clone(),
    }
}

fn attestations(state: &State, current: &Deployment) -> Vec<Attestation> {
    let items = items_to_vouch(state).into_iter();
    items
        .map(|item| {
            let known = current.attested.get(&item);
            Attestation {
                by: known.map(|known| known.by.to_string()),
                at: known.map(|known| known.at),
                comment: known.and_then(|known| known.note.clone()),
                item,
            }
        })
        .collect()
}

fn change(change: &tidegate_core::approval::Change) -> Change {
    let owned = change.owned.iter().map(|owned| Owned {
        path: owned.path.clone(),
        paths: owned.paths,
        owners: owned.owners.clone(),
    });
    Change {
        base: change.base.clone(),
        paths: change.paths,
        owned: owned.collect(),
        hands: change.hands.iter().cloned().collect(),
    }
}

fn review(review: &tidegate_core::approval::Review, plan: &Plan) -> Review {
    Review {
        deployment: review.deployment.to_string(),
        version: review.plan.release.version.clone(),
        category: review.category.word().to_owned(),
        reason: review.reason.clone(),
        by: review.by.to_string(),
        at: review.at,
        differences: declared(&review.plan, plan),
    }
}

/// Mandatory boxes that a person closes, with the command that does it.
fn boxes(current: &Deployment, now: Timestamp) -> impl Iterator<Item = (String, String)> + '_ {
    let missing = checklist::missing(current, now).into_iter().filter(|item| item.is_vouched_for());
    let forward = current.going_back.is_none();
    missing.filter(move |_| forward).map(|item| {
        let command = format!("tidegate attest {} {}", item.name(), current.id);
        (format!("somebody vouches: {}", item.words), command)
    })
}

/// What of a service waits for people.
pub(super) fn items(state: &State, now: Timestamp) -> Vec<Item> {
    let mut items = Vec::new();
    if let (Some(current), Some(sheet)) = (&state.current, of(state, now)) {
        let item = |kind: &str, sentence: String, command: String| Item {
            kind: kind.to_owned(),
            deployment: sheet.deployment.clone(),
            service: sheet.service.clone(),
            environment: sheet.environment.clone(),
            version: sheet.version.clone(),
            sentence,
            since: current.phase_since,
            until: sheet.until,
            command,
        };
        if sheet.open {
            let id = &sheet.deployment;
            items.push(item("approval", sheet.sentence.clone(), format!("tidegate approve {id}")));
            let open = sheet.attestations.iter().filter(|attestation| attestation.by.is_none());
            items.extend(open.map(|attestation| {
                let what = &attestation.item;
                let command = format!("tidegate attest \"{what}\" {id}");
                item("attestation", format!("somebody vouches: {what}"), command)
            }));
        }
        items.extend(boxes(current, now).map(|(sentence, command)| {
            // An open box has no deadline of its own: it counts when the deployment ends.
            Item { until: None, ..item("attestation", sentence, command) }
        }));
        if let Some(hold) = current.hold.as_ref().filter(|h| h.cause == HoldCause::Condition) {
            let command = format!("tidegate resume {}", sheet.deployment);
            let asked = item("condition", hold.why.clone(), command);
            items.push(Item { since: hold.since, until: hold.until, ..asked });
        }
    }
    items.extend(past::open_review(state).map(|open| Item {
        kind: "review".to_owned(),
        deployment: open.deployment.to_string(),
        service: open.plan.scope.service.to_string(),
        environment: open.plan.scope.environment.to_string(),
        version: open.plan.release.version.clone(),
        sentence: format!(
            "{} refused it for {}: {}; another plan has to answer that",
            open.by,
            open.category.word(),
            open.reason
        ),
        since: open.at,
        until: None,
        command: "tidegate deploy".to_owned(),
    }));
    items
}
