//! The embedded data plane with a real proxy process and real applications behind it.
//! Must never use a fixed port.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::PathBuf;

use jiff::SignedDuration;
use rustix::process::{Pid, Signal};
use tidegate_core::effect::RouteTable;
use tidegate_core::event::OverrideKind;
use tidegate_core::ids::{PartName, SlotName};
use tidegate_core::plan::{CohortBy, Protocol, Route};
use tidegate_core::state::Backend;
use tidegate_core::weight::{Split, Weight};
use tidegate_drivers::traffic::{Embedded, ProxyProcess, emergency, served};
use tidegate_engine::ports::{FailureKind, Traffic};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::{example, scope, until};

struct Gate {
    state: tempfile::TempDir,
    process: ProxyProcess,
    traffic: Embedded,
    listen: String,
}

impl Gate {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let socket = state.path().join("proxy.sock");
        let command: Vec<OsString> = vec![
            example("proxy").into_os_string(),
            state.path().join("proxy").into_os_string(),
            socket.clone().into_os_string(),
        ];
        let process = ProxyProcess::new(socket.clone(), command, state.path());
        // Free at this moment, and nobody else in these tests asks for ports of this range.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap().to_string();
        Self { state, process, traffic: Embedded::new(socket), listen }
    }

    fn socket(&self) -> PathBuf {
        self.state.path().join("proxy.sock")
    }

    fn table(&self, generation: u64, candidate_bp: u16, backends: Vec<Backend>) -> RouteTable {
        let weight = Weight::from_bp(candidate_bp).unwrap();
        RouteTable {
            part: web(),
            generation,
            route: Route {
                listen: self.listen.clone(),
                host: None,
                path: "/".to_owned(),
                preview_header: Some("x-preview".to_owned()),
                sticky: false,
                cohort: CohortBy::Cookie,
                mirror: None,
                access_log: None,
                tls: None,
                behind: None,
            },
            split: Some(Split::between(&slot("south"), &slot("north"), weight)),
            backends,
            candidate: Some(slot("south")),
            live: Some(slot("north")),
            fallback: Some(Split::all_to(slot("north"))),
            lease: Some(SignedDuration::from_secs(60)),
            brake: None,
            limits_ms: vec![250.0],
            adopted_override: None,
        }
    }

    async fn get(&self, header: &str) -> String {
        let mut stream = TcpStream::connect(&self.listen).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let log = std::fs::read_to_string(self.state.path().join("pid")).unwrap_or_default();
        for pid in log.lines().filter_map(|line| line.parse::<i32>().ok()) {
            match rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => panic!("{pid}: {error}"),
            }
        }
    }
}

fn web() -> PartName {
    PartName::new("web").unwrap()
}

fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

// Answers every request with its name.
async fn backend(name: &'static str, revision: &str) -> Backend {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                while matches!(stream.read(&mut head).await, Ok(count) if count > 0) {
                    let length = name.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let protocol = Protocol::Http1;
    Backend { slot: slot(name), revision: revision.to_owned(), endpoints: vec![endpoint], protocol }
}

async fn start(gate: &Gate) -> u32 {
    let running = gate.process.ensure_running().await.unwrap();
    let pid = gate.state.path().join("pid");
    let before = std::fs::read_to_string(&pid).unwrap_or_default();
    std::fs::write(pid, format!("{before}{}\n", running.pid)).unwrap();
    assert!(running.started);
    running.pid
}

#[tokio::test]
async fn a_table_is_set_read_back_renewed_counted_and_fenced() {
    let gate = Gate::new();
    let unreachable = gate.traffic.read(&scope()).await.unwrap_err();
    assert_eq!((unreachable.kind, unreachable.code), (FailureKind::Retryable, "TG5901"));
    start(&gate).await;
    assert!(gate.traffic.read(&scope()).await.unwrap().is_empty());
    let backends =
        vec![backend("north", "v1-aaaaaaaa").await, backend("south", "v2-bbbbbbbb").await];
    let table = gate.table(5, 2_500, backends.clone());
    gate.traffic.ensure(&scope(), &table, 3).await.unwrap();
    gate.traffic.ensure(&scope(), &table, 3).await.unwrap();
    let read = gate.traffic.read(&scope()).await.unwrap();
    assert_eq!((read[&web()].generation, &read[&web()].overridden), (Some(5), &None));
    gate.traffic.renew(&scope(), &BTreeMap::from([(web(), 5)]), 3).await.unwrap();
    let stale = gate.traffic.renew(&scope(), &BTreeMap::from([(web(), 4)]), 3).await.unwrap_err();
    assert_eq!((stale.kind, stale.code), (FailureKind::Conflict, "TG5011"));
    for (older, epoch) in [(4, 3), (6, 2)] {
        let older = gate.table(older, 0, backends.clone());
        let refused = gate.traffic.ensure(&scope(), &older, epoch).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Conflict, "{refused}");
    }

    assert_eq!(gate.get("x-preview: candidate\r\n").await, "south");
    let mut south = 0;
    for _ in 0..200 {
        south += u32::from(gate.get("").await == "south");
    }
    assert!((20..90).contains(&south), "{south} of 200 at 25 %");
    let counted = until("all are counted", || async {
        let ticks = gate.traffic.ticks(&scope(), &web(), 0).await.unwrap();
        let sum = |name: &str| -> u64 {
            ticks.iter().filter_map(|tick| tick.slots.get(&slot(name))).map(|s| s.requests).sum()
        };
        let (north, counted) = (sum("north"), sum("south"));
        (north + counted == 200).then_some((ticks.len(), counted))
    })
    .await;
    // The preview is not user traffic.
    assert_eq!(counted.1, u64::from(south));
    let ticks = gate.traffic.ticks(&scope(), &web(), 0).await.unwrap();
    assert!(ticks.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(ticks.iter().all(|tick| tick.generation == 5));
    let last = ticks.last().unwrap().number;
    let newer = gate.traffic.ticks(&scope(), &web(), last).await.unwrap();
    assert!(newer.iter().all(|tick| tick.number > last));
}

