//! Ambiguous requests in front of three unlike origins, each of which writes down what it
//! received: ours on hyper, nginx and Node.js. What is refused reaches none of them, what is
//! accepted reaches each once and whole, and nothing behind a refused request is ever read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::parts::{Proxy, eventually, free_address, full, parts, raw, seal};
use crate::programs::{Program, tool};

/// An origin and the file of what it received, one `METHOD TARGET LENGTH` a line.
struct Origin {
    address: SocketAddr,
    record: PathBuf,
    _program: Option<Program>,
}

async fn ours(directory: &Path) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let record = directory.join("ours");
    std::fs::write(&record, "").unwrap();
    let path = record.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let path = path.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let path = path.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let length = body.collect().await?.to_bytes().len();
                    append(&path, &format!("{} {} {length}\n", head.method, head.uri));
                    Ok::<_, hyper::Error>(Response::new(full("ours")))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    Origin { address, record, _program: None }
}

fn append(path: &Path, line: &str) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

fn node(directory: &Path) -> Origin {
    let record = directory.join("node");
    std::fs::write(&record, "").unwrap();
    let (program, port) = Program::start(Command::new("node").arg(tool("origin.js")).arg(&record));
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    Origin { address, record, _program: Some(program) }
}

async fn nginx(directory: &Path) -> Origin {
    let (record, address) = (directory.join("nginx"), free_address());
    std::fs::write(&record, "").unwrap();
    let backend = free_address();
    let here = directory.display();
    // The first server reads a body to its end before the second one hears of it.
    let config = format!(
        "daemon off; master_process off; pid {here}/pid; error_log {here}/error;\n\
         events {{}}\n\
         http {{\n\
           log_format heard '$request_method $request_uri $heard';\n\
           map $http_content_length $heard {{ '' 0; default $http_content_length; }}\n\
           client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;\n\
           fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;\n\
           server {{ listen {backend}; access_log {} heard; location / {{ return 200 nginx; }} }}\n\
           server {{ listen {address}; access_log off;\n\
             location / {{ proxy_pass http://{backend}; proxy_request_buffering on; }} }}\n\
         }}\n",
        record.display()
    );
    let path = directory.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(if Path::new("/usr/sbin/nginx").exists() {
        "/usr/sbin/nginx"
    } else {
        "nginx"
    });
    command.arg("-c").arg(&path).stderr(Stdio::null());
    let program = Program::run(&mut command);
    eventually("nginx", || async { TcpStream::connect(address).await.ok() }).await;
    Origin { address, record, _program: Some(program) }
}

const SMUG: &str = "GET /smug HTTP/1.1\r\nHost: a\r\n\r\n";

