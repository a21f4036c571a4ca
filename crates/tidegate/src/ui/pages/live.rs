//! Pages that move: fragments of HTML as server-sent events, sent when they differ from the last.
//! Every stream begins with the whole state, so that a browser that comes back has missed nothing.
//! Must never let a browser make a state up, and ends with the right to read.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tidegate_core::rights::Act;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::looks::{Look, Seen, Subject};
use super::series::Series;
use crate::api::body::Query;
use crate::api::{Api, locate};
use crate::ui::{Refusal, Viewer};

/// A page without news is told this often that it is not stale.
const BEAT: Duration = Duration::from_secs(5);
/// The event of the points of the charts.
const SERIES: &str = "series";
/// Frames that wait for a slow browser; past it the stream waits, nothing else does.
const FRAMES_MAX: usize = 16;
/// Points that are sent anew each time: a tick may come late into the one before the last.
const TAIL: usize = 3;

/// A stream of fragments, each sent when it changes.
struct Stream {
    frames: mpsc::Sender<Result<Frame, Infallible>>,
    sent: std::collections::BTreeMap<&'static str, String>,
    beat: tokio::time::Instant,
}

/// The browser left.
struct Left;

impl Stream {
    async fn send(&mut self, event: &'static str, body: &str) -> Result<(), Left> {
        if self.sent.get(event).is_some_and(|sent| sent == body) {
            return Ok(());
        }
        self.push(event, body).await?;
        self.sent.insert(event, body.to_owned());
        Ok(())
    }

    async fn push(&mut self, event: &'static str, body: &str) -> Result<(), Left> {
        self.beat = tokio::time::Instant::now();
        let frame = Frame::default().event(event).data(body);
        self.frames.send(Ok(frame)).await.map_err(|_left| Left)
    }

    /// Says that the page is as new as it can be.
    async fn rest(&mut self) -> Result<(), Left> {
        if self.beat.elapsed() >= BEAT { self.push("beat", "").await } else { Ok(()) }
    }
}

fn answer(frames: mpsc::Receiver<Result<Frame, Infallible>>) -> Response {
    Sse::new(ReceiverStream::new(frames)).keep_alive(KeepAlive::new()).into_response()
}

fn open() -> (Stream, mpsc::Receiver<Result<Frame, Infallible>>) {
    let (frames, receiver) = mpsc::channel(FRAMES_MAX);
    let sent = std::collections::BTreeMap::new();
    (Stream { frames, sent, beat: tokio::time::Instant::now() }, receiver)
}

/// The stream of the first page.
pub(crate) async fn services(State(api): State<Api>, viewer: Viewer) -> Response {
    std::future::ready(follow(api, viewer, Subject::Now, &["now"])).await
}

/// Which page asks.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    part: Option<String>,
}

/// The stream of a deployment's page.
pub(crate) async fn deployment(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    // Whoever asks for a deployment that there is not gets the page that says so.
    locate::deployment(&api, &id).await?;
    let wanted: &[&str] = match asked.part.as_deref() {
        Some("why") => &["why"],
        _ => &["board", "course", SERIES],
    };
    Ok(follow(api, viewer, Subject::Deployment(id), wanted))
}

/// Tells a browser what is seen, as long as there is more, it is there and who looks may read.
fn follow(api: Api, viewer: Viewer, subject: Subject, wanted: &'static [&'static str]) -> Response {
    let (mut stream, receiver) = open();
    let mut seen: Seen = api.parts().looks.of(&api, subject);
    tokio::spawn(async move {
        let mut points = Vec::new();
        loop {
            let look = seen.borrow_and_update().clone();
            if let Some(look) = look {
                let told = tell(&look, wanted, &mut stream, &mut points).await;
                if !matches!(told, Ok(Told::More)) {
                    return;
                }
            }
            let more = tokio::select! {
                changed = seen.changed() => changed.is_ok() && viewer.may(&api, Act::Read),
                () = stream.frames.closed() => false,
                () = api.stopping().cancelled() => false,
            };
            if !more {
                return;
            }
        }
    });
    answer(receiver)
}

/// Whether there will be more.
enum Told {
    More,
    Ended,
}

async fn tell(
    look: &Look,
    wanted: &[&str],
    stream: &mut Stream,
    points: &mut Vec<Series>,
) -> Result<Told, Left> {
    for (part, body) in look.parts.iter().filter(|(part, _)| wanted.contains(part)) {
        stream.send(part, body).await?;
    }
    if wanted.contains(&SERIES) && look.series != *points {
        let newest = tail(&look.series, points);
        stream.push(SERIES, &serde_json::to_string(&newest).unwrap_or_default()).await?;
        points.clone_from(&look.series);
    }
    stream.rest().await?;
    if let Some(state) = &look.ended {
        stream.push("end", state).await?;
        return Ok(Told::Ended);
    }
    Ok(Told::More)
}

/// The points that a browser does not have; all of them when the grid changed.
fn tail(series: &[Series], before: &[Series]) -> Vec<Series> {
    series
        .iter()
        .map(|one| {
            let same = |old: &&Series| old.part == one.part && old.width_s == one.width_s;
            let known = before.iter().find(same).map_or(0, |old| old.at.len());
            let from = known.saturating_sub(TAIL);
            let mut one = one.clone();
            one.at.drain(..from.min(one.at.len()));
            for chart in &mut one.charts {
                chart.live.drain(..from.min(chart.live.len()));
                chart.candidate.drain(..from.min(chart.candidate.len()));
            }
            one
        })
        .collect()
}
