//! Raw heads and bodies against the guard, whole and byte by byte.

use super::{Guard, Pass};

/// Feeds whole, then byte by byte: both must agree. A line that is too long may be refused
/// sooner when it comes in pieces.
fn feed(stream: &[u8]) -> Pass {
    let whole = Guard::new().feed(stream);
    let mut guard = Guard::new();
    let mut single = Pass::All;
    for (index, byte) in stream.iter().enumerate() {
        match guard.feed(&[*byte]) {
            Pass::All => {}
            Pass::Refuse(0) => {
                single = Pass::Refuse(index);
                break;
            }
            Pass::Hold(0) => {
                single = Pass::Hold(index);
                break;
            }
            other => panic!("{other:?} for one byte"),
        }
    }
    let agree = match (whole, single) {
        (Pass::Refuse(whole), Pass::Refuse(single)) => single <= whole,
        (whole, single) => whole == single,
    };
    assert!(agree, "{whole:?} {single:?} {}", String::from_utf8_lossy(stream));
    whole
}

fn head(lines: &str) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.replace('\n', "\r\n")).into_bytes()
}

#[test]
fn ordinary_requests_pass() {
    for lines in [
        "GET / HTTP/1.1\nHost: a",
        "GET /a?b=c%20d HTTP/1.1\nHost: a.example:8080\nAccept: */*",
        "GET / HTTP/1.1\nHost: [::1]:80",
        "GET http://a/x HTTP/1.1\nHost: A",
        "OPTIONS * HTTP/1.1\nHost: a",
        "GET / HTTP/1.0",
        "GET / HTTP/1.1\nHost: a\nUpgrade: h2c\nConnection: Upgrade, HTTP2-Settings",
    ] {
        assert_eq!(feed(&head(lines)), Pass::All, "{lines}");
    }
}

#[test]
fn pipelined_requests_with_bodies_are_followed() {
    let mut stream = head("POST / HTTP/1.1\nHost: a\nContent-Length: 5");
    stream.extend(b"G\n\r\n ");
    stream.extend(head("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked"));
    stream.extend(
        b"a\r\n0123456789\r\n1F\r\n0123456789012345678901234567890\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    stream.extend(head("GET /second HTTP/1.1\nHost: a"));
    assert_eq!(feed(&stream), Pass::All);
    let end = stream.len();
    stream.extend(head("GET /third HTTP/1.1"));
    assert_eq!(feed(&stream), Pass::Refuse(end + 22));
}

#[test]
fn ambiguous_heads_are_refused() {
    for lines in [
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\nHost: a\nHost: a",
        "GET / HTTP/1.1\nHost: a@evil",
        "GET / HTTP/1.1\nHost: a:99999",
        "GET / HTTP/1.1\nHost:",
        "CONNECT a:80 HTTP/1.1\nHost: a",
        "GET http://b/ HTTP/1.1\nHost: a",
        "GET /#x HTTP/1.1\nHost: a",
        "GET /\u{e4} HTTP/1.1\nHost: a",
        "GET  / HTTP/1.1\nHost: a",
        "GET / HTTP/1.32\nHost: a",
        "GET / HTTP/2.0\nHost: a",
        "GET / HTTP/1.1\nHost: a\nContent-Length : 3",
        "GET / HTTP/1.1\nHost: a\n: x",
        "GET / HTTP/1.1\nHost: a\n folded",
        "GET / HTTP/1.1\nHost: a\nNoColon",
        "GET / HTTP/1.1\nHost: a\nX: \0",
        "GET / HTTP/1.1\nHost: a\nX: a\rb",
        "GET / HTTP/1.1\nHost: a\nExpect: 200-ok",
        "\nGET / HTTP/1.1\nHost: a",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 3",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: ,chunked",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, chunked",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: identity",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: \u{b}chunked",
        "POST / HTTP/1.1\nHost: a\nTransfer_Encoding: chunked",
        "POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\nHost: a\nContent-Length: +3",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 010",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3, 3",
        "POST / HTTP/1.1\nHost: a\nContent-Length: ",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 3",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 18446744073709551616",
    ] {
        let stream = head(lines);
        assert!(matches!(feed(&stream), Pass::Refuse(_)), "{lines:?}");
    }
    assert!(matches!(feed(b"GET / HTTP/1.1\nHost: a\n\n"), Pass::Refuse(14)));
}

#[test]
fn ambiguous_chunks_are_refused() {
    for body in [
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "3;a=b\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcXX0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "0000000000000000003\r\nabc\r\n0\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\nContent-Length: 3\r\n\r\n",
        "0\r\nX: y\n\r\n",
    ] {
        let mut stream = head("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked");
        stream.extend(body.as_bytes());
        assert!(matches!(feed(&stream), Pass::Refuse(_)), "{body:?}");
    }
}

#[test]
fn bytes_after_an_upgrade_request_are_held() {
    let mut stream =
        head("GET / HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: websocket");
    let end = stream.len();
    assert_eq!(feed(&stream), Pass::All);
    stream.extend(b"GET /smug HTTP/1.1\r\n");
    assert_eq!(feed(&stream), Pass::Hold(end));
}

#[test]
fn a_head_past_its_limit_is_refused() {
    let mut stream = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    stream.resize(super::HEAD_BYTES + 1, b'x');
    assert!(matches!(feed(&stream), Pass::Refuse(_)));
    let many = format!("GET / HTTP/1.1\nHost: a{}", "\nA: b".repeat(100));
    assert!(matches!(feed(&head(&many)), Pass::Refuse(_)));
}
