//! Questions to instances, with the words known from Compose: interval, timeout, retries,
//! start period. An instance is healthy when each of its probes succeeded twice in a row.
//!
//! Must never ask anything but the instance's own address, and never take silence for health.

mod exec;
pub(crate) mod http;
mod tcp;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::effect::ProbeTarget;
use tidegate_core::plan::{Ask, PartKind, Probe};
use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::{Asked, CheckReport};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Questions that are out at once: a full slot of instances must not look like an attack to them.
const AT_ONCE: usize = 32;
/// Successes in a row that make a probe pass: one may be luck of a starting application.
const SUCCESSES: u32 = 2;
/// Pause between askings while an instance starts and before the confirming one. The declared
/// interval is how often a *failing* instance is asked, which must not make a healthy one wait.
const QUICK: Duration = Duration::from_secs(1);

/// Who is asked, of which instance.
#[derive(Debug, Clone)]
struct Question {
    probe: Probe,
    /// `web in north, instance 2`
    who: String,
    /// The instance's own address; `None` for a worker.
    address: Option<SocketAddr>,
    artifact: PathBuf,
    port_env: String,
    env: BTreeMap<String, String>,
}

/// A probe's answer: nothing, or what was expected and what was found, with a code.
type Answer = Result<(), String>;

/// Asks the probes of whole slots.
#[derive(Debug)]
pub(crate) struct Prober {
    artifacts: PathBuf,
    client: Result<reqwest::Client, String>,
    tls: Result<Arc<rustls::ClientConfig>, String>,
}

/// How one probe of one instance ended.
#[derive(Debug)]
struct Verdict {
    outcome: Outcome,
    line: String,
}

impl Prober {
    /// A prober that runs commands inside these artifacts.
    pub(crate) fn new(artifacts: PathBuf) -> Self {
        Self { artifacts, client: http::client(), tls: tls::client() }
    }

    /// Asks until every probe of every instance passed or failed, or the time is up.
    pub(crate) async fn probe(
        self: &Arc<Self>,
        targets: &[ProbeTarget],
        timeout: Duration,
    ) -> CheckReport {
        let mut questions = Vec::new();
        for target in targets {
            match self.questions(target) {
                Ok(more) => questions.extend(more),
                Err(line) => return report(Outcome::Fail, line, true),
            }
        }
        if questions.is_empty() {
            let line = "no probe is declared, so nothing was asked [TG4106]".to_owned();
            return report(Outcome::NoData, line, false);
        }
        let count = questions.len();
        let deadline = Instant::now() + timeout;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for question in questions {
            let (prober, turns) = (Arc::clone(self), Arc::clone(&turns));
            running.spawn(async move { prober.until_decided(&question, deadline, &turns).await });
        }
        let mut worst: Option<Verdict> = None;
        while let Some(joined) = running.join_next().await {
            let verdict = joined.unwrap_or_else(|error| Verdict {
                outcome: Outcome::NoData,
                line: format!("a probe could not be asked: {error} [TG4106]"),
            });
            let worse = worst.as_ref().is_none_or(|worst| {
                worst.outcome != verdict.outcome
                    && worst.outcome.worst(verdict.outcome) == verdict.outcome
            });
            let failed = verdict.outcome == Outcome::Fail;
            if worse {
                worst = Some(verdict);
            }
            if failed {
                // One is enough; the rest is not waited for.
                break;
            }
        }
        match worst {
            Some(Verdict { outcome: Outcome::Pass, .. }) => {
                report(Outcome::Pass, format!("{count} probes answered twice in a row"), false)
            }
            Some(Verdict { outcome, line }) => report(outcome, line, outcome == Outcome::NoData),
            None => report(Outcome::NoData, "no probe was asked [TG4106]".to_owned(), true),
        }
    }

    /// Asks every probe of every instance once. Those that depend on somebody else are left out:
    /// their failure says nothing about the revision.
    pub(crate) async fn ask_once(self: &Arc<Self>, target: &ProbeTarget) -> Asked {
        let Ok(questions) = self.questions(target) else {
            // Instances that cannot be asked are as sick as can be.
            let probes = target.part.probes.iter().filter(|probe| !probe.theirs).count() as u64;
            let asked = probes.saturating_mul(u64::from(target.instances));
            return Asked { asked, failed: asked };
        };
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for question in questions.into_iter().filter(|question| !question.probe.theirs) {
            let (prober, turns) = (Arc::clone(self), Arc::clone(&turns));
            running.spawn(async move { prober.ask(&question, &turns).await.is_ok() });
        }
        let mut asked = Asked::default();
        while let Some(joined) = running.join_next().await {
            asked.asked += 1;
            asked.failed += u64::from(!matches!(joined, Ok(true)));
        }
        asked
    }

