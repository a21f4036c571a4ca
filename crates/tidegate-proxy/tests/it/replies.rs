//! Endpoints that answer oddly: what they mean for one client never reaches another, and the
//! connection they came on is not used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::parts::{Client, PATIENCE, Proxy, eventually, get, impatient, parts, raw, seal};

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

/// One request of the revision failed, and it was the revision's fault.
async fn counted_as_broken(proxy: &Proxy) {
    let reset = eventually("a request in the ticks", || async {
        let sums = proxy.control.sums("good").await;
        (sums.requests > 0).then_some(sums.failures.reset)
    })
    .await;
    assert_eq!(reset, 1);
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
        counted_as_broken(&proxy).await;
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
    counted_as_broken(&proxy).await;
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
    let mut uploader = TcpStream::connect(proxy.listen).await.unwrap();
    uploader.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"big") {
        answer.push(timeout(PATIENCE, uploader.read_u8()).await.expect("no answer").unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    let before = connections.load(Ordering::SeqCst);
    Client::connect(proxy.listen).await.get("/", &[]).await;
    assert_eq!(connections.load(Ordering::SeqCst), before + 1, "a half-read one is not reused");
}

/// A client that sends all of a long body before it reads gets the answer that came early, and
/// neither it nor the endpoint is kept for as long as a slow upload may take.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_reaches_a_client_that_goes_on_sending_and_frees_both_sides() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (freed, mut is_freed) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let freed = freed.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1_024];
                let _read = socket.read(&mut buffer).await.unwrap();
                let answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
                socket.write_all(answer).await.unwrap();
                // An application that would read on, if there were anything.
                while !matches!(socket.read(&mut buffer).await, Ok(0) | Err(_)) {}
                freed.send(()).unwrap();
            });
        }
    });
    let proxy = Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, address)]))).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n";

    // One that says nothing more: the proxy's patience with uploads is 60 s, ours is less.
    let mut silent = TcpStream::connect(proxy.listen).await.unwrap();
    silent.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, silent.read_to_end(&mut answer)).await.expect("kept open").unwrap();
    assert!(answer.ends_with(b"big"), "{}", String::from_utf8_lossy(&answer));
    timeout(PATIENCE, is_freed.recv()).await.expect("the endpoint is kept").unwrap();

    // One that sends a part of it before it looks. What is on its way when the proxy closes must
    // not cost it the answer.
    let mut busy = TcpStream::connect(proxy.listen).await.unwrap();
    busy.write_all(head.as_bytes()).await.unwrap();
    busy.write_all(&vec![b'x'; 4_000_000]).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, busy.read_to_end(&mut answer)).await.expect("kept open").unwrap();
    assert!(answer.ends_with(b"big"), "{}", String::from_utf8_lossy(&answer));
    timeout(PATIENCE, is_freed.recv()).await.expect("the endpoint is kept").unwrap();
    let status = proxy.control.revision("good").await;
    assert_eq!((status.in_flight, status.idle_connections), (0, 0));
}
