//! Clients that say little and stay for long, by the thousand: they are served nothing, they cost
//! the others nothing, and in the end they have to go. Their number is scaled to the descriptors
//! that this process may have, and never below a hundred.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use tidegate_proxy::Timeouts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::certs::Authority;
use crate::parts::{App, Client, PATIENCE, Proxy, eventually, fetch, parts, seal};
use crate::tls;

/// Descriptors for everything else in this process.
const OTHERS: u64 = 1_024;

/// As many clients as wanted, or as this process has room for: each takes a descriptor on both
/// sides, and half of the rest is left to the tests beside this one.
fn as_many(wanted: u64) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(1 << 20);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).unwrap();
    let room = most.saturating_sub(OTHERS) / 4;
    assert!(room >= 100, "{most} descriptors are too few for this test");
    usize::try_from(wanted.min(room)).unwrap()
}

/// Connects, and again where the proxy's queue was full.
async fn connect(proxy: &Proxy) -> TcpStream {
    eventually("a connection", || async { TcpStream::connect(proxy.listen).await.ok() }).await
}

/// Whether the proxy has closed it: an end, a reset, or a refusal to read on.
async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let _reset = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("kept open");
    !String::from_utf8_lossy(&rest).contains("200 OK")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_heads_that_never_end_are_closed_and_hold_nobody_up() {
    let count = as_many(2_000);
    let app = App::start("good").await;
    let timeouts = Timeouts { client_head: Duration::from_secs(3), ..Timeouts::default() };
    let table = |listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]));
    let proxy = Proxy::serving_with(timeouts, table).await;
    let mut slow = Vec::with_capacity(count);
    for _ in 0..count {
        let mut socket = connect(&proxy).await;
        socket.write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Slow: ").await.unwrap();
        slow.push(socket);
    }
    // A byte now and then is no progress: the whole head has one deadline.
    let dripping = tokio::spawn(async move {
        let mut open = slow.len();
        while open > 0 {
            assert_eq!(fetch(proxy.listen, "/").await.body, "good");
            open = 0;
            for socket in &mut slow {
                open += usize::from(socket.write_all(b"x").await.is_ok());
            }
        }
        for mut socket in slow {
            assert!(is_closed(&mut socket).await, "a head without end was answered");
        }
        proxy
    });
    let proxy = timeout(3 * PATIENCE, dripping).await.expect("they are kept").unwrap();
    assert_eq!(fetch(proxy.listen, "/").await.body, "good");
    let sums = eventually("the counts of the others", || async {
        let sums = proxy.control.sums("good").await;
        (sums.requests == app.count()).then_some(sums)
    })
    .await;
    assert_eq!((sums.failures.total(), sums.abandoned), (0, 0), "nobody else was hurt");
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_stall_are_closed_while_others_are_met() {
    let count = as_many(500);
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = tls::serving(&app, authority.tls("shop", &["shop.example"])).await;
    let hello = hello();
    let mut stalled = Vec::with_capacity(count);
    for index in 0..count {
        let mut socket = connect(&proxy).await;
        // Nothing at all, or a hello that breaks off in its middle.
        socket.write_all(&hello[..(index % 2) * hello.len() / 2]).await.unwrap();
        stalled.push(socket);
    }
    assert!(authority.connect(proxy.listen, "shop.example", &["h2"]).await.is_ok());
    for mut socket in stalled {
        assert!(is_closed(&mut socket).await);
    }
    assert!(authority.connect(proxy.listen, "shop.example", &["h2"]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_that_comes_byte_by_byte_is_understood() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = tls::serving(&app, authority.tls("shop", &["shop.example"])).await;
    let mut socket = connect(&proxy).await;
    socket.set_nodelay(true).unwrap();
    for byte in hello() {
        socket.write_all(&[byte]).await.unwrap();
    }
    // A handshake record with a ServerHello in it.
    let mut answer = [0; 6];
    timeout(PATIENCE, socket.read_exact(&mut answer)).await.expect("no answer").unwrap();
    assert_eq!((answer[0], answer[5]), (22, 2), "{answer:?}");
}

/// What a client that asks for `shop.example` says first.
fn hello() -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("shop.example").unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_stay_and_are_served_when_they_speak() {
    let count = as_many(10_000);
    let app = App::start("good").await;
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]))).await;
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        idle.push(connect(&proxy).await);
    }
    // Far above them is a limit; below it nobody is turned away.
    let mut client = Client::connect(proxy.listen).await;
    assert_eq!(client.get("/", &[]).await.body, "good");
    let request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    for socket in idle.iter_mut().step_by(97) {
        socket.write_all(request).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("no answer").unwrap();
        assert!(answer.ends_with("good"), "{answer}");
    }
    assert_eq!(client.get("/", &[]).await.body, "good");
}
