//! `tidegate evidence`: reports that gates rest on: add, list, verify, export.
//! Must never say that a report was added which the server did not take.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::deploy;
use crate::cli::session::{Session, service_path};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::evidence::{CheckedReports, Report, Reports};
use crate::view::request::Release;

/// Largest report that is sent, bytes: the server takes no more.
const REPORT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// The verbs of evidence.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Add reports to what is known of a release
    Add {
        /// The reports; gates know them by these paths
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        release: deploy::Named,
        /// Their format; by default known by their beginning
        #[arg(long)]
        format: Option<String>,
    },
    /// Reports that are known
    List {
        /// Only reports on this version
        #[arg(long)]
        version: Option<String>,
    },
    /// Hold every report against the digest under which it was added
    Verify,
    /// Write the reports and a list of their digests into a directory
    Export {
        /// The directory; it is made
        directory: PathBuf,
        /// Only reports on this version
        #[arg(long)]
        version: Option<String>,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or a report is not taken.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Add { files, release, format } => {
            let release = deploy::release(session, release)?;
            add(session, files, &release, format.as_deref()).await
        }
        Verb::List { version } => {
            let found = reports(session, version.as_deref()).await?;
            if session.terminal.is_json() {
                session.terminal.json(&found)?;
                return Ok(Exit::Done);
            }
            for report in &found.reports {
                session.terminal.line(&line(report, &session.terminal))?;
            }
            if found.reports.is_empty() {
                session.terminal.say("no report was added: `tidegate evidence add FILE`");
            }
            Ok(Exit::Done)
        }
        Verb::Verify => verify(session).await,
        Verb::Export { directory, version } => export(session, directory, version.as_deref()).await,
    }
}

async fn add(
    session: &Session,
    files: &[PathBuf],
    release: &Release,
    format: Option<&str>,
) -> Result<Exit, Failure> {
    let mut added = Vec::new();
    for file in files {
        let name = name_of(file)?;
        let path = format!(
            "/v1/evidence?repository={}&version={}&config={}&name={}{}{}{}",
            encode(&release.repository),
            encode(&release.version),
            encode(&release.config),
            encode(&name),
            query("environment", release.environment.as_deref()),
            query("format", format),
            variables(release)?,
        );
        if session.globals.dry_run {
            session.terminal.line(&format!("would send: {} to {path}", file.display()))?;
            continue;
        }
        let bytes = bytes_of(file)?;
        let report: Report = session.client.send_bytes(&path, bytes).await?;
        if !session.terminal.is_json() {
            session.terminal.line(&format!(
                "{} {}: {} ({}, {})",
                styled(Style::Strong, &report.name),
                report.format,
                report.summary,
                report.version,
                short(&report.digest)
            ))?;
        }
        added.push(report);
    }
    if session.terminal.is_json() {
        session.terminal.json(&added)?;
    }
    Ok(Exit::Done)
}

fn query(key: &str, value: Option<&str>) -> String {
    value.map(|value| format!("&{key}={}", encode(value))).unwrap_or_default()
}

/// The values of variables, as the query carries them.
fn variables(release: &Release) -> Result<String, Failure> {
    if release.variables.is_empty() {
        return Ok(String::new());
    }
    let text = serde_json::to_string(&release.variables).map_err(Failure::local)?;
    Ok(query("variables", Some(&text)))
}

/// The name by which gates know a file: its path as it was given, inside this directory.
fn name_of(file: &Path) -> Result<String, Failure> {
    let usage = |what: &str| {
        Failure::new(Exit::Usage, "TG7003", format!("{}: {what}", file.display()))
            .safe("nothing was added")
            .help("run this where the gates' paths begin, and name the report relative to it")
    };
    let path = match file.is_absolute() {
        true => {
            let here = std::env::current_dir().map_err(Failure::local)?;
            file.strip_prefix(&here).map_err(|_outside| usage("it is not below this directory"))?
        }
        false => file.strip_prefix("./").unwrap_or(file),
    };
    path.to_str().map(str::to_owned).ok_or_else(|| usage("its name is not UTF-8"))
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, Failure> {
    let unread = |what: String| {
        Failure::new(Exit::NotFound, "TG3040", format!("{}: {what}", file.display()))
            .safe("it was not added; reports before it were")
    };
    let length = std::fs::metadata(file).map_err(|error| unread(error.to_string()))?;
    if !length.is_file() {
        return Err(unread("it is not a file".to_owned()));
    }
    if length.len() > REPORT_BYTES_MAX {
        return Err(unread(format!("it is larger than {REPORT_BYTES_MAX} bytes")));
    }
    std::fs::read(file).map_err(|error| unread(error.to_string()))
}

async fn reports(session: &Session, version: Option<&str>) -> Result<Reports, Failure> {
    let named = session.service().await?;
    let mut found: Reports = session.client.get(&service_path(&named, "evidence")).await?;
    found.reports.retain(|report| version.is_none_or(|version| report.version == version));
    Ok(found)
}

fn line(report: &Report, terminal: &crate::terminal::Terminal) -> String {
    format!(
        "{}  {}  {} {}: {}  by {} {}",
        short(&report.digest),
        report.version,
        report.format,
        styled(Style::Strong, &report.name),
        report.summary,
        report.by,
        terminal.time(report.at, Timestamp::now())
    )
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

async fn verify(session: &Session) -> Result<Exit, Failure> {
    let named = session.service().await?;
    let path = service_path(&named, "evidence/verify");
    let nothing = serde_json::json!({});
    let checked: CheckedReports = session.client.post(&path, &nothing).await?;
    let bad = checked.reports.iter().filter(|report| report.problem.is_some()).count();
    if session.terminal.is_json() {
        session.terminal.json(&checked)?;
    } else {
        for report in &checked.reports {
            if let Some(problem) = &report.problem {
                let what = format!("{}: {problem}", report.name);
                session.terminal.line(&styled(Style::Bad, &what))?;
            }
        }
        let good = checked.reports.len() - bad;
        session.terminal.line(&format!("{good} of {} unchanged", checked.reports.len()))?;
    }
    Ok(if bad == 0 { Exit::Done } else { Exit::Stopped })
}

/// Writes each report under its digest, `evidence.json` and `SHA256SUMS`.
async fn export(
    session: &Session,
    directory: &Path,
    version: Option<&str>,
) -> Result<Exit, Failure> {
    let found = reports(session, version).await?;
    std::fs::create_dir_all(directory).map_err(Failure::local)?;
    let mut sums = String::new();
    for report in &found.reports {
        let path = format!("/v1/evidence/{}", report.digest);
        let bytes = session.client.bytes(hyper::Method::GET, &path, None).await?;
        std::fs::write(directory.join(&report.digest), &bytes).map_err(Failure::local)?;
        let sum = format!("{0}  {0}\n", report.digest);
        if !sums.contains(&sum) {
            sums.push_str(&sum);
        }
    }
    std::fs::write(directory.join("SHA256SUMS"), sums).map_err(Failure::local)?;
    let list = serde_json::to_vec_pretty(&found).map_err(Failure::local)?;
    std::fs::write(directory.join("evidence.json"), list).map_err(Failure::local)?;
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
    } else {
        session.terminal.line(&format!(
            "{} reports in {}; `sha256sum -c SHA256SUMS` there holds them against their digests",
            found.reports.len(),
            directory.display()
        ))?;
    }
    Ok(Exit::Done)
}
