//! `tidegate incident`: what went wrong, whose turn it is, and what is owed.
//! Must never say that one is over without a verified way back or a reason.

use crate::cli::session::{Named, Session};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::text::{count, number, span};
use crate::view::incident::{Handle, Incident, Incidents, Item, Open, Whole};
use crate::view::people::Changed;

/// The verbs of incidents.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// What went wrong, open ones first
    List {
        /// Only those that are not over
        #[arg(long)]
        open: bool,
    },
    /// Everything about one: impact, roles, what is owed, drafts, timeline
    Show {
        /// The incident
        id: String,
    },
    /// Open one by hand
    Open {
        /// One line
        title: String,
        /// p0 to p3, the worst first
        #[arg(long, default_value = "p2")]
        severity: String,
        /// The deployment that it came from
        #[arg(long)]
        deployment: Option<String>,
    },
    /// Say that you are on it
    Ack {
        /// The incident
        id: String,
    },
    /// Say who does what
    Assign {
        /// The incident
        id: String,
        /// What they do: commander, scribe, ...
        role: String,
        /// Who
        who: String,
    },
    /// Write something down
    Note {
        /// The incident
        id: String,
        /// What
        text: String,
        /// It is the cause
        #[arg(long, conflicts_with = "regulator")]
        cause: bool,
        /// It is what the regulator was told
        #[arg(long)]
        regulator: bool,
    },
    /// Say that it is better or worse than it was, with --reason
    Weigh {
        /// The incident
        id: String,
        /// p0 to p3, the worst first
        severity: String,
    },
    /// Say that it is over: by the check after the rollback, or with --reason
    Resolve {
        /// The incident
        id: String,
    },
    /// Say what was learnt: where the post-mortem is, and what is to be done
    Learn {
        /// The incident
        id: String,
        /// Where the post-mortem is, or what it says in short
        text: String,
        /// An action item, `WHAT | WHO | UNTIL`; may be repeated
        #[arg(long = "item", value_name = "ITEM")]
        items: Vec<String>,
    },
    /// The action items of what was learnt, as CSV for a tracker
    Items {
        /// The incident
        id: String,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, it knows no such incident, or it refuses.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let asked = |act: &str| Handle { act: act.to_owned(), ..Handle::default() };
    match verb {
        Verb::List { open } => list(session, *open).await,
        Verb::Show { id } => {
            let whole: Whole = session.client.get(&path(id)).await?;
            show(session, &whole)
        }
        Verb::Open { title, severity, deployment } => {
            let Named { service, environment } = session.service().await?;
            let asked = Open {
                service,
                environment,
                severity: severity.clone(),
                title: title.clone(),
                deployment: deployment.clone(),
                key: None,
            };
            if let Some(said) = session.change::<_, Changed>("/v1/incidents", &asked).await? {
                session.terminal.line(&said.sentence)?;
            }
            Ok(Exit::Done)
        }
        Verb::Ack { id } => change(session, id, asked("ack")).await,
        Verb::Assign { id, role, who } => {
            let (role, who) = (Some(role.clone()), Some(who.clone()));
            change(session, id, Handle { role, who, ..asked("assign") }).await
        }
        Verb::Note { id, text, cause, regulator } => {
            let act = match (cause, regulator) {
                (true, _) => "cause",
                (false, true) => "regulator",
                (false, false) => "note",
            };
            change(session, id, Handle { text: Some(text.clone()), ..asked(act) }).await
        }
        Verb::Weigh { id, severity } => {
            let (severity, reason) = (Some(severity.clone()), session.globals.reason.clone());
            change(session, id, Handle { severity, reason, ..asked("weigh") }).await
        }
        Verb::Resolve { id } => {
            let reason = session.globals.reason.clone();
            change(session, id, Handle { reason, ..asked("resolve") }).await
        }
        Verb::Learn { id, text, items } => {
            let items = items.iter().map(|text| item(text)).collect::<Result<_, _>>()?;
            change(session, id, Handle { text: Some(text.clone()), items, ..asked("learn") }).await
        }
        Verb::Items { id } => items(session, id).await,
    }
}

fn path(id: &str) -> String {
    format!("/v1/incidents/{}", encode(id))
}

fn item(text: &str) -> Result<Item, Failure> {
    let mut pieces = text.split('|').map(|piece| piece.trim().to_owned());
    match (pieces.next(), pieces.next(), pieces.next(), pieces.next()) {
        (Some(what), Some(owner), Some(until), None) => Ok(Item { what, owner, until }),
        _ => Err(Failure::new(Exit::Usage, "TG7151", format!("`{text}` is no action item"))
            .safe("nothing was changed")
            .help("write what, who and until when: `--item 'test the price | ada | 1 March'`")),
    }
}

