//! Watches repositories for releases: looks when a webhook says so, and at intervals in any case,
//! so that a lost webhook costs a minute and nothing else. What a webhook says is never believed:
//! the tags are read from the repository. Must never begin what the core does not call for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tidegate_core::digest::Digest;
use tidegate_core::ids::{Actor, Scope};
use tidegate_core::trigger::{self, Due, Tag};
use tidegate_engine::ports::Tags;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::settings::{Start, Watched};
use crate::api::{Api, deployments};
use crate::people::trigger_name;
use crate::problem::Problem;
use crate::view::request::Deploy;
use crate::view::trigger::{Ready, Trigger};

/// Deployments of a service that are looked through for a version.
const ROWS_LOOKED_AT: u32 = 1_000;

/// Every trigger, by name.
#[derive(Debug, Clone)]
pub(crate) struct Triggers(Arc<[Arc<Watch>]>);

/// One repository that is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) settings: Watched,
    bell: Notify,
    state: Mutex<Seen>,
}

/// What is known since the server started.
#[derive(Debug, Default)]
struct Seen {
    looked_at: Option<Timestamp>,
    newest: Option<Tag>,
    sentence: String,
    troubled: bool,
    ready: Option<Ready>,
    /// The commits that tags named when they were first seen.
    commits: BTreeMap<String, String>,
    /// The service that the newest tag is for.
    scope: Option<(Tag, Scope)>,
    /// The newest tag whose call was answered; nothing is asked again until another comes.
    settled: Option<Tag>,
}

impl Seen {
    /// Since when a version is ready.
    fn since(&self, version: &str) -> Option<Timestamp> {
        self.ready.as_ref().filter(|ready| ready.version == version).map(|ready| ready.since)
    }
}

impl Triggers {
    /// The triggers of the settings.
    pub(crate) fn new(settings: Vec<Watched>) -> Self {
        let watch = |settings| {
            let sentence = "it has not looked yet".to_owned();
            let state = Mutex::new(Seen { sentence, ..Seen::default() });
            Arc::new(Watch { settings, bell: Notify::new(), state })
        };
        Self(settings.into_iter().map(watch).collect())
    }

    /// One by its name.
    pub(crate) fn get(&self, name: &str) -> Option<&Watch> {
        self.0.iter().find(|watch| watch.settings.name == name).map(Arc::as_ref)
    }

    /// All of them, as they stand.
    pub(crate) fn shown(&self) -> Vec<Trigger> {
        self.0.iter().map(|watch| watch.shown()).collect()
    }

    /// Watches until the server stops.
    pub(crate) fn run(&self, api: &Api, tags: &Arc<dyn Tags>, stop: &CancellationToken) {
        for watch in self.0.iter() {
            let (watch, api) = (Arc::clone(watch), api.clone());
            let (tags, stop) = (Arc::clone(tags), stop.clone());
            tokio::spawn(async move {
                let mut every = tokio::time::interval(watch.settings.every.unsigned_abs());
                every.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        _tick = every.tick() => {}
                        () = watch.bell.notified() => {}
                    }
                    watch.look(&api, &*tags).await;
                }
            });
        }
    }
}

