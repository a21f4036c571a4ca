//! `tidegate watch`: follow a deployment to its end, as a tree, as lines or as JSON.
//! Must never end the deployment: whoever stops watching only stops watching.

use std::time::Duration;

use tokio::time::Instant;

use crate::cli::globals::Progress;
use crate::cli::session::{Session, Unnamed};
use crate::client::{Events, Frame};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::{Deployment, Line};

use super::tree;
use crate::words::{state_icon, state_words};

mod screen;

/// A server that went away may come back for this long.
const RETURN_WITHIN: Duration = Duration::from_secs(60);
/// Time between two tries to reach it again.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here, else the newest
    deployment: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or it knows no such deployment.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::Newest).await?;
    follow(session, &id).await
}

/// How it is followed.
fn progress(session: &Session) -> Progress {
    match session.globals.progress {
        Progress::Auto if session.terminal.is_json() => Progress::Json,
        Progress::Auto if session.terminal.is_screen() => Progress::Tree,
        Progress::Auto => Progress::Lines,
        chosen => chosen,
    }
}

/// Follows a deployment to its end, or until the person or the time ends the following.
///
/// # Errors
/// [`Failure`] when the server went away and did not come back.
pub(crate) async fn follow(session: &Session, id: &str) -> Result<Exit, Failure> {
    let how = progress(session);
    let deadline = deadline(session)?;
    let following = async {
        match how {
            Progress::Tree => screen::follow(session, id).await,
            how => lines(session, id, how).await,
        }
    };
    tokio::select! {
        ended = following => {
            match ended? {
                Followed::Ended(shown) => conclude(session, &shown, how),
                Followed::Detached => {
                    detached(session, id);
                    Ok(Exit::Interrupted)
                }
            }
        }
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(Failure::local)?;
            detached(session, id);
            Ok(Exit::Interrupted)
        }
        () = sleep_until(deadline) => {
            let shown = session.show(id).await?;
            session.terminal.complain(&format!("the time to follow it is over: {}", shown.sentence));
            detached(session, id);
            Ok(exit_of(&shown))
        }
    }
}

