//! States as the API shows them. Must never invent: what is not known is absent.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tidegate_core::checklist;
use tidegate_core::event::{DeploymentKind, Ending};
use tidegate_core::ids::{PartName, SlotName};
use tidegate_core::plan::{HoldEnd, Metric, Part as PlanPart, Rule, Traffic};
use tidegate_core::state::{
    Deployment, HoldCause, PartState, Phase, PhaseResult, SlotState, State,
};
use tidegate_core::verdict::{Call, HoldReason, Proof, Verdict, Zone, reason};
use tidegate_core::waiting::{Waiting, sentence, waiting_on};
use tidegate_core::weight::Split;
use tidegate_engine::Live;

use super::course::Course;
use super::{ahead, calls, plans};
use crate::exit::Exit;
use crate::view;

/// A deployment that has events. `state` is the service's state while it is in flight.
pub(crate) fn deployment(
    course: &Course,
    state: Option<&State>,
    live: Option<&Live>,
    now: Timestamp,
) -> Option<view::Deployment> {
    let folded = course.state.current.as_ref()?;
    let state =
        state.filter(|state| state.current.as_ref().is_some_and(|current| current.id == folded.id));
    // The service's own state is ahead of the fold by the events of the last milliseconds.
    let current = state.and_then(|state| state.current.as_ref()).unwrap_or(folded);
    let whole = state.unwrap_or(&course.state);
    let live = live.filter(|_| state.is_some());
    let end = course.end.as_ref();
    Some(view::Deployment {
        id: current.id.to_string(),
        service: current.plan.scope.service.to_string(),
        environment: current.plan.scope.environment.to_string(),
        version: current.plan.release.version.clone(),
        from: from_version(current),
        kind: kind_word(&current.kind).to_owned(),
        state: match end {
            Some((ending, ..)) => ending_word(*ending).to_owned(),
            None => state_word(whole, current).to_owned(),
        },
        sentence: match end {
            Some((_, why, _)) => reason(why).to_owned(),
            None => sentence(whole, now),
        },
        phase: current.phase.word().to_owned(),
        phase_since: current.phase_since,
        started_at: current.started_at,
        started_by: current.started_by.to_string(),
        ended_at: end.map(|(.., at)| *at),
        why: end.map(|(_, why, _)| why.clone()),
        exit_code: end.map(|(ending, ..)| Exit::of_ending(*ending).code()),
        repository: current.plan.release.repository.clone(),
        commit: current.plan.release.commit.clone(),
        artifact: current.artifact.as_ref().map(ToString::to_string),
        binding: current.binding.as_ref().map(ToString::to_string),
        approvals: current.votes.iter().map(|vote| vote.by.to_string()).collect(),
        steps: steps(current),
        phases: phases(course, current),
        parts: parts(whole, Some(current), live),
        gates: current.gates.iter().map(super::gates::shown).collect(),
        layers: current.plan.layers.iter().map(plans::shown_layer).collect(),
        boxes: if end.is_none() { checklist::missing_sentence(current, now) } else { None },
        custom: custom(current),
        verdict: word(course, current, live)
            .map(|verdict| verdict_view(verdict, &current.plan.traffic)),
        hold: current.hold.as_ref().filter(|_| end.is_none()).map(hold_view),
        waiting_on: if end.is_none() { waiting_on(whole).map(waiting_view) } else { None },
        going_back: current.going_back.as_ref().map(|back| view::GoingBack {
            reason: word_of(&back.reason),
            why: back.why.clone(),
            since: back.since,
            by: back.by.to_string(),
        }),
        rollback: readiness(whole, current, end.is_some(), now),
        ends_at: if end.is_none() { ahead::ends_at(current, now) } else { None },
        window: if end.is_none() { ahead::window(whole, current, now) } else { None },
        exposed: live.map(|live| live.exposed),
        calls: if end.is_none() { calls::now(whole) } else { Vec::new() },
        seq: course.seq.max(state.map_or(0, |state| state.seq)),
        now,
    })
}

