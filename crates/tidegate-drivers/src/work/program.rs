//! The step that is a program: set up, launched, watched to its end, and what it left taken in.
//! Must never pass anything through a shell that the plan did not write as one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_core::effect::StepJob;
use tidegate_core::ids::{DeploymentId, StepName};
use tidegate_core::plan::steers;

use super::launch::Orders;
use super::{Config, Ended, handed, secrets, words};
use crate::hidden::Hidden;
use crate::once::{self, End, Once, Ran};
use crate::scm::artifact;
use crate::text;

use super::cage::Cage;

/// Lines of output in a message.
const LINES_MAX: usize = 3;

/// What a `verify` says of a step.
pub(super) enum Asked {
    Done,
    NotDone,
    Unknown(String),
}

/// Names all processes of one attempt, also for a server that comes later.
pub(super) fn mark(deployment: &DeploymentId, step: &StepName, attempt: u32) -> String {
    format!("step-{deployment}-{step}-{attempt}-{}", once::new_mark())
}

/// Runs the program of a step to its end, or to its limit.
pub(super) async fn run(
    config: &Config,
    deployment: &DeploymentId,
    attempt: u32,
    job: &StepJob,
    argv: &[String],
    env: &BTreeMap<String, String>,
) -> Ended {
    let place = match Place::make(config, deployment, attempt, job) {
        Ok(place) => place,
        Err(what) => return Ended::not_done(&what),
    };
    let ran = match launch(config, &place, deployment, attempt, job, argv, env).await {
        Ok(ran) => ran,
        Err(what) => return Ended::not_done(&what),
    };
    let said = text::last_lines(&ran.tail, LINES_MAX);
    let status = match ran.end {
        End::Exited(status) => status,
        End::TimedOut => {
            let limit = job.step.timeout;
            return Ended::lost(format!(
                "it was stopped at its limit of {limit:#}: {said} [TG6605]"
            ));
        }
    };
    if !status.success() {
        return Ended::failed(format!("it {}: {said} [TG6605]", words(status)));
    }
    match handed::taken(&config.state_dir, &place.work, &place.tree, &job.step) {
        Ok(given) => Ended::passed(done_words(&said), given),
        Err(what) => Ended::failed(what),
    }
}

fn done_words(said: &str) -> String {
    if said.is_empty() { "it exited with code 0".to_owned() } else { said.to_owned() }
}

/// Asks a step's own command whether it was done.
pub(super) async fn ask(
    config: &Config,
    deployment: &DeploymentId,
    attempt: u32,
    job: &StepJob,
    verify: &[String],
    env: &BTreeMap<String, String>,
) -> Asked {
    let place = match Place::make(config, deployment, attempt, job) {
        Ok(place) => place,
        Err(what) => return Asked::Unknown(what),
    };
    let ran = match launch(config, &place, deployment, attempt, job, verify, env).await {
        Ok(ran) => ran,
        Err(what) => return Asked::Unknown(what),
    };
    let said = text::last_lines(&ran.tail, LINES_MAX);
    match ran.end {
        End::Exited(status) if status.success() => Asked::Done,
        End::Exited(status) if status.code() == Some(1) => Asked::NotDone,
        End::Exited(status) => Asked::Unknown(format!("it {}: {said}", words(status))),
        End::TimedOut => Asked::Unknown("it did not end within its limit".to_owned()),
    }
}

/// Where a step works; gone when it is over.
struct Place {
    work: PathBuf,
    tree: PathBuf,
}

impl Place {
    fn make(
        config: &Config,
        deployment: &DeploymentId,
        attempt: u32,
        job: &StepJob,
    ) -> Result<Self, String> {
        let name = format!("{deployment}-{}-{attempt}", job.step.name);
        let work = config.state_dir.join("work").join(name);
        let place = Self { tree: work.join("tree"), work };
        place.fill(config, job).map_err(|what| format!("{what} [TG6603]"))?;
        Ok(place)
    }

