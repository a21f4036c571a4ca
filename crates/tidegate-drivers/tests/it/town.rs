//! A town of channels on one port: a chat, another chat, a pager, a public page and a machine, each
//! with a memory, and each holding every request against what its vendor documents. They can be
//! busy, lose their answers and refuse. Must never take what the vendor would refuse.
//!
//! Sources of the fields: PagerDuty `reference/events-v2/openapiv3.json`, Adaptive Cards schema
//! 1.4, Slack's reference of blocks and of `chat.postMessage`, Statuspage's API reference
//! (incidents), Standard Webhooks 1.0, CloudEvents 1.0.2, CDEvents 0.4 conformance files.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// How the next request is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 429, to be left alone for so many seconds.
    Busy(u32),
    /// It does what it is asked and closes without an answer.
    Mute,
    /// 404.
    Closed,
}

/// One request that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
    pub(crate) raw: String,
}

#[derive(Debug, Default)]
struct Memory {
    heard: Vec<Heard>,
    moods: VecDeque<Mood>,
    wrong: Vec<String>,
    /// Pages by their key: how each stands, and how often somebody was called for it.
    pages: BTreeMap<String, (String, u32)>,
    /// Public incidents by id.
    public: BTreeMap<String, Value>,
}

/// The town.
#[derive(Debug, Clone)]
pub(crate) struct Town {
    address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

impl Town {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let memory = Arc::new(Mutex::new(Memory::default()));
        let ours = Arc::clone(&memory);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let memory = Arc::clone(&ours);
                std::thread::spawn(move || serve(stream, &memory));
            }
        });
        Self { address, memory }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests are treated so, in order; those after them are answered.
    pub(crate) fn moods(&self, moods: &[Mood]) {
        self.memory.lock().unwrap().moods.extend(moods);
    }

    /// What was taken by paths that begin so, oldest first.
    pub(crate) fn heard(&self, path: &str) -> Vec<Heard> {
        let memory = self.memory.lock().unwrap();
        memory.heard.iter().filter(|heard| heard.path.starts_with(path)).cloned().collect()
    }

    /// How a page stands, and how often somebody was called for it.
    pub(crate) fn pages(&self) -> BTreeMap<String, (String, u32)> {
        self.memory.lock().unwrap().pages.clone()
    }

    /// What customers read.
    pub(crate) fn public(&self) -> Vec<Value> {
        self.memory.lock().unwrap().public.values().cloned().collect()
    }

    /// Panics when something was sent that a vendor would refuse.
    pub(crate) fn has_no_complaint(&self) {
        let memory = self.memory.lock().unwrap();
        assert!(memory.wrong.is_empty(), "{:#?}", memory.wrong);
    }
}

fn serve(mut stream: TcpStream, memory: &Mutex<Memory>) {
    let Some(heard) = request(&stream) else { return };
    let mut memory = memory.lock().unwrap();
    let mood = memory.moods.pop_front();
    let (status, more, body) = match mood {
        Some(Mood::Busy(seconds)) => (429, format!("retry-after: {seconds}\r\n"), json!({})),
        Some(Mood::Closed) => (404, String::new(), json!({"error": "no such room"})),
        Some(Mood::Mute) | None => match memory.answer(&heard) {
            Ok(answer) => {
                memory.heard.push(heard);
                answer
            }
            Err(wrong) => {
                memory.wrong.push(format!("{} {}: {wrong}", heard.method, heard.path));
                (400, String::new(), json!({"error": wrong}))
            }
        },
    };
    drop(memory);
    if mood == Some(Mood::Mute) {
        return;
    }
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    // Whoever asked may have left.
    drop(stream.write_all(format!("{head}{body}").as_bytes()));
}

fn request(stream: &TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let raw = String::from_utf8(bytes).ok()?;
    let body = serde_json::from_str(&raw).unwrap_or(Value::Null);
    Some(Heard { method, path, headers, body, raw })
}

type Answered = Result<(u16, String, Value), String>;

impl Memory {
    fn answer(&mut self, heard: &Heard) -> Answered {
        let ok = |body: Value| Ok((200, String::new(), body));
        let path = heard.path.as_str();
        match (heard.method.as_str(), path) {
            ("POST", "/slack/chat.postMessage") => {
                slack(&heard.body)?;
                text(&heard.body, "channel")?;
                let token = heard.headers.get("authorization");
                if token.map(String::as_str) != Some("Bearer xoxb-1") {
                    return ok(json!({"ok": false, "error": "invalid_auth"}));
                }
                let ts = format!("1700000000.{:06}", self.heard.len());
                ok(json!({"ok": true, "channel": "C1", "ts": ts}))
            }
            ("POST", "/slack/hook") => slack(&heard.body).and_then(|()| ok(json!("ok"))),
            ("POST", "/teams/flow") => {
                card(&heard.body)?;
                Ok((202, String::new(), Value::Null))
            }
            ("POST", "/pagerduty/enqueue") => self.page(&heard.body),
            ("POST", "/pagerduty/change/enqueue") => {
                text(&heard.body, "routing_key")?;
                let summary = text(&heard.body["payload"], "summary")?;
                short(&summary, 1_024)?;
                Ok((202, String::new(), json!({"status": "success"})))
            }
            ("POST", "/hook") => ok(json!({})),
            (method, path) if path.starts_with("/v1/pages/p1/incidents") => {
                let token = heard.headers.get("authorization").map(String::as_str);
                if token != Some("OAuth key-1") {
                    return Err("no key".to_owned());
                }
                self.public_page(
                    method,
                    path.trim_start_matches("/v1/pages/p1/incidents"),
                    &heard.body,
                )
            }
            _ => Err("nobody lives there".to_owned()),
        }
    }