/// The custom steps of a plan, with what became of each.
fn custom(current: &Deployment) -> Vec<view::CustomStep> {
    let steps = current.plan.custom.iter().map(|step| {
        let record = current.steps.get(&step.name);
        let given = record.map(|record| record.given.clone()).unwrap_or_default();
        let digests = given.artifacts.into_iter();
        view::CustomStep {
            name: step.name.to_string(),
            at: step.at.word().to_owned(),
            needs: step.needs.iter().map(ToString::to_string).collect(),
            state: record.map_or("pending", |record| record.stands.word()).to_owned(),
            summary: record.map(|record| record.summary.clone()).unwrap_or_default(),
            attempt: record.map_or(0, |record| record.attempt),
            since: record.map(|record| record.since),
            until: record.and_then(|record| record.until),
            outputs: given.outputs,
            artifacts: digests.map(|(path, digest)| (path, digest.to_string())).collect(),
        }
    });
    steps.collect()
}

/// The judge's newest word; once it goes back, the last one before that.
fn word<'a>(
    course: &'a Course,
    current: &'a Deployment,
    live: Option<&'a Live>,
) -> Option<&'a Verdict> {
    if current.going_back.is_some() {
        return course.verdict.as_ref();
    }
    live.map(|live| &live.verdict).or(current.verdict.as_ref())
}

/// The version of a revision label: `v2` of `v2-1f3a9c0d`.
pub(crate) fn version_of_label(label: &str) -> &str {
    label.rsplit_once('-').map_or(label, |(version, _)| version)
}

fn from_version(deployment: &Deployment) -> Option<String> {
    let target = deployment.targets.values().next()?;
    Some(version_of_label(&target.revision).to_owned())
}

pub(crate) fn kind_word(kind: &DeploymentKind) -> &'static str {
    match kind {
        DeploymentKind::Release { .. } => "release",
        DeploymentKind::Return { .. } => "return",
    }
}

/// The word for how a deployment ended.
pub(crate) fn ending_word(ending: Ending) -> &'static str {
    match ending {
        Ending::Succeeded => "succeeded",
        Ending::LiveUnverified => "live_unverified",
        Ending::RolledBack => "rolled_back",
        Ending::RolledBackUnverified => "rolled_back_unverified",
        Ending::Stopped => "stopped",
        Ending::Aborted => "aborted",
        Ending::Rejected => "rejected",
        Ending::Superseded => "superseded",
    }
}

/// The word for a deployment in flight.
pub(crate) fn state_word(state: &State, deployment: &Deployment) -> &'static str {
    if state.fault.is_some() {
        return "faulted";
    }
    match deployment.phase {
        Phase::NeedsPerson { .. } => "needs_person",
        Phase::Rollback { .. } => "rolling_back",
        _ if deployment.going_back.is_some() => "rolling_back",
        _ if deployment.hold.is_some() => "held",
        Phase::Approvals => "waiting_for_people",
        _ => "running",
    }
}

/// The serde name of an enum without content.
fn word_of<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn steps(deployment: &Deployment) -> view::Steps {
    let traffic = &deployment.plan.traffic;
    view::Steps {
        current: match deployment.phase {
            Phase::Traffic { step } => Some(step.saturating_add(1)),
            _ => None,
        },
        weights_bp: traffic.steps.iter().map(|weight| weight.bp()).collect(),
        converged_at: deployment.converged_at,
        dwell_ms: i64::try_from(traffic.dwell.as_millis()).unwrap_or(i64::MAX),
        watch_ms: i64::try_from(deployment.plan.bake.watch.as_millis()).unwrap_or(i64::MAX),
    }
}

fn phases(course: &Course, current: &Deployment) -> Vec<view::Phase> {
    let mut rail: Vec<&'static str> = Phase::RAIL.to_vec();
    if current.going_back.is_some() || current.phase.is_going_back() {
        rail.push("rollback");
    }
    let going_back_since = current.going_back.as_ref().map(|back| back.since);
    rail.into_iter()
        .map(|name| {
            let records: Vec<_> =
                current.passed.iter().filter(|record| rail_word(record.phase) == name).collect();
            let notes = course.notes.get(name).cloned().unwrap_or_default();
            let runs = rail_word(current.phase) == name;
            let since = records
                .first()
                .map(|record| record.since)
                .or_else(|| runs.then_some(current.phase_since));
            let (result, until) = match (records.last(), runs, &course.end) {
                (_, true, None) => ("running", None),
                (_, true, Some((ending, _, at))) => (last_result(*ending, name), Some(*at)),
                (Some(record), false, _) => (result_word(record.result), Some(record.until)),
                (None, false, _) => ("pending", None),
            };
            view::Phase {
                name: name.to_owned(),
                result: result.to_owned(),
                since: if name == "rollback" { going_back_since.or(since) } else { since },
                until,
                notes,
            }
        })
        .collect()
}

