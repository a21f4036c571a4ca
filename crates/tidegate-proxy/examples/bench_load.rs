//! The users of a benchmark: an open loop of requests at a fixed rate.
//!
//! The time of each request is set before the loop knows how the one before it went, and latency
//! counts from that time: a proxy that stalls meets every request that it would have met.
//! Must never repeat a request, and never leave one without a record.
//!
//! `bench_load ADDRESS RATE FILE` runs until its standard input ends, then writes one line a
//! request: `INTENDED SENT ENDED STARTED STATUS REVISION`, times in microseconds since 1970.
//! STARTED is what the application says, 0 when none answered; STATUS is 0 without a response.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A user who has no whole answer so long after the intended time goes away.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests under way at once, each on a connection of its own: below the usual 1,024 open files.
const IN_FLIGHT_MAX: usize = 800;
/// A connection is not used again after so much rest: the proxy may be closing it.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// One request in so many comes on a fresh connection, as from a new user.
const FRESH_EVERY: u64 = 50;
/// Records of half an hour at 2,000 requests a second; past it the program ends with an error.
const RECORDS_MAX: usize = 3_600_000;

type Failed = Box<dyn Error + Send + Sync>;

#[derive(Debug)]
struct Record {
    intended_us: u64,
    sent_us: u64,
    ended_us: u64,
    started_us: u64,
    status: u16,
    revision: String,
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, file] = words.as_slice() else {
        return Err("usage: bench_load ADDRESS RATE FILE".into());
    };
    let mut out = BufWriter::new(File::create(file)?);
    let records = pace(address.parse()?, rate.parse::<u64>()?.max(1)).await?;
    for record in records {
        let Record { intended_us, sent_us, ended_us, started_us, status, revision } = record;
        writeln!(out, "{intended_us} {sent_us} {ended_us} {started_us} {status} {revision}")?;
    }
    Ok(out.flush()?)
}

/// Sends until standard input ends, and waits for every answer.
async fn pace(address: SocketAddr, rate: u64) -> Result<Vec<Record>, Failed> {
    let users =
        Arc::new(Users { address, idle: Mutex::default(), places: Semaphore::new(IN_FLIGHT_MAX) });
    let (records, mut received) = mpsc::unbounded_channel();
    let keep = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(record) = received.recv().await {
            kept.push(record);
        }
        kept
    });
    let (began, began_us) = (Instant::now(), now_us());
    let mut end = tokio::spawn(async { tokio::io::stdin().read(&mut [0; 1]).await });
    let mut under_way = JoinSet::new();
    let mut sent = 0;
    while !end.is_finished() {
        let due = micros(began.elapsed()) * rate / 1_000_000 + 1;
        while sent < due {
            let offset_us = sent * 1_000_000 / rate;
            let (users, records) = (Arc::clone(&users), records.clone());
            let intended = began + Duration::from_micros(offset_us);
            under_way.spawn(async move {
                let record = users.ask(sent, intended, began_us + offset_us).await;
                // The receiver ends after the last sender.
                drop(records.send(record));
            });
            sent += 1;
        }
        if usize::try_from(sent)? > RECORDS_MAX {
            return Err("more records than fit".into());
        }
        while under_way.try_join_next().is_some() {}
        let next = began + Duration::from_micros(sent * 1_000_000 / rate);
        tokio::select! {
            _closed = &mut end => break,
            () = sleep_until(next) => {}
        }
    }
    drop(records);
    while under_way.join_next().await.is_some() {}
    Ok(keep.await?)
}

#[derive(Debug)]
struct Users {
    address: SocketAddr,
    /// Newest last; held for a push or a pop only.
    idle: Mutex<Vec<(Connection, Instant)>>,
    places: Semaphore,
}

type Connection = SendRequest<Empty<Bytes>>;

impl Users {
    async fn ask(&self, number: u64, intended: Instant, intended_us: u64) -> Record {
        let sent_us = now_us();
        let place = self.places.try_acquire();
        let answer = match place {
            Ok(_) => timeout_at(intended + PATIENCE, self.exchange(number)).await.ok(),
            Err(_) => None,
        };
        let (status, headers) = answer.and_then(Result::ok).unwrap_or_default();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Record {
            intended_us,
            sent_us,
            ended_us: now_us(),
            started_us: text("x-started-us").and_then(|us| us.parse().ok()).unwrap_or_default(),
            status,
            revision: text("x-revision").unwrap_or("-").to_owned(),
        }
    }

    /// Status and headers, once the whole body is there.
    async fn exchange(&self, number: u64) -> Result<(u16, HeaderMap), Failed> {
        let rested = if number.is_multiple_of(FRESH_EVERY) { None } else { self.rested() };
        let mut connection = match rested {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let request = Request::get("/").header("host", "bench.example").body(Empty::new())?;
        let (head, body) = connection.send_request(request).await?.into_parts();
        body.collect().await?;
        if connection.ready().await.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((connection, Instant::now()));
        }
        Ok((head.status.as_u16(), head.headers))
    }

    fn rested(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| !connection.is_closed() && since.elapsed() < IDLE_MAX);
        idle.pop().map(|(connection, _)| connection)
    }

    async fn connect(&self) -> Result<Connection, Failed> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        // How a connection ends shows in the request that is on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

fn now_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
