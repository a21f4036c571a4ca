//! The journal for those who ask who did what, and whether any of it was changed.
//! Must never show an unverified journal as verified.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tidegate_core::event::Event;
use tidegate_core::rights::Act;

use super::show;
use crate::api::body::Query;
use crate::api::{Api, audit, entries, journal, search};
use crate::client::encode;
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::history::Entries;
use crate::view::service::Verified;

/// Entries on the page.
const ROWS: u32 = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    shell: Shell,
    asked: Asked,
    kinds: [&'static str; Event::KINDS.len()],
    found: Entries,
    /// Whether places outside have a signed head of it.
    anchored: bool,
    anchors: String,
    /// What the verification said, when it was asked for.
    verified: Option<Result<Verified, Problem>>,
    /// The query of the next page without its position.
    query: String,
}

/// The form.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    service: String,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    text: String,
    /// `7d` or a day.
    #[serde(default)]
    since: String,
    before: Option<u64>,
    verify: Option<String>,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    viewer.needs(&api, Act::Audit)?;
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let since = some(&asked.since).map(|text| search::since(&text, api.now())).transpose()?;
    let narrowed = entries::Asked {
        service: some(&asked.service),
        actor: some(&asked.actor),
        kind: some(&asked.kind),
        text: some(&asked.text),
        since,
        before: asked.before,
        limit: Some(ROWS),
        ..entries::Asked::default()
    };
    let found = entries::list(State(api.clone()), Query(narrowed)).await?;
    let head = audit::checkpoint(State(api.clone())).await?.0;
    let verified = match &asked.verify {
        Some(_) => Some(journal::verify(State(api.clone())).await.map(|found| found.0)),
        None => None,
    };
    let words = [
        ("service", &asked.service),
        ("actor", &asked.actor),
        ("kind", &asked.kind),
        ("text", &asked.text),
        ("since", &asked.since),
    ];
    let pairs = words.into_iter().filter(|(_, value)| !value.is_empty());
    let pairs = pairs.map(|(name, value)| format!("{name}={}", encode(value)));
    let shown = AuditPage {
        shell: super::shell(&api, &viewer, "Audit"),
        kinds: Event::KINDS,
        anchored: head.anchored,
        anchors: crate::text::plain(&head.sentence),
        found: show::plain(found.0),
        verified,
        query: pairs.collect::<Vec<_>>().join("&"),
        asked: asked.plain(),
    };
    Ok(page(StatusCode::OK, &shown))
}

impl Asked {
    fn plain(self) -> Self {
        let safe = |text: &str| crate::text::plain(text);
        Self {
            service: safe(&self.service),
            actor: safe(&self.actor),
            kind: safe(&self.kind),
            text: safe(&self.text),
            since: safe(&self.since),
            ..self
        }
    }
}