/// A phase as the rail names it: a person being needed is a part of the way back.
fn rail_word(phase: Phase) -> &'static str {
    if phase.is_going_back() { "rollback" } else { phase.word() }
}

fn last_result(ending: Ending, phase: &str) -> &'static str {
    let good = match ending {
        Ending::Succeeded | Ending::LiveUnverified => true,
        Ending::RolledBack => phase == "rollback",
        _ => false,
    };
    if good { "passed" } else { "failed" }
}

fn result_word(result: PhaseResult) -> &'static str {
    match result {
        PhaseResult::Passed => "passed",
        PhaseResult::NotRequired => "not_required",
        PhaseResult::Skipped => "skipped",
        PhaseResult::Failed => "failed",
    }
}

/// The parts of a service with their slots and splits.
pub(crate) fn parts(
    state: &State,
    current: Option<&Deployment>,
    live: Option<&Live>,
) -> Vec<view::Part> {
    state
        .parts
        .iter()
        .map(|(name, part)| {
            let definition = definition(state, current, name);
            let candidate = current.and_then(|current| current.candidates.get(name));
            let observed = live.and_then(|live| live.observed.get(name));
            view::Part {
                name: name.to_string(),
                kind: match definition {
                    Some(part) if part.route().is_none() => "worker".to_owned(),
                    _ => "web".to_owned(),
                },
                url: definition.and_then(url),
                slots: part
                    .slots
                    .iter()
                    .map(|(slot, seen)| slot_view(slot, seen, part, candidate))
                    .collect(),
                split: split_view(part, observed),
            }
        })
        .collect()
}

fn definition<'a>(
    state: &'a State,
    current: Option<&'a Deployment>,
    name: &PartName,
) -> Option<&'a PlanPart> {
    let in_flight = current.and_then(|current| current.plan.part(name));
    in_flight.or_else(|| state.history.last().and_then(|ended| ended.plan.part(name)))
}

/// Where the requests of a part come in, as a person opens it.
pub(crate) fn url(part: &PlanPart) -> Option<String> {
    let route = part.route()?;
    let listen = route.listen.replace("0.0.0.0", "127.0.0.1");
    let Some(_tls) = &route.tls else {
        return Some(format!("http://{listen}{}", route.path));
    };
    // A certificate is for a name: the address would be refused by every browser.
    let port = listen.rsplit_once(':').map_or("443", |(_, port)| port);
    let host = route.host.as_deref().unwrap_or("localhost");
    let port = if port == "443" { String::new() } else { format!(":{port}") };
    Some(format!("https://{host}{port}{}", route.path))
}

fn slot_view(
    name: &SlotName,
    slot: &SlotState,
    part: &PartState,
    candidate: Option<&SlotName>,
) -> view::Slot {
    let role = if part.live.as_ref() == Some(name) {
        "live"
    } else if candidate == Some(name) {
        "candidate"
    } else {
        "standby"
    };
    let revision = slot.want.as_ref().map(|tenant| tenant.revision.label());
    let readiness = match (&slot.want, slot.ready()) {
        (None, _) => "empty",
        (Some(tenant), _) if tenant.instances == 0 => "cold",
        (Some(_), true) => "hot",
        (Some(_), false) => "cold",
    };
    view::Slot {
        name: name.to_string(),
        role: role.to_owned(),
        version: slot.want.as_ref().map(|tenant| tenant.revision.version.clone()),
        revision,
        observed: slot.observed.revision.clone(),
        ready: slot.observed.ready,
        wanted: slot.want.as_ref().map_or(0, |tenant| tenant.instances),
        endpoints: slot.observed.endpoints.clone(),
        problem: slot.observed.problem.clone(),
        readiness: readiness.to_owned(),
    }
}

