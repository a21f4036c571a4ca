//! `tidegate audit`: search the journal, prove it, hand it to others.
//! Must never say "verified" for what was not checked whole.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tidegate_audit::bundle::{self, Checked};
use tidegate_audit::merkle::hex;
use tidegate_audit::note::{Key, NOTE_BYTES_MAX};

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::audit::{Checkpoint, Entries, Entry, Proof, Root};
use crate::view::service::Verified;

/// Entries of one request of an export.
const PAGE: u32 = 1_000;

/// The verbs of the audit.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Entries of the journal, oldest first
    Search {
        #[command(flatten)]
        filter: Filter,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Every entry, for other programs
    Export {
        #[command(flatten)]
        filter: Filter,
        /// How
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
    },
    /// Check every leaf and every root; with a bundle, that file alone and without a server
    Verify {
        /// An evidence bundle
        bundle: Option<PathBuf>,
        /// A checkpoint that was kept elsewhere: the journal must have grown from it
        #[arg(long, conflicts_with = "bundle", value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// The log's public key, or a file with it
        #[arg(long)]
        key: Option<String>,
    },
    /// The journal's signed head, and where it is kept outside
    Checkpoint,
    /// The public key that checkpoints are signed with
    Key,
    /// Everything about a deployment in one file that proves itself
    Bundle {
        /// The deployment; the one in flight here, else the newest
        deployment: Option<String>,
        /// The file; by default the deployment's id with `.tar`
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Which entries.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Of this kind, `approval_given`
    #[arg(long)]
    kind: Option<String>,
    /// Caused by this actor: `person:ada`, `robot:ci`, `tidegate`, `proxy:main`
    #[arg(long)]
    actor: Option<String>,
    /// Not before this time, `2026-11-25T09:00:00Z`
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long)]
    until: Option<Timestamp>,
    /// From this position on
    #[arg(long, default_value_t = 0, value_name = "POSITION")]
    from: u64,
}

/// How entries are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line
    Jsonl,
    /// A table with a head
    Csv,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or a file cannot be read or written.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Search { filter, limit } => search(session, filter, *limit).await,
        Verb::Export { filter, format } => export(session, filter, *format).await,
        Verb::Verify { bundle: Some(bundle), key, .. } => offline(session, bundle, key.as_deref()),
        Verb::Verify { checkpoint: Some(kept), key, .. } => {
            grew(session, kept, key.as_deref()).await
        }
        Verb::Verify { .. } => verify(session).await,
        Verb::Checkpoint => checkpoint(session).await,
        Verb::Key => {
            let found: Checkpoint = session.client.get("/v1/audit/checkpoint").await?;
            session.terminal.line(&found.key)?;
            Ok(Exit::Done)
        }
        Verb::Bundle { deployment, output } => {
            write_bundle(session, deployment.as_deref(), output.as_deref()).await
        }
    }
}

async fn page(
    session: &Session,
    filter: &Filter,
    from: u64,
    limit: u32,
) -> Result<Entries, Failure> {
    let mut path = format!("/v1/audit?from={from}&limit={limit}");
    let mut add = |key: &str, value: &str| path.extend(["&", key, "=", &encode(value)]);
    let named = session.globals.service.as_deref().zip(session.globals.environment.as_deref());
    let times = [("since", filter.since), ("until", filter.until)];
    let texts = [
        ("service", named.map(|(service, _)| service.to_owned())),
        ("environment", named.map(|(_, environment)| environment.to_owned())),
        ("kind", filter.kind.clone()),
        ("actor", filter.actor.clone()),
    ];
    let times = times.map(|(key, at)| (key, at.map(|at| at.to_string())));
    for (key, value) in texts.into_iter().chain(times) {
        if let Some(value) = value {
            add(key, &value);
        }
    }
    session.client.get(&path).await
}

async fn search(session: &Session, filter: &Filter, limit: u32) -> Result<Exit, Failure> {
    let found = page(session, filter, filter.from, limit).await?;
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    for entry in &found.entries {
        session.terminal.line(&format!(
            "{} {} {} #{} {} by {}",
            entry.position,
            session.terminal.stamp(entry.at),
            entry.stream,
            entry.seq,
            styled(Style::Strong, &entry.kind),
            entry.actor
        ))?;
    }
    if let Some(next) = found.next {
        session.terminal.say(&format!("  there are more: --from {next}"));
    } else if found.entries.is_empty() {
        session.terminal.say("no entry is like that");
    }
    Ok(Exit::Done)
}

