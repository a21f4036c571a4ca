//! Two deployments beside each other: how each went, and every declared value that differs.
//! Must never call one of them better.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::deployment::read;
use super::show::{self, Light};
use crate::api::Api;
use crate::leaves::{self, Differs};
use crate::problem::Problem;
use crate::text::{count, plain};
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::Deployment;

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    shell: Shell,
    sides: [Compared; 2],
    rows: Vec<(&'static str, String, String)>,
    differs: Vec<Differs>,
}

/// One of the two.
struct Compared {
    d: Deployment,
    light: Light,
}

/// The page of `A...B`.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(pair): Path<String>,
) -> Result<Response, Refusal> {
    let Some((before, after)) = pair.split_once("...") else {
        let what = "two deployments are compared as /compare/d-aaaa...d-bbbb";
        return Err(Refusal(Problem::bad_request(what)));
    };
    let (one, _) = super::plan::pinned(&api, before).await?;
    let (other, _) = super::plan::pinned(&api, after).await?;
    let tree = |plan: &tidegate_core::plan::Plan| serde_json::to_value(plan).unwrap_or_default();
    let safe = |differs: Differs| Differs {
        path: plain(&differs.path),
        before: differs.before.as_deref().map(plain),
        after: differs.after.as_deref().map(plain),
    };
    let differs = leaves::between(&tree(&one), &tree(&other)).into_iter().map(safe).collect();
    let sides = [compared(&api, before).await?, compared(&api, after).await?];
    let facts = sides.each_ref().map(|side| facts(&side.d));
    let [left, right] = facts;
    let rows = left.into_iter().zip(right).map(|((name, a), (_, b))| (name, a, b)).collect();
    let shell = super::shell(&api, &viewer, "Compare");
    Ok(page(StatusCode::OK, &ComparePage { shell, sides, rows, differs }))
}

async fn compared(api: &Api, id: &str) -> Result<Compared, Problem> {
    let d = read(api, id).await?;
    Ok(Compared { light: show::headline(&d), d })
}

fn facts(d: &Deployment) -> Vec<(&'static str, String)> {
    let none = || "–".to_owned();
    let outlook = d.verdict.as_ref().and_then(|verdict| verdict.outlook.as_ref());
    vec![
        ("version", d.version.clone()),
        ("commit", show::short(&d.commit)),
        ("took", show::between(&d.started_at, d.ended_at.as_ref().unwrap_or(&d.now))),
        ("started by", d.started_by.clone()),
        ("approved by", if d.approvals.is_empty() { none() } else { d.approvals.join(", ") }),
        ("exposed requests", d.exposed.map_or_else(none, count)),
        ("of them failed", outlook.map_or_else(none, |outlook| count(outlook.failed))),
        ("the judge", d.verdict.as_ref().map_or_else(none, |verdict| verdict.sentence.clone())),
        ("the end", d.sentence.clone()),
    ]
}
