//! Programs of other people as clients, servers and authorities: gRPC, curl, h2load, wrk, a
//! browser, an ACME server. `./test` installs them; a test fails where one is missing.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tidegate_proxy::wire::{Acme, Certificate, Protocol, Route, Tls};
use tokio::time::timeout;

use crate::certs::{Authority, roots, shown};
use crate::parts::{App, PATIENCE, Proxy, eventually, free_address, parts, seal, shift};
use crate::tls;

/// A child that dies with its test.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it and reads the first line that it prints, or the end of what it says.
    pub(crate) fn start(command: &mut Command) -> (Self, String) {
        let (program, mut lines) = Self::start_and_listen(command);
        let line = lines.next().unwrap_or_default();
        (program, line)
    }

    /// Starts it and reads what it prints.
    fn start_and_listen(
        command: &mut Command,
    ) -> (Self, impl Iterator<Item = String> + Send + use<>) {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; ./test installs it"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (Self(child), lines.map(|line| line.unwrap().trim().to_owned()))
    }
}

impl Program {
    /// Starts one that says nothing.
    pub(crate) fn run(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}; ./test installs it")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// Where the scripts of these tests lie.
pub(crate) fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(name)
}

/// The Python that has the packages: `./test` names it.
pub(crate) fn python(script: &str) -> Command {
    let program = std::env::var_os("TIDEGATE_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(program);
    command.arg(tool(script));
    command
}

/// Runs it to its end, away from the threads that serve.
async fn output(mut command: Command) -> (bool, String) {
    let run = move || {
        let done = command.stdin(Stdio::null()).output();
        let done = done.unwrap_or_else(|error| panic!("{command:?}: {error}; ./test installs it"));
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_and_a_grpc_server_see_nothing_of_the_proxy_between_them() {
    let (_server, port) = Program::start(python("grpc_pair.py").arg("server"));
    let endpoint = format!("127.0.0.1:{port}").parse().unwrap();
    let authority = Authority::new();
    let table = |listen, tls| {
        let mut parts = parts(listen, 1, &[("good", 10_000, endpoint)]);
        parts.backends[0].protocol = Protocol::H2c;
        parts.tls = tls;
        seal(parts)
    };
    let plain = Proxy::serving(|listen| table(listen, None)).await;
    let tls = authority.tls("shop", &["shop.example"]);
    let secure = Proxy::serving(|listen| table(listen, Some(tls))).await;
    let expected = serde_json::json!({
        "unary": "TIDE", "initial": "head", "trailing": "trailer", "fail": "INTERNAL as asked",
        "missing": "NOT_FOUND no such thing", "down": 499_500, "up": 10_485_760,
        "both": ["ba", "dc"],
    });
    for proxy in [&plain, &secure] {
        let mut client = python("grpc_pair.py");
        client.args(["client", &proxy.listen.to_string()]);
        if proxy.listen == secure.listen {
            client.arg(authority.root()).arg("shop.example");
        }
        let (worked, said) = output(client).await;
        assert!(worked, "{said}");
        let seen: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(seen, expected, "{said}");
        let (requests, failures) = eventually("six calls that ended", || async {
            let sums = proxy.control.sums("good").await;
            (sums.requests == 6).then_some((sums.requests, sums.failures))
        })
        .await;
        // INTERNAL is the server's fault and counts; NOT_FOUND is an answer.
        assert_eq!((requests, failures.grpc, failures.total()), (6, 1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_ordered_from_an_acme_server_and_serves() {
    let app = App::start("good").await;
    let authority = Authority::new();
    authority.sign("acme", &["localhost"]);
    let work = tempfile::tempdir().unwrap();
    let redirect = free_address();
    let (_server, port) = Program::start(
        python("acme_server.py")
            .arg(work.path())
            .arg(redirect.to_string())
            .args([authority.path("acme.pem"), authority.path("acme.key")]),
    );
    let proxy = Proxy::start().await;
    let mut parts = parts(proxy.listen, 1, &[("good", 10_000, app.address)]);
    parts.routes = vec![Route { host: Some("shop.example".into()), path_prefix: "/".into() }];
    parts.tls = Some(Tls {
        certificates: vec![Certificate::Acme(Acme {
            directory: format!("https://localhost:{port}/directory"),
            contact: Some("mailto:ops@shop.example".into()),
            trust: Some(authority.root().to_str().unwrap().to_owned()),
            names: vec!["shop.example".into()],
        })],
        redirect_from: Some(redirect),
    });
    proxy.control.put(&seal(parts)).await.unwrap();
    let status = eventually("a certificate", || async {
        let status = proxy.control.status().await.certificates.remove(0);
        if let Some(problem) = status.problem.as_ref().filter(|told| told.contains("TG5062")) {
            panic!("{problem}");
        }
        (status.names == ["shop.example"]).then_some(status)
    })
    .await;
    assert_eq!(status.problem, None);
    // It is the ACME server's: its own authority signed it.
    let signer = work.path().join("ca.pem");
    let stream = Authority::trusting(roots(&signer), proxy.listen, "shop.example").await.unwrap();
    let first = shown(&stream);
    // Account and key are for nobody else to read.
    for entry in std::fs::read_dir(proxy.directory().join("acme")).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    // A restart orders nothing anew.
    let (listen, state) = proxy.stop_and_keep().await;
    let _proxy = Proxy::start_in(state).await;
    let again = eventually("the same certificate", || async {
        Authority::trusting(roots(&signer), listen, "shop.example").await.ok()
    })
    .await;
    assert_eq!(shown(&again), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_and_h2load_are_served_in_both_protocols() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = tls::serving(&app, authority.tls("shop", &["shop.example"])).await;
    let port = proxy.listen.port();
    let url = format!("https://shop.example:{port}/upload");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", flag, "--max-time", "60", "--data-binary", "@-", &url]);
        curl.args(["--resolve", &format!("shop.example:{port}:127.0.0.1"), "--cacert"]);
        curl.arg(authority.root()).args(["-w", " %{http_version}"]);
        // Larger than every window on the way.
        let mut sender = Command::new("head");
        sender.args(["-c", "3000000", "/dev/zero"]).stdout(Stdio::piped());
        let mut sender = sender.spawn().unwrap();
        let body = sender.stdout.take().unwrap();
        let run = move || curl.stdin(body).output().unwrap();
        let done = tokio::task::spawn_blocking(run).await.unwrap();
        sender.wait().unwrap();
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert_eq!(said, format!("3000000 {version}"));
    }
    for flags in [&["-n", "500", "-c", "5", "-m", "20"][..], &["-n", "500", "-c", "5", "--h1"]] {
        let mut h2load = Command::new("h2load");
        h2load.args(flags).arg(format!("https://127.0.0.1:{port}/"));
        let (worked, said) = output(h2load).await;
        assert!(worked && said.contains(" 500 succeeded, 0 failed, 0 errored"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrk_gets_nothing_but_answers() {
    let app = App::start("good").await;
    let table = |listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]));
    let proxy = Proxy::serving(table).await;
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c32", "-d1s", "--timeout", "60s", &format!("http://{}/", proxy.listen)]);
    let (worked, said) = output(wrk).await;
    assert!(worked && !said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    let answered = said.lines().find_map(|line| line.trim().split_once(" requests in "));
    let answered: u64 = answered.expect(&said).0.parse().unwrap();
    assert!((1..=app.count()).contains(&answered), "{said}");
}

/// A page over TLS and HTTP/2 in mid-shift: an upload, server-sent events and a WebSocket reach
/// the side that the browser's cookie says.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_uses_everything_through_the_proxy() {
    let mut node = Command::new("node");
    let (_application, mut lines) = Program::start_and_listen(node.arg(tool("page.js")));
    let endpoint = format!("127.0.0.1:{}", lines.next().unwrap()).parse().unwrap();
    let authority = Authority::new();
    let tls = authority.tls("shop", &["shop.example"]);
    let proxy = Proxy::serving(|listen| {
        let mut parts = shift(listen, 1, endpoint, endpoint, 5_000);
        parts.tls = Some(tls);
        seal(parts)
    })
    .await;
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("chromium");
    browser
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        // Its own authority is nobody's that the browser knows.
        .args(["--ignore-certificate-errors", "--host-resolver-rules=MAP shop.example 127.0.0.1"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("https://shop.example:{}/", proxy.listen.port()))
        .stderr(Stdio::null());
    let _browser = Program::run(&mut browser);
    let report = tokio::task::spawn_blocking(move || lines.next());
    let report = timeout(6 * PATIENCE, report).await.expect("no report").unwrap().unwrap();
    let seen: serde_json::Value = serde_json::from_str(&report).unwrap();
    let expected = serde_json::json!({
        "upload": "1000000", "events": "012", "socket": "ping", "protocol": "h2",
        // The cohort's cookie is not for scripts.
        "cookies": "",
    });
    assert_eq!(seen, expected);
    let started = eventually("the counts of one side", || async {
        let sides = [proxy.control.sums("live").await, proxy.control.sums("candidate").await];
        let started = sides.map(|side| side.started);
        (started.iter().sum::<u64>() >= 5).then_some(started)
    })
    .await;
    // The first request may be on either side; whatever came with its cookie stayed there.
    assert!(started.iter().any(|count| *count <= 1), "a browser changed sides: {started:?}");
}
