//! `tidegate notify`: messages to people and machines; what is stuck, and a test of a channel.
//! Must never send anything else than what the outbox has, a test apart.

use crate::cli::session::{Named, Session};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::message::{Handle, Message, Messages, Try};
use crate::view::people::Changed;

/// The verbs of messages.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// What is told, what is stuck, and the newest of what was told
    List {
        /// Only what somebody has to do something about
        #[arg(long)]
        stuck: bool,
    },
    /// Send a test message and say what the channel answers
    Test {
        /// email, pagerduty, slack, teams or webhook
        channel: String,
        /// The room, address, severity or name there
        address: String,
    },
    /// Send one again that was given up
    Redeliver {
        /// Its number
        number: u64,
    },
    /// Let a draft out, in your own words or as it stands
    Release {
        /// Its number
        number: u64,
        /// What customers read
        #[arg(long)]
        text: Option<String>,
    },
    /// Take one out that nobody needs any more
    Drop {
        /// Its number
        number: u64,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or it refuses.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::List { stuck } => list(session, *stuck).await,
        Verb::Test { channel, address } => {
            let asked = Try { channel: channel.clone(), address: address.clone() };
            told(session, session.change("/v1/messages/test", &asked).await?)
        }
        Verb::Redeliver { number } => handle(session, *number, "redeliver", None).await,
        Verb::Release { number, text } => handle(session, *number, "release", text.clone()).await,
        Verb::Drop { number } => handle(session, *number, "drop", None).await,
    }
}

async fn handle(
    session: &Session,
    number: u64,
    act: &str,
    text: Option<String>,
) -> Result<Exit, Failure> {
    let Named { service, environment } = session.service().await?;
    let asked = Handle {
        act: act.to_owned(),
        environment,
        text,
        reason: session.globals.reason.clone(),
        key: None,
    };
    let path = format!("/v1/services/{}/messages/{number}", encode(&service));
    told(session, session.change(&path, &asked).await?)
}

fn told(session: &Session, changed: Option<Changed>) -> Result<Exit, Failure> {
    if let Some(changed) = changed {
        if session.terminal.is_json() {
            session.terminal.json(&changed)?;
        } else {
            session.terminal.line(&changed.sentence)?;
        }
    }
    Ok(Exit::Done)
}

async fn list(session: &Session, stuck: bool) -> Result<Exit, Failure> {
    let query = match session.service_here() {
        Some(Named { service, environment: Some(environment) }) => {
            format!("?service={}&environment={}", encode(&service), encode(&environment))
        }
        Some(Named { service, environment: None }) => format!("?service={}", encode(&service)),
        None => String::new(),
    };
    let mut found: Messages = session.client.get(&format!("/v1/messages{query}")).await?;
    found.messages.retain(|message| !stuck || message.needs_somebody());
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    for message in &found.messages {
        for line in lines(session, message) {
            session.terminal.line(&line)?;
        }
    }
    if found.messages.is_empty() {
        session.terminal.say("none: `tell:` in tidegate.yaml says who hears of what");
    }
    Ok(Exit::Done)
}

fn lines(session: &Session, message: &Message) -> Vec<String> {
    let (mark, style, word) = match message.state.as_str() {
        "sent" => ("\u{2713}", Style::Good, "sent"),
        "dead" => ("\u{2717}", Style::Bad, "given up"),
        "draft" => ("?", Style::Doubtful, "draft, waits for a person"),
        "resting" => ("~", Style::Doubtful, "is sent again"),
        _ => (">", Style::Strong, "is being sent"),
    };
    let attempts = match message.attempts {
        0 | 1 => String::new(),
        attempts => format!(", {attempts} attempts"),
    };
    let mut lines = vec![format!(
        "{} {:>5} {} {} {} {}{attempts}: {}",
        styled(style, mark),
        message.number,
        session.terminal.stamp(message.at),
        message.channel,
        message.address,
        word,
        styled(Style::Strong, &message.title),
    )];
    lines.extend(message.said.iter().map(|said| format!("        {said}")));
    let (number, service) = (message.number, &message.service);
    match message.state.as_str() {
        "dead" => lines
            .push(format!("        again: tidegate notify redeliver {number} --service {service}")),
        "draft" => {
            lines.push(format!("        {}", message.text.replace('\n', " ")));
            lines.push(format!(
                "        let it out: tidegate notify release {number} --service {service}"
            ));
        }
        _ => {}
    }
    lines
}
