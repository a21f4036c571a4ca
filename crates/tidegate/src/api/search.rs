//! Deployments by words: `service:shop env:production state:waiting by:me gate:security since:7d`,
//! and anything else as a part of a name, a version or a sentence.
//! Must never answer that there is none before everything was looked at that it says it looked at.

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tidegate_core::event::Event;
use tidegate_engine::ports::DeploymentRow;
use utoipa::IntoParams;

use super::body::Query;
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, course, deployments, locate};
use crate::problem::Problem;
use crate::view::Row;
use crate::view::history::Found;
use crate::words;

/// Deployments of one answer.
const ROWS: usize = 50;
/// Deployments looked at for one answer; more come with the next page.
const SEARCHED_MAX: u64 = 10_000;
/// The same where the events of each have to be read.
const READ_MAX: u64 = 200;
/// Deployments in one read of the journal.
const BATCH: u32 = 500;
/// Longest search, bytes: a few words.
const WORDS_BYTES_MAX: usize = 512;

/// What is looked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The words.
    #[serde(default)]
    pub(crate) q: String,
    /// Only those that began before this one did: `next` of the page before.
    pub(crate) before: Option<String>,
}

/// Deployments by words, newest first.
#[utoipa::path(
    get,
    path = "/v1/search",
    tag = "deployments",
    params(Asked),
    responses(
        (status = 200, body = Found),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn search(
    State(api): State<Api>,
    principal: Principal,
    Query(asked): Query<Asked>,
) -> Reply<Found> {
    let now = api.now();
    let words = Words::read(&asked.q, &principal.actor().to_string(), now)?;
    let most = if words.gate.is_some() { READ_MAX } else { SEARCHED_MAX };
    let mut before = match asked.before.as_deref() {
        Some(id) => Some(locate::begun(&api, id).await?.deployment),
        None => None,
    };
    let mut found = Found { deployments: Vec::new(), searched: 0, next: None };
    if before.is_none() && words.gate.is_none() {
        let queued = deployments::queued_rows(&api, |_| true, now);
        found.deployments.extend(queued.into_iter().filter(|row| words.fit(row)));
    }
    loop {
        let batch = api.ports().journal.deployments(None, before.as_ref(), BATCH).await?;
        let whole = batch.len() < usize::try_from(BATCH).unwrap_or(usize::MAX);
        for row in batch {
            if words.since.is_some_and(|since| row.started_at < since) {
                return Ok(axum::Json(found));
            }
            before = Some(row.deployment.clone());
            found.searched += 1;
            let line = deployments::line(&api, row.clone(), now);
            if words.fit(&line) && weighed(&api, &row, &words).await? {
                found.deployments.push(line);
            }
            if found.deployments.len() >= ROWS || found.searched >= most {
                found.next = before.map(|id| id.to_string());
                return Ok(axum::Json(found));
            }
        }
        if whole {
            return Ok(axum::Json(found));
        }
    }
}

/// Whether a gate of the wanted name was weighed for a deployment.
async fn weighed(api: &Api, row: &DeploymentRow, words: &Words) -> Result<bool, Problem> {
    let Some(gate) = &words.gate else { return Ok(true) };
    let events = course::events(api, row, 0).await?;
    Ok(events.iter().any(|recorded| match &recorded.event {
        Event::GatesWeighed { results, .. } => {
            results.iter().any(|result| result.gate.contains(gate.as_str()))
        }
        _ => false,
    }))
}

/// What the words of a search demand, all of it.
#[derive(Debug, Default, PartialEq)]
struct Words {
    service: Option<String>,
    environment: Option<String>,
    state: Option<String>,
    by: Option<String>,
    gate: Option<String>,
    since: Option<Timestamp>,
    rest: Vec<String>,
}

impl Words {
    fn read(text: &str, me: &str, now: Timestamp) -> Result<Self, Problem> {
        if text.len() > WORDS_BYTES_MAX {
            return Err(Problem::bad_request("a search has at most 512 bytes"));
        }
        let mut words = Self::default();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once(':').unwrap_or(("", word));
            let value = value.to_lowercase();
            match name {
                "service" => words.service = Some(value),
                "env" | "environment" => words.environment = Some(value),
                "state" => words.state = Some(value),
                "by" if value == "me" => words.by = Some(me.to_lowercase()),
                "by" => words.by = Some(value),
                "gate" => words.gate = Some(value),
                "since" => words.since = Some(since(&value, now)?),
                _ => words.rest.push(word.to_lowercase()),
            }
        }
        Ok(words)
    }

    fn fit(&self, row: &Row) -> bool {
        let within = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| found.to_lowercase().contains(wanted))
        };
        let state = format!("{} {}", row.state, words::state_words(&row.state));
        within(&self.service, &row.service)
            && within(&self.environment, &row.environment)
            && within(&self.state, &state)
            && within(&self.by, &row.started_by)
            && self.rest.iter().all(|word| {
                let texts = [&row.id, &row.service, &row.environment, &row.version, &row.sentence];
                texts.iter().any(|text| text.to_lowercase().contains(word.as_str()))
            })
    }
}

/// A time as people say it: `7d`, `36h`, `2026-11-01`.
pub(crate) fn since(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let unclear =
        || Problem::bad_request("`since` is a time like `36h` or `7d`, or a day like `2026-11-01`");
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_never| unclear())?;
        return Ok(midnight.timestamp());
    }
    // A day is 24 hours here: the zone of who asks is not known.
    let lasts = match text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
        Some(days) => SignedDuration::from_hours(days.clamp(0, 40_000).saturating_mul(24)),
        None => text.parse::<SignedDuration>().map_err(|_not| unclear())?,
    };
    now.checked_sub(lasts.abs()).map_err(|_far| unclear())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str) -> Row {
        Row {
            id: "d-abcd".to_owned(),
            service: "shop".to_owned(),
            environment: "production".to_owned(),
            version: "v2".to_owned(),
            state: state.to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            started_by: "person:mira".to_owned(),
            ended_at: None,
            sentence: "waits for approvals".to_owned(),
        }
    }

    #[test]
    fn every_word_narrows() {
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        let read = |text: &str| Words::read(text, "person:mira", now).unwrap();
        let waiting = row("waiting_for_people");
        for text in ["", "service:shop env:prod state:waiting by:me", "v2 APPROVALS", "d-abcd"] {
            assert!(read(text).fit(&waiting), "{text}");
        }
        for text in ["service:blog", "state:rolled", "by:kofi", "v3", "service:shop v3"] {
            assert!(!read(text).fit(&waiting), "{text}");
        }
        assert_eq!(read("since:7d").since, Some("2026-11-18T12:00:00Z".parse().unwrap()));
        assert_eq!(read("since:90m").since, Some("2026-11-25T10:30:00Z".parse().unwrap()));
        assert_eq!(read("since:2026-11-01").since, Some("2026-11-01T00:00:00Z".parse().unwrap()));
        assert!(Words::read("since:yesterday", "", now).is_err());
        assert!(Words::read(&"x".repeat(600), "", now).is_err());
    }
}
