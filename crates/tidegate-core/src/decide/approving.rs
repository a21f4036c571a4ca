//! What people say about a plan: approve, take back, vouch, refuse, confirm.
//! Must never take a word for another D than the one that was seen, nor from whoever may not say it.

use jiff::Timestamp;

use super::Draft;
use super::command::{going_forward, wrong_phase};
use super::forward::deployment_ended;
use crate::approval::gate::{conditions, policies, standing};
use crate::approval::quorum::{self, Bar};
use crate::approval::{Approve, Category, Early, Facts, Quorum, Vote};
use crate::checklist;
use crate::digest::Digest;
use crate::event::{Ending, Event};
use crate::ids::{Actor, DeploymentId};
use crate::input::Approval;
use crate::rejection::Rejection;
use crate::state::{Deployment, Hold, HoldCause, Phase, State};
use crate::weight::Weight;

pub(super) fn approve(
    draft: &mut Draft,
    id: &DeploymentId,
    named: &Digest,
    approval: &Approval,
) -> Result<(), Rejection> {
    let current = going_forward(&draft.state, id)?;
    if current.phase != Phase::Approvals {
        return Err(wrong_phase(current, "nothing waits for an approval"));
    }
    if current.binding.as_ref() != Some(named) {
        let binding = current.binding.as_ref().map(ToString::to_string);
        return Err(Rejection::BindingChanged {
            deployment: id.clone(),
            named: named.to_string(),
            current: binding.unwrap_or_default(),
        });
    }
    refuse_bar(current, &draft.actor, &approval.facts)?;
    refuse_early(&draft.state, current, &draft.actor, &approval.facts, draft.now)?;
    check_condition(current, approval.condition)?;
    let lasts = policies(&draft.state, current).iter().map(|policy| policy.expires).min();
    let lasts = lasts.unwrap_or(crate::approval::EXPIRES);
    draft.emit(Event::ApprovalGiven {
        deployment: id.clone(),
        binding: named.clone(),
        facts: Some(approval.facts.clone()),
        credential: approval.credential.clone(),
        expires: draft.now.checked_add(lasts).ok(),
        condition: approval.condition,
        note: approval.note.clone(),
    });
    Ok(())
}

/// Whoever can never count is told at once, and why.
fn refuse_bar(current: &Deployment, actor: &Actor, facts: &Facts) -> Result<(), Rejection> {
    let trigger = &current.started_by;
    let known = current.rights.as_ref().and_then(|r| r.facts.get(&quorum::name(trigger)));
    let found = quorum::bar(actor, facts, current.plan.change.as_ref(), trigger, known);
    let found = found.or_else(|| {
        let same = |vote: &&Vote| vote.by != *actor && vote.facts.person == facts.person;
        current.votes.iter().find(same).map(|vote| Bar::SamePerson(quorum::name(&vote.by)))
    });
    match found {
        None => Ok(()),
        Some(bar) => Err(Rejection::NotYours {
            deployment: current.id.clone(),
            who: actor.to_string(),
            why: bar.words(),
        }),
    }
}

/// A signature that fits only rules whose round has not come.
fn refuse_early(
    state: &State,
    current: &Deployment,
    actor: &Actor,
    facts: &Facts,
    now: Timestamp,
) -> Result<(), Rejection> {
    let policies = policies(state, current);
    let standing = standing(state, current, now);
    let mut standings = standing.rules.iter();
    let mut before: Vec<String> = Vec::new();
    let mut useful = false;
    for policy in &policies {
        for rule in ordered(policy) {
            let Some(known) = standings.next() else { continue };
            let fits = quorum::fits(policy, rule, actor, facts);
            useful |= fits && (known.open || policy.early == Early::Queue);
            if fits && !known.open && policy.early == Early::Refuse {
                let open = standing.rules.iter().filter(|r| r.open && r.by.len() < need(r.need));
                before.extend(open.map(|rule| rule.name.clone()));
            }
        }
        useful |= policy.owners && owns_something(policy, current, actor, facts);
    }
    if useful || before.is_empty() {
        return Ok(());
    }
    before.dedup();
    let missing = format!("first come {}", before.join(", "));
    Err(Rejection::TooEarly { who: actor.to_string(), missing })
}

fn need(need: u32) -> usize {
    usize::try_from(need).unwrap_or(usize::MAX)
}

/// The rules of a policy in the order in which their standings are listed.
fn ordered(policy: &Approve) -> Vec<&Quorum> {
    let mut rules: Vec<_> = policy.rules.iter().filter(|rule| rule.applies).collect();
    rules.sort_by_key(|rule| rule.round);
    rules
}

