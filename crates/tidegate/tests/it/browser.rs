//! A browser as far as the pages need one: it keeps cookies, follows nothing by itself, sends forms
//! with their hidden fields and says where they come from.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use totp_rs::{Algorithm, Builder};

use crate::harness::{PATIENCE, World, split};

/// A browser of somebody.
#[derive(Debug)]
pub(crate) struct Browser {
    /// `http://127.0.0.1:7000`.
    pub(crate) origin: String,
    /// Cookies by name.
    pub(crate) cookies: BTreeMap<String, String>,
}

/// What a page answered.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// Header lines, names in lower case, in their order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Page {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        match self.all(name).as_slice() {
            [only] => only,
            other => panic!("{name}: {other:?} in {self:?}"),
        }
    }

    /// The value of a hidden field.
    #[track_caller]
    pub(crate) fn hidden(&self, name: &str) -> String {
        let field = format!("name=\"{name}\" value=\"");
        let rest = self.text.split(&field).nth(1).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Browser {
    pub(crate) fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), cookies: BTreeMap::new() }
    }

    /// The browser of the server's owner, signed in by a link, without scripts or a window.
    pub(crate) fn of_owner(world: &World) -> Self {
        let link = world.expect(0, &["login", "--link", "--json"]).json();
        let mut owner = Self::new(&world.pages());
        let path = link["url"].as_str().unwrap().strip_prefix(&owner.origin).unwrap().to_owned();
        let page = owner.get(&path);
        let (token, code) = (page.hidden("form_token"), page.hidden("link"));
        owner.post("/login", &[("form_token", token.as_str()), ("link", code.as_str())]);
        owner
    }

    /// Opens a page.
    pub(crate) fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, &[("Sec-Fetch-Site", "none")], "")
    }

    /// Sends a form as a page of the server does.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let origin = self.origin.clone();
        let headers = [("Origin", origin.as_str()), ("Sec-Fetch-Site", "same-origin")];
        self.send_form(path, &headers, fields)
    }

    /// Uses an invitation to make an account, as the page of it does.
    pub(crate) fn set_up(&mut self, account: &str, code: &str, password: &str) -> Page {
        let token = self.get("/setup").hidden("form_token");
        let fields = [
            ("form_token", token.as_str()),
            ("account", account),
            ("code", code),
            ("password", password),
            ("again", password),
        ];
        self.post("/setup", &fields)
    }

    /// Signs in with both factors.
    pub(crate) fn sign_in(&mut self, account: &str, password: &str, code: &str) -> Page {
        let token = self.get("/login").hidden("form_token");
        let fields = [
            ("form_token", token.as_str()),
            ("account", account),
            ("password", password),
            ("code", code),
        ];
        self.post("/login", &fields)
    }

    /// Sends a form with these headers and no others that tell where it comes from.
    pub(crate) fn send_form(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Page {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &[headers, &kind].concat(), &body.join("&"))
    }

    /// Sends a request with the cookies, and keeps those that come back.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Page {
        let host = self.origin.split("://").nth(1).unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        if !self.cookies.is_empty() {
            let cookies: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head.extend(["Cookie: ", &cookies.join("; "), "\r\n"]);
        }
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        // A server that refuses a body answers before it has read all of it, and hangs up.
        let _hung_up = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let mut answer = Vec::new();
        let _hung_up = stream.read_to_end(&mut answer);
        let (head, body) = split(&answer).expect("an answer");
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let text = String::from_utf8(body).unwrap();
        let page = Page { status, headers: headers.collect(), text };
        for cookie in page.all("set-cookie") {
            let (name, rest) = cookie.split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                let value = rest.split(';').next().unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        page
    }
}

/// A value in a form.
fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// An authenticator: gives each code once, the next step's when this one's was given.
#[derive(Debug)]
pub(crate) struct Authenticator {
    secret: Vec<u8>,
    last_step: u64,
}

impl Authenticator {
    /// The one that a page of a new account has shown the secret of.
    #[track_caller]
    pub(crate) fn of(page: &Page) -> Self {
        let secret = page.text.split("secret=").nth(1).unwrap_or_else(|| panic!("{page:?}"));
        Self::new(secret.split('&').next().unwrap())
    }

    pub(crate) fn new(base32: &str) -> Self {
        let secret = data_encoding::BASE32_NOPAD.decode(base32.as_bytes()).unwrap();
        Self { secret, last_step: 0 }
    }

    /// A code that was not given before. The server takes the next step's as well.
    pub(crate) fn code(&mut self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30;
        self.last_step = now.max(self.last_step + 1);
        let totp = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_step_duration(30)
            .with_secret(self.secret.clone())
            .build()
            .unwrap();
        totp.generate(self.last_step * 30).to_string()
    }
}
