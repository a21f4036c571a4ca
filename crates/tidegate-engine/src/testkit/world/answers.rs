//! Everything else that the unkind world answers: builds, probes, suites, the time, D.
//! Must never answer for a slot that another revision holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tidegate_core::approval::{Change, Facts};
use tidegate_core::backup::{BackupRecord, DrillRecord};
use tidegate_core::digest::{Component, Digest};
use tidegate_core::effect::{ProbeTarget, Question, StepJob};
use tidegate_core::fact::Format;
use tidegate_core::gate::Found;
use tidegate_core::ids::{Actor, DeploymentId, Scope};
use tidegate_core::input::StepReport;
use tidegate_core::message::{Delivery, Letter};
use tidegate_core::plan::{Backup, Part, Plan, Release, Source};
use tidegate_core::rights::Grant;
use tidegate_core::state::Given;
use tidegate_core::verdict::Outcome;
use tokio::io::AsyncRead;
use tokio::time::Instant;

use super::World;
use crate::ports::{
    Asked, Backups, Bind, Bound, Changed, CheckReport, Checks, Clock, Evidence, Failure, Messages,
    MetricSide, Metrics, People, RecordingName, Recordings, Releases, Report, Sample, Steps,
};

#[async_trait]
impl Releases for World {
    async fn resolve(&self, _repository: &str, version: &str) -> Result<String, Failure> {
        self.way_there().await?;
        Ok(Digest::of(version.as_bytes()).as_str().chars().take(40).collect())
    }

    async fn file(
        &self,
        _repository: &str,
        _commit: &str,
        _path: &str,
        _bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    async fn change(
        &self,
        _repository: &str,
        base: Option<&str>,
        _release: &Release,
    ) -> Result<Changed, Failure> {
        self.way_there().await?;
        let change = Change { base: base.map(str::to_owned), ..Change::default() };
        Ok(Changed { change, ..Changed::default() })
    }

    async fn prepare(&self, _deployment: &DeploymentId, plan: &Plan) -> Result<Digest, Failure> {
        self.way_to_effect().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let version = &plan.release.version;
        if self.lock().behaviour(version).build_fails {
            return Err(Failure::permanent("TG6104", "the build exited 1"));
        }
        self.way_back().await?;
        Ok(Digest::of(version.as_bytes()))
    }

    async fn logs(&self, _deployment: &DeploymentId, _bytes_max: u64) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }
}

/// No plan of the simulation has gates: here nothing is kept and nothing is known.
#[async_trait]
impl Evidence for World {
    async fn keep(
        &self,
        name: &str,
        _format: Option<Format>,
        _bytes: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<Report, Failure> {
        Err(Failure::permanent("TG6104", format!("{name}: nothing is kept here")))
    }

    async fn open(&self, digest: &Digest) -> Result<Box<dyn AsyncRead + Send + Unpin>, Failure> {
        Err(Failure::permanent("TG6104", format!("{digest} is not kept here")))
    }

    async fn verify(&self, digest: &Digest) -> Result<(), Failure> {
        Err(Failure::permanent("TG6104", format!("{digest} is not kept here")))
    }

    async fn gather(&self, _question: &Question) -> Vec<Found> {
        Vec::new()
    }
}

/// No plan of the simulation wants a backup: here nothing is made and nothing is kept.
#[async_trait]
impl Backups for World {
    async fn make(
        &self,
        _scope: &Scope,
        _backup: &Backup,
        _now: Timestamp,
    ) -> Result<BackupRecord, Failure> {
        Err(Failure::permanent("TG6104", "nothing is copied here".to_owned()))
    }

    async fn verify(&self, record: &BackupRecord) -> Result<(), Failure> {
        Err(Failure::permanent("TG6104", format!("{} is not kept here", record.id)))
    }

    async fn drill(&self, _backup: &Backup, record: &BackupRecord, now: Timestamp) -> DrillRecord {
        DrillRecord {
            backup: record.id.clone(),
            at: now,
            took_ms: 0,
            outcome: Outcome::NoData,
            summary: "nothing is kept here".to_owned(),
        }
    }

    async fn restore(
        &self,
        _backup: &Backup,
        record: &BackupRecord,
        _into: &str,
    ) -> Result<String, Failure> {
        Err(Failure::permanent("TG6104", format!("{} is not kept here", record.id)))
    }

