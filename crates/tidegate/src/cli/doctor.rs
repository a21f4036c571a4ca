//! `tidegate doctor`: named checks of this machine, the server and the configuration; each that
//! fails is followed by the exact next command. With `--fix` it does what is safe to do: rights of
//! files, and a server that should run. Must never pass what it could not look at, nor mend
//! anything that a person has to decide.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::session::Session;
use crate::cli::{check, project};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server::background;
use crate::state_dir::Error as StateDirError;
use crate::terminal::{Style, styled};
use crate::view::service::{Server, Verified};

/// The clock of server and command may differ by this many seconds: both read the same one.
const CLOCK_SECONDS_MAX: i64 = 5;

/// A server looks at its proxy as soon as it serves; starting one takes this long at most.
const PROXY_ASKED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is for the owner alone, file by file, below the state directory.
const SECRETS: [&str; 6] =
    ["audit.key", "people.json", "server.yaml", "journal.sqlite", "proxy/cohort.key", "server.log"];

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mend what is safe to mend: rights of files, and a server that should run and does not
    #[arg(long)]
    fix: bool,
}

/// What `--fix` may do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fix {
    /// Take rights away from others.
    Rights(PathBuf, u32),
    /// Start the server beside this command.
    Server,
}

impl Fix {
    fn words(&self) -> String {
        match self {
            Self::Rights(path, mode) => format!("chmod {mode:o} {}", path.display()),
            Self::Server => "start the server".to_owned(),
        }
    }

    async fn apply(&self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Rights(path, mode) => {
                let rights = std::fs::Permissions::from_mode(*mode);
                std::fs::set_permissions(path, rights)
                    .map_err(|error| Failure::local(format!("{}: {error}", path.display())))
            }
            Self::Server => background::start(&session.dir, &session.client).await.map(drop),
        }
    }
}

/// One check.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at.
    name: &'static str,
    /// `pass`, `fail` or `skipped`.
    result: &'static str,
    /// What was seen.
    what: String,
    /// What to type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// What `--fix` would do.
    #[serde(skip)]
    fixes: Vec<Fix>,
}

impl Finding {
    fn pass(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, result: "pass", what: what.into(), next: None, fixes: Vec::new() }
    }

    fn fail(name: &'static str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, result: "fail", what: what.into(), next: Some(next.into()), fixes: Vec::new() }
    }

    fn with(mut self, fixes: impl IntoIterator<Item = Fix>) -> Self {
        self.fixes.extend(fixes);
        self
    }

    fn skipped(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, result: "skipped", what: what.into(), next: None, fixes: Vec::new() }
    }
}

/// Runs the verb: 0 when nothing failed, else 1.
///
/// # Errors
/// [`Failure`] when stdout cannot be written, or something cannot be mended.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut findings = look(session).await;
    let mut fixed = Vec::new();
    if args.fix {
        for fix in findings.iter().flat_map(|finding| &finding.fixes) {
            if !session.globals.dry_run {
                fix.apply(session).await?;
            }
            fixed.push(fix.words());
        }
        if !fixed.is_empty() && !session.globals.dry_run {
            findings = look(session).await;
        }
    }
    let failed = findings.iter().filter(|finding| finding.result == "fail").count();
    if session.terminal.is_json() {
        session
            .terminal
            .json(&serde_json::json!({ "checks": findings, "failed": failed, "fixed": fixed }))?;
    } else {
        for finding in &findings {
            print(session, finding)?;
        }
        let word = if session.globals.dry_run { "would fix" } else { "fixed  " };
        for done in &fixed {
            session.terminal.line(&format!("{} {done}", styled(Style::Good, word)))?;
        }
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Unexpected })
}

/// Looks at everything.
async fn look(session: &Session) -> Vec<Finding> {
    let mut findings = vec![state_dir(session), secrets(session), git(), proc()];
    findings.extend(configuration(session));
    findings.extend(server(session).await);
    findings
}

