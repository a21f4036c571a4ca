//! The approval sheet: all that somebody needs to judge a deployment, and their answer. Bound to D,
//! which the form carries: an answer to other bytes than those on the page is refused.
//! Must never answer for somebody else, nor need a script.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;
use tidegate_core::approval::Category;

use super::act::{Done, back};
use super::board::{self, Board};
use super::deployment::{Told, lines, read, told};
use super::plan::pinned;
use super::show::{self, Light};
use super::visits::Look;
use crate::api::body::{Body, Query};
use crate::api::plans::declared;
use crate::api::{Api, approvals, locate};
use crate::client::encode;
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::Deployment;
use crate::view::approval::{Difference, Sheet};
use crate::view::plan::Delta;
use crate::view::request;

/// The code of a second factor that was shown too long ago.
const STEP_UP: &str = "TG7042";

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPage<'a> {
    shell: Shell,
    d: &'a Deployment,
    b: Board<'a>,
    light: Light,
    sheet: Option<Sheet>,
    since: Option<Since>,
    /// Whether who looks has approved.
    mine: bool,
    categories: Vec<&'static str>,
    said: Option<&'static str>,
}

impl SheetPage<'_> {
    /// What changed against the live release.
    fn changed(&self) -> Option<&Delta> {
        self.sheet.as_ref()?.stakes.as_ref()?.change.as_ref()
    }
}

/// What changed since who looks last looked at a sheet of this service.
struct Since {
    at: Timestamp,
    /// Another deployment than this one.
    other: Option<String>,
    /// What happened to this one.
    lines: Vec<Told>,
    /// What of its plan differs from that of the other one.
    differences: Vec<Difference>,
}

/// The sheet.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(asked): Query<Done>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    let since = since(&api, &viewer, &id).await?;
    let sheet = match approvals::sheet(State(api.clone()), Path(id)).await {
        Ok(sheet) => Some(show::plain(sheet.0)),
        // Nobody is asked about a deployment that ended: the page says so.
        Err(problem) if problem.status == 404 => None,
        Err(problem) => return Err(Refusal(problem)),
    };
    let who = crate::text::plain(&viewer.principal.name);
    let shown = SheetPage {
        shell: super::shell(&api, &viewer, "Approval"),
        b: board::of(&d),
        light: show::headline(&d),
        mine: sheet.iter().flat_map(|sheet| &sheet.approvals).any(|one| one.by == who),
        sheet,
        since,
        categories: Category::ALL.into_iter().map(Category::word).collect(),
        said: asked.words(),
        d: &d,
    };
    Ok(page(StatusCode::OK, &shown))
}

async fn since(api: &Api, viewer: &Viewer, id: &str) -> Result<Option<Since>, Problem> {
    let locate::Located::Begun(row) = locate::deployment(api, id).await? else { return Ok(None) };
    let look = Look { deployment: row.deployment.clone(), at: api.now() };
    let visits = &api.parts().visits;
    let Some(before) = visits.look(&viewer.principal.name, &row.scope, look) else {
        return Ok(None);
    };
    if before.deployment == row.deployment {
        let lines = lines(api, &row).await?;
        let newer = lines.iter().filter(|line| line.at > before.at).map(told).collect();
        return Ok(Some(Since {
            at: before.at,
            other: None,
            lines: newer,
            differences: Vec::new(),
        }));
    }
    let other = before.deployment.to_string();
    // What is not on record any more is nothing to compare with.
    let Ok((one, _)) = pinned(api, &other).await else { return Ok(None) };
    let (plan, _) = pinned(api, id).await?;
    let differences = show::plain(declared(&one, &plan));
    Ok(Some(Since { at: before.at, other: Some(other), lines: Vec::new(), differences }))
}

/// An answer, as its form comes back.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    what: String,
    binding: Option<String>,
    /// Empty where there is no condition.
    hold_at_bp: Option<String>,
    comment: Option<String>,
    category: Option<String>,
    reason: Option<String>,
    item: Option<String>,
}

/// Gives an answer.
pub(crate) async fn answer(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
    Form(answer): Form<Answer>,
) -> Result<Response, Refusal> {
    let what = answer.what.clone();
    match given(api, viewer, &id, answer).await {
        Ok(_accepted) if what == "reject" => Ok(back(&id, &what)),
        Ok(_accepted) => {
            let sheet = format!("/d/{}/approve?done={}", encode(&id), encode(&what));
            Ok(Redirect::to(&sheet).into_response())
        }
        Err(problem) if problem.code == STEP_UP => {
            let sheet = format!("/d/{}/approve", encode(&id));
            Ok(Redirect::to(&format!("/confirm?next={}", encode(&sheet))).into_response())
        }
        Err(problem) => Err(Refusal(problem)),
    }
}

async fn given(
    api: Api,
    viewer: Viewer,
    id: &str,
    answer: Answer,
) -> Result<request::Accepted, Problem> {
    let (state, who, path) = (State(api), viewer.principal, Path(id.to_owned()));
    let accepted = match answer.what.as_str() {
        "approve" => {
            let condition = answer.hold_at_bp.filter(|bp| !bp.is_empty());
            let hold_at_bp = condition.map(|bp| bp.parse()).transpose();
            let approve = request::Approve {
                binding: answer.binding.unwrap_or_default(),
                hold_at_bp: hold_at_bp
                    .map_err(|_not| Problem::bad_request("the condition is not a share"))?,
                comment: answer.comment,
                key: None,
            };
            approvals::approve(state, who, path, Body(approve)).await?
        }
        "withdraw" => {
            let reason = request::Reason { reason: answer.reason, key: None };
            approvals::withdraw(state, who, path, Body(reason)).await?
        }
        "attest" => {
            let item = answer.item.unwrap_or_default();
            let attest =
                request::Attest { item, comment: answer.comment, lasts_ms: None, key: None };
            approvals::attest(state, who, path, Body(attest)).await?
        }
        "reject" => {
            let (category, reason) = (answer.category, answer.reason);
            let reject = request::Reject { category, reason, key: None };
            approvals::reject(state, who, path, Body(reject)).await?
        }
        other => {
            let other = crate::text::plain(other);
            return Err(Problem::bad_request(format!("there is no answer `{other}`")));
        }
    };
    Ok(accepted.0)
}