/// Heads that no two servers need to agree on. Each gets its number as its path.
const REFUSED: [&str; 62] = [
    // Two framings, in either order.
    "POST # HTTP/1.1\nHost: a\nContent-Length: 3\nTransfer-Encoding: chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 3",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: ,chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: identity",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: identity",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: \u{b}chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: \u{a0}chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: xchunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding: \"chunked\"",
    "POST # HTTP/1.1\nHost: a\nTransfer-Encoding : chunked",
    "POST # HTTP/1.1\nHost: a\n Transfer-Encoding: chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer-\r\nEncoding: chunked",
    "POST # HTTP/1.1\nHost: a\nTransfer_Encoding: chunked",
    "POST # HTTP/1.0\nHost: a\nTransfer-Encoding: chunked",
    // Lengths.
    "POST # HTTP/1.1\nHost: a\nContent-Length: +3",
    "POST # HTTP/1.1\nHost: a\nContent-Length: 0x3",
    "POST # HTTP/1.1\nHost: a\nContent-Length: 010",
    "POST # HTTP/1.1\nHost: a\nContent-Length: -48",
    "POST # HTTP/1.1\nHost: a\nContent-Length:",
    "POST # HTTP/1.1\nHost: a\nContent-Length: 3, 3",
    "POST # HTTP/1.1\nHost: a\nContent-Length: 3,4",
    "POST # HTTP/1.1\nHost: a\nContent-Length: 3 4",
    "POST # HTTP/1.1\nHost: a\nContent-Length: 18446744073709551616",
    "POST # HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 3",
    "POST # HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 4",
    "POST # HTTP/1.1\nHost: a\nContent-Length : 3",
    "POST # HTTP/1.1\nHost: a\nContent_Length: 3",
    // Lines.
    "GET # HTTP/1.1\nHost: a\nX: b\n folded",
    "GET # HTTP/1.1\nHost: a\nX: b\n\tfolded",
    "GET # HTTP/1.1\nHost: a\nX: a\0b",
    "GET # HTTP/1.1\nHost: a\nX: a\rb",
    "GET # HTTP/1.1\nHost: a\nX\0: b",
    "GET # HTTP/1.1\nHost: a\nX Y: b",
    "GET # HTTP/1.1\n Host: a",
    "GET # HTTP/1.1\nHost: a\n: b",
    "GET # HTTP/1.1\nHost: a\nNoColon",
    "GET # HTTP/1.1\nHost: a\nX\u{7f}: b",
    // The request line.
    "GET #",
    "GET # HTTP/1.32\nHost: a",
    "GET # HTTP/4294967295.255\nHost: a",
    "GET # HTTP/2.0\nHost: a",
    "GET # http/1.1\nHost: a",
    "GET  # HTTP/1.1\nHost: a",
    "GET #  HTTP/1.1\nHost: a",
    "GET\t# HTTP/1.1\nHost: a",
    "G\0T # HTTP/1.1\nHost: a",
    "\nGET # HTTP/1.1\nHost: a",
    // Where it goes.
    "GET # HTTP/1.1",
    "GET # HTTP/1.1\nHost: a\nHost: a",
    "GET # HTTP/1.1\nHost: a\nHost: b",
    "GET # HTTP/1.1\nHost: a@evil",
    "GET # HTTP/1.1\nHost: a:99999",
    "GET # HTTP/1.1\nHost: a b",
    "GET http://b# HTTP/1.1\nHost: a",
    "GET ##frag HTTP/1.1\nHost: a",
    "GET #\u{e4} HTTP/1.1\nHost: a",
    "CONNECT a:80 HTTP/1.1\nHost: a:80",
    "TRACE # HTTP/1.1\nHost: a",
    "GET # HTTP/1.1\nHost: a\nExpect: 200-ok",
];

/// Bodies in chunks that servers read in different ways.
const BROKEN: [&str; 15] = [
    "0x3\r\nabc\r\n0\r\n\r\n",
    "+3\r\nabc\r\n0\r\n\r\n",
    " 3\r\nabc\r\n0\r\n\r\n",
    "3_0\r\nabc\r\n0\r\n\r\n",
    "\r\nabc\r\n0\r\n\r\n",
    "00000000000000003\r\nabc\r\n0\r\n\r\n",
    "3\r\r;a\r\nabc\r\n0\r\n\r\n",
    "3;a\nb\r\nabc\r\n0\r\n\r\n",
    "3\nabc\r\n0\r\n\r\n",
    "3;x=y\r\nabc\r\n0\r\n\r\n",
    "3\r\nabcXX0\r\n\r\n",
    "3\r\nabc0\r\n\r\n",
    "3\r\nabc\r\n0\r\nHost: b\r\n\r\n",
    "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    "3\r\nabc\r\n0\r\nAuthorization: x\r\n\r\n",
];

