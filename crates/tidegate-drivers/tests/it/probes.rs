//! Probes and smoke suites against a real application. Must never ask another machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use jiff::SignedDuration;
use tidegate_core::effect::ProbeTarget;
use tidegate_core::ids::{DeploymentId, SlotName};
use tidegate_core::plan::{Ask, Part, PartKind, Probe, Smoke, SmokeRun};
use tidegate_core::verdict::Outcome;
use tidegate_drivers::checks::{Config, LocalChecks};
use tidegate_engine::ports::{Asked, CheckReport, Checks};

use crate::setup::{example, part};

const ARTIFACT: &str = "abc123";

struct Bench {
    state: tempfile::TempDir,
    checks: LocalChecks,
    application: Child,
    endpoint: String,
}

impl Bench {
    fn new(flags: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir_all(state.path().join("artifacts").join(ARTIFACT)).unwrap();
        let checks = LocalChecks::new(Config { state_dir: state.path().to_owned() });
        let mut application = Command::new(example("tinyapp"))
            .args(flags)
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(application.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let endpoint = line.trim().rsplit_once(' ').unwrap().1.to_owned();
        Self { state, checks, application, endpoint }
    }

    fn artifact(&self) -> PathBuf {
        self.state.path().join("artifacts").join(ARTIFACT)
    }

    fn script(&self, name: &str, content: &str) {
        let path = self.artifact().join(name);
        fs::write(&path, format!("#!/bin/sh\n{content}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn target(&self, probes: Vec<Probe>) -> ProbeTarget {
        ProbeTarget {
            part: Part { probes, ..part(Vec::new(), 1) },
            slot: SlotName::new("north").unwrap(),
            artifact: ARTIFACT.to_owned(),
            endpoints: vec![self.endpoint.clone()],
            instances: 1,
        }
    }

    async fn probe(&self, ask: Ask) -> CheckReport {
        let target = self.target(vec![probe(ask)]);
        self.checks.probe(&[target], SignedDuration::from_secs(30)).await
    }

    async fn smoke(&self, run: SmokeRun, seconds: i64) -> CheckReport {
        let timeout = SignedDuration::from_secs(seconds);
        let part = Part { smoke: Some(Smoke { run, timeout }), ..part(Vec::new(), 1) };
        let deployment = DeploymentId::new("d-9").unwrap();
        self.checks.smoke(&deployment, &part, ARTIFACT, &self.endpoint, timeout).await
    }

    async fn suite(&self, text: &str) -> CheckReport {
        fs::write(self.artifact().join("smoke.yaml"), text).unwrap();
        self.smoke(SmokeRun::Suite { file: "smoke.yaml".to_owned() }, 20).await
    }

    async fn command(&self, script: &str, junit: Option<&str>, seconds: i64) -> CheckReport {
        self.script("suite.sh", script);
        let argv = vec!["./suite.sh".to_owned()];
        self.smoke(SmokeRun::Command { argv, junit: junit.map(str::to_owned) }, seconds).await
    }

    fn log(&self) -> String {
        fs::read_to_string(self.state.path().join("logs/d-9/web-smoke.log")).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.application.kill().unwrap();
        self.application.wait().unwrap();
    }
}

fn probe(ask: Ask) -> Probe {
    Probe {
        name: "basic".to_owned(),
        ask,
        interval: SignedDuration::from_millis(20),
        timeout: SignedDuration::from_millis(1000),
        retries: 3,
        start_period: SignedDuration::ZERO,
        theirs: false,
    }
}

fn http(path: &str) -> Ask {
    Ask::Http {
        path: path.to_owned(),
        status: Vec::new(),
        headers: BTreeMap::new(),
        body: None,
        within: None,
    }
}

#[tokio::test]
async fn a_good_answer_passes_and_a_bad_one_says_what_was_found() {
    let bench = Bench::new(&[]);
    let good = Ask::Http {
        path: "/health".to_owned(),
        status: vec![200],
        headers: BTreeMap::from([("x-app".to_owned(), "tiny".to_owned())]),
        body: Some("well".to_owned()),
        within: Some(SignedDuration::from_secs(1)),
    };
    assert_eq!(bench.probe(good).await.outcome, Outcome::Pass);
    let cases = [
        (http("/sick"), "GET /sick: expected status 200 to 299, found 500 [TG4101]"),
        // A redirect is an answer, not an address to go to.
        (http("/redirect"), "expected status 200 to 299, found 302"),
        (
            Ask::Http {
                path: "/health".to_owned(),
                status: Vec::new(),
                headers: BTreeMap::from([("x-app".to_owned(), "big".to_owned())]),
                body: None,
                within: None,
            },
            "expected header x-app: `big`, found `tiny`",
        ),
        (
            Ask::Http {
                path: "/health".to_owned(),
                status: Vec::new(),
                headers: BTreeMap::new(),
                body: Some("superb".to_owned()),
                within: None,
            },
            "expected a body with `superb`, found `all well`",
        ),
        (
            Ask::Http {
                path: "/slow".to_owned(),
                status: Vec::new(),
                headers: BTreeMap::new(),
                body: None,
                within: Some(SignedDuration::from_millis(100)),
            },
            "expected an answer within 100ms, found 4",
        ),
        (http("@169.254.169.254/"), "is not a path"),
        (
            Ask::Tls { server_name: "shop.example".to_owned(), days_left: 14 },
            "expected a TLS handshake for shop.example",
        ),
    ];
    for (ask, expected) in cases {
        let report = bench.probe(ask).await;
        assert_eq!(report.outcome, Outcome::Fail, "{}", report.summary);
        assert!(report.summary.contains(expected), "{}", report.summary);
        let who = format!("probe basic of web in north, instance 1 ({})", bench.endpoint);
        assert!(report.summary.contains(&who), "{}", report.summary);
    }
}

#[tokio::test]
async fn ports_and_commands_answer_too() {
    let bench = Bench::new(&[]);
    assert_eq!(bench.probe(Ask::Tcp).await.outcome, Outcome::Pass);
    let port = bench.endpoint.rsplit_once(':').unwrap().1;
    bench.script("check", &format!("test \"$PORT\" = {port} && test \"$COLOUR\" = none"));
    bench.script("sick", "echo queue is full >&2; exit 4");
    bench.script("hang", "sleep 600");
    let exec = |name: &str| Ask::Exec { argv: vec![format!("./{name}")] };
    let fine = bench.probe(exec("check")).await;
    assert_eq!(fine.outcome, Outcome::Pass, "{}", fine.summary);
    let sick = bench.probe(exec("sick")).await;
    assert!(sick.summary.contains("it exited with code 4: queue is full"), "{}", sick.summary);
    let hung = bench.probe(exec("hang")).await;
    assert!(hung.summary.contains("did not end within 1s"), "{}", hung.summary);
    let missing = bench.probe(exec("missing")).await;
    assert!(missing.summary.contains("could not be started"), "{}", missing.summary);
}

// Serves the certificate of `tests/fixtures`, valid until 2126 for shop.example and below.
async fn tls_server() -> String {
    let certificate = include_bytes!("../fixtures/shop.example.cert.der").to_vec();
    let key = include_bytes!("../fixtures/shop.example.key.der").to_vec();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.into()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(key).into(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(acceptor.accept(stream).await);
        }
    });
    endpoint
}

#[tokio::test]
async fn the_days_left_of_a_certificate_are_counted() {
    let bench = Bench::new(&[]);
    let endpoint = tls_server().await;
    let tls = |name: &str, days_left| Ask::Tls { server_name: name.to_owned(), days_left };
    let cases = [
        (tls("shop.example", 14), Outcome::Pass, "answered twice"),
        (tls("www.shop.example", 14), Outcome::Pass, "answered twice"),
        (tls("shop.example", 40_000), Outcome::Fail, "expected more than 40000 days left"),
        (tls("bank.example", 14), Outcome::Fail, "found one for shop.example, *.shop.example"),
    ];
    for (ask, outcome, words) in cases {
        let mut target = bench.target(vec![probe(ask)]);
        target.endpoints = vec![endpoint.clone()];
        let report = bench.checks.probe(&[target], SignedDuration::from_secs(20)).await;
        assert_eq!(report.outcome, outcome, "{}", report.summary);
        assert!(report.summary.contains(words), "{}", report.summary);
    }
}

#[tokio::test]
async fn what_was_not_asked_never_passes() {
    let bench = Bench::new(&[]);
    let none = bench.checks.probe(&[], SignedDuration::from_secs(1)).await;
    assert_eq!(none.outcome, Outcome::NoData);
    let bare = bench.checks.probe(&[bench.target(Vec::new())], SignedDuration::from_secs(1)).await;
    assert_eq!(bare.outcome, Outcome::NoData);
    let mut half = bench.target(vec![probe(http("/health"))]);
    half.instances = 2;
    let report = bench.checks.probe(&[half.clone()], SignedDuration::from_secs(1)).await;
    assert_eq!(report.outcome, Outcome::Fail);
    assert!(report.summary.contains("1 of 2 instances listen [TG4105]"), "{}", report.summary);
    assert_eq!(bench.checks.ask(&half).await, Asked { asked: 2, failed: 2 });
    let mut worker = bench.target(vec![probe(Ask::Tcp)]);
    worker.part.kind = PartKind::Worker;
    worker.endpoints.clear();
    let report = bench.checks.probe(&[worker], SignedDuration::from_secs(5)).await;
    assert!(report.summary.contains("a worker has no address"), "{}", report.summary);

    // Past its time a probe is undecided, also while it is still starting.
    let mut starting = probe(http("/sick"));
    starting.start_period = SignedDuration::from_mins(5);
    let target = bench.target(vec![starting]);
    let report = bench.checks.probe(&[target], SignedDuration::from_millis(300)).await;
    assert_eq!((report.outcome, report.retryable), (Outcome::NoData, true));
}

#[tokio::test]
async fn a_slow_start_is_waited_for_and_others_faults_are_not_ours() {
    let bench = Bench::new(&[]);
    let count = bench.artifact().join("count");
    // Fails four times, more than the retries, but within the start period.
    let script = format!("echo x >> {0}; test $(wc -l < {0}) -gt 4", count.display());
    bench.script("warm", &script);
    let mut warming = probe(Ask::Exec { argv: vec!["./warm".to_owned()] });
    warming.start_period = SignedDuration::from_secs(20);
    let target = bench.target(vec![warming]);
    let report = bench.checks.probe(&[target], SignedDuration::from_secs(20)).await;
    assert_eq!(report.outcome, Outcome::Pass, "{}", report.summary);
    assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 6);

