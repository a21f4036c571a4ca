//! The smallest application that can be deployed: answers HTTP on `$PORT` with what the files of
//! its release say. For tests only; it must never need anything but the standard library.
//!
//! `answer` is the body of every response. `behaviour` has one word and a number a line:
//! `fail 30` answers 30 % of the requests with 500, `sick 1` fails `/health`, `crash 100` ends the
//! process at the hundredth request, `silent 1` never listens.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the release is like.
struct Release {
    answer: String,
    behaviour: BTreeMap<String, u64>,
    served: AtomicU64,
}

fn main() -> std::io::Result<()> {
    let behaviour = fs::read_to_string("behaviour").unwrap_or_default();
    let behaviour = behaviour.lines().filter_map(|line| {
        let (word, number) = line.split_once(' ')?;
        Some((word.to_owned(), number.trim().parse().ok()?))
    });
    let release = Arc::new(Release {
        answer: fs::read_to_string("answer").unwrap_or_default(),
        behaviour: behaviour.collect(),
        served: AtomicU64::new(0),
    });
    if release.behaviour.contains_key("silent") {
        loop {
            std::thread::park();
        }
    }
    let port = std::env::var("PORT").map_err(std::io::Error::other)?;
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    for stream in listener.incoming() {
        let release = Arc::clone(&release);
        let stream = stream?;
        // A client that left is no reason to end.
        std::thread::spawn(move || drop(answer(&release, stream)));
    }
    Ok(())
}

fn answer(release: &Release, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let count = release.served.fetch_add(1, Ordering::Relaxed) + 1;
        if release.behaviour.get("crash").is_some_and(|limit| count >= *limit) {
            std::process::abort();
        }
        let sick = release.behaviour.contains_key("sick") && request.contains("/health");
        let share = release.behaviour.get("fail").copied().unwrap_or(0);
        // Spread evenly over each hundred, so that a small sample has its share too.
        let fails = !request.contains("/health") && count * 37 % 100 < share;
        let status = if sick || fails { "500 Bad" } else { "200 OK" };
        let body = &release.answer;
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}
