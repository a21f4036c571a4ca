//! Checks a bundle against a key. Must never believe a name where a digest is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read};

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use super::{Checked, FORM, Line, Manifest, Proven, Unreadable};
use crate::merkle::hex;
use crate::note::{Checkpoint, Key, NOTE_BYTES_MAX};
use crate::proof;

/// Longest manifest, bytes.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024;
/// Longest line of an entry, bytes: a payload of 1 MiB, escaped, and its proof.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most entries of one bundle: a deployment has some hundred.
const ENTRIES_MAX: usize = 100_000;
/// Bytes of a report that are in memory at a time.
const PIECE: usize = 64 * 1024;

/// Checks a bundle.
///
/// # Errors
/// [`Unreadable`] when it is no bundle, or not of the log with this key. What does not fit in a
/// bundle that can be read stands in [`Checked::problems`].
pub fn check(bundle: impl Read, key: &Key) -> Result<Checked, Unreadable> {
    let mut archive = Archive::new(bundle);
    let mut parts = archive.entries()?;
    let mut next = |name: &str| -> Result<_, Unreadable> {
        let part = parts.next().ok_or_else(|| missing(name))??;
        let is_it = part.path_bytes().as_ref() == name.as_bytes()
            && part.header().entry_type() == EntryType::Regular;
        if is_it { Ok(part) } else { Err(missing(name)) }
    };
    let manifest = manifest(next("manifest.json")?)?;
    let mut note = String::new();
    next("checkpoint")?.take(NOTE_BYTES_MAX as u64 + 1).read_to_string(&mut note)?;
    let checkpoint = key.open(&note)?;
    let entries = entries(next("entries.jsonl")?)?;
    let mut bench = Bench::new(manifest, &checkpoint);
    bench.prove(&entries, &checkpoint);
    bench.follow(&entries);
    for part in parts {
        let mut part = part?;
        let name = String::from_utf8_lossy(&part.path_bytes()).into_owned();
        bench.report(&name, &digest(&mut part)?);
    }
    Ok(bench.finish())
}

fn missing(name: &str) -> Unreadable {
    Unreadable::Part(format!("`{name}` does not stand where it must"))
}

fn manifest(part: impl Read) -> Result<Manifest, Unreadable> {
    let mut text = Vec::new();
    part.take(MANIFEST_BYTES_MAX).read_to_end(&mut text)?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| Unreadable::Part(format!("manifest.json: {error}")))?;
    if manifest.form == FORM {
        Ok(manifest)
    } else {
        Err(Unreadable::Part(format!("its form is not {FORM}")))
    }
}

fn entries(part: impl Read) -> Result<Vec<Proven>, Unreadable> {
    let mut lines = BufReader::new(part);
    let mut entries = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(entries);
        }
        let place = entries.len() + 1;
        if entries.len() == ENTRIES_MAX || line.last() != Some(&b'\n') {
            return Err(Unreadable::Part(format!("entries.jsonl is cut or too long at {place}")));
        }
        let entry = serde_json::from_slice(&line)
            .map_err(|error| Unreadable::Part(format!("entries.jsonl, line {place}: {error}")))?;
        entries.push(entry);
    }
}

