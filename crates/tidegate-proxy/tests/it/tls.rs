//! TLS towards clients: names, protocols, newer certificates, and the way from HTTP.

use http::{Request, StatusCode, Version};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_proxy::wire::{Route, Tls};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::certs::{Authority, replace, shown};
use crate::parts::{
    App, Body, Client, Proxy, empty, eventually, free_address, full, get, parts, raw, seal,
};

type Http2 = hyper::client::conn::http2::SendRequest<Body>;

async fn http1(stream: TlsStream<TcpStream>) -> Client {
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    Client::from(sender)
}

async fn http2(stream: TlsStream<TcpStream>) -> Http2 {
    let executor = TokioExecutor::new();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut Http2, request: Request<Body>) -> (StatusCode, String) {
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    assert_eq!(head.version, Version::HTTP_2);
    let bytes = body.collect().await.unwrap().to_bytes();
    (head.status, String::from_utf8(bytes.to_vec()).unwrap())
}

pub(crate) async fn serving(app: &App, tls: Tls) -> Proxy {
    Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("good", 10_000, app.address)]);
        parts.tls = Some(tls);
        seal(parts)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_spoken_and_the_application_learns_that_it_was_https() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = serving(&app, authority.tls("shop", &["shop.example"])).await;

    let stream = authority.connect(proxy.listen, "shop.example", &["http/1.1"]).await.unwrap();
    let reply = http1(stream).await.get("/headers", &[("x-forwarded-proto", "http")]).await;
    assert!(reply.body.contains("\nx-forwarded-proto: https\n"), "{}", reply.body);
    assert!(reply.body.contains(";proto=https\n"), "{}", reply.body);

    let stream =
        authority.connect(proxy.listen, "shop.example", &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut sender = http2(stream).await;
    let request = Request::post("https://shop.example/upload").body(full("12345")).unwrap();
    assert_eq!(ask(&mut sender, request).await, (StatusCode::OK, "5".into()));
    let request = Request::get("https://shop.example/headers")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(empty())
        .unwrap();
    let (_, body) = ask(&mut sender, request).await;
    assert!(body.contains("\nhost: shop.example\n"), "{body}");
    assert!(body.contains("\ncookie: a=1; b=2\n"), "{body}");

    let plain = raw(proxy.listen, b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
    assert!(!plain.contains("200 OK"), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_gets_its_certificate_and_a_connection_carries_no_other() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let mut tls = authority.tls("shop", &["shop.example", "www.shop.example"]);
    tls.certificates.push(authority.sign("wild", &["*.apps.example"]));
    let proxy = serving(&app, tls).await;

    let shop = authority.connect(proxy.listen, "shop.example", &["h2"]).await.unwrap();
    let wild = authority.connect(proxy.listen, "a.apps.example", &["h2"]).await.unwrap();
    assert_ne!(shown(&shop), shown(&wild));
    // Nobody's name, a name below a star's, and the star's own parent.
    for stranger in ["evil.example", "b.a.apps.example", "apps.example"] {
        assert!(authority.connect(proxy.listen, stranger, &["h2"]).await.is_err(), "{stranger}");
    }
    let mut sender = http2(shop).await;
    for (host, status) in [
        ("shop.example", StatusCode::OK),
        ("www.shop.example", StatusCode::OK),
        ("a.apps.example", StatusCode::MISDIRECTED_REQUEST),
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let request = Request::get(format!("https://{host}/")).body(empty()).unwrap();
        assert_eq!(ask(&mut sender, request).await.0, status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_certificate_serves_the_next_handshake_and_drops_nothing() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = serving(&app, authority.tls("shop", &["shop.example"])).await;
    let connect = || authority.connect(proxy.listen, "shop.example", &["http/1.1"]);
    let first = connect().await.unwrap();
    let before = shown(&first);
    let mut kept = http1(first).await;
    assert_eq!(kept.get("/", &[]).await.body, "good");

    // A key that does not belong to it, then nonsense: the old one serves on and it is said.
    let key = std::fs::read_to_string(authority.path("shop.key")).unwrap();
    authority.sign("shop", &["shop.example"]);
    let other = std::fs::read_to_string(authority.path("shop.key")).unwrap();
    replace(&authority.path("shop.key"), &key);
    let problem = || async { proxy.control.status().await.certificates[0].problem.clone() };
    eventually("a problem that is told", || async {
        problem().await.filter(|told| told.contains("TG5061") && !told.contains("BEGIN"))
    })
    .await;
    assert_eq!(shown(&connect().await.unwrap()), before);

    replace(&authority.path("shop.key"), &other);
    let after = eventually("the newer certificate", || async {
        let shown = shown(&connect().await.unwrap());
        (shown != before).then_some(shown)
    })
    .await;
    assert_ne!(after, before);
    assert_eq!(kept.get("/", &[]).await.body, "good", "the old connection lives on");
    eventually("no problem any more", || async { problem().await.is_none().then_some(()) }).await;
    let status = proxy.control.status().await;
    assert_eq!(status.certificates[0].names, ["shop.example"]);
    assert!(status.certificates[0].not_after_ms.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_certificate_cannot_be_read_is_refused_and_nothing_changes() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = serving(&app, authority.tls("shop", &["shop.example"])).await;
    let attempt = |generation, file: &str, content: Option<&str>| {
        let mut parts = parts(proxy.listen, generation, &[("good", 10_000, app.address)]);
        parts.tls = Some(authority.tls(file, &["shop.example"]));
        if let Some(content) = content {
            replace(&authority.path(&format!("{file}.pem")), content);
        } else {
            std::fs::remove_file(authority.path(&format!("{file}.key"))).unwrap();
        }
        seal(parts)
    };
    for table in [attempt(2, "gone", None), attempt(3, "odd", Some("no certificate"))] {
        let refusal = proxy.control.put(&table).await.unwrap_err();
        assert_eq!(refusal.code, "TG5061", "{}", refusal.reason);
        assert_eq!(refusal.applied, Some((1, 1)));
    }
    assert!(authority.connect(proxy.listen, "shop.example", &[]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_are_sent_to_https_with_method_and_target() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let redirect = free_address();
    let mut tls = authority.tls("shop", &["shop.example"]);
    tls.redirect_from = Some(redirect);
    let proxy = serving(&app, tls).await;
    let mut client = Client::connect(redirect).await;
    let mut request = get("/a/b?c=%20d", &[]);
    *request.method_mut() = http::Method::POST;
    let reply = client.send(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::PERMANENT_REDIRECT);
    let place = format!("https://shop.example:{}/a/b?c=%20d", proxy.listen.port());
    assert_eq!(reply.headers()["location"], place.as_str());
    assert_eq!(app.count(), 0);

    // Another service may share neither address in another way.
    let mut other = parts(redirect, 1, &[("good", 10_000, app.address)]);
    other.service = "shop/other".into();
    other.routes = vec![Route { host: Some("other.example".into()), path_prefix: "/".into() }];
    proxy.control.put(&seal(other.clone())).await.unwrap();
    other.service = "shop/third".into();
    other.routes = vec![Route { host: Some("third.example".into()), path_prefix: "/".into() }];
    other.listen = proxy.listen;
    let refusal = proxy.control.put(&seal(other)).await.unwrap_err();
    assert_eq!(refusal.code, "TG5060", "{}", refusal.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_goes_through_tls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = serving(&app, authority.tls("shop", &["shop.example"])).await;
    let mut stream = authority.connect(proxy.listen, "shop.example", &["http/1.1"]).await.unwrap();
    let head = "GET /upgrade HTTP/1.1\r\nHost: shop.example\r\nConnection: upgrade\r\n\
                Upgrade: websocket\r\n\r\nhello";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_serves_survives_a_restart_of_the_proxy_only_with_its_files() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = serving(&app, authority.tls("shop", &["shop.example"])).await;
    let (listen, state) = proxy.stop_and_keep().await;
    let proxy = Proxy::start_in(state).await;
    let connect = || authority.connect(listen, "shop.example", &["http/1.1"]);
    let mut client =
        http1(eventually("TLS after a restart", || async { connect().await.ok() }).await).await;
    assert_eq!(client.get("/", &[]).await.body, "good");

    let (_, state) = proxy.stop_and_keep().await;
    let key = authority.path("shop.key");
    let content = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let proxy = Proxy::start_in(state).await;
    eventually("a listener", || async { TcpStream::connect(listen).await.ok() }).await;
    assert!(connect().await.is_err(), "there is no key to serve with");
    let problem = proxy.control.status().await.certificates[0].problem.clone().unwrap();
    assert!(problem.contains("shop.key") && problem.contains("TG5061"), "{problem}");
    replace(&key, &content);
    eventually("TLS once the key is back", || async { connect().await.ok() }).await;
}
