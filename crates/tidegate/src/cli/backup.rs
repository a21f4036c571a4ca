//! `tidegate backup` and `tidegate drill`: copies of a service's data, and rehearsals with them.
//! Must never restore without being told where.

use jiff::{SignedDuration, Unit};

use crate::cli::session::{Named, Session};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal, styled};
use crate::view::backup::{Backup, Backups, Drill, Recovery, Restored};
use crate::view::request::{BackupHold, BackupOfService, BackupRestore};

/// The verbs of backups.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make one now, as the newest plan of the service says
    Create,
    /// Those that are kept, newest first
    List,
    /// Read one back and compare it with its digest
    Verify {
        /// The backup
        id: String,
    },
    /// Restore one into a place that is empty
    Restore {
        /// The backup
        id: String,
        /// An absolute path at which nothing is, or the address of an empty database
        #[arg(long, value_name = "PLACE")]
        into: String,
    },
    /// Keep one beyond its time, with a reason
    Hold {
        /// The backup
        id: String,
        /// Let it go instead
        #[arg(long)]
        release: bool,
    },
}

/// The verbs of rehearsals.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Rehearse {
    /// Restore a backup into scratch, compare it with what was copied, and take it away
    Restore {
        /// The backup; the newest
        id: Option<String>,
    },
    /// Rehearsals, newest first
    List,
}

/// Runs a verb of backups.
///
/// # Errors
/// [`Failure`] when no server answers, there is no such backup, or it is not good.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let here = Here::of(session).await?;
    match verb {
        Verb::Create => {
            let asked = here.asked();
            let made = session.change::<_, Backup>(&here.path(""), &asked).await?;
            made.map_or(Ok(Exit::Done), |made| print(session, std::slice::from_ref(&made)))
        }
        Verb::List => {
            let found = here.list(session).await?;
            if !session.terminal.is_json() {
                recovery(session, &found.recovery)?;
            }
            print(session, &found.backups)
        }
        Verb::Verify { id } => {
            let path = here.path(&format!("/{}/verify", encode(id)));
            let found: Backup = session.client.post(&path, &here.asked()).await?;
            print(session, std::slice::from_ref(&found))
        }
        Verb::Restore { id, into } => {
            let path = here.path(&format!("/{}/restore", encode(id)));
            let asked = BackupRestore { environment: here.environment.clone(), into: into.clone() };
            let Some(done) = session.change::<_, Restored>(&path, &asked).await? else {
                return Ok(Exit::Done);
            };
            if session.terminal.is_json() {
                session.terminal.json(&done)?;
            } else {
                session.terminal.line(&done.sentence)?;
            }
            Ok(Exit::Done)
        }
        Verb::Hold { id, release } => {
            let Some(reason) = session.globals.reason.clone() else {
                return Err(Failure::new(Exit::Usage, "TG7003", "say why")
                    .safe("nothing was changed")
                    .help("`tidegate backup hold ID --reason \"the audit of March\"`"));
            };
            let path = here.path(&format!("/{}/hold", encode(id)));
            let environment = here.environment.clone();
            let asked = BackupHold { environment, held: !release, reason, key: None };
            let Some(found) = session.change::<_, Backups>(&path, &asked).await? else {
                return Ok(Exit::Done);
            };
            print(session, &found.backups)
        }
    }
}

/// Runs a verb of rehearsals.
///
/// # Errors
/// [`Failure`] when no server answers or there is no such backup.
pub(crate) async fn rehearse(session: &Session, verb: &Rehearse) -> Result<Exit, Failure> {
    let here = Here::of(session).await?;
    match verb {
        Rehearse::Restore { id } => {
            let id = id.as_deref().unwrap_or("newest");
            let path = here.path(&format!("/{}/drill", encode(id)));
            let Some(drill) = session.change::<_, Drill>(&path, &here.asked()).await? else {
                return Ok(Exit::Done);
            };
            print_drills(session, std::slice::from_ref(&drill))?;
            Ok(if drill.outcome == "pass" { Exit::Done } else { Exit::Stopped })
        }
        Rehearse::List => {
            print_drills(session, &here.list(session).await?.drills)?;
            Ok(Exit::Done)
        }
    }
}

