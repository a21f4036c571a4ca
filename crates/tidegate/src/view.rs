//! What the API answers with: the same structs are written by the server and read by the
//! command line. Fields are only ever added. Must never hold a value that is not in the journal,
//! in the engine's live numbers or in the world at the time of asking.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) mod approval;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod calendar;
pub(crate) mod checklist;
pub(crate) mod duty;
pub(crate) mod evidence;
pub(crate) mod history;
pub(crate) mod incident;
pub(crate) mod judged;
pub(crate) mod message;
pub(crate) mod people;
pub(crate) mod plan;
pub(crate) mod proxy;
pub(crate) mod report;
pub(crate) mod request;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod service;
pub(crate) mod trigger;

/// One deployment, whole.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Deployment {
    /// Its id, `d-7k3x`.
    pub(crate) id: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The version it brings.
    pub(crate) version: String,
    /// The version that was live before; absent for a first deployment.
    pub(crate) from: Option<String>,
    /// `release` goes forward, `return` brings an earlier release back.
    pub(crate) kind: String,
    /// One word: `queued`, `running`, `held`, `waiting_for_people`, `rolling_back`,
    /// `needs_person`, `faulted`, or how it ended.
    pub(crate) state: String,
    /// What is happening and what ends it, in one sentence.
    pub(crate) sentence: String,
    /// The phase, as the rail names it.
    pub(crate) phase: String,
    /// Since when.
    pub(crate) phase_since: Timestamp,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// Who began it.
    pub(crate) started_by: String,
    /// When it ended.
    pub(crate) ended_at: Option<Timestamp>,
    /// Why it ended so.
    pub(crate) why: Option<String>,
    /// What a command that waited for it exits with; absent while it is in flight.
    pub(crate) exit_code: Option<u8>,
    /// The repository.
    pub(crate) repository: String,
    /// The commit that the tag named.
    pub(crate) commit: String,
    /// Digest of the artifact, once built.
    pub(crate) artifact: Option<String>,
    /// D, the digest of all that runs, once known.
    pub(crate) binding: Option<String>,
    /// Who approved it.
    pub(crate) approvals: Vec<String>,
    /// The traffic steps.
    pub(crate) steps: Steps,
    /// The rail, in order, with how each phase ended.
    pub(crate) phases: Vec<Phase>,
    /// The parts with their slots and splits.
    pub(crate) parts: Vec<Part>,
    /// How the gates stood when they were weighed; empty before, and without gates.
    #[serde(default)]
    pub(crate) gates: Vec<evidence::Gate>,
    /// What layers beside the file demand of it.
    #[serde(default)]
    pub(crate) layers: Vec<plan::LayerAdded>,
    /// The mandatory boxes that are not closed, in one line; absent when all are, or it is over.
    #[serde(default)]
    pub(crate) boxes: Option<String>,
    /// Its custom steps, in the order of the plan.
    #[serde(default)]
    pub(crate) custom: Vec<CustomStep>,
    /// The judge's newest word.
    pub(crate) verdict: Option<Verdict>,
    /// Set while nothing may go forward.
    pub(crate) hold: Option<Hold>,
    /// What it waits for.
    pub(crate) waiting_on: Option<Waiting>,
    /// Set once the way back began.
    pub(crate) going_back: Option<GoingBack>,
    /// How quickly the previous revision could take over.
    pub(crate) rollback: Readiness,
    /// When it can be over at the earliest, if every rule lets it go on; absent while it cannot.
    #[serde(default)]
    pub(crate) ends_at: Option<Timestamp>,
    /// Whether its window is open, and until when; absent without a window and once it ended.
    #[serde(default)]
    pub(crate) window: Option<calendar::Door>,
    /// Requests that reached the candidate since traffic began, as far as they are counted.
    pub(crate) exposed: Option<u64>,
    /// What is being asked of the world at this moment.
    #[serde(default)]
    pub(crate) calls: Vec<String>,
    /// Sequence of its newest event.
    pub(crate) seq: u64,
    /// The server's clock.
    pub(crate) now: Timestamp,
}

impl Deployment {
    /// Whether it is over.
    pub(crate) fn ended(&self) -> bool {
        self.ended_at.is_some()
    }
}

/// The traffic steps.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Steps {
    /// The step that runs, from 1; absent outside of them.
    pub(crate) current: Option<u32>,
    /// The shares in basis points, in order.
    pub(crate) weights_bp: Vec<u16>,
    /// Since when the data plane carries the step's share.
    pub(crate) converged_at: Option<Timestamp>,
    /// How long each step lasts at least, milliseconds.
    pub(crate) dwell_ms: i64,
    /// How long the rules stay armed at 100 %, milliseconds.
    #[serde(default)]
    pub(crate) watch_ms: i64,
}

