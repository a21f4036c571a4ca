//! Backups of real parts: a PostgreSQL of its own, a database in a file, a folder, a command.
//! Must never touch a database that this test did not start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use tidegate_core::backup::BackupRecord;
use tidegate_core::plan::{Backup, BackupOf};
use tidegate_core::verdict::Outcome;
use tidegate_drivers::backup::{Config, LocalBackups};
use tidegate_engine::ports::Backups;

use crate::setup::{scope, until};

/// A PostgreSQL server of the machine's own packages, on a socket in a folder of its own.
struct Postgres {
    directory: tempfile::TempDir,
    server: Child,
}

fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("no PostgreSQL: `apt-get install postgresql`"))
}

/// A command as the user that PostgreSQL accepts: never root.
fn as_postgres(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

impl Postgres {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("tg").tempdir_in("/tmp").unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if rustix::process::geteuid().is_root() {
            let id = Command::new("id").args(["-u", "postgres"]).output().unwrap();
            let uid = String::from_utf8(id.stdout).unwrap().trim().parse().unwrap();
            chown(directory.path(), Some(uid), None).unwrap();
        }
        let data = directory.path().join("data");
        let bin = programs();
        let made = as_postgres(&bin.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--no-sync", "--pgdata"])
            .arg(&data)
            .current_dir("/")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let server = as_postgres(&bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(directory.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { directory, server }
    }

    fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=postgres", self.directory.path().display())
    }

    fn psql(&self, database: &str, statement: &str) -> Option<String> {
        let done = Command::new(programs().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .arg(self.url(database))
            .output()
            .unwrap();
        done.status.success().then(|| String::from_utf8(done.stdout).unwrap().trim().to_owned())
    }

    async fn ready(&self) {
        until("PostgreSQL answers", || async { self.psql("postgres", "select 1") }).await;
        self.psql("postgres", "create database shop").unwrap();
        self.psql(
            "shop",
            "create table orders(id serial primary key, what text); \
             insert into orders(what) select 'tea ' || n from generate_series(1, 1000) n; \
             create schema books; create table books.entries(at timestamptz, amount numeric); \
             insert into books.entries values (now(), 12.50), (null, null)",
        )
        .unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Quick: nothing in it is worth keeping.
        let pid = rustix::process::Pid::from_child(&self.server);
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        drop(self.server.wait());
    }
}

struct House {
    state: tempfile::TempDir,
    backups: LocalBackups,
}

impl House {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let backups = LocalBackups::new(Config { state_dir: state.path().to_owned() });
        Self { state, backups }
    }

    async fn make(&self, declared: &Backup) -> BackupRecord {
        self.backups.make(&scope(), declared, now()).await.unwrap()
    }

    fn nothing_is_left_over(&self) {
        let work = fs::read_dir(self.state.path().join("work")).map_or(0, Iterator::count);
        assert_eq!(work, 0, "scratch is gone");
        for scope in fs::read_dir(self.state.path().join("backups")).into_iter().flatten().flatten()
        {
            for entry in fs::read_dir(scope.path()).unwrap().flatten() {
                let name = entry.file_name();
                assert!(name.to_string_lossy().starts_with("b-"), "{name:?}");
            }
        }
    }
}

fn now() -> Timestamp {
    "2026-11-25T17:03:16Z".parse().unwrap()
}

fn declared(of: BackupOf) -> Backup {
    Backup {
        of,
        to: None,
        newer_than: SignedDuration::ZERO,
        drill: true,
        drill_at: None,
        keep: SignedDuration::from_hours(24),
        timeout: SignedDuration::from_mins(5),
    }
}

#[tokio::test]
async fn postgres_is_dumped_restored_into_scratch_and_compared() {
    let postgres = Postgres::start();
    postgres.ready().await;
    let house = House::new();
    let backup = declared(BackupOf::Postgres { url: postgres.url("shop") });
    let record = house.make(&backup).await;
    let content = record.content.clone().unwrap();
    assert_eq!((content.parts, content.rows), (2, 1002), "{record:?}");
    house.backups.verify(&record).await.unwrap();
    let drill = house.backups.drill(&backup, &record, now()).await;
    assert_eq!(drill.outcome, Outcome::Pass, "{drill:?}");
    assert!(drill.summary.contains("2 parts with 1002 rows"), "{drill:?}");
    let left = postgres
        .psql("postgres", "select count(*) from pg_database where datname like 'tidegate%'");
    assert_eq!(left.as_deref(), Some("0"), "the scratch database is gone");

    // Rows that are not what they were when they were copied are found.
    let mut other = record.clone();
    let mut content = content;
    content.rows += 1;
    other.content = Some(content);
    let drill = house.backups.drill(&backup, &other, now()).await;
    assert!(drill.outcome == Outcome::Fail && drill.summary.contains("TG6622"), "{drill:?}");

    // It is restored where nothing is, and nowhere else.
    let refused = house.backups.restore(&backup, &record, &postgres.url("shop")).await;
    assert_eq!(refused.unwrap_err().code, "TG6623");
    postgres.psql("postgres", "create database again").unwrap();
    house.backups.restore(&backup, &record, &postgres.url("again")).await.unwrap();
    let rows = postgres.psql("again", "select count(*) from orders");
    assert_eq!(rows.as_deref(), Some("1000"));

    let nowhere = declared(BackupOf::Postgres { url: postgres.url("missing") });
    let failed = house.backups.make(&scope(), &nowhere, now()).await.unwrap_err();
    assert!(failed.what.contains("missing"), "{failed:?}");
    house.nothing_is_left_over();
}

#[tokio::test]
async fn a_database_in_a_file_is_copied_while_it_is_written() {
    let house = House::new();
    let path = house.state.path().join("shop.db");
    let writer = Command::new("python3")
        .args([
            "-c",
            "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); \
            c.execute('pragma journal_mode=wal'); c.execute('create table t(a, b)'); \
            c.executemany('insert into t values (?,?)', [(n, b'x'*n) for n in range(500)]); \
            c.commit(); c.execute('insert into t values (1,2)'); print('open', flush=True); \
            sys.stdin.read()",
        ])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut writer = writer;
    let mut line = String::new();
    let mut output = std::io::BufReader::new(writer.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let backup = declared(BackupOf::Sqlite { path: path.display().to_string() });
    let record = house.make(&backup).await;
    assert_eq!(record.content.as_ref().unwrap().rows, 500, "what was not committed is not there");
    let drill = house.backups.drill(&backup, &record, now()).await;
    assert_eq!(drill.outcome, Outcome::Pass, "{drill:?}");
    drop(writer.stdin.take());
    writer.wait().unwrap();
    // A byte that changed on the disk.
    let data = Path::new(&record.place).join("data");
    let mut bytes = fs::read(&data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&data, bytes).unwrap();
    assert_eq!(house.backups.verify(&record).await.unwrap_err().code, "TG6621");
    let drill = house.backups.drill(&backup, &record, now()).await;
    assert_eq!(drill.outcome, Outcome::Fail, "{drill:?}");
    // What is past its time goes, and going twice is going once.
    house.backups.remove(&record).await.unwrap();
    house.backups.remove(&record).await.unwrap();
    assert!(!Path::new(&record.place).exists());
    let mut stranger = record;
    stranger.place = house.state.path().display().to_string();
    assert!(house.backups.remove(&stranger).await.is_err(), "only a backup's own folder");
    assert!(house.state.path().exists());
    house.nothing_is_left_over();
}

#[tokio::test]
async fn a_folder_and_a_command_are_copied_and_restored() {
    let house = House::new();
    let folder = house.state.path().join("uploads");
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::write(folder.join("a/b/c"), "c").unwrap();
    fs::write(folder.join("d"), "dd").unwrap();
    let backup = declared(BackupOf::Files { path: folder.display().to_string() });
    let record = house.make(&backup).await;
    let drill = house.backups.drill(&backup, &record, now()).await;
    assert_eq!(drill.outcome, Outcome::Pass, "{drill:?}");
    let into = house.state.path().join("restored");
    house.backups.restore(&backup, &record, into.to_str().unwrap()).await.unwrap();
    assert_eq!(fs::read_to_string(into.join("a/b/c")).unwrap(), "c");
    let again = house.backups.restore(&backup, &record, into.to_str().unwrap()).await;
    assert_eq!(again.unwrap_err().code, "TG6623");

    let sh = |line: &str| ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    let exec = |make: &str, restore: Option<&str>| {
        declared(BackupOf::Exec {
            make: sh(make),
            restore: restore.map(sh),
            env: std::collections::BTreeMap::new(),
        })
    };
    let good = exec(
        "echo rows > $TIDEGATE_BACKUP",
        Some("grep -q rows $TIDEGATE_BACKUP && touch $TIDEGATE_SCRATCH/x"),
    );
    let record = house.make(&good).await;
    assert_eq!(house.backups.drill(&good, &record, now()).await.outcome, Outcome::Pass);
    let bad = exec("echo rows > $TIDEGATE_BACKUP", Some("exit 4"));
    let record = house.make(&bad).await;
    let drill = house.backups.drill(&bad, &record, now()).await;
    assert!(drill.outcome == Outcome::Fail && drill.summary.contains("code 4"), "{drill:?}");
    for (make, said) in
        [("exit 3", "code 3"), ("true", "No such file"), (": > $TIDEGATE_BACKUP", "empty")]
    {
        let failed = house.backups.make(&scope(), &exec(make, None), now()).await.unwrap_err();
        assert!(failed.what.contains(said), "{make}: {failed:?}");
    }
    house.nothing_is_left_over();
}
