//! A real Chromium, driven by WebDriver. `./test` installs both; without them a test fails.
//! Must never wait for a time: it looks again until the page says what is waited for.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Url;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{World, wait};

/// The accessibility checker that `axe` runs in a page.
const AXE: &str = include_str!("../assets/axe.min.js");

/// A browser of somebody.
pub(crate) struct Chromium {
    runtime: Runtime,
    client: Client,
    driver: Child,
    /// `http://127.0.0.1:7000`.
    pub(crate) origin: String,
}

/// A command that only Chromium's driver knows.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(
        &self,
        base: &Url,
        session: Option<&str>,
    ) -> Result<Url, <Url as std::str::FromStr>::Err> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Chromium {
    /// A browser that nobody has signed in with.
    pub(crate) fn new(origin: &str) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // The browser is its child: the whole group ends with the test.
            .process_group(0)
            .spawn()
            .expect("chromedriver is installed: apt-get install chromium chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                let line = line.ok()?;
                let port = line.split("started successfully on port ").nth(1)?;
                Some(port.trim_end_matches('.').to_owned())
            })
            .expect("chromedriver says its port");
        // It goes on talking, and must not stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wishes = json!({
            "goog:chromeOptions": { "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--hide-scrollbars", "--window-size=1440,900",
            ] },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(wishes) = wishes else { unreachable!() };
        let connected = runtime.block_on(async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(wishes).connect(&format!("http://127.0.0.1:{port}")).await
        });
        let client = connected.expect("chromium starts");
        Self { runtime, client, driver, origin: origin.to_owned() }
    }

    /// A browser of the owner of a server, signed in by the link of its socket.
    pub(crate) fn of_owner(world: &World) -> Self {
        let browser = Self::new(&world.pages());
        let link = world.expect(0, &["login", "--link", "--json"]).json();
        browser.open_address(link["url"].as_str().unwrap());
        browser.click("main button");
        browser.see("h1", "Now");
        browser
    }

    fn open_address(&self, address: &str) {
        self.runtime.block_on(self.client.goto(address)).unwrap();
    }

    /// Opens a page.
    pub(crate) fn open(&self, path: &str) {
        self.open_address(&format!("{}{path}", self.origin));
    }

    /// Path of the page that is shown.
    pub(crate) fn path(&self) -> String {
        self.runtime.block_on(self.client.current_url()).unwrap().path().to_owned()
    }

    /// What the first element says; `None` while there is none.
    pub(crate) fn text(&self, css: &str) -> Option<String> {
        self.runtime.block_on(async {
            let element = self.client.find(Locator::Css(css)).await.ok()?;
            // A part of the page may be replaced between the two questions.
            element.text().await.ok()
        })
    }

    /// Waits until an element says something.
    #[track_caller]
    pub(crate) fn see(&self, css: &str, words: &str) {
        let mut last = None;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait(&format!("`{css}` says `{words}`"), || {
                last = self.text(css);
                last.as_ref().filter(|text| text.contains(words)).map(|_| ())
            });
        }));
        assert!(found.is_ok(), "`{css}` does not say `{words}` but {last:?} on {}", self.path());
    }

    /// Clicks the first such element.
    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        wait(&format!("`{css}` can be clicked"), || {
            self.runtime.block_on(async {
                self.client.find(Locator::Css(css)).await.ok()?.click().await.ok()
            })
        });
    }

    /// Types into a field.
    #[track_caller]
    pub(crate) fn fill(&self, css: &str, text: &str) {
        self.runtime.block_on(async {
            let field = self.client.find(Locator::Css(css)).await.unwrap();
            field.send_keys(text).await.unwrap();
        });
    }

    /// Presses a key on the page.
    pub(crate) fn press(&self, key: &str) {
        self.fill("body", key);
    }

    /// What a script in the page gives.
    #[track_caller]
    pub(crate) fn ask(&self, script: &str) -> Value {
        self.runtime.block_on(self.client.execute(script, Vec::new())).unwrap()
    }

    fn own(&self, path: &'static str, body: Value) -> Value {
        self.runtime.block_on(self.client.issue_cmd(Own { path, body })).unwrap()
    }

    fn devtools(&self, cmd: &str, params: &Value) -> Value {
        self.own("goog/cdp/execute", json!({ "cmd": cmd, "params": params }))
    }

    /// Pages get no script from here on.
    pub(crate) fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// How wide it is, and whether its owner likes the dark.
    pub(crate) fn look(&self, width: u32, height: u32, dark: bool) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// Demands that the console is empty: no error, and nothing that the content policy refused.
    #[track_caller]
    pub(crate) fn complains_not(&self) {
        let lines = self.own("se/log", json!({ "type": "browser" }));
        let bad: Vec<&Value> =
            lines.as_array().unwrap().iter().filter(|line| line["level"] != "INFO").collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", self.path());
    }

    /// Forgets what the console said.
    pub(crate) fn forget(&self) {
        self.own("se/log", json!({ "type": "browser" }));
    }

    /// Demands that the page can be used by everybody, as far as a program can tell, in both colours
    /// and on a phone, and that nothing of it is wider than the screen.
    #[track_caller]
    pub(crate) fn is_accessible(&self) {
        for (width, height) in [(1440, 900), (390, 844)] {
            for dark in [false, true] {
                self.look(width, height, dark);
                self.axe();
                let over = self.ask("return document.documentElement.scrollWidth - innerWidth");
                assert!(over.as_i64().unwrap() <= 0, "{} at {width}: {over}", self.path());
            }
        }
        self.look(1440, 900, false);
    }

    /// Puts pictures of the page where `TIDEGATE_PICTURES` says, if it says so: what
    /// `cargo xtask screenshots` asks for.
    pub(crate) fn picture(&self, name: &str) {
        let Some(place) = std::env::var_os("TIDEGATE_PICTURES") else { return };
        for (look, width, height, dark) in [("wide", 1440, 900, false), ("phone", 390, 844, true)] {
            self.look(width, height, dark);
            let shot = json!({ "format": "webp", "quality": 80 });
            let shot = self.devtools("Page.captureScreenshot", &shot);
            let bytes = shot["data"].as_str().unwrap().as_bytes();
            let bytes = data_encoding::BASE64.decode(bytes).unwrap();
            std::fs::write(std::path::Path::new(&place).join(format!("{name}-{look}.webp")), bytes)
                .unwrap();
        }
        self.look(1440, 900, false);
    }

    #[track_caller]
    fn axe(&self) {
        let run = "const done = arguments[arguments.length - 1]; \
            axe.run(document, { resultTypes: ['violations'] }).then( \
                (found) => done(found.violations.map((v) => ({ id: v.id, impact: v.impact, \
                    nodes: v.nodes.map((n) => n.html + ' ' + n.failureSummary) }))), \
                (error) => done(String(error)))";
        let found = self.runtime.block_on(async {
            self.client.execute(AXE, Vec::new()).await.unwrap();
            self.client.execute_async(run, Vec::new()).await.unwrap()
        });
        let found = found.as_array().unwrap_or_else(|| panic!("{found}"));
        let serious = |one: &&Value| matches!(one["impact"].as_str(), Some("serious" | "critical"));
        let bad: Vec<&Value> = found.iter().filter(serious).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", self.path());
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.driver.id()).unwrap()).unwrap();
        let _closed = self.runtime.block_on(self.client.clone().close());
        // What closed by itself is gone.
        let _gone = kill_process_group(group, Signal::KILL);
        let _reaped = self.driver.wait();
    }
}
