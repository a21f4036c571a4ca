//! Backups of databases: dumped from one snapshot, counted in the same, restored into scratch and
//! counted again. With `step::sql` the only place of the drivers that knows SQL.
//! Must never write to a database but one that it made itself, or that is empty and was named.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tidegate_core::backup::Content;
use tidegate_engine::ports::Failure;

use super::content::{Rows, Sum};
use super::exec;

/// Tables of a database that its users made, with all that is in them.
const TABLES: &str = "select format('%I.%I', n.nspname, c.relname)::text \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind = 'r' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' \
    order by 1";

fn refused(error: &sqlx::Error) -> Failure {
    let text = crate::text::printable(&error.to_string(), crate::text::EXCERPT_CHARS_MAX);
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => Failure::retryable("TG6620", text),
        _ => Failure::permanent("TG6620", text),
    }
}

fn options(url: &str) -> Result<PgConnectOptions, Failure> {
    let options = PgConnectOptions::from_str(url).map_err(|error| refused(&error))?;
    Ok(options.application_name("tidegate").disable_statement_logging())
}

async fn connect(url: &str) -> Result<PgConnection, Failure> {
    options(url)?.connect().await.map_err(|error| refused(&error))
}

/// Dumps a database, and counts it in the same snapshot.
pub(super) async fn dump_postgres(
    url: &str,
    file: &Path,
    limit: Duration,
) -> Result<Content, Failure> {
    let mut connection = connect(url).await?;
    let begin = "begin isolation level repeatable read read only";
    run(&mut connection, begin).await?;
    let snapshot: String = sqlx::query_scalar("select pg_export_snapshot()")
        .fetch_one(&mut connection)
        .await
        .map_err(|error| refused(&error))?;
    let content = count_postgres(&mut connection).await?;
    let argv = [
        "pg_dump".to_owned(),
        "--format=custom".to_owned(),
        "--no-password".to_owned(),
        format!("--snapshot={snapshot}"),
        format!("--file={}", file.display()),
        format!("--dbname={url}"),
    ];
    exec::program(&argv, BTreeMap::new(), Path::new("/"), limit).await?;
    run(&mut connection, "commit").await?;
    drop(connection.close().await);
    // A dump that its own reader cannot list is none.
    let list = ["pg_restore".to_owned(), "--list".to_owned(), file.display().to_string()];
    exec::program(&list, BTreeMap::new(), Path::new("/"), limit).await?;
    Ok(content)
}

async fn run(connection: &mut PgConnection, statement: &'static str) -> Result<(), Failure> {
    sqlx::raw_sql(statement).execute(connection).await.map_err(|error| refused(&error))?;
    Ok(())
}

async fn count_postgres(connection: &mut PgConnection) -> Result<Content, Failure> {
    let tables: Vec<String> = sqlx::query_scalar(AssertSqlSafe(TABLES))
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    let mut sum = Sum::default();
    for table in tables {
        // The name was quoted by the server itself.
        let query = format!(
            "select count(*)::bigint, \
             coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0)::text \
             from {table} t"
        );
        let (rows, over): (i64, String) = sqlx::query_as(AssertSqlSafe(query))
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| refused(&error))?;
        sum.table(&table, u64::try_from(rows).unwrap_or(0), &over);
    }
    Ok(sum.content())
}

/// Restores a dump into a database of its own on a server, counts it, and takes it away.
pub(super) async fn rehearse_postgres(
    server: &str,
    id: &str,
    file: &Path,
    limit: Duration,
) -> Result<Content, Failure> {
    let unique = crate::once::new_mark().replace(['-', '.'], "_");
    let name = format!("tidegate_drill_{}_{unique}", id.replace('-', "_"));
    let mut connection = connect(server).await?;
    statement(&mut connection, format!("create database {name} template template0")).await?;
    let found = restored(server, &name, file, limit).await;
    let gone = statement(&mut connection, format!("drop database {name} with (force)")).await;
    drop(connection.close().await);
    let content = found?;
    gone?;
    Ok(content)
}