/// What is plain enough for everybody: the target, the head behind it, the body, and its length
/// once decoded.
const ACCEPTED: [(&str, &str, &str, usize); 10] = [
    ("/plain", "Host: a", "", 0),
    ("/length", "Host: a\nContent-Length: 3", "abc", 3),
    ("/zero", "Host: a\nContent-Length: 0", "", 0),
    ("/chunked", "Host: a\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", 3),
    ("/case", "Host: a\ntransfer-ENCODING: Chunked", "A\r\n0123456789\r\n0\r\n\r\n", 10),
    ("/looks-like-one", "Host: a\nContent-Length: 31", SMUG, 31),
    // Passed on byte by byte: routed by what is forwarded.
    ("/a/%2e%2e/x", "Host: a", "", 0),
    ("//double;p=%20?q=/../y", "Host: a", "", 0),
    ("/hop", "Host: a\nConnection: close, X-User\nX-User: root", "", 0),
    ("/h2c", "Host: a\nConnection: upgrade, close\nUpgrade: h2c", "", 0),
];

fn accepted(method: &str, (target, head, body, _): (&str, &str, &str, usize)) -> String {
    let head = head.replace('\n', "\r\n");
    let close = if head.contains("Connection") { "" } else { "\r\nConnection: close" };
    format!("{method} {target} HTTP/1.1\r\n{head}{close}\r\n\r\n{body}")
}

async fn run(origin: &Origin) {
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, origin.address)]))).await;
    for (number, head) in REFUSED.iter().enumerate() {
        let head = head.replacen('#', &format!("/refused/{number}"), 1);
        // A line break that is part of the attack stays as it is.
        let head = head.replace("\r\n", "\u{1}").replace(['\n', '\u{1}'], "\r\n");
        let answer = raw(proxy.listen, format!("{head}\r\n\r\n{SMUG}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{head:?}: {answer}");
    }
    for (bytes, what) in [
        (&b"GET /refused/lf HTTP/1.1\nHost: a\n\n"[..], "bare line feeds"),
        (b"GET /refused/cr HTTP/1.1\rHost: a\r\r", "bare carriage returns"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a TLS hello"),
    ] {
        let answer = raw(proxy.listen, &[bytes, SMUG.as_bytes()].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
    }
    for (number, body) in BROKEN.iter().enumerate() {
        let head =
            format!("POST /broken/{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked");
        let answer = raw(proxy.listen, format!("{head}\r\n\r\n{body}{SMUG}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{body:?}: {answer}");
    }
    let mut expected = Vec::new();
    for row in ACCEPTED {
        let method = if row.3 > 0 || row.0 == "/zero" { "POST" } else { "GET" };
        let answer = raw(proxy.listen, accepted(method, row).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{row:?}: {answer}");
        expected.push(format!("{method} {} {}", row.0, row.3));
    }
    // One that asks for a tunnel and gets none: nothing behind it is read.
    let tunnel = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n";
    let answer = raw(proxy.listen, format!("{tunnel}{SMUG}").as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{answer}");
    expected.push("GET /tunnel 0".to_owned());
    let end = accepted("GET", ("/end", "Host: a", "", 0));
    assert!(raw(proxy.listen, end.as_bytes()).await.starts_with("HTTP/1.1 200 "));
    expected.push("GET /end 0".to_owned());

    let record = eventually("the last request in the record", || async {
        let record = std::fs::read_to_string(&origin.record).unwrap();
        record.contains("/end").then_some(record)
    })
    .await;
    assert!(!record.contains("/smug") && !record.contains("/refused"), "{record}");
    let is_expected = |line: &&str| !line.contains("/broken") && !line.starts_with("CONFUSED");
    let seen: Vec<&str> = record.lines().filter(is_expected).collect();
    assert_eq!(seen, expected, "{record}");
    // A body that broke off is never taken for a whole one.
    let whole = record.lines().find(|line| line.contains("/broken") && line.ends_with(" 3"));
    assert_eq!(whole, None, "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_reach_an_origin_on_hyper_never() {
    let directory = tempfile::tempdir().unwrap();
    run(&ours(directory.path()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_reach_nodejs_never() {
    let directory = tempfile::tempdir().unwrap();
    run(&node(directory.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_reach_nginx_never() {
    let directory = tempfile::tempdir().unwrap();
    run(&nginx(directory.path()).await).await;
}