/// Everything that was found, for whoever is asked for help.
pub(crate) async fn report(session: &Session) -> serde_json::Value {
    serde_json::to_value(look(session).await).unwrap_or_default()
}

fn print(session: &Session, finding: &Finding) -> Result<(), Failure> {
    let style = match finding.result {
        "pass" => Style::Good,
        "fail" => Style::Bad,
        _ => Style::Faint,
    };
    let word = styled(style, &format!("{:7}", finding.result));
    session.terminal.line(&format!("{word} {:14} {}", finding.name, finding.what))?;
    match &finding.next {
        Some(next) => session.terminal.line(&format!("        next: {next}")),
        None => Ok(()),
    }
}

fn state_dir(session: &Session) -> Finding {
    const NAME: &str = "state directory";
    let path = session.dir.path().display();
    match session.dir.check() {
        Ok(()) if !session.dir.sockets_fit() => Finding::fail(
            NAME,
            format!("{path} is too long for a socket"),
            "tidegate --state-dir SHORTER doctor",
        ),
        Ok(()) => Finding::pass(NAME, format!("{path}, for you alone")),
        Err(StateDirError::Unusable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Finding::skipped(NAME, format!("{path} does not exist yet: the server makes it"))
        }
        Err(error @ StateDirError::TooOpen { .. }) => {
            let fix = Fix::Rights(session.dir.path().to_owned(), 0o700);
            Finding::fail(NAME, error.to_string(), format!("chmod 700 {path}")).with([fix])
        }
        Err(error) => Finding::fail(NAME, error.to_string(), "tidegate --state-dir OTHER doctor"),
    }
}

/// Files that others must not read: the directory shuts them out, and so does each file.
fn secrets(session: &Session) -> Finding {
    const NAME: &str = "secrets";
    let mut open = Vec::new();
    let mut seen = 0;
    for name in SECRETS {
        let path = session.dir.path().join(name);
        let Ok(found) = std::fs::metadata(&path) else { continue };
        seen += 1;
        if found.permissions().mode() & 0o077 != 0 {
            open.push(path);
        }
    }
    match open.first() {
        _ if seen == 0 => Finding::skipped(NAME, "there are none yet"),
        None => Finding::pass(NAME, format!("{seen} files, for you alone")),
        Some(first) => Finding::fail(
            NAME,
            format!("{} files are open to others, {} among them", open.len(), first.display()),
            "tidegate doctor --fix",
        )
        .with(open.iter().map(|path| Fix::Rights(path.clone(), 0o600))),
    }
}

fn git() -> Finding {
    const NAME: &str = "git";
    match Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => {
            Finding::pass(NAME, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => {
            Finding::fail(NAME, format!("git ended with {}", output.status), "apt-get install git")
        }
        Err(error) => {
            Finding::fail(NAME, format!("git cannot be run: {error}"), "apt-get install git")
        }
    }
}

/// Processes are adopted by what `/proc` says of them.
fn proc() -> Finding {
    match std::fs::read_to_string("/proc/self/stat") {
        Ok(_) => Finding::pass("processes", "/proc can be read"),
        Err(error) => Finding::fail(
            "processes",
            format!("/proc cannot be read: {error}"),
            "mount -t proc proc /proc",
        ),
    }
}

fn configuration(session: &Session) -> Vec<Finding> {
    let Some(file) = project::config(session.globals.config.as_deref()) else {
        return vec![Finding::fail(
            "configuration",
            "no tidegate.yaml from here up to the root of the repository",
            "tidegate init",
        )];
    };
    let mut findings = vec![valid(session, &file)];
    let directory = file.parent().map(PathBuf::from).unwrap_or_default();
    let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
    findings.push(match project::repository(&directory) {
        Err(failure) => Finding::fail("repository", failure.what, "git init"),
        Ok(root) => match project::tag_here(&root) {
            Ok(tag) => Finding::pass("repository", format!("{}, at tag {tag}", root.display())),
            // Nothing is wrong with a commit that is no release.
            Err(failure) => {
                Finding::skipped("repository", format!("{}: {}", root.display(), failure.what))
            }
        },
    });
    findings
}

fn valid(session: &Session, file: &std::path::Path) -> Finding {
    const NAME: &str = "configuration";
    match check::check(file, session.globals.environment.as_deref(), &BTreeMap::new()) {
        Ok(checked) if checked.valid => Finding::pass(NAME, format!("{} is valid", file.display())),
        Ok(checked) => Finding::fail(
            NAME,
            format!("{} has {} findings", file.display(), checked.diagnostics.len()),
            format!("tidegate check {}", file.display()),
        ),
        Err(failure) => Finding::fail(NAME, failure.what, "tidegate init"),
    }
}

/// The server, once it has looked at its proxy: in its first second it has not.
async fn ask_server(session: &Session) -> Result<Server, Failure> {
    let deadline = Instant::now() + PROXY_ASKED_WITHIN;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        look.tick().await;
        let shown: Server = session.client.get("/v1/server").await?;
        if shown.proxy.asked_at.is_some() || Instant::now() >= deadline {
            return Ok(shown);
        }
    }
}