async fn export(session: &Session, filter: &Filter, format: Format) -> Result<Exit, Failure> {
    if format == Format::Csv {
        session.terminal.line("position,at,stream,seq,kind,actor,leaf,event")?;
    }
    let mut from = Some(filter.from);
    while let Some(begin) = from {
        let found = page(session, filter, begin, PAGE).await?;
        for entry in &found.entries {
            match format {
                Format::Jsonl => session.terminal.json(entry)?,
                Format::Csv => session.terminal.line(&row(entry)?)?,
            }
        }
        from = found.next;
    }
    Ok(Exit::Done)
}

fn row(entry: &Entry) -> Result<String, Failure> {
    let mut row =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(vec![]);
    row.write_record([
        &entry.position.to_string(),
        &entry.at.to_string(),
        &entry.stream,
        &entry.seq.to_string(),
        &entry.kind,
        &entry.actor,
        &entry.leaf,
        &entry.event.to_string(),
    ])
    .map_err(Failure::local)?;
    let bytes = row.into_inner().map_err(|error| Failure::local(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

async fn verify(session: &Session) -> Result<Exit, Failure> {
    let verified: Verified = session.client.get("/v1/journal/verify").await?;
    let head: Checkpoint = session.client.get("/v1/audit/checkpoint").await?;
    if session.terminal.is_json() {
        session.terminal.json(&serde_json::json!({"journal": verified, "checkpoint": head}))?;
        return Ok(Exit::Done);
    }
    session.terminal.line(&format!(
        "{} {} entries in {} streams; root {}",
        styled(Style::Good, "\u{2713} verified:"),
        verified.events,
        verified.streams,
        verified.root
    ))?;
    session.terminal.line(&head.sentence)?;
    Ok(Exit::Done)
}

async fn checkpoint(session: &Session) -> Result<Exit, Failure> {
    let found: Checkpoint = session.client.get("/v1/audit/checkpoint").await?;
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    session.terminal.line(found.note.trim_end())?;
    for place in &found.places {
        let state = match (&place.problem, place.size) {
            (Some(problem), _) => styled(Style::Bad, &format!("\u{2717} {problem}")),
            (None, Some(size)) => format!("\u{2713} has {size} entries"),
            (None, None) => "? has none yet".to_owned(),
        };
        let beside = if place.outside { "" } else { " (beside the database: does not count)" };
        session.terminal.say(&format!("{}{beside}: {state}", place.name));
    }
    session.terminal.say(&found.sentence);
    Ok(Exit::Done)
}

/// The key that was named, or the one in the file that was named.
fn key_of(named: Option<&str>) -> Result<Key, Failure> {
    let refused = |what: String| {
        Failure::new(Exit::Usage, "TG6204", what)
            .safe("nothing was checked")
            .help("`tidegate audit key` prints it on the machine of the server")
    };
    let named = named.ok_or_else(|| refused("`--key` is needed: the log's public key".into()))?;
    let text = match Path::new(named).is_file() {
        true => capped(Path::new(named)).map_err(|error| refused(format!("{named}: {error}")))?,
        false => named.to_owned(),
    };
    Key::parse(&text).map_err(|error| refused(error.to_string()))
}

/// A file that is no longer than a note.
fn capped(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    File::open(path)?.take(NOTE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn offline(session: &Session, path: &Path, key: Option<&str>) -> Result<Exit, Failure> {
    let key = key_of(key)?;
    let unread = |what: String| {
        Failure::new(Exit::Usage, "TG6205", format!("{}: {what}", path.display()))
            .safe("nothing was checked")
    };
    let file = File::open(path).map_err(|error| unread(error.to_string()))?;
    let checked =
        bundle::check(BufReader::new(file), &key).map_err(|error| unread(error.to_string()))?;
    if session.terminal.is_json() {
        session.terminal.json(&checked)?;
    } else {
        show(session, &checked)?;
    }
    Ok(if checked.problems.is_empty() { Exit::Done } else { Exit::Stopped })
}

fn show(session: &Session, checked: &Checked) -> Result<(), Failure> {
    let manifest = &checked.manifest;
    let subject = format!("{} {} {}", manifest.stream, manifest.version, manifest.deployment);
    session.terminal.line(&styled(Style::Strong, &subject))?;
    session.terminal.line(&format!(
        "{} entries and {} reports as in {} at {} entries",
        checked.entries, checked.reports, checked.log, checked.size
    ))?;
    for line in &checked.course {
        let at = Timestamp::from_microsecond(line.at_us).unwrap_or_default();
        let at = session.terminal.stamp(at);
        session.terminal.line(&format!("  {at} #{} {} by {}", line.seq, line.kind, line.actor))?;
    }
    if manifest.last_seq.is_none() {
        session.terminal.line("it had not ended when the bundle was made")?;
    }
    for problem in &checked.problems {
        session.terminal.line(&styled(Style::Bad, &format!("\u{2717} {problem}")))?;
    }
    let good = checked.problems.is_empty();
    let (style, word) = if good {
        (Style::Good, "\u{2713} verified")
    } else {
        (Style::Bad, "\u{2717} not verified")
    };
    session.terminal.line(&styled(style, word))
}

/// Whether the journal grew from a checkpoint that somebody kept.
async fn grew(session: &Session, path: &Path, key: Option<&str>) -> Result<Exit, Failure> {
    let unread = |what: String| {
        Failure::new(Exit::Usage, "TG6205", format!("{}: {what}", path.display()))
            .safe("nothing was checked")
    };
    let note = capped(path).map_err(|error| unread(error.to_string()))?;
    let kept = key_of(key)?.open(&note).map_err(|error| unread(error.to_string()))?;
    let found: Root = session.client.get(&format!("/v1/audit/root?size={}", kept.size)).await?;
    let same = found.root.as_deref() == Some(hex(&kept.root).as_str());
    let word = match (same, &found.root) {
        (true, _) => styled(Style::Good, "\u{2713} the journal grew from this checkpoint"),
        (false, Some(_)) => styled(Style::Bad, "\u{2717} its first entries are others"),
        (false, None) => styled(Style::Bad, "\u{2717} the journal has fewer entries"),
    };
    session.terminal.line(&format!("{word} ({} entries)", kept.size))?;
    Ok(if same { Exit::Done } else { Exit::Stopped })
}

async fn write_bundle(
    session: &Session,
    deployment: Option<&str>,
    output: Option<&Path>,
) -> Result<Exit, Failure> {
    let id = session.deployment(deployment, Unnamed::Newest).await?;
    let proof: Proof =
        session.client.get(&format!("/v1/deployments/{}/proof", encode(&id))).await?;
    let path = output.map_or_else(|| PathBuf::from(format!("{id}.tar")), Path::to_owned);
    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Whole or not at all: it gets its name at the end.
    let file = tempfile::NamedTempFile::new_in(dir).map_err(Failure::local)?;
    let writer = BufWriter::new(file);
    let mut bundle =
        bundle::Writer::new(writer, &proof.manifest, &proof.checkpoint, &proof.entries)
            .map_err(Failure::local)?;
    let mut written = std::collections::BTreeSet::new();
    for report in &proof.reports {
        if !written.insert(&report.digest) {
            continue;
        }
        let from = format!("/v1/evidence/{}", report.digest);
        let bytes = session.client.bytes(hyper::Method::GET, &from, None).await?;
        bundle.report(&report.digest, bytes.len() as u64, &*bytes).map_err(Failure::local)?;
    }
    let mut writer = bundle.finish().map_err(Failure::local)?;
    writer.flush().map_err(Failure::local)?;
    let file = writer.into_inner().map_err(|error| Failure::local(error.into_error()))?;
    file.persist(&path).map_err(|error| Failure::local(error.error))?;
    if session.terminal.is_json() {
        let made = serde_json::json!({"file": path, "entries": proof.entries.len(), "reports": written.len()});
        session.terminal.json(&made)?;
    } else {
        session.terminal.line(&format!(
            "{}: {} entries, {} reports; `tidegate audit verify {} --key KEY` needs nothing else",
            path.display(),
            proof.entries.len(),
            written.len(),
            path.display()
        ))?;
    }
    Ok(Exit::Done)
}
