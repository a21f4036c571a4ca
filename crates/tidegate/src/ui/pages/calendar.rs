//! When deployments of all services may begin: windows and freezes, also as a feed for calendars.
//! Must never show a frozen time as open without the freeze.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::act::Done;
use super::show::{self, Light};
use crate::api::body::{Body, Query};
use crate::api::{Api, calendar};
use crate::ical;
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::calendar::Calendar;
use crate::view::request;

/// Days on the page.
const DAYS: u16 = 14;
/// Days of the feed.
const FEED_DAYS: u16 = 90;
/// Longest freeze that the form offers, in hours.
const HOURS_MAX: i64 = 31 * 24;

#[derive(Template)]
#[template(path = "calendar.html")]
struct CalendarPage {
    shell: Shell,
    services: Vec<Drawn>,
    ticks: Vec<Tick>,
    days: u16,
    said: Option<&'static str>,
}

/// The calendar of a service as a strip.
struct Drawn {
    c: Calendar,
    light: Light,
    sentence: String,
    bars: Vec<Bar>,
    words: String,
}

/// A stretch of the strip, in hundredths.
struct Bar {
    kind: &'static str,
    x: String,
    width: String,
}

/// A day under the strips.
struct Tick {
    x: String,
    day: String,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Query(asked): Query<Done>,
) -> Result<Response, Refusal> {
    let now = api.now();
    let services = all(&api, DAYS).into_iter().map(|c| drawn(show::plain(c), now)).collect();
    let tick = |day: u16| Tick {
        x: format!("{:.2}", f64::from(day) * 100.0 / f64::from(DAYS)),
        day: now
            .checked_add(SignedDuration::from_hours(i64::from(day) * 24))
            .map(|at| at.strftime("%a %-d").to_string())
            .unwrap_or_default(),
    };
    let shown = CalendarPage {
        shell: super::shell(&api, &viewer, "Calendar"),
        services,
        ticks: (0..DAYS).step_by(2).map(tick).collect(),
        days: DAYS,
        said: asked.words(),
    };
    Ok(page(StatusCode::OK, &shown))
}

/// The calendars of all services.
fn all(api: &Api, days: u16) -> Vec<Calendar> {
    let scopes = api.engine().scopes();
    let found = scopes.iter().filter_map(|scope| {
        Some(calendar::calendar(api, scope, api.engine().state(scope)?.as_ref(), days))
    });
    found.collect()
}

fn drawn(c: Calendar, now: Timestamp) -> Drawn {
    let whole = f64::from(DAYS) * 86_400.0;
    let at =
        |at: Timestamp| (at.duration_since(now).as_secs_f64() / whole * 100.0).clamp(0.0, 100.0);
    let bar = |kind, from: Timestamp, to: Timestamp| Bar {
        kind,
        x: format!("{:.2}", at(from)),
        width: format!("{:.2}", (at(to) - at(from)).max(0.0)),
    };
    let mut bars: Vec<Bar> = if c.zone.is_none() {
        vec![Bar { kind: "open", x: "0".to_owned(), width: "100".to_owned() }]
    } else {
        c.openings.iter().map(|open| bar("open", open.from, open.to)).collect()
    };
    bars.extend(c.freezes.iter().map(|freeze| bar("frozen", freeze.from, freeze.until)));
    let light = if c.door.open {
        Light { icon: "check", word: "open".to_owned(), tone: "good" }
    } else {
        Light { icon: "pause", word: "closed".to_owned(), tone: "doubtful" }
    };
    let words = format!(
        "{} in {}: {} openings and {} freezes in {DAYS} days",
        c.service,
        c.environment,
        c.openings.len(),
        c.freezes.len()
    );
    Drawn { sentence: c.door.sentence(), light, bars, words, c }
}

/// The same as iCalendar, for calendar programs.
pub(crate) async fn feed(State(api): State<Api>, _viewer: Viewer) -> Response {
    let text = ical::of("Deployments", &all(&api, FEED_DAYS), api.now());
    std::future::ready(([(CONTENT_TYPE, "text/calendar; charset=utf-8")], text).into_response())
        .await
}

/// A freeze, as its form comes back.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    what: String,
    name: String,
    reason: Option<String>,
    hours: Option<i64>,
}

/// Begins or ends a freeze.
pub(crate) async fn change(
    State(api): State<Api>,
    viewer: Viewer,
    Path((service, environment)): Path<(String, String)>,
    Form(asked): Form<Asked>,
) -> Result<Response, Refusal> {
    let (state, who, path) = (State(api.clone()), viewer.principal, Path(service));
    let (environment, key) = (Some(environment), None);
    let reason = asked.reason.unwrap_or_default();
    let changed = match asked.what.as_str() {
        "freeze" => {
            let lasts = SignedDuration::from_hours(asked.hours.unwrap_or(24).clamp(1, HOURS_MAX));
            let until = api.now().checked_add(lasts);
            let until = until.map_err(|_far| Problem::bad_request("the freeze has no end"))?;
            let name = asked.name;
            let freeze = request::Freeze { environment, name, reason, from: None, until, key };
            calendar::freeze(state, who, path, Body(freeze)).await
        }
        "thaw" => {
            let thaw = request::Thaw { environment, name: asked.name, reason, key };
            calendar::thaw(state, who, path, Body(thaw)).await
        }
        other => {
            let other = crate::text::plain(other);
            return Err(Refusal(Problem::bad_request(format!("there is no act `{other}`"))));
        }
    };
    let _shown = changed.map_err(Refusal)?;
    let done = if asked.what == "thaw" { "thaw" } else { "freeze" };
    Ok(Redirect::to(&format!("/calendar?done={done}")).into_response())
}
