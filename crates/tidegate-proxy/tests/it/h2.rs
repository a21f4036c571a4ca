//! HTTP/2 by hand: frames that no library sends, against the real proxy. What is odd is refused,
//! a flood ends its own connection, and everybody else is served meanwhile.

use std::net::SocketAddr;

use http::{Request, Version};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::parts::{App, Client, PATIENCE, Proxy, full, parts, seal};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header list as literals that nobody needs to remember, RFC 7541 section 6.2.2.
fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value] {
            // A length of 7 bits with its continuation, section 5.1.
            if text.len() < 127 {
                block.push(u8::try_from(text.len()).unwrap());
            } else {
                let mut rest = text.len() - 127;
                block.push(127);
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
            block.extend_from_slice(text);
        }
    }
    block
}

fn head<'a>(method: &'a str, path: &'a str, more: &[(&'a str, &'a [u8])]) -> Vec<u8> {
    let mut fields: Vec<(&str, &[u8])> = vec![
        (":method", method.as_bytes()),
        (":scheme", b"http"),
        (":authority", b"shop.example"),
        (":path", path.as_bytes()),
    ];
    fields.extend_from_slice(more);
    block(&fields)
}

/// A connection that speaks in frames.
struct Raw {
    socket: TcpStream,
}

/// What came back until the answer, a reset, a GOAWAY or the end.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The first byte of the answer's header block and whether it ended the stream.
    Answer(u8),
    Reset,
    Ended,
}

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let mut begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        begin.extend(frame(SETTINGS, 0, 0, &[]));
        socket.write_all(&begin).await.unwrap();
        Self { socket }
    }

    /// False once the other side has closed.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.socket.write_all(bytes)).await, Ok(Ok(())))
    }

    async fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.socket.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }

    async fn outcome(&mut self) -> Outcome {
        let look = async {
            loop {
                match self.frame().await {
                    None | Some((GOAWAY, ..)) => return Outcome::Ended,
                    Some((RST_STREAM, ..)) => return Outcome::Reset,
                    Some((HEADERS, _, _, block)) => return Outcome::Answer(block[0]),
                    Some(_) => {}
                }
            }
        };
        timeout(PATIENCE, look).await.expect("neither an answer nor an end")
    }

    /// Sends the same bytes until the connection is closed; how often at most.
    async fn flood(mut self, most: usize, bytes: impl Fn(u32) -> Vec<u8>) -> bool {
        let (mut reader, mut writer) = self.socket.split();
        let write = async {
            for count in 0..most {
                let stream = u32::try_from(2 * count + 1).unwrap();
                if writer.write_all(&bytes(stream)).await.is_err() {
                    return;
                }
            }
        };
        let read = async {
            let mut sink = vec![0; 65_536];
            while let Ok(1..) = reader.read(&mut sink).await {}
        };
        // Reading ends when the proxy closes; writing ends when it has sent everything.
        let both = async { tokio::join!(write, read) };
        timeout(PATIENCE, both).await.is_ok()
    }
}

async fn serving() -> (App, Proxy) {
    let app = App::start("good").await;
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]))).await;
    (app, proxy)
}

