//! `cargo xtask soak`: users, weight changes, certificate reloads and upgrades of the proxy for
//! minutes on end. At its end nothing was lost, and memory and descriptors are where they were at
//! its beginning.
//! Must never look at a clock to judge: only counts decide, so that a busy machine does not fail.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

mod keys;

use keys::{Keys, TlsUser};

/// Users who keep their connection until an answer says that it ends.
const USERS: usize = 8;
/// Weight changes between two upgrades.
const CHANGES: u64 = 10;
/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Memory may be this much above the first proxy's, MiB: what an allocator keeps by chance.
const MEMORY_MIB: f64 = 16.0;
/// Descriptors may be this many above: connections of users that are just being made.
const DESCRIPTORS: usize = 24;

/// How long, and with what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long it goes on, minutes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    minutes: u64,
    /// So many upgrades instead of a time, for a short look
    #[arg(long)]
    upgrades: Option<u64>,
    /// Where the examples of `tidegate-proxy` were built [default: the dev profile, built now]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// What a proxy holds at one moment.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory_mib: f64,
    descriptors: usize,
}

/// Runs it.
///
/// # Errors
/// When something was lost, or what the proxy holds grew.
#[expect(clippy::print_stdout, reason = "a chore that talks to a person")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let programs = match &args.programs {
        Some(programs) => programs.clone(),
        None => build()?,
    };
    let dir = tempfile::Builder::new().prefix("s-").tempdir()?;
    let mut plane = Plane::start(&programs, dir.path())?;
    let users = Users::start(plane.listen);
    let visitor = TlsUser::start(plane.secure, &plane.keys);
    users.more(500)?;
    let mut series = vec![plane.held()?];
    let ends = Instant::now() + Duration::from_mins(args.minutes);
    let mut generation = 1;
    loop {
        let upgraded = series.len() as u64 - 1;
        let is_over = args.upgrades.map_or_else(|| Instant::now() >= ends, |most| upgraded >= most);
        if is_over {
            break;
        }
        for _ in 0..CHANGES {
            generation += 1;
            plane.change(generation)?;
            users.more(20)?;
        }
        plane.keys.renew(plane.secure)?;
        plane.upgrade()?;
        users.more(500)?;
        visitor.more(1)?;
        series.push(plane.held()?);
    }
    let answered = users.finish()?;
    let visits = visitor.finish()?;
    let (first, last) = (series[0], series[series.len() - 1]);
    println!(
        "{answered} requests, {visits} visits over TLS, {} weight changes, {} certificates, \
         {} upgrades, nothing lost\n\
         memory {:.1} MiB, then {:.1}; descriptors {}, then {}",
        generation - 1,
        series.len(),
        series.len() - 1,
        first.memory_mib,
        last.memory_mib,
        first.descriptors,
        last.descriptors
    );
    if last.memory_mib > first.memory_mib + MEMORY_MIB {
        bail!("memory grew from {:.1} to {:.1} MiB", first.memory_mib, last.memory_mib);
    }
    if last.descriptors > first.descriptors + DESCRIPTORS {
        bail!("descriptors grew from {} to {}", first.descriptors, last.descriptors);
    }
    Ok(ExitCode::SUCCESS)
}

/// The programs in the dev profile.
fn build() -> anyhow::Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec()?;
    let names = ["--example", "bench_proxy", "--example", "bench_echo", "--example", "bench_shift"];
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "tidegate-proxy"])
        .args(names)
        .current_dir(&metadata.workspace_root)
        .status()?;
    if !status.success() {
        bail!("the programs do not compile");
    }
    Ok(metadata.target_directory.into_std_path_buf().join("debug/examples"))
}

/// An application, a proxy in front, and the one before it while it drains.
struct Plane {
    programs: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    listen: SocketAddr,
    /// The same application over TLS.
    secure: SocketAddr,
    keys: Keys,
    revisions: [String; 2],
    proxy: Child,
    elders: Vec<Child>,
    application: Child,
}

impl Plane {
    fn start(programs: &Path, dir: &Path) -> anyhow::Result<Self> {
        let at = (0..4).map(|_| TcpListener::bind("127.0.0.1:0")?.local_addr());
        let at = at.collect::<Result<Vec<_>, _>>()?;
        let revisions = [format!("a@{}", at[0]), format!("b@{}", at[1])];
        let mut application = Command::new(programs.join("bench_echo"));
        let application = application.args(&revisions).stdin(Stdio::null()).spawn()?;
        let (state, socket) = (dir.join("state"), dir.join("p.sock"));
        let keys = Keys::new(dir)?;
        let proxy = spawn(programs, &state, &socket, false)?;
        let plane = Self {
            programs: programs.to_owned(),
            state,
            socket,
            listen: at[2],
            secure: at[3],
            keys,
            revisions,
            proxy,
            elders: Vec::new(),
            application,
        };
        for address in &at[..2] {
            until("the application listens", || TcpStream::connect(address).ok())?;
        }
        until("the proxy's socket opens", || UnixStream::connect(&plane.socket).ok())?;
        plane.change(1)?;
        let verb = format!("tls:{}", plane.keys.directory().display());
        plane.shift(&verb, plane.secure, 0, &plane.revisions[..1])?;
        for address in [plane.listen, plane.secure] {
            until("the proxy listens", || TcpStream::connect(address).ok())?;
        }
        Ok(plane)
    }