fn owns_something(policy: &Approve, current: &Deployment, actor: &Actor, facts: &Facts) -> bool {
    let owned = current.plan.change.iter().flat_map(|change| &change.owned);
    let mut owners = owned.flat_map(|owned| &owned.owners);
    owners.any(|owner| quorum::owns(policy, owner, actor, facts))
}

/// A hold needs a step at or below its share, and one above it.
fn check_condition(current: &Deployment, condition: Option<Weight>) -> Result<(), Rejection> {
    let Some(share) = condition else { return Ok(()) };
    let steps = &current.plan.traffic.steps;
    let what = if current.is_first() {
        "the first deployment has no traffic steps to hold at"
    } else if share >= Weight::WHOLE {
        "it must hold below 100 %"
    } else if steps.first().is_none_or(|first| *first > share) {
        "no step is at or below that share"
    } else {
        return Ok(());
    };
    Err(Rejection::BadCondition { deployment: current.id.clone(), what: what.to_owned() })
}

pub(super) fn withdraw(draft: &mut Draft, id: &DeploymentId, why: &str) -> Result<(), Rejection> {
    let current = going_forward(&draft.state, id)?;
    if current.phase != Phase::Approvals {
        return Err(wrong_phase(current, "the approvals were used; hold or roll back instead"));
    }
    if !current.votes.iter().any(|vote| vote.by == draft.actor) {
        return Err(Rejection::NothingToWithdraw {
            deployment: id.clone(),
            who: draft.actor.to_string(),
        });
    }
    draft.emit(Event::ApprovalWithdrawn { deployment: id.clone(), why: why.to_owned() });
    Ok(())
}

pub(super) fn attest(
    draft: &mut Draft,
    id: &DeploymentId,
    named: &str,
    (note, expires): (Option<&String>, Option<Timestamp>),
    facts: &Facts,
) -> Result<(), Rejection> {
    let current = going_forward(&draft.state, id)?;
    let item = vouched(&draft.state, current, named)?;
    // The one who starts it may vouch for what was prepared; a machine may not.
    if !facts.human || !facts.entitled {
        let bar = if facts.human { Bar::NotEntitled } else { Bar::Robot };
        return Err(Rejection::NotYours {
            deployment: id.clone(),
            who: draft.actor.to_string(),
            why: bar.words(),
        });
    }
    let note = note.cloned();
    draft.emit(Event::Attested { deployment: id.clone(), item, note, expires });
    Ok(())
}

/// What somebody vouches for, as it is recorded: a box of a checklist that a person closes, as long
/// as the deployment goes forward, or an item of a policy until the approvals are over.
fn vouched(state: &State, current: &Deployment, named: &str) -> Result<String, Rejection> {
    let found = checklist::find(&current.plan, named).filter(|item| item.is_vouched_for());
    if let Some(item) = found {
        return Ok(item.words.clone());
    }
    let policies = policies(state, current);
    let mut known: Vec<&String> = policies.iter().flat_map(|policy| &policy.attest).collect();
    if known.iter().any(|known| *known == named) {
        return if current.phase > Phase::Approvals {
            Err(wrong_phase(current, "the approvals are over"))
        } else {
            Ok(named.to_owned())
        };
    }
    let boxes = current.plan.checklist.iter().filter(|item| item.is_vouched_for());
    let names: Vec<String> = boxes.map(checklist::Item::name).collect();
    known.extend(&names);
    let known: Vec<String> = known.iter().map(|item| format!("`{item}`")).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(Rejection::UnknownItem { item: named.to_owned(), known })
}

pub(super) fn reject(
    draft: &mut Draft,
    id: &DeploymentId,
    category: Category,
    reason: &str,
) -> Result<(), Rejection> {
    let current = going_forward(&draft.state, id)?;
    if current.phase >= Phase::Deploy {
        return Err(wrong_phase(current, "it is past the approvals; abort or roll back instead"));
    }
    let ended = deployment_ended(current, Ending::Rejected, reason);
    let reason = reason.to_owned();
    draft.emit(Event::ReviewOpened { deployment: id.clone(), category, reason });
    draft.emit(ended);
    Ok(())
}

/// Lets a hold go on that somebody made the condition of their approval: only they can.
pub(super) fn confirm(draft: &mut Draft, id: &DeploymentId, hold: &Hold) -> Result<(), Rejection> {
    debug_assert_eq!(hold.cause, HoldCause::Condition);
    let current = going_forward(&draft.state, id)?;
    let open: Vec<&Actor> = conditions(current).map(|vote| &vote.by).collect();
    if !open.contains(&&draft.actor) {
        let who: Vec<String> = open.iter().map(ToString::to_string).collect();
        return Err(Rejection::NotConfirmedByYou { deployment: id.clone(), who: who.join(", ") });
    }
    draft.emit(Event::ConditionConfirmed { deployment: id.clone() });
    Ok(())
}
