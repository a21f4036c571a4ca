//! Who asks: whoever the token or the cookie names, else the user of the operating system at the
//! other end of the socket, as the kernel says; on the network nobody is the owner of the socket.
//! Must never take a name from the request itself.

use std::net::IpAddr;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use jiff::Timestamp;
use tidegate_core::approval::{Credential, Facts};
use tidegate_core::ids::Actor;
use tidegate_core::rights::Act;
use tokio::net::UnixListener;

use super::Api;
use super::browser::{self, Jar};
use crate::people::{Bearer, STEP_UP, SignedIn, Way};
use crate::problem::Problem;

/// Most bytes of the table of users that are looked at for a name.
const USERS_BYTES_MAX: usize = 1024 * 1024;

/// The door of the kernel's word.
const DOOR_SOCKET: &str = "socket";

/// The peer of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    /// At the other end of the unix socket.
    Socket {
        /// The user, if the kernel said.
        uid: Option<u32>,
    },
    /// On the network.
    Network {
        /// From where.
        address: IpAddr,
        /// Whether TLS protects the way between browser and server.
        encrypted: bool,
    },
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let uid = stream.io().peer_cred().ok().map(|credentials| credentials.uid());
        Self::Socket { uid }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// The account, the token, or the user of the machine.
    pub(crate) name: String,
    /// How they proved who they are.
    pub(crate) credential: Credential,
    /// What is known of the account.
    pub(crate) facts: Facts,
    session: Option<SignedIn>,
}

impl Principal {
    /// As events name them.
    pub(crate) fn actor(&self) -> Actor {
        if self.facts.human {
            Actor::Person(self.name.clone())
        } else {
            Actor::Robot(self.name.clone())
        }
    }

    /// Refuses an act that matters when the second factor was shown too long ago. The kernel's word
    /// is always fresh.
    pub(crate) fn proven_lately(&self, now: Timestamp) -> Result<(), Problem> {
        match &self.session {
            Some(session) if now.duration_since(session.proven_at) >= STEP_UP => Err(Problem::new(
                401,
                "TG7042",
                "this needs a second factor younger than 5 minutes",
            )
            .safe("nothing was changed")
            .help(match session.way {
                Way::Terminal | Way::Browser => "`tidegate login --confirm`, then the same again",
                Way::Link => "open a fresh link: `tidegate login --link`",
            })),
            _ => Ok(()),
        }
    }

    /// Whether this is a session of a browser.
    fn is_in_a_browser(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.way != Way::Terminal)
    }

    /// Refuses everybody but whoever the kernel calls the owner of this server.
    pub(crate) fn owns_the_socket(&self) -> Result<(), Problem> {
        if self.credential.door == DOOR_SOCKET {
            return Ok(());
        }
        Err(denied("only the owner of the server's socket may do this, on its machine"))
    }

    /// The session, where it is one.
    pub(crate) fn signed_in(&self) -> Result<SignedIn, Problem> {
        self.session.clone().ok_or_else(|| {
            Problem::bad_request(format!("{} did not sign in: there is no session", self.name))
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| denied("nobody knows who asks"))
    }
}

/// What a route needs of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: it tells nothing of this server.
    Nothing,
    /// Somebody who is known.
    Somebody,
    /// This right.
    Right(Act),
    /// A right that is checked when the event is appended.
    AtTheAppend,
}

