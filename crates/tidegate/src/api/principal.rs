//! Who asks: the user of the operating system at the other end of the socket, as the kernel says.
//! Must never take a name from the request itself.

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use tidegate_core::ids::Actor;
use tokio::net::UnixListener;

use crate::problem::Problem;

/// Most bytes of the table of users that are looked at for a name.
const USERS_BYTES_MAX: usize = 1024 * 1024;

/// The peer of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The user, if the kernel said.
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let uid = stream.io().peer_cred().ok().map(|credentials| credentials.uid());
        Self { uid }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Principal(pub(crate) String);

impl Principal {
    /// As events name them.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Person(self.0.clone())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let uid = peer.and_then(|ConnectInfo(peer)| peer.uid);
        let me = rustix::process::geteuid().as_raw();
        match uid {
            // The socket's mode keeps others out; this holds even where a mode is not honoured.
            Some(uid) if uid == me || uid == 0 => Ok(Self(user_name(uid))),
            Some(uid) => Err(denied(&format!("user {} does not own this server", user_name(uid)))),
            None => Err(denied("the kernel did not say who asks")),
        }
    }
}

/// Lets only requests through whose sender is known and allowed, whatever they ask for.
pub(super) async fn known(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match Principal::from_request_parts(&mut parts, &()).await {
        Ok(_principal) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

fn denied(what: &str) -> Problem {
    Problem::new(403, "TG7012", what)
        .safe("nothing was changed")
        .help("ask as the user who runs the server")
}

/// The name of a user, `uid-1000` when the machine has none.
pub(crate) fn user_name(uid: u32) -> String {
    let users = std::fs::read("/etc/passwd").unwrap_or_default();
    let users = users.get(..USERS_BYTES_MAX).unwrap_or(&users);
    name_in(&String::from_utf8_lossy(users), uid).unwrap_or_else(|| format!("uid-{uid}"))
}

fn name_in(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?;
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::name_in;

    #[test]
    fn a_name_is_found_by_number_only() {
        let users = "root:x:0:0:root:/home:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\nodd:x";
        assert_eq!(name_in(users, 1000).as_deref(), Some("ana"));
        assert_eq!(name_in(users, 0).as_deref(), Some("root"));
        assert_eq!(name_in(users, 100), None);
    }
}
