//! The pages behind the door, one file each, and what they share.
//! Must never change anything but through the functions of the API.

use askama::Template;
use axum::Router;
use axum::routing::{get, post};
use tidegate_core::rights::Act;

use super::{Shell, Viewer};
use crate::api::Api;

mod act;
mod admin;
mod audit;
mod board;
mod calendar;
mod compare;
mod deployment;
mod gate;
mod inbox;
mod incidents;
mod insights;
mod live;
mod looks;
mod menu;
mod now;
mod plan;
mod policy;
mod practice;
mod release;
mod report;
mod search;
mod series;
mod service;
mod sheet;
pub(crate) mod show;
#[cfg(test)]
mod snapshots;
mod status;
mod visits;
mod why;

pub(crate) use looks::Looks;
pub(crate) use visits::Visits;

/// A page in the head of every other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// Where.
    pub(crate) href: &'static str,
    /// Its title.
    pub(crate) name: &'static str,
    /// The keys that lead there.
    pub(crate) keys: &'static str,
}

const fn link(href: &'static str, name: &'static str, keys: &'static str) -> Link {
    Link { href, name, keys }
}

/// The pages, with what they ask of who looks.
const PAGES: [(Link, Act); 9] = [
    (link("/", "Now", "g n"), Act::Read),
    (link("/inbox", "Inbox", "g i"), Act::Read),
    (link("/deployments", "Deployments", "g d"), Act::Read),
    (link("/calendar", "Calendar", "g c"), Act::Read),
    (link("/incidents", "Incidents", "g x"), Act::Read),
    (link("/practice", "Practice", "g p"), Act::Read),
    (link("/insights", "Insights", "g s"), Act::Read),
    (link("/audit", "Audit", "g a"), Act::Audit),
    (link("/admin", "Admin", "g m"), Act::People),
];

/// All of them.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(now::show))
        .route("/live", get(live::services))
        .route("/menu", get(menu::show))
        .route("/d/{id}", get(deployment::show))
        .route("/d/{id}/live", get(live::deployment))
        .route("/d/{id}/series", get(deployment::series))
        .route("/d/{id}/act", get(act::show).post(act::give))
        .route("/d/{id}/why", get(why::show))
        .route("/d/{id}/plan", get(plan::show))
        .route("/d/{id}/gates/{gate}", get(gate::show).post(gate::waive))
        .route("/d/{id}/report", get(report::show))
        .route("/d/{id}/report.md", get(report::markdown))
        .route("/d/{id}/report.json", get(report::json))
        .route("/d/{id}/approve", get(sheet::show).post(sheet::answer))
        .route("/d/{id}/rollback", get(act::show_rollback).post(act::roll_back))
        .route("/s/{service}/{environment}", get(service::show))
        .route(
            "/s/{service}/{environment}/rollback",
            get(service::show_return).post(service::bring_back),
        )
        .route("/r/{service}/{version}", get(release::show))
        .route("/compare/{pair}", get(compare::show))
        .route("/inbox", get(inbox::show))
        .route("/deployments", get(search::show))
        .route("/incidents", get(incidents::list))
        .route("/i/{id}", get(incidents::show).post(incidents::give))
        .route("/calendar", get(calendar::show))
        .route("/calendar.ics", get(calendar::feed))
        .route("/calendar/{service}/{environment}", post(calendar::change))
        .route("/policy/{service}", get(policy::show))
        .route("/policy/{service}/backtest", get(policy::show_backtest).post(policy::run))
        .route("/practice", get(practice::show).post(practice::play))
        .route("/insights", get(insights::show))
        .route("/audit", get(audit::show))
        .route("/admin", get(admin::show))
        .route("/status", get(status::show))
}

/// What stands around a page, with how much waits for people.
fn shell(api: &Api, viewer: &Viewer, title: &'static str) -> Shell {
    let pages = PAGES.iter().filter(|(_, act)| viewer.may(api, *act)).map(|(link, _)| *link);
    let waiting = crate::api::approvals::waiting(api);
    Shell { waiting, pages: pages.collect(), ..viewer.shell(title) }
}

/// A piece of a page. A template of ours that cannot be written is a defect, and shows nothing.
fn fragment(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a part of a page could not be made");
        String::new()
    })
}