/// Every route with what it needs. A route that is not here is denied.
pub(crate) const ROUTES: &[(&str, &str, Needs)] = &[
    ("GET", "/v1/openapi.json", Needs::Nothing),
    ("GET", "/v1/errors/{code}", Needs::Nothing),
    ("GET", "/healthz", Needs::Nothing),
    ("GET", "/readyz", Needs::Nothing),
    ("GET", "/metrics", Needs::Right(Act::Read)),
    ("POST", "/v1/setup", Needs::Nothing),
    ("POST", "/v1/session", Needs::Nothing),
    ("GET", "/v1/whoami", Needs::Somebody),
    ("POST", "/v1/session/confirm", Needs::Somebody),
    ("POST", "/v1/session/end", Needs::Somebody),
    ("POST", "/v1/session/link", Needs::Somebody),
    ("GET", "/v1/deployments", Needs::Right(Act::Read)),
    ("GET", "/v1/deployments/{id}", Needs::Right(Act::Read)),
    ("GET", "/v1/deployments/{id}/events", Needs::Right(Act::Read)),
    ("GET", "/v1/deployments/{id}/logs", Needs::Right(Act::Read)),
    ("GET", "/v1/deployments/{id}/approvals", Needs::Right(Act::Read)),
    ("GET", "/v1/deployments/{id}/checklist", Needs::Right(Act::Read)),
    ("GET", "/v1/inbox", Needs::Right(Act::Read)),
    ("GET", "/v1/services", Needs::Right(Act::Read)),
    ("GET", "/v1/services/{service}/slots", Needs::Right(Act::Read)),
    ("GET", "/v1/services/{service}/targets", Needs::Right(Act::Read)),
    ("GET", "/v1/services/{service}/traffic", Needs::Right(Act::Read)),
    ("GET", "/v1/server", Needs::Right(Act::Read)),
    ("GET", "/v1/proxy", Needs::Right(Act::Read)),
    ("POST", "/v1/check", Needs::Right(Act::Read)),
    ("POST", "/v1/plans", Needs::Right(Act::Read)),
    ("POST", "/v1/gates", Needs::Right(Act::Read)),
    ("GET", "/v1/deployments/{id}/verdicts", Needs::Right(Act::Read)),
    ("GET", "/v1/deployments/{id}/verdicts/{number}", Needs::Right(Act::Read)),
    ("POST", "/v1/services/{service}/backtest", Needs::Right(Act::Read)),
    ("GET", "/v1/services/{service}/evidence", Needs::Right(Act::Read)),
    ("POST", "/v1/services/{service}/evidence/verify", Needs::Right(Act::Read)),
    ("GET", "/v1/evidence/{digest}", Needs::Right(Act::Read)),
    ("GET", "/v1/services/{service}/duties", Needs::Right(Act::Read)),
    ("POST", "/v1/services/{service}/duties/{duty}/done", Needs::AtTheAppend),
    ("GET", "/v1/services/{service}/backups", Needs::Right(Act::Read)),
    ("POST", "/v1/services/{service}/backups", Needs::Right(Act::AddEvidence)),
    ("POST", "/v1/services/{service}/backups/{id}/verify", Needs::Right(Act::Ask)),
    ("POST", "/v1/services/{service}/backups/{id}/drill", Needs::Right(Act::AddEvidence)),
    ("POST", "/v1/services/{service}/backups/{id}/restore", Needs::Right(Act::Return)),
    ("POST", "/v1/services/{service}/backups/{id}/hold", Needs::AtTheAppend),
    ("POST", "/v1/evidence", Needs::AtTheAppend),
    ("POST", "/v1/waivers", Needs::AtTheAppend),
    ("GET", "/v1/services/{service}/calendar", Needs::Right(Act::Read)),
    ("POST", "/v1/services/{service}/freezes", Needs::AtTheAppend),
    ("POST", "/v1/services/{service}/thaw", Needs::AtTheAppend),
    ("GET", "/v1/journal/verify", Needs::Right(Act::Audit)),
    ("GET", "/v1/journal/entries", Needs::Right(Act::Audit)),
    ("GET", "/v1/search", Needs::Right(Act::Read)),
    ("GET", "/v1/insights", Needs::Right(Act::Read)),
    ("GET", "/v1/deployments/{id}/report", Needs::Right(Act::Read)),
    ("POST", "/v1/hooks/{name}", Needs::Nothing),
    ("GET", "/v1/triggers", Needs::Right(Act::Read)),
    ("POST", "/v1/triggers/{name}/look", Needs::Right(Act::Ask)),
    ("GET", "/v1/incidents", Needs::Right(Act::Read)),
    ("POST", "/v1/incidents", Needs::AtTheAppend),
    ("GET", "/v1/incidents/{id}", Needs::Right(Act::Read)),
    ("POST", "/v1/incidents/{id}", Needs::AtTheAppend),
    ("GET", "/v1/messages", Needs::Right(Act::Read)),
    ("POST", "/v1/messages/test", Needs::Right(Act::Respond)),
    ("POST", "/v1/services/{service}/messages/{number}", Needs::AtTheAppend),
    ("GET", "/v1/audit", Needs::Right(Act::Audit)),
    ("GET", "/v1/audit/checkpoint", Needs::Right(Act::Audit)),
    ("GET", "/v1/audit/root", Needs::Right(Act::Audit)),
    ("GET", "/v1/deployments/{id}/proof", Needs::Right(Act::Audit)),
    ("POST", "/v1/services/{service}/probes", Needs::Right(Act::Ask)),
    ("POST", "/v1/services/{service}/suites", Needs::Right(Act::Ask)),
    ("POST", "/v1/server/stop", Needs::Right(Act::Serve)),
    ("POST", "/v1/server/gc", Needs::Right(Act::Serve)),
    ("GET", "/v1/people", Needs::Right(Act::People)),
    ("POST", "/v1/people/{name}", Needs::Right(Act::People)),
    ("POST", "/v1/people/{name}/invite", Needs::Right(Act::People)),
    ("GET", "/v1/tokens", Needs::Right(Act::People)),
    ("POST", "/v1/tokens", Needs::Right(Act::People)),
    ("POST", "/v1/tokens/{name}/revoke", Needs::Right(Act::People)),
    ("POST", "/v1/deployments", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/hold", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/resume", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/advance", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/abort", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/approve", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/withdraw", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/attest", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/reject", Needs::AtTheAppend),
    ("POST", "/v1/deployments/{id}/steps/{step}/settle", Needs::AtTheAppend),
    ("POST", "/v1/services/{service}/rollback", Needs::AtTheAppend),
];

