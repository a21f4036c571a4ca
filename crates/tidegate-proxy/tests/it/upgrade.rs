//! One proxy process takes the place of another: nobody notices, nothing is counted twice or
//! lost, and one that fails at it changes nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidegate_proxy::wire::{self, DrainRequest, Drained};
use tidegate_proxy::{Config, serve};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::parts::{
    App, Client, Control, Proxy, SERVICE, eventually, fetch, free_address, parts, seal, shift,
    wait_for_socket,
};
use crate::restart::Process;
use crate::streams::{echoes, open_tunnel};

/// Users that ask one thing after the other, until `done`: half keep their connection until an
/// answer says that it ends, the others take a new one each time.
struct Users {
    tasks: JoinSet<()>,
    done: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

impl Users {
    fn start(address: SocketAddr, count: usize) -> Self {
        let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for user in 0..count {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            tasks.spawn(async move {
                let mut kept = None;
                while !done.load(Ordering::Relaxed) {
                    let mut client = match kept.take() {
                        Some(client) => client,
                        None => Client::connect(address).await,
                    };
                    let reply = client.get("/", &[]).await;
                    assert_eq!(reply.status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    if user % 2 == 0 && reply.headers.get("connection").is_none() {
                        kept = Some(client);
                    }
                }
            });
        }
        Self { tasks, done, answered }
    }

    async fn more(&self, count: u64) {
        let least = self.answered.load(Ordering::Relaxed) + count;
        eventually("users are served", || async {
            (self.answered.load(Ordering::Relaxed) >= least).then_some(())
        })
        .await;
    }

    /// Ends them; fails when one met anything but an answer.
    async fn finish(mut self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a request was lost");
        }
        self.answered.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_takes_over_under_load_and_nothing_is_lost() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let state = tempfile::tempdir().unwrap();
    let listen = free_address();
    let table = |generation, points| {
        seal(shift(listen, generation, live.address, candidate.address, points))
    };
    let mut processes = vec![Process::start(state.path()).await];
    let control = Control(state.path().join("control.sock"));
    control.put(&table(1, 5_000)).await.unwrap();
    let users = Users::start(listen, 8);
    let mut tunnel = open_tunnel(listen, "").await;
    users.more(50).await;
    for generation in 2..5 {
        processes.push(Process::take_over(state.path()).await);
        users.more(50).await;
        control.put(&table(generation, 1_000 * u16::try_from(generation).unwrap())).await.unwrap();
        assert!(echoes(&mut tunnel).await, "an upgrade cuts no tunnel");
        let tunnels = control.status().await.revisions.iter().map(|r| r.tunnels).sum::<u64>();
        assert_eq!(tunnels, 1, "the tunnel is on a proxy two or three upgrades ago, and seen");
        users.more(50).await;
    }
    let answered = users.finish().await;
    drop(tunnel);
    let newest = processes.pop().unwrap();
    for mut elder in processes {
        eventually("an elder ends", || {
            let ended = elder.child.try_wait().unwrap();
            async move { ended }
        })
        .await;
    }
    // Every request and the tunnel are in the ticks of the one that is left, once.
    eventually("all counts", || async {
        let (one, other) = (control.sums("live").await, control.sums("candidate").await);
        let counted = one.requests + other.requests;
        assert!(counted <= answered + 1, "counted {counted} of {answered} twice");
        (counted == answered + 1).then_some(())
    })
    .await;
    drop(newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_elder_follows_its_successors_tables_and_cuts_what_it_is_told_to() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let state = tempfile::tempdir().unwrap();
    let listen = free_address();
    let elder = Process::start(state.path()).await;
    let control = Control(state.path().join("control.sock"));
    let bad = shift(listen, 1, live.address, candidate.address, 10_000);
    control.put(&seal(bad)).await.unwrap();
    let mut resting = Client::connect(listen).await;
    assert_eq!(resting.get("/", &[]).await.body, "candidate");
    let mut tunnel = open_tunnel(listen, "").await;
    assert!(echoes(&mut tunnel).await);

    let successor = Process::take_over(state.path()).await;
    control.rollback().await.unwrap();
    // The order reaches the elder a moment after the successor has answered; whatever the user on
    // the old connection is answered with, it is said to be the last answer there.
    let reply = resting.get("/", &[]).await;
    assert_eq!(reply.headers["connection"], "close");
    eventually("the new split is everybody's", || async {
        (fetch(listen, "/").await.body == "live").then_some(())
    })
    .await;
    let drain = DrainRequest { service: SERVICE.into(), revision: "candidate".into(), grace_ms: 0 };
    let body = serde_json::to_string(&drain).unwrap();
    let drained: Drained = control.call(http::Method::POST, wire::PATH_DRAIN, body).await.unwrap();
    assert_eq!((drained.cut, drained.tunnels), (1, 0));
    assert!(!echoes(&mut tunnel).await);
    drop((elder, successor));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_that_fails_changes_nothing() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let table =
        |listen, generation| shift(listen, generation, live.address, candidate.address, 10_000);
    let proxy = Proxy::serving(|listen| seal(table(listen, 1))).await;
    let handover = proxy.control.0.with_extension("handover");
    let ask = |hello: &'static str| {
        let handover = handover.clone();
        move || {
            let mut socket = UnixStream::connect(handover).unwrap();
            writeln!(socket, "{hello}").unwrap();
            socket
        }
    };
    // Another form of the handover: the proxy hangs up.
    let wrong = ask(r#"{"version":99,"pid":1,"drain_ms":1}"#);
    tokio::task::spawn_blocking(move || {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ended = wrong().read_to_end(&mut rest);
        assert!(rest.is_empty());
    })
    .await
    .unwrap();
    // One that dies after it was given everything.
    let right = ask(r#"{"version":1,"pid":1,"drain_ms":1}"#);
    let socket = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(right());
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line).unwrap();
        lines
    })
    .await
    .unwrap();
    // A person's way back does not wait for it, a table does.
    assert_eq!(fetch(proxy.listen, "/").await.body, "candidate");
    let given = proxy.control.rollback().await.unwrap().in_override.unwrap();
    assert_eq!(fetch(proxy.listen, "/").await.body, "live");
    let mut next = table(proxy.listen, 2);
    next.acknowledges_override = Some(given.sequence);
    let next = seal(next);
    let (put, ()) = tokio::join!(proxy.control.put(&next), async { drop(socket) });
    assert_eq!(put.unwrap().generation, 2);
    assert_eq!(fetch(proxy.listen, "/").await.body, "candidate");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_came_with_the_process_is_used_and_nothing_is_bound() {
    let app = App::start("live").await;
    let state = tempfile::tempdir().unwrap();
    let given = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = given.local_addr().unwrap();
    let control = Control(state.path().join("control.sock"));
    let mut config = Config::new(state.path().into(), control.0.clone());
    config.sockets = vec![given];
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(config, stop.clone(), |_| {}));
    wait_for_socket(&control.0).await;
    // Somebody holds the address: only the given socket can serve it.
    assert!(std::net::TcpListener::bind(listen).is_err());
    let table = seal(parts(listen, 1, &[("live", 10_000, app.address)]));
    control.put(&table).await.unwrap();
    assert_eq!(fetch(listen, "/").await.body, "live");
    stop.cancel();
    task.await.unwrap().unwrap();
}