async fn change(session: &Session, id: &str, asked: Handle) -> Result<Exit, Failure> {
    let Some(whole) = session.change::<_, Whole>(&path(id), &asked).await? else {
        return Ok(Exit::Done);
    };
    if session.terminal.is_json() {
        session.terminal.json(&whole)?;
    } else {
        let incident = &whole.incident;
        session.terminal.line(&format!("{} {}", incident.id, incident.sentence))?;
    }
    Ok(Exit::Done)
}

async fn list(session: &Session, open: bool) -> Result<Exit, Failure> {
    let mut found: Incidents = session.client.get("/v1/incidents").await?;
    found.incidents.retain(|incident| !open || incident.state != "resolved");
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    for incident in &found.incidents {
        for line in lines(session, incident) {
            session.terminal.line(&line)?;
        }
    }
    if found.incidents.is_empty() {
        session.terminal.say("none: a rollback opens one where tidegate.yaml has `incident:`");
    }
    Ok(Exit::Done)
}

fn lines(session: &Session, incident: &Incident) -> Vec<String> {
    let (mark, style) = match incident.state.as_str() {
        "resolved" => ("\u{2713}", Style::Good),
        "acknowledged" => ("~", Style::Doubtful),
        _ => ("\u{2717}", Style::Bad),
    };
    let mut lines = vec![
        format!(
            "{} {} {} {} {}",
            styled(style, mark),
            styled(Style::Strong, &incident.id),
            incident.severity.to_uppercase(),
            incident.state,
            incident.title
        ),
        format!(
            "    {} {}: {}",
            session.terminal.stamp(incident.opened_at),
            incident.opened_by,
            incident.sentence
        ),
    ];
    lines.extend(incident.owed.iter().map(|owed| {
        let late = if owed.late { " (overdue)" } else { "" };
        format!("    owed: {} until {}{late}", owed.what, session.terminal.stamp(owed.until))
    }));
    lines
}

fn show(session: &Session, whole: &Whole) -> Result<Exit, Failure> {
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(whole)?;
        return Ok(Exit::Done);
    }
    for line in lines(session, &whole.incident) {
        terminal.line(&line)?;
    }
    if let Some(impact) = &whole.impact {
        let unknown = || "not recorded".to_owned();
        let requests = impact.requests.map_or_else(unknown, count);
        let failed = impact.failed.map_or_else(unknown, count);
        let ms = |ms| span(jiff::SignedDuration::from_millis(ms));
        let long = impact.users_ms.map_or_else(unknown, ms);
        let share = |bp: u16| format!("{} %", number(f64::from(bp) / 100.0));
        let share = impact.share_bp.map_or_else(unknown, share);
        terminal.line(&format!(
            "    impact: {requests} requests, {failed} failed, for {long}, at most {share} of all"
        ))?;
    }
    for part in &whole.roles {
        terminal.line(&format!("    {}: {}", part.role, part.who))?;
    }
    for step in &whole.steps {
        terminal.line(&format!("    to do: {step}"))?;
    }
    for draft in &whole.drafts {
        let (number, service) = (draft.number, &whole.incident.service);
        terminal.line(&format!("    {} for {}: {}", draft.state, draft.channel, draft.text))?;
        terminal.line(&format!("      tidegate notify release {number} --service {service}"))?;
    }
    if let Some(learnt) = &whole.postmortem {
        terminal.line(&format!("    learnt, by {}: {}", learnt.by, learnt.text))?;
        for item in &learnt.items {
            terminal.line(&format!("      {} | {} | {}", item.what, item.owner, item.until))?;
        }
    }
    for did in &whole.timeline {
        terminal.line(&format!("  {} {} {}", terminal.stamp(did.at), did.by, did.text))?;
    }
    Ok(Exit::Done)
}

async fn items(session: &Session, id: &str) -> Result<Exit, Failure> {
    let whole: Whole = session.client.get(&path(id)).await?;
    let items = whole.postmortem.map(|learnt| learnt.items).unwrap_or_default();
    if session.terminal.is_json() {
        session.terminal.json(&items)?;
        return Ok(Exit::Done);
    }
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["incident", "what", "owner", "until"]).map_err(Failure::local)?;
    for item in &items {
        table.write_record([id, &item.what, &item.owner, &item.until]).map_err(Failure::local)?;
    }
    let bytes = table.into_inner().map_err(|error| Failure::local(error.into_error()))?;
    session.terminal.raw(&bytes)?;
    Ok(Exit::Done)
}
