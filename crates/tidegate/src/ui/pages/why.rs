//! Why a deployment stands where it stands: the tree that `tidegate why` prints, as a page.
//! Must never say "waiting" without saying for what.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::board::{self, Board};
use super::deployment::read;
use super::show::{self, Light};
use crate::api::Api;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::Deployment;

#[derive(Template)]
#[template(path = "why.html")]
struct WhyPage<'a> {
    shell: Shell,
    d: &'a Deployment,
    b: Board<'a>,
    light: Light,
    live: bool,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    let shell = super::shell(&api, &viewer, "Why");
    let (light, live) = (show::headline(&d), !d.ended());
    Ok(page(StatusCode::OK, &WhyPage { shell, b: board::of(&d), light, live, d: &d }))
}