    let theirs = Probe { theirs: true, ..probe(http("/sick")) };
    let ours = Probe { name: "ours".to_owned(), ..probe(http("/health")) };
    let target = bench.target(vec![theirs, ours]);
    let once = bench.checks.ask(&target).await;
    assert_eq!(once, Asked { asked: 1, failed: 0 });
    let report = bench.checks.probe(&[target], SignedDuration::from_secs(20)).await;
    assert_eq!(report.outcome, Outcome::NoData);
    assert!(report.summary.contains("depends on somebody else"), "{}", report.summary);
}

const GOOD: &str = r#"
name: sample
steps:
  - {get: /health, expect: {status: 200, header: {x-app: tiny}, body: [all, well], within: 5s}}
  - name: sign in
    post: /login
    form: {user: ada, password: s3cret}
    expect: {json: {/user/roles/0: admin}}
    capture: {token: {json: /token}}
  - get: /me
    expect: {body: session=c00kie}
    capture: {x: {after: 'id="', before: '"'}}
  - {post: /upload, files: {picture: picture.txt}, form: {title: "the ${x}"}, expect: {status: [201], body: PIXELS}}
  - {put: "/item/${token}", json: {a: ["${x}"]}, expect: {json: {/a/0: x}, header: {etag: e-1}}}
  - {delete: "/session/${token}", cleanup: true, expect: {status: 204}}