fn deadline(session: &Session) -> Result<Option<Instant>, Failure> {
    let Some(timeout) = session.globals.timeout else { return Ok(None) };
    let timeout = Duration::try_from(timeout)
        .map_err(|_negative| Failure::new(Exit::Usage, "TG7003", "--timeout is below zero"))?;
    Ok(Instant::now().checked_add(timeout))
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// How the following ended.
pub(crate) enum Followed {
    /// The deployment is over, or nothing but a person moves it.
    Ended(Box<Deployment>),
    /// The person stopped watching.
    Detached,
}

fn detached(session: &Session, id: &str) {
    let dir = match &session.globals.state_dir {
        Some(dir) => format!(" --state-dir {}", dir.display()),
        None => String::new(),
    };
    session.terminal.complain(&format!(
        "{id} is still running on the server\n  watch it: tidegate watch {id}{dir}\n  end it:   tidegate abort {id}{dir}"
    ));
}

/// What a script is told about a deployment in this state.
pub(crate) fn exit_of(shown: &Deployment) -> Exit {
    match (shown.exit_code, shown.state.as_str()) {
        (Some(code), _) => Exit::of_number(code),
        (None, "held") => Exit::Held,
        (None, "waiting_for_people") => Exit::WaitingForPeople,
        (None, "needs_person" | "faulted") => Exit::NeedsPerson,
        (None, _) => Exit::Interrupted,
    }
}

/// Whether nothing but a person moves it any more.
pub(crate) fn is_final(shown: &Deployment) -> bool {
    shown.ended() || matches!(shown.state.as_str(), "needs_person" | "faulted")
}

/// One line a change, until the end.
async fn lines(session: &Session, id: &str, how: Progress) -> Result<Followed, Failure> {
    let mut seen = 0;
    let mut events = session.client.events(id, seen).await?;
    loop {
        match events.next().await {
            Ok(Frame::Event(line)) => {
                seen = line.seq;
                print(session, id, &line, how)?;
                if may_be_stuck(&line) {
                    let shown = session.show(id).await?;
                    // A stream that replays the past goes on: what was stuck then may be over.
                    if is_final(&shown) && !shown.ended() {
                        return Ok(Followed::Ended(Box::new(shown)));
                    }
                }
            }
            Ok(Frame::End) => {
                let shown = session.show(id).await;
                match shown {
                    Ok(shown) if is_final(&shown) => return Ok(Followed::Ended(Box::new(shown))),
                    _ => events = again(session, id, seen).await?,
                }
            }
            Err(failure) if failure.exit == Exit::Unreachable || failure.code == "TG6112" => {
                session.terminal.say(&format!("the server went away: {}", failure.what));
                events = again(session, id, seen).await?;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Connects again after the server went away: the deployment goes on when one runs.
async fn again(session: &Session, id: &str, seen: u64) -> Result<Events, Failure> {
    let deadline = Instant::now() + RETURN_WITHIN;
    let mut retry = tokio::time::interval(RETRY_EVERY);
    loop {
        retry.tick().await;
        match session.client.events(id, seen).await {
            Ok(events) => return Ok(events),
            Err(failure) if Instant::now() >= deadline => return Err(failure),
            Err(failure) if matches!(failure.exit, Exit::Unreachable | Exit::Unexpected) => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// Whether nothing but a person may move it from here on.
fn may_be_stuck(line: &Line) -> bool {
    line.kind == "faulted" || line.event.pointer("/phase/needs_person").is_some()
}

fn print(session: &Session, id: &str, line: &Line, how: Progress) -> Result<(), Failure> {
    match how {
        Progress::None => Ok(()),
        Progress::Json => {
            let mut value = serde_json::to_value(line).map_err(Failure::local)?;
            if let Some(object) = value.as_object_mut() {
                object.insert("deployment".to_owned(), id.into());
            }
            session.terminal.raw(format!("{value}\n").as_bytes())
        }
        Progress::Auto | Progress::Lines | Progress::Tree => {
            let at = session.terminal.stamp(line.at);
            session.terminal.line(&format!("{at} {id} {}", line.text))
        }
    }
}

/// The end in words: what, why, and what to do next.
fn conclude(session: &Session, shown: &Deployment, how: Progress) -> Result<Exit, Failure> {
    let exit = exit_of(shown);
    let terminal = &session.terminal;
    if how == Progress::Json {
        let result = serde_json::json!({
            "schema": crate::view::LINE_SCHEMA,
            "kind": "result",
            "deployment": shown,
            "exit_code": exit.code(),
        });
        terminal.raw(format!("{result}\n").as_bytes())?;
        return Ok(exit);
    }
    if how != Progress::Tree && exit != Exit::Done && !terminal.quiet {
        // A pipe keeps no screen: the whole picture of a failure stands at its end.
        for line in tree::render(shown, terminal, tree::Keys::Hidden) {
            terminal.line(&line)?;
        }
    }
    let (icon, style) = state_icon(&shown.state, terminal.unicode());
    let head = styled(style, &format!("{icon} {}", state_words(&shown.state)));
    let why = shown.why.as_deref().unwrap_or(&shown.sentence);
    terminal.line(&format!("{head}  {} {} {}: {why}", shown.id, shown.service, shown.version))?;
    if let Some(next) = next_command(shown, exit) {
        terminal.say(&format!("  next: {}", styled(Style::Strong, &next)));
    }
    Ok(exit)
}

fn next_command(shown: &Deployment, exit: Exit) -> Option<String> {
    let id = &shown.id;
    Some(match exit {
        Exit::Stopped | Exit::RolledBack | Exit::Aborted => {
            format!("tidegate logs {id}, tidegate timeline {id}")
        }
        Exit::RolledBackUnverified => {
            "look at the service now: tidegate probe run, tidegate slot list".to_owned()
        }
        Exit::NeedsPerson => format!("tidegate why {id}, then tidegate rollback"),
        Exit::LiveUnverified => format!("tidegate status {id}: nobody used it enough to say"),
        _ => return None,
    })
}