/// What a route needs; `None` for one that nobody listed.
pub(crate) fn needs_of(method: &str, path: &str) -> Option<Needs> {
    // A request for the head alone is a request to look.
    let method = if method == "HEAD" { "GET" } else { method };
    let found = ROUTES.iter().find(|(known, route, _)| *known == method && *route == path);
    found.map(|(_, _, needs)| *needs)
}

/// Lets only requests through whose sender is known and may ask for this.
pub(super) async fn known(
    State(api): State<Api>,
    matched: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let principal = match principal_of(&api, &request) {
        Ok(principal) => principal,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = within_limits(&api, &request, principal.as_ref(), matched.as_ref()) {
        return problem.into_response();
    }
    // What no route answers is answered with a problem, and tells nothing.
    let Some(path) = matched else { return next.run(request).await };
    let (method, path) = (request.method().as_str(), path.as_str());
    if let Err(problem) = allowed(&api, method, path, principal.as_ref()) {
        return problem.into_response();
    }
    if let Some(principal) = principal {
        request.extensions_mut().insert(principal);
    }
    next.run(request).await
}

/// Routes by which an address could guess.
const GUESSED_AT: [&str; 3] = ["/v1/session", "/v1/setup", "/v1/session/confirm"];

/// How often anybody on the network may ask; the socket's owner may as often as they like.
fn within_limits(
    api: &Api,
    request: &Request,
    who: Option<&Principal>,
    matched: Option<&MatchedPath>,
) -> Result<(), Problem> {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let Some(ConnectInfo(Peer::Network { address, .. })) = peer else { return Ok(()) };
    let limits = &api.parts().limits;
    if matched.is_some_and(|path| GUESSED_AT.contains(&path.as_str())) {
        limits.sign_in(*address).map_err(too_often)?;
    }
    limits.request(&caller(who, *address)).map_err(too_often)
}

/// By what somebody is counted: by name, or by address while nobody knows them.
pub(crate) fn caller(who: Option<&Principal>, address: IpAddr) -> String {
    who.map_or_else(|| format!("at {address}"), |who| who.name.clone())
}

/// Somebody asks more often than anybody needs to.
pub(crate) fn too_often(wait: std::time::Duration) -> Problem {
    Problem::new(429, "TG7053", "too many requests")
        .retry_after(wait)
        .safe("nothing was changed")
        .help("wait as long as Retry-After says")
}

/// What is not listed is answered here, and reaches no handler.
fn allowed(api: &Api, method: &str, path: &str, who: Option<&Principal>) -> Result<(), Problem> {
    let act = match (needs_of(method, path), who) {
        (None, None) => return Err(unknown()),
        (None, Some(_)) => return Err(super::no_such_method(method, path)),
        (Some(Needs::Nothing), _) | (Some(Needs::Somebody | Needs::AtTheAppend), Some(_)) => {
            return Ok(());
        }
        (Some(_), None) => return Err(unknown()),
        (Some(Needs::Right(act)), Some(_)) => act,
    };
    let allows = |who: &Principal| api.ports().people.grant(&who.actor()).allows(act, None);
    match who {
        Some(who) if allows(who) => Ok(()),
        Some(who) => Err(denied(&format!("{} has no role that may {}", who.name, act.word()))),
        None => Err(unknown()),
    }
}

fn principal_of(api: &Api, request: &Request) -> Result<Option<Principal>, Problem> {
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        let token = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
        // A browser's session counts as its cookie only, where forms are checked.
        let shown = |principal: &Principal| !principal.is_in_a_browser();
        let known = token.and_then(|token| by_token(api, token.trim())).filter(shown);
        return known.map(Some).ok_or_else(|| {
            Problem::new(401, "TG7041", "this token is not known, or it is over")
                .safe("nothing was changed")
                .help("`tidegate login`")
        });
    }
    match request.extensions().get::<ConnectInfo<Peer>>() {
        Some(ConnectInfo(Peer::Socket { uid: Some(uid) })) => by_the_kernel(api, *uid).map(Some),
        Some(ConnectInfo(Peer::Network { encrypted, .. })) => by_cookie(api, request, *encrypted),
        Some(ConnectInfo(Peer::Socket { uid: None })) | None => Ok(None),
    }
}

