//! What survives the proxy: its last good state, over kill -9 and over damage on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tidegate_proxy::wire::{self, Table};
use tidegate_proxy::{Config, Error, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::parts::{
    App, Client, Control, PATIENCE, Proxy, TICK, eventually, fetch, free_address, impatient, parts,
    seal, shift, wait_for_socket,
};

const STATE: &str = "TIDEGATE_TEST_PROXY_STATE";
const TAKE_OVER: &str = "TIDEGATE_TEST_PROXY_TAKE_OVER";
const DESCRIPTORS: &str = "TIDEGATE_TEST_PROXY_DESCRIPTORS";

fn config(state: &Path) -> Config {
    let mut config = Config::new(state.to_owned(), state.join("control.sock"));
    config.tick = TICK;
    config
}

/// Not a test by itself: the process that `Process` starts and kills.
#[test]
fn proxy_process() {
    let Some(state) = std::env::var_os(STATE) else { return };
    if let Ok(limit) = std::env::var(DESCRIPTORS) {
        let limit = limit.parse().ok();
        let limits = rustix::process::Rlimit { current: limit, maximum: limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limits).unwrap();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut config = config(&PathBuf::from(state));
    config.take_over = std::env::var_os(TAKE_OVER).map(|_| PATIENCE);
    runtime.block_on(serve(config, CancellationToken::new(), |_| {})).unwrap();
}

/// A proxy in a process of its own.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) control: Control,
}

impl Process {
    pub(crate) async fn start(state: &Path) -> Self {
        Self::start_with(state, 1_024).await
    }

    async fn start_with(state: &Path, descriptors: u64) -> Self {
        let process = Self::spawn(state, &[(DESCRIPTORS, &descriptors.to_string())]);
        wait_for_socket(&process.control.0).await;
        process
    }

    /// One that takes the place of the proxy that runs there.
    pub(crate) async fn take_over(state: &Path) -> Self {
        let process = Self::spawn(state, &[(TAKE_OVER, "1")]);
        let pid = process.child.id();
        eventually("a successor", || async {
            (process.control.report().await?.pid == pid).then_some(())
        })
        .await;
        process
    }

    fn spawn(state: &Path, environment: &[(&str, &str)]) -> Self {
        let control = Control(state.join("control.sock"));
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "restart::proxy_process", "--nocapture"])
            .env(STATE, state)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, control }
    }

    /// SIGKILL, and the end of it.
    fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    /// A test that fails must not leave a proxy behind.
    fn drop(&mut self) {
        // One that was succeeded has ended by itself, maybe.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_proxy_serves_its_last_good_table_without_anybody() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let state = tempfile::tempdir().unwrap();
    let listen = free_address();
    let process = Process::start(state.path()).await;
    let mode = fs::metadata(&process.control.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let table = |generation, points| -> Table {
        seal(shift(listen, generation, live.address, candidate.address, points))
    };
    process.control.put(&table(1, 0)).await.unwrap();
    let set = process.control.put(&table(2, 10_000)).await.unwrap();
    assert_eq!(fetch(listen, "/").await.body, "candidate");
    let last_tick = process.control.status().await.applied_at_ms;
    process.kill();

    let process = Process::start(state.path()).await;
    assert_eq!(fetch(listen, "/").await.body, "candidate");
    let status = process.control.status().await;
    assert_eq!((status.epoch, status.generation), (set.epoch, set.generation));
    assert_eq!(process.control.put(&table(1, 0)).await.unwrap_err().code, "TG5002");
    assert_eq!(process.control.put(&table(2, 10_000)).await.unwrap(), set);
    let given = process.control.rollback().await.unwrap().in_override.unwrap();
    process.kill();

    // An emergency rollback is not undone by a restart, nor by who comes back later.
    let process = Process::start(state.path()).await;
    assert_eq!(fetch(listen, "/").await.body, "live");
    assert_eq!(process.control.status().await.in_override, Some(given));
    assert_eq!(process.control.put(&table(3, 10_000)).await.unwrap_err().code, "TG5005");
    // Ticks count up over restarts.
    let ticks =
        eventually("a tick", || async { process.control.ticks(0).await.ticks.into_iter().next() })
            .await;
    assert!(ticks.seq >= last_tick);
    process.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_gives_way_to_the_version_before() {
    let app = App::start("good").await;
    let state = tempfile::tempdir().unwrap();
    let listen = free_address();
    let process = Process::start(state.path()).await;
    for generation in 1..=3 {
        let table = seal(parts(listen, generation, &[("good", 10_000, app.address)]));
        process.control.put(&table).await.unwrap();
    }
    process.kill();
    let files = fs::read_dir(state.path().join("tables")).unwrap();
    let newest = files
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "table"))
        .unwrap();
    let whole = fs::read(&newest).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    // Also where only the file's own checksum can tell.
    let text = String::from_utf8(whole.clone()).unwrap();
    let counted = text.replace("\"sequence\":0", "\"sequence\":9").into_bytes();
    assert_ne!(counted, whole);
    for damaged in [flipped, counted, whole[..whole.len() / 2].to_vec(), Vec::new()] {
        fs::write(&newest, damaged).unwrap();
        let process = Process::start(state.path()).await;
        assert_eq!(process.control.status().await.generation, 2);
        assert_eq!(fetch(listen, "/").await.body, "good");
        process.kill();
    }
    // The next table makes the files whole again.
    let process = Process::start(state.path()).await;
    let table = seal(parts(listen, 4, &[("good", 10_000, app.address)]));
    process.control.put(&table).await.unwrap();
    process.kill();
    let process = Process::start(state.path()).await;
    assert_eq!(process.control.status().await.generation, 4);
    process.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_proxies_on_one_state_directory_are_refused() {
    let proxy = Proxy::start().await;
    let second = serve(config(proxy.directory()), CancellationToken::new(), |_| {}).await;
    assert!(matches!(second, Err(Error::Held { .. })), "{second:?}");
    let path = format!("{}?service=nobody", wire::PATH_TICKS);
    let refused = proxy.control.call::<wire::Ticks>(http::Method::GET, &path, String::new()).await;
    assert_eq!(refused.unwrap_err().code, "TG5009", "the first one goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_end_lets_requests_finish() {
    let app = App::start("good").await;
    let table = |listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]));
    let proxy = Proxy::serving_with(impatient(), table).await;
    let listen = proxy.listen;
    let mut client = Client::connect(listen).await;
    let slow = tokio::spawn(async move { client.get("/never", &[]).await });
    eventually("the request to be under way", || async {
        (proxy.control.revision("good").await.in_flight == 1).then_some(())
    })
    .await;
    let began = std::time::Instant::now();
    proxy.stop().await;
    // Far sooner than the time to drain: it waits for the request and for nothing else.
    assert!(began.elapsed() < impatient().drain / 2, "{:?}", began.elapsed());
    // It was answered (by its own timeout) before the proxy ended.
    assert_eq!(slow.await.unwrap().status, 504);
    assert!(tokio::net::TcpStream::connect(listen).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn short_descriptors_refuse_new_clients_and_cut_no_old_one() {
    let app = App::start("good").await;
    let state = tempfile::tempdir().unwrap();
    let listen = free_address();
    // Some are kept back for everything that is no client, the rest is enough for sixteen.
    let process = Process::start_with(state.path(), 160).await;
    let table = seal(parts(listen, 1, &[("good", 10_000, app.address)]));
    process.control.put(&table).await.unwrap();
    let mut old = Client::connect(listen).await;
    assert_eq!(old.get("/", &[]).await.body, "good");
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(listen).await.unwrap());
    }
    let last = crowd.last_mut().unwrap();
    assert_eq!(last.read(&mut [0; 1]).await.unwrap_or(0), 0, "past the limit it is closed");
    for _ in 0..20 {
        assert_eq!(old.get("/", &[]).await.body, "good");
    }
    drop(crowd);
    eventually("a place for a new client", || async {
        let mut new = TcpStream::connect(listen).await.ok()?;
        new.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        new.read_to_string(&mut answer).await.ok()?;
        answer.ends_with("good").then_some(())
    })
    .await;
    process.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_stops_tables_but_not_the_way_back() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let table = |generation, listen| {
        seal(shift(listen, generation, live.address, candidate.address, 10_000))
    };
    let proxy = Proxy::serving(|listen| table(1, listen)).await;
    let (tables, gone) = (proxy.directory().join("tables"), proxy.directory().join("gone"));
    fs::rename(&tables, &gone).unwrap();
    let refused = proxy.control.put(&table(2, proxy.listen)).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.applied), ("TG5007", Some((1, 1))));
    assert_eq!(fetch(proxy.listen, "/").await.body, "candidate");

    proxy.control.rollback().await.unwrap();
    assert_eq!(fetch(proxy.listen, "/").await.body, "live");
    assert!(!proxy.control.status().await.persisted);
    fs::rename(&gone, &tables).unwrap();
    eventually("the override to be durable", || async {
        proxy.control.status().await.persisted.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_does_not_hold_up_a_person() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let table = |generation, listen| {
        seal(shift(listen, generation, live.address, candidate.address, 10_000))
    };
    let proxy = Proxy::serving(|listen| table(1, listen)).await;
    // A pipe in the place of the next file: opening it waits for somebody who reads.
    let files = fs::read_dir(proxy.directory().join("tables")).unwrap();
    let file = files.map(|entry| entry.unwrap().path()).next().unwrap();
    let (pipe, moved) = (file.with_extension("new"), file.with_extension("moved"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (control, next) = (proxy.control.clone(), table(2, proxy.listen));
    let put = tokio::spawn(async move { control.put(&next).await });
    let began = std::time::Instant::now();
    let ack = proxy.control.rollback().await.unwrap();
    assert!(ack.in_override.is_some());
    assert_eq!(fetch(proxy.listen, "/").await.body, "live");
    assert!(began.elapsed().as_millis() < 2_000, "{:?}", began.elapsed());
    assert!(!proxy.control.status().await.persisted);

    // The pipe is read to its end, and the next file is a file again.
    fs::rename(&pipe, &moved).unwrap();
    let read = tokio::task::spawn_blocking(move || fs::read(&moved).unwrap());
    let refused = put.await.unwrap().unwrap_err();
    assert!(["TG5005", "TG5007"].contains(&refused.code.as_str()), "{refused:?}");
    eventually("the override to be durable", || async {
        proxy.control.status().await.persisted.then_some(())
    })
    .await;
    assert!(!read.await.unwrap().is_empty());
    assert_eq!(fetch(proxy.listen, "/").await.body, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_was_taken_at_the_start_is_taken_up_when_it_is_free() {
    let app = App::start("good").await;
    let state = tempfile::tempdir().unwrap();
    let listen = free_address();
    let process = Process::start(state.path()).await;
    let table = seal(parts(listen, 1, &[("good", 10_000, app.address)]));
    process.control.put(&table).await.unwrap();
    process.kill();
    let squatter = std::net::TcpListener::bind(listen).unwrap();
    let process = Process::start(state.path()).await;
    assert!(!process.control.status().await.listening);
    drop(squatter);
    eventually("the port to be taken up", || async {
        process.control.status().await.listening.then_some(())
    })
    .await;
    assert_eq!(fetch(listen, "/").await.body, "good");
    process.kill();
}