fn digest(part: &mut impl Read) -> Result<String, Unreadable> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match part.read(&mut piece)? {
            0 => return Ok(HEXLOWER.encode(&hash.finalize())),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// What was found so far.
struct Bench {
    checked: Checked,
    /// Digests of reports that the entries name, with the names they were added under.
    named: BTreeMap<String, String>,
    seen: BTreeSet<String>,
}

impl Bench {
    fn new(manifest: Manifest, checkpoint: &Checkpoint) -> Self {
        let checked = Checked {
            manifest,
            log: checkpoint.origin.clone(),
            size: checkpoint.size,
            root: hex(&checkpoint.root),
            entries: 0,
            reports: 0,
            course: Vec::new(),
            problems: Vec::new(),
        };
        Self { checked, named: BTreeMap::new(), seen: BTreeSet::new() }
    }

    fn problem(&mut self, what: String) {
        self.checked.problems.push(what);
    }

    /// Holds each entry against the signed root.
    fn prove(&mut self, entries: &[Proven], checkpoint: &Checkpoint) {
        for proven in entries {
            let place = format!("{} entry {}", proven.entry.stream, proven.entry.seq);
            let held = proven.hashes().ok_or_else(|| "its proof is no list of hashes".to_owned());
            let held = held.and_then(|hashes| {
                let (size, root) = (checkpoint.size, &checkpoint.root);
                proof::check(&proven.entry, proven.position, &hashes, size, root)
            });
            match held {
                Ok(()) => self.checked.entries += 1,
                Err(why) => self.problem(format!("{place} is not in the log: {why}")),
            }
        }
    }

    /// Nothing is left out of the deployment, and nothing else is said to be it.
    fn follow(&mut self, entries: &[Proven]) {
        let manifest = self.checked.manifest.clone();
        let mut due = manifest.first_seq;
        let mut last_position = None;
        for proven in entries {
            let entry = &proven.entry;
            if entry.stream != manifest.stream {
                self.problem(format!("{} entry {} is not of this stream", entry.stream, entry.seq));
            }
            if last_position.is_some_and(|last| last >= proven.position) {
                self.problem(format!("{} entry {} stands out of order", entry.stream, entry.seq));
            }
            last_position = Some(proven.position);
            let event = event_of(&entry.payload);
            if entry.kind == "evidence_added" {
                self.name_report(&event);
            }
            if entry.seq < manifest.first_seq {
                if entry.kind != "evidence_added" {
                    self.problem(format!("entry {} is before the deployment", entry.seq));
                }
                continue;
            }
            if entry.seq != due {
                self.problem(format!("entry {due} is left out, before entry {}", entry.seq));
            }
            due = entry.seq + 1;
            self.checked.course.push(Line {
                seq: entry.seq,
                at_us: entry.at_us,
                actor: entry.actor.clone(),
                kind: entry.kind.clone(),
            });
        }
        let begins = entries.iter().find(|proven| proven.entry.seq == manifest.first_seq);
        self.is_deployment(begins, "deployment_started", "first");
        self.is_version(begins);
        if let Some(last) = manifest.last_seq {
            if due != last + 1 {
                self.problem(format!("the entries end before entry {last}"));
            }
            let ends = entries.iter().find(|proven| proven.entry.seq == last);
            self.is_deployment(ends, "deployment_ended", "last");
        }
    }

    /// The entry speaks of the deployment that the manifest names.
    fn is_deployment(&mut self, proven: Option<&Proven>, kind: &str, place: &str) {
        let named = proven.filter(|proven| proven.entry.kind == kind).map(|proven| {
            let event = event_of(&proven.entry.payload);
            event.get("deployment").and_then(Value::as_str).map(str::to_owned)
        });
        if named.flatten().as_deref() != Some(self.checked.manifest.deployment.as_str()) {
            let deployment = &self.checked.manifest.deployment;
            let what = format!("the {place} entry is not the `{kind}` of {deployment}");
            self.problem(what);
        }
    }

    /// The plan brings the version that the manifest names.
    fn is_version(&mut self, started: Option<&Proven>) {
        let event = started.map(|proven| event_of(&proven.entry.payload)).unwrap_or_default();
        let version = event.pointer("/plan/release/version").and_then(Value::as_str);
        if version != Some(self.checked.manifest.version.as_str()) {
            let what = format!("the deployment does not bring {}", self.checked.manifest.version);
            self.problem(what);
        }
    }

    fn name_report(&mut self, event: &Value) {
        let text = |key: &str| event.get("evidence")?.get(key)?.as_str().map(str::to_owned);
        match (text("digest"), text("name")) {
            (Some(digest), Some(name)) => {
                self.named.insert(digest, name);
            }
            _ => self.problem("an entry about a report names no digest".to_owned()),
        }
    }

    /// A file behind the entries must be a report that they name.
    fn report(&mut self, path: &str, digest: &str) {
        let Some(name) = path.strip_prefix("reports/") else {
            return self.problem(format!("`{path}` does not belong into a bundle"));
        };
        if name != digest {
            return self.problem(format!("report {name} was changed: its digest is {digest}"));
        }
        if !self.named.contains_key(digest) {
            return self.problem(format!("report {digest} is named by no entry"));
        }
        if self.seen.insert(digest.to_owned()) {
            self.checked.reports += 1;
        }
    }

    fn finish(mut self) -> Checked {
        let lacking: Vec<String> = self
            .named
            .iter()
            .filter(|(digest, _)| !self.seen.contains(*digest))
            .map(|(digest, name)| format!("report {name} ({digest}) is left out"))
            .collect();
        self.checked.problems.extend(lacking);
        self.checked
    }
}

fn event_of(payload: &str) -> Value {
    let read: Result<Value, _> = serde_json::from_str(payload);
    read.ok().and_then(|mut value| value.get_mut("event").map(Value::take)).unwrap_or_default()
}
