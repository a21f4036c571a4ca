//! Takes secrets out of text that leaves this machine.
//! Must never let through what stands behind the name of a secret; what it takes out too much is
//! only less help.

/// Names behind which a secret stands, in lower case; part of a longer name is enough.
const NAMES: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "cookie",
    "api_key",
    "api-key",
    "apikey",
    "private_key",
    "credential",
    "signature",
];
/// Those whose value is made of several words, up to a quotation mark or the end of the line.
const WHOLE: [&str; 2] = ["authorization", "cookie"];
/// Ways to say who one is, each followed by the proof.
const SCHEMES: [&str; 2] = ["bearer", "basic"];
/// Codes of one use, as in the link that makes the first administrator.
const CODE: &str = "code";
/// What stands in the place of a secret.
const GONE: &str = "[redacted]";
/// Words of letters and digits that are longer look like keys; names of ours are shorter, and
/// digests are of lower-case hexadecimal digits alone.
const KEY_CHARS: usize = 24;

/// The text without its secrets, line by line.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.lines() {
        let begins = line.contains("-----BEGIN");
        if begins || in_key {
            in_key = !line.contains("-----END");
            if begins {
                out.push_str(GONE);
                out.push('\n');
            }
            continue;
        }
        redact_line(&without_users(line), &mut out);
        out.push('\n');
    }
    out
}

fn redact_line(line: &str, out: &mut String) {
    let mut rest = line;
    // Set while the next word is the value of a name, or the proof of a scheme.
    let mut is_secret = false;
    while let Some(first) = rest.chars().next() {
        let (word, behind) = if is_wordy(first) {
            rest.split_at(rest.find(|c| !is_wordy(c)).unwrap_or(rest.len()))
        } else {
            rest.split_at(first.len_utf8())
        };
        rest = behind;
        if !is_wordy(first) {
            // A name and its value stand in one breath: `: `, `=`, quotes.
            is_secret &= matches!(first, ':' | '=' | ' ' | '"' | '\'' | '\t');
            out.push_str(word);
            continue;
        }
        let lower = word.to_ascii_lowercase();
        if SCHEMES.contains(&lower.as_str()) {
            out.push_str(word);
            is_secret = true;
        } else if is_secret || looks_like_a_key(word) {
            out.push_str(GONE);
            is_secret = false;
        } else {
            out.push_str(word);
            let names = NAMES.iter().any(|name| lower.contains(name)) || lower == CODE;
            is_secret = names && rest.trim_start_matches(['"', '\'']).starts_with([':', '=']);
            if is_secret && WHOLE.iter().any(|name| lower.contains(name)) {
                let begin = rest.find(|c: char| is_wordy(c)).unwrap_or(rest.len());
                let (marks, value) = rest.split_at(begin);
                out.push_str(marks);
                out.push_str(GONE);
                rest = value.find('"').and_then(|end| value.get(end..)).unwrap_or_default();
                is_secret = false;
            }
        }
    }
}

fn is_wordy(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '.' | '~' | '!' | '%' | '$')
}

fn looks_like_a_key(word: &str) -> bool {
    let opaque = |part: &str| {
        let has = |fits: fn(&char) -> bool| part.chars().any(|c| fits(&c));
        part.len() >= KEY_CHARS
            && has(char::is_ascii_uppercase)
            && has(char::is_ascii_lowercase)
            && has(char::is_ascii_digit)
    };
    word.split(['/', '.', '-', '_']).any(opaque)
}

/// The line without `user:password@` in front of the hosts of its URLs.
fn without_users(line: &str) -> String {
    let mut parts = line.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("://");
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"');
        let (authority, rest) = part.split_at(part.find(ends).unwrap_or(part.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) => out.extend([GONE, "@", host]),
            None => out.push_str(authority),
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_left_and_what_helps_stays() {
        let secrets = [
            "password=hunter2",
            "DB_PASSWORD: \"hunter2\"",
            "authorization: Bearer hunter2.abc",
            "Authorization: Basic hunter2",
            "{\"api_key\":\"hunter2\"}",
            "cookie: session=hunter2",
            "{\"set-cookie\":\"a=1; b=hunter2\",\"status\":200}",
            "https://me:hunter2@example.org/x",
            "within an hour, once, http://127.0.0.1:7000/setup?code=hunter2",
            "key AbCdEf0123456789hunter2GHIJKL is here",
            "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        ];
        for secret in secrets {
            let said = redact(secret);
            assert!(!said.contains("hunter2"), "{secret}: {said}");
            assert!(said.contains(GONE), "{secret}: {said}");
        }
        for plain in [
            "2026-11-25T17:00:00Z  INFO the proxy runs pid=4711 starts=1",
            "digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "d-7k3x: tokens are read, the code was 200",
            "/var/lib/tidegate/slots/shop@production/web/north",
            "https://example.org/a@b",
        ] {
            assert_eq!(redact(plain), format!("{plain}\n"), "{plain}");
        }
    }
}
