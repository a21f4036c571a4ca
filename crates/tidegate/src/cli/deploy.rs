//! `tidegate deploy [VERSION]`: start a deployment of a tag, or reattach to it, and follow it.
//! The only verb that starts a server. Must never deploy anything but a tag.

use std::path::{Path, PathBuf};

use crate::cli::session::Session;
use crate::cli::{project, watch};
use crate::client::Door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server::background;
use crate::terminal::{Style, styled};
use crate::view::request::{Accepted, DEFAULT_CONFIG, Deploy, Release};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tag; by default the one of the checked-out commit
    version: Option<String>,
    #[command(flatten)]
    from: From,
    /// Take the place of a deployment in flight, which goes back first
    #[arg(long)]
    supersede: bool,
    /// Deploy an artifact that was rolled back before
    #[arg(long)]
    despite_quarantine: bool,
    /// The same key takes effect once: a repeat follows the first deployment
    #[arg(long, env = "TIDEGATE_KEY")]
    key: Option<String>,
}

/// Where a release is, and with which values it is read.
#[derive(Debug, clap::Args)]
pub(crate) struct From {
    /// The repository, a path or a URL; by default the one around this directory
    #[arg(long, value_name = "PATH|URL")]
    repository: Option<String>,
    /// A value for a variable that the configuration declares, `NAME=VALUE`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = project::assignment)]
    variables: Vec<(String, String)>,
    /// Demand more for this run, with a key of a policy: `after.watch.for=1h`
    #[arg(long, value_name = "KEY=VALUE")]
    tighten: Vec<String>,
}

/// A release that another verb names.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The tag; by default the one of the checked-out commit
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    from: From,
}

/// The release that is named, as the server is asked about it.
///
/// # Errors
/// [`Failure`] when it is not clear which one is meant.
pub(crate) fn release(session: &Session, named: &Named) -> Result<Release, Failure> {
    let Deploy { repository, version, config, environment, variables, tighten, .. } =
        request(session, named.version.as_deref(), &named.from)?;
    Ok(Release { repository, version, config, environment, variables, tighten })
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when the version is not clear, the server cannot be started, or it refuses.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let asked = Deploy {
        supersede: args.supersede,
        despite_quarantine: args.despite_quarantine,
        key: args.key.clone(),
        ..request(session, args.version.as_deref(), &args.from)?
    };
    if !session.globals.dry_run {
        ensure_server(session).await?;
    }
    let Some(accepted): Option<Accepted> = session.change("/v1/deployments", &asked).await? else {
        return Ok(Exit::Done);
    };
    for note in &accepted.notes {
        session.terminal.say(note);
    }
    let id = &accepted.id;
    let how = if accepted.repeated { "was started before with this key" } else { "accepted" };
    session.terminal.say(&format!(
        "{} {} {} in {} {how}",
        styled(Style::Strong, id),
        accepted.service,
        accepted.version,
        accepted.environment
    ));
    if session.globals.no_wait {
        if session.terminal.is_json() {
            session.terminal.json(&accepted)?;
        } else {
            session.terminal.line(id)?;
        }
        let shown = session.show(id).await?;
        let waits = shown.state == "waiting_for_people";
        return Ok(if waits { Exit::WaitingForPeople } else { Exit::Done });
    }
    watch::follow(session, id).await
}

/// What the directory and the flags name.
///
/// # Errors
/// [`Failure`] when the version is not clear.
pub(crate) fn request(
    session: &Session,
    version: Option<&str>,
    from: &From,
) -> Result<Deploy, Failure> {
    let here = std::env::current_dir().map_err(Failure::local)?;
    let remote = from.repository.as_deref().filter(|text| is_url(text));
    let (repository, root) = match remote {
        Some(url) => (url.to_owned(), None),
        None => {
            let root = root(&here, from.repository.as_deref())?;
            (as_the_server_reaches_it(session, &root)?, Some(root))
        }
    };
    let version = match (version, &root) {
        (Some(version), _) => version.to_owned(),
        (None, Some(root)) => project::tag_here(root)?,
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "TG7007", "a URL needs a version")
                .help("`tidegate deploy VERSION --repository URL`"));
        }
    };
    let config = match (&session.globals.config, &root) {
        (Some(named), Some(root)) => inside(root, &here, named)?,
        (Some(named), None) => named.display().to_string(),
        (None, _) => DEFAULT_CONFIG.to_owned(),
    };
    Ok(Deploy {
        repository,
        version,
        config,
        environment: session.globals.environment.clone(),
        supersede: false,
        despite_quarantine: false,
        key: None,
        variables: from.variables.iter().cloned().collect(),
        tighten: from.tighten.clone(),
    })
}

/// The repository as the server can read it: its path on this machine, its remote elsewhere.
fn as_the_server_reaches_it(session: &Session, root: &Path) -> Result<String, Failure> {
    if session.client.socket().is_some() {
        return Ok(root.display().to_string());
    }
    project::git(root, &["remote", "get-url", "origin"]).ok().filter(|url| is_url(url)).ok_or_else(
        || {
            let door = session.client.door();
            Failure::new(Exit::Usage, "TG7007", format!("{door} cannot read this directory"))
                .safe("no deployment was started")
                .help("push the tag, and name the repository by `--repository URL`")
        },
    )
}

fn is_url(text: &str) -> bool {
    text.contains("://") || (text.contains('@') && text.contains(':'))
}

/// The root of the named repository, or of the one around this directory. A bare repository has
/// no root but itself.
fn root(here: &Path, named: Option<&str>) -> Result<PathBuf, Failure> {
    let Some(named) = named else { return project::repository(here) };
    let path = here.join(named);
    if project::git(&path, &["rev-parse", "--is-bare-repository"]).as_deref() == Ok("true") {
        return std::fs::canonicalize(path).map_err(Failure::local);
    }
    project::repository(&path)
}

/// The path of a configuration inside its repository: the server reads it from the commit.
fn inside(root: &Path, here: &Path, named: &Path) -> Result<String, Failure> {
    let outside = || {
        Failure::new(
            Exit::Usage,
            "TG7005",
            format!("{} is not inside {}", named.display(), root.display()),
        )
        .safe("no deployment was started")
        .help("the configuration is read from the commit: keep it in the repository")
    };
    let file = std::fs::canonicalize(here.join(named)).map_err(|_missing| outside())?;
    let root = std::fs::canonicalize(root).map_err(Failure::local)?;
    let path = file.strip_prefix(&root).map_err(|_outside| outside())?;
    Ok(path.display().to_string())
}

async fn ensure_server(session: &Session) -> Result<(), Failure> {
    // A server that was named is somebody's: it is not for us to start another.
    let named = *session.client.door() != Door::Socket(session.dir.server_socket());
    if named || session.client.answers().await {
        return Ok(());
    }
    session.terminal.say("no server runs yet: starting one in the background ...");
    let pid = background::start(&session.dir, &session.client).await?;
    session.terminal.say(&format!(
        "server ready (pid {pid}, {}); `tidegate server stop` ends it",
        session.dir.path().display()
    ));
    Ok(())
}
