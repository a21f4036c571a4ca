//! Applications that refuse, hang, break off or close behind our back, and how that is counted.

use http::StatusCode;
use tidegate_proxy::Timeouts;
use tidegate_proxy::wire::{Failures, RevisionTick};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::parts::{
    App, Client, Proxy, eventually, fetch, free_address, get, impatient, parts, seal,
};

async fn serving(endpoint: std::net::SocketAddr) -> Proxy {
    serving_with(Timeouts::default(), endpoint).await
}

async fn serving_with(timeouts: Timeouts, endpoint: std::net::SocketAddr) -> Proxy {
    let table = |listen| seal(parts(listen, 1, &[("only", 10_000, endpoint)]));
    Proxy::serving_with(timeouts, table).await
}

/// The sums once `expected` requests have ended.
async fn sums(proxy: &Proxy, expected: u64) -> RevisionTick {
    eventually("the ticks that count them", || async {
        let sums = proxy.control.sums("only").await;
        (sums.requests + sums.abandoned >= expected).then_some(sums)
    })
    .await
}

/// Reads one bodiless request head; `None` at the end of the connection.
async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_application_is_a_connect_failure() {
    let proxy = serving(free_address()).await;
    assert_eq!(fetch(proxy.listen, "/").await.status, 502);
    let sums = sums(&proxy, 1).await;
    assert_eq!(sums.failures, Failures { connect: 1, ..Failures::default() });
    assert!(sums.latency.is_empty(), "a refused connection has no latency");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_application_is_a_timeout_with_its_latency() {
    let app = App::start("only").await;
    let proxy = serving_with(impatient(), app.address).await;
    assert_eq!(fetch(proxy.listen, "/never").await.status, 504);
    let sums = sums(&proxy, 1).await;
    assert_eq!(sums.failures, Failures { timeout: 1, ..Failures::default() });
    assert_eq!(sums.latency.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_counted_by_class() {
    let app = App::start("only").await;
    let proxy = serving(app.address).await;
    let mut client = Client::connect(proxy.listen).await;
    for path in ["/", "/status/404", "/status/500", "/status/503", "/grpc/0", "/grpc/5"] {
        client.get(path, &[]).await;
    }
    for path in ["/grpc/2", "/grpc/4", "/grpc/8", "/grpc/12", "/grpc/13", "/grpc/14", "/grpc/15"] {
        client.get(path, &[]).await;
    }
    let sums = sums(&proxy, 13).await;
    assert_eq!(sums.failures, Failures { status_5xx: 2, grpc: 7, ..Failures::default() });
    let recorded: u32 = sums.latency.iter().map(|(_, count)| count).sum();
    assert_eq!((sums.started, sums.requests, recorded), (13, 13, 13));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_cut_in_its_middle_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = serving(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "HTTP/1.1 2"] {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_head(&mut socket).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    // The client must see a broken body, never a short one that looks whole.
    assert!(Client::connect(proxy.listen).await.try_get("/", &[]).await.is_err());
    assert_eq!(fetch(proxy.listen, "/").await.status, 502);
    let sums = sums(&proxy, 2).await;
    assert_eq!(sums.failures, Failures { reset: 2, ..Failures::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_first_is_neither_good_nor_failed() {
    let app = App::start("only").await;
    let proxy = serving(app.address).await;
    let mut client = Client::connect(proxy.listen).await;
    let waiting = tokio::spawn(async move { client.send(get("/never", &[])).await.is_ok() });
    eventually("the request to be under way", || async { (app.count() == 1).then_some(()) }).await;
    waiting.abort();
    let sums = sums(&proxy, 1).await;
    assert_eq!((sums.requests, sums.abandoned, sums.latency.len()), (0, 1, 1));
}

/// An application that answers each connection's first request and closes it on the second
/// without an answer, as one does whose keep-alive time is just over.
async fn closes_on_reuse() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let seen = seen.clone();
            tokio::spawn(async move {
                let first = read_head(&mut socket).await.unwrap();
                seen.send(first).unwrap();
                socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                if let Some(second) = read_head(&mut socket).await {
                    seen.send(second).unwrap();
                }
            });
        }
    });
    (address, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_connection_costs_one_retry_of_what_may_be_repeated() {
    let (address, mut seen) = closes_on_reuse().await;
    let proxy = serving(address).await;
    let mut client = Client::connect(proxy.listen).await;
    let pooled =
        || async { (proxy.control.revision("only").await.idle_connections == 1).then_some(()) };
    assert_eq!(client.get("/1", &[]).await.status, 200);
    eventually("the connection to be pooled", pooled).await;
    assert_eq!(client.get("/2", &[]).await.body, "ok", "a GET is repeated on a new connection");
    let mut paths = Vec::new();
    for _ in 0..3 {
        paths.push(seen.recv().await.unwrap().lines().next().unwrap().to_owned());
    }
    assert_eq!(paths, ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /2 HTTP/1.1"]);

    // What may have had an effect is not.
    eventually("the connection to be pooled", pooled).await;
    let post = http::Request::post("/3").header("host", "a").header("content-length", "0");
    let response = client.send(post.body(crate::parts::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(seen.recv().await.unwrap().starts_with("POST /3 "));
    assert!(seen.try_recv().is_err());
    assert_eq!(sums(&proxy, 3).await.failures, Failures { reset: 1, ..Failures::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_instance_is_passed_over_within_its_revision() {
    let (first, second) = (App::start("only").await, App::start("only").await);
    let other = App::start("other").await;
    let proxy = Proxy::serving(|listen| {
        let backends = [("only", 10_000, first.address), ("other", 0, other.address)];
        let mut parts = parts(listen, 1, &backends);
        parts.backends[0].endpoints = vec![first.address, free_address(), second.address];
        seal(parts)
    })
    .await;
    let mut client = Client::connect(proxy.listen).await;
    for _ in 0..100 {
        assert_eq!(client.get("/", &[]).await.body, "only");
    }
    assert!(first.count() > 10 && second.count() > 10, "ties are spread");
    assert_eq!((first.count() + second.count(), other.count()), (100, 0));
    assert_eq!(sums(&proxy, 100).await.failures.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_and_their_grpc_status_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = serving(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\n";
        let rest = "Trailer: grpc-status\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3\r\nabc\r\n0\r\ngrpc-status: 13\r\n\r\n";
        socket.write_all(format!("{head}{rest}").as_bytes()).await.unwrap();
        assert!(read_head(&mut socket).await.is_none());
    });
    let request = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te, close\r\n\r\n";
    let answer = crate::parts::raw(proxy.listen, request.as_bytes()).await;
    assert!(answer.ends_with("3\r\nabc\r\n0\r\ngrpc-status: 13\r\n\r\n"), "{answer}");
    assert_eq!(sums(&proxy, 1).await.failures, Failures { grpc: 1, ..Failures::default() });
}

/// Answers nobody: reads a request and hangs up.
async fn hang_up(listener: TcpListener) {
    while let Ok((mut socket, _)) = listener.accept().await {
        drop(read_head(&mut socket).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_counted_with_the_instance_that_ended_it() {
    let good = App::start("only").await;
    let bad = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bad_address = bad.local_addr().unwrap();
    let hanging_up = tokio::spawn(hang_up(bad));
    let proxy = Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("only", 10_000, good.address)]);
        parts.backends[0].endpoints.push(bad_address);
        seal(parts)
    })
    .await;
    let (mut answered, mut lost) = (0, 0);
    while answered == 0 || lost == 0 {
        match fetch(proxy.listen, "/").await.status {
            StatusCode::OK => answered += 1,
            StatusCode::BAD_GATEWAY => lost += 1,
            other => panic!("{other}"),
        }
    }
    let told = eventually("the ticks that count them", || async {
        let mut sums = RevisionTick::default();
        for tick in proxy.control.ticks(0).await.ticks {
            tick.revisions.into_iter().for_each(|part| sums.add(part));
        }
        (sums.requests == answered + lost).then_some(sums)
    })
    .await;
    assert_eq!(told.instances.len(), 2, "{told:?}");
    let of = |address| told.instances.iter().find(|one| one.address == address).unwrap();
    let (good, bad) = (of(good.address), of(bad_address));
    assert_eq!((good.requests, good.failures), (answered, 0), "{told:?}");
    assert_eq!((bad.requests, bad.failures), (lost, lost), "{told:?}");
    let timed: u32 = good.latency.iter().map(|(_, count)| *count).sum();
    assert_eq!(u64::from(timed), answered);
    assert!(bad.latency.is_empty(), "a broken connection has no latency");
    hanging_up.abort();
}
