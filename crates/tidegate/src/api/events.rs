//! What happened to a deployment: as a list, or live as server-sent events with `id:` = sequence.
//! The journal is the source and the engine's channel only a bell, so nothing is ever missed.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tidegate_engine::Published;
use tidegate_engine::ports::DeploymentRow;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::narrate::Narrator;
use super::{Api, course, locate};
use crate::problem::Problem;
use crate::view;

/// What `Accept` says for a live stream.
pub(crate) const STREAM_TYPE: &str = "text/event-stream";
/// Frames that wait for a slow reader; past it the stream waits, the journal does not.
const FRAMES_MAX: usize = 64;
/// A silent stream says that it lives this often, and looks at the journal by itself.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Header of a reader that lost its stream.
const LAST_EVENT_ID: &str = "last-event-id";

/// The events of a deployment; live when `text/event-stream` is accepted.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}/events",
    tag = "deployments",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, body = view::Lines),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let live =
        headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes() == STREAM_TYPE.as_bytes());
    if live {
        let row = begun_or_wait(&api, &id).await?;
        return Ok(stream(api, row, last_seen(&headers)?));
    }
    let row = locate::begun(&api, &id).await?;
    let mut narrator = Narrator::default();
    let events = course::events(&api, &row, 0).await?;
    let events = events.iter().map(|recorded| narrator.line(recorded)).collect();
    Ok(axum::Json(view::Lines { events }).into_response())
}

fn last_seen(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(0) };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Problem::bad_request("Last-Event-ID is not the sequence of an event"))
}

/// A queued deployment has no events yet: the stream begins with its first one.
async fn begun_or_wait(api: &Api, id: &str) -> Result<DeploymentRow, Problem> {
    let mut bell = api.engine().subscribe();
    loop {
        match locate::deployment(api, id).await? {
            locate::Located::Begun(row) => return Ok(*row),
            locate::Located::Queued(..) => ring(api, &mut bell).await?,
        }
    }
}

/// Waits until something was published, or a heartbeat passed.
async fn ring(api: &Api, bell: &mut broadcast::Receiver<Published>) -> Result<(), Problem> {
    tokio::select! {
        // A reader that lagged only missed rings: the journal has the events.
        _rung = bell.recv() => Ok(()),
        () = tokio::time::sleep(HEARTBEAT) => Ok(()),
        () = api.stopping().cancelled() => Err(Problem::new(
            503,
            "TG6112",
            "the server is stopping",
        )
        .safe("the deployment goes on when a server runs again; traffic is as it was")),
    }
}

fn stream(api: Api, row: DeploymentRow, after: u64) -> Response {
    let (frames, receiver) = mpsc::channel::<Result<Frame, Infallible>>(FRAMES_MAX);
    tokio::spawn(async move {
        if let Err(problem) = feed(&api, &row, after, &frames).await {
            let body = serde_json::to_string(&problem).unwrap_or_default();
            // A reader that left does not need to know why the stream ends.
            let _left = frames.send(Ok(Frame::default().event("problem").data(body))).await;
        }
    });
    Sse::new(ReceiverStream::new(receiver))
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response()
}

/// Sends what is in the journal, then what comes, until the deployment ends or the reader leaves.
async fn feed(
    api: &Api,
    row: &DeploymentRow,
    after: u64,
    frames: &mpsc::Sender<Result<Frame, Infallible>>,
) -> Result<(), Problem> {
    let mut bell = api.engine().subscribe();
    let mut narrator = Narrator::default();
    // From the first event, so that a resumed reader gets the same words.
    let mut seen = 0;
    loop {
        let batch = course::events(api, row, seen).await?;
        let nothing = batch.is_empty();
        for recorded in batch {
            seen = recorded.seq;
            let line = narrator.line(&recorded);
            if recorded.seq > after {
                let body = serde_json::to_string(&line).unwrap_or_default();
                let frame = Frame::default().id(line.seq.to_string()).event("event").data(body);
                if frames.send(Ok(frame)).await.is_err() {
                    return Ok(());
                }
            }
            if course::is_end(&recorded.event, row) {
                return Ok(());
            }
        }
        if nothing {
            tokio::select! {
                rung = ring(api, &mut bell) => rung?,
                () = frames.closed() => return Ok(()),
            }
        }
    }
}
