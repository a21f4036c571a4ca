//! PostgreSQL by its own programs: dumped from one snapshot, counted in the same, restored into a
//! scratch database and counted again.
//! Must never write to a database but one that it made itself, or that is empty and was named.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tidegate_core::backup::Content;
use tidegate_engine::ports::Failure;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::content::Sum;
use super::{exec, failed};
use crate::{files, once};

/// Tables of a database that its users made, each with its rows and a sum over the hashes of their
/// texts: `psql` runs the statement of each row. An unlikely name stands for the row, because a
/// column of the same name would win.
const COUNT: &str = "select format('select json_build_array(%L::text, count(*), \
    coalesce(sum((''x'' || substr(md5(tidegate_row::text), 1, 15))::bit(60)::bigint), 0)::text) \
    from only %I.%I tidegate_row', format('%I.%I', n.nspname, c.relname), n.nspname, c.relname) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind = 'r' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' \
    \\gexec\n";
/// The name of one table, when there is any.
const ANY_TABLE: &str = "select format('%I.%I', n.nspname, c.relname) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'v', 'm') and n.nspname not like 'pg\\_%' \
    and n.nspname <> 'information_schema' limit 1\n";
/// One snapshot, and nothing written.
const BEGIN: &str = "begin isolation level repeatable read read only;\n";
/// How values are written, whatever a database or a user prefers: both counts must agree.
const OPTIONS: &str = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres \
    -c bytea_output=hex -c extra_float_digits=1 -c xmlbinary=base64";
/// Longest list of the tables of a database: a quarter of a million of them.
const COUNTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most of what `psql` says when it fails.
const SAID_BYTES_MAX: u64 = 4 * 1024;
/// A server answers the question for a snapshot within this.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(60);

/// One table: its name, its rows, the sum over them.
#[derive(Deserialize)]
struct Counted(String, u64, String);

fn environment() -> BTreeMap<String, String> {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    [("PGOPTIONS", OPTIONS), ("PGCLIENTENCODING", "UTF8"), ("PGAPPNAME", "tidegate")]
        .map(pair)
        .into()
}

fn psql(url: &str, rest: &[String]) -> Vec<String> {
    let words = ["psql", "--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only"];
    let words = words.into_iter().chain(["--set=ON_ERROR_STOP=1"]).map(str::to_owned);
    words.chain(rest.iter().cloned()).chain([format!("--dbname={url}")]).collect()
}

async fn run(argv: &[String], limit: Duration) -> Result<(), Failure> {
    exec::program(argv, environment(), Path::new("/"), limit).await.map(drop)
}

/// A transaction that is held open, so that others can look at what it sees.
struct Snapshot {
    child: Child,
    id: String,
}

impl Snapshot {
    async fn take(url: &str) -> Result<Self, Failure> {
        let argv = psql(url, &[]);
        let mut child = Command::new(argv.first().map_or("psql", String::as_str))
            .args(argv.iter().skip(1))
            .env_clear()
            .envs(once::environment(&environment()))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::permanent("TG6620", format!("psql: {error}")))?;
        let asked = format!("{BEGIN}select pg_export_snapshot();\n");
        let mut line = String::new();
        if let (Some(input), Some(output)) = (child.stdin.as_mut(), child.stdout.as_mut()) {
            // Who ends at once says why on the other side.
            drop(input.write_all(asked.as_bytes()).await);
            drop(input.flush().await);
            let mut output = BufReader::new(output).take(SAID_BYTES_MAX);
            let read = tokio::time::timeout(SNAPSHOT_WITHIN, output.read_line(&mut line)).await;
            read.map_err(|_elapsed| Failure::retryable("TG6620", "the database does not answer"))?
                .map_err(failed)?;
        }
        let id = line.trim().to_owned();
        if id.is_empty() || id.contains('\'') {
            return Err(Failure::retryable("TG6620", said(&mut child).await));
        }
        Ok(Self { child, id })
    }

    /// Ends it. That it was still there says that what was copied meanwhile is of one moment.
    async fn end(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(SNAPSHOT_WITHIN, self.child.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => Err(Failure::retryable("TG6620", "the snapshot was lost while it was copied")),
        }
    }
}

async fn said(child: &mut Child) -> String {
    let mut text = Vec::new();
    if let Some(errors) = child.stderr.take() {
        let reading = errors.take(SAID_BYTES_MAX);
        tokio::pin!(reading);
        // Without a word there is still the fact that it gave no snapshot.
        drop(tokio::time::timeout(SNAPSHOT_WITHIN, reading.read_to_end(&mut text)).await);
    }
    format!("psql gave no snapshot: {}", crate::text::last_lines(&text, 3))
}

