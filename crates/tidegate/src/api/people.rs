//! Accounts, sessions and tokens: invite, set up, sign in, confirm, sign out, make and revoke.
//! Must never answer with a secret twice, and never say which of account, password and code was wrong.

use axum::extract::{Path, State};
use jiff::SignedDuration;
use tidegate_core::rights::{Act, Role};

use super::Api;
use super::body::Body;
use super::principal::Principal;
use super::reply::Reply;
use crate::people::{Refused, TOKEN_DAYS_MAX, Wanted, Way};
use crate::problem::Problem;
use crate::view::people as view;

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/v1/whoami", tag = "people", responses((status = 200, body = view::Whoami)))]
pub(crate) async fn whoami(State(api): State<Api>, principal: Principal) -> Reply<view::Whoami> {
    let grant = api.ports().people.grant(&principal.actor());
    let acts = Act::ALL.into_iter().filter(|act| grant.allows(*act, None));
    std::future::ready(Ok(axum::Json(view::Whoami {
        name: principal.name.clone(),
        human: grant.human,
        factor: principal.credential.factor.clone(),
        proven_at: principal.credential.at,
        roles: grant.roles.iter().map(|role| role.word().to_owned()).collect(),
        acts: acts.map(|act| act.word().to_owned()).collect(),
    })))
    .await
}

/// Every account.
#[utoipa::path(get, path = "/v1/people", tag = "people", responses((status = 200, body = view::Accounts)))]
pub(crate) async fn list(State(api): State<Api>) -> Reply<view::Accounts> {
    std::future::ready(Ok(axum::Json(view::Accounts { accounts: api.directory().accounts() })))
        .await
}