fn split_view(part: &PartState, observed: Option<&BTreeMap<SlotName, f64>>) -> Option<view::Split> {
    let table = part.table.as_ref()?;
    let set = table.split.as_ref().map(percents).unwrap_or_default();
    Some(view::Split {
        generation: table.generation,
        read: table.confirmed.then(|| set.clone()),
        set,
        // Shares of nothing are not shares of zero.
        observed: observed.filter(|shares| shares.values().any(|share| *share > 0.0)).map(
            |shares| shares.iter().map(|(slot, share)| (slot.to_string(), share * 100.0)).collect(),
        ),
        since: table.wanted_at,
        fallback: table.fallback.as_ref().map(percents),
    })
}

/// Shares in percent by slot.
pub(crate) fn percents(split: &Split) -> BTreeMap<String, f64> {
    split
        .shares()
        .map(|(slot, weight)| (slot.to_string(), f64::from(weight.bp()) / 100.0))
        .collect()
}

pub(crate) fn verdict_view(verdict: &Verdict, traffic: &Traffic) -> view::Verdict {
    let (call, reason) = call_words(verdict.call);
    view::Verdict {
        call: call.to_owned(),
        reason: reason.map(|reason| reason.words().to_owned()),
        sentence: verdict.sentence.clone(),
        readings: verdict
            .readings
            .iter()
            .map(|reading| view::Reading {
                metric: reading.metric.name().to_owned(),
                unit: reading.metric.unit().to_owned(),
                live: reading.live,
                candidate: reading.candidate,
                zone: zone_word(reading.zone).to_owned(),
                sample: reading.sample,
                needed: reading.needed,
                advance: rule_text(&traffic.advance_if, &reading.metric),
                rollback: rule_text(&traffic.rollback_if, &reading.metric),
                advance_limit: limit(&traffic.advance_if, &reading.metric),
                rollback_limit: limit(&traffic.rollback_if, &reading.metric),
                strength: reading.strength,
                due_in_ms: reading.due_in_ms,
            })
            .collect(),
        proof: verdict.proof.as_ref().map(proof_view),
        outlook: verdict.outlook.as_ref().map(|outlook| view::Outlook {
            advance_in_ms: outlook.advance_in_ms,
            rollback_in_ms: outlook.rollback_in_ms,
            rules_in_ms: outlook.rules_in_ms,
            rule: outlook.rule.clone(),
            failed: outlook.failed,
            charged: outlook.charged,
            budget: traffic.judging.budget,
        }),
    }
}

fn proof_view(proof: &Proof) -> view::Proof {
    let times = |at: fn((f64, f64, f64)) -> f64| proof.times_as_often.map(at);
    view::Proof {
        alpha: proof.alpha,
        against: proof.against,
        strength: proof.strength,
        false_alarm_odds: format!("1 in {}", crate::text::count(proof.odds)),
        safe: proof.safe,
        times_as_often: times(|(estimate, _, _)| estimate),
        times_low: times(|(_, low, _)| low),
        times_high: times(|(_, _, high)| high),
    }
}

fn limit(rules: &[Rule], metric: &Metric) -> Option<f64> {
    rules.iter().find(|rule| rule.metric == *metric).map(|rule| rule.limit)
}

/// A call in words, with the reason of a hold.
pub(crate) fn call_words(call: Call) -> (&'static str, Option<HoldReason>) {
    match call {
        Call::Advance => ("advance", None),
        Call::Hold(reason) => ("hold", Some(reason)),
        Call::Brake => ("brake", None),
        Call::Rollback => ("rollback", None),
    }
}

fn zone_word(zone: Zone) -> &'static str {
    match zone {
        Zone::Advance => "advance",
        Zone::Hold => "hold",
        Zone::Rollback => "rollback",
        Zone::NoData => "no_data",
    }
}

fn rule_text(rules: &[Rule], metric: &Metric) -> Option<String> {
    let rule = rules.iter().find(|rule| rule.metric == *metric)?;
    let bound = format!("{} {}", rule.comparison.sign(), rule.limit);
    Some(if rule.sustained.is_zero() {
        bound
    } else {
        format!("{bound} for {}", crate::text::span(rule.sustained))
    })
}

