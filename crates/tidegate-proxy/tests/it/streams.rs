//! Bodies and tunnels: streamed, held back when the reader is slow, alive over weight changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tidegate_proxy::wire::{self, DrainRequest, Drained};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::parts::{
    App, Body, Client, PATIENCE, Proxy, SERVICE, TICK, eventually, get, impatient, parts, seal,
    shift,
};

const MEGABYTE: usize = 1 << 20;
const TOTAL: usize = 50 * MEGABYTE;
/// What sockets and buffers on the way may swallow; far below the total.
const ON_THE_WAY: usize = 24 * MEGABYTE;

/// A body of `TOTAL` bytes in chunks, and a counter of what was taken from it.
fn counted_body() -> (Body, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let chunk = Bytes::from(vec![7; 64 * 1_024]);
    let chunks = std::iter::from_fn(move || {
        let so_far = counter.fetch_add(chunk.len(), Ordering::SeqCst);
        (so_far < TOTAL).then(|| Ok(Frame::data(chunk.clone())))
    });
    (StreamBody::new(Chunks(chunks)).boxed(), taken)
}

/// An iterator as a stream, without another dependency.
struct Chunks<I>(I);

impl<I: Iterator + Unpin> futures_util::Stream for Chunks<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_go_up_in_chunks() {
    let app = App::start("good").await;
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]))).await;
    let mut client = Client::connect(proxy.listen).await;
    let (body, _) = counted_body();
    let request = Request::post("/upload").header("host", "a").body(body).unwrap();
    let response = client.send(request).await.unwrap();
    let count = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(count, TOTAL.to_string());
    // A GET keeps its body too, though hyper would drop it by default.
    let request =
        Request::get("/upload").header("host", "a").header("transfer-encoding", "chunked");
    let small = StreamBody::new(Chunks(std::iter::once(Ok(Frame::data(Bytes::from("12345"))))));
    let response = client.send(request.body(small.boxed()).unwrap()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_application_slows_its_client_down() {
    // An application that takes the head and not one byte of the body until it is told.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy::serving(|listen| seal(parts(listen, 1, &[("slow", 10_000, address)]))).await;
    let mut client = Client::connect(proxy.listen).await;
    let (body, taken) = counted_body();
    let request = Request::post("/").header("host", "a").header("content-length", TOTAL);
    let request = request.body(body).unwrap();
    let sending = tokio::spawn(async move { client.send(request).await.unwrap().status() });
    let (mut socket, _) = listener.accept().await.unwrap();
    let stopped = stands_still(&taken).await;
    assert!(stopped < ON_THE_WAY, "{stopped} bytes were taken for a reader that reads nothing");
    let mut read = 0;
    let mut buffer = vec![0; MEGABYTE];
    while read < TOTAL {
        read += timeout(PATIENCE, socket.read(&mut buffer)).await.unwrap().unwrap();
    }
    socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(sending.await.unwrap(), 204);
}

/// Waits until a counter has moved and has then stood still for a while.
async fn stands_still(counter: &AtomicUsize) -> usize {
    let mut last = (0, 0);
    eventually("a counter to stand still", || {
        let found = counter.load(Ordering::SeqCst);
        last = if found == last.0 { (found, last.1 + 1) } else { (found, 0) };
        let still = (found > 0 && last.1 > 60).then_some(found);
        async move { still }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_slows_the_application_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 4_096];
        assert!(socket.read(&mut head).await.unwrap() > 0);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {TOTAL}\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.unwrap();
        let chunk = vec![7; 64 * 1_024];
        while counter.load(Ordering::SeqCst) < TOTAL {
            socket.write_all(&chunk).await.unwrap();
            counter.fetch_add(chunk.len(), Ordering::SeqCst);
        }
        // Keep the connection until the proxy has all of it.
        assert_eq!(socket.read(&mut head).await.unwrap_or(0), 0);
    });
    let proxy = Proxy::serving(|listen| seal(parts(listen, 1, &[("fast", 10_000, address)]))).await;
    let mut client = Client::connect(proxy.listen).await;
    let response = client.send(get("/", &[])).await.unwrap();
    assert_eq!(response.status(), 200);
    let stopped = stands_still(&sent).await;
    assert!(stopped < ON_THE_WAY, "{stopped} bytes were sent to a client that reads nothing");
    let bytes = timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap();
    assert_eq!(bytes.to_bytes().len(), TOTAL);
    // A counted success, with the latency of its head and not of its body.
    eventually("the tick that counts it", || async {
        let sums = proxy.control.sums("fast").await;
        (sums.requests == 1 && sums.failures.total() == 0).then_some(())
    })
    .await;
}

