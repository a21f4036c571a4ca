//! Pages that move: fragments of HTML as server-sent events, sent when they differ from the last.
//! Every stream begins with the whole state, so that a browser that comes back has missed nothing.
//! Must never let a browser make a state up, and ends with the right to read.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tidegate_core::rights::Act;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::deployment::{board_of, course_of, read, series_of};
use super::now;
use super::series::Series;
use crate::api::Api;
use crate::problem::Problem;
use crate::ui::{Refusal, Viewer};

/// A page looks at the engine this often: the judge hears a tick a second.
const LOOK: Duration = Duration::from_secs(1);
/// A page without news is told this often that it is not stale.
const BEAT: Duration = Duration::from_secs(5);
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
    async fn send(&mut self, event: &'static str, body: String) -> Result<(), Left> {
        if self.sent.get(event) == Some(&body) {
            return Ok(());
        }
        self.push(event, body.clone()).await?;
        self.sent.insert(event, body);
        Ok(())
    }

    async fn push(&mut self, event: &'static str, body: String) -> Result<(), Left> {
        self.beat = tokio::time::Instant::now();
        let frame = Frame::default().event(event).data(body);
        self.frames.send(Ok(frame)).await.map_err(|_left| Left)
    }

    /// Says that the page is as new as it can be.
    async fn rest(&mut self) -> Result<(), Left> {
        if self.beat.elapsed() >= BEAT { self.push("beat", String::new()).await } else { Ok(()) }
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

/// Waits for the next look; `false` when the page is not to be told more.
async fn again(api: &Api, viewer: &Viewer, stream: &Stream) -> bool {
    tokio::select! {
        () = tokio::time::sleep(LOOK) => viewer.may(api, Act::Read),
        () = stream.frames.closed() => false,
        () = api.stopping().cancelled() => false,
    }
}

/// The stream of the first page.
pub(crate) async fn services(State(api): State<Api>, viewer: Viewer) -> Response {
    let (mut stream, receiver) = open();
    tokio::spawn(async move {
        loop {
            let Ok(body) = now::body(&api).await else { return };
            if stream.send("now", body).await.is_err() || stream.rest().await.is_err() {
                return;
            }
            if !again(&api, &viewer, &stream).await {
                return;
            }
        }
    });
    std::future::ready(answer(receiver)).await
}

/// The stream of a deployment's page.
pub(crate) async fn deployment(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    // Whoever asks for a deployment that there is not gets the page that says so.
    read(&api, &id).await?;
    let (mut stream, receiver) = open();
    tokio::spawn(async move {
        let mut seen = Seen::default();
        while let Ok(Told::More) = tell(&api, &id, &mut stream, &mut seen).await {
            if !again(&api, &viewer, &stream).await {
                return;
            }
        }
    });
    Ok(answer(receiver))
}

/// What a browser has.
#[derive(Default)]
struct Seen {
    seq: Option<u64>,
    points: Vec<Series>,
}

/// Whether there will be more.
enum Told {
    More,
    Ended,
}

async fn tell(api: &Api, id: &str, stream: &mut Stream, seen: &mut Seen) -> Result<Told, Left> {
    // A journal that does not answer leaves the page stale, and the page says so.
    let over = |_problem: Problem| Left;
    let d = read(api, id).await.map_err(over)?;
    stream.send("board", board_of(&d)).await?;
    if seen.seq != Some(d.seq) || d.ended() {
        let course = course_of(api, &d).await.map_err(over)?;
        stream.send("course", course).await?;
        seen.seq = Some(d.seq);
    }
    let series = series_of(api, id).await.map_err(over)?;
    if series != seen.points {
        let newest = tail(&series, &seen.points);
        stream.push("series", serde_json::to_string(&newest).unwrap_or_default()).await?;
        seen.points = series;
    }
    stream.rest().await?;
    if d.ended() {
        stream.push("end", d.state.clone()).await?;
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
