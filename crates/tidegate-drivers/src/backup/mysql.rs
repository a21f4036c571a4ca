//! `MySQL` and `MariaDB` by their own programs: dumped in one transaction, the dump counted,
//! restored into a scratch database, dumped again and counted again.
//! Must never write to a database but one that it made itself, or that is empty and was named.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use tidegate_core::backup::Content;
use tidegate_engine::ports::Failure;

use super::content::{Rows, Sum};
use super::{exec, failed};
use crate::once;

/// How the last line of a whole dump begins.
const COMPLETED: &[u8] = b"-- Dump completed";
/// How the line of a row begins.
const ROW: &[u8] = b"INSERT INTO ";
/// Longest line of a dump that is looked at in memory: a row with a large value.
const LINE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Tables that one transaction does not show at one moment.
const UNSAFE: &str = "select table_name from information_schema.tables \
    where table_schema = database() and table_type = 'BASE TABLE' and engine not in \
    (select engine from information_schema.engines where transactions = 'YES') limit 1";
/// Any table at all.
const ANY_TABLE: &str =
    "select table_name from information_schema.tables where table_schema = database() limit 1";

/// How a server is reached, as arguments.
struct Server {
    words: Vec<String>,
    database: String,
}

impl Server {
    fn of(url: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::permanent("TG6620", format!("`{url}` {what}"));
        let parsed = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        let mut words = Vec::new();
        if !parsed.username().is_empty() {
            words.push(format!("--user={}", parsed.username()));
        }
        if let Some(host) = parsed.host_str().filter(|host| !host.is_empty()) {
            words.push(format!("--host={host}"));
        }
        if let Some(port) = parsed.port() {
            words.push(format!("--port={port}"));
        }
        for (name, value) in parsed.query_pairs() {
            match name.as_ref() {
                "socket" => words.push(format!("--socket={value}")),
                other => return Err(wrong(&format!("has `{other}`, which is not known"))),
            }
        }
        let database = parsed.path().trim_start_matches('/').to_owned();
        if database.is_empty() || database.contains(['/', '%', '`']) {
            return Err(wrong("names no database"));
        }
        Ok(Self { words, database })
    }

    /// A call of one of its programs; the name of the database stands last.
    fn call(&self, program: &str, rest: &[String], database: Option<&str>) -> Vec<String> {
        let words = [program.to_owned()].into_iter().chain(self.words.iter().cloned());
        let words = words.chain(rest.iter().cloned());
        words.chain(database.map(str::to_owned)).collect()
    }

    async fn say(
        &self,
        statement: &str,
        database: Option<&str>,
        limit: Duration,
    ) -> Result<String, Failure> {
        let rest = ["--batch", "--skip-column-names", "--default-character-set=utf8mb4"];
        let mut rest: Vec<String> = rest.map(str::to_owned).into();
        rest.push(format!("--execute={statement}"));
        let said = run(&self.call(client(), &rest, database), limit).await?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }
}

async fn run(argv: &[String], limit: Duration) -> Result<Vec<u8>, Failure> {
    exec::program(argv, BTreeMap::new(), Path::new("/"), limit).await
}

fn installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn client() -> &'static str {
    if installed("mariadb") { "mariadb" } else { "mysql" }
}

/// Dumps a database, and counts what the dump holds.
pub(super) async fn dump(url: &str, file: &Path, limit: Duration) -> Result<Content, Failure> {
    let server = Server::of(url)?;
    let odd = server.say(UNSAFE, Some(&server.database), limit).await?;
    if !odd.is_empty() {
        let what = format!("the table {odd} knows no transactions: a copy of it is of no moment");
        return Err(Failure::permanent("TG6620", what));
    }
    write(&server, &server.database, file, limit).await?;
    count(file).await
}

async fn write(
    server: &Server,
    database: &str,
    file: &Path,
    limit: Duration,
) -> Result<(), Failure> {
    let maria = installed("mariadb-dump");
    let mut rest: Vec<String> = [
        "--single-transaction",
        "--skip-lock-tables",
        "--no-tablespaces",
        "--routines",
        "--triggers",
        "--events",
        "--hex-blob",
        // A row is a line, which can be counted; one commit a table keeps that quick to load.
        "--skip-extended-insert",
        "--no-autocommit",
        "--default-character-set=utf8mb4",
    ]
    .map(str::to_owned)
    .into();
    if !maria {
        rest.push("--set-gtid-purged=OFF".to_owned());
    }
    rest.push(format!("--result-file={}", file.display()));
    let program = if maria { "mariadb-dump" } else { "mysqldump" };
    run(&server.call(program, &rest, Some(database)), limit).await.map(drop)
}