    /// Another division between the two revisions.
    fn change(&self, generation: u64) -> anyhow::Result<()> {
        self.shift("change", self.listen, generation, &self.revisions)
    }

    fn shift(
        &self,
        verb: &str,
        listen: SocketAddr,
        count: u64,
        revisions: &[String],
    ) -> anyhow::Result<()> {
        let mut command = Command::new(self.programs.join("bench_shift"));
        command.arg(verb).arg(&self.socket).arg(listen.to_string());
        command.arg(count.to_string()).arg("1").args(revisions);
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("a table: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Another process in the proxy's place; those before it end by themselves.
    fn upgrade(&mut self) -> anyhow::Result<()> {
        let next = spawn(&self.programs, &self.state, &self.socket, true)?;
        self.elders.push(std::mem::replace(&mut self.proxy, next));
        let pid = self.proxy.id();
        until("the successor serves", || {
            let answer = ask(&self.socket, "/v1/status").ok()?;
            answer.contains(&format!("\"pid\":{pid},")).then_some(())
        })?;
        for mut elder in self.elders.drain(..) {
            until("the elder ends", || elder.try_wait().ok().flatten())?;
        }
        Ok(())
    }

    fn held(&self) -> anyhow::Result<Held> {
        let place = PathBuf::from(format!("/proc/{}", self.proxy.id()));
        let status = std::fs::read_to_string(place.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        let memory_mib = kib.context("the kernel does not say how large it is")? / 1_024.0;
        Ok(Held { memory_mib, descriptors: std::fs::read_dir(place.join("fd"))?.count() })
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        for child in self.elders.iter_mut().chain([&mut self.proxy, &mut self.application]) {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn spawn(programs: &Path, state: &Path, socket: &Path, takes_over: bool) -> anyhow::Result<Child> {
    let mut command = Command::new(programs.join("bench_proxy"));
    command.arg(state).arg(socket).arg("2").stdin(Stdio::null());
    if takes_over {
        command.arg("take-over");
    }
    command.spawn().context("bench_proxy cannot be started")
}

fn ask(socket: &Path, path: &str) -> anyhow::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            bail!("waited in vain: {what}");
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Everybody who asks.
struct Users {
    threads: Vec<std::thread::JoinHandle<anyhow::Result<()>>>,
    done: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

impl Users {
    fn start(address: SocketAddr) -> Self {
        let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let user = |_| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut kept = None;
                while !done.load(Ordering::Relaxed) {
                    let stream = match kept.take() {
                        Some(stream) => stream,
                        None => BufReader::new(TcpStream::connect(address)?),
                    };
                    kept = exchange(stream)?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let threads = (0..USERS).map(user).collect();
        Self { threads, done, answered }
    }

    fn more(&self, count: u64) -> anyhow::Result<()> {
        let least = self.answered.load(Ordering::Relaxed) + count;
        until("users are answered", || {
            let lost = self.threads.iter().any(std::thread::JoinHandle::is_finished);
            (lost || self.answered.load(Ordering::Relaxed) >= least).then_some(())
        })
    }

    fn finish(self) -> anyhow::Result<u64> {
        self.done.store(true, Ordering::Relaxed);
        for thread in self.threads {
            match thread.join() {
                Ok(ended) => ended.context("a request was lost")?,
                Err(_) => bail!("a user failed"),
            }
        }
        Ok(self.answered.load(Ordering::Relaxed))
    }
}

/// One request; gives the connection back unless the answer was its last.
fn exchange(mut stream: BufReader<TcpStream>) -> anyhow::Result<Option<BufReader<TcpStream>>> {
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    stream.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: soak.example\r\n\r\n")?;
    let (mut length, mut stays, mut first) = (0, true, true);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            bail!("the connection ended before the answer did");
        }
        let line = line.trim_end().to_ascii_lowercase();
        if std::mem::take(&mut first) && !line.starts_with("http/1.1 200") {
            bail!("the answer was {line}");
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        stays &= line != "connection: close";
        if line.is_empty() {
            break;
        }
    }
    std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
    Ok(stays.then_some(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_soak_loses_nothing_and_ends_flat() {
        let mut programs = std::env::current_exe().unwrap();
        programs.pop();
        programs.set_file_name("examples");
        // Where only the chores are tested, the programs are built by the soak itself.
        let built = programs.join("bench_proxy").exists().then_some(programs);
        let args = Args { minutes: 1, upgrades: Some(2), programs: built };
        run(&args).unwrap();
    }
}