fn hold_view(hold: &tidegate_core::state::Hold) -> view::Hold {
    view::Hold {
        cause: match hold.cause {
            HoldCause::Person => "person",
            HoldCause::Verdict => "verdict",
            HoldCause::Unconfirmed => "unconfirmed",
            HoldCause::Condition => "condition",
            HoldCause::Window => "window",
            HoldCause::Lost => "lost",
        }
        .to_owned(),
        why: hold.why.clone(),
        since: hold.since,
        until: hold.until,
        then: match hold.then {
            HoldEnd::Rollback => "rollback",
            HoldEnd::Page => "page",
        }
        .to_owned(),
    }
}

fn waiting_view(waiting: Waiting) -> view::Waiting {
    view::Waiting {
        on: waiting.on,
        since: waiting.since,
        who: waiting.who,
        until: waiting.until,
        then: waiting.then,
        command: waiting.command,
    }
}

fn readiness(
    state: &State,
    deployment: &Deployment,
    ended: bool,
    now: Timestamp,
) -> view::Readiness {
    let measured = ahead::measured(state);
    let (word, sentence) = if ended {
        ("none", "not in flight; `tidegate rollback --list` shows what can come back".to_owned())
    } else if deployment.is_first() {
        ("none", "the first release has nothing to go back to".to_owned())
    } else if deployment.phase < Phase::Deploy {
        ("none", "nothing was changed yet".to_owned())
    } else {
        let hot = deployment.targets.iter().all(|(part, target)| {
            state
                .parts
                .get(part)
                .and_then(|part| part.slots.get(&target.slot))
                .is_some_and(SlotState::ready)
        });
        if hot {
            let last = measured
                .first()
                .map(|last| crate::text::span(SignedDuration::from_millis(last.safe_ms)));
            let takes = last.map_or_else(
                || "about a second".to_owned(),
                |last| format!("{last} when it was last measured"),
            );
            ("hot", format!("the previous revision runs: {takes}"))
        } else {
            ("cold", "the previous revision is started first".to_owned())
        }
    };
    let underway = ended || deployment.going_back.is_some();
    let calls = if underway { Vec::new() } else { calls::of_rollback(state, now) };
    view::Readiness { word: word.to_owned(), sentence, calls, measured }
}

/// A deployment that waits for its turn.
pub(crate) fn queued(state: &State, now: Timestamp) -> Option<view::Deployment> {
    let queued = state.queued.as_ref()?;
    let plan = &queued.plan;
    let before = state.current.as_ref();
    let ahead = before.map_or_else(|| "nothing".to_owned(), |current| current.id.to_string());
    Some(view::Deployment {
        id: queued.deployment.to_string(),
        service: plan.scope.service.to_string(),
        environment: plan.scope.environment.to_string(),
        version: plan.release.version.clone(),
        from: None,
        kind: "release".to_owned(),
        state: "queued".to_owned(),
        sentence: format!("waits for {ahead} to go back"),
        phase: "queued".to_owned(),
        phase_since: now,
        started_at: now,
        started_by: queued.actor.to_string(),
        ended_at: None,
        why: None,
        exit_code: None,
        repository: plan.release.repository.clone(),
        commit: plan.release.commit.clone(),
        artifact: None,
        binding: None,
        approvals: Vec::new(),
        steps: view::Steps {
            current: None,
            weights_bp: plan.traffic.steps.iter().map(|weight| weight.bp()).collect(),
            converged_at: None,
            dwell_ms: i64::try_from(plan.traffic.dwell.as_millis()).unwrap_or(i64::MAX),
            watch_ms: i64::try_from(plan.bake.watch.as_millis()).unwrap_or(i64::MAX),
        },
        phases: Vec::new(),
        parts: Vec::new(),
        gates: Vec::new(),
        layers: Vec::new(),
        boxes: None,
        custom: Vec::new(),
        verdict: None,
        hold: None,
        waiting_on: None,
        going_back: None,
        rollback: view::Readiness {
            word: "none".to_owned(),
            sentence: "nothing was changed yet".to_owned(),
            calls: Vec::new(),
            measured: Vec::new(),
        },
        ends_at: None,
        window: None,
        exposed: None,
        calls: Vec::new(),
        seq: state.seq,
        now,
    })
}