/// Whose session or access a token is.
fn by_token(api: &Api, token: &str) -> Option<Principal> {
    signed(api, api.directory().bearer(token, api.now())?)
}

/// Whose session the cookie is. A change must come from a page of ours and show its token.
fn by_cookie(api: &Api, request: &Request, encrypted: bool) -> Result<Option<Principal>, Problem> {
    let headers = request.headers();
    let Some(cookie) = Jar::Session.of(headers, encrypted) else { return Ok(None) };
    let Some(principal) = of_cookie(api, &cookie) else { return Ok(None) };
    if !browser::only_looks(request.method()) {
        browser::sent_by_us(headers, encrypted, api.parts().origin.as_deref())?;
        let token = headers.get(browser::TOKEN_HEADER).and_then(|value| value.to_str().ok());
        browser::token_fits(&cookie, token)?;
    }
    Ok(Some(principal))
}

/// Whose session a cookie is; a machine's token is none.
pub(crate) fn of_cookie(api: &Api, cookie: &str) -> Option<Principal> {
    by_token(api, cookie).filter(Principal::is_in_a_browser)
}

/// The socket's mode keeps others out; this holds even where a mode is not honoured. Who has the
/// rights of the server is its owner: root cannot be another account.
fn by_the_kernel(api: &Api, uid: u32) -> Result<Principal, Problem> {
    let me = rustix::process::geteuid().as_raw();
    if uid != me && uid != 0 {
        return Err(denied(&format!("user {} does not own this server", user_name(uid))));
    }
    let credential =
        Credential { door: DOOR_SOCKET.to_owned(), factor: "kernel".to_owned(), at: None };
    let facts = api.directory().facts_of(&user_name(me)).unwrap_or_default();
    Ok(Principal { name: user_name(uid), credential, facts, session: None })
}

