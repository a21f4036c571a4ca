//! Backups on this machine: a copy is made, read back, and kept with what was in it.
//!
//! Needs: for `postgres` the programs `pg_dump` and `pg_restore` of at least the server's version,
//! and the password in the file of passwords of the server's user; for `files` the program `tar`.
//! To undo by hand: remove the folder of a backup; `verify` then says that it is missing.
//!
//! It must never call a copy good that was not read back, and never restore over something that is
//! there.

mod content;
mod database;
mod exec;
mod files;
mod store;

use std::path::PathBuf;
use std::time::Instant;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::backup::{BackupRecord, Content, DrillRecord};
use tidegate_core::ids::Scope;
use tidegate_core::plan::{Backup, BackupOf};
use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::{Backups, Failure};

use store::Store;

/// Where backups are kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `backups` and `work`.
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

    async fn restored(&self, backup: &Backup, record: &BackupRecord) -> Result<String, Failure> {
        self.store.verify(record).await?;
        let limit = backup.timeout.unsigned_abs();
        let file = Store::data(record);
        let scratch = self.store.scratch(&record.id).map_err(failed)?;
        let found: Option<Content> = match &record.of {
            BackupOf::Postgres { url } => {
                let at = backup.drill_at.as_deref().unwrap_or(url);
                Some(database::rehearse_postgres(at, &record.id, &file, limit).await?)
            }
            BackupOf::Sqlite { .. } => Some(database::open_copy(&file, scratch.path()).await?),
            BackupOf::Files { .. } => {
                files::unpack(&file, scratch.path(), limit).await?;
                Some(files::content(scratch.path().to_owned()).await?)
            }
            BackupOf::Exec { restore, env, .. } => {
                let Some(restore) = restore else {
                    let what = "its command has no `restore`, so nobody can say what is in it";
                    return Err(Failure::permanent("TG6622", what.to_owned()));
                };
                exec::restore(restore, env, &file, scratch.path(), limit).await?;
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
        let draft = self.store.begin(scope, backup.to.as_deref(), now).map_err(failed)?;
        let file = draft.data();
        let content = match &backup.of {
            BackupOf::Postgres { url } => Some(database::dump_postgres(url, &file, limit).await?),
            BackupOf::Sqlite { path } => Some(database::copy_sqlite(path, &file).await?),
            BackupOf::Files { path } => Some(files::pack(path, &file, limit).await?),
            BackupOf::Exec { make, env, .. } => {
                exec::make(make, env, &file, limit).await?;
                None
            }
        };
        let keep_until = now.checked_add(backup.keep).unwrap_or(Timestamp::MAX);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        draft.keep(backup.of.clone(), content, now, took_ms, keep_until).await
    }

    async fn verify(&self, record: &BackupRecord) -> Result<(), Failure> {
        self.store.verify(record).await
    }

    async fn drill(&self, backup: &Backup, record: &BackupRecord, now: Timestamp) -> DrillRecord {
        let began = Instant::now();
        let (outcome, summary) = match self.restored(backup, record).await {
            Ok(said) => (Outcome::Pass, said),
            Err(failure) => (Outcome::Fail, format!("{}: {}", failure.code, failure.what)),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        DrillRecord { backup: record.id.clone(), at: now, took_ms, outcome, summary }
    }

    async fn restore(
        &self,
        backup: &Backup,
        record: &BackupRecord,
        into: &str,
    ) -> Result<String, Failure> {
        self.store.verify(record).await?;
        let limit = backup.timeout.unsigned_abs();
        let file = Store::data(record);
        match &record.of {
            BackupOf::Postgres { .. } => database::restore_postgres(into, &file, limit).await?,
            BackupOf::Sqlite { .. } => {
                let target = store::free(into)?;
                tokio::fs::copy(&file, &target).await.map_err(failed)?;
            }
            BackupOf::Files { .. } => {
                let target = store::free(into)?;
                crate::files::make_private(&target).map_err(failed)?;
                files::unpack(&file, &target, limit).await?;
            }
            BackupOf::Exec { restore, env, .. } => {
                let Some(restore) = restore else {
                    let what = "its command has no `restore`".to_owned();
                    return Err(Failure::permanent("TG6622", what));
                };
                let target = store::free(into)?;
                crate::files::make_private(&target).map_err(failed)?;
                exec::restore(restore, env, &file, &target, limit).await?;
            }
        }
        Ok(format!("{} is restored into {into}", record.id))
    }

    async fn remove(&self, record: &BackupRecord) -> Result<(), Failure> {
        self.store.remove(record).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn failed(error: std::io::Error) -> Failure {
    Failure::retryable("TG6620", error.to_string())
}
