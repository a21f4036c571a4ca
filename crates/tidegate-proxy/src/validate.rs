//! The strict validator in front of hyper: decides from raw bytes whether a client's stream is
//! framed without doubt. It must never repair anything: what is ambiguous is refused.
//!
//! hyper drops or merges some contradictions before a request can be seen (`Content-Length`
//! beside `Transfer-Encoding`, bare line feeds, `chunked, chunked`), so the check sits below it:
//! `tap.rs` shows every byte to [`Guard`] first. The guard follows the framing of the whole
//! stream on its own, so that the head of a pipelined request is recognised as a head.
//!
//! Where a head or a chunk is refused, the byte at fault is replaced by NUL, which no part of a
//! head or a chunk size may hold: hyper answers 400 in its turn and closes.

use http::HeaderMap;
use memchr::{memchr, memchr_iter};

/// Longest request head, in bytes. Browsers stay below 16 KiB.
pub(crate) const HEAD_BYTES: usize = 32 * 1_024;
/// Most header lines of one head; hyper's own limit without a heap allocation a request.
const HEADER_LINES: usize = 100;
/// Longest request target, bytes: what most servers read at most, so that nobody behind the proxy
/// has to refuse or cut what it let in.
const TARGET_BYTES: usize = 8 * 1_024;
/// Longest chunk-size line: 15 hexadecimal digits stay below 2^60. Extensions are refused.
const CHUNK_DIGITS: usize = 15;
/// Longest `Content-Length`, in digits; 18 stay below 2^63.
const LENGTH_DIGITS: usize = 18;

/// What to do with the bytes just shown to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// All of them are in order.
    All,
    /// Replace the byte at this index by NUL and drop what follows, for ever.
    Refuse(usize),
    /// Bytes from this index on follow an upgrade request; nobody may read them before the
    /// answer is known.
    Hold(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    Length(u64),
    ChunkSize,
    ChunkBytes(u64),
    ChunkEnd,
    Trailers,
    Upgrade,
    Refused,
}

/// Follows one client connection.
#[derive(Debug)]
pub(crate) struct Guard {
    at: At,
    /// The unfinished head, size line or trailer section.
    partial: Vec<u8>,
}

/// How the body of a request is framed, and whether the request asks for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    Upgrade,
}

/// A head that is not accepted. The reason is for tests and logs; the client learns 400 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous(pub(crate) &'static str);

impl Guard {
    pub(crate) const fn new() -> Self {
        Self { at: At::Head, partial: Vec::new() }
    }

