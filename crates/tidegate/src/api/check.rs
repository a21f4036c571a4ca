//! Looks at a configuration without using it.
//! Must never touch the world: it reads the text that was sent.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::Zoned;
use tidegate_core::plan::Release;
use tidegate_spec::{Context, Purpose};

use super::Api;
use super::body::Body;
use super::reply::Reply;
use crate::view::request;
use crate::view::service::Checked;

/// Parse and lint a `tidegate.yaml`.
#[utoipa::path(
    post,
    path = "/v1/check",
    tag = "server",
    request_body = request::Check,
    responses((status = 200, body = Checked))
)]
pub(crate) async fn check(
    State(_api): State<Api>,
    Body(asked): Body<request::Check>,
) -> Reply<Checked> {
    let files = asked.files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
    let context = context(asked.environment.as_deref(), &files, &asked.variables);
    Ok(axum::Json(look(&asked.source, &asked.name, &context)))
}

/// What a file is looked at with: no release exists yet, and nothing that is found depends on
/// which one it will be.
pub(crate) fn context<'a>(
    environment: Option<&'a str>,
    files: &'a BTreeMap<String, Vec<u8>>,
    variables: &'a BTreeMap<String, String>,
) -> Context<'a> {
    Context {
        release: Release {
            version: "v0.0.0".to_owned(),
            repository: ".".to_owned(),
            commit: "0".repeat(40),
        },
        environment,
        files,
        variables,
        today: Some(Zoned::now().date()),
        purpose: Purpose::Check,
    }
}

/// Parses and lints; the same on the command line and over the API.
pub(crate) fn look(source: &str, name: &str, context: &Context<'_>) -> Checked {
    match tidegate_spec::read_with(source, name, context) {
        Ok(parsed) => Checked {
            valid: true,
            service: Some(parsed.plan.scope.service.to_string()),
            diagnostics: parsed.notes,
            unserved: parsed.unserved.into_iter().map(|unserved| unserved.path).collect(),
        },
        Err(found) => {
            Checked { valid: false, service: None, diagnostics: found.0, unserved: Vec::new() }
        }
    }
}
