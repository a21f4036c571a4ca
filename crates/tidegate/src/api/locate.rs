//! Finds what a request names: a deployment by its id, a service by name and environment.
//! Must never guess between two.

use std::sync::Arc;

use tidegate_core::ids::{DeploymentId, Scope};
use tidegate_core::state::State;
use tidegate_engine::ports::DeploymentRow;

use super::Api;
use crate::problem::Problem;

/// Where a deployment is.
pub(crate) enum Located {
    /// It has events.
    Begun(Box<DeploymentRow>),
    /// It waits for its turn and has none yet.
    Queued(Scope, Arc<State>),
}

/// Finds a deployment.
///
/// # Errors
/// TG7002 when there is none of that id.
pub(crate) async fn deployment(api: &Api, id: &str) -> Result<Located, Problem> {
    let id = id_of(id)?;
    if let Some(row) = api.ports().journal.find(&id).await? {
        return Ok(Located::Begun(Box::new(row)));
    }
    for scope in api.engine().scopes() {
        if let Some(state) = api.engine().state(&scope)
            && state.queued.as_ref().is_some_and(|queued| queued.deployment == id)
        {
            return Ok(Located::Queued(scope, state));
        }
    }
    Err(no_deployment(id.as_str()))
}

/// Finds a deployment that has events.
///
/// # Errors
/// TG7002 when there is none of that id, or when it has not begun.
pub(crate) async fn begun(api: &Api, id: &str) -> Result<DeploymentRow, Problem> {
    match deployment(api, id).await? {
        Located::Begun(row) => Ok(*row),
        Located::Queued(scope, _) => Err(Problem::not_found(
            "TG7002",
            format!("{id} waits for its turn in {scope} and has done nothing yet"),
        )),
    }
}

/// The service of a deployment and its id.
///
/// # Errors
/// TG7002 when there is none of that id.
pub(crate) async fn scope_of(api: &Api, id: &str) -> Result<(Scope, DeploymentId), Problem> {
    let scope = match deployment(api, id).await? {
        Located::Begun(row) => row.scope,
        Located::Queued(scope, _) => scope,
    };
    Ok((scope, id_of(id)?))
}

fn id_of(id: &str) -> Result<DeploymentId, Problem> {
    DeploymentId::new(id).map_err(|_invalid| no_deployment(&crate::text::plain(id)))
}

fn no_deployment(id: &str) -> Problem {
    Problem::not_found("TG7002", format!("there is no deployment {id}"))
        .help("see what there is: `tidegate list`")
}

/// Whether a scope is what was asked for; what was not named is any.
pub(crate) fn fits(scope: &Scope, service: Option<&str>, environment: Option<&str>) -> bool {
    service.is_none_or(|name| scope.service.as_str() == name)
        && environment.is_none_or(|name| scope.environment.as_str() == name)
}

/// Finds a service; the environment may be left out when there is only one.
///
/// # Errors
/// TG7010 when there is none, or when it is in several environments.
pub(crate) fn service(
    api: &Api,
    service: &str,
    environment: Option<&str>,
) -> Result<(Scope, Arc<State>), Problem> {
    let mut found: Vec<Scope> = api
        .engine()
        .scopes()
        .into_iter()
        .filter(|scope| fits(scope, Some(service), environment))
        .collect();
    let name = crate::text::plain(service);
    match (found.pop(), found.is_empty()) {
        (Some(scope), true) => {
            let state = api.engine().state(&scope).ok_or_else(|| {
                Problem::not_found("TG7010", format!("{scope} is not known here"))
            })?;
            Ok((scope, state))
        }
        (Some(_), false) => {
            Err(Problem::new(409, "TG7010", format!("{name} runs in several environments"))
                .safe("nothing was changed")
                .help("name one with `--env`"))
        }
        (None, _) => Err(Problem::not_found(
            "TG7010",
            match environment {
                Some(environment) => format!(
                    "nothing was ever deployed to {name} in {}",
                    crate::text::plain(environment)
                ),
                None => format!("nothing was ever deployed to {name}"),
            },
        )
        .help("see what there is: `tidegate list`")),
    }
}