    /// Shows the next bytes of the stream.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Pass {
        let mut from = 0;
        while let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) {
            let step = match self.at {
                At::Head => self.lines(rest, HEAD_BYTES, Self::end_head),
                At::Trailers => self.lines(rest, HEAD_BYTES, Self::end_trailers),
                At::ChunkSize => self.size_line(rest),
                At::Length(left) => Ok(self.skip(left, rest.len(), At::Length, At::Head)),
                At::ChunkBytes(left) => {
                    Ok(self.skip(left, rest.len(), At::ChunkBytes, At::ChunkEnd))
                }
                At::ChunkEnd => self.chunk_end(rest),
                At::Upgrade => return Pass::Hold(from),
                At::Refused => Err(0),
            };
            match step {
                Ok(taken) => from += taken,
                Err(fault) => {
                    self.at = At::Refused;
                    return Pass::Refuse(from + fault);
                }
            }
        }
        Pass::All
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.at == At::Refused
    }

    /// Whether more of a message is to come, or would come after one that was refused.
    pub(crate) fn is_within(&self) -> bool {
        self.at != At::Head || !self.partial.is_empty()
    }

    fn skip(&mut self, left: u64, have: usize, more: fn(u64) -> At, done: At) -> usize {
        let take = usize::try_from(left).map_or(have, |left| left.min(have));
        let left = left - take as u64;
        self.at = if left == 0 { done } else { more(left) };
        take
    }

    /// Collects CRLF lines up to an empty one, then lets `end` judge them.
    fn lines(
        &mut self,
        bytes: &[u8],
        most: usize,
        end: fn(&mut Self, &[u8]) -> Result<(), Ambiguous>,
    ) -> Result<usize, usize> {
        if self.partial.is_empty()
            && let Some(found) = whole_section(bytes, most)
        {
            let length = found?;
            return self.judge(&bytes[..length], end).map(|()| length).map_err(|()| length - 1);
        }
        let mut taken = 0;
        while let Some(length) = bytes[taken..].iter().position(|byte| *byte == b'\n') {
            let line_feed = taken + length;
            self.partial.extend_from_slice(&bytes[taken..=line_feed]);
            taken = line_feed + 1;
            if !self.partial.ends_with(b"\r\n") || self.partial.len() > most {
                return Err(line_feed);
            }
            if self.partial.ends_with(b"\r\n\r\n") || self.partial == b"\r\n" {
                let section = std::mem::take(&mut self.partial);
                let judged = self.judge(&section, end);
                self.partial = section;
                self.partial.clear();
                return judged.map(|()| taken).map_err(|()| line_feed);
            }
        }
        self.partial.extend_from_slice(&bytes[taken..]);
        if self.partial.len() > most { Err(bytes.len() - 1) } else { Ok(bytes.len()) }
    }

    fn judge(
        &mut self,
        section: &[u8],
        end: fn(&mut Self, &[u8]) -> Result<(), Ambiguous>,
    ) -> Result<(), ()> {
        end(self, section).map_err(|refused| {
            tracing::debug!(reason = refused.0, "refused a request head");
        })
    }

    fn end_head(&mut self, head: &[u8]) -> Result<(), Ambiguous> {
        self.at = match check_head(head)? {
            Framing::None | Framing::Length(0) => At::Head,
            Framing::Length(length) => At::Length(length),
            Framing::Chunked => At::ChunkSize,
            Framing::Upgrade => At::Upgrade,
        };
        Ok(())
    }

    fn end_trailers(&mut self, section: &[u8]) -> Result<(), Ambiguous> {
        for line in lines_of(section) {
            let (name, _) = header_line(line)?;
            if TRAILERS_REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused)) {
                return Err(Ambiguous("a trailer that belongs in the head"));
            }
        }
        self.at = At::Head;
        Ok(())
    }

    fn size_line(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |line_feed| line_feed + 1);
        self.partial.extend_from_slice(&bytes[..taken]);
        if self.partial.len() > CHUNK_DIGITS + 2 {
            return Err(taken - 1);
        }
        if end.is_none() {
            return Ok(taken);
        }
        let size = self.partial.strip_suffix(b"\r\n").and_then(hexadecimal).ok_or(taken - 1)?;
        self.partial.clear();
        self.at = if size == 0 { At::Trailers } else { At::ChunkBytes(size) };
        Ok(taken)
    }

    fn chunk_end(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        for (index, byte) in bytes.iter().enumerate() {
            let expected = if self.partial.is_empty() { b'\r' } else { b'\n' };
            if *byte != expected {
                return Err(index);
            }
            if expected == b'\n' {
                self.partial.clear();
                self.at = At::ChunkSize;
                return Ok(index + 1);
            }
            self.partial.push(*byte);
        }
        Ok(bytes.len())
    }
}

/// Trailers that would change how a request is framed, routed or allowed.
pub(crate) const TRAILERS_REFUSED: [&[u8]; 8] = [
    b"authorization",
    b"content-length",
    b"connection",
    b"cookie",
    b"host",
    b"te",
    b"trailer",
    b"transfer-encoding",
];

