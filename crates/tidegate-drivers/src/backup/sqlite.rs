//! `SQLite`: copied while it is used, and counted.
//! Must never write to the database that it copies.

use std::path::Path;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tidegate_core::backup::Content;
use tidegate_engine::ports::Failure;

use super::content::{Rows, Sum};

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn refused(error: sqlx::Error) -> Failure {
    let text = crate::text::printable(&error.to_string(), crate::text::EXCERPT_CHARS_MAX);
    match error {
        sqlx::Error::Io(_) => Failure::retryable("TG6620", text),
        _ => Failure::permanent("TG6620", text),
    }
}

async fn open(path: &Path) -> Result<SqliteConnection, Failure> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    options.disable_statement_logging().connect().await.map_err(refused)
}

/// Copies a database in a file while it is used, and counts the copy.
pub(super) async fn copy(path: &str, file: &Path) -> Result<Content, Failure> {
    let mut connection = open(Path::new(path)).await?;
    let target = file.to_string_lossy().into_owned();
    let copied = sqlx::query("vacuum into ?").bind(target).execute(&mut connection).await;
    copied.map_err(refused)?;
    drop(connection.close().await);
    count(file).await
}

/// Copies a backup into scratch and counts what is in it.
pub(super) async fn rehearse(file: &Path, scratch: &Path) -> Result<Content, Failure> {
    let copy = scratch.join("copy.db");
    tokio::fs::copy(file, &copy).await.map_err(super::failed)?;
    count(&copy).await
}

async fn count(file: &Path) -> Result<Content, Failure> {
    let mut connection = open(file).await?;
    let whole: String = sqlx::query_scalar("pragma integrity_check")
        .fetch_one(&mut connection)
        .await
        .map_err(refused)?;
    if whole != "ok" {
        let what = format!("the copy is damaged: {}", crate::text::printable(&whole, 200));
        return Err(Failure::permanent("TG6622", what));
    }
    let names = "select name from sqlite_schema where type = 'table' \
                 and name not like 'sqlite\\_%' escape '\\' order by name";
    let tables: Vec<String> =
        sqlx::query_scalar(names).fetch_all(&mut connection).await.map_err(refused)?;
    let mut sum = Sum::default();
    for table in tables {
        let (rows, over) = rows_of(&mut connection, &table).await?;
        sum.table(&table, rows, &over.words());
    }
    drop(connection.close().await);
    Ok(sum.content())
}

async fn rows_of(connection: &mut SqliteConnection, table: &str) -> Result<(u64, Rows), Failure> {
    let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info(?)")
        .bind(table)
        .fetch_all(&mut *connection)
        .await
        .map_err(refused)?;
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let all: Vec<String> = columns.iter().map(|name| format!("quote({})", quoted(name))).collect();
    let query = format!("select {} from {}", all.join(" || ',' || "), quoted(table));
    let (mut over, mut rows) = (Rows::default(), 0);
    let mut stream = sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).fetch(connection);
    while let Some(row) = stream.try_next().await.map_err(refused)? {
        over.add(row.as_bytes());
        rows += 1;
    }
    Ok((rows, over))
}