/// Invite somebody: the answer is a code that sets the account up, once, within three days.
#[utoipa::path(
    post,
    path = "/v1/people/{name}/invite",
    tag = "people",
    params(("name" = String, Path, description = "The account")),
    request_body = view::Wanted,
    responses(
        (status = 200, body = view::Handed),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn invite(
    State(api): State<Api>,
    principal: Principal,
    Path(name): Path<String>,
    Body(asked): Body<view::Wanted>,
) -> Reply<view::Handed> {
    principal.proven_lately(api.now())?;
    let wanted = wanted(asked)?;
    let (directory, now) = (api.directory().clone(), api.now());
    let invited = name.clone();
    let secret = aside(move || directory.invite(&invited, wanted, now)).await?;
    tracing::info!(account = %name, by = %principal.name, "invited");
    Ok(axum::Json(view::Handed { secret, expires: None }))
}

/// Change an account; what is left out stays. A right that is taken is gone at once.
#[utoipa::path(
    post,
    path = "/v1/people/{name}",
    tag = "people",
    params(("name" = String, Path, description = "The account")),
    request_body = view::Wanted,
    responses(
        (status = 200, body = view::Changed),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set(
    State(api): State<Api>,
    principal: Principal,
    Path(name): Path<String>,
    Body(asked): Body<view::Wanted>,
) -> Reply<view::Changed> {
    principal.proven_lately(api.now())?;
    let wanted = wanted(asked)?;
    let directory = api.directory().clone();
    let changed = name.clone();
    aside(move || directory.set(&changed, wanted)).await?;
    tracing::info!(account = %name, by = %principal.name, "changed");
    Ok(axum::Json(view::Changed { sentence: format!("{name} is changed") }))
}

/// Use an invitation: sets the password; the answer is the secret of the second factor, in base 32.
#[utoipa::path(
    post,
    path = "/v1/setup",
    tag = "people",
    request_body = view::SetUp,
    responses(
        (status = 200, body = view::Handed),
        (status = 401, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set_up(
    State(api): State<Api>,
    Body(asked): Body<view::SetUp>,
) -> Reply<view::Handed> {
    let (directory, now) = (api.directory().clone(), api.now());
    let account = asked.account.clone();
    let secret =
        aside(move || directory.set_up(&asked.account, &asked.invitation, &asked.password, now))
            .await?;
    tracing::info!(%account, "set up");
    Ok(axum::Json(view::Handed { secret, expires: None }))
}

/// Sign in with both factors: the answer is the session's token.
#[utoipa::path(
    post,
    path = "/v1/session",
    tag = "people",
    request_body = view::SignIn,
    responses(
        (status = 200, body = view::Handed),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn sign_in(
    State(api): State<Api>,
    Body(asked): Body<view::SignIn>,
) -> Reply<view::Handed> {
    let (directory, now) = (api.directory().clone(), api.now());
    let account = asked.account.clone();
    let (secret, expires) = aside(move || {
        directory.sign_in(&asked.account, &asked.password, &asked.code, Way::Terminal, now)
    })
    .await?;
    tracing::info!(%account, "signed in");
    Ok(axum::Json(view::Handed { secret, expires: Some(expires) }))
}

/// Show the second factor again: acts that matter ask for one that is younger than five minutes.
#[utoipa::path(
    post,
    path = "/v1/session/confirm",
    tag = "people",
    request_body = view::Confirm,
    responses(
        (status = 200, body = view::Changed),
        (status = 401, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn confirm(
    State(api): State<Api>,
    principal: Principal,
    Body(asked): Body<view::Confirm>,
) -> Reply<view::Changed> {
    let signed_in = principal.signed_in()?;
    let (directory, now) = (api.directory().clone(), api.now());
    aside(move || directory.confirm(&signed_in, &asked.code, now)).await?;
    Ok(axum::Json(view::Changed { sentence: "confirmed for five minutes".to_owned() }))
}

/// End this session.
#[utoipa::path(post, path = "/v1/session/end", tag = "people", responses((status = 200, body = view::Changed)))]
pub(crate) async fn sign_out(State(api): State<Api>, principal: Principal) -> Reply<view::Changed> {
    let signed_in = principal.signed_in()?;
    let directory = api.directory().clone();
    aside(move || directory.sign_out(&signed_in.session)).await?;
    Ok(axum::Json(view::Changed { sentence: "signed out".to_owned() }))
}

/// Every token of a machine.
#[utoipa::path(get, path = "/v1/tokens", tag = "people", responses((status = 200, body = view::Tokens)))]
pub(crate) async fn tokens(State(api): State<Api>) -> Reply<view::Tokens> {
    std::future::ready(Ok(axum::Json(view::Tokens { tokens: api.directory().tokens() }))).await
}

/// Make a token for a machine: shown once.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "people",
    request_body = view::MakeToken,
    responses(
        (status = 200, body = view::Handed),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn make_token(
    State(api): State<Api>,
    principal: Principal,
    Body(asked): Body<view::MakeToken>,
) -> Reply<view::Handed> {
    principal.proven_lately(api.now())?;
    let days = i64::from(asked.days);
    if !(1..=TOKEN_DAYS_MAX).contains(&days) {
        return Err(Problem::bad_request(format!("days is 1 to {TOKEN_DAYS_MAX}")));
    }
    let acts = words(&asked.acts, &Act::ALL, |act| act.word(), "an act")?;
    let expires = api
        .now()
        .checked_add(SignedDuration::from_hours(24 * days))
        .map_err(|_far| Problem::bad_request("days reaches past the calendar"))?;
    let (directory, by, name) =
        (api.directory().clone(), principal.name.clone(), asked.name.clone());
    let services = asked.services.into_iter().collect();
    let secret =
        aside(move || directory.make_token(&asked.name, acts, services, expires, &by)).await?;
    tracing::info!(token = %name, by = %principal.name, "made a token");
    Ok(axum::Json(view::Handed { secret, expires: Some(expires) }))
}

/// Take a token back: it counts no more from this moment.
#[utoipa::path(
    post,
    path = "/v1/tokens/{name}/revoke",
    tag = "people",
    params(("name" = String, Path, description = "The token")),
    responses(
        (status = 200, body = view::Changed),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn revoke(
    State(api): State<Api>,
    principal: Principal,
    Path(name): Path<String>,
) -> Reply<view::Changed> {
    let directory = api.directory().clone();
    let revoked = name.clone();
    aside(move || directory.revoke(&revoked)).await?;
    tracing::info!(token = %name, by = %principal.name, "revoked a token");
    Ok(axum::Json(view::Changed { sentence: format!("{name} counts no more") }))
}

fn wanted(asked: view::Wanted) -> Result<Wanted, Problem> {
    let people: Vec<Role> = Role::ALL.into_iter().filter(|role| *role != Role::Owner).collect();
    let roles = match asked.roles {
        Some(named) => Some(words(&named, &people, |role| role.word(), "a role")?),
        None => None,
    };
    Ok(Wanted {
        roles,
        groups: asked.groups.map(|groups| groups.into_iter().collect()),
        names: asked.names.map(|names| names.into_iter().collect()),
        person: asked.person,
        active: asked.active,
    })
}

fn words<T: Copy + Ord>(
    named: &[String],
    known: &[T],
    word: impl Fn(T) -> &'static str,
    what: &str,
) -> Result<std::collections::BTreeSet<T>, Problem> {
    let find = |name: &String| {
        known.iter().copied().find(|one| word(*one) == name).ok_or_else(|| {
            let all: Vec<&str> = known.iter().map(|one| word(*one)).collect();
            let name = crate::text::plain(name);
            Problem::bad_request(format!("`{name}` is not {what}: {}", all.join(", ")))
        })
    };
    named.iter().map(find).collect()
}

/// Make a link that signs the owner of the socket in, in a browser, once, within ten minutes.
#[utoipa::path(
    post,
    path = "/v1/session/link",
    tag = "people",
    responses(
        (status = 200, body = view::Link),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn link(State(api): State<Api>, principal: Principal) -> Reply<view::Link> {
    principal.owns_the_socket()?;
    let Some(pages) = &api.parts().pages else {
        return Err(Problem::new(
            409,
            "TG7050",
            "this server has no pages: it listens on its socket only",
        )
        .safe("nothing was changed")
        .help("`tidegate server run --listen 127.0.0.1:7000`, or `listen:` in its server.yaml"));
    };
    let (code, expires) = api.directory().sign_in_link(api.now());
    tracing::info!(by = %principal.name, "made a link to sign in");
    std::future::ready(Ok(axum::Json(view::Link {
        url: format!("{pages}/login?link={code}"),
        expires,
    })))
    .await
}

/// Hashing takes its time, and a file is written: neither is done where requests are carried.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer.map_err(Problem::from),
        Err(error) => Err(Problem::new(500, "TG7044", error.to_string())),
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (status, code) = match &refused {
            Refused::Wrong => (401, "TG7040"),
            Refused::Wait { .. } => (429, "TG7043"),
            Refused::Cannot(_) => (422, "TG7045"),
            Refused::Unwritten(_) => (503, "TG7044"),
        };
        Self::new(status, code, refused.to_string()).safe("nothing was changed")
    }
}