/// What a dump holds: its rows by table, whatever their order.
async fn count(file: &Path) -> Result<Content, Failure> {
    let file = file.to_owned();
    let counted = tokio::task::spawn_blocking(move || counted(&file)).await;
    counted.map_err(|error| failed(std::io::Error::other(error)))?
}

fn counted(file: &Path) -> Result<Content, Failure> {
    let mut reader = BufReader::new(File::open(file).map_err(failed)?);
    let mut tables: BTreeMap<String, (u64, Rows)> = BTreeMap::new();
    let (mut line, mut whole) = (Vec::new(), false);
    loop {
        line.clear();
        let read = std::io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.map_err(failed)? == 0 {
            break;
        }
        whole = line.starts_with(COMPLETED);
        if let Some(name) = line.strip_prefix(b"CREATE TABLE `") {
            tables.entry(until_tick(name)).or_default();
        } else if let Some(row) = line.strip_prefix(ROW) {
            let (rows, over) =
                tables.entry(until_tick(row.get(1..).unwrap_or_default())).or_default();
            *rows += 1;
            over.add(row);
        }
    }
    if !whole {
        return Err(Failure::permanent("TG6620", "the dump has no end: it is not whole"));
    }
    let mut sum = Sum::default();
    for (name, (rows, over)) in tables {
        sum.table(&name, rows, &over.words());
    }
    Ok(sum.content())
}

fn until_tick(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == b'`').next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Restores a dump into a database of its own, dumps that, counts it, and takes it away.
pub(super) async fn rehearse(
    url: &str,
    file: &Path,
    work: &Path,
    limit: Duration,
) -> Result<Content, Failure> {
    let server = Server::of(url)?;
    let name = format!("tidegate_drill_{}", once::new_mark().replace(['-', '.'], "_"));
    server.say(&format!("create database {name}"), None, limit).await?;
    let found = load(&server, &name, file, work, limit).await;
    let gone = server.say(&format!("drop database {name}"), None, limit).await;
    let content = found?;
    gone?;
    Ok(content)
}

/// Loads a dump and says what the database then holds. The client goes on after an error and exits
/// with 0, and a dump that was cut loads without any: what counts is what is there.
async fn load(
    server: &Server,
    database: &str,
    file: &Path,
    work: &Path,
    limit: Duration,
) -> Result<Content, Failure> {
    let whole = count(file).await?;
    let source = format!("source {}", file.display());
    server.say(&source, Some(database), limit).await?;
    let again = work.join("again.sql");
    write(server, database, &again, limit).await?;
    let found = count(&again).await?;
    if found == whole {
        return Ok(found);
    }
    let (found, whole) = (found.sentence(), whole.sentence());
    let what = format!("what was restored is not what was copied: {found} instead of {whole}");
    Err(Failure::permanent("TG6622", what))
}

/// Restores a dump into a database that is there and empty.
pub(super) async fn restore_into(
    url: &str,
    file: &Path,
    work: &Path,
    limit: Duration,
) -> Result<(), Failure> {
    let server = Server::of(url)?;
    let table = server.say(ANY_TABLE, Some(&server.database), limit).await?;
    if !table.is_empty() {
        let what =
            format!("the database has tables, such as {table}: nothing is restored over them");
        return Err(Failure::permanent("TG6623", what));
    }
    load(&server, &server.database, file, work, limit).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn an_address_becomes_arguments() {
        let server = Server::of("mysql://shop@db:3307/shop").unwrap();
        assert_eq!(server.words, ["--user=shop", "--host=db", "--port=3307"]);
        assert_eq!(server.database, "shop");
        let local = Server::of("mysql://root@localhost/shop?socket=/run/x.sock").unwrap();
        assert_eq!(local.words, ["--user=root", "--host=localhost", "--socket=/run/x.sock"]);
        for odd in ["mysql://db", "mysql://db/a/b", "mysql://db/shop?ssl=no", "shop"] {
            assert!(Server::of(odd).is_err(), "{odd}");
        }
    }
}
