//! The journal as those read it who ask who did what: newest first, narrowed, page by page.
//! Must never leave a damaged entry out: it stands where it is and says so.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use tidegate_core::ids::Scope;
use tidegate_engine::ports::Placed;
use utoipa::IntoParams;

use super::body::Query;
use super::reply::Reply;
use super::{Api, Narrator, locate};
use crate::problem::Problem;
use crate::view::history::{Entries, Entry};

/// Entries of an answer that does not say how many.
const ENTRIES_DEFAULT: u32 = 100;
/// Most entries of one answer.
const ENTRIES_MAX: u32 = 1_000;
/// Entries looked at for one answer: about a second of the slowest machine. What is older comes
/// with the next page.
const SEARCHED_MAX: u64 = 20_000;
/// Entries in one read of the journal.
const BATCH: u32 = 500;

/// How entries are narrowed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Only of this service.
    pub(crate) service: Option<String>,
    /// Only of this environment.
    pub(crate) environment: Option<String>,
    /// Only of this deployment.
    pub(crate) deployment: Option<String>,
    /// Only by whom this is a part of the name.
    pub(crate) actor: Option<String>,
    /// Only of this kind, `approval_given`.
    pub(crate) kind: Option<String>,
    /// Only with this in their words, in any case.
    pub(crate) text: Option<String>,
    /// Only since then.
    #[param(value_type = Option<String>)]
    pub(crate) since: Option<Timestamp>,
    /// Only until then.
    #[param(value_type = Option<String>)]
    pub(crate) until: Option<Timestamp>,
    /// Only those below this position: `next` of the page before.
    pub(crate) before: Option<u64>,
    /// At most so many, 100 by default, 1,000 at most.
    pub(crate) limit: Option<u32>,
}

/// Entries of the journal, newest first.
#[utoipa::path(
    get,
    path = "/v1/journal/entries",
    tag = "server",
    params(Asked),
    responses(
        (status = 200, body = Entries),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(State(api): State<Api>, Query(asked): Query<Asked>) -> Reply<Entries> {
    let limit = asked.limit.unwrap_or(ENTRIES_DEFAULT).clamp(1, ENTRIES_MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let scopes = api.engine().scopes();
    let mut of = scopes.iter().filter(|scope| asked.names(scope));
    let narrowed = asked.service.is_some() || asked.environment.is_some();
    // One service is read alone; of several, what does not fit is passed over.
    let only = match (narrowed, of.next(), of.next()) {
        (true, None, _) => return Ok(axum::Json(nothing())),
        (true, Some(one), None) => Some(one),
        _ => None,
    };
    let mut found = nothing();
    let mut before = asked.before;
    loop {
        let batch = api.ports().journal.recent(only, before, BATCH).await?;
        let whole = batch.len() < usize::try_from(BATCH).unwrap_or(usize::MAX);
        for entry in narrated(batch) {
            before = Some(entry.position);
            found.searched += 1;
            found.back_to = entry.at.or(found.back_to);
            if asked.since.is_some_and(|since| entry.at.is_some_and(|at| at < since)) {
                return Ok(axum::Json(found));
            }
            if asked.fits(&entry) {
                found.entries.push(entry);
            }
            if found.entries.len() >= limit || found.searched >= SEARCHED_MAX {
                found.next = before;
                return Ok(axum::Json(found));
            }
        }
        if whole {
            return Ok(axum::Json(found));
        }
    }
}

fn nothing() -> Entries {
    Entries { entries: Vec::new(), searched: 0, back_to: None, next: None }
}

/// A batch in words. They are made in the order of time, since a phase names the one before it.
fn narrated(batch: Vec<Placed>) -> Vec<Entry> {
    let mut narrators: BTreeMap<Option<Scope>, Narrator> = BTreeMap::new();
    let mut entries: Vec<Entry> = batch
        .into_iter()
        .rev()
        .map(|placed| {
            let narrator = narrators.entry(placed.scope.clone()).or_default();
            entry(placed, narrator)
        })
        .collect();
    entries.reverse();
    entries
}

fn entry(placed: Placed, narrator: &mut Narrator) -> Entry {
    let Placed { position, scope, recorded } = placed;
    let service = scope.as_ref().map(|scope| scope.service.to_string());
    let environment = scope.as_ref().map(|scope| scope.environment.to_string());
    match recorded {
        Ok(recorded) => {
            let line = narrator.line(&recorded);
            let about = line.event.get("deployment").and_then(|id| id.as_str());
            Entry {
                position,
                service,
                environment,
                deployment: about.map(str::to_owned),
                seq: Some(line.seq),
                at: Some(line.at),
                actor: Some(line.actor),
                kind: line.kind,
                text: line.text,
                event: Some(line.event),
            }
        }
        Err(error) => Entry {
            position,
            service,
            environment,
            deployment: None,
            seq: None,
            at: None,
            actor: None,
            kind: "damaged".to_owned(),
            text: error.to_string(),
            event: None,
        },
    }
}

impl Asked {
    fn names(&self, scope: &Scope) -> bool {
        locate::fits(scope, self.service.as_deref(), self.environment.as_deref())
    }

    /// Whether an entry fits. A damaged one fits everything: it may be what is looked for.
    fn fits(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| {
            wanted.is_none() || found.is_none() || wanted == found
        };
        let within = |wanted: &Option<String>, found: &str| {
            let wanted = wanted.as_deref().unwrap_or_default().to_lowercase();
            found.to_lowercase().contains(&wanted)
        };
        if !is(&self.service, &entry.service) || !is(&self.environment, &entry.environment) {
            return false;
        }
        if entry.event.is_none() {
            return true;
        }
        (self.deployment.is_none() || self.deployment == entry.deployment)
            && self.kind.as_ref().is_none_or(|kind| *kind == entry.kind)
            && within(&self.actor, entry.actor.as_deref().unwrap_or_default())
            && within(&self.text, &entry.text)
            && self.until.is_none_or(|until| entry.at.is_none_or(|at| at <= until))
    }
}
