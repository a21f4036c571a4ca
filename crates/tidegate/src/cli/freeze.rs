//! `tidegate freeze`: times in which no deployment begins.
//! Must never be the reason that a rollback does not happen.

use jiff::{SignedDuration, Timestamp};

use crate::cli::session::{Named, Session, service_path};
use crate::cli::window;
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::calendar::Calendar;
use crate::view::request;
use crate::view::service::Services;

/// The verbs of freezes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Let no deployment begin for a time; what is under way goes on, and a rollback always may
    Begin {
        /// Its name
        #[arg(default_value = "freeze")]
        name: String,
        /// For how long, `48h`
        #[arg(long = "for", value_name = "TIME", required_unless_present = "until")]
        lasts: Option<SignedDuration>,
        /// Until when, `2027-01-04T08:00:00Z`
        #[arg(long, value_name = "INSTANT", conflicts_with = "lasts")]
        until: Option<Timestamp>,
        /// From when; now, when it is left away
        #[arg(long, value_name = "INSTANT")]
        from: Option<Timestamp>,
        /// For every service that this server knows
        #[arg(long)]
        all: bool,
    },
    /// End a freeze before its end
    End {
        /// Its name
        #[arg(default_value = "freeze")]
        name: String,
        /// For every service that this server knows
        #[arg(long)]
        all: bool,
    },
    /// Freezes that are on or to come
    List,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] without a reason, when no server answers, or when it refuses.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Begin { name, lasts, until, from, all } => {
            let begin = from.unwrap_or_else(Timestamp::now);
            let until = match (until, lasts) {
                (Some(until), _) => *until,
                (None, Some(lasts)) => begin.checked_add(*lasts).map_err(Failure::local)?,
                (None, None) => begin,
            };
            let reason = reason(session, "begin")?;
            for named in services(session, *all).await? {
                let asked = request::Freeze {
                    environment: named.environment.clone(),
                    name: name.clone(),
                    reason: reason.clone(),
                    from: *from,
                    until,
                    key: None,
                };
                change(session, &named, "freezes", &asked).await?;
            }
        }
        Verb::End { name, all } => {
            let reason = reason(session, "end")?;
            for named in services(session, *all).await? {
                let asked = request::Thaw {
                    environment: named.environment.clone(),
                    name: name.clone(),
                    reason: reason.clone(),
                    key: None,
                };
                change(session, &named, "thaw", &asked).await?;
            }
        }
        Verb::List => {
            let named = session.service().await?;
            let calendar: Calendar = session.client.get(&service_path(&named, "calendar")).await?;
            if session.terminal.is_json() {
                session.terminal.json(&calendar.freezes)?;
                return Ok(Exit::Done);
            }
            if calendar.freezes.is_empty() {
                session.terminal.say("no freeze is on or to come");
            }
            for freeze in &calendar.freezes {
                session.terminal.line(&window::frozen(freeze, &session.terminal))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn reason(session: &Session, verb: &str) -> Result<String, Failure> {
    session.globals.reason.clone().ok_or_else(|| {
        Failure::new(Exit::Usage, "TG7003", "a freeze begins and ends with a reason")
            .safe("nothing was changed")
            .help(format!("`tidegate freeze {verb} ... --reason \"the books are closed\"`"))
    })
}

/// The service here, or all that the server knows.
async fn services(session: &Session, all: bool) -> Result<Vec<Named>, Failure> {
    if !all {
        return Ok(vec![session.service().await?]);
    }
    let known: Services = session.client.get("/v1/services").await?;
    let named = known
        .services
        .into_iter()
        .map(|service| Named { service: service.service, environment: Some(service.environment) });
    Ok(named.collect())
}

async fn change<B: serde::Serialize + Sync>(
    session: &Session,
    named: &Named,
    resource: &str,
    asked: &B,
) -> Result<(), Failure> {
    let path = format!("/v1/services/{}/{resource}", encode(&named.service));
    let Some(calendar) = session.change::<_, Calendar>(&path, asked).await? else {
        return Ok(());
    };
    if session.terminal.is_json() {
        return session.terminal.json(&calendar);
    }
    session.terminal.line(&format!(
        "{} in {}: {}",
        calendar.service,
        calendar.environment,
        calendar.door.sentence()
    ))
}
