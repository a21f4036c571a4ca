//! `cargo xtask bench proxy`: Tidegate's data plane beside HAProxy, nginx and Envoy, in the same
//! run, on the same cores, in turn. Ratios are taken within a round, where all met the same
//! machine. Must never measure one of them while another works.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::Bench;
use super::hits;
use super::load::Load;
use super::machine::Machine;
use super::product::output;
use super::report::{Aim, Report};
use super::rivals::{Field, Rival, shift};
use super::running::{ask, free_addresses, pause};
use super::sample::Sample;

/// Rounds, each with every proxy once.
const ROUNDS: usize = 5;
/// Connections of the closed loop.
const CONNECTIONS: u32 = 64;
/// How long each is loaded before the first round, and in each round, seconds.
const LOADED_SECONDS: u64 = 4;
/// How long the open loop lasts for each in a round.
const PACED: Duration = Duration::from_secs(4);
/// Idle connections whose memory is measured.
const IDLE: usize = 8_000;
/// Services whose tick is timed.
const SERVICES: u64 = 1_000;
/// Ticks after which the slowest counts.
const TICKS: usize = 20;
/// Each service has a request so often, so that no tick is without one.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Most time an answer on a plain socket may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A part that can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Requests a second of a closed loop.
    Throughput,
    /// The slowest of a hundred requests of an open loop.
    Paced,
    /// One large file.
    Large,
    /// Memory of connections that do nothing.
    Idle,
    /// The cost of a split between two revisions.
    Shift,
    /// The tick of a thousand services.
    Tick,
}

/// What one proxy did in one round.
#[derive(Debug, Clone, Copy)]
struct Speed {
    per_second: f64,
    per_cpu_second: f64,
}

/// Measures.
///
/// # Errors
/// When a program is missing or fails.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let scratch = bench.scratch()?;
    let mut report =
        Report::new("proxy", "The data plane beside HAProxy, nginx and Envoy", machine);
    let is_asked = |part: Part| bench.part.is_none_or(|only| only == part);
    let alone = [Part::Shift, Part::Tick].map(Some).contains(&bench.part);
    let field = Field::start(bench, scratch.path(), !alone)?;
    if is_asked(Part::Throughput) {
        throughput(&mut report, &field)?;
    }
    if is_asked(Part::Paced) {
        paced(&mut report, bench, &field, scratch.path())?;
    }
    if is_asked(Part::Large) {
        large(&mut report, &field)?;
    }
    if is_asked(Part::Idle) {
        idle(&mut report, &field)?;
    }
    if is_asked(Part::Shift) {
        mid_shift(&mut report, bench, &field)?;
    }
    if is_asked(Part::Tick) {
        many(&mut report, bench, &field)?;
    }
    if !field.versions.is_empty() {
        report.note(rivals_words(&field.versions));
    }
    report.note(
        "Requests for each CPU-second count the processor time of the proxy alone, so that they \
         mean something on a machine that others use too; requests a second depend on what the \
         others left.",
    );
    report.note(
        "Weight changes and rollbacks under load are measured on pages of their own: \
         [weights](weights.md) and [rollback](rollback.md).",
    );
    report.note(
        "Tidegate's proxy is `bench_proxy`, the same library and allocator as `tidegate proxy \
         run`, built with the profile `dist` that releases are built with. Statistics are on: \
         counters and a latency histogram of every revision.",
    );
    Ok(report)
}

fn rivals_words(versions: &[String]) -> String {
    format!(
        "{}. Each with two threads, the same forwarding headers (`X-Forwarded-For`, `-Host`, \
         `-Proto`, `Forwarded`; Envoy sets its own), keep-alive on both sides, its own statistics \
         and no access log. The backend is nginx with one worker that answers 30 bytes.",
        versions.join(", ")
    )
}

