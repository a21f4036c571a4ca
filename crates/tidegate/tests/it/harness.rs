//! A world for one test: a state directory, a server in it, a repository with a tiny application,
//! the command line, the API, and load on the proxy. Everything ends with the test.
//! Must never sleep: it waits for the thing itself, on the event stream or on a process.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub(crate) const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");
/// Nothing that a test waits for takes longer on two cores that are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One test's world.
pub(crate) struct World {
    root: TempDir,
    server: Mutex<Option<Child>>,
}

/// What the command line did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs a command that is told these lines on its stdin.
    pub(crate) fn told(command: &mut Command, lines: &[&str]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
        }
        drop(stdin);
        Self::of(&child.wait_with_output().unwrap())
    }

    /// Its stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its stdout as lines of JSON.
    #[track_caller]
    pub(crate) fn ndjson(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl World {
    /// A world without a server.
    pub(crate) fn new() -> Self {
        // Short: the path of a socket has at most 107 bytes.
        let root = tempfile::Builder::new().prefix("tg").tempdir_in("/tmp").unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        Self { root, server: Mutex::new(None) }
    }

    /// A world with a server that answers.
    pub(crate) fn with_server() -> Self {
        let world = Self::new();
        world.start_server();
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.state_dir().join("server.sock")
    }

    /// Starts a server in the foreground and waits until it answers.
    pub(crate) fn start_server(&self) {
        let words = fs::File::create(self.path().join("server.out")).unwrap();
        let mut child = self
            .command(&["server", "run"])
            .stdin(Stdio::null())
            .stdout(words.try_clone().unwrap())
            .stderr(words)
            .spawn()
            .unwrap();
        wait("the server answers", || {
            if let Some(status) = child.try_wait().unwrap() {
                let said = fs::read_to_string(self.path().join("server.out")).unwrap();
                panic!("the server ended with {status}: {said}");
            }
            self.call("GET", "/v1/server", None).is_some().then_some(())
        });
        *self.server.lock().unwrap() = Some(child);
    }

    /// A world whose server listens on the network as well, with these settings beside that.
    pub(crate) fn with_pages(settings: &str) -> Self {
        Self::new().with_settings(settings)
    }

    /// The same world, its server started with these settings.
    pub(crate) fn with_settings(self, settings: &str) -> Self {
        fs::create_dir(self.state_dir()).unwrap();
        fs::set_permissions(self.state_dir(), Permissions::from_mode(0o700)).unwrap();
        let settings = format!("listen: 127.0.0.1:0\n{settings}");
        fs::write(self.state_dir().join("server.yaml"), settings).unwrap();
        self.start_server();
        self
    }

    /// Where the pages of its server are.
    pub(crate) fn pages(&self) -> String {
        self.get("/v1/server")["pages"].as_str().expect("it listens").to_owned()
    }

    /// The address that its server listens on.
    pub(crate) fn listening(&self) -> String {
        self.get("/v1/server")["listening"].as_str().expect("it listens").to_owned()
    }

    /// What the server said in its terminal.
    pub(crate) fn server_words(&self) -> String {
        fs::read_to_string(self.path().join("server.out")).unwrap_or_default()
    }

    /// Process id of the server that this world started.
    pub(crate) fn server_pid(&self) -> u32 {
        self.server.lock().unwrap().as_ref().expect("a server was started").id()
    }

    /// Waits for the end of a server that was told to stop.
    pub(crate) fn server_ended(&self) -> Option<i32> {
        let mut child = self.server.lock().unwrap().take().expect("a server was started");
        child.wait().unwrap().code()
    }

    /// Ends the server with a signal and waits for its end.
    pub(crate) fn end_server(&self, signal: Signal) -> Option<i32> {
        let mut child = self.server.lock().unwrap().take().expect("a server was started");
        send(child.id(), signal);
        child.wait().unwrap().code()
    }

    /// A command of the binary in this world, run in the repository.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(TIDEGATE);
        let here = self.path().join("app");
        command
            .args(arguments)
            .current_dir(if here.exists() { here } else { self.path().to_owned() })
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("TIDEGATE_STATE_DIR", self.state_dir());
        command
    }

    /// Runs the command line to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let pid = child.id();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait_with_output().unwrap()));
        // A command that follows a deployment waits for several things, one after the other.
        let output = end.recv_timeout(PATIENCE * 2).unwrap_or_else(|_late| {
            send(pid, Signal::KILL);
            panic!("{arguments:?} does not end: {:?}", Done::of(&end.recv().unwrap()))
        });
        Done::of(&output)
    }

    /// Runs it and demands an exit code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> Done {
        let done = self.run(arguments);
        assert_eq!(done.code, code, "{arguments:?}: {done:#?}\n{}", self.server_log());
        done
    }

    pub(crate) fn server_log(&self) -> String {
        fs::read_to_string(self.state_dir().join("server.log")).unwrap_or_default()
    }

    /// Calls the API; `None` when no server answers.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&str>) -> Option<Answer> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.unwrap_or_default();
        // A server that refuses a body answers before it has read all of it, and hangs up.
        let _hung_up = write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = Vec::new();
        let _hung_up = stream.read_to_end(&mut answer);
        parse_answer(&answer)
    }

    /// Calls the API and demands a status.
    #[track_caller]
    pub(crate) fn ask(&self, status: u16, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.call(method, path, Some(&text)).expect("the server answers");
        assert_eq!(answer.status, status, "{method} {path}: {answer:#?}");
        answer.body
    }

    /// Reads a resource.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.ask(200, "GET", path, &Value::Null)
    }

    /// The live events of a deployment after a sequence, as an iterator that ends with it.
    pub(crate) fn events(&self, id: &str, after: u64) -> Events {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET /v1/deployments/{id}/events HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\
             Accept: text/event-stream\r\nLast-Event-ID: {after}\r\n\r\n"
        )
        .unwrap();
        Events { lines: BufReader::new(stream) }
    }

    /// Waits for an event of a deployment.
    #[track_caller]
    pub(crate) fn wait_for(&self, id: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Vec::new();
        for event in self.events(id, 0) {
            if fits(&event) {
                return event;
            }
            seen.push(event["text"].to_string());
        }
        panic!("the stream of {id} ended before that:\n{}", seen.join("\n"));
    }

    /// Waits until a deployment has entered a phase: `traffic.step1`, `bake`.
    #[track_caller]
    pub(crate) fn wait_for_phase(&self, id: &str, phase: &str) {
        let arrow = format!("->{phase} ");
        self.wait_for(id, |event| {
            event["kind"] == "phase_entered" && event["text"].as_str().unwrap().contains(&arrow)
        });
    }

    /// Waits for the end of a deployment and returns its state word.
    #[track_caller]
    pub(crate) fn wait_for_end(&self, id: &str) -> String {
        self.wait_for(id, |event| event["kind"] == "deployment_ended");
        self.get(&format!("/v1/deployments/{id}"))["state"].as_str().unwrap().to_owned()
    }

    /// Makes the repository of the tiny application, with its port, and returns it.
    pub(crate) fn app(&self) -> App<'_> {
        let app = App { world: self, listen: format!("127.0.0.1:{}", free_port()) };
        fs::create_dir(app.path()).unwrap();
        app.git(&["init", "-q", "-b", "main", "."]);
        app
    }
}

