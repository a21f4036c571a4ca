//! The control plane of a benchmark: it shifts traffic on a proxy's socket, and says when.
//! Must never send a table before the one before it was acknowledged.
//!
//! - `bench_shift weights SOCKET LISTEN COUNT EVERY_MS NAME@ADDRESS ...`: each table divides
//!   requests between two neighbours of the ring of revisions, and the next table moves on by one,
//!   with other weights: one revision leaves, one stays with another share, one comes.
//! - `bench_shift change SOCKET LISTEN GENERATION 1 NAME@ADDRESS NAME@ADDRESS`: one table.
//! - `bench_shift steady SOCKET LISTEN 0 1 NAME@ADDRESS`: one table, everything to one revision.
//! - `bench_shift tls:DIR SOCKET LISTEN 0 1 NAME@ADDRESS`: the same over TLS, as a service of its
//!   own with the certificate `shop.pem` and the key `shop.key` of that directory.
//! - `bench_shift services SOCKET LISTEN COUNT 1 NAME@ADDRESS NAME@ADDRESS`: so many services.
//! - `bench_shift rollbacks SOCKET LISTEN COUNT EVERY_MS LIVE@ADDRESS CANDIDATE@ADDRESS`: a table
//!   with half and half, then a rollback at the proxy's own socket, again and again.
//!
//! Prints a line a change, times in microseconds since 1970: `table GENERATION SENT ACKED
//! REVISION,REVISION` and `rollback GENERATION SENT ACKED FALLBACK`. `weights` sends one table more
//! than COUNT: generation 1, which is no change; `rollbacks` begins with generation 2.

#![expect(clippy::print_stdout, reason = "a program whose output is read by another")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tidegate_proxy::wire::{
    Ack, Backend, Certificate, PATH_ROLLBACK, PATH_TABLE, RollbackRequest, Share, Table,
    TableParts, Tls, Weight,
};
use tokio::net::UnixStream;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

/// The service of the tables.
const SERVICE: &str = "bench/web";
/// A proxy that has not answered by then has failed the benchmark.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The smaller share of a table is at least this many basis points, so that requests meet both.
const SHARE_MIN: u64 = 2_000;

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [verb, socket, listen, count, every_ms, revisions @ ..] = words.as_slice() else {
        return Err(
            "usage: bench_shift weights|change|steady|tls:DIR|services|rollbacks SOCKET LISTEN COUNT EVERY_MS NAME@ADDRESS ..."
                .into(),
        );
    };
    let revisions = revisions.iter().map(|word| {
        let (name, address) = word.split_once('@').ok_or("a revision is NAME@ADDRESS")?;
        Ok((name.to_owned(), address.parse()?))
    });
    let mut every = interval(Duration::from_millis(every_ms.parse()?));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shift = Shift {
        socket: PathBuf::from(socket),
        listen: listen.parse()?,
        revisions: revisions.collect::<Result<_, Failed>>()?,
        every,
    };
    match verb.as_str() {
        "weights" => shift.weights(count.parse()?).await,
        "steady" => shift.steady().await,
        "change" => shift.change(count.parse()?).await,
        "services" => shift.services(count.parse()?).await,
        "rollbacks" => shift.rollbacks(count.parse()?).await,
        other => match other.strip_prefix("tls:") {
            Some(directory) => shift.tls(directory).await,
            None => Err(format!("no verb {other}").into()),
        },
    }
}

#[derive(Debug)]
struct Shift {
    socket: PathBuf,
    listen: SocketAddr,
    revisions: Vec<(String, SocketAddr)>,
    every: Interval,
}

impl Shift {
    async fn weights(&mut self, count: u64) -> Result<(), Failed> {
        for generation in 1..=count + 1 {
            self.every.tick().await;
            let first = usize::try_from(generation)? % self.revisions.len();
            let second = (first + 1) % self.revisions.len();
            let range = 10_000 - 2 * SHARE_MIN;
            let share = u16::try_from(SHARE_MIN + generation * 997 % (range + 1))?;
            let shares = [(first, share), (second, 10_000 - share)];
            self.put(self.table(generation, &shares)?).await?;
        }
        Ok(())
    }

    /// Many services on one address, each with a host and revisions of its own.
    async fn services(&mut self, count: u64) -> Result<(), Failed> {
        for service in 0..count {
            let mut parts = self.table(1, &[(0, 5_000), (1, 5_000)])?;
            parts.service = format!("bench/{service}");
            parts.routes[0].host = Some(format!("s{service}.example"));
            self.put(parts).await?;
        }
        Ok(())
    }