    fn page(&mut self, body: &Value) -> Answered {
        text(body, "routing_key")?;
        let key = text(body, "dedup_key")?;
        short(&key, 255)?;
        let action = text(body, "event_action")?;
        let payload = &body["payload"];
        short(&text(payload, "summary")?, 1_024)?;
        text(payload, "source")?;
        one_of(&text(payload, "severity")?, &["critical", "error", "warning", "info"])?;
        let page = self.pages.entry(key.clone()).or_insert_with(|| ("none".to_owned(), 0));
        match action.as_str() {
            // A trigger of a page that is open calls nobody again.
            "trigger" if page.0 == "none" || page.0 == "resolved" => {
                *page = ("triggered".to_owned(), page.1 + 1);
            }
            "trigger" => {}
            "acknowledge" => page.0 = "acknowledged".to_owned(),
            "resolve" => page.0 = "resolved".to_owned(),
            other => return Err(format!("event_action {other}")),
        }
        Ok((202, String::new(), json!({"status": "success", "dedup_key": key})))
    }

    fn public_page(&mut self, method: &str, rest: &str, body: &Value) -> Answered {
        let statuses = ["investigating", "identified", "monitoring", "resolved"];
        match (method, rest) {
            ("GET", "/unresolved") => {
                let open = self.public.values().filter(|it| it["status"] != json!("resolved"));
                Ok((200, String::new(), open.cloned().collect()))
            }
            ("POST", "") => {
                let mut incident = body["incident"].clone();
                text(&incident, "name")?;
                text(&incident, "body")?;
                one_of(&text(&incident, "status")?, &statuses)?;
                let id = format!("s{}", self.public.len() + 1);
                incident["id"] = json!(id);
                self.public.insert(id, incident.clone());
                Ok((201, String::new(), incident))
            }
            ("PATCH", id) => {
                let update = &body["incident"];
                one_of(&text(update, "status")?, &statuses)?;
                let known = self.public.get_mut(id.trim_start_matches('/'));
                let known = known.ok_or("no such incident")?;
                known["status"] = update["status"].clone();
                known["body"] = update["body"].clone();
                Ok((200, String::new(), known.clone()))
            }
            _ => Err("no such resource".to_owned()),
        }
    }
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    let found = value[key].as_str().filter(|text| !text.is_empty());
    found.map(str::to_owned).ok_or_else(|| format!("`{key}` is missing in {value}"))
}

fn short(text: &str, most: usize) -> Result<(), String> {
    if text.chars().count() <= most { Ok(()) } else { Err(format!("longer than {most}: {text}")) }
}

fn one_of(text: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&text) { Ok(()) } else { Err(format!("{text} is none of {words:?}")) }
}

fn slack(body: &Value) -> Result<(), String> {
    text(body, "text")?;
    let blocks = body["blocks"].as_array().ok_or("no blocks")?;
    if blocks.is_empty() || blocks.len() > 50 {
        return Err("1 to 50 blocks".to_owned());
    }
    for block in blocks {
        match text(block, "type")?.as_str() {
            "header" => {
                one_of(&text(&block["text"], "type")?, &["plain_text"])?;
                short(&text(&block["text"], "text")?, 150)?;
            }
            "section" => {
                one_of(&text(&block["text"], "type")?, &["mrkdwn", "plain_text"])?;
                short(&text(&block["text"], "text")?, 3_000)?;
            }
            "context" => {
                for element in block["elements"].as_array().ok_or("no elements")? {
                    short(&text(element, "text")?, 3_000)?;
                }
            }
            "actions" => {
                for button in block["elements"].as_array().ok_or("no elements")? {
                    one_of(&text(button, "type")?, &["button"])?;
                    short(&text(&button["text"], "text")?, 75)?;
                    short(&text(button, "url")?, 3_000)?;
                }
            }
            other => return Err(format!("block {other}")),
        }
    }
    Ok(())
}

fn card(body: &Value) -> Result<(), String> {
    if body.to_string().len() > 28 * 1_024 {
        return Err("larger than 28 KB".to_owned());
    }
    one_of(&text(body, "type")?, &["message"])?;
    let attachment = &body["attachments"][0];
    one_of(&text(attachment, "contentType")?, &["application/vnd.microsoft.card.adaptive"])?;
    let card = &attachment["content"];
    one_of(&text(card, "type")?, &["AdaptiveCard"])?;
    one_of(&text(card, "version")?, &["1.2", "1.3", "1.4"])?;
    for element in card["body"].as_array().ok_or("no body")? {
        match text(element, "type")?.as_str() {
            "TextBlock" => {
                text(element, "text")?;
                let color = element["color"].as_str().unwrap_or("Default");
                let colors = ["Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention"];
                one_of(color, &colors)?;
            }
            "FactSet" => {
                for fact in element["facts"].as_array().ok_or("no facts")? {
                    text(fact, "title")?;
                    text(fact, "value")?;
                }
            }
            other => return Err(format!("element {other}")),
        }
    }
    for action in card["actions"].as_array().into_iter().flatten() {
        one_of(&text(action, "type")?, &["Action.OpenUrl"])?;
        text(action, "url")?;
    }
    Ok(())
}
