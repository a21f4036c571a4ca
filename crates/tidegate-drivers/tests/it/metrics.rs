//! Numbers of other systems: a real Prometheus, and a server that lies in every way.
//! Must never accept a doubtful answer.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use tidegate_core::ids::MetricName;
use tidegate_core::plan::Source;
use tidegate_drivers::metrics::Sources;
use tidegate_engine::ports::{Failure, MetricSide, Metrics as _, Sample};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::setup::{place, until};

/// The time that the liar's honest answers carry.
const AT: f64 = 1_700_000_000.5;

fn side(slot: &str) -> MetricSide {
    MetricSide {
        place: place(slot),
        version: "v2.1.0".to_owned(),
        revision: "v2.1.0-1f3a9c0d".to_owned(),
    }
}

fn source(endpoint: &str, query: &str) -> Source {
    Source {
        name: MetricName::new("orders").unwrap(),
        unit: "/min".to_owned(),
        driver: "prometheus".to_owned(),
        endpoint: endpoint.to_owned(),
        query: query.to_owned(),
        every: SignedDuration::from_secs(15),
        timeout: SignedDuration::from_secs(20),
        stale_after: SignedDuration::from_secs(60),
    }
}

/// A server that answers every request with these bytes and then closes, or never does.
struct Liar {
    address: SocketAddr,
    asked: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Liar {
    async fn saying(answers: Vec<Vec<u8>>, endless: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, asked) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            for answer in answers.into_iter().cycle() {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let head = head(&mut stream).await;
                drop(told.send(head));
                // The client may have left before the end of what it refuses to read.
                drop(stream.write_all(&answer).await);
                while endless && stream.write_all(b"1\r\nx\r\n").await.is_ok() {}
            }
        });
        Self { address, asked }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn json(body: &str) -> Vec<u8> {
    response("200 OK", "content-type: application/json\r\n", body.as_bytes())
}

