//! Carries effects out: at most one driver call for each thing at a time, each with a deadline.
//! What is outstanding is dispatched again until the world says that it is done; a wish that
//! changed pre-empts the call for the old one. Must never retry inside a call.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use tidegate_core::backup::BackupRecord;
use tidegate_core::effect::{BackupJob, Effect, Job, Question, StepJob};
use tidegate_core::ids::{DeploymentId, PartName, Scope, SlotName};
use tidegate_core::input::{Input, Made, Observation, StepReport, TaskReport};
use tidegate_core::message::{Delivery, Receiver};
use tidegate_core::outstanding;
use tidegate_core::state::{Given, State, TaskId};
use tidegate_core::verdict::Outcome;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::backups;
use crate::gates::look_up;
use crate::ports::{CheckReport, Failure, FailureKind, Place, Ports};
use crate::service::Message;

/// A call that brings a slot toward its tenant returns when that is under way.
const SLOT_TIMEOUT: Duration = Duration::from_secs(30);
/// The data plane takes a table in milliseconds; past this it is not there.
const SPLIT_TIMEOUT: Duration = Duration::from_secs(5);
/// The directory answers within this, or nobody counts.
const RIGHTS_TIMEOUT: Duration = Duration::from_secs(10);
/// A message is taken within this, or it is sent again.
const TELL_TIMEOUT: Duration = Duration::from_secs(30);
/// A job gets this much longer than its own limit, so that its own report wins.
const JOB_GRACE: Duration = Duration::from_secs(5);
/// A custom step gets this much longer, in which its copy is made and what it left is kept.
const STEP_GRACE: Duration = Duration::from_secs(60);
/// Removing a large backup from a slow disk ends within this, or is tried again.
const DROP_TIMEOUT: Duration = Duration::from_secs(300);
/// The wait before an effect whose call ended, but which is still outstanding, is called again.
const REPEAT_FIRST: Duration = Duration::from_millis(250);
/// The longest of those waits.
const REPEAT_MOST: Duration = Duration::from_secs(5);

/// What a call is about: one at a time for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Slot(PartName, SlotName),
    Split(PartName),
    Task(DeploymentId, TaskId, u32),
    Rights(DeploymentId),
    Backup(String),
    Receiver(Receiver),
}

#[derive(Debug)]
struct Flight {
    effect: Effect,
    abort: AbortHandle,
    /// `Some` once the call ended: not called again before then.
    rests_until: Option<Instant>,
    rest: Duration,
}

/// The calls of one service that are out.
#[derive(Debug)]
pub(crate) struct Dispatch {
    scope: Scope,
    ports: Ports,
    epoch: u64,
    mailbox: mpsc::Sender<Message>,
    flights: BTreeMap<Subject, Flight>,
    calls: JoinSet<Subject>,
}

impl Dispatch {
    pub(crate) fn new(
        scope: Scope,
        ports: Ports,
        epoch: u64,
        mailbox: mpsc::Sender<Message>,
    ) -> Self {
        let (flights, calls) = (BTreeMap::new(), JoinSet::new());
        Self { scope, ports, epoch, mailbox, flights, calls }
    }

    /// Calls for everything outstanding that is not being called for already.
    pub(crate) fn bring_about(&mut self, state: &State) {
        let wanted: BTreeMap<Subject, Effect> =
            outstanding(state).into_iter().map(|effect| (subject(&effect), effect)).collect();
        self.flights.retain(|subject, flight| {
            let keep = wanted.get(subject) == Some(&flight.effect);
            if !keep {
                flight.abort.abort();
            }
            keep
        });
        let now = Instant::now();
        for (subject, effect) in wanted {
            let rest = match self.flights.get(&subject) {
                None => REPEAT_FIRST,
                Some(flight) if flight.rests_until.is_some_and(|until| now >= until) => {
                    (flight.rest * 2).min(REPEAT_MOST)
                }
                Some(_) => continue,
            };
            let abort = self.call(subject.clone(), effect.clone());
            self.flights.insert(subject, Flight { effect, abort, rests_until: None, rest });
        }
    }

