//! One step of a suite: filled in, sent, compared, captured from.
//! Must never send anything to another address, and never show a secret.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, multipart};
use serde_json::Value;

use crate::files;
use crate::probe::http;
use crate::text::printable;

use super::super::Suite;
use super::file::{self, Capture, Content, Step};

/// Longest answer looked at, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Largest file sent, in bytes.
const UPLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest excerpt of an answer in the log, in characters.
const EXCERPT_CHARS: usize = 2000;
/// Longest excerpt of an answer in a message, in characters.
const SHOWN_CHARS: usize = 120;
/// Shorter values are not blackened: they would take half of the text with them.
const SECRET_BYTES_MIN: usize = 4;
/// Most variables of one suite.
const VARIABLES_MAX: usize = 256;
/// What stands for a secret.
const BLACK: &str = "***";

/// Why a step did not pass.
#[derive(Debug)]
pub(super) struct Refused {
    /// One line: expected and found.
    pub(super) what: String,
    /// Request and answer, for the log.
    pub(super) excerpt: String,
}

/// Asks the steps of one suite, and remembers between them.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    client: Client,
    address: SocketAddr,
    artifact: &'a Path,
    variables: BTreeMap<String, String>,
    secrets: Vec<String>,
    // By name alone: all goes to one instance, and one that is asked without TLS must still get
    // the cookies that it marks as secure.
    cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: String,
    took_ms: u128,
}

impl<'a> Asker<'a> {
    /// An asker for one run.
    ///
    /// # Errors
    /// When the endpoint is no address.
    pub(super) fn new(suite: &Suite<'a>) -> Result<Self, String> {
        let endpoint = suite.endpoint;
        let address =
            endpoint.parse().map_err(|_odd| format!("`{endpoint}` is no address to ask"))?;
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .user_agent("tidegate-smoke")
            .build()
            .map_err(|error| format!("the HTTP client could not be made: {error}"))?;
        let variables = suite.env.clone();
        let secrets = variables
            .iter()
            .filter(|(name, _)| is_secret(name))
            .map(|(_, value)| value.clone())
            .collect();
        let (artifact, cookies) = (suite.artifact, BTreeMap::new());
        Ok(Self { client, address, artifact, variables, secrets, cookies })
    }

    /// Asks one step.
    ///
    /// # Errors
    /// [`Refused`] with the first expectation that is not met.
    pub(super) async fn ask(&mut self, step: &Step) -> Result<(), Refused> {
        self.note_secrets(step);
        let path = self.fill(&step.path);
        let bare = |what: String| Refused { what, excerpt: String::new() };
        let path = path.map_err(bare)?;
        let request = self.request(step, &path).map_err(bare)?;
        let line = self.blacken(&format!("{} {path}", step.method));
        let begun = Instant::now();
        let mut answered = match self.send(request).await {
            Ok(answered) => answered,
            Err(what) => {
                let what = format!("{line}: expected an answer, found: {what}");
                return Err(Refused { what, excerpt: String::new() });
            }
        };
        answered.took_ms = begun.elapsed().as_millis();
        self.keep_cookies(&answered.headers);
        let result = self.compare(step, &answered).and_then(|()| self.capture(step, &answered));
        result.map_err(|what| {
            let shown = printable(&self.blacken(&answered.body), SHOWN_CHARS);
            let what = format!("{line}: {}; it answered `{shown}`", self.blacken(&what));
            Refused { what, excerpt: self.excerpt(step, &line, &answered) }
        })
    }