"#;

#[tokio::test]
async fn a_suite_keeps_cookies_captures_and_uploads() {
    let bench = Bench::new(&[]);
    fs::write(bench.artifact().join("picture.txt"), "PIXELS").unwrap();
    let report = bench.suite(GOOD).await;
    assert_eq!(report.outcome, Outcome::Pass, "{}\n{}", report.summary, bench.log());
    assert_eq!(report.summary, "6/6 steps");
    let open = bench.suite("steps: [{get: /sessions, expect: {json: {/open: 0}}}]").await;
    assert_eq!(open.outcome, Outcome::Pass, "{}", open.summary);
}

#[tokio::test]
async fn a_suite_stops_at_its_first_failure_cleans_up_and_keeps_secrets() {
    let bench = Bench::new(&[]);
    fs::write(bench.artifact().join("picture.txt"), "PIXELS").unwrap();
    let bad = GOOD
        .replace("body: session=c00kie", "body: nobody")
        .replace("get: /me", "get: /me\n    header: {authorization: Bearer hush-hush}");
    let report = bench.suite(&bad).await;
    assert_eq!((report.outcome, report.retryable), (Outcome::Fail, false));
    let expected = "step 3 of 6: GET /me: expected a body with `nobody`";
    assert!(report.summary.starts_with(expected), "{}", report.summary);
    let log = bench.log();
    for secret in ["hush-hush", "s3cret", "c00kie"] {
        assert!(!log.contains(secret) && !report.summary.contains(secret), "{secret} in\n{log}");
    }
    assert!(!log.contains("/upload") && log.contains("ok step 6 of 6, DELETE"), "{log}");
    let open = bench.suite("steps: [{get: /sessions, expect: {json: {/open: 0}}}]").await;
    assert_eq!(open.outcome, Outcome::Pass, "{}", open.summary);
}

