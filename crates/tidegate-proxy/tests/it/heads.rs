//! Heads on their way through, and heads that do not get through.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_proxy::Timeouts;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::parts::{App, Client, PATIENCE, Proxy, eventually, get, impatient, parts, raw, seal};

async fn serving(app: &App) -> Proxy {
    Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_one_connection_or_to_us_is_not_a_strangers_to_send() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let mut client = Client::connect(proxy.listen).await;
    let reply = client
        .get(
            "/headers?a=%2F&b=/../c",
            &[
                ("x-forwarded-for", "6.6.6.6"),
                ("x_forwarded_for", "6.6.6.6"),
                ("x-forwarded-host", "evil"),
                ("forwarded", "for=6.6.6.6"),
                ("x-tidegate-revision", "v9"),
                ("x_tidegate_revision", "v9"),
                ("connection", "keep-alive, x-private, host"),
                ("x-private", "1"),
                ("keep-alive", "timeout=1"),
                ("proxy-authorization", "secret"),
                ("te", "gzip"),
                ("upgrade", "h2c"),
                ("x-kept", "yes"),
            ],
        )
        .await;
    let mut lines: Vec<&str> = reply.body.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "GET /headers?a=%2F&b=/../c",
            "forwarded: for=127.0.0.1;host=\"shop.example\";proto=http",
            "host: shop.example",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: http",
            "x-kept: yes",
        ]
    );
    for gone in ["connection", "keep-alive", "x-internal"] {
        assert!(!reply.headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_heads_are_answered_400_and_reach_nobody() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let smuggled = "GET /smug HTTP/1.1\r\nHost: a\r\n\r\n";
    for head in [
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b",
        "GET / HTTP/1.1\r\nHost: a@evil",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b",
    ] {
        let answer = raw(proxy.listen, format!("{head}\r\n\r\n{smuggled}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(app.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_head_behind_a_good_one_is_answered_in_its_turn() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let good = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ";
    let bad = "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n";
    let answer = raw(proxy.listen, format!("{good}{bad}{good}").as_bytes()).await;
    let (first, second) = answer.split_once("\r\n\r\n").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(second.starts_with("4HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert_eq!(app.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_declined_reads_nothing_behind_it() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let head = "GET /plain HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n";
    let table = |listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]));
    let hasty = Proxy::serving_with(impatient(), table).await;
    let lost = raw(hasty.listen, head.replace("/plain", "/never").as_bytes()).await;
    assert!(lost.starts_with("HTTP/1.1 504 ") && lost.contains("connection: close"), "{lost}");
    let answer = raw(proxy.listen, format!("{head}GET /smug HTTP/1.1\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close") && answer.ends_with("good"), "{answer}");
    assert_eq!(app.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_our_own_say_nothing_about_the_inside() {
    let app = App::start("good").await;
    let proxy = Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("secret-name", 10_000, app.address)]);
        parts.routes[0].path_prefix = "/only".into();
        seal(parts)
    })
    .await;
    let address = app.address.to_string();
    drop(app);
    let mut client = Client::connect(proxy.listen).await;
    let missing = client.get("/other", &[]).await;
    assert_eq!(missing.status, 404);
    let broken = client.get("/only", &[]).await;
    assert_eq!(broken.status, 502);
    for reply in [missing, broken] {
        let all = format!("{:?}{}", reply.headers, reply.body);
        assert!(!all.contains("secret") && !all.contains(&address), "{all}");
    }
    let mut head = get("/only", &[]);
    *head.method_mut() = http::Method::HEAD;
    assert_eq!(client.send(head).await.unwrap().status(), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_given_up() {
    let app = App::start("good").await;
    let short = Timeouts { client_head: Duration::from_millis(200), ..Timeouts::default() };
    let proxy = Proxy::start_with(short).await;
    let table = seal(parts(proxy.listen, 1, &[("good", 10_000, app.address)]));
    proxy.control.put(&table).await.unwrap();
    // `raw` returns when the proxy closes.
    raw(proxy.listen, b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(40_000));
    assert!(raw(proxy.listen, large.as_bytes()).await.starts_with("HTTP/1.1 4"));
    assert_eq!(app.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_chunk_ends_the_request_and_the_connection() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunk in ["3;x=y\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n"] {
        let answer = raw(proxy.listen, format!("{head}{chunk}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunk:?}: {answer}");
    }
    let sums = proxy.control.sums("good").await;
    assert_eq!(sums.failures.total(), 0, "a client's fault is not the application's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_expects_100_gets_it_before_it_sends() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let mut socket = TcpStream::connect(proxy.listen).await.unwrap();
    let head =
        b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    socket.write_all(head).await.unwrap();
    let mut interim = [0; 25];
    socket.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"abc").await.unwrap();
    let mut status = [0; 15];
    socket.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_http_1_0_without_a_host_is_served_and_given_one() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let answer = raw(proxy.listen, b"GET /headers HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.contains(&format!("\nhost: {}\n", proxy.listen)), "{answer}");
}

/// An endpoint that answers with the request line it got.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = BufReader::new(socket);
                let mut line = String::new();
                while socket.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                    let mut rest = String::new();
                    while rest != "\r\n" && !rest.ends_with("\r\n\r\n") {
                        if socket.read_line(&mut rest).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let length = line.trim_end().len();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                    let answer = head + line.trim_end();
                    if socket.get_mut().write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_routed_by_the_very_bytes_that_are_forwarded() {
    let endpoint = echo().await;
    let proxy = Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("good", 10_000, endpoint)]);
        parts.routes[0].path_prefix = "/only".into();
        seal(parts)
    })
    .await;
    let ask = async |target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        raw(proxy.listen, request.as_bytes()).await
    };
    for target in [
        "/only/../admin",
        "/only/%2e%2e/admin",
        "/only/%2E%2E%2fadmin",
        "/only//double///slash",
        "/only/;v=1;/x",
        "/only/nul%00end",
        "/only/back\\slash\\..",
        "/only?next=http://b/",
    ] {
        let answer = ask(target).await;
        assert!(answer.ends_with(&format!("GET {target} HTTP/1.1")), "{target}: {answer}");
    }
    // What another server might read as the same path is another one here.
    for target in ["/%6fnly/x", "//only/x", "/./only/x", "/a/../only/x", "\\only\\x"] {
        let answer = ask(target).await;
        let status = answer.split(' ').nth(1);
        assert!(matches!(status, Some("404" | "400")), "{target}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_up_to_8_kib_is_served_and_a_longer_one_is_refused() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let ask = async |length: usize| {
        let target = format!("/{}", "x".repeat(length - 1));
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        raw(proxy.listen, request.as_bytes()).await
    };
    let (longest, longer) = (ask(8 * 1_024).await, ask(8 * 1_024 + 1).await);
    assert!(longest.starts_with("HTTP/1.1 200 OK\r\n"), "{longest}");
    assert!(longer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{longer}");
    assert_eq!(app.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_of_a_megabyte_and_a_missing_end_are_no_body() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = format!("{head}3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(1_048_576));
    let mut socket = TcpStream::connect(proxy.listen).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    // The proxy may have closed before all of it was sent.
    let write = async { drop(writer.write_all(extension.as_bytes()).await) };
    let mut answer = Vec::new();
    let read = async { drop(timeout(PATIENCE, reader.read_to_end(&mut answer)).await.unwrap()) };
    tokio::join!(write, read);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // The client leaves after the last chunk and before the line that ends the body.
    let mut socket = TcpStream::connect(proxy.listen).await.unwrap();
    socket.write_all(format!("{head}3\r\nabc\r\n0\r\n").as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    drop(timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap());
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_falls_silent_is_given_up_and_is_nobodys_failure() {
    let app = App::start("good").await;
    let silence = Duration::from_millis(400);
    let timeouts = Timeouts { upload_silence: silence, ..Timeouts::default() };
    let table = |listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]));
    let proxy = Proxy::serving_with(timeouts, table).await;
    let head = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123";
    // `raw` returns when the proxy closes.
    let answer = raw(proxy.listen, head).await;
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let sums = eventually("the request to end", || async {
        let sums = proxy.control.sums("good").await;
        (sums.requests + sums.abandoned > 0).then_some(sums)
    })
    .await;
    assert_eq!(sums.failures.total(), 0, "{sums:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_expects_100_without_a_body_is_just_answered() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    let answer = raw(proxy.listen, request).await;
    assert!(answer.ends_with("good"), "{answer}");
    assert_eq!(app.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_head_in_pieces_is_answered_as_one_in_a_piece() {
    let app = App::start("good").await;
    let proxy = serving(&app).await;
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\n",
    ] {
        for size in [1, 2, 7] {
            let mut socket = TcpStream::connect(proxy.listen).await.unwrap();
            socket.set_nodelay(true).unwrap();
            for piece in head.as_bytes().chunks(size) {
                // It may have been refused already.
                drop(socket.write_all(piece).await);
                tokio::task::yield_now().await;
            }
            let mut answer = String::new();
            drop(timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap());
            assert!(
                answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
                "{size}, {head:?}: {answer}"
            );
            assert_eq!(answer.matches("HTTP/1.").count(), 1, "{answer}");
        }
    }
}