    /// Returns when a call ended, or when one that is still outstanding is due again.
    pub(crate) async fn finished(&mut self) {
        let due = self.flights.values().filter_map(|flight| flight.rests_until).min();
        let ended = async {
            match self.calls.join_next().await {
                Some(ended) => ended,
                None => std::future::pending().await,
            }
        };
        let rested = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = ended => {
                if let Ok(subject) = ended
                    && let Some(flight) = self.flights.get_mut(&subject)
                {
                    flight.rests_until = Some(Instant::now() + flight.rest);
                }
            }
            () = rested => {}
        }
    }

    fn call(&mut self, subject: Subject, effect: Effect) -> AbortHandle {
        let call = Call { scope: self.scope.clone(), ports: self.ports.clone(), epoch: self.epoch };
        let mailbox = self.mailbox.clone();
        self.calls.spawn(async move {
            for message in call.carry_out(effect).await {
                // The loop is gone: what was done is found by looking.
                drop(mailbox.send(message).await);
            }
            subject
        })
    }
}

fn subject(effect: &Effect) -> Subject {
    match effect {
        Effect::EnsureSlot { part, slot, .. } => Subject::Slot(part.clone(), slot.clone()),
        Effect::EnsureSplit { table } => Subject::Split(table.part.clone()),
        Effect::Run { deployment, task, attempt, .. } => {
            Subject::Task(deployment.clone(), task.clone(), *attempt)
        }
        Effect::AskRights { deployment, .. } => Subject::Rights(deployment.clone()),
        Effect::DropBackup { backup } => Subject::Backup(backup.id.clone()),
        Effect::Tell { letter, .. } => Subject::Receiver(letter.message.to.clone()),
    }
}

struct Call {
    scope: Scope,
    ports: Ports,
    epoch: u64,
}

impl Call {
    async fn carry_out(&self, effect: Effect) -> Vec<Message> {
        match effect {
            Effect::EnsureSlot { part, slot, tenant } => {
                let place = Place { scope: self.scope.clone(), part, slot };
                let call = self.ports.runtime.ensure(&place, tenant.as_ref(), self.epoch);
                // failpoint: effect.slot.before
                let done = within(SLOT_TIMEOUT, call).await;
                // failpoint: effect.slot.after
                self.slot_seen(place, done.err()).await
            }
            Effect::EnsureSplit { table } => {
                let call = self.ports.traffic.ensure(&self.scope, &table, self.epoch);
                // failpoint: effect.split.before
                let done = within(SPLIT_TIMEOUT, call).await;
                // failpoint: effect.split.after
                let refused = done.err().map(|failure| {
                    tracing::warn!(scope = %self.scope, part = %table.part, %failure, "the data plane did not take a table");
                    Observation::SplitRefused {
                        part: table.part.clone(),
                        generation: table.generation,
                        why: format!("{}: {}", failure.code, failure.what),
                    }
                });
                let mut seen = self.splits_seen().await;
                let told = |refusal| Message::told(Input::Observation(refusal));
                seen.extend(refused.map(told));
                seen
            }
            Effect::AskRights { deployment, newest, accounts } => {
                let call = self.ports.people.facts(&self.scope, &accounts);
                match within(RIGHTS_TIMEOUT, call).await {
                    Ok(facts) => {
                        let said = Observation::Rights { deployment, newest, facts };
                        vec![Message::told(Input::Observation(said))]
                    }
                    Err(failure) => {
                        tracing::warn!(scope = %self.scope, %failure, "the directory does not say who may approve");
                        Vec::new()
                    }
                }
            }
            Effect::DropBackup { backup } => self.drop_backup(&backup).await,
            Effect::Tell { letter, follows } => {
                let (number, attempt) = (letter.number, letter.attempt);
                let call = self.ports.messages.send(&self.scope, &letter, follows.as_deref());
                let delivery = tokio::time::timeout(TELL_TIMEOUT, call).await;
                let delivery = delivery.unwrap_or_else(|_elapsed| Delivery::Refused {
                    why: format!("TG7162: no answer within {TELL_TIMEOUT:?}"),
                    retryable: true,
                    after: None,
                });
                let told = Observation::Message { number, attempt, delivery };
                vec![Message::told(Input::Observation(told))]
            }
            Effect::Run { deployment, task, attempt, timeout, job } => {
                let observation = match job {
                    Job::Backup(job) => self.backup(deployment, attempt, &job, timeout).await,
                    Job::Step(job) => self.step(deployment, attempt, &job, timeout).await,
                    Job::Gates(question) => {
                        self.gates(deployment, attempt, &question, timeout).await
                    }
                    job => {
                        let report = self.run(&deployment, job, timeout).await;
                        Observation::Task { deployment, task, attempt, report }
                    }
                };
                vec![Message::told(Input::Observation(observation))]
            }
        }
    }

