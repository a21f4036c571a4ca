//! `tidegate support-bundle`: everything that helps whoever is asked for help, in one file, without
//! secrets. Must never hold a key, a password, a token or the body of a request; must never fail
//! because a part of it cannot be had.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::doctor;
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::redact::redact;
use crate::terminal::{Style, styled};
use crate::text::size;

/// Bytes of each log, from its end.
const LOG_BYTES: u64 = 256 * 1_024;
/// Most entries of the state directory that are listed.
const LISTED_MAX: usize = 10_000;
/// What was said, below the state directory.
const LOGS: [&str; 3] = ["server.log", "server.start.log", "proxy.log"];
/// What a server is asked.
const ASKED: [(&str, &str); 6] = [
    ("server", "/v1/server"),
    ("proxy", "/v1/proxy"),
    ("services", "/v1/services"),
    ("deployments", "/v1/deployments?limit=50"),
    ("journal", "/v1/journal/verify"),
    ("health", "/readyz"),
];
/// What the machine says of itself.
const MACHINE: [(&str, &str); 5] = [
    ("kernel", "/proc/version"),
    ("memory", "/proc/meminfo"),
    ("load", "/proc/loadavg"),
    ("limits", "/proc/self/limits"),
    ("distribution", "/etc/os-release"),
];

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file; by default tidegate-support-TIME.json here
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// TG9207 when the file is there already or cannot be written.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let file = args.file.clone().unwrap_or_else(|| {
        PathBuf::from(format!("tidegate-support-{}.json", now.strftime("%Y%m%d-%H%M%S")))
    });
    let bundle = collect(session, now).await;
    let text = serde_json::to_string_pretty(&bundle).map_err(Failure::local)?;
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
    let written = created.and_then(|mut out| out.write_all(text.as_bytes()));
    written.map_err(|error| {
        Failure::new(
            Exit::Unexpected,
            "TG9207",
            format!("{} cannot be written: {error}", file.display()),
        )
        .safe("nothing was changed")
        .help("name a file that does not exist yet")
    })?;
    let bytes = text.len() as u64;
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "file": file.display().to_string(), "bytes": bytes }))?;
    } else {
        session.terminal.line(&format!(
            "{} {}, {}, without secrets",
            styled(Style::Good, "written"),
            file.display(),
            size(bytes)
        ))?;
        session.terminal.say("  read it before you give it away: names of services are in it");
    }
    Ok(Exit::Done)
}

async fn collect(session: &Session, now: Timestamp) -> Value {
    let mut asked = serde_json::Map::new();
    for (name, path) in ASKED {
        let answer = session.client.get::<Value>(path).await;
        let told = answer.unwrap_or_else(|failure| json!({ "refused": failure }));
        asked.insert(name.to_owned(), clean(told));
    }
    let state = session.dir.path();
    let logs: serde_json::Map<String, Value> =
        LOGS.iter().map(|name| ((*name).to_owned(), json!(lines(&state.join(name))))).collect();
    let machine: serde_json::Map<String, Value> = MACHINE
        .iter()
        .map(|(name, path)| ((*name).to_owned(), json!(lines(Path::new(path)))))
        .collect();
    json!({
        "made_at": now,
        "version": env!("CARGO_PKG_VERSION"),
        "state_dir": state.display().to_string(),
        "doctor": clean(doctor::report(session).await),
        "asked": asked,
        "logs": logs,
        "machine": machine,
        "files": listing(state),
    })
}

/// Takes secrets out of every text in a value, and out of everything under the name of one.
fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => json!(redact(&text).trim_end()),
        Value::Array(all) => all.into_iter().map(clean).collect(),
        Value::Object(all) => all.into_iter().map(|(name, value)| (name, clean(value))).collect(),
        other => other,
    }
}

/// The last lines of a file, without secrets; why not, when it cannot be read.
fn lines(path: &Path) -> Vec<String> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES).read_to_end(&mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => redact(&text).lines().map(crate::text::plain).collect(),
        Err(error) => vec![format!("cannot be read: {error}")],
    }
}

/// Name, size and rights of what lies in the state directory; no content.
fn listing(root: &Path) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            found.push(format!("{:o} {} {}", meta.mode() & 0o777, meta.len(), clean_name(&name)));
            // What is in a release is not Tidegate's.
            if meta.is_dir()
                && !name.starts_with("artifacts/")
                && !name.starts_with("repositories/")
            {
                open.push(path);
            }
            if found.len() >= LISTED_MAX {
                return found;
            }
        }
    }
    found.sort();
    found
}

fn clean_name(name: &str) -> String {
    crate::text::plain(name)
}
