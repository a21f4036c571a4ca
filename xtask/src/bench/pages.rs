//! `cargo xtask bench pages`: what a browser needs for the pages of a server with ten thousand past
//! deployments: bytes before the first paint, and time until the page is ready.
//! Must never measure a page that did not answer 200, nor one out of the browser's cache.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::Bench;
use super::machine::Machine;
use super::report::{Aim, Report};
use super::running::end_all;
use super::sample::Sample;
use super::service::Server;
use super::start::history;

/// Loads of each page; the first is dropped.
const LOADS: usize = 8;
/// Page and style sheet, bytes: what the first paint waits for.
const PAINT_BYTES: f64 = 60.0 * 1024.0;
/// From the beginning of the navigation to the end of the load, milliseconds.
const READY_MS: f64 = 1_000.0;
/// What the page says of its own loading.
const TIMES: &str = "const [page] = performance.getEntriesByType('navigation'); \
    const sheet = performance.getEntriesByType('resource').filter((r) => r.name.endsWith('.css')); \
    return [page.responseStatus, page.encodedBodySize + sheet.reduce((n, r) => n + r.encodedBodySize, 0), \
        page.loadEventEnd];";

/// Measures.
///
/// # Errors
/// When a program fails; `chromedriver` and Chromium must be installed.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let mut report = Report::new("pages", "Pages with 10,000 past deployments", machine);
    let scratch = bench.scratch()?;
    report.note(history(bench, scratch.path())?);
    let state = scratch.path().join("snapshots");
    std::fs::write(state.join("server.yaml"), "listen: 127.0.0.1:0\n")?;
    let mut command = Command::new(bench.product.tidegate());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server::start(command, &state)?;
    let measured = pages(&server, &mut report);
    server.stop()?;
    end_all(scratch.path())?;
    measured?;
    report.note(format!(
        "{} loads of each page in a headless Chromium without its cache, after one that is dropped. \
         Bytes are those of the page and of the style sheet; ready is the end of the `load` event.",
        LOADS - 1
    ));
    Ok(report)
}

fn pages(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let rows = server.get("/v1/deployments?limit=1")?;
    let newest = &rows["deployments"][0];
    let text = |name: &str| newest[name].as_str().unwrap_or_default().to_owned();
    let (id, service, environment) = (text("id"), text("service"), text("environment"));
    let browser = Browser::start()?;
    let link = server.post("/v1/session/link", &json!({}))?;
    let link = link["url"].as_str().context("the server gives no link")?;
    let origin = link.split("/login").next().unwrap_or_default();
    browser.open(link)?;
    browser.ask("document.querySelector('main form button').click()")?;
    for (name, path) in [
        ("Now", "/".to_owned()),
        ("Deployments", "/deployments".to_owned()),
        ("a search through all of them", "/deployments?q=no-such-word".to_owned()),
        ("Service", format!("/s/{service}/{environment}")),
        ("Deployment", format!("/d/{id}")),
        ("Report", format!("/d/{id}/report")),
        ("Audit", "/audit".to_owned()),
    ] {
        let (mut bytes, mut ready) = (0.0_f64, Vec::new());
        for _ in 0..LOADS {
            browser.open(&format!("{origin}{path}"))?;
            let told = browser.ask(TIMES)?;
            let number = |at: usize| told[at].as_f64().unwrap_or(f64::NAN);
            if told[0] != 200 {
                bail!("{path} answered {}", told[0]);
            }
            bytes = bytes.max(number(1));
            ready.push(number(2));
        }
        report.figure(
            &format!("{name}: before the first paint"),
            "bytes",
            Aim::Below(PAINT_BYTES),
            bytes,
        );
        let ready = Sample::of(ready.into_iter().skip(1));
        report.median(&format!("{name}: ready"), "ms", Aim::Below(READY_MS), &ready);
    }
    Ok(())
}

/// A Chromium, driven by WebDriver.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    fn start() -> anyhow::Result<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver is not installed: apt-get install chromium chromium-driver")?;
        let mut lines = BufReader::new(driver.stdout.take().context("it has no output")?).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            line.split("started successfully on port ").nth(1)?.trim_end_matches('.').parse().ok()
        });
        // It goes on talking, and must not stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Self {
            driver,
            port: port.context("chromedriver says no port")?,
            session: String::new(),
        };
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let wishes = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments } } } });
        let made = browser.call("POST", "/session", &wishes)?;
        browser.session = made["sessionId"].as_str().context("no session")?.to_owned();
        browser.order("goog/cdp/execute", &json!({ "cmd": "Network.enable", "params": {} }))?;
        let off = json!({ "cmd": "Network.setCacheDisabled", "params": { "cacheDisabled": true } });
        browser.order("goog/cdp/execute", &off)?;
        Ok(browser)
    }

    fn open(&self, address: &str) -> anyhow::Result<()> {
        self.order("url", &json!({ "url": address })).map(drop)
    }

    fn ask(&self, script: &str) -> anyhow::Result<Value> {
        self.order("execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn order(&self, what: &str, body: &Value) -> anyhow::Result<Value> {
        self.call("POST", &format!("/session/{}/{what}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let (mut status, mut line, mut length) = (String::new(), String::new(), 0);
        reader.read_line(&mut status)?;
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                bail!("chromedriver hung up");
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        if !status.contains(" 200 ") {
            bail!("chromedriver: {answer}");
        }
        Ok(answer["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session; what is gone already is gone.
        let _ended = self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        let _killed = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}
