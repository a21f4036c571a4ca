//! The public status page: how the services are, for those who use them. Only where `server.yaml`
//! says `status_page: true`. Must never show a version, a name of a person, or a reason.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use tidegate_core::state::State as ServiceState;

use super::show::Light;
use crate::api::Api;
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Visitor, page};

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    shell: Shell,
    services: Vec<Public>,
    sentence: &'static str,
    now: Timestamp,
}

/// A service as strangers see it.
struct Public {
    name: String,
    light: Light,
}

/// The page.
pub(crate) async fn show(State(api): State<Api>, visitor: Visitor) -> Result<Response, Refusal> {
    if !api.parts().status_page {
        let problem = Problem::not_found("TG7002", "this server has no public status page");
        return Err(Refusal(problem.help("`status_page: true` in server.yaml makes one")));
    }
    let scopes = api.engine().scopes();
    let services: Vec<Public> = scopes
        .iter()
        .filter_map(|scope| {
            let state = api.engine().state(scope)?;
            Some(Public {
                name: format!("{} ({})", scope.service, scope.environment),
                light: light(&state),
            })
        })
        .collect();
    let all = |tone: &str| services.iter().all(|public| public.light.tone == tone);
    let sentence = match (services.is_empty(), all("good")) {
        (true, _) => "No service is known here yet.",
        (false, true) => "Everything works.",
        (false, false) => "Something is being looked after.",
    };
    let shown = StatusPage { shell: visitor.shell("Status"), services, sentence, now: api.now() };
    Ok(std::future::ready(page(StatusCode::OK, &shown)).await)
}

fn light(state: &ServiceState) -> Light {
    let made = |icon, word: &str, tone| Light { icon, word: word.to_owned(), tone };
    let live = state.parts.values().any(|part| part.live.is_some());
    // A slot that is live and has no instance answers nobody.
    let down = state.parts.values().any(|part| {
        part.live.as_ref().and_then(|live| part.slots.get(live)).is_some_and(|slot| {
            slot.want.as_ref().is_some_and(|tenant| tenant.instances > 0)
                && slot.observed.ready == 0
        })
    });
    let returning = state.current.as_ref().is_some_and(|current| current.going_back.is_some());
    match (&state.fault, live, down, returning, state.current.is_some()) {
        (_, _, true, ..) => made("cross", "does not answer", "bad"),
        (Some(_), ..) => made("question", "is being looked at", "doubtful"),
        (None, _, _, true, _) => made("back", "returns to the version before", "doubtful"),
        (None, true, _, _, true) => made("check", "works, an update is under way", "good"),
        (None, true, ..) => made("check", "works", "good"),
        (None, false, ..) => made("dot", "is not live yet", "faint"),
    }
}