fn signed(api: &Api, bearer: Bearer) -> Option<Principal> {
    Some(match bearer {
        Bearer::Person(session) => Principal {
            name: session.account.clone(),
            credential: Credential {
                door: match session.way {
                    Way::Terminal => "session".to_owned(),
                    Way::Browser | Way::Link => "browser".to_owned(),
                },
                factor: match session.way {
                    Way::Terminal | Way::Browser => "password+totp".to_owned(),
                    Way::Link => "link".to_owned(),
                },
                at: Some(session.proven_at),
            },
            facts: api.directory().facts_of(&session.account)?,
            session: Some(session),
        },
        Bearer::Machine(name) => Principal {
            credential: Credential {
                door: "token".to_owned(),
                factor: "token".to_owned(),
                at: None,
            },
            facts: api.directory().facts_of(&name)?,
            name,
            session: None,
        },
    })
}

fn denied(what: &str) -> Problem {
    Problem::new(403, "TG7012", what)
        .safe("nothing was changed")
        .help("`tidegate whoami` says who asks and what they may do")
}

fn unknown() -> Problem {
    Problem::new(401, "TG7041", "nobody knows who asks")
        .safe("nothing was changed")
        .help("`tidegate login`")
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
    use std::collections::BTreeSet;

    use tidegate_core::rights::{Act, Grant, Role};

    use super::{Needs, ROUTES, name_in, needs_of};

    #[test]
    fn a_name_is_found_by_number_only() {
        let users = "root:x:0:0:root:/home:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\nodd:x";
        assert_eq!(name_in(users, 1000).as_deref(), Some("ana"));
        assert_eq!(name_in(users, 0).as_deref(), Some("root"));
        assert_eq!(name_in(users, 100), None);
    }

    /// The API's own description against the table, both ways.
    #[test]
    fn every_route_says_what_it_needs() {
        let description = serde_json::to_value(crate::api::description()).unwrap();
        let mut described = BTreeSet::from([("GET".to_owned(), "/v1/openapi.json".to_owned())]);
        for (path, methods) in description["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let method = method.to_uppercase();
                assert!(needs_of(&method, path).is_some(), "{method} {path} is not listed");
                described.insert((method, path.clone()));
            }
        }
        for &(method, path, _) in ROUTES {
            assert!(described.contains(&(method.to_owned(), path.to_owned())), "{method} {path}");
        }
        assert_eq!(needs_of("GET", "/v1/nowhere"), None);
    }

    /// Every route with every role, and with a machine that may do everything that machines may.
    #[test]
    fn every_route_is_walked_with_every_role() {
        let machine = Grant { acts: Act::ALL.into_iter().collect(), ..Grant::default() };
        let (mut allowed, mut denied) = (0, 0);
        for &(method, path, needs) in ROUTES {
            let Needs::Right(act) = needs else { continue };
            for role in Role::ALL {
                let grant =
                    Grant { roles: BTreeSet::from([role]), human: true, ..Grant::default() };
                let listed = role.acts().contains(&act);
                assert_eq!(grant.allows(act, None), listed, "{method} {path} {}", role.word());
                if listed {
                    allowed += 1
                } else {
                    denied += 1
                }
                let dead = Grant { human: false, ..grant };
                assert!(!dead.allows(act, None), "a role is a human being's");
            }
            assert!(!Grant::default().allows(act, None), "{method} {path} without a role");
            assert_eq!(machine.allows(act, None), !act.is_human(), "{method} {path}");
        }
        assert!(allowed > 60 && denied > 20, "{allowed} {denied}");
    }
}
