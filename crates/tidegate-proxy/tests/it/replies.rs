//! Endpoints that answer oddly: what they mean for one client never reaches another, and the
//! connection they came on is not used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::parts::{Client, Proxy, get, impatient, parts, raw, seal};

/// Answers the first request on each connection with these bytes, the next ones plainly. Gives
/// the address and a counter of connections.
async fn odd(answer: &'static [u8]) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut buffer = [0; 8_192];
                let mut answer = answer;
                while let Ok(1..) = socket.read(&mut buffer).await {
                    if socket.write_all(answer).await.is_err() {
                        return;
                    }
                    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain";
                }
            });
        }
    });
    (address, connections)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_endpoint_sends_too_much_is_nobodys_answer() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"[..],
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ] {
        let (address, _) = odd(answer).await;
        let proxy =
            Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, address)]))).await;
        let mut client = Client::connect(proxy.listen).await;
        for _ in 0..5 {
            let reply = client.get("/", &[]).await;
            assert_ne!(reply.body, "evil", "{}", String::from_utf8_lossy(answer));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_means_two_things_or_nothing_is_a_bad_gateway() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nevil"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"not HTTP at all\r\n\r\n",
    ] {
        let (address, _) = odd(answer).await;
        let proxy =
            Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, address)]))).await;
        let mut post = get("/", &[]);
        *post.method_mut() = http::Method::POST;
        let reply = Client::connect(proxy.listen).await.send(post).await.unwrap();
        assert_eq!(reply.status(), 502, "{}", String::from_utf8_lossy(answer));
        let sums = proxy.control.sums("good").await;
        assert_eq!(sums.failures.reset, 1, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_early_ends_the_clients_connection_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 8_192];
            let _read = socket.read(&mut buffer).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort").await.unwrap();
        }
    });
    let proxy = Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, address)]))).await;
    // `raw` returns when the proxy closes, though the client asked to keep the connection.
    let answer = raw(proxy.listen, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.ends_with("short"), "{answer}");
    assert_eq!(proxy.control.sums("good").await.failures.reset, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_without_end_run_into_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 8_192];
            let _read = socket.read(&mut buffer).await;
            while socket.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {}
        }
    });
    let proxy = Proxy::serving_with(impatient(), |listen| {
        seal(parts(listen, 1, &[("good", 10_000, address)]))
    })
    .await;
    let status = Client::connect(proxy.listen).await.get("/", &[]).await.status;
    assert!(status == 504 || status == 502, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_whole_upload_is_passed_on_and_nothing_is_reused() {
    let (address, connections) =
        odd(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
    let proxy = Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, address)]))).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome of it";
    let answer = raw(proxy.listen, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("big"), "{answer}");
    let before = connections.load(Ordering::SeqCst);
    Client::connect(proxy.listen).await.get("/", &[]).await;
    assert_eq!(connections.load(Ordering::SeqCst), before + 1, "a half-read one is not reused");
}