/// Closed loop, small answers.
fn throughput(report: &mut Report, field: &Field) -> anyhow::Result<()> {
    let all: Vec<&Rival> = std::iter::once(&field.backend).chain(&field.rivals).collect();
    let mut speeds: Vec<Vec<Speed>> = vec![Vec::new(); all.len()];
    // Connections, pages of memory and the processor's own memory are there before it counts.
    for rival in &all {
        load(rival, "/")?;
    }
    for _ in 0..ROUNDS {
        for (speeds, rival) in speeds.iter_mut().zip(&all) {
            speeds.push(load(rival, "/")?);
        }
    }
    let of = |name: &str| all.iter().position(|rival| rival.name == name);
    let (haproxy, nginx) = (of("HAProxy").context("none")?, of("nginx").context("none")?);
    for (rival, speeds) in all.iter().zip(&speeds) {
        let name = rival.name;
        let per_second = Sample::of(speeds.iter().map(|speed| speed.per_second));
        report.median(
            &format!("{name}: requests/s, {CONNECTIONS} connections"),
            "",
            Aim::None,
            &per_second,
        );
        let per_cpu = Sample::of(speeds.iter().map(|speed| speed.per_cpu_second));
        report.median(&format!("{name}: requests for each CPU-second"), "", Aim::None, &per_cpu);
    }
    let ours = speeds.len() - 1;
    for (name, other) in [("HAProxy", haproxy), ("nginx", nginx)] {
        let rounds = || speeds[ours].iter().zip(&speeds[other]);
        let ratio = Sample::of(rounds().map(|(a, b)| a.per_second / b.per_second));
        report.median(&format!("Tidegate / {name}: requests/s"), "x", Aim::AtLeast(1.0), &ratio);
        let ratio = Sample::of(rounds().map(|(a, b)| a.per_cpu_second / b.per_cpu_second));
        report.median(&format!("Tidegate / {name}: for each CPU-second"), "x", Aim::None, &ratio);
    }
    Ok(())
}

/// One run of `wrk`, which fails when an answer was none.
fn load(rival: &Rival, path: &str) -> anyhow::Result<Speed> {
    let before = rival.cpu_seconds()?;
    let arguments = [
        "-t1".to_owned(),
        format!("-c{CONNECTIONS}"),
        format!("-d{LOADED_SECONDS}s"),
        format!("http://{}{path}", rival.address),
    ];
    let said = output(Path::new("wrk"), &arguments).context("apt-get install wrk")?;
    let used = rival.cpu_seconds()? - before;
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        bail!("{} did not answer every request: {said}", rival.name);
    }
    let number = |line: &str, at: usize| {
        let line = said.lines().find(|found| found.contains(line))?;
        line.split_whitespace().nth(at)?.parse::<f64>().ok()
    };
    let (all, per_second) = number("requests in", 0)
        .zip(number("Requests/sec:", 1))
        .with_context(|| format!("wrk said: {said}"))?;
    Ok(Speed { per_second, per_cpu_second: all / used })
}

/// Open loop: what each adds to the backend's own p99.
fn paced(report: &mut Report, bench: &Bench, field: &Field, dir: &Path) -> anyhow::Result<()> {
    let all: Vec<&Rival> = std::iter::once(&field.backend).chain(&field.rivals).collect();
    let mut tails: Vec<Vec<f64>> = vec![Vec::new(); all.len()];
    let mut failed = 0;
    for _ in 0..ROUNDS {
        for (tails, rival) in tails.iter_mut().zip(&all) {
            let load = Load::start(bench, rival.address, bench.rate, dir)?;
            pause(PACED);
            let found = load.finish()?;
            failed += hits::failed(&found);
            tails.push(hits::latency_ms(&found, 0, u64::MAX).quantile(0.99));
        }
    }
    let rate = bench.rate;
    report.figure(
        "failed requests of the open loop",
        "",
        Aim::AtMost(0.0),
        super::journal::number(failed),
    );
    for (rival, tails) in all.iter().zip(&tails) {
        let what = format!("{}: p99 at {rate} requests/s", rival.name);
        report.median(&what, "ms", Aim::None, &Sample::of(tails.iter().copied()));
    }
    let ours = tails.last().context("nothing was measured")?;
    let haproxy = &tails[1];
    let ratio = Sample::of(ours.iter().zip(haproxy).map(|(ours, theirs)| ours / theirs));
    report.median("Tidegate / HAProxy: p99", "x", Aim::AtMost(1.0), &ratio);
    Ok(())
}

/// One file of a gigabyte, whole.
fn large(report: &mut Report, field: &Field) -> anyhow::Result<()> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); field.rivals.len()];
    for _ in 0..ROUNDS {
        for (times, rival) in times.iter_mut().zip(&field.rivals) {
            let began = Instant::now();
            let bytes = fetch(rival.address, "/large.bin")?;
            if bytes < 1_000_000_000 {
                bail!("{} sent {bytes} bytes of the large file", rival.name);
            }
            times.push(began.elapsed().as_secs_f64());
        }
    }
    for (rival, times) in field.rivals.iter().zip(&times) {
        let rate = Sample::of(times.iter().map(|seconds| 1_000.0 / seconds));
        report.median(&format!("{}: 1 GB download", rival.name), "MB/s", Aim::None, &rate);
    }
    let ours = times.last().context("nothing was measured")?;
    let ratio = Sample::of(ours.iter().zip(&times[0]).map(|(ours, theirs)| theirs / ours));
    report.median("Tidegate / HAProxy: 1 GB download", "x", Aim::AtLeast(0.9), &ratio);
    Ok(())
}