    fn request(&self, step: &Step, path: &str) -> Result<RequestBuilder, String> {
        let url = http::url(self.address, path)
            .ok_or_else(|| format!("`{}` is not a path", printable(path, SHOWN_CHARS)))?;
        let mut request = self.client.request(step.method.clone(), url);
        for (name, value) in &step.headers {
            request = request.header(name, self.fill(value)?);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        Ok(match &step.content {
            Content::Nothing => request,
            Content::Form(form) => request.form(&self.fill_all(form)?),
            Content::Json(json) => request.json(&self.fill_json(json)?),
            Content::Text(text) => request.body(self.fill(text)?),
            Content::Upload(fields, files) => {
                let mut form = multipart::Form::new();
                for (name, value) in self.fill_all(fields)? {
                    form = form.text(name, value);
                }
                for (name, path) in files {
                    form = form.part(name.clone(), self.upload(path)?);
                }
                request.multipart(form)
            }
        })
    }

    fn upload(&self, path: &str) -> Result<multipart::Part, String> {
        let full = file::inside(self.artifact, path)?;
        let bytes = files::read_capped(&full, UPLOAD_BYTES_MAX).map_err(|e| e.to_string())?;
        let bytes = bytes.ok_or_else(|| format!("there is no file `{path}` in the release"))?;
        let name = full.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(multipart::Part::bytes(bytes).file_name(name))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answered, String> {
        let response = request.send().await.map_err(|error| http::cause(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = http::read(response, ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| http::cause(&error))?;
        Ok(Answered {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            took_ms: 0,
        })
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let Some((name, value)) = pair.trim().split_once('=') else { continue };
            let ended = attributes.split(';').any(|attribute| {
                let attribute = attribute.trim().to_ascii_lowercase();
                attribute
                    .strip_prefix("max-age=")
                    .is_some_and(|age| age == "0" || age.starts_with('-'))
            });
            if ended {
                self.cookies.remove(name);
            } else if self.cookies.len() < VARIABLES_MAX {
                self.cookies.insert(name.to_owned(), value.to_owned());
                self.note_secret(value);
            }
        }
    }

    fn compare(&self, step: &Step, answered: &Answered) -> Result<(), String> {
        let status = answered.status;
        if step.status.is_empty() && !(200..300).contains(&status) {
            return Err(format!("expected status 200 to 299, found {status}"));
        }
        if !step.status.is_empty() && !step.status.contains(&status) {
            let wanted: Vec<String> = step.status.iter().map(ToString::to_string).collect();
            return Err(format!("expected status {}, found {status}", wanted.join(" or ")));
        }
        for (name, wanted) in &step.expect_headers {
            let wanted = self.fill(wanted)?;
            let found = answered.headers.get(name).and_then(|value| value.to_str().ok());
            if found != Some(wanted.as_str()) {
                let found = found.unwrap_or("none");
                return Err(format!("expected header {name}: `{wanted}`, found `{found}`"));
            }
        }
        for wanted in &step.body {
            let wanted = self.fill(wanted)?;
            if !answered.body.contains(&wanted) {
                return Err(format!("expected a body with `{wanted}`"));
            }
        }
        if !step.json.is_empty() {
            let json = answered.json()?;
            for (pointer, wanted) in &step.json {
                let wanted = self.fill_json(wanted)?;
                let found = json.pointer(pointer);
                if found != Some(&wanted) {
                    let found = found.map_or_else(|| "nothing".to_owned(), Value::to_string);
                    let found = printable(&found, SHOWN_CHARS);
                    return Err(format!("expected {wanted} at {pointer}, found {found}"));
                }
            }
        }
        match step.within {
            Some(within) if answered.took_ms > within.as_millis() => {
                let took = answered.took_ms;
                Err(format!("expected an answer within {within:?}, found {took} ms"))
            }
            _ => Ok(()),
        }
    }

    fn capture(&mut self, step: &Step, answered: &Answered) -> Result<(), String> {
        for (name, capture) in &step.capture {
            let value = take(capture, answered)
                .ok_or_else(|| format!("expected to capture {name}, found nothing"))?;
            if is_secret(name) {
                self.note_secret(&value);
            }
            if self.variables.len() >= VARIABLES_MAX {
                return Err(format!("more than {VARIABLES_MAX} variables"));
            }
            self.variables.insert(name.clone(), value);
        }
        Ok(())
    }

    // `${name}` becomes the variable's value; a name that nobody set is a mistake of the suite.
    fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, next) =
                after.split_once('}').ok_or_else(|| format!("`{text}` has no closing brace"))?;
            let value = self.variables.get(name);
            filled.push_str(before);
            filled.push_str(value.ok_or_else(|| format!("nothing was captured as `{name}`"))?);
            rest = next;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn fill_all(
        &self,
        texts: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, String> {
        texts.iter().map(|(name, text)| Ok((name.clone(), self.fill(text)?))).collect()
    }

    fn fill_json(&self, json: &Value) -> Result<Value, String> {
        Ok(match json {
            Value::String(text) => Value::String(self.fill(text)?),
            Value::Array(items) => Value::Array(
                items.iter().map(|item| self.fill_json(item)).collect::<Result<_, _>>()?,
            ),
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, field)| Ok((name.clone(), self.fill_json(field)?)))
                    .collect::<Result<_, String>>()?,
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) => json.clone(),
        })
    }

