//! Backups of real parts: a PostgreSQL of its own, a database in a file, a folder, a command.
//! Must never touch a database that this test did not start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use tidegate_core::backup::BackupRecord;
use tidegate_core::digest::Digest;
use tidegate_core::plan::{Backup, BackupOf, Bucket, Encryption, Place, Targets};
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

/// A `MariaDB` server of the machine's own packages, on a socket in a folder of its own.
struct Mariadb {
    directory: tempfile::TempDir,
    server: Child,
}

impl Mariadb {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("tg").tempdir_in("/tmp").unwrap();
        let data = directory.path().join("data");
        let user = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap().trim().to_owned();
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", &format!("--user={user}")])
            .arg(format!("--datadir={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap_or_else(|error| {
                panic!("no MariaDB (`apt-get install mariadb-server`): {error}")
            });
        assert!(made.success());
        let server = Command::new("/usr/sbin/mariadbd")
            .args(["--no-defaults", "--skip-networking", &format!("--user={user}")])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}/sock", directory.path().display()))
            .arg(format!("--pid-file={}/pid", directory.path().display()))
            .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { directory, server }
    }

    fn url(&self, database: &str) -> String {
        let socket = self.directory.path().join("sock");
        format!("mysql://root@localhost/{database}?socket={}", socket.display())
    }

    fn sql(&self, database: &str, statement: &str) -> Option<String> {
        let done = Command::new("mariadb")
            .args(["--no-defaults", "--user=root", "-N", "-B", "-e", statement])
            .arg(format!("--socket={}/sock", self.directory.path().display()))
            .arg(database)
            .output()
            .unwrap();
        done.status.success().then(|| String::from_utf8(done.stdout).unwrap().trim().to_owned())
    }

    async fn ready(&self) {
        until("MariaDB answers", || async { self.sql("", "select 1") }).await;
        self.sql(
            "",
            "create database shop; use shop; \
             create table orders(id int auto_increment primary key, what text); \
             insert into orders(what) select concat('tea ', seq) from seq_1_to_1000; \
             create table entries(at timestamp null, amount decimal(9,2), raw blob); \
             insert into entries values (now(), 12.50, x'00ff0a'), (null, null, 'a\nb')",
        )
        .unwrap();
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// An object store that speaks the API of S3: `moto`, from pip.
struct Store {
    server: Child,
    endpoint: String,
}

impl Store {
    async fn start() -> Self {
        let python = std::env::var("TIDEGATE_TEST_PYTHON")
            .unwrap_or_else(|_| panic!("`./test` installs moto and sets TIDEGATE_TEST_PYTHON"));
        let code = "import sys\n\
            from moto.server import ThreadedMotoServer\n\
            server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\n\
            server.start()\n\
            host, port = server.get_host_and_port()\n\
            print(f'http://{host}:{port}', flush=True)\n\
            sys.stdin.read()\n";
        let mut server = Command::new(python)
            .args(["-c", code])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut endpoint = String::new();
        let mut output = std::io::BufReader::new(server.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut endpoint).unwrap();
        let endpoint = endpoint.trim().to_owned();
        assert!(endpoint.starts_with("http://127.0.0.1:"), "moto did not start: {endpoint}");
        let made = reqwest::Client::new().put(format!("{endpoint}/copies")).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        Self { server, endpoint }
    }

    async fn object(&self, name: &str) -> Option<Vec<u8>> {
        let url = format!("{}/copies/{name}", self.endpoint);
        // The object is private: somebody must ask for it, whoever that is.
        let who = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261125/eu-central-1/s3/aws4_request, \
                   SignedHeaders=host, Signature=00";
        let asked = reqwest::Client::new().get(url).header("authorization", who);
        let answer = asked.send().await.unwrap();
        if answer.status().is_success() { Some(answer.bytes().await.unwrap().into()) } else { None }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.server.kill());
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
        to: Place::Own,
        newer_than: SignedDuration::ZERO,
        drill: true,
        drill_at: None,
        encrypt: None,
        keep: SignedDuration::from_hours(24),
        timeout: SignedDuration::from_mins(5),
        targets: Targets::default(),
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

    // A dump that was cut, whose record says so too: its own reader finds it.
    let data = Path::new(&record.place).join("data");
    let whole = fs::read(&data).unwrap();
    fs::write(&data, &whole[..whole.len() / 2]).unwrap();
    let mut cut = record.clone();
    cut.bytes = (whole.len() / 2) as u64;
    cut.digest = Digest::of(&whole[..whole.len() / 2]);
    house.backups.verify(&cut).await.unwrap();
    let drill = house.backups.drill(&backup, &cut, now()).await;
    assert!(drill.outcome == Outcome::Fail && drill.summary.contains("pg_restore"), "{drill:?}");
    let left = postgres
        .psql("postgres", "select count(*) from pg_database where datname like 'tidegate%'");
    assert_eq!(left.as_deref(), Some("0"), "the scratch database is gone");

    let nowhere = declared(BackupOf::Postgres { url: postgres.url("missing") });
    let failed = house.backups.make(&scope(), &nowhere, now()).await.unwrap_err();
    assert!(failed.what.contains("missing"), "{failed:?}");
    house.nothing_is_left_over();
}

#[tokio::test]
async fn a_dump_that_does_not_end_in_time_is_killed_and_nothing_of_it_is_kept() {
    let postgres = Postgres::start();
    postgres.ready().await;
    let house = House::new();
    // Somebody holds the table: counting and dumping it would wait for ever.
    let mut holder = Command::new(programs().join("psql"))
        .args(["-X", "-q", "-A", "-t"])
        .arg(postgres.url("shop"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let held = "begin; lock table orders in access exclusive mode; select 'held';\n";
    std::io::Write::write_all(holder.stdin.as_mut().unwrap(), held.as_bytes()).unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(holder.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line.trim(), "held");
    let mut backup = declared(BackupOf::Postgres { url: postgres.url("shop") });
    backup.timeout = SignedDuration::from_secs(2);
    let failed = house.backups.make(&scope(), &backup, now()).await.unwrap_err();
    assert!(failed.code == "TG6620" && failed.what.contains("did not end within"), "{failed:?}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    house.nothing_is_left_over();
    // Then it is made.
    backup.timeout = SignedDuration::from_mins(5);
    house.make(&backup).await;
}

#[tokio::test]
async fn mysql_is_dumped_restored_into_scratch_and_compared() {
    let mariadb = Mariadb::start();
    mariadb.ready().await;
    let house = House::new();
    let backup = declared(BackupOf::Mysql { url: mariadb.url("shop") });
    let record = house.make(&backup).await;
    let content = record.content.clone().unwrap();
    assert_eq!((content.parts, content.rows), (2, 1_002), "{record:?}");
    let drill = house.backups.drill(&backup, &record, now()).await;
    assert_eq!(drill.outcome, Outcome::Pass, "{drill:?}");
    assert_eq!(mariadb.sql("", "show databases like 'tidegate%'").as_deref(), Some(""));

    let refused = house.backups.restore(&backup, &record, &mariadb.url("shop")).await;
    assert_eq!(refused.unwrap_err().code, "TG6623");
    mariadb.sql("", "create database again").unwrap();
    house.backups.restore(&backup, &record, &mariadb.url("again")).await.unwrap();
    let rows = mariadb.sql("again", "select count(*), max(what) from orders");
    assert_eq!(rows.as_deref(), Some("1000\ttea 999"));

    // A dump without its last line loads without an error, and is none.
    let data = Path::new(&record.place).join("data");
    let text = fs::read_to_string(&data).unwrap();
    let (cut, _) = text.split_once("-- Dump completed").unwrap();
    fs::write(&data, cut).unwrap();
    let mut short = record;
    short.bytes = cut.len() as u64;
    short.digest = Digest::of(cut.as_bytes());
    let drill = house.backups.drill(&backup, &short, now()).await;
    assert!(drill.outcome == Outcome::Fail && drill.summary.contains("no end"), "{drill:?}");
    assert_eq!(mariadb.sql("", "show databases like 'tidegate%'").as_deref(), Some(""));

    // A statement that fails in the middle ends neither the client nor its exit code of 0.
    let bad = text.replacen("INSERT INTO `orders`", "INSERT INTO `nowhere`", 1);
    fs::write(&data, &bad).unwrap();
    short.bytes = bad.len() as u64;
    short.digest = Digest::of(bad.as_bytes());
    mariadb.sql("", "create database third").unwrap();
    let failed = house.backups.restore(&backup, &short, &mariadb.url("third")).await;
    assert_eq!(failed.unwrap_err().code, "TG6622");

    // A table without transactions cannot be copied as of one moment.
    mariadb.sql("shop", "create table log(line text) engine=MyISAM").unwrap();
    let odd = house.backups.make(&scope(), &backup, now()).await.unwrap_err();
    assert!(odd.what.contains("log"), "{odd:?}");
    fs::remove_dir_all(Path::new(&short.place)).unwrap();
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

#[tokio::test]
async fn a_copy_in_a_bucket_is_encrypted_read_back_rehearsed_and_removed() {
    let store = Store::start().await;
    let house = House::new();
    let folder = house.state.path().join("uploads");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("letter"), "to somebody").unwrap();
    let key = house.state.path().join("backup.key");
    let made = Command::new("age-keygen")
        .arg("-o")
        .arg(&key)
        .output()
        .unwrap_or_else(|error| panic!("no age (`apt-get install age`): {error}"));
    let said = String::from_utf8(made.stderr).unwrap();
    let recipient = said.split_whitespace().find(|word| word.starts_with("age1")).unwrap();
    let secrets = house.state.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    let printed = r#"{"Version": 1, "AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "example"}"#;
    fs::write(secrets.join("s3"), printed).unwrap();
    fs::set_permissions(secrets.join("s3"), fs::Permissions::from_mode(0o600)).unwrap();

    let mut backup = declared(BackupOf::Files { path: folder.display().to_string() });
    backup.to = Place::Bucket(Bucket {
        name: "copies".to_owned(),
        prefix: "tidegate".to_owned(),
        endpoint: store.endpoint.clone(),
        region: "eu-central-1".to_owned(),
        credentials: "secret://file/s3".to_owned(),
    });
    let key = Some(key.display().to_string());
    backup.encrypt = Some(Encryption { to: recipient.to_owned(), key });
    let record = house.make(&backup).await;
    assert_eq!(record.encrypted_to.as_deref(), Some(recipient));
    let data = store.object(&format!("{}/data", record.place)).await.unwrap();
    assert_eq!(Digest::of(&data), record.digest);
    assert!(data.starts_with(b"age-encryption.org/v1"), "nothing plain is in the bucket");
    house.nothing_is_left_over();
    house.backups.verify(&record).await.unwrap();
    let drill = house.backups.drill(&backup, &record, now()).await;
    assert_eq!(drill.outcome, Outcome::Pass, "{drill:?}");
    let into = house.state.path().join("restored");
    house.backups.restore(&backup, &record, into.to_str().unwrap()).await.unwrap();
    assert_eq!(fs::read_to_string(into.join("letter")).unwrap(), "to somebody");

    // Without the key nobody can read it, and that is no pass.
    let mut blind = backup.clone();
    blind.encrypt = None;
    let drill = house.backups.drill(&blind, &record, now()).await;
    assert!(drill.outcome == Outcome::Fail && drill.summary.contains("encrypted"), "{drill:?}");
    // Another object under its name is found.
    let mut other = record.clone();
    other.digest = Digest::of(b"another");
    assert_eq!(house.backups.verify(&other).await.unwrap_err().code, "TG6621");
    house.backups.remove(&record).await.unwrap();
    house.backups.remove(&record).await.unwrap();
    assert_eq!(store.object(&format!("{}/data", record.place)).await, None);
    assert_eq!(house.backups.verify(&record).await.unwrap_err().code, "TG6621");

    // A bucket that is not there, a store that does not answer, credentials that others can read.
    let Place::Bucket(bucket) = backup.to.clone() else { unreachable!() };
    let mut refused = Vec::new();
    for (name, endpoint) in [("missing", store.endpoint.as_str()), ("copies", "http://127.0.0.1:1")]
    {
        let mut other = backup.clone();
        let (name, endpoint) = (name.to_owned(), endpoint.to_owned());
        other.to = Place::Bucket(Bucket { name, endpoint, ..bucket.clone() });
        refused.push(house.backups.make(&scope(), &other, now()).await.unwrap_err());
    }
    fs::set_permissions(secrets.join("s3"), fs::Permissions::from_mode(0o644)).unwrap();
    refused.push(house.backups.make(&scope(), &backup, now()).await.unwrap_err());
    let codes: Vec<&str> = refused.iter().map(|failure| failure.code).collect();
    assert_eq!(codes, ["TG6621", "TG6620", "TG6606"], "{refused:?}");
    assert!(refused.iter().all(|failure| !failure.what.contains("Signature")), "{refused:?}");
    house.nothing_is_left_over();
}