/// `:status: 200` and `:status: 400` of the static table, indexed.
const STATUS_200: u8 = 0x80 | 8;
const STATUS_400: u8 = 0x80 | 12;

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_are_refused_and_reach_nobody() {
    let (app, proxy) = serving().await;
    let long_path = format!("/{}", "x".repeat(8 * 1_024));
    let refused: Vec<(&str, Vec<u8>)> = vec![
        ("no slash", head("GET", "x", &[])),
        ("empty path", head("GET", "", &[])),
        ("star without OPTIONS", head("GET", "*", &[])),
        ("a space in the path", head("GET", "/a b", &[])),
        ("CRLF in the path", head("GET", "/a\r\nX: y", &[])),
        ("CRLF in a value", head("GET", "/", &[("x", b"a\r\nhost: evil")])),
        ("NUL in the path", head("GET", "/a\0b", &[])),
        ("a path above 8 KiB", head("GET", &long_path, &[])),
        ("NUL in a value", head("GET", "/", &[("x", b"a\0b")])),
        ("white space around a value", head("GET", "/", &[("x", b" a")])),
        ("upper case name", head("GET", "/", &[("X-Up", b"1")])),
        ("space in a name", head("GET", "/", &[("x y", b"1")])),
        ("colon in a name", head("GET", "/", &[("x:y", b"1")])),
        ("another host", head("GET", "/", &[("host", b"evil.example")])),
        (
            "user in the authority",
            block(&[
                (":method", b"GET"),
                (":scheme", b"http"),
                (":authority", b"a@evil"),
                (":path", b"/"),
            ]),
        ),
        ("no authority", block(&[(":method", b"GET"), (":scheme", b"http"), (":path", b"/")])),
        ("two paths", head("GET", "/", &[(":path", b"/b")])),
        ("pseudo header last", head("GET", "/", &[("x", b"1"), (":method", b"GET")])),
        ("an unknown pseudo header", head("GET", "/", &[(":evil", b"1")])),
        ("connection", head("GET", "/", &[("connection", b"x-forwarded-for")])),
        ("transfer-encoding", head("POST", "/", &[("transfer-encoding", b"chunked")])),
        ("upgrade", head("GET", "/", &[("upgrade", b"websocket")])),
        ("te other than trailers", head("GET", "/", &[("te", b"gzip")])),
        ("underscore twin", head("POST", "/", &[("content_length", b"3")])),
        ("length with zeros", head("POST", "/", &[("content-length", b"010")])),
        ("TRACE", head("TRACE", "/", &[])),
        ("CONNECT", block(&[(":method", b"CONNECT"), (":authority", b"shop.example:443")])),
        ("101 headers", head("GET", "/", &[("x", &b"y"[..]); 101])),
    ];
    for (what, block) in refused {
        let mut raw = Raw::connect(proxy.listen).await;
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await;
        let outcome = raw.outcome().await;
        assert!(
            matches!(outcome, Outcome::Answer(STATUS_400) | Outcome::Reset | Outcome::Ended),
            "{what}: {outcome:?}"
        );
    }
    assert_eq!(app.count(), 0, "none of them is the application's business");
    let mut raw = Raw::connect(proxy.listen).await;
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head("GET", "/", &[]))).await;
    assert_eq!(raw.outcome().await, Outcome::Answer(STATUS_200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_as_long_as_it_says_never_counts_as_whole() {
    let (app, proxy) = serving().await;
    let post = head("POST", "/upload", &[("content-length", b"5")]);
    for data in [&b"1234"[..], b"123456"] {
        let mut raw = Raw::connect(proxy.listen).await;
        raw.send(&frame(HEADERS, END_HEADERS, 1, &post)).await;
        raw.send(&frame(DATA, END_STREAM, 1, data)).await;
        let outcome = raw.outcome().await;
        assert!(matches!(outcome, Outcome::Reset | Outcome::Answer(STATUS_400)), "{outcome:?}");
    }
    let sums = proxy.control.sums("good").await;
    assert_eq!(sums.failures.total(), 0, "a client's fault is not the application's");
    assert!(app.count() <= 2);
}

/// Whoever floods, somebody else is served at once.
async fn is_served(proxy: &Proxy) {
    assert_eq!(Client::connect(proxy.listen).await.get("/", &[]).await.body, "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_their_own_connection() {
    let (app, proxy) = serving().await;
    // Far more than any budget, so that the connection must have been ended.
    let most = 200_000;
    let get = head("GET", "/", &[]);
    let post = head("POST", "/upload", &[]);

    let rapid_reset = |stream| {
        let mut both = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get);
        both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        both
    };
    assert!(Raw::connect(proxy.listen).await.flood(most, rapid_reset).await, "rapid reset");
    assert!(app.count() < 10_000, "{} requests of a rapid reset got through", app.count());
    is_served(&proxy).await;

    // The server is made to reset: a window update of zero on a stream that is open.
    let made_you_reset = |stream| {
        let mut both = frame(HEADERS, END_HEADERS, stream, &post);
        both.extend(frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes()));
        both
    };
    assert!(Raw::connect(proxy.listen).await.flood(most, made_you_reset).await, "MadeYouReset");
    is_served(&proxy).await;

    for (what, kind, flags, payload) in
        [("SETTINGS", SETTINGS, 0, &[0, 3, 0, 0, 0, 100][..]), ("PING", PING, 0, &[0; 8])]
    {
        let ended =
            Raw::connect(proxy.listen).await.flood(most, |_| frame(kind, flags, 0, payload)).await;
        assert!(ended, "{what}");
        is_served(&proxy).await;
    }
    let priority = |stream| frame(PRIORITY, 0, stream + 2, &[0, 0, 0, 0, 1]);
    assert!(Raw::connect(proxy.listen).await.flood(most, priority).await, "PRIORITY");

    let mut raw = Raw::connect(proxy.listen).await;
    raw.send(&frame(HEADERS, END_HEADERS, 1, &post)).await;
    assert!(raw.flood(most, |_| frame(DATA, 0, 1, &[])).await, "empty DATA");
    let mut raw = Raw::connect(proxy.listen).await;
    raw.send(&frame(HEADERS, END_HEADERS, 1, &post)).await;
    let drip = |_| frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
    assert!(raw.flood(most, drip).await, "a window that grows by one byte");
    is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_list_without_end_is_given_up() {
    let (app, proxy) = serving().await;
    let begun = head("GET", "/", &[]);
    let mut raw = Raw::connect(proxy.listen).await;
    raw.send(&frame(HEADERS, 0, 1, &begun)).await;
    let more = block(&[("x", &[b'y'; 1_000])]);
    assert!(raw.flood(10_000, |_| frame(CONTINUATION, 0, 1, &more)).await, "CONTINUATION");
    let mut raw = Raw::connect(proxy.listen).await;
    raw.send(&frame(HEADERS, 0, 1, &begun)).await;
    assert!(raw.flood(200_000, |_| frame(CONTINUATION, 0, 1, &[])).await, "empty CONTINUATION");

    // One long value is put into the table once, then named in one byte many times: 16 kB become
    // 60 MB.
    let mut raw = Raw::connect(proxy.listen).await;
    let mut bomb = begun;
    let value = [b'z'; 4_000];
    bomb.push(0x40);
    bomb.extend(block(&[("bomb", &value)]).into_iter().skip(1));
    bomb.extend(vec![0x80 | 62; 15_000 - 4_100]);
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await;
    assert_ne!(raw.outcome().await, Outcome::Answer(STATUS_200));
    assert_eq!(app.count(), 0);
    is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_at_once_than_allowed_are_refused_one_by_one() {
    let (_app, proxy) = serving().await;
    let mut raw = Raw::connect(proxy.listen).await;
    let get = head("GET", "/never", &[]);
    for count in 0..150_u32 {
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 2 * count + 1, &get)).await;
    }
    // Those within the limit hang, so that the first word is about one past it.
    assert_eq!(raw.outcome().await, Outcome::Reset);
    is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prior_knowledge_needs_no_tls_and_an_upgrade_to_it_is_declined() {
    let (_app, proxy) = serving().await;
    let socket = TcpStream::connect(proxy.listen).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://shop.example/upload").body(full("abc")).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "3");

    let upgrade = [
        ("connection", "upgrade, http2-settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    let reply = Client::connect(proxy.listen).await.get("/headers", &upgrade).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains("h2c") && !reply.body.contains("http2-settings"));
}
