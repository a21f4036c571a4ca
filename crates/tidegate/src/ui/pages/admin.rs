//! People and their roles, tokens of machines, the server and its data plane.
//! Must never show a secret, nor anything to those who may not look after people.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidegate_core::rights::{Act, Role};

use super::show;
use crate::api::{Api, people, proxy, server};
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::people::{Account, Token};
use crate::view::proxy::ProxyStatus;
use crate::view::service::Server;

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    shell: Shell,
    accounts: Vec<Account>,
    tokens: Vec<Token>,
    server: Server,
    proxy: ProxyStatus,
    roles: Vec<(&'static str, Vec<&'static str>)>,
}

/// The page.
pub(crate) async fn show(State(api): State<Api>, viewer: Viewer) -> Result<Response, Refusal> {
    viewer.needs(&api, Act::People)?;
    let who = viewer.principal.clone();
    let acts = |role: Role| role.acts().iter().map(|act| act.word()).collect::<Vec<_>>();
    let shown = AdminPage {
        shell: super::shell(&api, &viewer, "Admin"),
        accounts: show::plain(people::list(State(api.clone())).await?.0).accounts,
        tokens: show::plain(people::tokens(State(api.clone())).await?.0).tokens,
        server: show::plain(server::show(State(api.clone()), who.clone()).await?.0),
        proxy: show::plain(proxy::show(State(api.clone()), who).await?.0),
        roles: Role::ALL.into_iter().map(|role| (role.word(), acts(role))).collect(),
    };
    Ok(page(StatusCode::OK, &shown))
}
