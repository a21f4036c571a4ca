//! `tidegate admin`: care for Tidegate's own state: copies of it, and what may go.
//! Must never touch what serves users.

use std::path::PathBuf;

use serde::Serialize;

use crate::backup::{self, Manifest};
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::text::size;
use crate::view::request;
use crate::view::service::{Collected, Gone};

/// Characters of a digest that are shown.
const DIGEST_SHOWN: usize = 12;

/// The verbs of care.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Copy the journal, accounts, settings, keys and evidence while the server serves
    Backup {
        /// A directory that does not exist yet
        #[arg(value_name = "DIRECTORY")]
        into: PathBuf,
        /// The sealed releases as well; without them a release is built anew from its tag
        #[arg(long)]
        artifacts: bool,
    },
    /// Check a backup: every file, and the whole journal by reading it
    Verify {
        /// The backup
        #[arg(value_name = "BACKUP")]
        backup: PathBuf,
    },
    /// Put a backup into a state directory that is not there or empty
    Restore {
        /// The backup
        #[arg(value_name = "BACKUP")]
        backup: PathBuf,
    },
    /// Remove releases and logs that nobody needs; with --dry-run, say which
    Gc {
        /// Releases of each service that stay for a rollback
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=10))]
        keep: u8,
        /// Days that logs of ended deployments stay
        #[arg(
            long,
            value_name = "DAYS",
            default_value_t = 90,
            value_parser = clap::value_parser!(u16).range(1..=3_650),
        )]
        logs_days: u16,
    },
}

/// What is said of a backup as JSON.
#[derive(Debug, Serialize)]
struct Told<'a> {
    place: String,
    version: &'a str,
    made_at: jiff::Timestamp,
    state_dir: &'a str,
    events: u64,
    streams: u64,
    root: &'a str,
    epoch: u64,
    files: usize,
    bytes: u64,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] with what is safe.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Backup { into, artifacts } => {
            let made = backup::make(&session.dir, into, *artifacts).await?;
            tell(session, "backed up", into, &made)?;
            session.terminal.say(&format!(
                "  keep it as safe as the accounts and keys in it; check it with `tidegate admin verify {}`",
                into.display()
            ));
        }
        Verb::Verify { backup } => {
            tell(session, "whole", backup, &backup::verify(backup).await?)?;
        }
        Verb::Restore { backup } => {
            let put = backup::restore(backup, &session.dir).await?;
            tell(session, "restored", session.dir.path(), &put)?;
            session.terminal.say("  `tidegate server run` starts again what was live");
        }
        Verb::Gc { keep, logs_days } => {
            let (keep, logs_days) = (Some(*keep), Some(*logs_days));
            let dry_run = session.globals.dry_run;
            let asked = request::Collect { keep, logs_days, dry_run };
            let collected: Collected = session.client.post("/v1/server/gc", &asked).await?;
            show(session, &collected)?;
        }
    }
    Ok(Exit::Done)
}

fn tell(
    session: &Session,
    word: &str,
    place: &std::path::Path,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let told = Told {
        place: place.display().to_string(),
        version: &manifest.version,
        made_at: manifest.made_at,
        state_dir: &manifest.state_dir,
        events: manifest.journal.events,
        streams: manifest.journal.streams,
        root: &manifest.journal.root,
        epoch: manifest.journal.epoch,
        files: manifest.files(),
        bytes: manifest.bytes(),
    };
    if session.terminal.is_json() {
        return session.terminal.json(&told);
    }
    session.terminal.line(&format!(
        "{} {}: {} events in {} streams, {} files, {}",
        styled(Style::Good, word),
        told.place,
        told.events,
        told.streams,
        told.files,
        size(told.bytes)
    ))
}

fn show(session: &Session, collected: &Collected) -> Result<(), Failure> {
    if session.terminal.is_json() {
        return session.terminal.json(collected);
    }
    let word = if collected.dry_run { "would go" } else { "gone" };
    let rows = |kind: &str, rows: &[Gone]| {
        rows.iter().try_for_each(|row| {
            let name: String = row.name.chars().take(DIGEST_SHOWN.max(8)).collect();
            session.terminal.line(&format!("{word}  {kind} {name}  {}", size(row.bytes)))
        })
    };
    rows("release", &collected.artifacts)?;
    rows("logs", &collected.logs)?;
    for (digest, why) in &collected.kept {
        let name: String = digest.chars().take(DIGEST_SHOWN).collect();
        session.terminal.line(&format!("stays release {name}  {why}"))?;
    }
    if let Some(why) = &collected.waits_for {
        session.terminal.line(&format!("no release was looked at: {why}"))?;
    }
    session.terminal.line(&format!(
        "{} of {} releases and the logs of {} deployments",
        size(collected.bytes),
        collected.artifacts.len(),
        collected.logs.len()
    ))
}
