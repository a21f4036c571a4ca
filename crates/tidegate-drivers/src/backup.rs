//! Backups from this machine: a copy is made, read back, and kept with what was in it.
//!
//! Needs: for `postgres` the programs `psql`, `pg_dump` and `pg_restore` of at least the server's
//! version, and for `mysql` those of `MariaDB` or `MySQL`; the password in the file of passwords of
//! the server's user; for `files` the program `tar`; for encryption the program `age`.
//! To undo by hand: remove the folder of a backup; `verify` then says that it is missing.
//!
//! It must never call a copy good that was not read back, and never restore over something that is
//! there.

mod bucket;
mod content;
mod crypt;
mod exec;
mod files;
mod mysql;
mod postgres;
mod sqlite;
mod store;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::backup::{BackupRecord, Content, DrillRecord};
use tidegate_core::ids::Scope;
use tidegate_core::plan::{Backup, BackupOf};
use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::{Backups, Failure};

use store::{Draft, Made, Store};

/// Where backups are kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `backups`, `secrets` and `work`.
    pub state_dir: PathBuf,
}

/// Backups made by this process.
#[derive(Debug)]
pub struct LocalBackups {
    store: Store,
}

impl LocalBackups {
    /// Backups over a state directory. Touches nothing yet.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "as every driver takes its configuration")]
    pub fn new(config: Config) -> Self {
        Self { store: Store::new(&config.state_dir) }
    }

    async fn rehearsed(&self, backup: &Backup, record: &BackupRecord) -> Result<String, Failure> {
        let limit = backup.timeout.unsigned_abs();
        let scratch = self.store.scratch(&record.id).map_err(failed)?;
        let work = scratch.path();
        let file = self.store.fetch(record, key(backup), work, limit).await?;
        let found: Option<Content> = match &record.of {
            BackupOf::Postgres { url } => {
                let at = backup.drill_at.as_deref().unwrap_or(url);
                Some(postgres::rehearse(at, &record.id, &file, work, limit).await?)
            }
            BackupOf::Mysql { url } => {
                let at = backup.drill_at.as_deref().unwrap_or(url);
                Some(mysql::rehearse(at, &file, work, limit).await?)
            }
            BackupOf::Sqlite { .. } => Some(sqlite::rehearse(&file, work).await?),
            BackupOf::Files { .. } => {
                let into = work.join("files");
                crate::files::make_private(&into).map_err(failed)?;
                files::unpack(&file, &into, limit).await?;
                Some(files::content(into).await?)
            }
            BackupOf::Exec { restore, env, .. } => {
                exec::restore(restore.as_deref(), env, &file, work, limit).await?;
                None
            }
        };
        match (&record.content, found) {
            (Some(then), Some(now)) if *then != now => Err(Failure::permanent(
                "TG6622",
                format!(
                    "what was restored is not what was copied: {} instead of {}",
                    now.sentence(),
                    then.sentence()
                ),
            )),
            (_, Some(now)) => Ok(format!("restored and compared: {}", now.sentence())),
            (_, None) => Ok("restored, and its own command found it whole".to_owned()),
        }
    }
}

fn key(backup: &Backup) -> Option<&str> {
    backup.encrypt.as_ref()?.key.as_deref()
}

async fn copied(of: &BackupOf, draft: &Draft, limit: Duration) -> Result<Option<Content>, Failure> {
    let file = draft.data();
    Ok(match of {
        BackupOf::Postgres { url } => Some(postgres::dump(url, &file, draft.path(), limit).await?),
        BackupOf::Mysql { url } => Some(mysql::dump(url, &file, limit).await?),
        BackupOf::Sqlite { path } => Some(sqlite::copy(path, &file).await?),
        BackupOf::Files { path } => Some(files::pack(path, &file, limit).await?),
        BackupOf::Exec { make, env, .. } => {
            exec::make(make, env, &file, limit).await?;
            None
        }
    })
}

async fn restored(
    of: &BackupOf,
    file: &Path,
    work: &Path,
    into: &str,
    limit: Duration,
) -> Result<(), Failure> {
    match of {
        BackupOf::Postgres { .. } => postgres::restore_into(into, file, work, limit).await,
        BackupOf::Mysql { .. } => mysql::restore_into(into, file, work, limit).await,
        BackupOf::Sqlite { .. } => {
            let target = store::free(into)?;
            tokio::fs::copy(file, &target).await.map(drop).map_err(failed)
        }
        BackupOf::Files { .. } => {
            let target = store::free(into)?;
            crate::files::make_private(&target).map_err(failed)?;
            files::unpack(file, &target, limit).await
        }
        BackupOf::Exec { restore, env, .. } => {
            let target = store::free(into)?;
            crate::files::make_private(&target).map_err(failed)?;
            exec::restore(restore.as_deref(), env, file, &target, limit).await
        }
    }
}

#[async_trait]
impl Backups for LocalBackups {
    async fn make(
        &self,
        scope: &Scope,
        backup: &Backup,
        now: Timestamp,
    ) -> Result<BackupRecord, Failure> {
        let began = Instant::now();
        let limit = backup.timeout.unsigned_abs();
        let draft = self.store.begin(scope, &backup.to, now).map_err(failed)?;
        let content = copied(&backup.of, &draft, limit).await?;
        let made = Made { content, at: now, log_at: None, took_ms: millis(began) };
        draft.keep(&self.store, backup, made).await
    }

    async fn verify(&self, record: &BackupRecord) -> Result<(), Failure> {
        self.store.verify(record).await
    }

    async fn drill(&self, backup: &Backup, record: &BackupRecord, now: Timestamp) -> DrillRecord {
        let began = Instant::now();
        let (outcome, summary) = match self.rehearsed(backup, record).await {
            Ok(said) => (Outcome::Pass, said),
            Err(failure) => {
                // A rehearsal makes no copy: the program that failed is the one that restores.
                let code = if failure.code == "TG6620" { "TG6622" } else { failure.code };
                (Outcome::Fail, format!("{code}: {}", failure.what))
            }
        };
        let took_ms = millis(began);
        DrillRecord { backup: record.id.clone(), at: now, took_ms, outcome, summary }
    }

    async fn restore(
        &self,
        backup: &Backup,
        record: &BackupRecord,
        into: &str,
    ) -> Result<String, Failure> {
        let limit = backup.timeout.unsigned_abs();
        let scratch = self.store.scratch(&record.id).map_err(failed)?;
        let file = self.store.fetch(record, key(backup), scratch.path(), limit).await?;
        restored(&record.of, &file, scratch.path(), into, limit).await?;
        Ok(format!("{} is restored into {into}", record.id))
    }

    async fn remove(&self, record: &BackupRecord) -> Result<(), Failure> {
        self.store.remove(record).await
    }
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn failed(error: std::io::Error) -> Failure {
    Failure::retryable("TG6620", error.to_string())
}