/// The length of the CRLF lines up to an empty one, when all of them are there, or the place of
/// the line feed that has no carriage return before it or ends more than `most` bytes.
fn whole_section(bytes: &[u8], most: usize) -> Option<Result<usize, usize>> {
    let mut start = 0;
    for line_feed in memchr_iter(b'\n', bytes) {
        if line_feed == start || bytes[line_feed - 1] != b'\r' || line_feed >= most {
            return Some(Err(line_feed));
        }
        if line_feed == start + 1 {
            return Some(Ok(line_feed + 1));
        }
        start = line_feed + 1;
    }
    None
}

fn lines_of(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = section;
    let lines = std::iter::from_fn(move || {
        let line;
        (line, rest) = match memchr(b'\n', rest) {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None if rest.is_empty() => return None,
            None => (rest, &rest[rest.len()..]),
        };
        Some(line)
    });
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).filter(|line| !line.is_empty())
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// What may stand in a header name or a method, RFC 9110 section 5.6.2.
static TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        token[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        token[marks[at] as usize] = true;
        at += 1;
    }
    token
};

/// Splits `name: value`, refusing folded lines and control characters.
fn header_line(line: &[u8]) -> Result<(&[u8], &[u8]), Ambiguous> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Ambiguous("no colon"))?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(Ambiguous("header name"));
    }
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err(Ambiguous("control character in a header value"));
    }
    Ok((name, value))
}

/// What of a head decides framing and routing.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    connection: Vec<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    fn header(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Ambiguous> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"host") {
            if self.host.replace(value).is_some() {
                return Err(Ambiguous("two Host lines"));
            }
        } else if is(b"content-length") {
            if self.length.replace(content_length(value)?).is_some() {
                return Err(Ambiguous("two Content-Length lines"));
            }
        } else if is(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous("Transfer-Encoding other than one `chunked`"));
            }
            self.chunked = true;
        } else if is(b"content_length") || is(b"transfer_encoding") {
            return Err(Ambiguous("a framing header spelt with an underscore"));
        } else if is(b"connection") {
            self.connection.push(value);
        } else if is(b"upgrade") {
            self.upgrade = Some(value);
        } else if is(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Ambiguous("an expectation nobody knows"));
        }
        Ok(())
    }
}

fn content_length(value: &[u8]) -> Result<u64, Ambiguous> {
    let plain = !value.is_empty()
        && value.len() <= LENGTH_DIGITS
        && value.iter().all(u8::is_ascii_digit)
        && (value == b"0" || value[0] != b'0');
    let text = std::str::from_utf8(value).ok().filter(|_| plain);
    text.and_then(|text| text.parse().ok()).ok_or(Ambiguous("Content-Length"))
}

fn check_head(head: &[u8]) -> Result<Framing, Ambiguous> {
    let mut lines = lines_of(head);
    let (method, target, is_11) = request_line(lines.next().ok_or(Ambiguous("empty line"))?)?;
    let mut seen = Seen::default();
    for (index, line) in lines.enumerate() {
        if index == HEADER_LINES {
            return Err(Ambiguous("too many header lines"));
        }
        let (name, value) = header_line(line)?;
        seen.header(name, value)?;
    }
    match seen.host {
        Some(host) if !is_authority(host) => return Err(Ambiguous("Host")),
        None if is_11 => return Err(Ambiguous("no Host")),
        _ => {}
    }
    check_target(method, target, seen.host)?;
    if seen.chunked && (seen.length.is_some() || !is_11) {
        return Err(Ambiguous("Transfer-Encoding beside Content-Length or in HTTP/1.0"));
    }
    if seen.chunked {
        return Ok(Framing::Chunked);
    }
    let connection = seen.connection.iter().copied();
    let bodiless = seen.length.unwrap_or(0) == 0;
    if asks_for_tunnel(method, is_11, bodiless, connection, seen.upgrade) {
        return Ok(Framing::Upgrade);
    }
    Ok(seen.length.map_or(Framing::None, Framing::Length))
}

fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], bool), Ambiguous> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Ambiguous("request line"));
    };
    if method.is_empty() || !method.iter().copied().all(is_token) {
        return Err(Ambiguous("method"));
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, true)),
        b"HTTP/1.0" => Ok((method, target, false)),
        _ => Err(Ambiguous("version")),
    }
}

/// Accepts `/path`, and `*` for OPTIONS. CONNECT would make the proxy an open one, and TRACE
/// sends a stranger back what only the proxy and the application should see.
pub(crate) fn path(method: &[u8], target: &[u8]) -> Result<(), Ambiguous> {
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(Ambiguous("CONNECT or TRACE"));
    }
    if target.len() > TARGET_BYTES {
        return Err(Ambiguous("a request target above 8 KiB"));
    }
    if !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(Ambiguous("a character in the request target"));
    }
    if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
        return Ok(());
    }
    Err(Ambiguous("request target"))
}

/// Accepts what [`path`] accepts, and `http://host/path` where it agrees with `Host`.
fn check_target(method: &[u8], target: &[u8], host: Option<&[u8]>) -> Result<(), Ambiguous> {
    let after_scheme = target.strip_prefix(b"http://").or_else(|| target.strip_prefix(b"https://"));
    let Some(rest) = after_scheme else {
        return path(method, target);
    };
    // The characters of the whole target, and the method.
    path(method, &[b"/", rest].concat())?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    match host {
        Some(host) if host.eq_ignore_ascii_case(&rest[..end]) => Ok(()),
        _ => Err(Ambiguous("request target and Host disagree")),
    }
}

/// The header lines of a request that came without a head in bytes, as in HTTP/2.
pub(crate) fn fields(headers: &HeaderMap) -> Result<(), Ambiguous> {
    if headers.len() > HEADER_LINES {
        return Err(Ambiguous("too many header lines"));
    }
    let mut seen = Seen::default();
    for (name, value) in headers {
        let value = value.as_bytes();
        if value.trim_ascii().len() != value.len() {
            return Err(Ambiguous("white space around a header value"));
        }
        seen.header(name.as_str().as_bytes(), value)?;
    }
    if seen.chunked || !seen.connection.is_empty() || seen.upgrade.is_some() {
        return Err(Ambiguous("a header that belongs to one connection of HTTP/1.1"));
    }
    Ok(())
}

/// Accepts what may stand in `Host`.
pub(crate) fn authority(host: &[u8]) -> Result<(), Ambiguous> {
    if is_authority(host) { Ok(()) } else { Err(Ambiguous("Host")) }
}

/// A host name or an address in brackets, and a port; no user, nothing encoded.
fn is_authority(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host.ends_with(b"]") => (&host[..colon], Some(&host[colon + 1..])),
        _ => (host, None),
    };
    let port_fits = port.is_none_or(|port| {
        let text = std::str::from_utf8(port).unwrap_or_default();
        port.iter().all(u8::is_ascii_digit) && text.parse::<u16>().is_ok()
    });
    let inner = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]"));
    let name_fits = match inner {
        Some(inner) => {
            std::str::from_utf8(inner).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
        }
        None => {
            !name.is_empty()
                && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        }
    };
    port_fits && name_fits
}

/// True for a request that may become a tunnel when it is answered 101. `h2c` never does: it
/// would carry requests past the validator.
pub(crate) fn asks_for_tunnel<'a>(
    method: &[u8],
    is_11: bool,
    bodiless: bool,
    mut connection: impl Iterator<Item = &'a [u8]>,
    upgrade: Option<&[u8]>,
) -> bool {
    let named = connection.any(|value| {
        let mut words = value.split(|byte| *byte == b',');
        words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let wanted = upgrade.is_some_and(|value| {
        !value.is_empty() && value.iter().copied().all(|byte| is_token(byte) || byte == b'/')
    });
    let h2c = upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"h2c"));
    method == b"GET" && is_11 && bodiless && named && wanted && !h2c
}

#[cfg(test)]
mod tests;