/// A custom step.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct CustomStep {
    /// Its name.
    pub(crate) name: String,
    /// When it runs: `plan`, `before-deploy`, `after-deploy`, `before-traffic`, `bake`, `finish`
    /// or `rollback`.
    pub(crate) at: String,
    /// Steps that come before it.
    pub(crate) needs: Vec<String>,
    /// `pending`, `running`, `lost`, `skipped`, `pass`, `fail` or `no-data`.
    pub(crate) state: String,
    /// What it said last.
    pub(crate) summary: String,
    /// The attempt that runs, or ran last; 0 before the first.
    pub(crate) attempt: u32,
    /// When it began.
    pub(crate) since: Option<Timestamp>,
    /// When it ended.
    pub(crate) until: Option<Timestamp>,
    /// Values that it left, by name.
    pub(crate) outputs: BTreeMap<String, String>,
    /// Digests of the files that it left, by path.
    pub(crate) artifacts: BTreeMap<String, String>,
}

/// A phase of the rail.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Phase {
    /// Its name.
    pub(crate) name: String,
    /// `pending`, `running`, `passed`, `not_required`, `skipped` or `failed`.
    pub(crate) result: String,
    /// When it began.
    pub(crate) since: Option<Timestamp>,
    /// When it ended.
    pub(crate) until: Option<Timestamp>,
    /// What its checks said.
    pub(crate) notes: Vec<String>,
}

/// One part of the release.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Part {
    /// Its name.
    pub(crate) name: String,
    /// `web` or `worker`.
    pub(crate) kind: String,
    /// Where its requests come in, `http://127.0.0.1:8080/`.
    pub(crate) url: Option<String>,
    /// Its slots by name.
    pub(crate) slots: Vec<Slot>,
    /// How its requests are divided; absent for a worker.
    pub(crate) split: Option<Split>,
}

/// One slot.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Slot {
    /// Its name.
    pub(crate) name: String,
    /// `live`, `candidate` or `standby`.
    pub(crate) role: String,
    /// The version that it is meant to run.
    pub(crate) version: Option<String>,
    /// The revision label that it is meant to run.
    pub(crate) revision: Option<String>,
    /// The revision label that was seen in it.
    pub(crate) observed: Option<String>,
    /// Instances that accept work.
    pub(crate) ready: u32,
    /// Instances that it is meant to have.
    pub(crate) wanted: u32,
    /// `address:port` of each instance.
    pub(crate) endpoints: Vec<String>,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
    /// `hot`, `cold` or `empty`.
    pub(crate) readiness: String,
}

/// How the requests of a part are divided, by slot.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Split {
    /// Which wish it is; greater replaces smaller.
    pub(crate) generation: u64,
    /// What is wanted, percent.
    pub(crate) set: BTreeMap<String, f64>,
    /// What the data plane said it serves, percent; absent until it confirmed.
    pub(crate) read: Option<BTreeMap<String, f64>>,
    /// What the counts of requests say, percent; absent while nothing is counted.
    pub(crate) observed: Option<BTreeMap<String, f64>>,
    /// Since when it is wanted.
    pub(crate) since: Timestamp,
    /// Where the data plane goes back to without asking, percent.
    pub(crate) fallback: Option<BTreeMap<String, f64>>,
}

/// The judge's word.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Verdict {
    /// `advance`, `hold`, `brake` or `rollback`.
    pub(crate) call: String,
    /// Why it holds.
    pub(crate) reason: Option<String>,
    /// One sentence with the numbers that decided.
    pub(crate) sentence: String,
    /// One line a metric.
    pub(crate) readings: Vec<Reading>,
    /// The sequential evidence; absent where the plan judges by its rules alone.
    #[serde(default)]
    pub(crate) proof: Option<Proof>,
    /// What is to be expected, and what it has cost.
    #[serde(default)]
    pub(crate) outlook: Option<Outlook>,
}

/// The sequential evidence behind a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Proof {
    /// Share of rollouts of an equal release that may be rolled back, 0 to 1.
    pub(crate) alpha: f64,
    /// The evidence that the new version is worse; at 1 / alpha it is rolled back.
    pub(crate) against: f64,
    /// 0 to 1: how far towards a rollback, on a logarithmic scale.
    pub(crate) strength: f64,
    /// `1 in 4,200`: how often an equal release would look this bad.
    pub(crate) false_alarm_odds: String,
    /// The weaker of the proofs that the new version is safe, in this step.
    pub(crate) safe: f64,
    /// How many times as often the new version fails.
    pub(crate) times_as_often: Option<f64>,
    /// The low end of that, with 99 % confidence.
    pub(crate) times_low: Option<f64>,
    /// The high end.
    pub(crate) times_high: Option<f64>,
}