    fn questions(&self, target: &ProbeTarget) -> Result<Vec<Question>, String> {
        let part = &target.part;
        let place = format!("{} in {}", part.name, target.slot);
        let worker = matches!(part.kind, PartKind::Worker);
        if part.probes.is_empty() {
            return Ok(Vec::new());
        }
        let mut addresses: Vec<Option<SocketAddr>> = Vec::new();
        if worker {
            addresses.push(None);
        } else {
            for endpoint in &target.endpoints {
                let address = endpoint.parse();
                let address = address
                    .map_err(|_odd| format!("{place}: `{endpoint}` is no address [TG4105]"))?;
                addresses.push(Some(address));
            }
            let (have, want) = (addresses.len(), target.instances);
            if have < want as usize || have == 0 {
                return Err(format!("{place}: {have} of {want} instances listen [TG4105]"));
            }
        }
        let artifact = artifact_directory(&self.artifacts, &target.artifact)
            .ok_or_else(|| format!("{place}: `{}` names no artifact [TG4103]", target.artifact))?;
        let mut questions = Vec::new();
        for (number, address) in addresses.into_iter().enumerate() {
            let who = match address {
                Some(address) => format!("{place}, instance {} ({address})", number + 1),
                None => place.clone(),
            };
            questions.extend(part.probes.iter().map(|probe| Question {
                probe: probe.clone(),
                who: who.clone(),
                address,
                artifact: artifact.clone(),
                port_env: part.run.port_env.clone(),
                env: part.run.env.clone(),
            }));
        }
        Ok(questions)
    }

    async fn until_decided(
        &self,
        question: &Question,
        deadline: Instant,
        turns: &Semaphore,
    ) -> Verdict {
        let probe = &question.probe;
        let begun = Instant::now();
        let (mut successes, mut failures) = (0_u32, 0_u32);
        let mut last = "it was not asked".to_owned();
        loop {
            let asked = tokio::time::timeout_at(deadline, self.ask(question, turns)).await;
            let pause = match asked {
                Err(_elapsed) => return timed_out(question, &last),
                Ok(Ok(())) => {
                    (successes, failures) = (successes + 1, 0);
                    if successes >= SUCCESSES {
                        return Verdict { outcome: Outcome::Pass, line: String::new() };
                    }
                    QUICK
                }
                Ok(Err(found)) => {
                    successes = 0;
                    last = found;
                    let starting = begun.elapsed() < probe.start_period.unsigned_abs();
                    failures = if starting { 0 } else { failures + 1 };
                    if failures >= probe.retries.max(1) {
                        return failed(question, &last);
                    }
                    if starting { QUICK } else { probe.interval.unsigned_abs() }
                }
            };
            let next = Instant::now() + pause.min(probe.interval.unsigned_abs());
            if next >= deadline {
                return timed_out(question, &last);
            }
            tokio::time::sleep_until(next).await;
        }
    }

    async fn ask(&self, question: &Question, turns: &Semaphore) -> Answer {
        let Ok(_turn) = turns.acquire().await else {
            return Err("the prober ended [TG4106]".to_owned());
        };
        let limit = question.probe.timeout.unsigned_abs();
        let answer = match (&question.probe.ask, question.address) {
            (Ask::Exec { argv }, address) => {
                let mut env = question.env.clone();
                if let Some(address) = address {
                    env.insert(question.port_env.clone(), address.port().to_string());
                }
                return exec::ask(argv, &question.artifact, env, limit).await;
            }
            (_, None) => return Err("a worker has no address to ask [TG4105]".to_owned()),
            (Ask::Http { path, status, headers, body, within }, Some(address)) => {
                let expected = http::Expected {
                    status,
                    headers,
                    body: body.as_deref(),
                    within: within.map(|within| within.unsigned_abs()),
                };
                match &self.client {
                    Ok(client) => {
                        let asking = http::ask(client, address, path, expected);
                        tokio::time::timeout(limit, asking).await
                    }
                    Err(error) => return Err(error.clone()),
                }
            }
            (Ask::Tcp, Some(address)) => tokio::time::timeout(limit, tcp::ask(address)).await,
            (Ask::Tls { server_name, days_left }, Some(address)) => match &self.tls {
                Ok(config) => {
                    let asking = tls::ask(config, address, server_name, *days_left);
                    tokio::time::timeout(limit, asking).await
                }
                Err(error) => return Err(error.clone()),
            },
        };
        match answer {
            Ok(answer) => answer,
            Err(_elapsed) => Err(format!("no answer within {limit:?} [TG4106]")),
        }
    }
}

fn failed(question: &Question, found: &str) -> Verdict {
    let Question { probe, who, .. } = question;
    let line = format!("probe {} of {who}: {found}", probe.name);
    if probe.theirs {
        // It is somebody else's fault as far as anyone can tell: that is no evidence against us.
        let line = format!("{line} (it depends on somebody else)");
        return Verdict { outcome: Outcome::NoData, line };
    }
    Verdict { outcome: Outcome::Fail, line }
}

fn timed_out(question: &Question, last: &str) -> Verdict {
    let Question { probe, who, .. } = question;
    let line = format!("probe {} of {who} was not decided in time: {last}", probe.name);
    Verdict { outcome: Outcome::NoData, line }
}

fn report(outcome: Outcome, summary: String, retryable: bool) -> CheckReport {
    CheckReport { outcome, summary, retryable }
}

/// The artifact of a digest, refused when the text could lead elsewhere.
pub(crate) fn artifact_directory(artifacts: &Path, digest: &str) -> Option<PathBuf> {
    let plain = !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| artifacts.join(digest))
}
