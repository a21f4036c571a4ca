//! What strangers and control planes send, made up: request heads and bodies, HTTP/2 frames, route
//! tables. `cargo test` plays a second of each; `cargo xtask fuzz` plays as long as it is told.
//! Each target holds what it fuzzes against something else, never only against a panic.

use tokio::time::Instant;

use crate::frames::Account;
use crate::validate::{Guard, Pass};
use crate::wire::{Backend, Protocol, Route, Share, Table, TableParts, UncheckedTable, Weight};

/// What heads are made of: bytes alone would never get past the method.
const PIECES: [&str; 40] = [
    "GET",
    "POST",
    "OPTIONS",
    "CONNECT",
    " ",
    "/",
    "*",
    "http://",
    "a",
    "HTTP/1.1",
    "HTTP/1.0",
    "\r\n",
    "\n",
    "\r",
    ":",
    ": ",
    "Host",
    "Host: a\r\n",
    "Content-Length",
    "Content-Length: 3\r\n",
    "Transfer-Encoding",
    "Transfer-Encoding: chunked\r\n",
    "chunked",
    ",",
    "Connection: upgrade\r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "0",
    "3",
    "abc",
    "F",
    "\t",
    "\0",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "_",
    "x=y;",
    "\u{7f}",
    "#",
];

fn stream(pieces: &[(u8, u8)]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (piece, byte) in pieces {
        match PIECES.get(usize::from(*piece) % (PIECES.len() + 2)) {
            Some(piece) => stream.extend_from_slice(piece.as_bytes()),
            None => stream.push(*byte),
        }
    }
    stream
}

/// How far a stream passes when it is shown in pieces of these sizes.
fn verdict(stream: &[u8], sizes: &[u8]) -> Pass {
    let mut guard = Guard::new();
    let mut from = 0;
    let mut sizes = sizes.iter().map(|size| usize::from(*size) % 16 + 1).cycle();
    while from < stream.len() {
        let size = sizes.next().unwrap_or(1);
        let piece = &stream[from..stream.len().min(from + size)];
        match guard.feed(piece) {
            Pass::All => from += piece.len(),
            Pass::Refuse(at) => return Pass::Refuse(from + at),
            Pass::Hold(at) => return Pass::Hold(from + at),
        }
    }
    Pass::All
}

#[test]
fn request_heads() {
    bolero::check!().with_type::<(Vec<(u8, u8)>, Vec<u8>)>().for_each(|(pieces, sizes)| {
        let stream = stream(pieces);
        let whole = Guard::new().feed(&stream);
        let pieced = verdict(&stream, sizes);
        match (whole, pieced) {
            // A line that is too long may be refused sooner when it comes in pieces.
            (Pass::Refuse(whole), Pass::Refuse(pieced)) => assert!(pieced <= whole),
            (whole, pieced) => assert_eq!(whole, pieced),
        }
        // What passes means one thing to another parser: the same first head, to the same byte.
        let passed = match whole {
            Pass::All => stream.len(),
            Pass::Hold(at) => at,
            Pass::Refuse(_) => return,
        };
        let Some(end) = stream[..passed].windows(4).position(|four| four == b"\r\n\r\n") else {
            return;
        };
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&stream[..passed]);
        assert_eq!(parsed, Ok(httparse::Status::Complete(end + 4)), "{stream:?}");
        let lines = stream[..end].windows(2).filter(|two| *two == b"\r\n").count();
        assert_eq!(request.headers.len(), lines);
    });
}

#[test]
fn http2_frames() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(stream, sizes)| {
        let now = Instant::now();
        let mut whole = Account::new();
        let passes = whole.feed(stream, now);
        let mut pieced = Account::new();
        let mut left = stream.as_slice();
        let mut all = true;
        let mut sizes = sizes.iter().map(|size| usize::from(*size) % 16 + 1).cycle();
        while !left.is_empty() {
            let (piece, rest) = left.split_at(left.len().min(sizes.next().unwrap_or(1)));
            all &= pieced.feed(piece, now);
            left = rest;
        }
        assert_eq!(passes, all);
    });
}

fn sealed() -> Table {
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let backend = |revision: &str, weight: u16, port: u16| Backend {
        protocol: Protocol::H2c,
        ..Backend::plain(revision, Weight::new(weight).unwrap(), at(port))
    };
    let backends = vec![backend("live", 9_500, 1), backend("candidate", 500, 2)];
    Table::seal(TableParts {
        epoch: 3,
        generation: 7,
        routes: vec![Route { host: Some("shop.example".into()), path_prefix: "/".into() }],
        fallback: Some(vec![Share { revision: "live".into(), weight: Weight::FULL }]),
        lease_ms: Some(60_000),
        limits_ms: vec![200.0, 500.0],
        ..TableParts::plain("shop/web", at(8_080), backends)
    })
    .unwrap()
}

#[test]
fn route_tables() {
    let original = sealed();
    let text = serde_json::to_vec(&original).unwrap();
    // Bytes put over those of a valid table: whatever still decodes is the same table.
    bolero::check!().with_type::<Vec<(u16, u8)>>().for_each(|changes| {
        let mut text = text.clone();
        for (at, byte) in changes {
            let at = usize::from(*at) % text.len();
            text[at] = *byte;
        }
        let Ok(unchecked) = serde_json::from_slice::<UncheckedTable>(&text) else {
            return;
        };
        if let Ok(table) = unchecked.verify() {
            assert_eq!(table.checksum(), original.checksum());
            assert_eq!(table.fence(), original.fence());
            let sum: u16 = table.shares().iter().map(|share| share.weight.basis_points()).sum();
            assert_eq!(sum, 10_000);
        }
    });
}