/// What is to be expected of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Outlook {
    /// Until it can say advance as things go, milliseconds.
    pub(crate) advance_in_ms: Option<u64>,
    /// Until it would say rollback if the new version is as bad as it looks, milliseconds.
    pub(crate) rollback_in_ms: Option<u64>,
    /// When the rules alone would roll back if their breach goes on, milliseconds; 0 is now.
    pub(crate) rules_in_ms: Option<u64>,
    /// The rule that would be the first.
    pub(crate) rule: Option<String>,
    /// Failed user requests of the new version since traffic began.
    pub(crate) failed: u64,
    /// Those that live would not have failed.
    pub(crate) charged: f64,
    /// The most of them that the plan allows.
    pub(crate) budget: Option<u64>,
}

/// One metric's line.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Reading {
    /// `errors`, `p95`, ...
    pub(crate) metric: String,
    /// `%` or `ms`.
    pub(crate) unit: String,
    /// The live side's value.
    pub(crate) live: Option<f64>,
    /// The candidate's value.
    pub(crate) candidate: Option<f64>,
    /// `advance`, `hold`, `rollback` or `no_data`.
    pub(crate) zone: String,
    /// Requests or probes behind the candidate's value in this step.
    pub(crate) sample: u64,
    /// How many the advance rule needs.
    pub(crate) needed: u64,
    /// The advance rule as written, `< 0.1`.
    pub(crate) advance: Option<String>,
    /// The rollback rule as written, `> 1 for 5m`.
    pub(crate) rollback: Option<String>,
    /// The limit of the advance rule, in the unit.
    #[serde(default)]
    pub(crate) advance_limit: Option<f64>,
    /// The limit of the rollback rule, in the unit.
    #[serde(default)]
    pub(crate) rollback_limit: Option<f64>,
    /// How far the evidence of this metric is from rolling back, 0 to 1.
    #[serde(default)]
    pub(crate) strength: Option<f64>,
    /// When its zone can change as things go, milliseconds.
    #[serde(default)]
    pub(crate) due_in_ms: Option<u64>,
}

/// Nothing goes forward.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Hold {
    /// `person`, `verdict` or `unconfirmed`.
    pub(crate) cause: String,
    /// One line.
    pub(crate) why: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Until when; absent once a person was called.
    pub(crate) until: Option<Timestamp>,
    /// `rollback` or `page`.
    pub(crate) then: String,
}

/// What a deployment waits for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Waiting {
    /// What for.
    pub(crate) on: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Who or what can end it.
    pub(crate) who: String,
    /// When it ends by itself.
    pub(crate) until: Option<Timestamp>,
    /// What happens then.
    pub(crate) then: String,
    /// The command that would end it.
    pub(crate) command: Option<String>,
}

/// The way back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct GoingBack {
    /// Why, as one word.
    pub(crate) reason: String,
    /// One line.
    pub(crate) why: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Who asked, or Tidegate.
    pub(crate) by: String,
}

/// How quickly the previous revision could take over.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Readiness {
    /// `hot` runs with every instance, `cold` would be started first, `none` does not exist.
    pub(crate) word: String,
    /// One sentence.
    pub(crate) sentence: String,
    /// What a rollback would ask of the world first, in order; empty when there is none.
    #[serde(default)]
    pub(crate) calls: Vec<String>,
    /// The newest rollbacks of this service, measured; newest first.
    #[serde(default)]
    pub(crate) measured: Vec<Measured>,
}

/// A way back that was gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MeasuredRollback)]
pub(crate) struct Measured {
    /// The deployment that went back.
    pub(crate) deployment: String,
    /// When it was decided.
    pub(crate) at: Timestamp,
    /// From the decision until the data plane confirmed that no new request reaches the new
    /// version, milliseconds.
    pub(crate) safe_ms: i64,
    /// From the decision until everything was as before, milliseconds.
    pub(crate) whole_ms: i64,
}

/// One line of the list of deployments.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Row {
    /// Its id.
    pub(crate) id: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The version it brings.
    pub(crate) version: String,
    /// One word, as in [`Deployment::state`].
    pub(crate) state: String,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// Who began it.
    pub(crate) started_by: String,
    /// When it ended.
    pub(crate) ended_at: Option<Timestamp>,
    /// One sentence.
    pub(crate) sentence: String,
}

/// The list of deployments, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Rows {
    /// The lines.
    pub(crate) deployments: Vec<Row>,
    /// `before` of the page behind this one; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// One event as it travels. The event itself is as it stands in the journal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Line {
    /// Version of this line's form.
    pub(crate) schema: u32,
    /// Position in its stream.
    pub(crate) seq: u64,
    /// When it was decided.
    pub(crate) at: Timestamp,
    /// Who caused it.
    pub(crate) actor: String,
    /// The kind, `phase_entered`.
    pub(crate) kind: String,
    /// What happened in words, with the values.
    pub(crate) text: String,
    /// The event.
    #[schema(value_type = Object)]
    pub(crate) event: serde_json::Value,
}

/// Version of [`Line`].
pub(crate) const LINE_SCHEMA: u32 = 1;

/// The events of a deployment, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Lines {
    /// The events.
    pub(crate) events: Vec<Line>,
}