    async fn drop_backup(&self, backup: &BackupRecord) -> Vec<Message> {
        match within(DROP_TIMEOUT, self.ports.backups.remove(backup)).await {
            Ok(()) => {
                let gone = Observation::BackupDropped { id: backup.id.clone() };
                vec![Message::told(Input::Observation(gone))]
            }
            Err(failure) => {
                tracing::warn!(backup = %backup.id, %failure, "a backup past its time stays");
                Vec::new()
            }
        }
    }

    async fn slot_seen(&self, place: Place, failure: Option<Failure>) -> Vec<Message> {
        if let Some(failure) = &failure {
            tracing::warn!(%place, %failure, "the slot could not be brought about");
        }
        let asked_at = Instant::now();
        let Ok(mut observed) = within(SPLIT_TIMEOUT, self.ports.runtime.observe(&place)).await
        else {
            return Vec::new();
        };
        // Why nothing runs is worth more than that nothing runs.
        if let (Some(failure), None, 0) = (failure, &observed.problem, observed.ready) {
            observed.problem = Some(format!("{}: {}", failure.code, failure.what));
        }
        let observation = Observation::Slot { part: place.part, slot: place.slot, observed };
        vec![Message::seen(observation, asked_at)]
    }

    async fn splits_seen(&self) -> Vec<Message> {
        let asked_at = Instant::now();
        match within(SPLIT_TIMEOUT, self.ports.traffic.read(&self.scope)).await {
            Ok(read) => {
                let observations =
                    read.into_iter().map(|(part, read)| Observation::Split { part, read });
                observations.map(|observation| Message::seen(observation, asked_at)).collect()
            }
            Err(failure) => {
                tracing::warn!(scope = %self.scope, %failure, "the data plane could not be read");
                Vec::new()
            }
        }
    }

    async fn gates(
        &self,
        deployment: DeploymentId,
        attempt: u32,
        question: &Question,
        timeout: SignedDuration,
    ) -> Observation {
        let limit = Duration::try_from(timeout).unwrap_or(Duration::ZERO) + JOB_GRACE;
        match tokio::time::timeout(limit, look_up(&self.ports, question)).await {
            Ok(found) => Observation::Gates { deployment, attempt, found },
            Err(_elapsed) => {
                let report = silence(timeout);
                Observation::Task { deployment, task: TaskId::Gates, attempt, report }
            }
        }
    }

    async fn backup(
        &self,
        deployment: DeploymentId,
        attempt: u32,
        job: &BackupJob,
        timeout: SignedDuration,
    ) -> Observation {
        let limit = Duration::try_from(timeout).unwrap_or(Duration::ZERO) + STEP_GRACE;
        let call = backups::before(&self.ports, job);
        let report = tokio::time::timeout(limit, call).await.unwrap_or_else(|_elapsed| {
            backups::none(Outcome::NoData, format!("no answer within {timeout:#}"), true)
        });
        Observation::Backup { deployment, attempt, report: Box::new(report) }
    }