async fn server(session: &Session) -> Vec<Finding> {
    let shown = match ask_server(session).await {
        Ok(shown) => shown,
        Err(failure) if failure.exit == Exit::Unreachable => {
            let why = if session.client.socket().is_some_and(|at| UnixStream::connect(at).is_ok()) {
                return vec![Finding::fail(
                    "server",
                    "it accepts connections and does not answer",
                    "tidegate server stop",
                )];
            } else {
                "none runs: `tidegate deploy` starts one, or `tidegate server run`"
            };
            // Where a journal is, a server should run; nobody else starts it.
            let should_run = session.dir.path().join("journal.sqlite").exists();
            let fixes = should_run.then_some(Fix::Server);
            return vec![
                Finding::skipped("server", why).with(fixes),
                Finding::skipped("proxy", "it is the server that knows"),
                Finding::skipped("journal", "it is the server that knows"),
            ];
        }
        Err(failure) => {
            return vec![Finding::fail("server", failure.what, failure.help.unwrap_or_default())];
        }
    };
    vec![same_version(&shown), clock(&shown), proxy(&shown), journal(session).await]
}

fn same_version(shown: &Server) -> Finding {
    let mine = env!("CARGO_PKG_VERSION");
    if shown.version == mine {
        Finding::pass("server", format!("{} runs, pid {}", shown.version, shown.pid))
    } else {
        Finding::fail(
            "server",
            format!("it is {}, this is {mine}", shown.version),
            "tidegate server stop && tidegate server run",
        )
    }
}

fn clock(shown: &Server) -> Finding {
    let apart = jiff::Timestamp::now().duration_since(shown.now).as_secs().abs();
    if apart <= CLOCK_SECONDS_MAX {
        Finding::pass("clock", "server and command agree")
    } else {
        Finding::fail(
            "clock",
            format!("server and command differ by {apart} s"),
            "timedatectl status",
        )
    }
}

fn proxy(shown: &Server) -> Finding {
    let words = super::server::proxy_words(&shown.proxy);
    if shown.proxy.running {
        Finding::pass("proxy", words)
    } else {
        Finding::fail("proxy", words, format!("tail {}/proxy.log", shown.state_dir))
    }
}

async fn journal(session: &Session) -> Finding {
    match session.client.get::<Verified>("/v1/journal/verify").await {
        Ok(found) => Finding::pass(
            "journal",
            format!("{} events in {} streams verified", found.events, found.streams),
        ),
        Err(failure) => {
            Finding::fail("journal", failure.what, format!("tidegate explain {}", failure.code))
        }
    }
}