/// A vector of these series, each labels and value.
fn vector(series: &[(&str, &str)]) -> String {
    let series: Vec<String> = series
        .iter()
        .map(|(labels, value)| format!(r#"{{"metric":{{{labels}}},"value":[{AT},{value}]}}"#))
        .collect();
    let series = series.join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
}

async fn told(answer: Vec<u8>) -> Result<Sample, Failure> {
    let liar = Liar::saying(vec![answer], false).await;
    let source = source(&liar.endpoint(), r#"orders{slot="$slot"}"#);
    Sources::default().read(&source, &side("north")).await
}

/// What the rows of D-5 say, with the words that a failure must have.
type Replies = Vec<(&'static str, Vec<u8>, &'static str)>;

/// Answers whose content is no number about one side.
fn doubtful_contents() -> Replies {
    let bad_time = |time: &str| {
        let body = r#"{"metric":{},"value":["#.to_owned() + time + r#","1"]}"#;
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{body}]}}}}"#)
    };
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[2,"1"],[1,"2"]]}]}}"#;
    let text = |body: &str| json(body);
    vec![
        ("html", text("<html><body>Sign in</body></html>"), "unreadable"),
        ("an empty body", text(""), "unreadable"),
        ("null", text("null"), "unreadable"),
        ("an empty list", text("[]"), "unreadable"),
        ("no data", text(r#"{"status":"success"}"#), "without data"),
        ("null data", text(r#"{"status":"success","data":null}"#), "without data"),
        ("no series", text(&vector(&[])), "no such series"),
        ("a plain NaN", text(&vector(&[("", "NaN")])), "unreadable"),
        ("a quoted NaN", text(&vector(&[("", r#""NaN""#)])), "no number"),
        ("0 divided by 0", text(&vector(&[(r#""slot":"north""#, r#""NaN""#)])), "no number"),
        ("infinity", text(&vector(&[("", r#""+Inf""#)])), "no number"),
        ("an overflow", text(&vector(&[("", r#""1e999""#)])), "no number"),
        ("a bare number", text(&vector(&[("", "1.5")])), "unreadable"),
        ("a word", text(&vector(&[("", r#""many""#)])), "no number"),
        (
            "two series",
            text(&vector(&[(r#""a":"1""#, r#""1""#), (r#""a":"2""#, r#""2""#)])),
            "2 series",
        ),
        ("another slot", text(&vector(&[(r#""slot":"south""#, r#""1""#)])), "another side"),
        ("another service", text(&vector(&[(r#""service":"bank""#, r#""1""#)])), "another side"),
        ("a label twice", text(&vector(&[(r#""a":"1","a":"2""#, r#""1""#)])), "unreadable"),
        (
            "a key twice",
            text(r#"{"status":"success","status":"success","data":null}"#),
            "unreadable",
        ),
        ("a matrix, unsorted", text(matrix), "unreadable"),
        ("a time beyond time", text(&bad_time("1e300")), "no time"),
        ("a time in words", text(&bad_time(r#""now""#)), "unreadable"),
        (
            "an error with 200",
            text(r#"{"status":"error","error":"too many samples"}"#),
            "too many samples",
        ),
        (
            "a warning of missing parts",
            text(
                r#"{"status":"success","warnings":["one store is down"],"data":{"resultType":"scalar","result":[1,"1"]}}"#,
            ),
            "one store is down",
        ),
    ]
}

/// Answers that are not what an API of queries sends at all.
fn doubtful_responses() -> Replies {
    vec![
        (
            "a bomb of a body",
            json(&vector(&[("", &format!(r#""{}""#, "1".repeat(200_000)))])),
            "longer than",
        ),
        ("a million points", json(&vector(&vec![("", r#""1""#); 100_000])), "longer than"),
        (
            "gzip that nobody asked for",
            response("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b\x08\x00bomb"),
            "unreadable",
        ),
        (
            "a redirect to elsewhere",
            response("302 Found", "location: http://169.254.169.254/latest\r\n", b""),
            "302",
        ),
        ("too many questions", response("429 Too Many Requests", "", b"slow down"), "429"),
        (
            "a broken server",
            response(
                "500 Internal Server Error",
                "",
                br#"{"status":"error","error":"disk\u001b[2J full"}"#,
            ),
            "500",
        ),
    ]
}

/// Each row of D-5 must not become a number.
#[tokio::test]
async fn no_doubtful_reply_is_a_number() {
    for (what, answer, said) in doubtful_contents().into_iter().chain(doubtful_responses()) {
        let failure = told(answer).await.err().unwrap_or_else(|| panic!("{what} became a number"));
        assert!(["TG4401", "TG4402"].contains(&failure.code), "{what}: {failure:?}");
        assert!(failure.what.contains(said), "{what}: {}", failure.what);
        assert!(!failure.what.contains('\u{1b}'), "{what} speaks to the terminal");
        assert!(failure.what.len() < 500, "{what}: {}", failure.what);
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let liar = Liar::saying(vec![head], true).await;
    let source = source(&liar.endpoint(), "$slot");
    let failure = Sources::default().read(&source, &side("north")).await.err().unwrap();
    assert_eq!(failure.code, "TG4402", "{}", failure.what);
}

#[tokio::test]
async fn silence_ends_at_its_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut source = source(&format!("http://{}", listener.local_addr().unwrap()), "$slot");
    source.timeout = SignedDuration::from_millis(50);
    let failure = Sources::default().read(&source, &side("north")).await.err().unwrap();
    assert_eq!(failure.code, "TG4401", "{}", failure.what);
}

#[tokio::test]
async fn what_is_well_formed_is_a_number_with_its_time() {
    for (value, expected) in [("1.5", 1.5), ("-0", 0.0), ("-3e2", -300.0), ("0", 0.0)] {
        let quoted = format!(r#""{value}""#);
        let answer = json(&vector(&[(r#""slot":"north","job":"shop""#, &quoted)]));
        let sample = told(answer).await.unwrap();
        assert!((sample.value - expected).abs() < 1e-12, "{value}: {sample:?}");
        assert_eq!(sample.at, Timestamp::from_millisecond(1_700_000_000_500).unwrap());
    }
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"7"]}}"#;
    assert!((told(json(scalar)).await.unwrap().value - 7.0).abs() < 1e-12);
}

#[tokio::test]
async fn after_an_outage_the_next_answer_counts_again() {
    let bad = response("503 Service Unavailable", "", b"");
    let good = json(&vector(&[("", r#""4""#)]));
    let mut liar = Liar::saying(vec![bad, good], false).await;
    let source = source(&liar.endpoint(), r#"orders{slot="$slot",v="$version"}"#);
    let sources = Sources::default();
    assert_eq!(sources.read(&source, &side("north")).await.err().unwrap().code, "TG4401");
    let sample = sources.read(&source, &side("north")).await.unwrap();
    assert!((sample.value - 4.0).abs() < 1e-12);
    let asked = liar.asked.recv().await.unwrap();
    assert!(asked.starts_with("GET /api/v1/query?query=orders"), "{asked}");
    assert!(asked.contains("north") && asked.contains("v2.1.0"), "{asked}");
    assert!(
        !asked.to_lowercase().contains("accept-encoding"),
        "nothing packed is asked for: {asked}"
    );
}

#[tokio::test]
async fn an_unknown_driver_says_so() {
    let mut source = source("http://127.0.0.1:1", "$slot");
    source.driver = "crystal-ball".to_owned();
    let failure = Sources::default().read(&source, &side("north")).await.err().unwrap();
    assert_eq!(failure.code, "TG4405");
}

/// A process that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Two slots of a shop as Prometheus would scrape them.
async fn exporter() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            head(&mut stream).await;
            let body = "# TYPE orders gauge\norders{slot=\"north\"} 12\norders{slot=\"south\"} 3\n";
            let answer =
                response("200 OK", "content-type: text/plain; version=0.0.4\r\n", body.as_bytes());
            drop(stream.write_all(&answer).await);
        }
    });
    address
}

/// Starts a real Prometheus that scrapes the exporter; answers with its address.
fn prometheus(dir: &Path, exporter: SocketAddr, port: u16) -> Server {
    let config = dir.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: shop\n    static_configs: [{{targets: ['{exporter}']}}]\n"
    );
    std::fs::File::create(&config).unwrap().write_all(text.as_bytes()).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Server(child.unwrap_or_else(|error| panic!("prometheus (./test installs it): {error}")))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_real_prometheus_answers_for_each_side() {
    let dir = tempfile::tempdir().unwrap();
    let exporter = exporter().await;
    let port = free_port();
    let _server = prometheus(dir.path(), exporter, port);
    let endpoint = format!("http://127.0.0.1:{port}");
    let sources = Sources::default();
    let asked = source(&endpoint, r#"sum by (slot) (orders{slot="$slot"})"#);
    let north =
        until("Prometheus has scraped", async || sources.read(&asked, &side("north")).await.ok())
            .await;
    assert!((north.value - 12.0).abs() < 1e-12, "{north:?}");
    let south = sources.read(&asked, &side("south")).await.unwrap();
    assert!((south.value - 3.0).abs() < 1e-12, "{south:?}");
    let age = Timestamp::now().duration_since(north.at);
    assert!(age.abs() < SignedDuration::from_hours(1), "{age}");
    let both = source(&endpoint, r#"orders or orders{slot="$slot"}"#);
    let refused = sources.read(&both, &side("north")).await.err().unwrap();
    assert!(refused.what.contains("2 series"), "{}", refused.what);
    let none = source(&endpoint, r#"nothing{slot="$slot"}"#);
    let refused = sources.read(&none, &side("north")).await.err().unwrap();
    assert!(refused.what.contains("no such series"), "{}", refused.what);
    let ratio = source(&endpoint, r#"0 * sum(orders{slot="$slot"}) / 0"#);
    let refused = sources.read(&ratio, &side("north")).await.err().unwrap();
    assert!(refused.what.contains("no number"), "{}", refused.what);
    let nonsense = source(&endpoint, r#"sum(orders{slot="$slot""#);
    let refused = sources.read(&nonsense, &side("north")).await.err().unwrap();
    assert!(refused.what.contains("400"), "{}", refused.what);
}