    async fn remove(&self, _record: &BackupRecord) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl Steps for World {
    async fn attempt(
        &self,
        _deployment: &DeploymentId,
        _attempt: u32,
        job: &StepJob,
    ) -> StepReport {
        let report = |outcome, summary: String, lost| StepReport {
            outcome,
            summary,
            lost,
            retryable: false,
            given: Given::default(),
        };
        if let Err(failure) = self.way_to_effect().await {
            return report(Outcome::NoData, failure.what, false);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        match self.way_back().await {
            Ok(()) => report(Outcome::Pass, format!("{} is done", job.step.name), false),
            // It was done, and the reply was lost.
            Err(failure) => report(Outcome::NoData, failure.what, true),
        }
    }
}

#[async_trait]
impl Checks for World {
    async fn probe(&self, targets: &[ProbeTarget], timeout: SignedDuration) -> CheckReport {
        let limit = Duration::try_from(timeout).unwrap_or(Duration::ZERO);
        if let Err(failure) = self.way_to_effect().await {
            return CheckReport {
                outcome: Outcome::NoData,
                summary: failure.what,
                retryable: true,
            };
        }
        let asked = Instant::now();
        loop {
            let all_good = targets.iter().all(|target| self.is_well(target));
            if all_good && !targets.is_empty() {
                let summary = "every probe answered".to_owned();
                return CheckReport { outcome: Outcome::Pass, summary, retryable: false };
            }
            if asked.elapsed() >= limit.min(Duration::from_secs(20)) {
                let summary = "a probe failed".to_owned();
                return CheckReport { outcome: Outcome::Fail, summary, retryable: false };
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn ask(&self, target: &ProbeTarget) -> Asked {
        let asked = u64::from(target.instances);
        let well = self.way_there().await.is_ok() && self.is_well(target);
        Asked { asked, failed: if well { 0 } else { asked } }
    }

    async fn smoke(
        &self,
        _deployment: &DeploymentId,
        part: &Part,
        artifact: &str,
        _endpoint: &str,
        _timeout: SignedDuration,
    ) -> CheckReport {
        if let Err(failure) = self.way_to_effect().await {
            return CheckReport {
                outcome: Outcome::NoData,
                summary: failure.what,
                retryable: true,
            };
        }
        let fails = {
            let inner = self.lock();
            inner.slots.values().filter_map(|fake| fake.tenant.as_ref()).any(|tenant| {
                tenant.part.name == part.name
                    && tenant.revision.artifact == artifact
                    && inner.behaviour(&tenant.revision.version).smoke_fails
            })
        };
        let outcome = if fails { Outcome::Fail } else { Outcome::Pass };
        CheckReport { outcome, summary: "the suite".to_owned(), retryable: false }
    }
}

impl World {
    fn is_well(&self, target: &ProbeTarget) -> bool {
        let inner = self.lock();
        let sick = inner
            .slots
            .get(&(target.part.name.clone(), target.slot.clone()))
            .and_then(|fake| fake.tenant.as_ref())
            .is_none_or(|tenant| inner.behaviour(&tenant.revision.version).sick);
        !sick && inner.ready(&target.part.name, &target.slot, Instant::now())
    }
}

#[async_trait]
impl Metrics for World {
    async fn read(&self, source: &Source, _side: &MetricSide) -> Result<Sample, Failure> {
        self.way_there().await?;
        Err(Failure::permanent("TG4402", format!("nobody measures `{}` here", source.name)))
    }
}

#[async_trait]
impl Recordings for World {
    async fn create(&self, name: &RecordingName, bytes: &[u8]) -> Result<(), Failure> {
        self.lock().recordings.insert(name.clone(), bytes.to_vec());
        Ok(())
    }

    async fn append(&self, name: &RecordingName, bytes: &[u8]) -> Result<(), Failure> {
        let mut inner = self.lock();
        let missing = || Failure::permanent("TG6401", format!("there is no recording {name}"));
        inner.recordings.get_mut(name).ok_or_else(missing)?.extend_from_slice(bytes);
        Ok(())
    }

    async fn read(&self, name: &RecordingName) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.lock().recordings.get(name).cloned())
    }

    async fn list(&self) -> Result<Vec<RecordingName>, Failure> {
        Ok(self.lock().recordings.keys().cloned().collect())
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }
}

impl Bind for World {
    fn bind(&self, plan: &Plan, artifact: &Digest) -> Bound {
        let binding = Digest::of(format!("{}{artifact}", plan.release.commit).as_bytes());
        Bound { binding, parts: BTreeMap::from([(Component::Artifacts, artifact.clone())]) }
    }
}

#[async_trait]
impl Messages for World {
    /// On its way a message is lost, or its answer is, as everything else.
    async fn send(&self, _scope: &Scope, letter: &Letter, _follows: Option<&str>) -> Delivery {
        match self.way_to_effect().await {
            Ok(()) => Delivery::Taken { receipt: Some(letter.number.to_string()) },
            Err(failure) => {
                Delivery::Refused { why: failure.to_string(), retryable: true, after: None }
            }
        }
    }
}

#[async_trait]
impl People for World {
    async fn facts(
        &self,
        _scope: &Scope,
        accounts: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Facts>, Failure> {
        self.way_there().await?;
        let known = |name: &String| Facts {
            person: name.clone(),
            human: true,
            entitled: true,
            ..Facts::default()
        };
        Ok(accounts.iter().map(|name| (name.clone(), known(name))).collect())
    }

    fn grant(&self, _actor: &Actor) -> Grant {
        Grant::owner()
    }
}