#[tokio::test]
async fn a_dead_proxy_is_started_again_with_its_last_table() {
    let gate = Gate::new();
    let pid = start(&gate).await;
    assert_eq!(gate.process.ensure_running().await.unwrap().pid, pid);
    let backends =
        vec![backend("north", "v1-aaaaaaaa").await, backend("south", "v2-bbbbbbbb").await];
    gate.traffic.ensure(&scope(), &gate.table(5, 0, backends), 3).await.unwrap();
    let raw = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(raw, Signal::KILL).unwrap();
    let again = until("it is started again", || async {
        // Until the dead one's socket closes it may still seem to live.
        gate.process.ensure_running().await.ok().filter(|running| running.pid != pid)
    })
    .await;
    std::fs::write(gate.state.path().join("pid"), format!("{}\n", again.pid)).unwrap();
    assert_eq!(gate.get("").await, "north");
    assert_eq!(gate.traffic.read(&scope()).await.unwrap()[&web()].generation, Some(5));
    // Another server adopts it.
    let command = vec![OsString::from("/no/such/program")];
    let other = ProxyProcess::new(gate.socket(), command, gate.state.path());
    let adopted = other.ensure_running().await.unwrap();
    assert_eq!((adopted.pid, adopted.started), (again.pid, false));
}

#[tokio::test]
async fn a_proxy_that_does_not_come_up_says_why() {
    let gate = Gate::new();
    let command = ["/bin/sh", "-c", "echo no such state >&2; exit 9"].map(OsString::from).to_vec();
    let broken = ProxyProcess::new(gate.socket(), command, gate.state.path());
    let failed = broken.ensure_running().await.unwrap_err();
    assert_eq!(failed.code, "TG5905");
    assert!(failed.what.ends_with("exited with code 9; no such state"), "{failed}");
}

#[tokio::test]
async fn an_emergency_needs_the_socket_alone_and_is_not_undone() {
    let gate = Gate::new();
    start(&gate).await;
    let nothing = emergency(&gate.socket(), &scope(), "ada", "it burns", &mut |_| {}).await;
    assert_eq!(nothing.unwrap_err().code, "TG5904");
    let backends =
        vec![backend("north", "v1-aaaaaaaa").await, backend("south", "v2-bbbbbbbb").await];
    gate.traffic.ensure(&scope(), &gate.table(5, 10_000, backends.clone()), 3).await.unwrap();
    assert_eq!(gate.get("").await, "south");
    assert_eq!(served(&gate.socket()).await.unwrap(), [scope()]);
    let mut calls = Vec::new();
    let mut announce = |call: &str| calls.push(call.to_owned());
    let rolled =
        emergency(&gate.socket(), &scope(), "ada", "it burns", &mut announce).await.unwrap();
    assert_eq!(rolled[0].result.as_ref().unwrap(), "north/v1-aaaaaaaa 100 %");
    assert!(calls[0].starts_with("POST /v1/rollback shop@production/web at "), "{calls:?}");
    assert_eq!(gate.get("").await, "north");

    let read = gate.traffic.read(&scope()).await.unwrap();
    let held = read[&web()].overridden.clone().unwrap();
    assert_eq!((held.kind, held.actor.as_str()), (OverrideKind::Emergency, "ada"));
    assert_eq!(held.split, Some(Split::all_to(slot("north"))));
    // A control plane that does not know of it cannot undo it; one that does may go on.
    let mut next = gate.table(6, 10_000, backends);
    let refused = gate.traffic.ensure(&scope(), &next, 3).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (FailureKind::Conflict, "TG5005"));
    next.adopted_override = Some(held.sequence);
    gate.traffic.ensure(&scope(), &next, 3).await.unwrap();
    assert_eq!(gate.get("").await, "south");
}
