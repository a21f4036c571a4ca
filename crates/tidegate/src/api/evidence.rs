//! Evidence: reports that are added to a release, listed, verified and handed out again.
//! Must never take a report for a release that does not exist, nor hand out changed bytes.

use std::collections::BTreeMap;

use axum::body::Body as Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use serde::Deserialize;
use tidegate_core::digest::Digest;
use tidegate_core::fact::Format;
use tidegate_core::gate::Kept;
use tidegate_core::ids::Actor;
use tidegate_core::input::Command;
use tokio_util::io::{ReaderStream, StreamReader};
use utoipa::IntoParams;

use super::body::Query;
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, deployments, locate};
use crate::problem::Problem;
use crate::view::evidence::{Checked, CheckedReports, Report, Reports};
use crate::view::request;

/// Longest name of a report, bytes: it stands in the journal.
const NAME_BYTES_MAX: usize = 300;

/// The release that a report is about, and what it is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Upload {
    /// An absolute path on this machine, or a URL that git understands.
    repository: String,
    /// The tag.
    version: String,
    /// Path of the configuration inside the commit, `tidegate.yaml` by default.
    config: Option<String>,
    /// The environment; by default the one that the file names.
    environment: Option<String>,
    /// Values of variables that the configuration declares: a JSON object of texts.
    variables: Option<String>,
    /// The name by which gates know it, `reports/unit/a.xml`.
    name: String,
    /// Its format; by default known by its beginning.
    format: Option<String>,
}

/// Add a report to what is known of a release. The body is the report, byte for byte.
#[utoipa::path(
    post,
    path = "/v1/evidence",
    tag = "evidence",
    params(Upload),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = Report),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn add(
    State(api): State<Api>,
    principal: Principal,
    Query(asked): Query<Upload>,
    request: Request,
) -> Reply<Report> {
    let format = asked.format.as_deref().map(format_of).transpose()?;
    check_name(&asked.name)?;
    let release = request::Release {
        repository: asked.repository,
        version: asked.version,
        config: asked.config.unwrap_or_else(|| request::DEFAULT_CONFIG.to_owned()),
        environment: asked.environment,
        variables: values(asked.variables.as_deref())?,
        tighten: Vec::new(),
    };
    let plan = deployments::plan_of(&api, &release).await?;
    let stream = request.into_body().into_data_stream().map_err(std::io::Error::other);
    let mut bytes = StreamReader::new(stream);
    let kept = api.ports().evidence.keep(&asked.name, format, &mut bytes).await?;
    let evidence = kept.about(asked.name, plan.release.version, plan.release.commit);
    let command = Command::AddEvidence { evidence: evidence.clone() };
    let actor = principal.actor();
    api.engine().command(&plan.scope, actor.clone(), None, command).await?;
    Ok(axum::Json(report(&Kept { evidence, at: api.now(), by: actor })))
}

/// The values of variables, which a query carries as one text.
fn values(text: Option<&str>) -> Result<BTreeMap<String, String>, Problem> {
    let values = text.map(serde_json::from_str).transpose();
    values.map(Option::unwrap_or_default).map_err(|error| {
        Problem::bad_request(format!("`variables` is no JSON object of texts: {error}"))
    })
}

fn format_of(word: &str) -> Result<Format, Problem> {
    Format::of_word(word).ok_or_else(|| {
        let known: Vec<&str> = Format::ALL.iter().map(|format| format.word()).collect();
        let word = crate::text::plain(word);
        Problem::bad_request(format!("`{word}` is no format; there are {}", known.join(", ")))
    })
}

/// A name is a path as gates write it.
fn check_name(name: &str) -> Result<(), Problem> {
    let fits = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('/')
        && !name.split('/').any(|piece| piece == "..")
        && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(Problem::bad_request(format!(
        "the name of a report is a relative path without `..`, at most {NAME_BYTES_MAX} bytes"
    )))
}

pub(crate) fn report(kept: &Kept) -> Report {
    let evidence = &kept.evidence;
    Report {
        digest: evidence.digest.to_string(),
        format: evidence.format.word().to_owned(),
        name: evidence.name.clone(),
        version: evidence.version.clone(),
        commit: evidence.commit.clone(),
        bytes: evidence.bytes,
        summary: evidence.summary.clone(),
        at: kept.at,
        by: match &kept.by {
            Actor::Person(name) => name.clone(),
            other => other.to_string(),
        },
    }
}

/// How the list is narrowed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Narrowed {
    /// The environment; needed when the service has several.
    environment: Option<String>,
    /// Only reports on this version.
    version: Option<String>,
}

/// Reports that are known, oldest first.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/evidence",
    tag = "evidence",
    params(("service" = String, Path, description = "The service"), Narrowed),
    responses(
        (status = 200, body = Reports),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(asked): Query<Narrowed>,
) -> Reply<Reports> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let fits = |kept: &&Kept| {
        asked.version.as_deref().is_none_or(|version| kept.evidence.version == version)
    };
    Ok(axum::Json(Reports {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        reports: state.evidence.iter().filter(fits).map(report).collect(),
    }))
}

/// Hold every report that is known against its digest.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/evidence/verify",
    tag = "evidence",
    params(("service" = String, Path, description = "The service"), Narrowed),
    responses(
        (status = 200, body = CheckedReports),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn verify(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(asked): Query<Narrowed>,
) -> Reply<CheckedReports> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let mut reports = Vec::new();
    for kept in &state.evidence {
        let evidence = &kept.evidence;
        if asked.version.as_deref().is_some_and(|version| evidence.version != version) {
            continue;
        }
        let problem = api.ports().evidence.verify(&evidence.digest).await.err();
        reports.push(Checked {
            digest: evidence.digest.to_string(),
            name: evidence.name.clone(),
            problem: problem.map(|failure| format!("{}: {}", failure.code, failure.what)),
        });
    }
    Ok(axum::Json(CheckedReports {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        reports,
    }))
}

/// The bytes of a report.
#[utoipa::path(
    get,
    path = "/v1/evidence/{digest}",
    tag = "evidence",
    params(("digest" = String, Path, description = "SHA-256 of the report")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn open(
    State(api): State<Api>,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    let Some(digest) = Digest::of_hex(&digest) else {
        return Err(Problem::not_found("TG3043", "a report is named by 64 digits of hex"));
    };
    let bytes = api.ports().evidence.open(&digest).await?;
    let body = Bytes::from_stream(ReaderStream::new(bytes));
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}
