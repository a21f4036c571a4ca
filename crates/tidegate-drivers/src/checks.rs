//! The port through which the engine asks applications: probes, and smoke suites.
//! Must never report a pass for something that was not asked.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use tidegate_core::effect::ProbeTarget;
use tidegate_core::ids::DeploymentId;
use tidegate_core::plan::{Part, SmokeRun};
use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::{Asked, CheckReport, Checks};

use crate::probe::{self, Prober};
use crate::step::{self, Suite};

/// Where checks find what they need.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `artifacts`, `work` and `logs`.
    pub state_dir: PathBuf,
}

/// Checks made from this machine.
#[derive(Debug)]
pub struct LocalChecks {
    config: Config,
    prober: Arc<Prober>,
}

impl LocalChecks {
    /// Checks over a state directory. Touches nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let prober = Arc::new(Prober::new(config.state_dir.join("artifacts")));
        Self { config, prober }
    }
}

#[async_trait]
impl Checks for LocalChecks {
    async fn probe(&self, targets: &[ProbeTarget], timeout: SignedDuration) -> CheckReport {
        self.prober.probe(targets, timeout.unsigned_abs()).await
    }

    async fn ask(&self, target: &ProbeTarget) -> Asked {
        self.prober.ask_once(target).await
    }

    async fn smoke(
        &self,
        deployment: &DeploymentId,
        part: &Part,
        artifact: &str,
        endpoint: &str,
        timeout: SignedDuration,
    ) -> CheckReport {
        let refuse =
            |summary: String| CheckReport { outcome: Outcome::NoData, summary, retryable: false };
        let Some(smoke) = &part.smoke else {
            return refuse(format!("{} has no smoke suite [TG4206]", part.name));
        };
        let artifacts = self.config.state_dir.join("artifacts");
        let Some(artifact) = probe::artifact_directory(&artifacts, artifact) else {
            return refuse(format!("`{artifact}` names no artifact [TG4201]"));
        };
        let logs = self.config.state_dir.join("logs").join(deployment.as_str());
        let work = self.config.state_dir.join("work");
        let suite = Suite {
            artifact: &artifact,
            endpoint,
            timeout: timeout.unsigned_abs(),
            log: &logs.join(format!("{}-smoke.log", part.name)),
            scratch: &work.join(format!("{deployment}-{}-smoke", part.name)),
            env: &part.run.env,
        };
        match &smoke.run {
            SmokeRun::Suite { file } => step::suite::run(&suite, file).await,
            SmokeRun::Command { argv, junit } => {
                step::command::run(&suite, argv, junit.as_deref()).await
            }
        }
    }
}
