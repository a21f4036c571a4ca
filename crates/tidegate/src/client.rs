//! The command line's way to the server: HTTP over its unix socket or the network, nothing else.
//! Must never open the journal, the proxy's socket or a slot.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::problem::Problem;
use crate::state_dir::StateDir;

pub(crate) mod credentials;
mod door;
mod stream;

pub(crate) use door::Door;
pub(crate) use stream::{Events, Frame};

/// An answer takes at most this long; the server ends a request earlier.
const ANSWER_WITHIN: Duration = Duration::from_mins(12);
/// Whether a server answers is known in this time.
const PING_WITHIN: Duration = Duration::from_secs(2);
/// Largest answer that is read, bytes: a report is the largest, 128 MiB.
const ANSWER_BYTES_MAX: usize = 129 * 1024 * 1024;

/// A server by its place.
#[derive(Clone)]
pub(crate) struct Client {
    door: Door,
    token: Option<String>,
}

impl std::fmt::Debug for Client {
    /// Without the token: it is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("door", &self.door).finish_non_exhaustive()
    }
}

impl Client {
    /// The server of a place. Connects on each request.
    pub(crate) fn new(door: Door) -> Self {
        let token = credentials::of(&door);
        Self { door, token }
    }

    /// The same server, asked without a token: to sign in.
    pub(crate) fn without_token(&self) -> Self {
        Self { door: self.door.clone(), token: None }
    }

    /// The server of a state directory.
    pub(crate) fn of(dir: &StateDir) -> Self {
        Self::new(Door::Socket(dir.server_socket()))
    }

    /// Its place.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// Its socket, when it is on this machine.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.door.socket()
    }

    /// Whether a server answers.
    pub(crate) async fn answers(&self) -> bool {
        let asked = self.get::<serde_json::Value>("/v1/server");
        matches!(tokio::time::timeout(PING_WITHIN, asked).await, Ok(Ok(_)))
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// [`Failure`] when no server answers, or what it answered with a problem.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let bytes = self.bytes(Method::GET, path, None).await?;
        read(&bytes, path)
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`Failure`] when no server answers, or what it answered with a problem.
    pub(crate) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::local)?;
        let bytes = self.bytes(Method::POST, path, Some(body.into())).await?;
        read(&bytes, path)
    }

    /// Asks with a body as it is, and answers with the bytes as they are.
    ///
    /// # Errors
    /// [`Failure`] when no server answers, or what it answered with a problem.
    pub(crate) async fn bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Bytes, Failure> {
        let request = request(&self.door, method, path, body, None)?;
        let asked = async {
            let response = self.send(request).await?;
            let status = response.status();
            let body = collect(response).await?;
            if status.is_success() { Ok(body) } else { Err(refused(status.as_u16(), &body)) }
        };
        match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Failure::new(
                Exit::Unreachable,
                "TG7011",
                "the server did not answer in 12 minutes",
            )),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// [`Failure`] when no server answers, or what it answered with a problem.
    pub(crate) async fn send_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let bytes = self.bytes(Method::POST, path, Some(body.into())).await?;
        read(&bytes, path)
    }

    /// The events of a deployment after a sequence, live until it ends.
    ///
    /// # Errors
    /// [`Failure`] when no server answers, or what it answered with a problem.
    pub(crate) async fn events(&self, id: &str, after: u64) -> Result<Events, Failure> {
        let path = format!("/v1/deployments/{}/events", encode(id));
        let request = request(&self.door, Method::GET, &path, None, Some(after))?;
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(refused(status.as_u16(), &collect(response).await?));
        }
        Ok(Events::new(response.into_body()))
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        if let Some(token) = &self.token {
            let bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_odd| {
                Failure::new(Exit::Usage, "TG7041", "the token is not one").help("`tidegate login`")
            })?;
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        let stream = self.door.connect().await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the server ended");
            }
        });
        sender.send_request(request).await.map_err(|error| broken(&error))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let door = &self.door;
        if door.socket().is_none() {
            return Failure::new(
                Exit::Unreachable,
                "TG7001",
                format!("no server answers at {door} ({error})"),
            )
            .safe("nothing was changed; applications go on, with the traffic as it is")
            .help("`tidegate context list` shows which servers you know");
        }
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Failure::new(Exit::NotAllowed, "TG7012", format!("{door} belongs to another user"))
                    .help(
                        "ask as the user who runs the server, or name your own with `--state-dir`",
                    )
            }
            _ => Failure::new(
                Exit::Unreachable,
                "TG7001",
                format!("no server answers at {door} ({error})"),
            )
            .safe("applications and proxy go on without it, with the traffic as it is")
            .help("start it with `tidegate server run`; `tidegate deploy` starts one by itself"),
        }
    }
}

fn request(
    door: &Door,
    method: Method,
    path: &str,
    body: Option<Bytes>,
    stream_after: Option<u64>,
) -> Result<Request<Full<Bytes>>, Failure> {
    let mut builder = Request::builder().method(method).uri(path).header(HOST, door.host());
    if body.is_some() {
        builder = builder.header(CONTENT_TYPE, "application/json");
    }
    if let Some(after) = stream_after {
        builder = builder.header(ACCEPT, "text/event-stream").header("last-event-id", after);
    }
    builder.body(Full::new(body.unwrap_or_default())).map_err(|error| {
        Failure::new(Exit::Usage, "TG7003", format!("{path} is not a path: {error}"))
    })
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, Failure> {
    match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(unintelligible("the answer is larger than 129 MiB"))
        }
        Err(error) => Err(broken(&error)),
    }
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Unreachable,
        "TG7001",
        format!("the server went away while it answered ({error})"),
    )
    .safe("whether it took effect is in the journal; traffic is as it was last decided")
    .help("`tidegate server run`, then `tidegate status`")
}

fn unintelligible(what: &str) -> Failure {
    Failure::new(Exit::Unexpected, "TG7014", what)
        .help("the server may be of another release: `tidegate server status`")
}

fn read<T: DeserializeOwned>(bytes: &Bytes, path: &str) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        unintelligible(&format!("the answer to {path} is not understood: {error}"))
    })
}

fn refused(status: u16, body: &Bytes) -> Failure {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.into(),
        Err(_other) => unintelligible(&format!("the server answered with status {status}")),
    }
}

/// A text as one segment of a path, or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    tidegate_proxy::wire::encode_service(text)
}
