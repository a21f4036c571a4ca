//! Custom steps on this machine: each attempt at most once, in a working copy of its own, by a
//! launcher that gives rights away before it becomes the program.
//!
//! Needs: `<state_dir>/steps` for records and kept files, `<state_dir>/work`, `<state_dir>/logs`,
//! and for secrets `<state_dir>/secrets/NAME`, readable by its owner alone. To undo by hand: remove
//! the record of an attempt; asked about it again, Tidegate then begins it anew.
//!
//! It must never begin an attempt before the record of its beginning is on the disk, and never
//! repeat one that is not idempotent.

mod cage;
mod handed;
mod http;
pub mod launch;
mod program;
mod record;
pub(crate) mod secrets;

use std::ffi::OsString;
use std::path::PathBuf;

use async_trait::async_trait;
use tidegate_core::effect::StepJob;
use tidegate_core::ids::DeploymentId;
use tidegate_core::input::StepReport;
use tidegate_core::plan::Work;
use tidegate_core::state::Given;
use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::Steps;

use crate::{once, proc};
use program::Asked;
use record::{Record, Stage};

/// Where custom steps find what they need.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `artifacts`, `steps`, `secrets`, `work` and `logs`.
    pub state_dir: PathBuf,
    /// The program that runs [`launch::run`], with its arguments.
    pub launcher: Vec<OsString>,
}

/// Custom steps carried out by this process.
#[derive(Debug)]
pub struct LocalSteps {
    config: Config,
}

impl LocalSteps {
    /// Steps over a state directory. Touches nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    async fn carry_out(&self, deployment: &DeploymentId, attempt: u32, job: &StepJob) -> Ended {
        match &job.step.work {
            Work::Run { argv, env } => {
                program::run(&self.config, deployment, attempt, job, argv, env).await
            }
            Work::Http { .. } => http::send(&job.step).await,
            Work::Sql { .. } | Work::Migration(_) => {
                Ended::not_done("this build has no driver for databases [TG6604]")
            }
        }
    }

    /// What became of an attempt that began and did not end under this server's eyes.
    async fn read_back(&self, deployment: &DeploymentId, attempt: u32, job: &StepJob) -> Ended {
        if let Work::Run { env, .. } = &job.step.work
            && let Some(verify) = &job.step.verify
        {
            return match program::ask(&self.config, deployment, attempt, job, verify, env).await {
                Asked::Done => {
                    Ended::passed("its `verify` says that it was done", Given::default())
                }
                Asked::NotDone => Ended {
                    retryable: true,
                    ..Ended::failed("its `verify` says that it was not done [TG6607]")
                },
                Asked::Unknown(why) => Ended::lost(format!("its `verify` does not know: {why}")),
            };
        }
        Ended::lost("it began, and its end was not seen [TG6607]")
    }
}

#[async_trait]
impl Steps for LocalSteps {
    async fn attempt(&self, deployment: &DeploymentId, attempt: u32, job: &StepJob) -> StepReport {
        let record = Record::of(&self.config.state_dir, deployment, &job.step.name, attempt);
        let ended = match record.read() {
            Ok(Some(Stage::Ended(ended))) => return ended.report(),
            Ok(Some(Stage::Began { mark })) => {
                // Whatever of it outlived the server has nobody who listens to it any more.
                let killed = tokio::task::spawn_blocking(move || proc::kill_marked(&mark)).await;
                match killed {
                    Ok(true) if job.step.idempotent => {
                        self.begin(&record, deployment, attempt, job).await
                    }
                    Ok(true) => self.read_back(deployment, attempt, job).await,
                    _ => {
                        Ended::lost("its processes are still there and cannot be stopped [TG6607]")
                    }
                }
            }
            Ok(None) => self.begin(&record, deployment, attempt, job).await,
            Err(error) => Ended::lost(format!("its record cannot be read: {error} [TG6603]")),
        };
        // A step that ran into its limit may have been done all the same.
        let ended = match ended.lost && !job.step.idempotent && job.step.verify.is_some() {
            true => self.read_back(deployment, attempt, job).await,
            false => ended,
        };
        match record.end(&ended) {
            Ok(()) => ended.report(),
            Err(error) => {
                let what = format!("{}; its end was not recorded: {error} [TG6603]", ended.summary);
                Ended::lost(what).report()
            }
        }
    }
}

impl LocalSteps {
    async fn begin(
        &self,
        record: &Record,
        deployment: &DeploymentId,
        attempt: u32,
        job: &StepJob,
    ) -> Ended {
        let mark = program::mark(deployment, &job.step.name, attempt);
        match record.begin(&mark) {
            Ok(()) => self.carry_out(deployment, attempt, job).await,
            Err(error) => {
                let what = format!("its beginning was not recorded: {error} [TG6603]");
                Ended { retryable: true, ..Ended::not_done(&what) }
            }
        }
    }
}

/// How an attempt ended, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ended {
    outcome: Outcome,
    summary: String,
    lost: bool,
    retryable: bool,
    given: Given,
}

impl Ended {
    fn passed(summary: impl Into<String>, given: Given) -> Self {
        let summary = summary.into();
        Self { outcome: Outcome::Pass, summary, lost: false, retryable: false, given }
    }

    fn failed(summary: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, ..Self::passed(summary, Given::default()) }
    }

    /// It did not begin, so nothing was done.
    fn not_done(summary: &str) -> Self {
        Self { outcome: Outcome::NoData, ..Self::passed(summary, Given::default()) }
    }

    /// Nobody knows whether it was done.
    fn lost(summary: impl Into<String>) -> Self {
        let ended = Self::passed(summary, Given::default());
        Self { outcome: Outcome::NoData, lost: true, ..ended }
    }

    fn report(self) -> StepReport {
        let Self { outcome, summary, lost, retryable, given } = self;
        StepReport { outcome, summary, lost, retryable, given }
    }
}

/// What is said of how a program ended.
fn words(status: std::process::ExitStatus) -> String {
    once::words(status)
}
