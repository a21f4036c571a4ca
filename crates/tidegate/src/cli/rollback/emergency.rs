//! The one way around the server: tells the proxy, by its own socket, to go back.
//! Works with the server dead and the journal gone. Must never change anything but the split,
//! and prints each call before it makes it.

use tidegate_core::ids::{EnvironmentName, Scope, ServiceName};
use tidegate_drivers::traffic;

use crate::api::principal::user_name;
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};

/// Runs the emergency rollback of a service.
///
/// # Errors
/// [`Failure`] when the proxy does not answer, or has nothing to go back to.
pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    let socket = session.dir.proxy_socket();
    let scope = scope(session).await?;
    let actor = user_name(rustix::process::geteuid().as_raw());
    let reason = session.globals.reason.clone();
    let reason = reason.unwrap_or_else(|| "emergency rollback by hand".to_owned());
    if session.globals.dry_run {
        session.terminal.line(&format!(
            "would call: POST /v1/rollback at {} for every part of {scope}, as {actor}",
            socket.display()
        ))?;
        return Ok(Exit::Done);
    }
    let terminal = session.terminal.clone();
    let mut announce = move |call: &str| terminal.complain(&format!("calling: {call}"));
    let rolled = traffic::emergency(&socket, &scope, &actor, &reason, &mut announce)
        .await
        .map_err(|failure| of_proxy(&failure))?;
    let failed = rolled.iter().filter(|rolled| rolled.result.is_err()).count();
    if session.terminal.is_json() {
        let parts: Vec<_> = rolled
            .iter()
            .map(|rolled| match &rolled.result {
                Ok(serves) => serde_json::json!({ "part": rolled.part, "serves": serves }),
                Err(failure) => serde_json::json!({
                    "part": rolled.part, "code": failure.code, "error": failure.what,
                }),
            })
            .collect();
        session
            .terminal
            .json(&serde_json::json!({ "scope": scope.to_string(), "parts": parts }))?;
    } else {
        for rolled in &rolled {
            session.terminal.line(&match &rolled.result {
                Ok(serves) => {
                    format!("{} {} serves {serves}", styled(Style::Good, "back:"), rolled.part)
                }
                Err(failure) => format!(
                    "{} {}: {} {}",
                    styled(Style::Bad, "not moved:"),
                    rolled.part,
                    failure.code,
                    failure.what
                ),
            })?;
        }
        if rolled.iter().any(|rolled| rolled.result.is_ok()) {
            session.terminal.say("the server adopts this when it runs again, and never undoes it");
        }
    }
    // Nobody verified that what is served answers: that is the server's part.
    Ok(if failed == 0 { Exit::Done } else { Exit::NeedsPerson })
}

/// The service that is meant: flags, the configuration here, else the only one that is served.
async fn scope(session: &Session) -> Result<Scope, Failure> {
    let served =
        traffic::served(&session.dir.proxy_socket()).await.map_err(|failure| of_proxy(&failure))?;
    let Some(named) = session.service_here() else {
        return only(&served, session.globals.environment.as_deref());
    };
    let invalid = |error: tidegate_core::ids::InvalidName| {
        Failure::new(Exit::Usage, "TG7003", error.to_string())
    };
    let service = ServiceName::new(named.service).map_err(invalid)?;
    match named.environment {
        Some(environment) => {
            Ok(Scope { service, environment: EnvironmentName::new(environment).map_err(invalid)? })
        }
        None => {
            let of_it: Vec<Scope> =
                served.into_iter().filter(|scope| scope.service == service).collect();
            only(&of_it, None)
        }
    }
}

fn only(served: &[Scope], environment: Option<&str>) -> Result<Scope, Failure> {
    let fits = |scope: &&Scope| environment.is_none_or(|name| scope.environment.as_str() == name);
    let fitting: Vec<&Scope> = served.iter().filter(fits).collect();
    match fitting.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(Failure::new(Exit::NotFound, "TG7010", "the proxy serves no such service")
            .safe("nothing was changed")),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Failure::new(
                Exit::Usage,
                "TG7010",
                format!("which service? the proxy serves {}", names.join(", ")),
            )
            .safe("nothing was changed")
            .help("name it with `--service` and `--env`"))
        }
    }
}

fn of_proxy(failure: &tidegate_engine::ports::Failure) -> Failure {
    let exit = match failure.kind {
        tidegate_engine::ports::FailureKind::Retryable => Exit::Unreachable,
        _ => Exit::NeedsPerson,
    };
    Failure::new(exit, failure.code, failure.what.clone())
        .safe("the proxy serves what it served")
        .help("`--state-dir` names the directory of the proxy that is meant")
}
