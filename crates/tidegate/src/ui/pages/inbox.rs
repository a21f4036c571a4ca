//! What waits for people, the nearest deadline first. Must never leave out what waits longest.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::show;
use crate::api::{Api, approvals};
use crate::client::encode;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::approval::Item;

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    shell: Shell,
    items: Vec<Asked>,
    now: Timestamp,
}

/// An item with where it is answered.
struct Asked {
    view: Item,
    link: String,
    act: &'static str,
}

/// The page.
pub(crate) async fn show(State(api): State<Api>, viewer: Viewer) -> Result<Response, Refusal> {
    let shell = super::shell(&api, &viewer, "Inbox");
    let now = api.now();
    let inbox = show::plain(approvals::inbox(State(api), viewer.principal).await?.0);
    let items = inbox.items.into_iter().map(asked).collect();
    Ok(page(StatusCode::OK, &InboxPage { shell, items, now }))
}

fn asked(view: Item) -> Asked {
    let place = format!("/d/{}", encode(&view.deployment));
    let (link, act) = match view.kind.as_str() {
        "approval" => (format!("{place}/approve"), "Open the sheet"),
        "attestation" => (format!("{place}/approve#attestations"), "Open the sheet"),
        "condition" => (format!("{place}/act"), "Look and decide"),
        _ => (place, "Open"),
    };
    Asked { view, link, act }
}