    fn fill(&self, config: &Config, job: &StepJob) -> Result<(), String> {
        let wrong = |error: std::io::Error| format!("its working copy: {error}");
        artifact::remove(&self.work).map_err(wrong)?;
        for directory in ["home", "tmp"] {
            crate::files::make_private(&self.work.join(directory)).map_err(wrong)?;
        }
        match &job.artifact {
            Some(digest) => {
                let artifacts = config.state_dir.join("artifacts");
                let from = crate::probe::artifact_directory(&artifacts, digest.as_str())
                    .ok_or_else(|| format!("`{digest}` names no artifact"))?;
                artifact::scratch(&from, &self.tree).map_err(|error| error.to_string())?;
            }
            None => crate::files::make_private(&self.tree).map_err(wrong)?,
        }
        handed::over(&config.state_dir, &self.work, &job.given)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = artifact::remove(&self.work) {
            let path = self.work.display();
            tracing::warn!(%path, %error, "could not remove the working copy of a step");
        }
    }
}

async fn launch(
    config: &Config,
    place: &Place,
    deployment: &DeploymentId,
    attempt: u32,
    job: &StepJob,
    argv: &[String],
    env: &BTreeMap<String, String>,
) -> Result<Ran, String> {
    let step = &job.step;
    if let Some(name) = env.keys().chain(step.secrets.keys()).find(|name| steers(name)) {
        return Err(format!("`{name}` decides what runs: a plan must not set it [TG6602]"));
    }
    let secrets = secrets::read(&config.state_dir, &step.secrets)?;
    let hidden = Hidden::of(secrets.values().map(Vec::as_slice));
    let mark = mark(deployment, &step.name, attempt);
    let cage = Cage::make(&mark);
    let own = [place.work.clone()];
    let writes = own.into_iter().chain(step.writes.iter().map(PathBuf::from)).collect();
    let program = once::program(argv.first().map_or("", String::as_str), &place.tree);
    let program = program.to_string_lossy().into_owned();
    let orders = Orders {
        argv: std::iter::once(program).chain(argv.iter().skip(1).cloned()).collect(),
        secrets,
        writes,
        cage: cage.as_ref().map(Cage::door),
    };
    let input = serde_json::to_vec(&orders).map_err(|error| error.to_string())?;
    let launcher: Vec<String> =
        config.launcher.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let log = log_of(&config.state_dir, deployment, &step.name);
    let once = Once {
        argv: &launcher,
        directory: &place.tree,
        env: environment(place, deployment, attempt, job, env),
        timeout: step.timeout.try_into().unwrap_or(Duration::ZERO),
        log: Some(&log),
        thorough: true,
        mark: Some(mark),
        input: Some(input),
        hidden,
    };
    once::run(once).await.map_err(|error| format!("{error} [TG6605]"))
}

fn log_of(state_dir: &Path, deployment: &DeploymentId, step: &StepName) -> PathBuf {
    state_dir.join("logs").join(deployment.as_str()).join(format!("step-{step}.log"))
}

/// What a step sees besides `PATH` and `LANG`: what was declared, and what Tidegate says.
fn environment(
    place: &Place,
    deployment: &DeploymentId,
    attempt: u32,
    job: &StepJob,
    declared: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env = declared.clone();
    let path = |name: &str| place.work.join(name).to_string_lossy().into_owned();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    set("HOME", path("home"));
    set("TMPDIR", path("tmp"));
    set("TIDEGATE_DEPLOYMENT", deployment.to_string());
    set("TIDEGATE_SERVICE", job.scope.service.to_string());
    set("TIDEGATE_ENVIRONMENT", job.scope.environment.to_string());
    set("TIDEGATE_STEP", job.step.name.to_string());
    set("TIDEGATE_MOMENT", job.step.at.word().to_owned());
    set("TIDEGATE_ATTEMPT", attempt.to_string());
    set("TIDEGATE_VERSION", job.release.version.clone());
    set("TIDEGATE_COMMIT", job.release.commit.clone());
    set("TIDEGATE_LIVE_VERSION", job.live.clone().unwrap_or_default());
    set("TIDEGATE_OUTPUTS", path(handed::OUTPUTS));
    set("TIDEGATE_GIVEN", path(handed::GIVEN));
    for (part, endpoint) in &job.targets {
        let upper: String = part.as_str().to_ascii_uppercase().replace(['-', '.'], "_");
        set(&format!("TIDEGATE_TARGET_{upper}"), format!("http://{endpoint}"));
    }
    if let Some(endpoint) = job.targets.values().next() {
        set("TIDEGATE_TARGET", format!("http://{endpoint}"));
    }
    env
}