#[tokio::test]
async fn a_suite_that_cannot_be_asked_is_no_evidence() {
    let bench = Bench::new(&[]);
    let missing = bench.smoke(SmokeRun::Suite { file: "../../x.yaml".to_owned() }, 5).await;
    assert_eq!(missing.outcome, Outcome::NoData);
    let broken = bench.suite("steps: [{got: /}]").await;
    assert!(broken.summary.contains("TG4201"), "{}", broken.summary);
    assert_eq!(broken.outcome, Outcome::NoData);
    let unset = bench.suite("steps: [{get: '/${nobody}'}]").await;
    assert!(unset.summary.contains("nothing was captured as `nobody`"), "{}", unset.summary);
    fs::write(
        bench.artifact().join("slow.yaml"),
        "steps: [{get: /slow}, {get: /slow}, {get: /slow}]",
    )
    .unwrap();
    let slow = bench.smoke(SmokeRun::Suite { file: "slow.yaml".to_owned() }, 1).await;
    assert_eq!(slow.outcome, Outcome::NoData, "{}", slow.summary);
}

#[tokio::test]
async fn a_command_is_judged_by_its_exit_code_or_its_report() {
    let bench = Bench::new(&[]);
    let passing = r#"<testsuite name="s" tests="1"><testcase name="a"/></testsuite>"#;
    let failing =
        r#"<testsuite name="s" tests="1"><testcase name="a"><failure/></testcase></testsuite>"#;
    // A report that the release itself brings is older than any run.
    fs::write(bench.artifact().join("report.xml"), passing).unwrap();
    let target = format!("test \"$TIDEGATE_TARGET\" = http://{}", bench.endpoint);
    let write = |report: &str| format!("echo '{report}' > report.xml");
    let cases = [
        (target, None, Outcome::Pass, "code 0"),
        ("echo boom; exit 3".to_owned(), None, Outcome::Fail, "exited with code 3: boom"),
        ("exit 0".to_owned(), Some("report.xml"), Outcome::NoData, "it was not written"),
        (write(passing), Some("report.xml"), Outcome::Pass, "1 passed"),
        (write(failing), Some("report.xml"), Outcome::Fail, "first failing: s > a"),
        (write("<testsuites/>"), Some("report.xml"), Outcome::NoData, "no test ran"),
        (write("<testsuite>"), Some("report.xml"), Outcome::NoData, "cut off"),
        (write(passing) + "; exit 1", Some("report.xml"), Outcome::NoData, "yet the suite exited"),
        ("exit 0".to_owned(), Some("../report.xml"), Outcome::NoData, "lies outside"),
        ("sleep 600".to_owned(), None, Outcome::NoData, "did not end within"),
    ];
    for (script, junit, outcome, words) in cases {
        let seconds = if script.contains("sleep") { 1 } else { 20 };
        let report = bench.command(&script, junit, seconds).await;
        assert_eq!(report.outcome, outcome, "{script}: {}", report.summary);
        assert!(report.summary.contains(words), "{script}: {}", report.summary);
    }
    assert!(!bench.state.path().join("work/d-9-web-smoke").exists());
    assert_eq!(fs::read_to_string(bench.artifact().join("report.xml")).unwrap(), passing);
}