impl Drop for World {
    /// Ends what belongs to this world, by its own directory and nothing else.
    fn drop(&mut self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut server) = server {
            let _gone = server.kill();
            let _gone = server.wait();
        }
        // Shims start instances anew: a second round finds what a first one left.
        for _round in 0..3 {
            for pid in belonging_to(self.path()) {
                send(pid, Signal::KILL);
            }
        }
        if std::thread::panicking() {
            eprintln!("--- server.log\n{}", self.server_log());
        }
    }
}

/// Processes that name the directory in their command line, or work in it.
pub(crate) fn belonging_to(directory: &Path) -> Vec<u32> {
    let me = std::process::id();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let named = String::from_utf8_lossy(&line).contains(directory.to_str()?);
        let inside =
            || fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
        (pid != me && (named || inside())).then_some(pid)
    });
    processes.collect()
}

/// Sends a signal to one process.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended by itself.
    let _gone = kill_process(pid, signal);
}

/// Looks again and again until there is an answer. For what no stream tells.
#[track_caller]
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The repository of the tiny application.
pub(crate) struct App<'w> {
    world: &'w World,
    /// Where the proxy takes its requests.
    pub(crate) listen: String,
}

impl App<'_> {
    pub(crate) fn path(&self) -> PathBuf {
        self.world.path().join("app")
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .env("HOME", self.world.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Commits a release that answers with its version and behaves so, and tags it. The
    /// configuration is [`App::config`] unless it was written before.
    pub(crate) fn release(&self, version: &str, behaviour: &str) {
        self.write("answer", version);
        self.write("behaviour", behaviour);
        if !self.path().join("tidegate.yaml").exists() {
            self.write("tidegate.yaml", &self.config(""));
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", version]);
        self.git(&["tag", version]);
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    /// An ordinary configuration of short steps; `more` is added below `deploy:`.
    pub(crate) fn config(&self, more: &str) -> String {
        let program = Path::new(TIDEGATE).with_file_name("examples").join("tinyshop");
        format!(
            "tidegate: 1\nservice: shop\n\
             deploy:\n  run: [{}]\n  instances: 1\n  grace: 1s\n  start_within: 20s\n  probes:\n    \
             health: {{get: /health, expect: 200, interval: 100ms, timeout: 1s, retries: 2}}\n{more}\
             traffic:\n  route: {{listen: \"{}\"}}\n  steps: [50%, 100%]\n  \
             each: {{for: 2s, at_least: 1 requests}}\n  advance_if: [errors < 10%]\n  \
             rollback_if: [errors > 20% for 2s]\n  otherwise: {{hold: 30s, then: rollback}}\n\
             after:\n  watch: {{for: 2s, keep_previous: warm}}\n",
            program.display(),
            self.listen
        )
    }

    /// Starts a deployment by the API and returns its id.
    #[track_caller]
    pub(crate) fn deploy(&self, version: &str) -> String {
        let body = serde_json::json!({ "repository": self.path(), "version": version });
        let accepted = self.world.ask(200, "POST", "/v1/deployments", &body);
        accepted["id"].as_str().unwrap().to_owned()
    }

    /// What the proxy serves: status and body; `None` when nobody listens.
    pub(crate) fn visit(&self, path: &str) -> Option<(u16, String)> {
        visit(&self.listen, path)
    }

    /// Users, each a new one, until the returned value is dropped.
    pub(crate) fn load(&self) -> Load {
        Load::start(&self.listen)
    }
}

pub(crate) fn visit(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let (head, body) = split(&answer)?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Users who come one after the other.
pub(crate) struct Load {
    wanted: Arc<AtomicBool>,
    /// Requests that got an answer of 200.
    pub(crate) good: Arc<AtomicU64>,
    /// Requests that got another answer.
    pub(crate) failed: Arc<AtomicU64>,
    /// Requests that got no answer.
    pub(crate) lost: Arc<AtomicU64>,
    user: Option<JoinHandle<()>>,
}

impl Load {
    fn start(address: &str) -> Self {
        let wanted = Arc::new(AtomicBool::new(true));
        let [good, failed, lost] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
        let counts = (Arc::clone(&good), Arc::clone(&failed), Arc::clone(&lost));
        let (address, goes_on) = (address.to_owned(), Arc::clone(&wanted));
        let user = std::thread::spawn(move || {
            while goes_on.load(Ordering::Relaxed) {
                let count = match visit(&address, "/") {
                    Some((200, _)) => &counts.0,
                    Some(_) => &counts.1,
                    None => &counts.2,
                };
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        Self { wanted, good, failed, lost, user: Some(user) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
        if let Some(user) = self.user.take() {
            let _panicked = user.join();
        }
    }
}

/// Server-sent events of a deployment.
pub(crate) struct Events {
    lines: BufReader<UnixStream>,
}

impl Iterator for Events {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("an event comes in time") == 0 {
                return None;
            }
            if let Some(event) = line.strip_prefix("data:") {
                return Some(serde_json::from_str(event.trim()).unwrap());
            }
        }
    }
}

fn parse_answer(answer: &[u8]) -> Option<Answer> {
    let (head, body) = split(answer)?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    let body = serde_json::from_slice(&body).unwrap_or_else(|_text| text());
    Some(Answer { status, headers, body })
}

/// Head and body of an answer; a chunked body is put together.
pub(crate) fn split(answer: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = &answer[end + 4..];
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Some((head, unchunk(body)));
    }
    Some((head, body.to_vec()))
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    whole
}