    /// The table of that generation, divided between two.
    async fn change(&mut self, generation: u64) -> Result<(), Failed> {
        let share = u16::try_from(SHARE_MIN + generation * 997 % (10_000 - 2 * SHARE_MIN))?;
        self.put(self.table(generation, &[(0, share), (1, 10_000 - share)])?).await
    }

    async fn steady(&mut self) -> Result<(), Failed> {
        self.put(self.table(1, &[(0, 10_000)])?).await
    }

    async fn tls(&mut self, directory: &str) -> Result<(), Failed> {
        let mut parts = self.table(1, &[(0, 10_000)])?;
        parts.service = format!("{SERVICE}-tls");
        let chain = format!("{directory}/shop.pem");
        let key = format!("{directory}/shop.key");
        let certificates = vec![Certificate::Files { chain, key }];
        parts.tls = Some(Tls { certificates, redirect_from: None });
        self.put(parts).await
    }

    async fn rollbacks(&mut self, count: u64) -> Result<(), Failed> {
        let mut acknowledged = None;
        // Generation 1 is the table that the load was tried on.
        for generation in 2..=count + 1 {
            self.every.tick().await;
            let mut parts = self.table(generation, &[(0, 5_000), (1, 5_000)])?;
            let (live, _) = self.revisions.first().ok_or("a live revision is needed")?;
            let fallback = Share { revision: live.clone(), weight: Weight::FULL };
            parts.fallback = Some(vec![fallback]);
            parts.acknowledges_override = acknowledged;
            self.put(parts).await?;
            self.every.tick().await;
            let order = RollbackRequest {
                service: SERVICE.to_owned(),
                actor: "bench".to_owned(),
                reason: "to measure it".to_owned(),
            };
            let body = serde_json::to_vec(&order)?;
            let (sent, acked, ack) = self.call(Method::POST, PATH_ROLLBACK, body).await?;
            acknowledged = ack.in_override.map(|in_override| in_override.sequence);
            println!("rollback {generation} {sent} {acked} {}", self.revisions[0].0);
        }
        self.every.tick().await;
        Ok(())
    }

    fn table(&self, generation: u64, shares: &[(usize, u16)]) -> Result<TableParts, Failed> {
        let backends = shares.iter().map(|(at, basis_points)| {
            let (name, endpoint) = self.revisions.get(*at).ok_or("too few revisions")?;
            let weight = Weight::new(*basis_points).ok_or("a share above the whole")?;
            Ok(Backend::plain(name, weight, *endpoint))
        });
        let backends = backends.collect::<Result<_, Failed>>()?;
        let limits_ms = vec![250.0, 500.0];
        let plain = TableParts::plain(SERVICE, self.listen, backends);
        Ok(TableParts { generation, limits_ms, ..plain })
    }

    async fn put(&self, parts: TableParts) -> Result<(), Failed> {
        let generation = parts.generation;
        let named: Vec<&str> = parts.backends.iter().map(|b| b.revision.as_str()).collect();
        let named = named.join(",");
        let body = serde_json::to_vec(&Table::seal(parts)?)?;
        let (sent, acked, ack) = self.call(Method::PUT, PATH_TABLE, body).await?;
        if ack.generation != generation {
            return Err(format!("{} was acknowledged for {generation}", ack.generation).into());
        }
        println!("table {generation} {sent} {acked} {named}");
        Ok(())
    }

    /// When the request was given away, when its answer was there, and the answer.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(u64, u64, Ack), Failed> {
        let mut connection = self.connect().await?;
        let request = Request::builder().method(method).uri(path).header("host", "proxy");
        let request = request.body(Full::new(Bytes::from(body)))?;
        let sent = now_us();
        let response = timeout(ANSWER_WITHIN, connection.send_request(request)).await??;
        let status = response.status();
        let bytes = timeout(ANSWER_WITHIN, response.into_body().collect()).await??.to_bytes();
        let acked = now_us();
        if status != StatusCode::OK {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&bytes)).into());
        }
        Ok((sent, acked, serde_json::from_slice(&bytes)?))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failed> {
        let socket = UnixStream::connect(&self.socket).await?;
        let (sender, connection) = handshake(TokioIo::new(socket)).await?;
        // How a connection ends shows in the request that is on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