/// The service of this directory, or the one that was named.
struct Here {
    service: String,
    environment: Option<String>,
}

impl Here {
    async fn of(session: &Session) -> Result<Self, Failure> {
        let Named { service, environment } = session.service().await?;
        Ok(Self { service, environment })
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/services/{}/backups{rest}", encode(&self.service))
    }

    fn asked(&self) -> BackupOfService {
        BackupOfService { environment: self.environment.clone(), key: None }
    }

    async fn list(&self, session: &Session) -> Result<Backups, Failure> {
        let query = self.environment.as_ref().map(|name| format!("?environment={}", encode(name)));
        session.client.get(&self.path(&query.unwrap_or_default())).await
    }
}

fn print(session: &Session, backups: &[Backup]) -> Result<Exit, Failure> {
    if session.terminal.is_json() {
        session.terminal.json(&backups)?;
        return Ok(Exit::Done);
    }
    if backups.is_empty() {
        session.terminal.say("there are no backups");
    }
    for backup in backups {
        let made = session.terminal.stamp(backup.made_at);
        let until = session.terminal.stamp(backup.keep_until);
        let id = styled(Style::Strong, &backup.id);
        session.terminal.line(&format!("{id} {} {} of {made}", backup.by, backup.of))?;
        let short = backup.digest.get(..12).unwrap_or(&backup.digest);
        let rows = backup.rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
        let sealed = if backup.encrypted_to.is_some() { ", encrypted" } else { "" };
        let held = backup.held.as_ref().map(|why| format!(", held: {why}")).unwrap_or_default();
        session.terminal.line(&format!(
            "    {} bytes, {short}{sealed}{rows}, in {} ms, kept until {until}{held}",
            backup.bytes, backup.took_ms
        ))?;
        if let Some(drill) = &backup.drill {
            session.terminal.line(&format!("    {}", drill_line(drill, &session.terminal)))?;
        }
    }
    Ok(Exit::Done)
}

/// What recovery would reach now, beside what it must.
fn recovery(session: &Session, recovery: &Recovery) -> Result<(), Failure> {
    let seconds = SignedDuration::from_secs;
    let loss = recovery.loss_s.map(|loss| (seconds(loss), recovery.rpo_s));
    let back = recovery.back_s.and_then(|back| SignedDuration::try_from_secs_f64(back).ok());
    let back = back.map(|back| (back, recovery.rto_s));
    for (what, measured) in [("would be lost", loss), ("until the data is back", back)] {
        let Some((time, target)) = measured else { continue };
        let shown = time.round(Unit::Millisecond).unwrap_or(time);
        let of = target.map(seconds);
        let beside = of.map(|of| format!(" of {of:#} that may be")).unwrap_or_default();
        let missed = of.is_some_and(|of| time > of);
        let (icon, plain, style) =
            if missed { ("✗", "x", Style::Bad) } else { ("✓", "+", Style::Good) };
        let icon = styled(style, session.terminal.icon(icon, plain));
        session.terminal.line(&format!("{icon} {shown:#} {what}{beside}"))?;
    }
    Ok(())
}

fn print_drills(session: &Session, drills: &[Drill]) -> Result<(), Failure> {
    if session.terminal.is_json() {
        return session.terminal.json(&drills);
    }
    if drills.is_empty() {
        session.terminal.say("nothing was rehearsed");
    }
    for drill in drills {
        session.terminal.line(&drill_line(drill, &session.terminal))?;
    }
    Ok(())
}

fn drill_line(drill: &Drill, terminal: &Terminal) -> String {
    let (icon, plain, style) = match drill.outcome.as_str() {
        "pass" => ("✓", "+", Style::Good),
        "fail" => ("✗", "x", Style::Bad),
        _ => ("?", "?", Style::Doubtful),
    };
    let icon = terminal.icon(icon, plain);
    let head = styled(style, &format!("{icon} {}", drill.outcome));
    let at = terminal.stamp(drill.at);
    format!("{head} drill of {} at {at} in {} ms: {}", drill.backup, drill.took_ms, drill.summary)
}
