//! The pages behind the door, one file each, and what they share.
//! Must never change anything but through the functions of the API.

use askama::Template;
use axum::Router;
use axum::routing::get;

use super::{Shell, Viewer};
use crate::api::Api;

mod act;
mod board;
mod deployment;
mod inbox;
mod live;
mod now;
mod series;
mod service;
mod sheet;
pub(crate) mod show;

/// All of them.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(now::show))
        .route("/live", get(live::services))
        .route("/d/{id}", get(deployment::show))
        .route("/d/{id}/live", get(live::deployment))
        .route("/d/{id}/series", get(deployment::series))
        .route("/d/{id}/act", get(act::show).post(act::give))
        .route("/inbox", get(inbox::show))
        .route("/d/{id}/approve", get(sheet::show).post(sheet::answer))
        .route("/s/{service}/{environment}", get(service::show))
        .route(
            "/s/{service}/{environment}/rollback",
            get(service::show_return).post(service::bring_back),
        )
        .route("/d/{id}/rollback", get(act::show_rollback).post(act::roll_back))
}

/// What stands around a page, with how much waits for people.
fn shell(api: &Api, viewer: &Viewer, title: &'static str) -> Shell {
    Shell { waiting: crate::api::approvals::waiting(api), ..viewer.shell(title) }
}

/// A piece of a page. A template of ours that cannot be written is a defect, and shows nothing.
fn fragment(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a part of a page could not be made");
        String::new()
    })
}