async fn statement(connection: &mut PgConnection, text: String) -> Result<(), Failure> {
    let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await;
    done.map(drop).map_err(|error| refused(&error))
}

async fn restored(
    server: &str,
    name: &str,
    file: &Path,
    limit: Duration,
) -> Result<Content, Failure> {
    let url = in_database(server, name)?;
    restore(&url, file, limit).await?;
    let mut connection = connect(&url).await?;
    let content = count_postgres(&mut connection).await;
    drop(connection.close().await);
    content
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
    exec::program(&argv, BTreeMap::new(), Path::new("/"), limit).await.map(drop)
}

/// Restores a dump into a database that is there and empty.
pub(super) async fn restore_postgres(
    url: &str,
    file: &Path,
    limit: Duration,
) -> Result<(), Failure> {
    let mut connection = connect(url).await?;
    let tables: Vec<String> = sqlx::query_scalar(AssertSqlSafe(TABLES))
        .fetch_all(&mut connection)
        .await
        .map_err(|error| refused(&error))?;
    drop(connection.close().await);
    if let Some(table) = tables.first() {
        let what =
            format!("the database has tables, such as {table}: nothing is restored over them");
        return Err(Failure::permanent("TG6623", what));
    }
    restore(url, file, limit).await
}

async fn open(path: &Path) -> Result<SqliteConnection, Failure> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let options = options.disable_statement_logging();
    options.connect().await.map_err(|error| refused(&error))
}

/// Copies a database in a file while it is used, and counts the copy.
pub(super) async fn copy_sqlite(path: &str, file: &Path) -> Result<Content, Failure> {
    let mut connection = open(Path::new(path)).await?;
    let target = file.to_string_lossy().into_owned();
    let copied = sqlx::query("vacuum into ?").bind(target).execute(&mut connection).await;
    copied.map_err(|error| refused(&error))?;
    drop(connection.close().await);
    count_sqlite(file).await
}

/// Copies a backup into scratch and counts what is in it.
pub(super) async fn open_copy(file: &Path, scratch: &Path) -> Result<Content, Failure> {
    let copy = scratch.join("copy.db");
    tokio::fs::copy(file, &copy).await.map_err(super::failed)?;
    count_sqlite(&copy).await
}

async fn count_sqlite(file: &Path) -> Result<Content, Failure> {
    let mut connection = open(file).await?;
    let whole: String = sqlx::query_scalar("pragma integrity_check")
        .fetch_one(&mut connection)
        .await
        .map_err(|error| refused(&error))?;
    if whole != "ok" {
        let what = format!("the copy is damaged: {}", crate::text::printable(&whole, 200));
        return Err(Failure::permanent("TG6622", what));
    }
    let names = "select name from sqlite_schema where type = 'table' \
                 and name not like 'sqlite\\_%' escape '\\' order by name";
    let tables: Vec<String> = sqlx::query_scalar(names)
        .fetch_all(&mut connection)
        .await
        .map_err(|error| refused(&error))?;
    let mut sum = Sum::default();
    for table in tables {
        let quoted = format!("\"{}\"", table.replace('"', "\"\""));
        let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info(?)")
            .bind(&table)
            .fetch_all(&mut connection)
            .await
            .map_err(|error| refused(&error))?;
        let quote = |name: &String| format!("quote(\"{}\")", name.replace('"', "\"\""));
        let all: Vec<String> = columns.iter().map(quote).collect();
        let query = format!("select {} from {quoted}", all.join(" || ',' || "));
        let (mut over, mut rows) = (Rows::default(), 0);
        let mut stream =
            sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).fetch(&mut connection);
        while let Some(row) = futures_util::TryStreamExt::try_next(&mut stream)
            .await
            .map_err(|error| refused(&error))?
        {
            over.add(&row);
            rows += 1;
        }
        drop(stream);
        sum.table(&table, rows, &over.words());
    }
    drop(connection.close().await);
    Ok(sum.content())
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