impl Watch {
    /// Looks as soon as it can. Many rings before it does are one.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> Trigger {
        let state = self.state();
        Trigger {
            name: self.settings.name.clone(),
            repository: self.settings.repository.clone(),
            tags: self.settings.tags.clone(),
            start: self.settings.start.word().to_owned(),
            looked_at: state.looked_at,
            version: state.newest.as_ref().map(|tag| tag.name.clone()),
            commit: state.newest.as_ref().map(|tag| tag.commit.clone()),
            sentence: state.sentence.clone(),
            ready: state.ready.clone(),
            troubled: state.troubled,
        }
    }

    async fn look(&self, api: &Api, tags: &dyn Tags) {
        let listed = tags.tags(&self.settings.repository, &self.settings.tags).await;
        self.state().looked_at = Some(api.now());
        let listed = match listed {
            Ok(listed) => listed,
            Err(failure) => return self.say(true, format!("{}: {}", failure.code, failure.what)),
        };
        let Some(newest) = trigger::newest(&listed).cloned() else {
            let what = format!("no tag like {} is a version", self.settings.tags);
            return self.say(false, what);
        };
        if self.state().settled.as_ref() == Some(&newest) {
            return;
        }
        self.state().newest = Some(newest.clone());
        match self.answer(api, &newest).await {
            // What is ready is looked at again: somebody may have begun it meanwhile.
            Ok(()) => {
                let mut state = self.state();
                state.settled = Some(newest).filter(|_| state.ready.is_none());
            }
            // Asked again at the next look: the repository may not have been readable.
            Err(problem) => {
                self.state().ready = None;
                let what =
                    format!("{} cannot begin: {}: {}", newest.name, problem.code, problem.title);
                self.say(true, what);
            }
        }
    }

    fn say(&self, troubled: bool, sentence: String) {
        let mut state = self.state();
        if state.sentence != sentence {
            tracing::info!(trigger = self.settings.name, troubled, sentence, "trigger");
        }
        state.sentence = sentence;
        state.troubled = troubled;
    }

    /// Does what a tag calls for.
    async fn answer(&self, api: &Api, tag: &Tag) -> Result<(), Problem> {
        let asked = self.asked(tag);
        let scope = self.scope_of(api, tag, &asked).await?;
        let seen = self.state().commits.get(&tag.name).cloned();
        let live = live_version(api, &scope);
        let begun = begun(api, &scope, &tag.name).await?;
        let due = trigger::due(tag, live.as_deref(), begun, seen.as_deref());
        self.state().commits.entry(tag.name.clone()).or_insert_with(|| tag.commit.clone());
        let version = &tag.name;
        if due != Due::Begin {
            self.state().ready = None;
        }
        match due {
            Due::Live => self.say(false, format!("{version} is live in {scope}")),
            Due::Older => {
                let live = live.unwrap_or_default();
                self.say(
                    false,
                    format!("{version} is older than {live}, which is live in {scope}"),
                );
            }
            Due::Begun => self.say(false, format!("{version} was begun in {scope} before")),
            Due::Moved { from } => {
                let what = format!(
                    "TG3060: {version} named {from} and names {} now; nothing is begun",
                    tag.commit
                );
                self.say(true, what);
            }
            Due::Begin => self.begin(api, &scope, tag, asked).await?,
        }
        Ok(())
    }

    /// The service that a tag is for: a commit says the same each time it is read.
    async fn scope_of(&self, api: &Api, tag: &Tag, asked: &Deploy) -> Result<Scope, Problem> {
        let known = self.state().scope.clone().filter(|(known, _)| known == tag);
        if let Some((_, scope)) = known {
            return Ok(scope);
        }
        let scope = deployments::scope_of_release(api, asked).await?;
        self.state().scope = Some((tag.clone(), scope.clone()));
        Ok(scope)
    }

    async fn begin(
        &self,
        api: &Api,
        scope: &Scope,
        tag: &Tag,
        asked: Deploy,
    ) -> Result<(), Problem> {
        if self.settings.start == Start::ByHand {
            let command = format!(
                "tidegate deploy {} --repository {} --env {}",
                tag.name, asked.repository, scope.environment
            );
            let since = self.state().since(&tag.name).unwrap_or_else(|| api.now());
            self.state().ready = Some(Ready {
                service: scope.service.to_string(),
                environment: scope.environment.to_string(),
                version: tag.name.clone(),
                since,
                command,
            });
            self.say(false, format!("{} is ready for {scope}: somebody begins it", tag.name));
            return Ok(());
        }
        let actor = Actor::Robot(trigger_name(&self.settings.name));
        let accepted = deployments::begin(api, asked, actor).await?;
        self.say(false, format!("{} began in {scope} as {}", tag.name, accepted.id));
        Ok(())
    }

    fn key(&self, tag: &Tag) -> String {
        let call = format!("{}\0{}\0{}", self.settings.name, tag.name, tag.commit);
        format!("trigger-{}", Digest::of(call.as_bytes()))
    }

    fn asked(&self, tag: &Tag) -> Deploy {
        Deploy {
            repository: self.settings.repository.clone(),
            version: tag.name.clone(),
            config: self.settings.config.clone(),
            environment: self.settings.environment.clone(),
            supersede: false,
            despite_quarantine: false,
            // The same tag of the same commit begins once, whatever is lost in between.
            key: Some(self.key(tag)),
            variables: BTreeMap::new(),
            tighten: Vec::new(),
        }
    }
}

fn live_version(api: &Api, scope: &Scope) -> Option<String> {
    let state = api.engine().state(scope)?;
    crate::api::services::live_version(&state)
}

async fn begun(api: &Api, scope: &Scope, version: &str) -> Result<bool, Problem> {
    let rows = api.ports().journal.deployments(Some(scope), None, ROWS_LOOKED_AT).await?;
    Ok(rows.iter().any(|row| row.version == version))
}