/// Dumps a database, and counts it in the same snapshot. `work` is a folder for passing files.
pub(super) async fn dump(
    url: &str,
    file: &Path,
    work: &Path,
    limit: Duration,
) -> Result<Content, Failure> {
    let snapshot = Snapshot::take(url).await?;
    let content = count(url, Some(&snapshot.id), work, limit).await?;
    let argv = [
        "pg_dump".to_owned(),
        "--format=custom".to_owned(),
        "--no-password".to_owned(),
        format!("--snapshot={}", snapshot.id),
        format!("--file={}", file.display()),
        format!("--dbname={url}"),
    ];
    run(&argv, limit).await?;
    snapshot.end().await?;
    // A dump that its own reader cannot list is none.
    let list = ["pg_restore".to_owned(), "--list".to_owned(), file.display().to_string()];
    run(&list, limit).await?;
    Ok(content)
}

/// What a database holds, in one snapshot.
pub(super) async fn count(
    url: &str,
    snapshot: Option<&str>,
    work: &Path,
    limit: Duration,
) -> Result<Content, Failure> {
    let set = snapshot.map(|id| format!("set transaction snapshot '{id}';\n")).unwrap_or_default();
    let (script, counts) = (work.join("count.sql"), work.join("counts"));
    files::write_atomic(&script, format!("{BEGIN}{set}{COUNT}").as_bytes()).map_err(failed)?;
    let rest = [format!("--file={}", script.display()), format!("--output={}", counts.display())];
    run(&psql(url, &rest), limit).await?;
    let text = files::read_capped(&counts, COUNTS_BYTES_MAX).map_err(failed)?.unwrap_or_default();
    for path in [script, counts] {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let mut sum = Sum::default();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Counted(name, rows, over) = serde_json::from_slice(line).map_err(|error| {
            Failure::permanent("TG6620", format!("psql counted oddly: {error}"))
        })?;
        sum.table(&name, rows, &over);
    }
    Ok(sum.content())
}

/// Restores a dump into a database of its own on a server, counts it, and takes it away.
pub(super) async fn rehearse(
    server: &str,
    id: &str,
    file: &Path,
    work: &Path,
    limit: Duration,
) -> Result<Content, Failure> {
    let unique = once::new_mark().replace(['-', '.'], "_");
    let name = format!("tidegate_drill_{}_{unique}", id.replace('-', "_"));
    let url = in_database(server, &name)?;
    let say = |text: String| psql(server, &[format!("--command={text}")]);
    run(&say(format!("create database {name} template template0")), limit).await?;
    let found = match restore(&url, file, limit).await {
        Ok(()) => count(&url, None, work, limit).await,
        Err(failure) => Err(failure),
    };
    let gone = run(&say(format!("drop database {name} with (force)")), limit).await;
    let content = found?;
    gone?;
    Ok(content)
}

/// The address of another database on the same server.
fn in_database(server: &str, name: &str) -> Result<String, Failure> {
    let (address, query) = match server.split_once('?') {
        Some((address, query)) => (address, format!("?{query}")),
        None => (server, String::new()),
    };
    let after = address.find("://").map_or(0, |at| at + 3);
    let host = address.get(after..).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let scheme = address.get(..after).unwrap_or_default();
    if host.is_empty() && query.is_empty() {
        return Err(Failure::permanent("TG6620", format!("`{server}` names no server")));
    }
    Ok(format!("{scheme}{host}/{name}{query}"))
}

async fn restore(url: &str, file: &Path, limit: Duration) -> Result<(), Failure> {
    let argv = [
        "pg_restore".to_owned(),
        "--exit-on-error".to_owned(),
        "--no-owner".to_owned(),
        "--no-privileges".to_owned(),
        "--no-password".to_owned(),
        format!("--dbname={url}"),
        file.display().to_string(),
    ];
    run(&argv, limit).await
}

/// Restores a dump into a database that is there and empty.
pub(super) async fn restore_into(
    url: &str,
    file: &Path,
    work: &Path,
    limit: Duration,
) -> Result<(), Failure> {
    let found = work.join("tables");
    let rest = [format!("--command={ANY_TABLE}"), format!("--output={}", found.display())];
    run(&psql(url, &rest), limit).await?;
    let text = files::read_capped(&found, COUNTS_BYTES_MAX).map_err(failed)?.unwrap_or_default();
    let table = String::from_utf8_lossy(&text);
    if !table.trim().is_empty() {
        let table = table.trim();
        let what =
            format!("the database has tables, such as {table}: nothing is restored over them");
        return Err(Failure::permanent("TG6623", what));
    }
    restore(url, file, limit).await
}

#[cfg(test)]
mod tests {
    use super::in_database;

    #[test]
    fn another_database_of_the_same_server() {
        let named = |url: &str| in_database(url, "x").unwrap();
        assert_eq!(named("postgres://shop@db:5432/shop"), "postgres://shop@db:5432/x");
        assert_eq!(named("postgres://shop@db"), "postgres://shop@db/x");
        let socket = "postgres:///shop?host=/run/postgresql";
        assert_eq!(named(socket), "postgres:///x?host=/run/postgresql");
        assert!(in_database("postgres:///shop", "x").is_err());
    }
}
