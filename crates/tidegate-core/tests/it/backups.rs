//! Backups in scripts: what a plan wants, what was made, and what is held.
//! Must never say that a copy was made which no script made.

use jiff::{SignedDuration, Timestamp};
use tidegate_core::backup::{BackupRecord, DrillRecord};
use tidegate_core::digest::Digest;
use tidegate_core::event::Event;
use tidegate_core::ids::DeploymentId;
use tidegate_core::input::{BackupReport, Command, Observation};
use tidegate_core::plan::{Backup, BackupOf, Place, Targets};
use tidegate_core::state::TaskId;
use tidegate_core::verdict::Outcome;

use crate::machine::Machine;
use crate::sample::{duration, number};
use crate::verbs::Words;

/// `shop`, `shop:1h`: what is copied, and how old a copy may be.
pub(crate) fn declared(text: &str) -> Result<Backup, String> {
    let (path, newer_than) = text.split_once(':').unwrap_or((text, "0s"));
    Ok(Backup {
        of: of(path),
        to: Place::Own,
        newer_than: duration(newer_than)?,
        drill: true,
        drill_at: None,
        encrypt: None,
        keep: SignedDuration::from_hours(2),
        timeout: SignedDuration::from_mins(10),
        targets: Targets::default(),
    })
}

fn of(path: &str) -> BackupOf {
    BackupOf::Sqlite { path: format!("/srv/{path}.db") }
}

fn record(id: &str, path: &str, now: Timestamp) -> BackupRecord {
    BackupRecord {
        id: id.to_owned(),
        of: of(path),
        place: format!("/srv/backups/{id}"),
        bucket: None,
        encrypted_to: None,
        bytes: 4_096,
        digest: Digest::of(id.as_bytes()),
        content: None,
        made_at: now,
        log_at: None,
        took_ms: 1_200,
        keep_until: now.checked_add(SignedDuration::from_hours(2)).unwrap(),
    }
}

/// `copied b-1 shop`: a copy that somebody made by hand.
pub(crate) fn made(words: &mut Words, now: Timestamp) -> Result<Command, String> {
    let (id, path) = (words.need("a name")?, words.need("of what")?);
    Ok(Command::AddBackup { backup: Box::new(record(&id, &path, now)) })
}

/// `keep b-1 "the audit"`, `keep b-1 --no "it is over"`.
pub(crate) fn hold(words: &mut Words) -> Result<Command, String> {
    let held = !words.flag("--no");
    Ok(Command::HoldBackup { id: words.need("a name")?, held, reason: words.or("") })
}

/// `backup pass b-2 shop`, `backup fail "no space"`, `backup fail b-2 shop --drill "one row is missing"`.
pub(crate) fn reported(
    deployment: DeploymentId,
    words: &mut Words,
    machine: &Machine,
) -> Result<Observation, String> {
    let now = machine.now;
    let said = words.option("--attempt").map(|text| number(&text)).transpose()?;
    let current = machine.state.current.as_ref();
    let running = current.and_then(|current| current.tasks.get(&TaskId::Backup));
    let attempt = said.or_else(|| running.map(|task| task.attempt)).unwrap_or(1);
    let (retryable, drill) = (words.flag("--retry"), words.option("--drill"));
    let outcome = match words.need("pass, fail or no-data")?.as_str() {
        "pass" => Outcome::Pass,
        "no-data" => Outcome::NoData,
        _ => Outcome::Fail,
    };
    let first = words.or("nothing was made");
    let path = words.or("");
    let made = (!path.is_empty()).then(|| record(&first, &path, now));
    let drill = drill.map(|summary| DrillRecord {
        backup: first.clone(),
        at: now,
        took_ms: 900,
        outcome,
        summary,
    });
    let summary = drill.as_ref().map_or(first, |drill| drill.summary.clone());
    let report = Box::new(BackupReport { outcome, summary, retryable, made, drill });
    Ok(Observation::Backup { deployment, attempt, report })
}

/// What an event says of backups; `None` for any other.
pub(crate) fn details(event: &Event) -> Option<String> {
    Some(match event {
        Event::BackupMade { backup } => backup.sentence(),
        Event::BackupDrilled { drill } => {
            format!("{} {}: {}", drill.backup, drill.outcome.word(), drill.summary)
        }
        Event::BackupHeld { id, held, reason } => {
            format!("{id} {}: {reason}", if *held { "held" } else { "let go" })
        }
        Event::BackupExpired { id } | Event::BackupDropped { id } => id.clone(),
        _ => return None,
    })
}