pub(crate) async fn open_tunnel(
    proxy: SocketAddr,
    cookie: &str,
) -> TokioIo<hyper::upgrade::Upgraded> {
    let mut client = Client::connect(proxy).await;
    let headers = [("connection", "upgrade"), ("upgrade", "websocket"), ("cookie", cookie)];
    let response = client.send(get("/upgrade", &headers)).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["upgrade"], "websocket");
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

pub(crate) async fn echoes(tunnel: &mut TokioIo<hyper::upgrade::Upgraded>) -> bool {
    let mut buffer = [0; 4];
    let exchange = async {
        tunnel.write_all(b"ping").await?;
        tunnel.read_exact(&mut buffer).await
    };
    timeout(PATIENCE, exchange).await.unwrap().is_ok() && buffer == *b"ping"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_outlives_weight_changes_until_it_is_drained() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let table = |generation, points| {
        move |listen| seal(shift(listen, generation, live.address, candidate.address, points))
    };
    let proxy = Proxy::serving(table(1, 10_000)).await;
    let mut tunnel = open_tunnel(proxy.listen, "").await;
    assert!(echoes(&mut tunnel).await);
    proxy.control.put(&table(2, 0)(proxy.listen)).await.unwrap();
    assert!(echoes(&mut tunnel).await, "a weight change cuts nobody");

    // The next table does not even name the revision; what is on it is still shown.
    let alone = parts(proxy.listen, 3, &[("live", 10_000, live.address)]);
    proxy.control.put(&seal(alone)).await.unwrap();
    assert!(echoes(&mut tunnel).await);
    let left = proxy.control.revision("candidate").await;
    assert_eq!((left.tunnels, left.in_flight, left.slot), (1, 0, None));

    let request =
        DrainRequest { service: SERVICE.into(), revision: "candidate".into(), grace_ms: 100 };
    let body = serde_json::to_string(&request).unwrap();
    let drained: Drained = proxy.control.call(Method::POST, wire::PATH_DRAIN, body).await.unwrap();
    assert_eq!(drained, Drained { in_flight: 0, tunnels: 0, cut: 1 });
    assert!(!echoes(&mut tunnel).await);
    eventually("the empty revision to be forgotten", || async {
        let status = proxy.control.status().await;
        (status.revisions.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_sent_right_behind_an_upgrade_request_reach_the_tunnel() {
    let app = App::start("good").await;
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]))).await;
    let mut socket = TcpStream::connect(proxy.listen).await.unwrap();
    let head =
        b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    socket.write_all(&[head.as_slice(), b"GET / HTTP/1.1\r\n\r\n"].concat()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 1_024];
    while !answer.ends_with(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n") {
        let length = timeout(PATIENCE, socket.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(length, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&buffer[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(app.count(), 1, "the bytes are the tunnel's, not a second request");
    drop(socket);
    eventually("the tunnel to end with its client", || async {
        (proxy.control.revision("good").await.tunnels == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_is_not_the_applications_fault() {
    let app = App::start("good").await;
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]))).await;
    let mut socket = TcpStream::connect(proxy.listen).await.unwrap();
    socket
        .write_all(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123")
        .await
        .unwrap();
    eventually("the request to be under way", || async {
        (proxy.control.revision("good").await.in_flight == 1).then_some(())
    })
    .await;
    drop(socket);
    let sums = eventually("the request to end", || async {
        let sums = proxy.control.sums("good").await;
        (proxy.control.revision("good").await.in_flight == 0 && sums.abandoned > 0).then_some(sums)
    })
    .await;
    assert_eq!((sums.started, sums.requests, sums.abandoned), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_is_not_a_late_answer() {
    let app = App::start("good").await;
    let table = |listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]));
    let proxy = Proxy::serving_with(impatient(), table).await;
    let mut socket = TcpStream::connect(proxy.listen).await.unwrap();
    let head = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1";
    socket.write_all(head).await.unwrap();
    // Longer than the wait for a response head, which counts from the end of the request.
    let wait = impatient().response_head.as_millis() * 2 / TICK.as_millis();
    eventually("the wait for an answer to pass twice", || async {
        (proxy.control.ticks(0).await.ticks.len() as u128 > wait).then_some(())
    })
    .await;
    socket.write_all(b"2").await.unwrap();
    let mut status = [0; 15];
    timeout(PATIENCE, socket.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
}
