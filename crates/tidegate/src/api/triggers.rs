//! Triggers: how they stand, and a look at once. Must never begin anything by itself.

use axum::extract::{Path, State};

use super::Api;
use super::reply::Reply;
use crate::problem::Problem;
use crate::view::people::Changed;
use crate::view::trigger::Triggers;

/// What watches repositories, and what is ready there.
#[utoipa::path(
    get,
    path = "/v1/triggers",
    tag = "triggers",
    responses((status = 200, body = Triggers))
)]
pub(crate) async fn list(State(api): State<Api>) -> Reply<Triggers> {
    let triggers = api.parts().triggers.shown();
    std::future::ready(Ok(axum::Json(Triggers { triggers }))).await
}

/// Look at the repository of a trigger now.
#[utoipa::path(
    post,
    path = "/v1/triggers/{name}/look",
    tag = "triggers",
    params(("name" = String, Path, description = "The trigger")),
    responses(
        (status = 200, body = Changed),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn look(State(api): State<Api>, Path(name): Path<String>) -> Reply<Changed> {
    let found = api.parts().triggers.get(&name);
    let watch = found.ok_or_else(|| {
        let name = crate::text::plain(&name);
        Problem::not_found("TG7062", format!("there is no trigger {name}"))
            .help("`tidegate trigger list`; they stand in `triggers:` in server.yaml")
    })?;
    watch.ring();
    let sentence = format!("{} is looked at", watch.settings.repository);
    std::future::ready(Ok(axum::Json(Changed { sentence }))).await
}
