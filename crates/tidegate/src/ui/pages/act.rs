//! What people do to a deployment in flight: hold, resume, advance, abort, roll back. Plain forms
//! that need no script; each says before what will be asked of the world.
//! Must never act on another deployment than the one that the form shows.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::deployment::read;
use super::show::{self, Light};
use crate::api::body::Body;
use crate::api::{Api, decisions, services};
use crate::client::encode;
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::{Deployment, Hold, request};

/// How long a hold can be asked for, in minutes, with the words for it.
const HOLDS: [(u64, &str); 4] =
    [(15, "15 minutes"), (60, "1 hour"), (4 * 60, "4 hours"), (12 * 60, "12 hours")];

#[derive(Template)]
#[template(path = "act.html")]
struct ActPage {
    shell: Shell,
    d: Deployment,
    light: Light,
    /// A hold that a person can end.
    resumable: Option<Hold>,
    holds: [(u64, &'static str); 4],
}

#[derive(Template)]
#[template(path = "rollback.html")]
struct RollbackPage {
    shell: Shell,
    d: Deployment,
    light: Light,
}

/// What the address of a page says was just done.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Done {
    done: Option<String>,
}

impl Done {
    /// The words for it; none for a word that no form of ours leads to.
    pub(super) fn words(&self) -> Option<&'static str> {
        Some(match self.done.as_deref()? {
            "hold" => {
                "Recorded: it holds. Nothing goes forward until somebody resumes it, or the hold ends."
            }
            "resume" => "Recorded: it goes on as its rules say.",
            "advance" => "Recorded: it goes to the next step.",
            "abort" => "Recorded: it is stopped and returns to the safe state.",
            "rollback" => {
                "Recorded: it goes back. What is asked of the world stands below as it happens."
            }
            "approve" => "Recorded: your approval counts for exactly this binding.",
            "attest" => "Recorded: you vouched for it.",
            "reject" => "Recorded: it is refused. The next plan has to answer your reason.",
            "waive" => "Recorded: the gate is set aside for this version until then.",
            "freeze" => "Recorded: no deployment begins in that time.",
            "thaw" => "Recorded: the freeze is over.",
            "ack" => "Recorded: you are on it. Nobody else is called.",
            "note" | "cause" | "regulator" => "Recorded: it is written down.",
            "assign" => "Recorded: who does what.",
            "weigh" => "Recorded: its class, and why.",
            "resolve" => "Recorded: it is over. What was learnt is owed.",
            "release" => "Recorded: customers read it as soon as the page takes it.",
            "withdraw" => "Recorded: your approval is taken back.",
            _ => return None,
        })
    }
}

/// The forms to hold, resume, advance and abort.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    let shell = super::shell(&api, &viewer, "Act");
    let light = show::headline(&d);
    let by_people = |hold: &Hold| matches!(hold.cause.as_str(), "person" | "condition");
    let resumable = d.hold.clone().filter(by_people);
    Ok(page(StatusCode::OK, &ActPage { shell, light, resumable, holds: HOLDS, d }))
}

/// One of those forms, as it comes back.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    what: String,
    reason: Option<String>,
    minutes: Option<u64>,
    step: Option<u32>,
}

/// Does what a form asks.
pub(crate) async fn give(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
    Form(asked): Form<Asked>,
) -> Result<Response, Refusal> {
    let (state, who, path) = (State(api), viewer.principal, Path(id.clone()));
    let reason = request::Reason { reason: asked.reason.clone(), key: None };
    let accepted = match asked.what.as_str() {
        "hold" => {
            let lasts_ms = asked.minutes.map(|minutes| minutes.saturating_mul(60_000));
            let hold = request::Hold { reason: asked.reason, lasts_ms, key: None };
            decisions::hold(state, who, path, Body(hold)).await?
        }
        "resume" => decisions::resume(state, who, path, Body(reason)).await?,
        "abort" => decisions::abort(state, who, path, Body(reason)).await?,
        "advance" => {
            let Some(step) = asked.step else {
                return Err(Refusal(Problem::bad_request("the form names no step")));
            };
            let advance = request::Advance { step, key: None };
            decisions::advance(state, who, path, Body(advance)).await?
        }
        other => {
            let other = crate::text::plain(other);
            return Err(Refusal(Problem::bad_request(format!("there is no act `{other}`"))));
        }
    };
    Ok(back(&accepted.0.id, &asked.what))
}

/// Leads to the page of the deployment, which says what was done.
pub(super) fn back(id: &str, done: &str) -> Response {
    Redirect::to(&format!("/d/{}?done={}", encode(id), encode(done))).into_response()
}

/// The one confirmation of a rollback, with what it will ask of the world.
pub(crate) async fn show_rollback(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    let shell = super::shell(&api, &viewer, "Roll back");
    let light = show::headline(&d);
    Ok(page(StatusCode::OK, &RollbackPage { shell, d, light }))
}

/// The confirmation, as it comes back.
#[derive(Debug, Deserialize)]
pub(crate) struct Confirmed {
    reason: Option<String>,
}

/// Rolls back. It needs no approval, no ticket, no window and no second factor.
pub(crate) async fn roll_back(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
    Form(asked): Form<Confirmed>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    if d.ended() {
        let what = format!("{id} ended meanwhile: {}", d.sentence);
        let problem = Problem::new(409, "TG7501", what);
        return Err(Refusal(
            problem.safe("nothing was changed").help("look at the service again: /"),
        ));
    }
    let rollback = request::Rollback {
        environment: Some(d.environment.clone()),
        to: None,
        reason: asked.reason,
        key: None,
    };
    let service = Path(d.service.clone());
    let accepted =
        services::rollback(State(api), viewer.principal, service, Body(rollback)).await?;
    Ok(back(&accepted.0.id, "rollback"))
}
