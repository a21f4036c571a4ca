//! Practice: ways back that were gone, against what was promised, and faults to rehearse on a
//! virtual clock. Must never touch a real slot.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tidegate_engine::simulate::{self, SCENARIOS, Scenario, Setting, Users};

use super::show;
use crate::api::{Api, Narrator, locate};
use crate::problem::Problem;
use crate::text::{count, plain, span};
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::Measured;

/// A way back of a release that runs is promised in about so many milliseconds.
const PROMISED_MS: i64 = 1_000;

#[derive(Template)]
#[template(path = "practice.html")]
struct PracticePage {
    shell: Shell,
    services: Vec<Practised>,
    scenarios: [Scenario; SCENARIOS.len()],
    played: Option<Played>,
}

/// A service with its ways back.
struct Practised {
    service: String,
    environment: String,
    backs: Vec<Timed>,
}

/// A way back against the promise.
struct Timed {
    view: Measured,
    kept: bool,
}

/// A rehearsal.
struct Played {
    title: String,
    sentence: String,
    good: bool,
    lines: Vec<(String, String)>,
}

/// The page.
pub(crate) async fn show(State(api): State<Api>, viewer: Viewer) -> Response {
    std::future::ready(page(StatusCode::OK, &practice(&api, &viewer, None))).await
}

fn practice(api: &Api, viewer: &Viewer, played: Option<Played>) -> PracticePage {
    let scopes = api.engine().scopes();
    let services = scopes.iter().filter_map(|scope| {
        let state = api.engine().state(scope)?;
        let backs = crate::api::ahead::measured(&state).into_iter();
        Some(Practised {
            service: scope.service.to_string(),
            environment: scope.environment.to_string(),
            backs: backs.map(|view| Timed { kept: view.safe_ms <= PROMISED_MS, view }).collect(),
        })
    });
    PracticePage {
        shell: super::shell(api, viewer, "Practice"),
        services: services.collect(),
        scenarios: SCENARIOS,
        played,
    }
}

/// What is to be rehearsed.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// `service/environment`.
    place: String,
    scenario: String,
}

/// Plays the newest plan of a service against a fault, on a virtual clock.
pub(crate) async fn play(
    State(api): State<Api>,
    viewer: Viewer,
    Form(asked): Form<Asked>,
) -> Result<Response, Refusal> {
    let (service, environment) = asked.place.split_once('/').unwrap_or((&asked.place, ""));
    let (scope, state) = locate::service(&api, service, Some(environment))?;
    let scenario = Scenario::named(&asked.scenario).ok_or_else(|| {
        Problem::new(400, "TG7033", format!("there is no scenario `{}`", plain(&asked.scenario)))
            .safe("nothing was run")
    })?;
    let plan = state.newest_plan().cloned().ok_or_else(|| {
        Problem::not_found("TG7010", format!("nothing that was deployed to {scope} is remembered"))
    })?;
    let setting = Setting { scenario, users: Users::default(), seed: 1 };
    let work = tokio::task::spawn_blocking(move || simulate::simulate(&plan, &setting));
    let failed = |what: String| {
        Problem::new(500, "TG7034", format!("the rehearsal ended early: {what}"))
            .safe("nothing was changed: it runs on a virtual clock")
    };
    let course = work.await.map_err(|error| failed(error.to_string()))?;
    let course = course.map_err(|error| failed(error.to_string()))?;
    let played = told(&scope.to_string(), &scenario, &course);
    Ok(page(StatusCode::OK, &practice(&api, &viewer, Some(played))))
}

fn told(scope: &str, scenario: &Scenario, course: &simulate::Course) -> Played {
    let (ending, why) = match &course.ending {
        Some((ending, why, _)) => (ending.words(), why.as_str()),
        None => ("it did not end", "two days were not enough"),
    };
    let found = course.fault_at.zip(course.decided_at);
    let found = found.map(|(fault, decided)| span(decided.duration_since(fault)));
    let sentence = format!(
        "{ending}: {why}. {}{} requests met the new version, {} of them failed",
        found
            .as_ref()
            .map(|found| format!("Decided {found} after the fault. "))
            .unwrap_or_default(),
        count(course.exposed),
        count(course.failed)
    );
    let mut narrator = Narrator::default();
    let line = |recorded| {
        let line = narrator.line(recorded);
        (format!("+{}", show::between(&course.began_at, &line.at)), plain(&line.text))
    };
    Played {
        title: format!("{scope}: {}", scenario.about),
        sentence: plain(&sentence),
        good: course.fault_at.is_none() || course.decided_at.is_some(),
        lines: course.events.iter().map(line).collect(),
    }
}
