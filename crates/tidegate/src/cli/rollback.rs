//! `tidegate rollback`: return the traffic to what was live before, or to a version.
//! With `--emergency` it needs neither server nor journal. Must never ask for an approval.

use crate::cli::session::{Named, Session, service_path};
use crate::cli::watch;
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::request::{Accepted, Rollback};
use crate::view::service::{Target, Targets};

mod emergency;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The version to go back to; by default what was live before
    #[arg(long, value_name = "VERSION", conflicts_with = "emergency")]
    to: Option<String>,
    /// What could come back, and how quickly
    #[arg(long, conflicts_with_all = ["to", "emergency"])]
    list: bool,
    /// Tell the proxy directly; works without server, database and network
    #[arg(long)]
    emergency: bool,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or there is nothing to go back to.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    if args.emergency {
        return emergency::run(session).await;
    }
    let named = session.service().await?;
    if args.list {
        return list(session, &named).await;
    }
    let path = format!("/v1/services/{}/rollback", encode(&named.service));
    let asked = Rollback {
        environment: named.environment.clone(),
        to: args.to.clone(),
        reason: session.globals.reason.clone(),
        key: None,
    };
    if session.globals.dry_run {
        preview(session, &named, args).await?;
    }
    let Some(accepted): Option<Accepted> = session.change(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    session.terminal.say(&format!("{} goes back, as {}", named.service, accepted.id));
    if session.globals.no_wait {
        return session.told(&accepted.id, "rollback accepted").await;
    }
    // The end that was asked for is success for this command.
    Ok(match watch::follow(session, &accepted.id).await? {
        Exit::RolledBack | Exit::Aborted if went_as_asked(session, &accepted.id).await? => {
            Exit::Done
        }
        other => other,
    })
}

/// Whether going back was what a person wanted of this deployment. A release that was to come
/// back and itself had to be taken down did not.
async fn went_as_asked(session: &Session, id: &str) -> Result<bool, Failure> {
    let shown = session.show(id).await?;
    let by_a_person =
        shown.going_back.is_some_and(|back| matches!(back.reason.as_str(), "person" | "abort"));
    Ok(shown.kind != "return" || by_a_person)
}

async fn targets(session: &Session, named: &Named) -> Result<Targets, Failure> {
    session.client.get(&service_path(named, "targets")).await
}

async fn list(session: &Session, named: &Named) -> Result<Exit, Failure> {
    let found = targets(session, named).await?;
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    if let Some(current) = &found.current {
        session.terminal.say(&format!("{current} is in flight: a rollback ends it"));
    }
    for target in &found.targets {
        session.terminal.line(&line(target, found.default.as_deref()))?;
    }
    if found.targets.is_empty() {
        session.terminal.say("no release of it was ever live and good");
    }
    Ok(Exit::Done)
}

fn line(target: &Target, default: Option<&str>) -> String {
    let (style, words) = match target.readiness.as_str() {
        "live" => (Style::Good, "it is live"),
        "hot" => (Style::Good, "runs: about a second"),
        "warm" => (Style::Doubtful, "some instances run: the others are started first"),
        _ => (Style::Doubtful, "is started first"),
    };
    let mark = match (default == Some(target.version.as_str()), target.quarantined) {
        (_, true) => "  (quarantined: it was rolled back for its own fault)",
        (true, false) => "  (the default)",
        (false, false) => "",
    };
    format!(
        "{:12} {}  {words}, by {}{mark}",
        target.version,
        styled(style, &format!("{:5}", target.readiness)),
        target.deployment
    )
}

/// What would happen, in words, before the call is shown.
async fn preview(session: &Session, named: &Named, args: &Args) -> Result<(), Failure> {
    let found = targets(session, named).await?;
    let words = match (&found.current, &args.to, &found.default) {
        (Some(current), None, _) => {
            format!("{current} would go back: capacity, traffic, verify, scale-down")
        }
        (_, Some(version), _) | (None, None, Some(version)) => {
            let target = found.targets.iter().find(|target| target.version == *version);
            let readiness = target.map_or("unknown here", |target| target.readiness.as_str());
            format!("a deployment of {version} ({readiness}) would begin, without steps")
        }
        (None, None, None) => "there is nothing to go back to".to_owned(),
    };
    session.terminal.line(&words)
}
