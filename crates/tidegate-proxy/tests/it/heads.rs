//! Heads on their way through, and heads that do not get through.

use std::time::Duration;

use tidegate_proxy::Timeouts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::parts::{App, Client, Proxy, get, impatient, parts, raw, seal};

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
                ("connection", "keep-alive, x-private"),
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
    let mut socket = tokio::net::TcpStream::connect(proxy.listen).await.unwrap();
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