    async fn step(
        &self,
        deployment: DeploymentId,
        attempt: u32,
        job: &StepJob,
        timeout: SignedDuration,
    ) -> Observation {
        let limit = Duration::try_from(timeout).unwrap_or(Duration::ZERO) + STEP_GRACE;
        let call = self.ports.steps.attempt(&deployment, attempt, job);
        // failpoint: effect.step.before
        let answered = tokio::time::timeout(limit, call).await;
        // failpoint: effect.step.after
        let report = answered.unwrap_or_else(|_elapsed| StepReport {
            outcome: Outcome::NoData,
            summary: format!("no answer within {timeout:#}"),
            lost: true,
            retryable: false,
            given: Given::default(),
        });
        Observation::Step { deployment, step: job.step.name.clone(), attempt, report }
    }

    async fn run(
        &self,
        deployment: &DeploymentId,
        job: Job,
        timeout: SignedDuration,
    ) -> TaskReport {
        let limit = Duration::try_from(timeout).unwrap_or(Duration::ZERO) + JOB_GRACE;
        // failpoint: effect.task.before
        let done = tokio::time::timeout(limit, self.work(deployment, job, timeout)).await;
        // failpoint: effect.task.after
        match done {
            Ok(report) => report,
            Err(_elapsed) => silence(timeout),
        }
    }

    async fn work(
        &self,
        deployment: &DeploymentId,
        job: Job,
        timeout: SignedDuration,
    ) -> TaskReport {
        match job {
            Job::Prepare(plan) => match self.ports.releases.prepare(deployment, &plan).await {
                Ok(artifact) => {
                    let bound = self.ports.bind.bind(&plan, &artifact);
                    let short = artifact.as_str().get(..12).unwrap_or_default().to_owned();
                    TaskReport {
                        outcome: Outcome::Pass,
                        summary: format!("artifact {short}"),
                        retryable: false,
                        made: Some(Made { artifact, binding: bound.binding, parts: bound.parts }),
                    }
                }
                Err(failure) => report_failure(&failure),
            },
            Job::Rehearse(table) => {
                let place = table.route.listen.clone();
                match self.ports.traffic.rehearse(&self.scope, &table, self.epoch).await {
                    Ok(()) => passed(format!("{place} is free")),
                    Err(failure) => report_failure(&failure),
                }
            }
            Job::Probe(targets) => report(self.ports.checks.probe(&targets, timeout).await),
            Job::Smoke { part, artifact, endpoint } => {
                let checks = &self.ports.checks;
                report(checks.smoke(deployment, &part, &artifact, &endpoint, timeout).await)
            }
            // What gates, custom steps and backups say is an observation of its own.
            Job::Gates(_) | Job::Step(_) | Job::Backup(_) => {
                unsupported("what is answered elsewhere")
            }
        }
    }
}

/// No answer is no evidence, and another attempt may bring one.
fn silence(timeout: SignedDuration) -> TaskReport {
    TaskReport {
        outcome: Outcome::NoData,
        summary: format!("no answer within {timeout:#}"),
        retryable: true,
        made: None,
    }
}

/// A demand that nobody here can meet is no evidence, never a pass.
fn unsupported(what: &str) -> TaskReport {
    TaskReport {
        outcome: Outcome::NoData,
        summary: format!("the plan demands {what}, and no driver for it is configured"),
        retryable: false,
        made: None,
    }
}

fn passed(summary: String) -> TaskReport {
    TaskReport { outcome: Outcome::Pass, summary, retryable: false, made: None }
}

fn report(check: CheckReport) -> TaskReport {
    let CheckReport { outcome, summary, retryable } = check;
    TaskReport { outcome, summary, retryable, made: None }
}

fn report_failure(failure: &Failure) -> TaskReport {
    TaskReport {
        outcome: Outcome::Fail,
        summary: format!("{}: {}", failure.code, failure.what),
        retryable: failure.kind == FailureKind::Retryable,
        made: None,
    }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Failure::retryable("TG6104", format!("no answer within {limit:?}"))),
    }
}