    fn note_secret(&mut self, value: &str) {
        if value.len() >= SECRET_BYTES_MIN {
            self.secrets.push(value.to_owned());
        }
    }

    fn note_secrets(&mut self, step: &Step) {
        let mut values = Vec::new();
        for (name, value) in &step.headers {
            if is_secret(name) {
                values.push(value.clone());
                // `Bearer x`: the second word alone is the secret.
                values.extend(value.split_once(' ').map(|(_, word)| word.to_owned()));
            }
        }
        match &step.content {
            Content::Form(form) | Content::Upload(form, _) => {
                let secret = form.iter().filter(|(name, _)| is_secret(name));
                values.extend(secret.map(|(_, value)| value.clone()));
            }
            Content::Json(Value::Object(fields)) => {
                let secret = fields.iter().filter(|(name, _)| is_secret(name));
                values.extend(secret.filter_map(|(_, value)| value.as_str().map(str::to_owned)));
            }
            Content::Json(_) | Content::Nothing | Content::Text(_) => {}
        }
        for value in values {
            self.note_secret(&self.fill(&value).unwrap_or(value));
        }
    }

    fn blacken(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, BLACK))
    }

    fn excerpt(&self, step: &Step, line: &str, answered: &Answered) -> String {
        let mut lines = vec![format!("  > {line}")];
        for (name, value) in &step.headers {
            let value = if is_secret(name) { BLACK.to_owned() } else { self.blacken(value) };
            lines.push(format!("  > {name}: {value}"));
        }
        lines.push(format!("  < {}", answered.status));
        for (name, value) in &answered.headers {
            let value = value.to_str().unwrap_or("not text");
            let value =
                if is_secret(name.as_str()) { BLACK.to_owned() } else { self.blacken(value) };
            lines.push(format!("  < {name}: {}", printable(&value, SHOWN_CHARS)));
        }
        lines.push(format!("  < {}", printable(&self.blacken(&answered.body), EXCERPT_CHARS)));
        lines.join("\n")
    }
}

impl Answered {
    fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.body).map_err(|error| format!("expected JSON, found: {error}"))
    }
}

fn take(capture: &Capture, answered: &Answered) -> Option<String> {
    if let Some(pointer) = &capture.json {
        let json = answered.json().ok()?;
        return Some(match json.pointer(pointer)? {
            Value::String(text) => text.clone(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
            plain @ (Value::Bool(_) | Value::Number(_)) => plain.to_string(),
        });
    }
    if let Some(header) = &capture.header {
        return answered.headers.get(header)?.to_str().ok().map(str::to_owned);
    }
    let (_, after) = answered.body.split_once(capture.after.as_deref()?)?;
    match &capture.before {
        Some(before) => after.split_once(before.as_str()).map(|(value, _)| value.to_owned()),
        None => after.lines().next().map(str::to_owned),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let telling =
        ["authorization", "cookie", "token", "secret", "password", "passwd", "key", "credential"];
    telling.iter().any(|word| name.contains(word))
}
