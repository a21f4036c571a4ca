//! Messages: what was told to whom, what is stuck, and what a person does about it.
//! Must never send but through the outbox, a test apart.

use axum::extract::{Path, State};
use serde::Deserialize;
use tidegate_core::ids::{EnvironmentName, Scope, ServiceName};
use tidegate_core::input::Command;
use tidegate_core::message::{
    self, Delivery, Family, Handling, Letter, Occasion, Receiver, Sent, Signal, Stands,
};
use utoipa::IntoParams;

use super::body::{Body, Query};
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, deployments, locate};
use crate::problem::Problem;
use crate::view::message::{Handle, Message, Messages, Try};
use crate::view::people::Changed;

/// Which messages.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Only of this service.
    pub(crate) service: Option<String>,
    /// Only of this environment.
    pub(crate) environment: Option<String>,
}

/// What is told, what is stuck, and the newest of what was told.
#[utoipa::path(
    get,
    path = "/v1/messages",
    tag = "messages",
    params(Asked),
    responses((status = 200, body = Messages))
)]
pub(crate) async fn list(State(api): State<Api>, Query(asked): Query<Asked>) -> Reply<Messages> {
    let (service, environment) = (asked.service.as_deref(), asked.environment.as_deref());
    let wanted = |scope: &Scope| locate::fits(scope, service, environment);
    let mut messages = Vec::new();
    for scope in api.engine().scopes().into_iter().filter(wanted) {
        let Some(state) = api.engine().state(&scope) else { continue };
        let sent = state.outbox.sent.iter().rev().map(|sent| of_sent(&scope, sent));
        messages.extend(state.outbox.letters.iter().map(|letter| of_letter(&scope, letter)));
        messages.extend(sent);
    }
    std::future::ready(Ok(axum::Json(Messages { messages }))).await
}

/// A message that is not done with, as it is shown.
pub(crate) fn of_letter(scope: &Scope, letter: &Letter) -> Message {
    let (state, until, said) = match &letter.stands {
        Stands::Draft => ("draft", None, None),
        Stands::Due => ("due", None, None),
        Stands::Resting { until, said } => ("resting", Some(*until), Some(said.clone())),
        Stands::Dead { said } => ("dead", None, Some(said.clone())),
    };
    let before = matches!(letter.stands, Stands::Draft | Stands::Due);
    let attempts = letter.attempt.saturating_sub(u32::from(before));
    let shown = shown(scope, letter.number, &letter.message);
    Message { state: state.to_owned(), at: letter.at, attempts, until, said, ..shown }
}

fn of_sent(scope: &Scope, sent: &Sent) -> Message {
    let shown = shown(scope, sent.number, &sent.message);
    Message { at: sent.at, attempts: sent.attempts, ..shown }
}

fn shown(scope: &Scope, number: u64, message: &message::Message) -> Message {
    Message {
        number,
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        on: message.on.word().to_owned(),
        channel: message.to.family.word().to_owned(),
        address: message.to.address.clone(),
        state: "sent".to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
        attempts: 0,
        until: None,
        said: None,
        title: message.title.clone(),
        text: message.text.clone(),
        deployment: message.deployment.as_ref().map(ToString::to_string),
        incident: message.incident.as_ref().map(ToString::to_string),
    }
}

/// Do something about a message.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/messages/{number}",
    tag = "messages",
    params(
        ("service" = String, Path, description = "The service"),
        ("number" = u64, Path, description = "The message"),
    ),
    request_body = Handle,
    responses(
        (status = 200, body = Changed),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn handle(
    State(api): State<Api>,
    principal: Principal,
    Path((service, number)): Path<(String, u64)>,
    Body(asked): Body<Handle>,
) -> Reply<Changed> {
    deployments::check_key(asked.key.as_deref())?;
    let (scope, _) = locate::service(&api, &service, asked.environment.as_deref())?;
    let (handling, done) = match asked.act.as_str() {
        "redeliver" => (Handling::Redeliver, "is sent again"),
        "release" => (Handling::Release { text: asked.text }, "is let out"),
        "drop" => (Handling::Drop { reason: asked.reason.unwrap_or_default() }, "is dropped"),
        other => {
            let other = crate::text::plain(other);
            return Err(Problem::bad_request(format!(
                "`act: {other}` is none of redeliver, release, drop"
            )));
        }
    };
    let command = Command::Message { number, handling };
    api.engine().command(&scope, principal.actor(), asked.key, command).await?;
    tracing::info!(%scope, number, by = %principal.name, "message {done}");
    Ok(axum::Json(Changed { sentence: format!("message {number} of {scope} {done}") }))
}

/// Send a test message now; what the channel answers is the answer.
#[utoipa::path(
    post,
    path = "/v1/messages/test",
    tag = "messages",
    request_body = Try,
    responses(
        (status = 200, body = Changed),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 502, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn attempt(
    State(api): State<Api>,
    principal: Principal,
    Body(asked): Body<Try>,
) -> Reply<Changed> {
    let known = Family::ALL.into_iter().find(|family| family.word() == asked.channel);
    // Customers are not to read tests.
    let family = known.filter(|family| *family != Family::StatusPage).ok_or_else(|| {
        let channel = crate::text::plain(&asked.channel);
        Problem::bad_request(format!("`{channel}` is no channel that can be tried"))
            .help("try email, pagerduty, slack, teams or webhook")
    })?;
    let scope = Scope {
        service: ServiceName::new("tidegate").map_err(|error| odd(&error))?,
        environment: EnvironmentName::new("test").map_err(|error| odd(&error))?,
    };
    let to = Receiver { family, address: asked.address };
    let letter = Letter {
        number: u64::try_from(api.now().as_millisecond()).unwrap_or_default(),
        at: api.now(),
        message: message::Message {
            on: Occasion::Start,
            to: to.clone(),
            signal: Signal::Note,
            about: "test".to_owned(),
            page: String::new(),
            deployment: None,
            incident: None,
            version: String::new(),
            title: "Tidegate: a test".to_owned(),
            text: format!("{} asked for this test; nothing has happened.", principal.name),
            next: None,
        },
        attempt: 1,
        stands: Stands::Due,
    };
    match api.ports().messages.send(&scope, &letter, None).await {
        Delivery::Taken { .. } => {
            Ok(axum::Json(Changed { sentence: format!("{to} took a test message") }))
        }
        Delivery::Refused { why, .. } => {
            let (code, what) = why.split_once(": ").unwrap_or(("TG7162", why.as_str()));
            Err(Problem::new(502, code, what.to_owned())
                .safe("nothing else was sent")
                .help("`channels:` in server.yaml says how it is reached"))
        }
    }
}

fn odd(error: &tidegate_core::ids::InvalidName) -> Problem {
    Problem::bad_request(error.to_string())
}
