//! A small web application that can misbehave on demand, for the tests of the drivers.
//! Speaks just enough HTTP. Must never be part of the product.
//!
//! `--ignore-term --print-mb N --wrong-port --never-listen --fork-away --double-fork
//! --crash-after-ms N --leak-mb N --burn --announce FILE --listen-after-ms N`

#![expect(clippy::print_stdout, reason = "its output is what the tests look at")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

type Answer = (u16, Vec<(&'static str, String)>, String);

fn main() -> ExitCode {
    let mut flags: BTreeMap<String, String> = BTreeMap::new();
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some(flag) = arguments.next() {
        let value = arguments.next_if(|next| !next.starts_with("--")).unwrap_or_default();
        flags.insert(flag, value);
    }
    match serve(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "tinyapp: {error}"));
            ExitCode::from(3)
        }
    }
}

fn number(flags: &BTreeMap<String, String>, flag: &str) -> Option<u64> {
    flags.get(flag)?.parse().ok()
}

fn forever() {
    pause(600_000);
}

// Nobody ever sends: the receiver waits out its time.
fn pause(ms: u64) {
    let (sender, receiver) = mpsc::channel::<()>();
    let waited = receiver.recv_timeout(Duration::from_millis(ms));
    drop(sender);
    std::hint::black_box(waited.is_ok());
}

fn child(extra: &[&str]) -> std::io::Result<()> {
    let me = std::env::current_exe()?;
    // `setsid` comes with every Debian; the child leaves group and session.
    Command::new("setsid").arg(me).args(extra).stdin(Stdio::null()).spawn()?;
    Ok(())
}

fn serve(flags: &BTreeMap<String, String>) -> std::io::Result<()> {
    let has = |flag: &str| flags.contains_key(flag);
    if has("--ignore-term") && !has("--trapped") {
        // Exec through a shell that ignores SIGTERM: ignored signals stay ignored.
        let me = std::env::current_exe()?;
        let mut rest: Vec<String> = std::env::args().skip(1).collect();
        rest.push("--trapped".to_owned());
        return Err(Command::new("/bin/sh")
            .args(["-c", "trap '' TERM; exec \"$0\" \"$@\""])
            .arg(me)
            .args(rest)
            .exec());
    }
    if has("--lurk") {
        forever();
        return Ok(());
    }
    if has("--fork-away") {
        child(&["--lurk"])?;
    }
    if has("--double-fork") {
        child(&["--lurk"])?;
        return Ok(());
    }
    if let Some(ms) = number(flags, "--crash-after-ms") {
        thread::spawn(move || {
            pause(ms);
            println!("crashing on purpose");
            std::process::abort();
        });
    }
    if let Some(mb) = number(flags, "--print-mb") {
        thread::spawn(move || flood(mb));
    }
    if has("--burn") {
        thread::spawn(|| {
            let mut x = 0_u64;
            while x < u64::MAX {
                x = std::hint::black_box(x + 1);
            }
        });
    }
    let leaked = number(flags, "--leak-mb").map(|mb| vec![1_u8; (mb as usize) << 20]);
    std::hint::black_box(&leaked);
    if has("--never-listen") {
        forever();
        return Ok(());
    }
    if has("--worker") {
        println!("working");
        forever();
        return Ok(());
    }
    if let Some(ms) = number(flags, "--listen-after-ms") {
        pause(ms);
    }
    let port: u16 = match std::env::var("PORT") {
        Ok(port) if !has("--wrong-port") => port.parse().unwrap_or(0),
        _ => 0,
    };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on {}", listener.local_addr()?);
    let sessions = Arc::new(Mutex::new(0_u32));
    for stream in listener.incoming() {
        let sessions = Arc::clone(&sessions);
        let stream = stream?;
        thread::spawn(move || drop(converse(&stream, &sessions)));
    }
    Ok(())
}

fn flood(mb: u64) {
    let line = [b'x'; 1023];
    let mut chunk = Vec::new();
    for _ in 0..64 {
        chunk.extend_from_slice(&line);
        chunk.push(b'\n');
    }
    let mut out = std::io::stdout();
    for _ in 0..mb * 16 {
        if out.write_all(&chunk).is_err() {
            return;
        }
    }
    drop(writeln!(out, "flood over"));
}

fn converse(stream: &TcpStream, sessions: &Mutex<u32>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let words: Vec<&str> = request.split_ascii_whitespace().collect();
        let [method, path, ..] = words[..] else { return Ok(()) };
        let (status, extra, text) = answer(method, path, &headers, &body, sessions);
        write!(writer, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", text.len())?;
        for (name, value) in extra {
            write!(writer, "{name}: {value}\r\n")?;
        }
        write!(writer, "\r\n{text}")?;
        writer.flush()?;
    }
}

fn answer(
    method: &str,
    path: &str,
    headers: &BTreeMap<String, String>,
    body: &str,
    sessions: &Mutex<u32>,
) -> Answer {
    let cookie = headers.get("cookie").map_or("", String::as_str);
    match (method, path) {
        ("GET", "/health") => (200, vec![("x-app", "tiny".to_owned())], "all well".to_owned()),
        ("GET", "/sick") => (500, Vec::new(), "all ill".to_owned()),
        ("GET", "/slow") => {
            pause(400);
            (200, Vec::new(), "late".to_owned())
        }
        ("GET", "/redirect") => {
            (302, vec![("location", "http://127.0.0.1:1/elsewhere".to_owned())], String::new())
        }
        ("POST", "/login") if body == "password=s3cret&user=ada" => {
            if let Ok(mut open) = sessions.lock() {
                *open += 1;
            }
            let text = r#"{"token":"t-77","user":{"roles":["admin","dev"]}}"#.to_owned();
            (200, vec![("set-cookie", "session=c00kie; Path=/".to_owned())], text)
        }
        ("GET", "/me") if cookie.contains("session=c00kie") => {
            (200, Vec::new(), format!("<b id=\"x\">{cookie}</b>"))
        }
        ("GET", "/me") => (401, Vec::new(), "who are you".to_owned()),
        ("POST", "/upload") => (201, Vec::new(), format!("{} bytes: {body}", body.len())),
        ("PUT", "/item/t-77") => (200, vec![("etag", "e-1".to_owned())], body.to_owned()),
        ("DELETE", "/session/t-77") => {
            if let Ok(mut open) = sessions.lock() {
                *open = open.saturating_sub(1);
            }
            (204, Vec::new(), String::new())
        }
        ("GET", "/sessions") => {
            let open = sessions.lock().map_or(99, |open| *open);
            (200, Vec::new(), format!("{{\"open\":{open}}}"))
        }
        ("GET", "/env") => {
            let names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            (200, Vec::new(), names.join(","))
        }
        ("GET", "/pid") => (200, Vec::new(), std::process::id().to_string()),
        _ => (404, Vec::new(), "no such thing".to_owned()),
    }
}