/// Asks once, and counts the bytes of the answer until the other side closes.
fn fetch(address: SocketAddr, path: &str) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: bench.example\r\nconnection: close\r\n\r\n")?;
    let mut buffer = vec![0; 256 * 1_024];
    let mut all = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(all),
            read => all += read as u64,
        }
    }
}

/// Connections that have asked once and stay.
fn idle(report: &mut Report, field: &Field) -> anyhow::Result<()> {
    for rival in &field.rivals {
        let before = rival.memory_mib()?;
        let mut open = Vec::with_capacity(IDLE);
        for _ in 0..IDLE {
            let mut stream = TcpStream::connect(rival.address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"GET / HTTP/1.1\r\nhost: bench.example\r\n\r\n")?;
            let mut answer = [0; 1_024];
            if stream.read(&mut answer)? == 0 {
                bail!("{} closed a connection that was idle", rival.name);
            }
            open.push(stream);
        }
        pause(Duration::from_secs(2));
        let each = (rival.memory_mib()? - before) * 1_024.0 / 8_000.0;
        let is_ours = rival.name == "Tidegate";
        let aim = if is_ours { Aim::AtMost(60.0) } else { Aim::None };
        report.figure(
            &format!("{}: memory of an idle connection, of {IDLE}", rival.name),
            "KiB",
            aim,
            each,
        );
    }
    Ok(())
}

/// The same load while two revisions share the traffic and every client is new.
fn mid_shift(report: &mut Report, bench: &Bench, field: &Field) -> anyhow::Result<()> {
    let ours = field.ours()?;
    let steady = load(ours, "/")?;
    let origin = field.backend.address;
    let revisions = [format!("b@{origin}"), format!("c@{origin}")];
    shift(bench, &field.socket, ours.address, "change", 2, &revisions)?;
    let shifting = load(ours, "/")?;
    let what =
        "mid-shift, each request a new client with a signed cookie / steady: for each CPU-second";
    report.figure(what, "x", Aim::None, shifting.per_cpu_second / steady.per_cpu_second);
    Ok(())
}

/// The tick of many services: with nothing to count, and with a request for each.
fn many(report: &mut Report, bench: &Bench, field: &Field) -> anyhow::Result<()> {
    let listen = free_addresses(1)?.first().copied().context("no address")?;
    let origin = field.backend.address;
    let revisions = [format!("a@{origin}"), format!("b@{origin}")];
    shift(bench, &field.socket, listen, "services", SERVICES, &revisions)?;
    let over = AtomicBool::new(false);
    let (idle, busy) = std::thread::scope(|scope| {
        let idle = tick_times(&field.socket);
        let users = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                ask_each(listen, SERVICES)?;
                pause(ASK_EVERY.saturating_sub(began.elapsed()));
            }
            anyhow::Ok(())
        });
        let busy = tick_times(&field.socket);
        over.store(true, Ordering::Relaxed);
        let asked = users.join().unwrap_or_else(|_| bail!("the users failed"));
        anyhow::Ok((idle?, asked.and(busy)?))
    })?;
    for (traffic, times) in [("without traffic", idle), ("with two requests each", busy)] {
        let what = format!("tick of {SERVICES} services {traffic}, slowest of {TICKS}");
        report.largest(&what, "ms", Aim::Below(5.0), &times);
    }
    Ok(())
}

fn tick_times(socket: &Path) -> anyhow::Result<Sample> {
    let times = (0..TICKS).map(|_| {
        pause(Duration::from_secs(1));
        pulse_ms(socket)
    });
    Ok(Sample::of(times.collect::<anyhow::Result<Vec<f64>>>()?))
}

/// One request for each of so many services, one after the other on one connection.
fn ask_each(listen: SocketAddr, services: u64) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(listen)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4_096];
    for service in 0..services {
        write!(stream, "GET / HTTP/1.1\r\nhost: s{service}.example\r\n\r\n")?;
        let mut have = 0;
        // The backend's body is known; nothing follows it.
        while !buffer[..have].ends_with(b"thirty bytes\n") {
            match stream.read(&mut buffer[have..])? {
                0 => bail!("service {service} did not answer: {} bytes", have),
                read => have += read,
            }
        }
    }
    Ok(())
}

/// How long the last tick took to cut.
fn pulse_ms(socket: &Path) -> anyhow::Result<f64> {
    let (_, text) = ask(socket, "GET", "/metrics", "")?;
    let line = text.lines().find_map(|line| line.strip_prefix("tidegate_proxy_pulse_seconds "));
    let seconds = line.and_then(|text| text.trim().parse::<f64>().ok());
    Ok(seconds.context("no metric of the tick")? * 1_000.0)
}
